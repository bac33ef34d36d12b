#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_removal_info
short_description: What a cluster would lose with one of its nodes
version_added: 0.1.0
description:
  - Reads what decides whether a node may leave a cluster of K3s and what has to go with it.
  - It runs on another server of that cluster, as root, and changes nothing.
options:
  node:
    description: Name of the node. It need not be there any more.
    type: str
    required: true
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.info
author:
  - homelab.mlops contributors (@homelab-mlops)
"""

EXAMPLES = r"""
- name: What would be lost with node-04
  homelab.mlops.k3s_removal_info:
    node: node-04
  become: true
  register: loss
"""

RETURN = r"""
present:
  description: Whether the cluster has the node.
  returned: success
  type: bool
ready:
  description: Whether the node is ready.
  returned: success
  type: bool
server:
  description: Whether the node is a server.
  returned: success
  type: bool
servers:
  description: Names of the cluster's other servers.
  returned: success
  type: list
  elements: str
members:
  description:
    - Names of the members of etcd that go with the node. Its own, and those that earlier installations under its name left behind.
  returned: success
  type: list
  elements: str
  sample: [node-03-1f2e3d4c]
voters:
  description: How many members of etcd would vote without the node. V(0) without an embedded etcd.
  returned: success
  type: int
voters_ready:
  description: How many of them are on nodes that are ready.
  returned: success
  type: int
voters_away:
  description: Names of the others, as their nodes are called, or as the members are when their nodes are gone.
  returned: success
  type: list
  elements: str
quorum:
  description: Whether the cluster goes on without the node. V(true) without an embedded etcd.
  returned: success
  type: bool
volumes:
  description: Claims whose volume is on this node only, as namespace, name and size.
  returned: success
  type: list
  elements: str
  sample: [clearml/data-mongodb-0 (50Gi)]
secret:
  description: Whether the cluster keeps the password that the node's name is bound to.
  returned: success
  type: bool
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.k3s.kubectl import Kubectl, KubectlError, NotFound
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.supervisor import Supervisor, SupervisorError

HOSTNAME = "kubernetes.io/hostname"
SERVER = "node-role.kubernetes.io/control-plane"
# k3s-io/k3s pkg/etcd/etcd.go, NodeNameAnnotation
MEMBER = "etcd.k3s.cattle.io/node-name"


def is_ready(node):
    """Whether a Node is ready."""
    return any(one["type"] == "Ready" and one["status"] == "True" for one in node.get("status", {}).get("conditions") or [])


def member_of(node):
    """Name of the etcd member of a Node; empty for none."""
    return (node["metadata"].get("annotations") or {}).get(MEMBER, "")


def hostname_of(node):
    """The name of a Node as volumes know it."""
    return (node["metadata"].get("labels") or {}).get(HOSTNAME, node["metadata"]["name"])


def only_on(volume, hostname):
    """Whether a PersistentVolume can be reached from one node only, and that is this one."""
    terms = (((volume.get("spec") or {}).get("nodeAffinity") or {}).get("required") or {}).get("nodeSelectorTerms") or []

    def binds(term):
        return any(
            one.get("key") == HOSTNAME and one.get("operator") == "In" and one.get("values") == [hostname]
            for one in term.get("matchExpressions") or []
        )

    return bool(terms) and all(binds(term) for term in terms)


def claim_of(volume):
    """Claim and size of a PersistentVolume, or its own name where no claim has it."""
    claim = volume["spec"].get("claimRef") or {}
    name = "%s/%s" % (claim.get("namespace"), claim["name"]) if claim.get("name") else volume["metadata"]["name"]
    return "%s (%s)" % (name, (volume["spec"].get("capacity") or {}).get("storage", "?"))


def members_of(members, name, node, others):
    """Names of the members that belong to a node, in the order of the answer.

    Its own is told by the Node. K3s names members after the node, with another end for each new data (pkg/etcd/etcd.go, setName), so
    that those of earlier data are known too.

    :param members: as the supervisor tells them, None without an embedded etcd
    :param name: of the node
    :param node: the Node, None when there is none
    :param others: the other Nodes
    """
    own, known = member_of(node) if node else "", {member_of(one) for one in others}
    names = [one.get("name", "") for one in members or []]
    return [one for one in names if one and (one == own or (one.rpartition("-")[0] == name and one not in known))]


def voters(members, nodes, gone):
    """The voting members that would remain.

    :param members: as the supervisor tells them, None without an embedded etcd
    :param nodes: the other Nodes
    :param gone: names of the members that leave
    :returns: dict of voters, voters_ready, voters_away and quorum
    """
    if members is None:
        return {"voters": 0, "voters_ready": 0, "voters_away": [], "quorum": True}
    by_member = {member_of(node): node for node in nodes if member_of(node)}
    remaining = [one.get("name", "") for one in members if not one.get("isLearner") and one.get("name") not in gone]
    ready = [name for name in remaining if name in by_member and is_ready(by_member[name])]
    away = [
        by_member[name]["metadata"]["name"] if name in by_member else name or "a member without a name"
        for name in remaining
        if name not in ready
    ]
    return {
        "voters": len(remaining),
        "voters_ready": len(ready),
        "voters_away": away,
        "quorum": len(ready) * 2 > len(remaining),
    }


def look(kubectl, supervisor, name):
    """What the module returns.

    :raises KubectlError, SupervisorError: when the cluster does not answer
    """
    nodes = kubectl.read("nodes")["items"]
    mine = next((node for node in nodes if node["metadata"]["name"] == name), None)
    others = [node for node in nodes if node is not mine]
    members = supervisor.members()
    gone = members_of(members, name, mine, others)
    hostname = hostname_of(mine) if mine else name
    try:
        kubectl.read("secret", "--namespace=kube-system", name + ".node-password.k3s")
        secret = True
    except NotFound:
        secret = False
    return dict(
        voters(members, others, gone),
        present=mine is not None,
        ready=mine is not None and is_ready(mine),
        server=mine is not None and SERVER in (mine["metadata"].get("labels") or {}),
        servers=sorted(node["metadata"]["name"] for node in others if SERVER in (node["metadata"].get("labels") or {})),
        members=gone,
        volumes=sorted(claim_of(one) for one in kubectl.read("persistentvolumes")["items"] if only_on(one, hostname)),
        secret=secret,
    )


def main():
    module = AnsibleModule(argument_spec={"node": {"type": "str", "required": True}}, supports_check_mode=True)
    try:
        found = look(Kubectl(module.run_command), Supervisor(), module.params["node"])
    except (KubectlError, SupervisorError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
