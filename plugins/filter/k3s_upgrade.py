# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters behind the upgrade of K3s: which node gets what, what speaks against it, and the table of both."""

from __future__ import annotations

from ansible_collections.homelab.mlops.plugins.plugin_utils.k3s_release import release

COLUMNS = ("host", "node", "role", "from", "to", "state")


def _state(node, probe, reached, target):
    """Where a node stands, seen from what the cluster and the machine say. ``reached`` is None where nobody asked the machine."""
    if reached is False:
        return "absent"
    if probe is not None and not (probe["k3s"]["server"] or probe["k3s"]["agent"]):
        return "new"
    if reached is None:
        return "new" if node is None else "done" if node["version"] == target else "left"
    if probe["k3s"]["version"] != target:
        return "old" if node else "new"
    return "done" if node and node["version"] == target and node["ready"] else "begun"


def _step(where, old, target):
    """Why a step from one release to another is refused; None when it is not."""
    before, after = release(old), release(target)
    if before is None or after is None:
        return None
    if after < before:
        return (
            f"{where}: has K3s {old}, and {target} is older; going back takes the restore of a snapshot: set k3s_version to {old} or newer"
        )
    if after[:2] > (before[0], before[1] + 1):
        between = f"v{before[0]}.{before[1] + 1}"
        return f"{where}: has K3s {old}, and {target} skips a minor release: upgrade to a release of {between} first"
    return None


def _server_refusals(row, node, etcd, target):
    """What is wrong with a server before any node is touched. One whose upgrade has begun need not be well: it is mended first."""
    host, state = row["host"], row["state"]
    if state == "absent":
        return [f"{host}: does not answer, and all servers have to: start it, or remove it from the cluster and from k3s_servers"]
    if state == "new":
        return [f"{host}: is not in the cluster: run site.yml first, or take it out of k3s_servers"]
    if state == "old" and not node["ready"]:
        return [f"{host}: node {node['name']} is not ready: look there with `systemctl status k3s`"]
    if state == "old" and etcd and not node["etcd_voter"]:
        return [f"{host}: is not a voting member of etcd: look there with `journalctl -u k3s`"]
    return []


def _order_refusals(rows, target, run):
    """Workers never become newer than a server."""
    waiting = [row["host"] for row in rows if row["role"] == "server" and row["state"] != "done" and row["host"] not in run]
    workers = [row["host"] for row in rows if row["role"] == "worker" and row["host"] in run and row["state"] in ("old", "begun")]
    if not waiting or not workers:
        return []
    names = ", ".join(waiting)
    return [f"{', '.join(workers)}: workers must not be newer than a server: upgrade {names} to {target} first, or run without --limit"]


def k3s_upgrade_plan(nodes, target, servers, workers, names, probes, run, targets):
    """What an upgrade would do.

    ``nodes`` are the nodes as homelab.mlops.node_info returns them; ``names`` maps hosts to names of nodes and ``probes`` the hosts
    that answered to what homelab.mlops.node_info said of them; ``run`` are the hosts of this run and ``targets`` their k3s_version.

    Returns ``rows`` (a dict for each host with ``host``, ``node``, ``role``, ``from``, ``to`` and ``state``), texts in ``refusals``
    and ``notes``, ``begun`` (whether an earlier run to the same release got as far as a server) and ``work`` (whether there is
    anything to do).
    """
    by_name = {node["name"]: node for node in nodes}
    etcd = any(node["etcd_voter"] for node in nodes) or any(probe["k3s"].get("etcd") for probe in probes.values())
    refusals, notes, rows = [], [], []
    if release(target) is None:
        return {
            "rows": [],
            "refusals": [f"{target} is no release of K3s: write it in full, with v and +k3s, such as v1.34.1+k3s1"],
            "notes": [],
            "begun": False,
            "work": False,
        }
    different = sorted({str(version) for version in targets.values()})
    if len(different) > 1:
        refusals.append(f"k3s_version differs between hosts ({', '.join(different)}): set it once, in group_vars/all")
    for host in [*servers, *workers]:
        node, probe = by_name.get(names[host]), probes.get(host)
        server = host in servers
        reached = host in probes if server or host in run else None
        row = {"host": host, "node": names[host], "role": "server" if server else "worker", "to": target}
        row["from"] = node["version"] if node else ""
        row["state"] = _state(node, probe, reached, target)
        rows.append(row)
        if server:
            refusals += _server_refusals(row, node, etcd, target)
        elif row["state"] == "absent":
            stays = "had " + target + " when it was last seen" if row["from"] == target else f"stays at {row['from'] or 'what it has'}"
            notes.append(f"{host}: does not answer and {stays}: start it and run again")
        elif row["state"] == "new":
            notes.append(f"{host}: is not in the cluster and is left out: run site.yml for it")
        versions = [node["version"]] if node else []
        versions += [probe["k3s"]["version"]] if probe and row["state"] != "new" else []
        if server or host in run:
            found = [_step(host, version, target) for version in versions]
            refusals += [text for text in found if text][:1]
    known = set(names.values())
    for node in nodes:
        if node["name"] in known:
            continue
        if node["server"] and node["version"] != target:
            refusals.append(f"{node['name']}: is a server of this cluster with K3s {node['version']}: put it into k3s_servers")
        elif node["version"] != target:
            notes.append(f"{node['name']}: is a node of this cluster, but not in the inventory, and stays at {node['version']}")
    refusals += _order_refusals(rows, target, run)
    servers_at_target = [row for row in rows if row["role"] == "server" and (row["from"] == target or row["state"] == "begun")]
    return {
        "rows": rows,
        "refusals": refusals,
        "notes": notes,
        "begun": bool(servers_at_target),
        "work": any(row["state"] in ("old", "begun") and row["host"] in run for row in rows),
    }


def k3s_upgrade_table(rows, columns=COLUMNS):
    """Dicts as the text of a table with the named columns, a line for each."""
    lines = [{column: column for column in columns}, *({column: str(row.get(column, "")) for column in columns} for row in rows)]
    widths = {column: max(len(line[column]) for line in lines) for column in columns}
    return "\n".join(" | ".join(line[column].ljust(widths[column]) for column in columns).rstrip() for line in lines)


class FilterModule:
    """Filters of the upgrade of K3s."""

    def filters(self):
        return {"k3s_upgrade_plan": k3s_upgrade_plan, "k3s_upgrade_table": k3s_upgrade_table}
