# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k3s_drain against a cluster that answers as kubectl does, with every call that writes kept."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.mlops.plugins.module_utils.k3s import kubectl
from ansible_collections.homelab.mlops.plugins.modules import k3s_drain
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

ANNOTATION = "homelab-mlops/cordoned"


def pod(name, kind="ReplicaSet", space="default", phase="Running", labels=None, **metadata):
    owners = [{"kind": kind, "name": "owner", "controller": True}] if kind else []
    metadata.update(name=name, namespace=space, labels=labels or {"app": "web"}, ownerReferences=owners)
    return {"metadata": metadata, "status": {"phase": phase}}


def budget(name="web", allowed=0, space="default", selector=None):
    status = {"disruptionsAllowed": allowed, "currentHealthy": 2, "expectedPods": 2, "desiredHealthy": 2}
    spec = {"selector": {"matchLabels": {"app": "web"}} if selector is None else selector}
    return {"metadata": {"name": name, "namespace": space}, "spec": spec, "status": status}


class Cluster(object):
    """One node. A drain takes the pods whose names are in `leaves`; with --disable-eviction all. As kubectl does, it takes none while
    there is one without a controller, unless it is forced."""

    def __init__(self):
        self.node = {"metadata": {"name": "node-02", "annotations": {}}, "spec": {}}
        self.pods, self.budgets = [], []
        self.leaves = None
        self.refusals = []
        self.writes = []

    def __call__(self, _module, command, **_how):
        assert command[:2] == ["/usr/local/bin/k3s", "kubectl"]
        words = [word for word in command[2:] if not word.startswith("--request-timeout")]
        if self.refusals:
            return 1, "", self.refusals.pop(0)
        return getattr(self, words[0])(words[1:])

    def get(self, words):
        assert words[-1] == "--output=json"
        if words[0] == "node":
            if words[1] != self.node["metadata"]["name"]:
                return 1, "", 'Error from server (NotFound): nodes "%s" not found' % words[1]
            return 0, json.dumps(self.node), ""
        assert "--all-namespaces" in words
        if words[0] == "pods":
            assert "--field-selector=spec.nodeName=node-02" in words
            return 0, json.dumps({"items": self.pods}), ""
        assert words[0] == "poddisruptionbudgets.policy"
        return 0, json.dumps({"items": self.budgets}), ""

    def patch(self, words):
        assert words[:4] == ["node", "node-02", "--type=merge", "--patch"]
        patch = json.loads(words[4])
        self.writes.append(patch)
        for place, values in (
            (self.node["spec"], patch.get("spec", {})),
            (self.node["metadata"]["annotations"], patch["metadata"]["annotations"]),
        ):
            for key, value in values.items():
                place.pop(key, None)
                if value is not None:
                    place[key] = value
        return 0, "", ""

    def drain(self, words):
        self.writes.append(words)
        force = "--disable-eviction" in words
        if not force and not all(map(k3s_drain.controller, self.pods)):
            return 1, "", "error: unable to drain node: cannot delete Pods that declare no controller (use --force to override)\n"
        gone = [one for one in self.pods if force or self.leaves is None or one["metadata"]["name"] in self.leaves]
        self.pods = [one for one in self.pods if one not in gone]
        left = [one for one in self.pods if k3s_drain.must_go(one)]
        return (1, "", "evicting\nerror: unable to drain node: global timeout reached: 5s\n") if left else (0, "", "")


CORDON = {"metadata": {"annotations": {ANNOTATION: "true"}}, "spec": {"unschedulable": True}}
UNCORDON = {"metadata": {"annotations": {ANNOTATION: None}}, "spec": {"unschedulable": None}}
DRAIN = ["node-02", "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=600s"]


@pytest.fixture
def cluster(monkeypatch):
    one = Cluster()

    def run_command(module, command, **how):
        return one(module, command, **how)

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    monkeypatch.setattr(kubectl, "PAUSE_SECONDS", 0)
    return one


def drain(**options):
    return run("k3s_drain", **dict({"node": "node-02"}, **options))


def test_a_node_is_drained_and_comes_again(cluster):
    cluster.pods = [pod("web-1"), pod("svclb", kind="DaemonSet"), pod("done", kind="Job", phase="Succeeded")]
    cluster.leaves = ["web-1"]
    outcome = drain()
    assert (outcome["drained"], outcome["changed"], outcome["pods"], outcome["remaining"]) == (True, True, ["default/web-1"], [])
    assert cluster.writes == [CORDON, DRAIN]
    again = drain()
    assert (again["drained"], again["changed"], again["pods"]) == (True, False, [])
    assert cluster.writes == [CORDON, DRAIN]
    back = drain(state="uncordoned")
    assert (back["changed"], back["cordoned"]) == (True, False)
    assert cluster.writes[2:] == [UNCORDON]
    assert drain(state="uncordoned")["changed"] is False
    assert len(cluster.writes) == 3


def test_check_mode_tells_and_writes_nothing(cluster):
    cluster.pods = [pod("web-1"), pod("db-0", labels={"app": "db"})]
    cluster.budgets = [budget()]
    outcome = drain(check=True)
    assert (outcome["changed"], outcome["drained"], outcome["cordoned"]) == (True, False, True)
    assert outcome["pods"] == ["default/db-0", "default/web-1"]
    assert [one["pod"] for one in outcome["remaining"]] == ["default/web-1"]
    assert outcome["blocking"] == ["default/web"]
    assert cluster.writes == []
    cluster.node["spec"]["unschedulable"] = True
    cluster.node["metadata"]["annotations"][ANNOTATION] = "true"
    assert drain(check=True, state="uncordoned")["changed"] is True
    assert cluster.writes == []


def test_a_budget_that_holds_is_named_and_the_node_takes_pods_again(cluster):
    cluster.pods = [pod("web-1"), pod("db-0", labels={"app": "db"})]
    cluster.budgets = [budget(), budget("other", space="elsewhere"), budget("open", allowed=1, selector={"matchLabels": {"app": "db"}})]
    cluster.leaves = ["db-0"]
    outcome = drain(timeout_seconds=5)
    assert outcome["failed"]
    assert (outcome["drained"], outcome["cordoned"], outcome["blocking"]) == (False, False, ["default/web"])
    assert outcome["remaining"] == [
        {"pod": "default/web-1", "reason": "PodDisruptionBudget default/web allows no disruption (2 of 2 pods healthy, 2 needed)"}
    ]
    assert (
        "node-02 was not drained, after 0 of at most 5 seconds (error: unable to drain node: global timeout reached: 5s)" in outcome["msg"]
    )
    assert "it takes pods again" in outcome["msg"]
    assert cluster.writes == [CORDON, DRAIN[:3] + ["--timeout=5s"], UNCORDON]


def test_a_node_that_a_person_cordoned_stays_so(cluster):
    cluster.node["spec"]["unschedulable"] = True
    cluster.pods = [pod("web-1")]
    outcome = drain()
    assert (outcome["drained"], outcome["cordoned"], outcome["ours"]) == (True, True, False)
    back = drain(state="uncordoned")
    assert (back["changed"], back["cordoned"]) == (False, True)
    cluster.pods, cluster.budgets, cluster.leaves = [pod("web-1")], [budget()], []
    outcome = drain()
    assert outcome["failed"] and "it stays cordoned, as it was found" in outcome["msg"]
    assert cluster.writes == [DRAIN, DRAIN]


def test_a_killed_run_is_gone_on_with(cluster):
    cluster.node["spec"]["unschedulable"] = True
    cluster.node["metadata"]["annotations"][ANNOTATION] = "true"
    cluster.pods = [pod("web-1")]
    assert drain()["ours"] is True
    assert drain(state="uncordoned")["cordoned"] is False
    assert cluster.writes == [DRAIN, UNCORDON]


def test_an_annotation_of_a_run_long_ago_is_no_claim(cluster):
    cluster.node["metadata"]["annotations"][ANNOTATION] = "true"
    assert drain(state="uncordoned")["changed"] is True
    assert cluster.node == {"metadata": {"name": "node-02", "annotations": {}}, "spec": {}}


def test_proceed_tells_what_remained(cluster):
    cluster.pods, cluster.budgets, cluster.leaves = [pod("web-1")], [budget()], []
    outcome = drain(policy="proceed")
    assert (outcome["failed"], outcome["drained"], outcome["cordoned"], outcome["blocking"]) == (False, False, True, ["default/web"])
    assert len(outcome["warnings"]) == 1
    assert "default/web-1" in outcome["warnings"][0]


def test_proceed_evicts_nothing_beside_a_pod_that_nothing_brings_back(cluster):
    cluster.pods = [pod("web-1"), pod("bare", kind=None)]
    outcome = drain(policy="proceed")
    assert (outcome["failed"], outcome["drained"], outcome["cordoned"], outcome["ours"]) == (False, False, True, True)
    assert [one["pod"] for one in outcome["remaining"]] == ["default/web-1", "default/bare"]
    (warning,) = outcome["warnings"]
    assert "after 0 of at most 600 seconds" in warning and "declare no controller" in warning


def test_delete_has_an_end_too(cluster, monkeypatch):
    """A pod whose node does not end it, such as one that holds a finalizer."""
    cluster.pods, cluster.leaves = [pod("web-1", deletionTimestamp="2026-01-01T00:00:00Z")], []
    monkeypatch.setattr(cluster, "drain", lambda words: cluster.writes.append(words) or (1, "", "error: global timeout reached: 120s\n"))
    outcome = drain(policy="delete", timeout_seconds=5)
    assert outcome["failed"] and "it is ending since 2026-01-01T00:00:00Z" in outcome["msg"]
    assert [words[3] for words in cluster.writes[1:3]] == ["--timeout=5s", "--timeout=120s"]
    assert cluster.node["spec"] == {} and "it takes pods again" in outcome["msg"]


def test_delete_deletes_what_no_eviction_took(cluster):
    cluster.pods, cluster.budgets, cluster.leaves = [pod("web-1"), pod("bare", kind=None)], [budget()], []
    outcome = drain(policy="delete")
    assert (outcome["failed"], outcome["drained"], outcome["remaining"]) == (False, True, [])
    assert cluster.writes[1:] == [DRAIN, DRAIN[:3] + ["--timeout=120s", "--force", "--disable-eviction"]]


def test_pods_that_nothing_brings_back_are_refused_before_anything(cluster):
    cluster.pods = [pod("web-1"), pod("bare", kind=None)]
    outcome = drain()
    assert outcome["failed"]
    assert outcome["remaining"] == [{"pod": "default/bare", "reason": "it has no controller that would bring it back"}]
    assert "nothing was evicted" in outcome["msg"]
    assert cluster.writes == []


@pytest.mark.parametrize(
    ("one", "goes"),
    [
        (pod("a"), True),
        (pod("a", kind=None), True),
        (pod("a", kind="DaemonSet"), False),
        (pod("a", phase="Failed"), False),
        (pod("a", annotations={"kubernetes.io/config.mirror": "x"}), False),
    ],
)
def test_which_pods_have_to_go(one, goes):
    assert k3s_drain.must_go(one) is goes


@pytest.mark.parametrize(
    ("selector", "matches"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "web"}}, True),
        ({"matchLabels": {"app": "db"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["web", "db"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["web"]}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "NotIn", "values": ["x"]}]}, True),
        ({"matchExpressions": [{"key": "tier", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "tier", "operator": "DoesNotExist"}]}, True),
        ({"matchLabels": {"app": "web"}, "matchExpressions": [{"key": "app", "operator": "Exists"}]}, True),
    ],
)
def test_label_selectors(selector, matches):
    assert k3s_drain.selects(selector, {"app": "web"}) is matches


def test_reasons(cluster):
    pods = [pod("ending", deletionTimestamp="2026-11-21T10:00:00Z"), pod("two"), pod("slow", labels={"app": "none"})]
    remaining, blocking = k3s_drain.judged(pods, [budget("a", allowed=1), budget("b", allowed=1)])
    assert [one["reason"] for one in remaining] == [
        "it is ending since 2026-11-21T10:00:00Z",
        "more than one PodDisruptionBudget selects it: default/a, default/b",
        "its eviction did not finish",
    ]
    assert blocking == ["default/a", "default/b"]


def test_an_api_that_restarts_is_asked_again(cluster):
    cluster.refusals = ["The connection to the server 127.0.0.1:6443 was refused - did you specify the right host or port?"] * 2
    assert drain(state="uncordoned")["changed"] is False


def test_errors_are_told(cluster):
    cluster.refusals = ["Error from server (Forbidden): nodes is forbidden"]
    assert drain()["msg"] == "node-02: kubectl get: Error from server (Forbidden): nodes is forbidden"
    cluster.refusals = ["dial tcp: connection refused"] * 5
    assert drain()["msg"] == "node-02: kubectl get: dial tcp: connection refused"
    assert run("k3s_drain", node="node-09")["msg"] == "the cluster has no node node-09: look at `k3s kubectl get nodes`"
    assert drain(timeout_seconds=0)["msg"] == "timeout_seconds must be above 0"
