# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines: each rule once broken, once kept."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import machine
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, SETTINGS, changed, facts


def judge(node=None, settings=None):
    return machine.machine_findings("node-01", node or NODE, 1000.0, settings or SETTINGS)


def test_a_right_machine_has_no_findings():
    assert judge() == []


@pytest.mark.parametrize(
    ("changes", "text", "measured"),
    [
        ({"os__id": "fedora", "os__name": "Fedora 43"}, "operating system is not supported", "Fedora 43"),
        ({"os__version": "10"}, "operating system is not supported", "Debian GNU/Linux 12 (bookworm)"),
        ({"os__version": "14"}, "operating system is not supported", "Debian GNU/Linux 12 (bookworm)"),
        ({"os__id": "ubuntu", "os__version": "20.04"}, "operating system is not supported", "Debian GNU/Linux 12 (bookworm)"),
        ({"architecture": "armv7l"}, "architecture is not supported", "armv7l"),
        ({"python": "3.7.3"}, "Python is too old", "3.7.3"),
        ({"root": False}, "tasks do not run as root", "become did nothing"),
        ({"systemd": False}, "systemd is not the init process", "no /run/systemd/system"),
        ({"address": ""}, "there is no default route", "none"),
        ({"epoch": 700.0}, "the clock differs from the controller's", "300 s"),
        (
            {"disks": {"/": {"folder": "/", "free_bytes": 3 << 29, "total_bytes": 1}}},
            "too little space for /",
            "1.5 GiB free, 4 GiB needed",
        ),
    ],
)
def test_a_wrong_machine(changes, text, measured):
    assert facts(judge(changed(NODE, **changes))) == [("refuse", text, measured)]


@pytest.mark.parametrize(
    "changes",
    [
        {"os__id": "ubuntu", "os__version": "22.04"},
        {"os__id": "ubuntu", "os__version": "26.04"},
        {"os__version": "11"},
        {"os__version": "13"},
        {"architecture": "aarch64"},
        {"epoch": 1050.0},
    ],
)
def test_machines_that_are_right_too(changes):
    assert judge(changed(NODE, **changes)) == []


FULL = {"/": {"folder": "/", "free_bytes": 3 << 29, "total_bytes": 1}}


@pytest.mark.parametrize(
    ("changes", "level"),
    [({"k3s__server": "active"}, "note"), ({"k3s__agent": "failed"}, "note"), ({"clearml_agents": True}, "note"), ({}, "refuse")],
)
def test_little_space_is_a_note_where_it_is_installed(changes, level):
    assert [(one["level"], one["finding"]) for one in judge(changed(NODE, disks=FULL, **changes))] == [(level, "too little space for /")]


def test_the_clock_is_refused_where_it_is_installed():
    found = judge(changed(NODE, epoch=700.0, k3s__server="active", k3s__version="v1.34.1+k3s1"))
    assert [one["level"] for one in found] == ["refuse"]


def test_numbers_from_the_command_line_are_texts():
    assert judge(settings=changed(SETTINGS, clock_seconds="60", free_gib={"/": "4"})) == []


@pytest.mark.parametrize(
    ("probe", "level", "text"),
    [
        ({"unreachable": True, "msg": "Task failed: x: ssh: no route"}, "refuse", "cannot be reached and is left out"),
        ({"msg": "sudo: a password is required"}, "refuse", "cannot become root"),
        ({"msg": "MODULE FAILURE", "rc": 127}, "refuse", "cannot run Ansible's modules"),
    ],
)
def test_a_host_that_does_not_answer(probe, level, text):
    found = machine.absence_findings("node-01", probe, ["k3s_servers"], SETTINGS)
    assert [(one["level"], one["finding"]) for one in found] == [(level, text)]


def test_a_worker_may_be_away():
    found = machine.absence_findings("node-02", {"unreachable": True}, ["k3s_workers"], SETTINGS)
    assert [one["level"] for one in found] == ["note"]
