# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What k3s_removal_info makes of the cluster's answers: quorum, members that stayed behind, volumes of one node."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.supervisor import Supervisor
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

HOSTNAME = "kubernetes.io/hostname"


def node(name, ready=True, member=None, server=True, hostname=None):
    labels = {HOSTNAME: hostname or name}
    if server:
        labels["node-role.kubernetes.io/control-plane"] = "true"
    annotations = {"etcd.k3s.cattle.io/node-name": member} if member else {}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": annotations},
        "status": {"conditions": [{"type": "Ready", "status": "True" if ready else "Unknown"}]},
    }


def volume(name, hosts, claim=None, terms=None):
    expression = {"key": HOSTNAME, "operator": "In", "values": hosts}
    spec = {
        "capacity": {"storage": "5Gi"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": terms or [{"matchExpressions": [expression]}]}},
    }
    if claim:
        spec["claimRef"] = {"namespace": "clearml", "name": claim}
    return {"metadata": {"name": name}, "spec": spec}


class Cluster(object):
    def __init__(self):
        self.nodes, self.volumes, self.secrets, self.members = [], [], [], None

    def command(self, _module, words, **_how):
        words = [word for word in words[2:] if not word.startswith("--request-timeout")]
        assert words[0] == "get" and words[-1] == "--output=json"
        if words[1] == "nodes":
            return 0, json.dumps({"items": self.nodes}), ""
        if words[1] == "persistentvolumes":
            return 0, json.dumps({"items": self.volumes}), ""
        assert words[1:3] == ["secret", "--namespace=kube-system"]
        if words[3] in self.secrets:
            return 0, "{}", ""
        return 1, "", 'Error from server (NotFound): secrets "%s" not found' % words[3]


@pytest.fixture
def cluster(monkeypatch):
    one = Cluster()

    def run_command(module, words, **how):
        return one.command(module, words, **how)

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    monkeypatch.setattr(Supervisor, "members", lambda _self: one.members)
    return one


def look(name):
    outcome = run("k3s_removal_info", node=name)
    assert not outcome["failed"] and not outcome["changed"]
    return outcome


def of_three(cluster, ready=(True, True, True)):
    names = ["node-01", "node-02", "node-03"]
    cluster.nodes = [node(name, up, "%s-aaaa000%d" % (name, at)) for at, (name, up) in enumerate(zip(names, ready))]
    cluster.members = [{"name": "%s-aaaa000%d" % (name, at)} for at, name in enumerate(names)]


def test_a_worker(cluster):
    cluster.nodes = [node("node-01"), node("node-04", server=False)]
    cluster.secrets = ["node-04.node-password.k3s"]
    found = look("node-04")
    assert found["present"] and found["ready"] and not found["server"] and found["servers"] == ["node-01"]
    assert found["secret"] and found["members"] == [] and found["quorum"] and found["voters"] == 0 and found["volumes"] == []


def test_a_node_that_is_not_there(cluster):
    cluster.nodes = [node("node-01")]
    found = look("node-04")
    assert not found["present"] and not found["ready"] and not found["secret"] and found["members"] == []


@pytest.mark.parametrize(
    ("ready", "quorum", "away"),
    [
        ((True, True, True), True, []),
        ((True, True, False), True, []),
        ((False, True, True), False, ["node-01"]),
        ((False, False, True), False, ["node-01", "node-02"]),
    ],
)
def test_quorum_without_the_third_of_three(cluster, ready, quorum, away):
    of_three(cluster, ready)
    found = look("node-03")
    assert found["members"] == ["node-03-aaaa0002"] and found["voters"] == 2
    assert found["quorum"] is quorum and found["voters_away"] == away


def test_learners_do_not_count_and_members_without_a_node_do(cluster):
    of_three(cluster)
    cluster.members += [{"name": "node-05-bbbb0000", "isLearner": True}, {"name": "node-09-cccc0000"}]
    found = look("node-03")
    assert found["voters"] == 3 and found["voters_ready"] == 2 and found["voters_away"] == ["node-09-cccc0000"] and found["quorum"]


def test_a_member_that_its_node_left_behind_is_found(cluster):
    of_three(cluster)
    gone = cluster.nodes.pop()
    found = look("node-03")
    assert not found["present"] and found["members"] == ["node-03-aaaa0002"] and found["voters"] == 2
    cluster.members.pop()
    assert look("node-03")["members"] == []
    cluster.nodes.append(gone)
    assert look("node-03")["members"] == []


@pytest.mark.parametrize("there", [True, False])
def test_all_members_that_earlier_installations_left_behind_are_named(cluster, there):
    of_three(cluster)
    cluster.members += [{"name": "node-03-bbbb0000"}, {"name": "node-03-cccc0000", "isLearner": True}, {}]
    if not there:
        cluster.nodes.pop()
    found = look("node-03")
    assert found["members"] == ["node-03-aaaa0002", "node-03-bbbb0000", "node-03-cccc0000"]
    assert found["voters"] == 3 and found["voters_away"] == ["a member without a name"] and found["quorum"]


def test_a_member_that_is_not_named_after_its_node(cluster):
    cluster.nodes = [node("node-01", member="node-01-aaaa0000"), node("node-03", member="host-of-old-bbbb0000")]
    cluster.members = [{"name": "node-01-aaaa0000"}, {"name": "host-of-old-bbbb0000"}]
    assert look("node-03")["members"] == ["host-of-old-bbbb0000"]


def test_the_member_of_a_node_with_a_longer_name_is_not_taken(cluster):
    cluster.nodes = [node("node", member="node-aaaa0001"), node("node-03", member="node-03-aaaa0002")]
    cluster.members = [{"name": "node-aaaa0001"}, {"name": "node-03-aaaa0002"}]
    assert look("node-0")["members"] == []
    assert look("node")["members"] == ["node-aaaa0001"]


def test_volumes_that_only_this_node_has(cluster):
    cluster.nodes = [node("node-01"), node("node-04", server=False, hostname="four.lan")]
    both = [
        {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": ["four.lan"]}]},
        {"matchExpressions": [{"key": HOSTNAME, "operator": "In", "values": ["node-01"]}]},
    ]
    cluster.volumes = [
        volume("pv-1", ["four.lan"], "data-mongodb-0"),
        volume("pv-2", ["node-01"], "data-redis-0"),
        volume("pv-3", ["four.lan", "node-01"], "shared"),
        volume("pv-4", ["four.lan"]),
        volume("pv-5", [], "either", both),
        {"metadata": {"name": "nfs"}, "spec": {"claimRef": {"namespace": "a", "name": "b"}}},
    ]
    assert look("node-04")["volumes"] == ["clearml/data-mongodb-0 (5Gi)", "pv-4 (5Gi)"]


def test_no_answer_is_an_error(cluster, monkeypatch):
    monkeypatch.setattr(AnsibleModule, "run_command", lambda *_all, **_how: (1, "", "error: You must be logged in"))
    outcome = run("k3s_removal_info", node="node-04")
    assert outcome["failed"] and "must be logged in" in outcome["msg"]
