# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the answers of `ip`, of the kernel's tables and of the firewall's file."""

from __future__ import annotations

import json

import pytest
from ansible_collections.homelab.mlops.plugins.module_utils import network

LINKS = [
    {"ifname": "lo", "addr_info": [{"local": "127.0.0.1", "prefixlen": 8, "scope": "host"}]},
    {
        "ifname": "eth0",
        "addr_info": [{"local": "10.0.0.1", "prefixlen": 24, "scope": "global"}, {"local": "fe80::1", "prefixlen": 64, "scope": "link"}],
    },
    {},
]
ROUTES = [
    {"dst": "default", "gateway": "10.0.0.254", "dev": "eth0"},
    {"dst": "10.0.0.0/24", "dev": "eth0"},
    {"type": "blackhole", "dst": "10.9.0.0/16"},
]


def test_addresses_that_others_reach():
    assert network.addresses_of(json.dumps(LINKS)) == [{"address": "10.0.0.1", "interface": "eth0"}]


def test_routes_to_networks():
    assert network.routes_of(json.dumps(ROUTES)) == [{"destination": "10.0.0.0/24", "interface": "eth0"}]


def test_a_machine_without_ip():
    assert network.addresses_of("") == network.routes_of("Object unknown") == []


def test_bound_udp_ports():
    table = "  sl  local_address rem_address   st\n  0: 00000000:2118 00000000:0000 07 0\n"
    assert network.udp_ports([table, ""]) == {8472}


@pytest.mark.parametrize(
    ("text", "on"), [("ENABLED=yes\n", True), ("# ENABLED=yes\nENABLED=no\n", False), ("LOGLEVEL=low\nENABLED=yes\n", True), ("", False)]
)
def test_ufw(text, on):
    assert network.ufw_enabled(text) is on


def test_names():
    assert "127.0.0.1" in network.resolved("localhost") or "::1" in network.resolved("localhost")
    assert network.resolved("no-such-name.invalid") == []


class Module:
    def __init__(self, answers):
        self.answers = answers

    def get_bin_path(self, name):
        return f"/sbin/{name}" if self.answers else None

    def run_command(self, command):
        return 0, self.answers.get(" ".join(command[2:]), "[]"), ""


@pytest.mark.parametrize(("state", "text", "firewall"), [("active", "", "firewalld"), ("", "ENABLED=yes", "ufw"), ("inactive", "", "")])
def test_everything_together(state, text, firewall):
    module = Module({"-4 address": json.dumps(LINKS), "-4 route": json.dumps(ROUTES)})
    found = network.network(module, lambda path: text if path == network.UFW else "", lambda _module, _unit: state, ["localhost"])
    assert found["addresses"] == [{"address": "10.0.0.1", "interface": "eth0"}]
    assert found["routes"] == [{"destination": "10.0.0.0/24", "interface": "eth0"}]
    assert (found["udp"], found["firewall"], list(found["names"])) == ([], firewall, ["localhost"])
    assert network.network(Module({}), lambda path: "", lambda _module, _unit: "", [])["addresses"] == []
