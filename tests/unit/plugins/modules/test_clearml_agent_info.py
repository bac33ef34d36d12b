# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The module on real files and a real process; only systemctl is a script that answers what the test says."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from ansible_collections.homelab.mlops.plugins.modules import clearml_agent_info
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

SYSTEMCTL = """#!/bin/sh
case "$1" in
  list-units) for file in %(state)s/*.service; do [ -e "$file" ] && echo "${file##*/} loaded active running words"; done ;;
  show) if [ -e "%(state)s/$2" ]; then cat "%(state)s/$2"; else echo ActiveState=inactive; echo MainPID=0; fi ;;
  *) exit 64 ;;
esac
exit 0
"""


class Host(object):
    """Folders as the role makes them, and units as systemd would describe them."""

    def __init__(self, folder, monkeypatch):
        self.folder = folder
        for name in ("config", "drain", "state", "bin", "wants", "cgroup"):
            (folder / name).mkdir()
        systemctl = folder / "bin" / "systemctl"
        systemctl.write_text(SYSTEMCTL % {"state": folder / "state"}, encoding="utf-8")
        systemctl.chmod(0o755)
        monkeypatch.setenv("PATH", "%s:%s" % (folder / "bin", os.environ["PATH"]))
        monkeypatch.setattr(clearml_agent_info, "WANTS", (str(folder / "wants"),))
        monkeypatch.setattr(clearml_agent_info, "CGROUP_ROOTS", (str(folder / "cgroup"),))
        self.processes = []

    def configure(self, name, config_hash):
        text = "# Ansible managed\nHOMELAB_AGENT_QUEUES='[\"default\"]'\nHOMELAB_CONFIG_HASH='%s'\n" % config_hash
        (self.folder / "config" / (name + ".env")).write_text(text, encoding="utf-8")

    def enable(self, name):
        (self.folder / "wants" / ("clearml-agent@%s.service" % name)).symlink_to("/nowhere")

    def start(self, name, config_hash, status="listening", state="active", children=0):
        environment = {"HOMELAB_CONFIG_HASH": config_hash, "PATH": os.environ["PATH"]}
        process = subprocess.Popen([sys.executable, "-c", "print(1, flush=True); input()"], env=environment, stdin=-1, stdout=-1)
        process.stdout.readline()
        self.processes.append(process)
        group = "/system.slice/%s" % name
        (self.folder / ("cgroup" + group) / "below").mkdir(parents=True)
        (self.folder / ("cgroup" + group) / "cgroup.procs").write_text("%d\n" % process.pid, encoding="utf-8")
        pids = "".join("%d\n" % (1000000 + number) for number in range(children))
        (self.folder / ("cgroup" + group) / "below" / "cgroup.procs").write_text(pids, encoding="utf-8")
        (self.folder / "state" / ("clearml-agent@%s.service" % name)).write_text(
            "MainPID=%d\nActiveState=%s\nStatusText=%s\nControlGroup=%s\n" % (process.pid, state, status, group), encoding="utf-8"
        )

    def drain(self, name, text=""):
        (self.folder / "drain" / (name + ".drain")).write_text(text, encoding="utf-8")

    def found(self):
        outcome = run("clearml_agent_info", config_dir=str(self.folder / "config"), drain_dir=str(self.folder / "drain"))
        assert outcome["changed"] is False
        return {entry["name"]: entry for entry in outcome["instances"]}

    def end(self):
        for process in self.processes:
            process.communicate(b"\n")


@pytest.fixture
def host(tmp_path, monkeypatch):
    made = Host(tmp_path, monkeypatch)
    yield made
    made.end()


def test_a_bare_host_has_none(host):
    (host.folder / "config").rmdir()
    (host.folder / "wants").rmdir()
    assert host.found() == {}


def test_an_instance_is_found_by_file_by_enabled_unit_and_by_loaded_unit(host):
    host.configure("a", "1")
    host.enable("b")
    host.start("c", "1")
    found = host.found()
    assert sorted(found) == ["a", "b", "c"]
    assert [(found[name]["configured"], found[name]["enabled"], found[name]["active"]) for name in "abc"] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]


def test_gpus_are_told_from_the_file(host):
    for name, gpus in (("none", ""), ("one", "GPU-4cf8db2d"), ("two", "0,1")):
        (host.folder / "config" / (name + ".env")).write_text("HOMELAB_AGENT_GPUS='%s'\n" % gpus, encoding="utf-8")
    host.configure("old", "1")
    host.enable("left")
    assert {name: entry["gpus"] for name, entry in host.found().items()} == {
        "none": [],
        "one": ["GPU-4cf8db2d"],
        "two": ["0", "1"],
        "old": [],
        "left": [],
    }


def test_step_is_told_from_the_environment_of_the_process(host):
    host.configure("same", "abc")
    host.start("same", "abc")
    host.configure("changed", "new")
    host.start("changed", "old")
    host.configure("stopped", "abc")
    found = host.found()
    assert [(found[name]["in_step"], found[name]["started_hash"]) for name in ("same", "changed", "stopped")] == [
        (True, "abc"),
        (False, "old"),
        (False, ""),
    ]
    assert found["same"]["interpreter"] == sys.executable


@pytest.mark.parametrize(
    ("status", "state", "children", "drain", "busy", "drained"),
    [
        ("listening", "active", 0, None, False, False),
        ("listening", "active", 0, "", False, False),
        ("drained", "active", 0, "", False, True),
        ("drained", "active", 0, None, False, False),
        ("drained", "active", 1, "until 99 by homelab.mlops", True, False),
        ("running abc", "active", 1, "", True, False),
        ("running abc", "active", 0, "", True, False),
        ("", "activating", 0, "", False, True),
        ("", "activating", 0, None, False, False),
        ("", "failed", 0, None, False, True),
    ],
)
def test_what_may_be_stopped(host, status, state, children, drain, busy, drained):
    host.configure("cpu", "1")
    host.start("cpu", "1", status, state, children)
    if drain is not None:
        host.drain("cpu", drain)
    found = host.found()["cpu"]
    assert (found["busy"], found["drained"]) == (busy, drained)
    assert found["task"] == ("abc" if status.startswith("running") else "")
    assert found["drain"] == {None: "", "": "asked"}.get(drain, drain)
