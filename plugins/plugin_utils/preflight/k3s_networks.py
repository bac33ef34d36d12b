# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of pods and services: between each other, and against what the machines are in."""

from __future__ import annotations

import ipaddress

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_config import config_values, own_config

# K3s's own (docs.k3s.io, "k3s server", networking).
DEFAULTS = {"cluster-cidr": "10.42.0.0/16", "service-cidr": "10.43.0.0/16"}
# Interfaces that K3s and its pods make.
OWN_INTERFACES = ("cni", "flannel", "veth", "kube-", "lxc", "cali")


def _network(text):
    try:
        return ipaddress.ip_network(text, strict=False)
    except ValueError:
        return None


def _address(text):
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        return None


def networks(provided):
    """The networks of pods and services that the configuration of a server means, those that are none left out."""
    config = own_config(provided, True)
    return {name: [one for one in map(_network, config_values(config, name) or [default]) if one] for name, default in DEFAULTS.items()}


def _ranges(ranges):
    """Networks from the texts that facts hold."""
    return {name: [ipaddress.ip_network(one) for one in texts] for name, texts in ranges.items()}


def range_findings(host, provided):
    """What is wrong with the ranges of a server."""
    config = own_config(provided, True)
    found = []
    for name in DEFAULTS:
        for text in config_values(config, name):
            if "/" not in text or not _network(text):
                found.append(finding(host, f"{name} is no network", text, "write it as ADDRESS/BITS, such as 10.42.0.0/16"))
    if found:
        return found
    ranges = networks(provided)
    families = {}
    for name, all_of_one in ranges.items():
        families[name] = [one.version for one in all_of_one]
        if len(families[name]) != len(set(families[name])):
            text = ", ".join(map(str, all_of_one))
            found.append(finding(host, f"{name} has two networks of one kind", text, "write one of IPv4 and one of IPv6, or one alone"))
    if not found and families["cluster-cidr"] != families["service-cidr"]:
        measured = "; ".join(f"{name} {', '.join(map(str, ranges[name]))}" for name in ranges)
        fix = "give both the same kinds in the same order: IPv4, IPv6 or both"
        found.append(finding(host, "cluster-cidr and service-cidr are of different kinds", measured, fix))
    for pods in ranges["cluster-cidr"]:
        for services in ranges["service-cidr"]:
            if pods.version == services.version and pods.overlaps(services):
                fix = "set one of them in k3s_server_config to a network of its own"
                found.append(finding(host, "cluster-cidr and service-cidr overlap", f"{pods} and {services}", fix))
    for text in config_values(config, "cluster-dns"):
        address = _address(text)
        if not address:
            found.append(finding(host, "cluster-dns is no IP address", text, "write an address of service-cidr, or remove it"))
        elif not any(address in one for one in ranges["service-cidr"]):
            measured = f"{text}, service-cidr {', '.join(map(str, ranges['service-cidr']))}"
            found.append(
                finding(host, "cluster-dns is outside of service-cidr", measured, "set it to an address of service-cidr, or remove it")
            )
    return found


def machine_network_findings(host, node, ranges):
    """Networks of the cluster in which a machine already is, or to which it has a route. For machines that are no nodes yet."""
    seen = {}
    for one in node["network"].get("addresses", []):
        seen[one["address"]] = one["interface"]
    for one in node["network"].get("routes", []):
        seen[one["destination"]] = one["interface"]
    found = []
    for name, all_of_one in _ranges(ranges).items():
        for mine in all_of_one:
            for text, interface in seen.items():
                other = _network(text)
                if not other or interface.startswith(OWN_INTERFACES) or other.prefixlen == 0:
                    continue
                if other.version == mine.version and mine.overlaps(other):
                    fix = f"set {name} in k3s_server_config to a network that is free here"
                    found.append(finding(host, f"{name} {mine} is in use on this machine", f"{text} on {interface}", fix))
                    break
    return found


def family_findings(host, node, ranges):
    """A machine without an address of a kind that the cluster's networks have."""
    addresses = [_address(one["address"]) for one in node["network"].get("addresses", [])]
    kinds = {one.version for one in addresses if one and not one.is_loopback and not one.is_link_local}
    if not kinds:
        return []
    fix = "give the machine such an address, or leave that kind out of cluster-cidr and service-cidr"
    return [
        finding(host, f"no IPv{one.version} address, but cluster-cidr has that kind", str(one), fix)
        for one in _ranges(ranges)["cluster-cidr"]
        if one.version not in kinds
    ]
