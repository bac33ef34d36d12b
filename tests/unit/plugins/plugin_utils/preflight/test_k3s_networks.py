# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks of pods and services: between each other, and against what machines are in."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import k3s_networks
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, changed, facts


def judge(**config):
    provided = {"k3s_server_config": {name.replace("_", "-"): value for name, value in config.items()}}
    return [(one["finding"], one["measured"]) for one in k3s_networks.range_findings("node-01", provided)]


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"cluster_cidr": "10.50.0.0/16", "service_cidr": "10.51.0.0/16", "cluster_dns": "10.51.0.10"},
        {"cluster_cidr": "10.42.0.0/16,fd00:42::/56", "service_cidr": "10.43.0.0/16,fd00:43::/112"},
        {"cluster_cidr": ["fd00:42::/56"], "service_cidr": ["fd00:43::/112"], "cluster_dns": "fd00:43::10"},
    ],
)
def test_networks_that_go_together(config):
    assert judge(**config) == []


@pytest.mark.parametrize(
    ("config", "text", "measured"),
    [
        ({"cluster_cidr": "10.50.0/16"}, "cluster-cidr is no network", "10.50.0/16"),
        ({"service_cidr": "10.50.0.0"}, "service-cidr is no network", "10.50.0.0"),
        ({"cluster_cidr": "10.50.0.0/16,10.51.0.0/16"}, "cluster-cidr has two networks of one kind", "10.50.0.0/16, 10.51.0.0/16"),
        (
            {"cluster_cidr": "10.42.0.0/16,fd00:42::/56"},
            "cluster-cidr and service-cidr are of different kinds",
            "cluster-cidr 10.42.0.0/16, fd00:42::/56; service-cidr 10.43.0.0/16",
        ),
        ({"cluster_cidr": "10.43.0.0/17"}, "cluster-cidr and service-cidr overlap", "10.43.0.0/17 and 10.43.0.0/16"),
        ({"cluster_cidr": "10.0.0.0/8"}, "cluster-cidr and service-cidr overlap", "10.0.0.0/8 and 10.43.0.0/16"),
        ({"cluster_dns": "10.43.0"}, "cluster-dns is no IP address", "10.43.0"),
        ({"cluster_dns": "10.53.0.10"}, "cluster-dns is outside of service-cidr", "10.53.0.10, service-cidr 10.43.0.0/16"),
    ],
)
def test_networks_that_do_not_go_together(config, text, measured):
    assert judge(**config) == [(text, measured)]


RANGES = {"cluster-cidr": ["192.168.0.0/16"], "service-cidr": ["10.43.0.0/16"]}


@pytest.mark.parametrize(
    ("address", "destination", "interface", "measured"),
    [
        ("192.168.1.5", "192.168.1.0/24", "eth0", "192.168.1.5 on eth0"),
        ("10.0.0.1", "192.168.7.0/24", "wg0", "192.168.7.0/24 on wg0"),
        ("10.0.0.1", "192.0.0.0/8", "eth0", "192.0.0.0/8 on eth0"),
        ("10.0.0.1", "192.168.7.0/24", "flannel.1", ""),
        ("192.168.0.1", "10.0.0.0/24", "cni0", ""),
        ("10.0.0.1", "10.0.0.0/24", "eth0", ""),
        ("fd00::1", "fd00::/64", "eth0", ""),
    ],
)
def test_a_network_that_a_machine_is_in_already(address, destination, interface, measured):
    node = changed(
        NODE,
        network__addresses=[{"address": address, "interface": interface}],
        network__routes=[{"destination": destination, "interface": interface}],
    )
    wanted = [("refuse", "cluster-cidr 192.168.0.0/16 is in use on this machine", measured)] if measured else []
    assert facts(k3s_networks.machine_network_findings("node-01", node, RANGES)) == wanted


def test_both_kinds_of_network_need_both_kinds_of_address():
    both = {"cluster-cidr": ["10.42.0.0/16", "fd00:42::/56"], "service-cidr": []}
    found = k3s_networks.family_findings("node-01", NODE, both)
    assert facts(found) == [("refuse", "no IPv6 address, but cluster-cidr has that kind", "fd00:42::/56")]
    more = changed(NODE, network__addresses=[{"address": "10.0.0.1", "interface": "eth0"}, {"address": "fd00::1", "interface": "eth0"}])
    assert k3s_networks.family_findings("node-01", more, both) == []
    assert k3s_networks.family_findings("node-01", changed(NODE, network__addresses=[]), both) == []


def test_the_networks_of_a_configuration():
    provided = {"k3s_server_config": {"cluster-cidr": "10.50.0.0/16,nonsense"}}
    assert {name: list(map(str, found)) for name, found in k3s_networks.networks(provided).items()} == {
        "cluster-cidr": ["10.50.0.0/16"],
        "service-cidr": ["10.43.0.0/16"],
    }
