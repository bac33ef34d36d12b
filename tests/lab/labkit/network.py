# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An address range of its own for every lab."""

from __future__ import annotations

import ipaddress
import json
import subprocess
import zlib
from collections.abc import Iterable

from .podman import LabError, podman, podman_json

RANGE = ipaddress.ip_network("10.213.0.0/16")
FIRST_HOST = 11


def free_subnet(used: Iterable[ipaddress.IPv4Network], seed: str) -> ipaddress.IPv4Network:
    """A /24 of 10.213.0.0/16 that overlaps nothing in ``used``; the same seed gets the same one while it is free.

    Raises:
        LabError: all 256 are taken.
    """
    taken = [network for network in used if network.overlaps(RANGE)]
    candidates = list(RANGE.subnets(new_prefix=24))
    start = zlib.crc32(seed.encode()) % len(candidates)
    for subnet in candidates[start:] + candidates[:start]:
        if not any(subnet.overlaps(network) for network in taken):
            return subnet
    raise LabError(f"no free /24 left in {RANGE}: take labs down with `lab down --all`")


def used_subnets() -> list[ipaddress.IPv4Network]:
    """What podman's networks, this machine's routes and its own addresses occupy, without the default route."""
    found = []
    for network in podman_json("network", "ls", "--format", "json"):
        found += [subnet["subnet"] for subnet in network.get("subnets") or []]
    routes = json.loads(subprocess.run(["ip", "-json", "-4", "route", "show", "table", "all"], check=True, capture_output=True).stdout)
    found += [route["dst"] for route in routes if route.get("dst") not in (None, "default")]
    networks = [ipaddress.ip_network(text, strict=False) for text in found]
    return [network for network in networks if network.version == 4 and network.prefixlen > 0]


def path_mtu() -> int:
    """MTU of the interface that the default route uses; podman's own default is wrong on machines with a smaller one."""
    routes = json.loads(subprocess.run(["ip", "-json", "-4", "route", "show", "default"], check=True, capture_output=True).stdout)
    if not routes:
        return 1500
    links = json.loads(subprocess.run(["ip", "-json", "link", "show", routes[0]["dev"]], check=True, capture_output=True).stdout)
    return int(links[0]["mtu"])


def create(name: str, labels: dict[str, str], seed: str) -> ipaddress.IPv4Network:
    """Make the lab's network; the caller holds the machine-wide lock ``network``."""
    subnet = free_subnet(used_subnets(), seed)
    podman(
        "network",
        "create",
        "--disable-dns",
        "--subnet",
        str(subnet),
        "--gateway",
        str(gateway(subnet)),
        "--opt",
        f"mtu={path_mtu()}",
        *(argument for key, value in labels.items() for argument in ("--label", f"{key}={value}")),
        name,
    )
    return subnet


def gateway(subnet: ipaddress.IPv4Network) -> ipaddress.IPv4Address:
    """The lab machine's own address in the network; the artifact server listens there."""
    return subnet[1]


def address(subnet: ipaddress.IPv4Network, index: int) -> ipaddress.IPv4Address:
    """Address of the host with this place in the topology, counted from 0."""
    return subnet[FIRST_HOST + index]
