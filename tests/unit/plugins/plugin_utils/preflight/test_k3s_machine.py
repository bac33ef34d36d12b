# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines as nodes of the cluster: each rule once broken, once kept."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import k3s_machine
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, SETTINGS, changed, facts

RUNS = {"k3s__server": "active", "k3s__version": "v1.34.1+k3s1"}


def judge(changes=None, server=True, settings=None, **provided):
    return k3s_machine.node_findings("node-01", changed(NODE, **(changes or {})), server, changed(SETTINGS, **(settings or {})), provided)


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {**RUNS, "listening": [6443, 10250], "network__udp": [8472]},
        {"k3s__version": "v1.33.1+k3s1"},
        {"listening": [2379, 5001]},
        {"cgroup": 1},
        {"network": {}, "disks": {}},
    ],
)
def test_machines_that_can_be_nodes(changes):
    assert judge(changes) == []


@pytest.mark.parametrize(
    ("changes", "text", "measured"),
    [
        ({"memory_bytes": 1 << 30}, "too little memory", "1024 MiB, 1900 MiB needed"),
        ({"k3s__agent": "inactive"}, "is already a K3s worker", "unit k3s-agent"),
        ({"k3s__server": "active", "k3s__version": "v1.33.1+k3s1"}, "runs another K3s than k3s_version v1.34.1+k3s1", "v1.33.1+k3s1"),
        ({"listening": [6443]}, "port 6443 is taken by another program", "in use"),
        ({"listening": [6444]}, "port 6444 is taken by another program", "in use"),
        ({"network__udp": [53, 8472]}, "UDP port 8472 is taken by another program", "in use"),
        (
            {"disks": {"/var/lib/rancher": {"folder": "/var", "readonly": True, "noexec": False}}},
            "/var/lib/rancher cannot be written",
            "/var is mounted read-only",
        ),
        (
            {"disks": {"/var/lib/rancher": {"folder": "/var/lib", "readonly": False, "noexec": True}}},
            "programs cannot run from /var/lib/rancher",
            "/var/lib is mounted noexec",
        ),
    ],
)
def test_machines_that_cannot_be_nodes(changes, text, measured):
    assert facts(judge(changes)) == [("refuse", text, measured)]


def test_a_server_is_no_worker():
    assert facts(judge(RUNS, server=False)) == [("refuse", "is already a K3s server", "unit k3s")]


def test_little_memory_is_a_note_where_it_is_installed():
    assert [one["level"] for one in judge({**RUNS, "memory_bytes": 1 << 28})] == ["note"]
    assert judge({"memory_bytes": 1 << 30}, server=False) == []


def test_swap_is_a_note():
    assert [(one["level"], one["measured"]) for one in judge({"swap_bytes": 1 << 30})] == [("note", "1024 MiB")]


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"node_name": "Node_1"}, "no valid name for a node"),
        ({"node_name": "n" * 254}, "no valid name for a node"),
        ({"token_differs": True}, "k3s_token is not this cluster's token"),
    ],
)
def test_wrong_settings_of_a_node(settings, text):
    assert [one["finding"] for one in judge(settings=settings)] == [text]


@pytest.mark.parametrize(
    ("server", "several", "provided", "ports"),
    [
        (False, False, {}, [6444, 10250]),
        (True, False, {}, [6443, 6444, 10250]),
        (True, True, {}, [2379, 2380, 6443, 6444, 10250]),
        (True, True, {"k3s_datastore_endpoint": "mysql://x"}, [6443, 6444, 10250]),
        (False, True, {"k3s_embedded_registry": True}, [5001, 6444, 10250]),
    ],
)
def test_ports_of_a_node(server, several, provided, ports):
    assert k3s_machine.wanted_ports(server, several, provided) == ports


def test_the_ports_of_etcd_are_those_of_several_servers():
    taken = {"listening": [2379, 2380]}
    assert judge(taken) == []
    assert len(judge(taken, settings={"servers": ["node-01", "b", "c"]})) == 2


def test_another_backend_needs_no_vxlan():
    assert judge({"network__udp": [8472]}, k3s_server_config={"flannel-backend": "host-gw"}) == []


@pytest.mark.parametrize(
    ("version", "cgroup", "config", "count"),
    [
        ("v1.34.1+k3s1", 1, {}, 0),
        ("v1.35.0+k3s1", 2, {}, 0),
        ("v1.35.0+k3s1", 1, {}, 1),
        ("v1.35.0+k3s1", 1, {"kubelet-arg": ["max-pods=5", "fail-cgroupv1=false"]}, 0),
        ("v1.35.0+k3s1", 1, {"kubelet-arg+": "fail-cgroupv1=true"}, 1),
    ],
)
def test_old_control_groups_and_new_kubernetes(version, cgroup, config, count):
    found = judge({"cgroup": cgroup}, settings={"k3s_version": version}, k3s_server_config=config)
    assert [one["finding"] for one in found] == ["Kubernetes 1.35 and newer need control groups v2"] * count


@pytest.mark.parametrize(
    ("text", "wrong"), [("10.0.0.1", ""), ("", ""), ("10.0.0.2", "10.0.0.2"), ("10.0.0.1,fd00::1", "fd00::1"), ("nonsense", "")]
)
def test_the_address_of_the_inventory_is_one_of_the_machine(text, wrong):
    assert [one["measured"] for one in judge(k3s_node_ip=text)] == [wrong] * bool(wrong)
    assert judge({"network__addresses": []}, k3s_node_ip=text) == []


def test_a_name_that_the_machine_does_not_know_is_a_note():
    names = {"k3s.home": [], "lb.home": ["10.0.0.9"], "https://wrong": [], "api.clearml.home": []}
    (found,) = judge({"network__names": names}, k3s_registration_address="k3s.home")
    assert (found["level"], found["measured"]) == ("note", "k3s.home")
    assert judge({"network__names": names}, k3s_registration_address="lb.home") == []
    assert judge({"network__names": names}, k3s_registration_address="https://wrong") == []


@pytest.mark.parametrize(("changes", "kind"), [({"k3s__etcd": True}, "etcd"), ({"k3s__sqlite": True}, "SQLite"), ({}, "")])
def test_data_that_another_store_would_leave_behind(changes, kind):
    found = judge({**RUNS, **changes}, k3s_datastore_endpoint="mysql://u:hunter2@h/k3s")
    assert [one["measured"] for one in found] == [kind] * bool(kind)
    assert judge({**RUNS, **changes}) == []


@pytest.mark.parametrize(("wanted", "count"), [({}, 1), ({"k3s_open_firewall": False}, 1), ({"k3s_open_firewall": True}, 0)])
def test_a_firewall_is_a_note(wanted, count):
    assert [one["level"] for one in judge({"network__firewall": "ufw"}, **wanted)] == ["note"] * count
