# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k3s_node: ours are kept in step, others' stay, and nobody's change is overwritten."""

from __future__ import annotations

import json

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.mlops.plugins.modules import k3s_node
from ansible_collections.homelab.mlops.tests.unit.plugins.support import modules

FOREIGN = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute", "timeAdded": "2026-01-01T00:00:00Z"}


class Kubectl:
    """Holds one node, as the API would: a merge patch for an older version of it is refused."""

    def __init__(self, labels=None, annotations=None, taints=None, missing=False):
        self.node = {"metadata": {"name": "node-01", "resourceVersion": "7", "labels": dict(labels or {})}, "spec": {}}
        if annotations:
            self.node["metadata"]["annotations"] = dict(annotations)
        if taints:
            self.node["spec"]["taints"] = list(taints)
        self.missing = missing
        self.patches = []
        self.disturb = 0

    def run(self, args, **_unused):
        assert args[:3] == ["/usr/local/bin/k3s", "kubectl", "--request-timeout=20s"]
        words = args[3:]
        if self.missing:
            return 1, "", 'Error from server (NotFound): nodes "node-01" not found\n'
        if words == ["get", "node", "node-01", "--output=json"]:
            return 0, json.dumps(self.node), ""
        assert words[:5] == ["patch", "node", "node-01", "--type=merge", "--patch"]
        patch = json.loads(words[5])
        self.patches.append(patch)
        if self.disturb:
            self.disturb -= 1
            self.node["metadata"]["resourceVersion"] += "1"
        if patch["metadata"].pop("resourceVersion") != self.node["metadata"]["resourceVersion"]:
            return 1, "", 'Operation cannot be fulfilled on nodes "node-01": the object has been modified; please apply your changes\n'
        for part in ("labels", "annotations"):
            mine = self.node["metadata"].setdefault(part, {})
            for name, value in patch["metadata"].get(part, {}).items():
                mine.pop(name, None)
                if value is not None:
                    mine[name] = value
        self.node["spec"].update(patch.get("spec", {}))
        self.node["metadata"]["resourceVersion"] += "0"
        return 0, "node/node-01 patched\n", ""


@pytest.fixture
def kubectl(monkeypatch):
    def start(**state):
        fake = Kubectl(**state)
        monkeypatch.setattr(AnsibleModule, "run_command", fake.run)
        return fake

    return start


def run(check=False, **options):
    return modules.run("k3s_node", check=check, name="node-01", **options)


def test_set_change_and_take_off_again(kubectl):
    fake = kubectl(labels={"kubernetes.io/os": "linux"}, taints=[FOREIGN])
    steps = [
        (
            {"labels": {"disk": "ssd", "gpu": True, "spare": None}, "taints": ["dedicated=ml:NoSchedule"]},
            {"disk": "ssd", "gpu": "true", "spare": ""},
            2,
        ),
        ({"labels": {"disk": "nvme"}, "taints": ["dedicated=db:NoSchedule", "old:NoExecute"]}, {"disk": "nvme"}, 3),
        ({"labels": {"disk": "nvme"}, "taints": ["dedicated:NoSchedule"]}, {"disk": "nvme"}, 2),
        ({}, {}, 1),
    ]
    for options, labels, taints in steps:
        written = len(fake.patches)
        before = json.dumps(fake.node)
        dry = run(check=True, **options)
        assert dry["changed"] and json.dumps(fake.node) == before
        assert run(**options)["changed"]
        assert len(fake.patches) == written + 1
        assert fake.node["metadata"]["labels"] == {"kubernetes.io/os": "linux", **labels}
        assert len(fake.node["spec"]["taints"]) == taints
        assert FOREIGN in fake.node["spec"]["taints"]
        again = run(**options)
        assert not again["changed"] and again["labels"] == labels
        assert len(fake.patches) == written + 1
    assert fake.node["metadata"]["annotations"] == {}


def test_the_difference_shows_ours_alone(kubectl):
    kubectl(labels={"kubernetes.io/os": "linux", "disk": "ssd"}, annotations={k3s_node.LABELS: '["disk"]'}, taints=[FOREIGN])
    outcome = run(check=True, labels={"rack": 4}, taints=["a=b:PreferNoSchedule"])
    assert outcome["diff"] == {
        "before": {"labels": {"disk": "ssd"}, "taints": []},
        "after": {"labels": {"rack": "4"}, "taints": ["a=b:PreferNoSchedule"]},
    }


def test_what_was_set_at_registration_is_only_noted(kubectl):
    fake = kubectl(labels={"disk": "ssd"}, taints=[{"key": "a", "value": "b", "effect": "NoSchedule"}])
    assert run(labels={"disk": "ssd"}, taints=["a=b:NoSchedule"])["changed"]
    assert list(fake.patches[0]) == ["metadata"] and list(fake.patches[0]["metadata"]) == ["annotations"]
    assert not run(labels={"disk": "ssd"}, taints=["a=b:NoSchedule"])["changed"]


def test_a_label_that_somebody_took_off_comes_back(kubectl):
    fake = kubectl(annotations={k3s_node.LABELS: '["disk"]'})
    assert run(labels={"disk": "ssd"})["changed"]
    assert fake.node["metadata"]["labels"] == {"disk": "ssd"}


def test_an_unreadable_note_is_written_anew(kubectl):
    fake = kubectl(labels={"disk": "ssd"}, annotations={k3s_node.LABELS: "disk"})
    assert run(labels={"disk": "ssd"})["changed"]
    assert fake.node["metadata"]["annotations"] == {k3s_node.LABELS: '["disk"]'}


def test_changes_of_others_meanwhile_are_not_overwritten(kubectl):
    fake = kubectl(taints=[FOREIGN])
    fake.disturb = 2
    assert run(taints=["a:NoSchedule"])["changed"]
    assert len(fake.patches) == 3
    fake.disturb = 99
    outcome = run(taints=["b:NoSchedule"])
    assert outcome["failed"] and "changed 5 times meanwhile" in outcome["msg"]


def test_no_such_node(kubectl):
    kubectl(missing=True)
    outcome = run(labels={"a": "b"})
    assert outcome["failed"]
    assert outcome["msg"] == 'node node-01 cannot be read: kubectl get: Error from server (NotFound): nodes "node-01" not found'


@pytest.mark.parametrize("text", ["a", "a=b", "a=b:Never", ":NoSchedule", "=b:NoSchedule"])
def test_no_taint(kubectl, text):
    fake = kubectl()
    outcome = run(taints=[text])
    assert outcome["failed"] and f"{text} is no taint" in outcome["msg"]
    assert not fake.patches
