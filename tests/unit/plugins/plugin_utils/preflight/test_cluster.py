# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no host has alone: groups, shared names, clocks, configurations that differ."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import cluster as rules
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, changed, facts


@pytest.mark.parametrize(
    ("groups", "texts"),
    [
        ({"k3s_servers": ["a"], "k3s_workers": ["b"]}, []),
        ({}, ["group k3s_servers is missing"]),
        ({"k3s_servers": []}, ["group k3s_servers is empty"]),
        ({"k3s_servers": ["a", "b", "c"]}, []),
        ({"k3s_servers": ["a", "b"]}, []),
        ({"k3s_servers": ["a"], "k3s_workers": ["a"]}, ["is both server and worker"]),
        ({"k3s_servers": ["a"], "minio_servers": ["a"]}, []),
        ({"k3s_servers": ["a"], "minio_servers": ["m", "n"]}, ["group minio_servers has more than one host"]),
        ({"minio_servers": ["m"]}, ["group k3s_servers is missing"]),
        ({"k3s_servers": ["a"], "k3s_workers": ["b"], "clearml_agents": ["a", "b"]}, []),
    ],
)
def test_groups(groups, texts):
    found = rules.group_findings({"clearml_agents": ["z"], **groups})
    assert [(one["level"], one["finding"]) for one in found] == [("refuse", text) for text in texts]


def test_an_object_store_alone_needs_neither_servers_nor_agents():
    assert rules.group_findings({"minio_servers": ["m"]}) == []


@pytest.mark.parametrize(
    ("groups", "texts"),
    [
        ({}, ["group clearml_agents is missing: experiments will wait in the queue"]),
        ({"clearml_agents": []}, ["group clearml_agents is empty: experiments will wait in the queue"]),
        (
            {"clearml_agent": ["b"]},
            ["group clearml_agents is missing: experiments will wait in the queue", "group clearml_agent is used by no play"],
        ),
        ({"clearml_agents": ["b"], "k3s_worker": ["c"]}, ["group k3s_worker is used by no play"]),
        ({"clearml_agents": ["b"], "k3s_servers_big": ["a"], "all": ["a", "b"], "printers": ["p"]}, []),
    ],
)
def test_groups_worth_a_note(groups, texts):
    found = rules.group_findings({"k3s_servers": ["a"], **groups})
    assert [(one["level"], one["finding"]) for one in found] == [("note", text) for text in texts]


def run(hosts, groups=None, **cluster):
    """Findings of a run; a host is given as its machine, or with more beside it."""
    records = {
        name: {"node_name": name, "now": 1000.0, "facts": {}, **(one if "node" in one else {"node": one})} for name, one in hosts.items()
    }
    given = {"alive": True, "nodes": [], "servers": {}, "clock_seconds": "60", **cluster}
    return rules.run_findings(records, {"clearml_agents": ["z"], **(groups or {"k3s_servers": ["a"], "k3s_workers": ["b"]})}, given)


def other(**changes):
    """A machine that shares nothing with the first."""
    own = {
        "hostname": "other",
        "machine_id": "b" * 32,
        "address": "10.0.0.2",
        "network__addresses": [{"address": "10.0.0.2", "interface": "eth0"}],
    }
    return changed(NODE, **{**own, **changes})


def test_hosts_that_share_nothing():
    assert run({"a": NODE, "b": other(), "c": {}}) == []


@pytest.mark.parametrize(
    ("changes", "text", "value"),
    [
        ({"machine_id": NODE["machine_id"]}, "share one machine-id", NODE["machine_id"]),
        ({"hostname": "node-01"}, "share one host name", "node-01"),
        ({"address": "10.0.0.1"}, "share one node address", "10.0.0.1"),
    ],
)
def test_nodes_that_share_something(changes, text, value):
    (found,) = run({"a": NODE, "b": other(**changes)})
    assert (found["level"], found["host"], found["finding"], found["measured"]) == ("refuse", "a, b", text, value)


def test_node_names_and_addresses_count_among_nodes_only():
    hosts = {"a": {"node": NODE, "node_name": "same"}, "b": {"node": other(address="10.0.0.1"), "node_name": "same"}}
    assert {one["finding"] for one in run(hosts)} == {"share one node name", "share one node address"}
    assert run(hosts, {"k3s_servers": ["a"], "clearml_agents": ["b"]}) == []


def test_an_address_of_the_inventory_counts_for_a_node():
    hosts = {"a": NODE, "b": {"node": other(address="10.0.0.1"), "facts": {"node_ip": "10.0.0.9"}}}
    assert run(hosts) == []


THREE = {"k3s_servers": ["a", "b", "c"], "k3s_workers": ["d"]}


@pytest.mark.parametrize(
    ("epochs", "apart"), [((1000.0, 1000.0, 1000.0), ""), ((1050.0, 1000.0, 1000.0), ""), ((1050.0, 960.0, 1000.0), "90 s")]
)
def test_clocks_of_servers(epochs, apart):
    hosts = {
        name: changed(NODE, epoch=epoch, hostname=name, machine_id=name, address=f"10.0.0.{name}")
        for name, epoch in zip("abc", epochs, strict=True)
    }
    hosts["d"] = changed(NODE, epoch=5000.0, hostname="d", machine_id="d", address="10.0.0.d")
    assert [one["measured"] for one in run(hosts, THREE)] == [apart] * bool(apart)


def test_servers_that_are_configured_differently():
    def facts_of(backend):
        return {"shared": {"flannel-backend": backend}, "ranges": None, "node_ip": ""}

    hosts = {
        "a": {"node": NODE, "facts": facts_of("vxlan")},
        "b": {"node": other(), "facts": facts_of("host-gw")},
        "d": {"node": {}, "facts": facts_of("none")},
    }
    (found,) = run(hosts, THREE)
    assert (found["host"], found["measured"]) == ("a, b", "vxlan on a; host-gw on b")


RANGES = {"cluster-cidr": ["10.42.0.0/16"], "service-cidr": ["10.43.0.0/16"]}


def test_a_worker_in_the_network_of_the_pods():
    taken = {"network__addresses": [{"address": "10.42.7.1", "interface": "eth1"}]}
    facts_of = {"shared": {}, "ranges": RANGES, "node_ip": ""}
    hosts = {"a": {"node": NODE, "facts": facts_of}, "b": other(**taken)}
    assert facts(run(hosts)) == [("refuse", "cluster-cidr 10.42.0.0/16 is in use on this machine", "10.42.7.1 on eth1")]
    hosts["b"] = other(k3s__agent="active", **taken)
    assert run(hosts) == []


def test_a_server_of_the_cluster_that_the_inventory_lost():
    nodes = [
        {"name": "a", "address": "10.0.0.1", "server": True, "ready": True, "machine_id": ""},
        {"name": "old", "address": "10.0.0.8", "server": True, "ready": True, "machine_id": ""},
        {"name": "named", "address": "10.0.0.3", "server": True, "ready": True, "machine_id": ""},
        {"name": "worker", "address": "10.0.0.7", "server": False, "ready": True, "machine_id": ""},
    ]
    (found,) = run({"a": NODE}, nodes=nodes, servers={"A": "", "b": "named"})
    assert (found["level"], found["host"], found["finding"]) == ("note", "old", "is a server of the cluster and not in k3s_servers")


@pytest.mark.parametrize(
    ("node", "count"),
    [
        ({"address": "10.0.0.77"}, 1),
        ({"address": "10.0.0.77", "ready": False}, 0),
        ({"address": "10.0.0.1"}, 0),
        ({"address": "10.0.0.77", "machine_id": NODE["machine_id"]}, 0),
        ({"address": "10.0.0.77", "name": "other"}, 0),
    ],
)
def test_a_name_that_lives_elsewhere(node, count):
    living = {"name": "b", "server": False, "ready": True, "machine_id": "c" * 32, **node}
    found = run({"b": NODE}, nodes=[living])
    assert facts(found) == [("refuse", "another machine of the cluster is the node b", "10.0.0.77")] * count
    assert run({"b": changed(NODE, k3s__agent="active")}, nodes=[living]) == []


def test_a_node_keeps_the_name_by_which_it_joined():
    living = {"name": "old", "address": "10.0.0.1", "server": True, "ready": True, "machine_id": NODE["machine_id"]}
    (found,) = run({"a": changed(NODE, k3s__server="active")}, nodes=[living])
    assert (found["level"], found["host"], found["measured"]) == ("refuse", "a", "old")
    assert found["fix"].startswith("set k3s_node_name to old")
    assert run({"old": changed(NODE, k3s__server="active")}, {"k3s_servers": ["old"]}, nodes=[living]) == []
    assert run({"a": NODE}, nodes=[living]) == []


@pytest.mark.parametrize(("hosts", "alive", "count"), [(["a", "b"], False, 0), (["b"], True, 0), (["b"], False, 1)])
def test_a_run_without_servers_needs_a_living_cluster(hosts, alive, count):
    found = run(dict.fromkeys(hosts, {}), {"k3s_servers": ["a"], "clearml_agents": ["b"]}, alive=alive)
    assert [one["finding"] for one in found] == ["no server answers as a living cluster"] * count
