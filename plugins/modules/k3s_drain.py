#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_drain
short_description: Take the pods off a node of a K3s cluster, and let them come again
version_added: 0.1.0
description:
  - Cordons a node and evicts its pods, in a bounded time and as far as PodDisruptionBudgets allow.
  - Says truly what became of it. What remains on the node is read from the API afterwards, with the PodDisruptionBudgets that hold it.
  - A node that this module cordoned carries an annotation. Only such a node is uncordoned, so one that a person cordoned stays so,
    also when a run was killed in between.
  - It calls C(k3s kubectl), so it runs on a machine with a K3s server.
author:
  - homelab.mlops contributors (@homelab-mlops)
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
options:
  node:
    description: Name of the node.
    type: str
    required: true
  state:
    description:
      - V(drained) cordons the node and evicts all pods but those of DaemonSets, static ones and those that have ended.
      - V(uncordoned) lets pods come again, on a node that this module cordoned.
    type: str
    choices: [drained, uncordoned]
    default: drained
  timeout_seconds:
    description: How long the eviction may take.
    type: int
    default: 600
  policy:
    description:
      - What to do when pods remain after O(timeout_seconds), or when pods have no controller that would bring them back.
      - V(stop) fails. The node is uncordoned again if this module cordoned it.
      - V(proceed) succeeds with a warning. The node stays cordoned and RV(drained) is false. With pods that have no controller nothing is
        evicted.
      - V(delete) deletes the pods that remain, against their PodDisruptionBudgets. Pods without a controller are gone for good.
    type: str
    choices: [stop, proceed, delete]
    default: stop
  annotation:
    description: Annotation of the Node that tells who cordoned it.
    type: str
    default: homelab-mlops/cordoned
"""

EXAMPLES = r"""
- name: Take the pods off a node
  homelab.mlops.k3s_drain:
    node: node-02
    timeout_seconds: 300
  delegate_to: node-01

- name: Let pods come again
  homelab.mlops.k3s_drain:
    node: node-02
    state: uncordoned
  delegate_to: node-01
"""

RETURN = r"""
drained:
  description: Whether none of the pods that had to go is left on the node.
  returned: with O(state=drained)
  type: bool
cordoned:
  description: Whether the node is cordoned.
  returned: success
  type: bool
ours:
  description: Whether it is this module that cordoned it.
  returned: success
  type: bool
pods:
  description: The pods that had to go, as namespace and name. In check mode those that would.
  returned: with O(state=drained)
  type: list
  elements: str
  sample: [default/web-5d9c7]
remaining:
  description: The pods that are still there, each with the reason. In check mode what would hold now.
  returned: with O(state=drained)
  type: list
  elements: dict
  contains:
    pod:
      description: Namespace and name.
      type: str
    reason:
      description: Why it is still there.
      type: str
blocking:
  description: PodDisruptionBudgets that allow no disruption of a pod that remains, as namespace and name.
  returned: with O(state=drained)
  type: list
  elements: str
  sample: [default/web]
seconds:
  description: How long the eviction took.
  returned: with O(state=drained)
  type: float
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.kubectl import Kubectl, KubectlError, NotFound

# How long pods that are deleted in spite of their budgets may take to end.
FORCED_SECONDS = 120


def name_of(thing):
    """Namespace and name of an object."""
    return "%s/%s" % (thing["metadata"].get("namespace", "default"), thing["metadata"]["name"])


def controller(pod):
    """Kind of the controller that owns a pod; empty when nothing would bring it back."""
    owners = pod["metadata"].get("ownerReferences") or []
    return next((owner["kind"] for owner in owners if owner.get("controller")), "")


def must_go(pod):
    """Whether a drain has to take a pod away: not one of a DaemonSet, not a static one, not one that has ended."""
    if "kubernetes.io/config.mirror" in (pod["metadata"].get("annotations") or {}):
        return False
    return controller(pod) != "DaemonSet" and pod.get("status", {}).get("phase") not in ("Succeeded", "Failed")


def selects(selector, labels):
    """Whether a label selector (Kubernetes: meta/v1 LabelSelector) matches. None matches nothing, an empty one everything."""
    if selector is None:
        return False
    if any(labels.get(key) != value for key, value in (selector.get("matchLabels") or {}).items()):
        return False
    for one in selector.get("matchExpressions") or []:
        there = one["key"] in labels
        among = there and labels[one["key"]] in (one.get("values") or [])
        if not {"In": among, "NotIn": not among, "Exists": there, "DoesNotExist": not there}[one["operator"]]:
            return False
    return True


def budgets_of(pod, budgets):
    """The PodDisruptionBudgets that watch over a pod."""
    labels = pod["metadata"].get("labels") or {}
    space = pod["metadata"].get("namespace")
    return [one for one in budgets if one["metadata"].get("namespace") == space and selects(one["spec"].get("selector"), labels)]


def judged(pods, budgets):
    """For pods that are still there: each with the reason, and the names of the budgets that hold them."""
    remaining, blocking = [], []
    for pod in pods:
        mine = budgets_of(pod, budgets)
        held = [one for one in mine if one.get("status", {}).get("disruptionsAllowed", 0) < 1]
        if pod["metadata"].get("deletionTimestamp"):
            reason = "it is ending since %s" % pod["metadata"]["deletionTimestamp"]
        elif not controller(pod):
            reason = "it has no controller that would bring it back"
        elif held:
            reason = "; ".join(
                "PodDisruptionBudget %s allows no disruption (%d of %d pods healthy, %d needed)"
                % (
                    name_of(one),
                    one.get("status", {}).get("currentHealthy", 0),
                    one.get("status", {}).get("expectedPods", 0),
                    one.get("status", {}).get("desiredHealthy", 0),
                )
                for one in held
            )
            blocking += [name_of(one) for one in held]
        elif len(mine) > 1:
            reason = "more than one PodDisruptionBudget selects it: %s" % ", ".join(map(name_of, mine))
            blocking += [name_of(one) for one in mine]
        else:
            reason = "its eviction did not finish"
        remaining.append({"pod": name_of(pod), "reason": reason})
    return remaining, sorted(set(blocking))


def told(remaining):
    """What remains, as words for a person."""
    return "; ".join("%s: %s" % (one["pod"], one["reason"]) for one in remaining)


class Drain(object):
    """One node and what becomes of it."""

    def __init__(self, module, kubectl):
        self.module = module
        self.kubectl = kubectl
        self.name = module.params["node"]
        self.annotation = module.params["annotation"]
        node = kubectl.node(self.name)
        self.cordoned = bool(node.get("spec", {}).get("unschedulable"))
        self.annotated = self.annotation in (node["metadata"].get("annotations") or {})

    @property
    def ours(self):
        """An annotation on a node that a person uncordoned since says nothing any more."""
        return self.cordoned and self.annotated

    def state(self, pods=()):
        return {"cordoned": self.cordoned, "annotated": self.annotated, "pods": sorted(map(name_of, pods))}

    def cordon(self):
        if self.cordoned:
            return
        self.kubectl.patch_node(self.name, {"metadata": {"annotations": {self.annotation: "true"}}, "spec": {"unschedulable": True}})
        self.cordoned = self.annotated = True

    def uncordon(self):
        """Makes the node schedulable again if it was cordoned here, and removes the annotation in the same step."""
        patch = {"metadata": {"annotations": {self.annotation: None}}}
        if self.ours:
            patch["spec"] = {"unschedulable": None}
        self.kubectl.patch_node(self.name, patch)
        self.cordoned, self.annotated = self.cordoned and not self.ours, False

    def pods(self):
        """The pods that have to go and are there."""
        items = self.kubectl.read("pods", "--all-namespaces", "--field-selector=spec.nodeName=%s" % self.name)["items"]
        return [pod for pod in items if must_go(pod)]

    def budgets(self):
        return self.kubectl.read("poddisruptionbudgets.policy", "--all-namespaces")["items"]

    def evict(self, seconds, *options):
        """`kubectl drain`, which tries again while a budget refuses; what it said when it did not finish.

        Its exit status decides nothing: what is left on the node is read afterwards.
        """
        words = ["drain", self.name, "--ignore-daemonsets", "--delete-emptydir-data", "--timeout=%ds" % seconds]
        rc, _out, err = self.kubectl.once(*(words + list(options)))
        lines = [line for line in err.splitlines() if line.startswith("error:")]
        return "" if rc == 0 else " ".join((lines or err.splitlines() or ["exit status %d" % rc])[-1].split())

    def drained(self):
        policy, seconds = self.module.params["policy"], self.module.params["timeout_seconds"]
        first = self.pods()
        before = self.state(first)
        orphans = [pod for pod in first if not controller(pod)]
        if self.module.check_mode:
            remaining, blocking = judged(first, self.budgets() if first else [])
            held = [one for one in remaining if one["reason"] != "its eviction did not finish"]
            after = {"cordoned": True, "annotated": self.annotated or not self.cordoned, "pods": []}
            return self.result(before, after, first, held, blocking, 0.0, not held or policy == "delete")
        if orphans and policy == "stop":
            remaining, _unused = judged(orphans, [])
            self.stop("was not drained, nothing was evicted", remaining, [], "delete these pods yourself, or set the policy to delete")
        self.cordon()
        started = time.monotonic()
        left = self.pods()  # anew: one more may have come until the node was cordoned
        said = self.evict(seconds) if left else ""
        left = self.pods() if left else []
        if left and policy == "delete":
            said = self.evict(FORCED_SECONDS, "--force", "--disable-eviction")
            left = self.pods()
        remaining, blocking = judged(left, self.budgets() if left else [])
        if left and policy != "proceed":
            why = self.failed(said, time.monotonic() - started)
            fix = "let the budget allow a disruption" if blocking else "see what holds these pods"
            self.stop(why, remaining, blocking, "%s, then run again" % fix)
        if left:
            why = self.failed(said, time.monotonic() - started)
            self.module.warn("%s %s; it stays cordoned. %s" % (self.name, why, told(remaining)))
        return self.result(before, self.state(left), first, remaining, blocking, time.monotonic() - started, not left)

    def failed(self, said, seconds):
        """What became of a drain that left pods behind: kubectl may have given up at once."""
        limit = self.module.params["timeout_seconds"]
        return "was not drained, after %d of at most %d seconds%s" % (seconds, limit, " (%s)" % said if said else "")

    def stop(self, why, remaining, blocking, fix):
        """Fails, with the node as it was before."""
        if self.ours:
            self.uncordon()
        state = "it stays cordoned, as it was found" if self.cordoned else "it takes pods again"
        self.module.fail_json(
            msg="%s %s; %s. %s. Fix: %s" % (self.name, why, state, told(remaining), fix),
            drained=False,
            cordoned=self.cordoned,
            ours=self.ours,
            remaining=remaining,
            blocking=blocking,
        )

    def result(self, before, after, pods, remaining, blocking, seconds, done):
        return dict(
            difference(before, after),
            drained=done,
            cordoned=after["cordoned"],
            ours=after["cordoned"] and after["annotated"],
            pods=sorted(map(name_of, pods)),
            remaining=remaining,
            blocking=blocking,
            seconds=round(seconds, 1),
        )

    def uncordoned(self):
        before = self.state()
        after = dict(before, cordoned=self.cordoned and not self.ours, annotated=False)
        if self.annotated and not self.module.check_mode:
            self.uncordon()
        return dict(difference(before, after), cordoned=after["cordoned"], ours=False)


def main():
    module = AnsibleModule(
        argument_spec={
            "node": {"type": "str", "required": True},
            "state": {"type": "str", "choices": ["drained", "uncordoned"], "default": "drained"},
            "timeout_seconds": {"type": "int", "default": 600},
            "policy": {"type": "str", "choices": ["stop", "proceed", "delete"], "default": "stop"},
            "annotation": {"type": "str", "default": "homelab-mlops/cordoned"},
        },
        supports_check_mode=True,
    )
    if module.params["timeout_seconds"] < 1:
        module.fail_json(msg="timeout_seconds must be above 0")
    try:
        drain = Drain(module, Kubectl(module.run_command))
        result = drain.drained() if module.params["state"] == "drained" else drain.uncordoned()
    except NotFound:
        module.fail_json(msg="the cluster has no node %s: look at `k3s kubectl get nodes`" % module.params["node"])
    except KubectlError as error:
        module.fail_json(msg="%s: %s" % (module.params["node"], error))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
