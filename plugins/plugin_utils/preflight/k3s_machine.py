# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a machine as a node of the cluster."""

from __future__ import annotations

import ipaddress
import re

from ansible_collections.homelab.mlops.plugins.plugin_utils.k3s_release import release
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, host_fault, is_address
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_config import config_values, own_config
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.machine import installed
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.releases import version_findings

MIB = 1 << 20
FOLDER = "/var/lib/rancher"
VXLAN_PORT = 8472

# RFC 1123, as Kubernetes checks names of nodes.
NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")


def node_findings(host, node, server, settings, provided):
    """What speaks against a machine as a node of the cluster."""
    found = []
    k3s = node["k3s"]
    joined = k3s["server"] or k3s["agent"]
    wanted = int(settings["server_memory_mib"] if server else settings["worker_memory_mib"])
    if node["memory_bytes"] < wanted * MIB:
        found.append(
            finding(
                host,
                "too little memory",
                f"{node['memory_bytes'] // MIB} MiB, {wanted} MiB needed",
                "add memory or use another machine",
                "note" if installed(node) else "refuse",
            )
        )
    if node["swap_bytes"]:
        found.append(
            finding(
                host,
                "swap is on: memory limits of pods do not count it",
                f"{node['swap_bytes'] // MIB} MiB",
                "`swapoff -a` and remove it from /etc/fstab",
                "note",
            )
        )
    if not NODE_NAME.fullmatch(settings["node_name"]) or len(settings["node_name"]) > 253:
        found.append(
            finding(host, "no valid name for a node", settings["node_name"], "set k3s_node_name: small letters, digits, hyphens and dots")
        )
    if k3s["agent"] if server else k3s["server"]:
        now, other = ("worker", "k3s_workers") if server else ("server", "k3s_servers")
        found.append(
            finding(
                host,
                f"is already a K3s {now}",
                f"unit {'k3s-agent' if server else 'k3s'}",
                f"put it into {other} again, or remove K3s first",
            )
        )
    if joined:
        found += version_findings(host, k3s["version"], settings)
    wanted_release = release(settings["k3s_version"])
    if wanted_release and wanted_release[:2] >= (1, 35) and node["cgroup"] == 1 and not _takes_old_groups(provided, server):
        found.append(
            finding(
                host,
                "Kubernetes 1.35 and newer need control groups v2",
                "v1",
                "boot with systemd.unified_cgroup_hierarchy=1, or set k3s_version below v1.35",
            )
        )
    if not joined:
        found += _port_findings(host, node, server, provided, len(settings["servers"]) > 1)
    found += _disk_findings(host, node)
    found += _address_findings(host, node, provided)
    found += _data_findings(host, node, provided)
    found += _firewall_findings(host, node, provided)
    if settings["token_differs"]:
        found.append(
            finding(
                host,
                "k3s_token is not this cluster's token",
                "not shown",
                "remove k3s_token, or run playbooks/rotate_token.yml to give the cluster this one",
            )
        )
    return found


def _takes_old_groups(provided, server):
    """Whether the kubelet is told to put up with control groups v1 (kubernetes PR#134298)."""
    return "fail-cgroupv1=false" in [one.lower() for one in config_values(own_config(provided, server), "kubelet-arg")]


def wanted_ports(server, several, provided):
    """TCP ports that K3s needs to itself on a node (docs.k3s.io, "requirements", networking, and lb-server-port of its agent)."""
    ports = [10250, 6444]
    if server:
        ports.append(6443)
        if several and not provided.get("k3s_datastore_endpoint"):
            ports += [2379, 2380]
    if provided.get("k3s_embedded_registry"):
        ports.append(5001)
    return sorted(ports)


def _port_findings(host, node, server, provided, several):
    """Ports that another program has, on a machine where K3s does not run yet."""
    found = [
        finding(host, f"port {port} is taken by another program", "in use", f"stop it: `ss -ltnp 'sport = :{port}'` names it")
        for port in wanted_ports(server, several, provided)
        if port in node["listening"]
    ]
    backend = config_values(own_config(provided, server), "flannel-backend") or ["vxlan"]
    if VXLAN_PORT in node["network"].get("udp", []) and backend == ["vxlan"]:
        fix = f"stop it: `ss -lunp 'sport = :{VXLAN_PORT}'` names it, or `ip -d link` a network device"
        found.append(finding(host, f"UDP port {VXLAN_PORT} is taken by another program", "in use", fix))
    return found


def _disk_findings(host, node):
    """A file system from which K3s, which unpacks its programs there, cannot run."""
    state = node["disks"].get(FOLDER)
    if not state:
        return []
    where = state["folder"]
    if state["readonly"]:
        return [
            finding(
                host, f"{FOLDER} cannot be written", f"{where} is mounted read-only", f"`mount -o remount,rw {where}`, and mend /etc/fstab"
            )
        ]
    if state["noexec"]:
        fix = f"`mount -o remount,exec {where}`, and mend /etc/fstab: K3s runs programs from there"
        return [finding(host, f"programs cannot run from {FOLDER}", f"{where} is mounted noexec", fix)]
    return []


def _address_findings(host, node, provided):
    """Addresses of the inventory that the machine does not have, and names that it does not know."""
    found = []
    network = node["network"]
    mine = [one["address"] for one in network.get("addresses", [])]
    for text in [part.strip() for part in (provided.get("k3s_node_ip") or "").split(",")]:
        if mine and is_address(text) and ipaddress.ip_address(text) not in map(ipaddress.ip_address, mine):
            fix = f"set k3s_node_ip to one of {', '.join(mine)}, or leave it out"
            found.append(finding(host, "k3s_node_ip is no address of this machine", text, fix))
    name = provided.get("k3s_registration_address") or ""
    if network.get("names", {}).get(name) == [] and not host_fault(name):
        fix = "add it to DNS or /etc/hosts of the nodes, or write the IP address"
        found.append(finding(host, "k3s_registration_address is not known here", name, fix, "note"))
    return found


def _data_findings(host, node, provided):
    """Data of a cluster that a server would leave behind for an empty data store."""
    if not provided.get("k3s_datastore_endpoint"):
        return []
    kind = "etcd" if node["k3s"]["etcd"] else "SQLite" if node["k3s"]["sqlite"] else ""
    if not kind:
        return []
    fix = "remove k3s_datastore_endpoint: the cluster would begin anew without what it holds now"
    return [finding(host, "the cluster's data is here and not in k3s_datastore_endpoint", kind, fix)]


def _firewall_findings(host, node, provided):
    name = node["network"].get("firewall")
    if not name or provided.get("k3s_open_firewall"):
        return []
    fix = "set k3s_open_firewall to true, or open TCP 6443 and 10250, UDP 8472 and on servers TCP 2379 and 2380 between the nodes"
    return [finding(host, "a firewall is at work", name, fix, "note")]
