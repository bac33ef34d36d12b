# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The network of this machine: addresses, routes, open UDP ports, a firewall at work, names that it resolves."""

from __future__ import annotations

import json
import re
import socket

UFW = "/etc/ufw/ufw.conf"


def addresses_of(text):
    """Addresses and interfaces in the answer of `ip -json address`; none where it is no JSON."""
    return [
        {"address": one["local"], "interface": link.get("ifname", "")}
        for link in _items(text)
        for one in link.get("addr_info", [])
        if one.get("local") and one.get("scope") not in ("host", "link")
    ]


def routes_of(text):
    """Networks that are reached by an interface, in the answer of `ip -json route`; without the default route."""
    return [
        {"destination": one["dst"], "interface": one["dev"]}
        for one in _items(text)
        if one.get("dev") and one.get("dst", "default") != "default"
    ]


def udp_ports(tables):
    """Ports that are bound, from the texts of /proc/net/udp and udp6 (kernel: networking/proc_net_tcp, the same columns)."""
    ports = set()
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 3:
                ports.add(int(fields[1].rpartition(":")[2], 16))
    return ports


def ufw_enabled(text):
    """Whether ufw.conf (man 8 ufw-framework) says that ufw is on."""
    return bool(re.search(r"^\s*ENABLED\s*=\s*[\"']?yes\b", text, re.MULTILINE | re.IGNORECASE))


def resolved(name):
    """Addresses of a name, as the machine's own resolver answers; none when it does not know it."""
    try:
        return sorted({one[4][0] for one in socket.getaddrinfo(name, None)})
    except (OSError, UnicodeError):
        return []


def network(module, read, unit_state, names):
    """All of it. ``read`` returns a file's text, ``unit_state`` a unit's state, both empty where there is none."""
    ip = module.get_bin_path("ip")
    answers = {}
    for what in ("address", "route"):
        for family in ("-4", "-6"):
            answers[what, family] = module.run_command([ip, "-json", family, what])[1] if ip else ""
    if unit_state(module, "firewalld.service") == "active":
        firewall = "firewalld"
    else:
        firewall = "ufw" if ufw_enabled(read(UFW)) else ""
    return {
        "addresses": [one for family in ("-4", "-6") for one in addresses_of(answers["address", family])],
        "routes": [one for family in ("-4", "-6") for one in routes_of(answers["route", family])],
        "udp": sorted(udp_ports([read("/proc/net/udp"), read("/proc/net/udp6")])),
        "firewall": firewall,
        "names": {name: resolved(name) for name in names},
    }


def _items(text):
    try:
        return [one for one in json.loads(text) if one]
    except ValueError:
        return []
