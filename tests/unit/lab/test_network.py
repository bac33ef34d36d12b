# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Free address ranges."""

import ipaddress

import pytest
from labkit import network
from labkit.podman import LabError


def ranges(*texts):
    return [ipaddress.ip_network(text) for text in texts]


def test_the_same_seed_gets_the_same_range_while_it_is_free():
    first = network.free_subnet([], "lab-x-demo")
    assert first == network.free_subnet(ranges("10.88.0.0/16", "192.168.20.0/24"), "lab-x-demo")
    assert first.subnet_of(network.RANGE)
    assert first.prefixlen == 24


def test_a_taken_range_is_passed_over():
    first = network.free_subnet([], "demo")
    second = network.free_subnet([first], "demo")
    assert not second.overlaps(first)


def test_a_single_address_inside_a_range_takes_it():
    first = network.free_subnet([], "demo")
    assert network.free_subnet(ranges(f"{first[77]}/32"), "demo") != first


def test_only_the_free_one_is_left():
    every = list(network.RANGE.subnets(new_prefix=24))
    assert network.free_subnet(every[:200] + every[201:], "demo") == every[200]


def test_a_wider_network_takes_all():
    with pytest.raises(LabError, match="no free /24 left in 10.213.0.0/16: .*lab down --all"):
        network.free_subnet(ranges("10.0.0.0/8"), "demo")


def test_addresses_stay_below_the_gateway_and_the_end():
    subnet = ipaddress.ip_network("10.213.7.0/24")
    assert str(network.gateway(subnet)) == "10.213.7.1"
    assert str(network.address(subnet, 0)) == "10.213.7.11"
    assert str(network.address(subnet, 199)) == "10.213.7.210"
