# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What no host has alone: groups, names and machines that hosts share."""

from __future__ import annotations

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, nearest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_config import difference_findings
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_networks import family_findings, machine_network_findings
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.machine import SECONDS_OF_GRACE
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.minio_host import group_findings as store_group_findings

# Groups that the plays of the collection run on.
GROUPS = ("k3s_servers", "k3s_workers", "clearml_agents", "clearml_clients", "minio_servers")


def group_findings(groups):
    """What is wrong with the groups of the inventory, a dict of group names and their hosts."""
    where = "inventory"
    servers, workers = list(groups.get("k3s_servers") or []), list(groups.get("k3s_workers") or [])
    found = store_group_findings(groups)
    # A host of minio_servers is enough for an object store alone.
    alone = bool(groups.get("minio_servers")) and not workers and not groups.get("clearml_agents")
    if not servers and not alone:
        state = "empty" if "k3s_servers" in groups else "missing"
        found.append(finding(where, f"group k3s_servers is {state}", "0 hosts", "add one host below k3s_servers"))
    for host in sorted(set(servers) & set(workers)):
        found.append(finding(host, "is both server and worker", "in k3s_servers and k3s_workers", "remove it from k3s_workers"))
    if not groups.get("clearml_agents") and (servers or not alone):
        state = "empty" if "clearml_agents" in groups else "missing"
        found.append(
            finding(
                where,
                f"group clearml_agents is {state}: experiments will wait in the queue",
                "no agents",
                "add hosts below clearml_agents",
                "note",
            )
        )
    for name in sorted(set(groups) - set(GROUPS)):
        near = nearest(name, GROUPS)
        # A group below the right one may be named like it.
        if near and set(groups[name]) - set(groups.get(near) or []):
            hosts = ", ".join(groups[name])
            found.append(finding(where, f"group {name} is used by no play", hosts, f"perhaps {near} is meant: rename it", "note"))
    return found


def run_findings(hosts, groups, cluster):
    """Findings that no host has alone.

    ``hosts`` maps the hosts of the run to ``node`` (what homelab.mlops.node_info returned, or nothing), ``node_name``, ``now`` (the
    controller's clock when it did) and ``facts`` (of preflight_facts, or nothing). ``cluster`` holds ``alive`` (whether a server
    answers as a living cluster; without one a run must hold a server, which then founds it), ``nodes`` (its nodes), ``servers`` (all
    servers of the inventory and their k3s_node_name, empty where none is set) and ``clock_seconds``.
    """
    found = group_findings(groups)
    servers = list(groups.get("k3s_servers") or [])
    workers = list(groups.get("k3s_workers") or [])
    if servers and not cluster["alive"] and not set(servers) & set(hosts):
        where = ", ".join(servers)
        found.append(
            finding(where, "no server answers as a living cluster", "not part of this run", "start it, or run without --limit to found one")
        )
    known = {host: one for host, one in hosts.items() if one.get("node")}
    members = {host: one for host, one in known.items() if host in servers or host in workers}
    found += _shared_findings(known, members)
    found += _clock_findings({host: one for host, one in known.items() if host in servers}, int(cluster["clock_seconds"]))
    shared = {host: one["facts"] for host, one in hosts.items() if host in servers and one.get("facts")}
    found += difference_findings({host: facts["shared"] for host, facts in shared.items()})
    ranges = next((facts["ranges"] for facts in shared.values()), None)
    for host, one in members.items():
        if ranges and not (one["node"]["k3s"]["server"] or one["node"]["k3s"]["agent"]):
            found += machine_network_findings(host, one["node"], ranges)
            found += family_findings(host, one["node"], ranges)
    found += _renamed_findings(members, cluster["nodes"])
    found += _namesake_findings(members, cluster["nodes"])
    found += _stray_findings(members, cluster)
    return found


def _shared_findings(known, members):
    """Names and machines that hosts share: names of nodes and their addresses among nodes only."""
    same = {}
    for host, one in known.items():
        same.setdefault(("machine-id", one["node"]["machine_id"]), []).append(host)
        same.setdefault(("host name", one["node"]["hostname"]), []).append(host)
    for host, one in members.items():
        same.setdefault(("node name", one["node_name"]), []).append(host)
        same.setdefault(("node address", (one.get("facts") or {}).get("node_ip") or one["node"]["address"]), []).append(host)
    fixes = {
        "machine-id": "two names for one machine: keep one; a clone: remove /etc/machine-id and run systemd-machine-id-setup",
        "host name": "give each its own: `hostnamectl set-hostname NAME`",
        "node name": "set k3s_node_name of one of them",
        "node address": "give each its own by which the others reach it: k3s_node_ip",
    }
    return [
        finding(", ".join(sorted(hosts)), f"share one {what}", value, fixes[what])
        for (what, value), hosts in same.items()
        if len(hosts) > 1 and value
    ]


def _clock_findings(servers, most):
    """Servers whose clocks differ from each other, though each may be near enough to the controller's."""
    ahead = {host: one["node"]["epoch"] - one["now"] for host, one in servers.items()}
    if len(ahead) < 2:
        return []
    first, last = min(ahead, key=ahead.get), max(ahead, key=ahead.get)
    apart = ahead[last] - ahead[first]
    if apart <= most + SECONDS_OF_GRACE:
        return []
    fix = "synchronise both, for example with systemd-timesyncd: etcd and certificates need it"
    return [finding(", ".join(sorted((first, last))), "the clocks of servers differ", f"{apart:.0f} s", fix)]


def _renamed_findings(members, nodes):
    """Nodes that joined by another name than the inventory has for them now."""
    names = {}
    for one in nodes:
        names.setdefault(one["machine_id"], []).append(one["name"])
    found = []
    for host, one in members.items():
        joined = one["node"]["k3s"]["server"] or one["node"]["k3s"]["agent"]
        own = names.get(one["node"]["machine_id"]) if joined and one["node"]["machine_id"] else None
        if own and one["node_name"] not in own:
            fix = f"set k3s_node_name to {own[0]}: a node keeps its name"
            found.append(finding(host, "is in the cluster by another name than k3s_node_name", own[0], fix))
    return found


def _namesake_findings(members, nodes):
    """Machines that would take the name of a node that is alive elsewhere; a reinstalled one keeps its address or its machine id."""
    found = []
    living = {one["name"]: one for one in nodes if one["ready"]}
    for host, one in members.items():
        other, node = living.get(one["node_name"]), one["node"]
        if not other or node["k3s"]["server"] or node["k3s"]["agent"]:
            continue
        own = {node["address"], (one.get("facts") or {}).get("node_ip"), node["machine_id"]}
        if other["address"] not in own and other["machine_id"] not in own:
            fix = "set k3s_node_name of this one, or take the other out with homelab.mlops.remove_host"
            found.append(finding(host, f"another machine of the cluster is the node {one['node_name']}", other["address"], fix))
    return found


def _stray_findings(members, cluster):
    """Servers of the living cluster that no host of the inventory stands for."""
    names = [name or host.lower() for host, name in cluster["servers"].items()]
    known = [one["node"]["machine_id"] for one in members.values()]
    fix = "add it to k3s_servers, or take it out with homelab.mlops.remove_host"
    return [
        finding(one["name"], "is a server of the cluster and not in k3s_servers", one["address"] or "no address", fix, "note")
        for one in cluster["nodes"]
        if one["server"] and one["name"] not in names and one["machine_id"] not in known
    ]
