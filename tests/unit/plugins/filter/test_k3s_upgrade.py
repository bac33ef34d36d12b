# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The plan of an upgrade: states of nodes, and everything that is refused before a node is touched."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.filter.k3s_upgrade import k3s_upgrade_plan, k3s_upgrade_table

OLD, NEW = "v1.33.5+k3s1", "v1.34.2+k3s1"
SERVERS, WORKERS = ["node-01", "node-02", "node-03"], ["node-04"]


def node(name, version=OLD, server=True, ready=True, voter=True):
    return {"name": name, "version": version, "server": server, "ready": ready, "etcd_voter": server and voter}


def probe(version=OLD, server=True):
    return {"k3s": {"version": version, "server": "active" if server else "", "agent": "" if server else "active", "etcd": server}}


class Cluster:
    """Three servers and a worker, all at the old release and well; tests change what they are about."""

    def __init__(self):
        self.nodes = {name: node(name, server=name in SERVERS) for name in [*SERVERS, *WORKERS]}
        self.probes = {name: probe(server=name in SERVERS) for name in [*SERVERS, *WORKERS]}
        self.run = [*SERVERS, *WORKERS]
        self.target = NEW
        self.targets = None

    def at(self, version, *names):
        for name in names:
            self.nodes[name]["version"] = self.probes[name]["k3s"]["version"] = version

    def plan(self):
        names = {name: name for name in [*SERVERS, *WORKERS]}
        targets = self.targets or dict.fromkeys(self.run, self.target)
        return k3s_upgrade_plan(list(self.nodes.values()), self.target, SERVERS, WORKERS, names, self.probes, self.run, targets)

    def states(self):
        return [row["state"] for row in self.plan()["rows"]]


@pytest.fixture
def cluster():
    return Cluster()


def test_all_are_old(cluster):
    plan = cluster.plan()
    assert cluster.states() == ["old"] * 4
    assert plan["rows"][3] == {"host": "node-04", "node": "node-04", "role": "worker", "from": OLD, "to": NEW, "state": "old"}
    assert (plan["refusals"], plan["notes"], plan["begun"], plan["work"]) == ([], [], False, True)


def test_all_are_done(cluster):
    cluster.at(NEW, *SERVERS, *WORKERS)
    plan = cluster.plan()
    assert cluster.states() == ["done"] * 4
    assert (plan["refusals"], plan["work"]) == ([], False)


def test_a_killed_run_is_gone_on_with(cluster):
    cluster.at(NEW, "node-01")
    cluster.probes["node-02"]["k3s"]["version"] = NEW
    cluster.nodes["node-02"].update(ready=False, etcd_voter=False)
    plan = cluster.plan()
    assert cluster.states() == ["done", "begun", "old", "old"]
    assert (plan["refusals"], plan["begun"], plan["work"]) == ([], True, True)


def test_a_node_that_lost_its_readiness_at_the_new_release_is_looked_at_again(cluster):
    cluster.at(NEW, *SERVERS, *WORKERS)
    cluster.nodes["node-04"]["ready"] = False
    assert cluster.states() == ["done", "done", "done", "begun"]


@pytest.mark.parametrize(
    ("target", "word"),
    [
        ("v1.33.4+k3s1", "is older; going back takes the restore of a snapshot: set k3s_version to v1.33.5+k3s1 or newer"),
        ("v1.33.5-rc1+k3s1", "is older"),
        ("v1.35.0+k3s1", "skips a minor release: upgrade to a release of v1.34 first"),
        ("v2.0.0+k3s1", "skips a minor release"),
    ],
)
def test_steps_that_are_refused(cluster, target, word):
    cluster.target = target
    refusals = cluster.plan()["refusals"]
    assert len(refusals) == 4
    assert all(word in text for text in refusals)


@pytest.mark.parametrize("target", ["v1.33.5+k3s1", "v1.33.5+k3s2", "v1.33.6-rc1+k3s1", "v1.34.0+k3s1"])
def test_steps_that_are_allowed(cluster, target):
    cluster.target = target
    assert cluster.plan()["refusals"] == []


def test_a_release_that_was_begun_is_not_given_up_for_an_older_one(cluster):
    cluster.probes["node-01"]["k3s"]["version"] = "v1.34.3+k3s1"
    assert cluster.plan()["refusals"] == [
        "node-01: has K3s v1.34.3+k3s1, and v1.34.2+k3s1 is older; going back takes the restore of a snapshot: "
        "set k3s_version to v1.34.3+k3s1 or newer"
    ]


@pytest.mark.parametrize("target", ["1.34.2+k3s1", "v1.34.2", "v1.34+k3s1", "stable", ""])
def test_no_release(cluster, target):
    cluster.target = target
    assert "is no release of K3s" in cluster.plan()["refusals"][0]


def test_servers_have_to_be_there_and_well(cluster):
    del cluster.probes["node-01"]
    cluster.nodes["node-02"]["ready"] = False
    cluster.nodes["node-03"]["etcd_voter"] = False
    texts = cluster.plan()["refusals"]
    assert [text.split(":")[0] for text in texts] == SERVERS
    assert ["does not answer" in texts[0], "is not ready" in texts[1], "not a voting member" in texts[2]] == [True] * 3


def test_a_server_that_never_joined(cluster):
    cluster.probes["node-03"] = {"k3s": {"version": "", "server": "", "agent": ""}}
    del cluster.nodes["node-03"]
    assert "is not in the cluster: run site.yml first" in cluster.plan()["refusals"][0]


def test_workers_that_are_away_or_new_are_noted(cluster):
    del cluster.probes["node-04"]
    plan = cluster.plan()
    assert (plan["rows"][3]["state"], plan["refusals"]) == ("absent", [])
    assert plan["notes"] == ["node-04: does not answer and stays at v1.33.5+k3s1: start it and run again"]
    cluster.nodes["node-04"]["version"] = NEW
    assert cluster.plan()["notes"] == ["node-04: does not answer and had v1.34.2+k3s1 when it was last seen: start it and run again"]
    cluster.probes["node-04"] = {"k3s": {"version": "", "server": "", "agent": ""}}
    del cluster.nodes["node-04"]
    assert cluster.plan()["notes"] == ["node-04: is not in the cluster and is left out: run site.yml for it"]


def test_workers_never_before_servers(cluster):
    cluster.run = ["node-04"]
    cluster.at(NEW, "node-01", "node-02")
    assert cluster.plan()["refusals"] == [
        "node-04: workers must not be newer than a server: upgrade node-03 to v1.34.2+k3s1 first, or run without --limit"
    ]
    cluster.at(NEW, "node-03")
    assert cluster.plan()["refusals"] == []


def test_a_run_for_servers_alone_leaves_workers(cluster):
    cluster.run = ["node-02"]
    cluster.probes.pop("node-04")
    plan = cluster.plan()
    assert cluster.states() == ["old", "old", "old", "left"]
    assert plan["refusals"] == []


def test_nodes_outside_the_inventory(cluster):
    cluster.nodes["other"] = node("other")
    cluster.nodes["guest"] = node("guest", server=False)
    plan = cluster.plan()
    assert plan["refusals"] == ["other: is a server of this cluster with K3s v1.33.5+k3s1: put it into k3s_servers"]
    assert plan["notes"] == ["guest: is a node of this cluster, but not in the inventory, and stays at v1.33.5+k3s1"]


def test_one_release_for_all(cluster):
    cluster.targets = {"node-01": NEW, "node-02": OLD}
    assert cluster.plan()["refusals"] == ["k3s_version differs between hosts (v1.33.5+k3s1, v1.34.2+k3s1): set it once, in group_vars/all"]


def test_the_table():
    rows = [{"host": "node-01", "took": "40 s"}, {"host": "n", "took": ""}]
    assert k3s_upgrade_table(rows, ["host", "took"]) == "host    | took\nnode-01 | 40 s\nn       |"
