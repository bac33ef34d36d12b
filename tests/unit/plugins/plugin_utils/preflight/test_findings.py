# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings as a table, and names that are alike."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import findings


def test_the_table_has_a_line_for_each_finding():
    found = [
        findings.finding("b", "swap is on", "1", "turn it off", "note"),
        findings.finding("b", "too old", "3", "renew"),
        findings.finding("a", "too old", "3", "renew"),
    ]
    lines = findings.table(findings.merge(found)).splitlines()
    assert [" | ".join(cell.strip() for cell in line.split("|")) for line in lines] == [
        "host | finding | measured | fix",
        "b, a | too old | 3 | renew",
        "b (note) | swap is on | 1 | turn it off",
    ]


@pytest.mark.parametrize("text", ["10.0.0.1", "fd00::1", "k3s.home", "k3s", "LB-1.home.arpa"])
def test_hosts(text):
    assert findings.host_fault(text) == ""


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("https://k3s.home", "it is a URL"),
        ("k3s.home:6443", "it has a port"),
        ("[fd00::1]:6443", "it has a port"),
        ("k3s_lb", "it is neither name nor address"),
        ("k3s home", "it is neither name nor address"),
    ],
)
def test_no_hosts(text, fault):
    assert findings.host_fault(text) == fault


def test_names_that_are_alike():
    assert findings.nearest("k3s_server", ["k3s_servers", "k3s_workers"]) == "k3s_servers"
    assert findings.nearest("printers", ["k3s_servers"]) == ""
