#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_node
short_description: Keep labels and taints of a node in step
version_added: 0.1.0
description:
  - Sets labels and taints of a Kubernetes node and takes off those that it set before and that are wanted no more.
  - Which ones it set is noted on the node itself, in the annotations C(homelab-mlops/labels) and C(homelab-mlops/taints).
    Labels and taints that somebody else set stay as they are.
  - Runs on a K3s server, as root, with that server's C(k3s kubectl).
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: Name of the node.
    type: str
    required: true
  labels:
    description: Labels that the node has. Values may be texts, numbers, booleans, which become C(true) and C(false), or nothing.
    type: dict
    default: {}
  taints:
    description:
      - Taints that the node has, each as C(key=value:Effect) or C(key:Effect).
      - Two taints of the same key and effect are the same taint with another value.
    type: list
    elements: str
    default: []
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
seealso:
  - module: homelab.mlops.node_info
"""

EXAMPLES = r"""
- name: A node with fast disks, for databases alone
  homelab.mlops.k3s_node:
    name: node-03
    labels:
      disk: nvme
    taints: [dedicated=database:NoSchedule]
"""

RETURN = r"""
labels:
  description: Labels of the node that are kept in step, as they are now.
  returned: success
  type: dict
  sample: {disk: nvme}
taints:
  description: Taints of the node that are kept in step, as they are now.
  returned: success
  type: list
  elements: str
  sample: ["dedicated=database:NoSchedule"]
"""

import json

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.kubectl import Kubectl, KubectlError

# How often a change is tried when somebody else changed the node between reading and writing.
ATTEMPTS = 5
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
LABELS = "homelab-mlops/labels"
TAINTS = "homelab-mlops/taints"


class NodeError(Exception):
    """The node cannot be read or changed; the text says why."""


def label_value(value):
    """A label's value as Kubernetes has it: text, and no value is an empty one."""
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)


def taint_of(text):
    """The dict of a taint written as key=value:Effect or key:Effect. NodeError when it is neither."""
    pair, sep, effect = text.rpartition(":")
    key, _sep, value = pair.partition("=")
    if not sep or not key or effect not in EFFECTS:
        raise NodeError(f"{text} is no taint: write key=value:Effect or key:Effect, with one of the effects {', '.join(EFFECTS)}")
    taint = {"key": key, "effect": effect}
    if value:
        taint["value"] = value
    return taint


def identity(taint):
    """What makes two taints the same one."""
    return f"{taint['key']}:{taint['effect']}"


def taint_text(taint):
    """A taint as it is written in an inventory."""
    return f"{taint['key']}={taint['value']}:{taint['effect']}" if taint.get("value") else identity(taint)


def noted(node, name):
    """The list that an annotation holds; empty when there is none or somebody made it unreadable."""
    try:
        names = json.loads(node["metadata"].get("annotations", {}).get(name, "[]"))
    except ValueError:
        return []
    return [one for one in names if isinstance(one, str)] if isinstance(names, list) else []


def plan(node, labels, taints):
    """What is there, what shall be there, and the merge patch between them.

    :param node: the node as the API gives it
    :param labels: wanted labels, texts
    :param taints: wanted taints, dicts
    :returns: before, after (each a dict of C(labels) and C(taints), ours alone) and patch; the patch is empty when nothing differs
    """
    present_labels = node["metadata"].get("labels", {})
    present_taints = node.get("spec", {}).get("taints", [])
    own_labels, own_taints = noted(node, LABELS), noted(node, TAINTS)
    wanted = {identity(taint): taint for taint in taints}

    before = {
        "labels": {name: present_labels[name] for name in sorted({*own_labels, *labels}) if name in present_labels},
        "taints": sorted(taint_text(one) for one in present_taints if identity(one) in {*own_taints, *wanted}),
    }
    after = {"labels": dict(sorted(labels.items())), "taints": sorted(taint_text(one) for one in taints)}

    patch = {}
    changed_labels = {name: value for name, value in labels.items() if present_labels.get(name) != value}
    changed_labels.update({name: None for name in own_labels if name not in labels and name in present_labels})
    notes = {}
    for annotation, ours, theirs in ((LABELS, sorted(labels), own_labels), (TAINTS, sorted(wanted), own_taints)):
        if ours != theirs:
            notes[annotation] = json.dumps(ours) if ours else None
    if changed_labels:
        patch.setdefault("metadata", {})["labels"] = changed_labels
    if notes:
        patch.setdefault("metadata", {})["annotations"] = notes
    if before["taints"] != after["taints"]:
        kept = [one for one in present_taints if identity(one) not in {*own_taints, *wanted}]
        patch["spec"] = {"taints": kept + [wanted[name] for name in sorted(wanted)]}
    if patch:
        # The API refuses a patch for another version of the node: a list of taints is replaced as a whole.
        patch.setdefault("metadata", {})["resourceVersion"] = node["metadata"].get("resourceVersion", "")
    return before, after, patch


class Cluster:
    """Nodes, read and changed by way of this server's kubectl."""

    def __init__(self, kubectl):
        self.kubectl = kubectl

    def read(self, name):
        """The node. NodeError when there is none or the API does not answer."""
        try:
            return self.kubectl.node(name)
        except KubectlError as error:
            raise NodeError(f"node {name} cannot be read: {error}") from None

    def patch(self, name, patch):
        """Whether the patch was applied; not when the node changed meanwhile. NodeError otherwise."""
        try:
            self.kubectl.patch_node(name, patch)
        except KubectlError as error:
            if "the object has been modified" not in str(error):
                raise NodeError(f"labels and taints of node {name} cannot be set: {error}") from None
            return False
        return True


def keep(cluster, name, labels, taints, write):
    """Brings the node in step. Returns the report of it and what is kept now; NodeError when the node cannot be read or changed."""
    for _attempt in range(ATTEMPTS):
        before, after, patch = plan(cluster.read(name), labels, taints)
        if not patch or not write or cluster.patch(name, patch):
            report = difference(before, after)
            report["changed"] = bool(patch)  # a note alone is a change too
            return report, after
    raise NodeError(f"labels and taints of node {name} cannot be set: it changed {ATTEMPTS} times meanwhile, run again")


def main():
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "labels": {"type": "dict", "default": {}},
            "taints": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    try:
        labels = {name: label_value(value) for name, value in module.params["labels"].items()}
        taints = [taint_of(text) for text in module.params["taints"]]
        report, after = keep(Cluster(Kubectl(module.run_command)), module.params["name"], labels, taints, not module.check_mode)
    except NodeError as error:
        module.fail_json(msg=str(error))
    module.exit_json(**report, **after)


if __name__ == "__main__":
    main()
