# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters behind the role preflight: what speaks against a run, as findings, and the table of them.

A finding is a dict of texts: ``level`` (``refuse`` or ``note``), ``host``, ``finding``, ``measured`` and ``fix``.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.homelab.mlops.plugins.filter.quantity_bytes import quantity_bytes

GIB = 1 << 30
MIB = 1 << 20

# Lowest and highest version of each operating system that is supported.
SYSTEMS = {"debian": ("11", "13"), "ubuntu": ("22.04", "26.04")}
ARCHITECTURES = ("x86_64", "aarch64")
K3S_VERSION = re.compile(r"v(\d+)\.(\d+)\.(\d+)(-rc\d+)?\+k3s\d+")
# RFC 1123, as Kubernetes checks names of nodes.
NODE_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?(\.[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*")
HOST_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*")
# Groups that the plays of the collection run on.
GROUPS = ("k3s_servers", "k3s_workers", "clearml_agents")
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
SECRET = re.compile(r"token|password|secret|_key$|users$", re.IGNORECASE)
SECONDS_OF_GRACE = 5


def finding(host, text, measured, fix, level="refuse"):
    return {"level": level, "host": host, "finding": text, "measured": str(measured), "fix": fix}


def _numbers(version):
    """The numbers of a version, to compare by: ``22.04`` before ``24.04`` before ``26``."""
    return [int(number) for number in re.findall(r"\d+", version)]


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _shown(name, value):
    """A variable's value for a table; secrets only as their type."""
    kind = next((one.__name__ for one in (dict, list, str, bool, int) if isinstance(value, one)), type(value).__name__)
    return f"{kind}, not shown" if SECRET.search(name) else f"{value!r}"[:60]


def argument_findings(host, specs, provided, known):
    """Variables that do not fit the roles' argument_specs, and names that look like a role's but are none.

    ``specs`` maps a role to its argument_specs.yml; ``provided`` maps the options that the inventory sets to their values;
    ``known`` are the names of all variables of the host.
    """
    options = {}
    for spec in specs.values():
        options.update(spec["argument_specs"]["main"].get("options") or {})
    found = []
    for name, option in options.items():
        if name not in provided:
            if option.get("required"):
                found.append(finding(host, f"{name} is not set", "nothing", f"set it: {_text(option)}"))
            continue
        errors = ArgumentSpecValidator({name: _checked(option)}).validate({name: provided[name]}).error_messages
        if errors:
            wanted = f"one of {', '.join(map(str, option['choices']))}" if option.get("choices") else f"of type {option['type']}"
            # Only these two kinds of message name keys and never quote a value.
            speaks_of_keys = errors[0].startswith("missing required arguments") or "Supported parameters include" in errors[0]
            nested = f" ({errors[0]})" if option.get("options") and (speaks_of_keys or not SECRET.search(name)) else ""
            text = f"{name} has wrong keys{nested}" if speaks_of_keys and nested else f"{name} is not {wanted}{nested}"
            found.append(finding(host, text, _shown(name, provided[name]), f"set it: {_text(option)}"))
    prefixes = tuple(f"{role}_" for role in specs)
    for name in sorted(known):
        if name.startswith(prefixes) and name not in options:
            near = difflib.get_close_matches(name, options, n=1, cutoff=0.85)
            if near:
                found.append(finding(host, f"{name} is no variable of any role", "set", f"perhaps {near[0]} is meant: rename it", "note"))
    return found


def _text(option):
    """An option's description as one line."""
    description = option.get("description", "")
    return " ".join((description if isinstance(description, str) else " ".join(description)).split()).partition(". ")[0].rstrip(".")


def _checked(option):
    """An option without its default, which may be a template that no type fits."""
    return {key: value for key, value in option.items() if key in ("type", "choices", "elements", "options", "required")}


def bucket_fault(name):
    """What S3's rules for bucket names (Amazon S3 user guide, "Bucket naming rules") say against a name; empty when nothing."""
    if not 3 <= len(name) <= 63:
        return f"{len(name)} characters, 3 to 63 are allowed"
    if not re.fullmatch(r"[a-z0-9.-]+", name):
        return "only small letters, digits, dots and hyphens are allowed"
    if not (name[0].isalnum() and name[-1].isalnum()):
        return "it must begin and end with a letter or digit"
    if ".." in name:
        return "two dots must not follow each other"
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name):
        return "it must not look like an IP address"
    if name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")):
        return "this beginning or end is reserved"
    return ""


def url_fault(url):
    """What is wrong with an HTTP URL; empty when nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("http", "https"):
        return "it does not begin with http:// or https://"
    if not parts.hostname or not (_is_address(parts.hostname) or HOST_NAME.fullmatch(parts.hostname)):
        return "it names no host"
    if port == 0:
        return "its port is 0"
    if parts.query or parts.fragment:
        return "it has a query or fragment"
    return ""


def value_findings(host, provided, settings):
    """What is wrong with values that fit their type. ``settings`` holds the values that are in effect, set or default."""
    found = _user_findings(host, provided)
    for name, value in provided.items():
        if name.endswith("_timeout_seconds") and int(value) < 1:
            found.append(finding(host, f"{name} is no time to wait", value, "write a number of seconds from 1"))
        if not isinstance(value, str) or not value:
            continue
        if name.endswith("_url"):
            fault = url_fault(value)
            if fault:
                found.append(finding(host, f"{name} is no URL: {fault}", value, "write it as http://host:port"))
        elif name == "homelab_domain_address":
            if not (_is_address(value) or HOST_NAME.fullmatch(value)):
                found.append(finding(host, f"{name} is neither name nor address", value, "write a DNS name or an IP address, no URL"))
        elif name.endswith("_storage_size"):
            try:
                quantity_bytes(value)
            except AnsibleFilterError:
                found.append(finding(host, f"{name} is no size", value, "write a number and a unit, such as 20Gi"))
        elif name.endswith("_address") and not _is_address(value):
            found.append(finding(host, f"{name} is no IP address", value, "write one free address of the load balancer's range"))
    fault = bucket_fault(settings["bucket"])
    if fault:
        found.append(finding(host, f"S3 forbids this bucket name: {fault}", settings["bucket"], "set homelab_s3_bucket to another name"))
    if settings["exposure"] == "ingress":
        found.append(
            finding(host, "exposure by ingress is not built yet", "ingress", "set homelab_clearml_exposure to load_balancer or node_port")
        )
    if not K3S_VERSION.fullmatch(settings["k3s_version"]):
        found.append(finding(host, "k3s_version is no release of K3s", settings["k3s_version"], "write it as v1.34.1+k3s1"))
    if not settings["address"]:
        found.append(
            finding(
                host,
                "the first server's address is not known, URLs have no host",
                "it did not answer",
                "start it, or set homelab_domain_address",
            )
        )
    admin_host = provided.get("homelab_admin_host")
    if admin_host and admin_host not in settings["servers"]:
        servers = ", ".join(settings["servers"])
        found.append(
            finding(
                host,
                "homelab_admin_host is not in k3s_servers; not built yet",
                admin_host,
                f"remove homelab_admin_host or name one of {servers}",
            )
        )
    found += _quorum_findings(host, provided, settings["servers"])
    found += _port_findings(host, settings)
    found += _instance_findings(host, provided)
    return found


def _port_findings(host, settings):
    """Services that would answer on one port of one address."""
    found = []
    taken = {("", 22): "SSH", ("", 6443): "the Kubernetes API", ("", 10250): "the kubelet"}
    for service, (address, port) in settings["endpoints"].items():
        port = int(port)  # a text where it comes from the command line
        if not 1 <= port <= 65535:
            found.append(
                finding(host, f"port of {service} is no TCP port", port, f"set homelab_{service}_port to a number from 1 to 65535")
            )
            continue
        if settings["exposure"] == "node_port" and not 30000 <= port <= 32767:
            found.append(finding(host, f"port of {service} is no node port", port, f"set homelab_{service}_port to 30000 to 32767"))
        other = taken.setdefault((address, port), service)
        if other != service:
            where = f"{address or 'the nodes'} port {port}"
            found.append(finding(host, f"{service} and {other} share a port", where, f"set homelab_{service}_port to another one"))
    return found


def _user_findings(host, provided):
    """Names of ClearML users that cannot be; the role clearml_server asserts the same before it works alone."""
    if "clearml_server_users" not in provided:
        return []
    names = [str(one.get("name", "")) for one in provided["clearml_server_users"] if isinstance(one, dict)]
    fix = "name one user or more, each differently, with letters, digits, dot, dash and underscore"
    wrong = [name for name in names if not USER_NAME.fullmatch(name) or names.count(name) > 1]
    if names and not wrong:
        return []
    return [finding(host, "clearml_server_users has names that cannot be", ", ".join(dict.fromkeys(wrong)) or "nobody", fix)]


def _instance_findings(host, provided):
    """Agents of one host that exclude each other, or that have nothing to listen to."""
    found = []
    instances = [one for one in provided.get("clearml_agent_instances") or [] if isinstance(one, dict)]
    names = [str(one.get("name", "")) for one in instances]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.append(finding(host, "two agent instances have one name", name, "rename one in clearml_agent_instances"))
    for one in instances:
        if "queues" in one and not one["queues"]:
            found.append(
                finding(host, f"agent instance {one.get('name', '')} has no queue", "queues: []", "name queues, or remove the line queues")
            )
    if "clearml_agent_queues" in provided and not provided["clearml_agent_queues"]:
        found.append(finding(host, "agents have no queue", "clearml_agent_queues: []", "name at least one queue, such as default"))
    return found


def _installed(node):
    """Whether the collection has been at work on a machine: K3s or agents are set up there."""
    return bool(node["k3s"]["server"] or node["k3s"]["agent"] or node["clearml_agents"])


def node_findings(host, node, groups, now, settings):
    """What speaks against a machine. ``node`` is the result of homelab.mlops.node_info, ``now`` the controller's clock (seconds)."""
    found = []
    low, high = SYSTEMS.get(node["os"]["id"], ("", ""))
    version = node["os"]["version"]
    if not low or not version or not _numbers(low) <= _numbers(version) <= _numbers(high):
        found.append(
            finding(
                host, "operating system is not supported", node["os"]["name"] or "unknown", "use Debian 11 to 13 or Ubuntu 22.04 to 26.04"
            )
        )
    if node["architecture"] not in ARCHITECTURES:
        found.append(finding(host, "architecture is not supported", node["architecture"], "use a machine of x86_64 or aarch64"))
    if _numbers(node["python"])[:2] < [3, 8]:
        found.append(finding(host, "Python is too old", node["python"], "install Python 3.8 or newer and set ansible_python_interpreter"))
    if not node["root"]:
        found.append(
            finding(
                host, "tasks do not run as root", "become did nothing", "give the login user sudo, and do not set ansible_become to false"
            )
        )
    if not node["systemd"]:
        found.append(finding(host, "systemd is not the init process", "no /run/systemd/system", "use a machine that boots with systemd"))
    if not node["address"]:
        found.append(finding(host, "there is no default route", "none", "set one: K3s and downloads need it"))
    skew = abs(node["epoch"] - now)
    if skew > int(settings["clock_seconds"]) + SECONDS_OF_GRACE:
        found.append(
            finding(
                host, "the clock differs from the controller's", f"{skew:.0f} s", "synchronise both, for example with systemd-timesyncd"
            )
        )
    # What runs here already fills disks by and by; to refuse it would forbid even to verify it.
    lenient = "note" if _installed(node) else "refuse"
    for path, state in node["disks"].items():
        wanted = int(settings["free_gib"][path])
        if state["free_bytes"] < wanted * GIB:
            found.append(
                finding(
                    host,
                    f"too little space for {path}",
                    f"{state['free_bytes'] / GIB:.1f} GiB free, {wanted} GiB needed",
                    f"free space on {state['folder']}",
                    lenient,
                )
            )
    if "k3s_servers" in groups or "k3s_workers" in groups:
        found += _k3s_findings(host, node, "k3s_servers" in groups, settings)
    return found


def _k3s_findings(host, node, server, settings):
    """What speaks against a machine as a node of the cluster."""
    found = []
    k3s = node["k3s"]
    wanted = int(settings["server_memory_mib"] if server else settings["worker_memory_mib"])
    if node["memory_bytes"] < wanted * MIB:
        found.append(
            finding(
                host,
                "too little memory",
                f"{node['memory_bytes'] // MIB} MiB, {wanted} MiB needed",
                "add memory or use another machine",
                "note" if _installed(node) else "refuse",
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
    joined = k3s["server"] or k3s["agent"]
    if joined:
        found += _version_findings(host, k3s["version"], settings)
    release = K3S_VERSION.fullmatch(settings["k3s_version"])
    if release and (int(release[1]), int(release[2])) >= (1, 35) and node["cgroup"] == 1:
        found.append(
            finding(
                host,
                "Kubernetes 1.35 and newer need control groups v2",
                "v1",
                "boot with systemd.unified_cgroup_hierarchy=1 or set k3s_version below v1.35",
            )
        )
    if not joined:
        for port in node["listening"]:
            found.append(
                finding(host, f"port {port} is taken by another program", "in use", f"stop it: `ss -ltnp 'sport = :{port}'` names it")
            )
    if settings["token_differs"]:
        found.append(
            finding(
                host,
                "k3s_token is not this cluster's token",
                "not shown",
                "remove k3s_token, or set it to the one in /var/lib/rancher/k3s/server/token",
            )
        )
    return found


def _release(version):
    """A release of K3s to compare by: a candidate comes before its release. None where it is no release."""
    numbers = re.fullmatch(r"v(\d+)\.(\d+)\.(\d+)(?:-rc(\d+))?\+k3s(\d+)", version)
    if not numbers:
        return None
    major, minor, patch, candidate, build = numbers.groups()
    return int(major), int(minor), int(patch), int(build), int(candidate) if candidate else float("inf")


def _version_findings(host, runs, settings):
    """Why a node that has one release of K3s does not get another in this run. An upgrade takes one minor at a time."""
    wanted = settings["k3s_version"]
    old, new = _release(runs), _release(wanted)
    if runs in ("", wanted) or not old or not new:
        return []
    if new < old:
        fix = f"set k3s_version to {runs}: going back takes a restore, not an upgrade"
        return [finding(host, f"k3s_version {wanted} is older than what runs", runs, fix)]
    if new[:2] > (old[0], old[1] + 1):
        fix = f"set k3s_version to a release of v{old[0]}.{old[1] + 1} and run homelab.mlops.upgrade, then the next minor"
        return [finding(host, f"k3s_version {wanted} skips a minor release", runs, fix)]
    if settings["upgrade"]:
        return []
    fix = f"run homelab.mlops.upgrade (playbooks/upgrade.yml), or set k3s_version to {runs}"
    return [finding(host, f"runs another K3s than k3s_version {wanted}", runs, fix)]


def _quorum_findings(host, provided, servers):
    """Servers that keep the cluster's state among themselves, in etcd, need a majority of them."""
    if host not in servers or len(servers) % 2 or provided.get("k3s_datastore_endpoint"):
        return []
    fix = f"add a server or move {servers[-1]} to k3s_workers; any number will do with k3s_datastore_endpoint"
    measured = f"{len(servers)} in k3s_servers"
    return [finding(host, "an even number of servers bears no more failures than one server less", measured, fix)]


def preflight_host(probe, host, groups, now, settings, specs, provided, known):
    """All findings of one host. ``probe`` is the registered result of homelab.mlops.node_info, whether it succeeded or not."""
    found = argument_findings(host, specs, provided, known)
    wrong = {one["finding"].split()[0] for one in found if one["level"] == "refuse"}
    if not any(name.startswith(("homelab_", "k3s_version", "clearml_agent_")) for name in wrong):
        found += value_findings(host, {name: value for name, value in provided.items() if name not in wrong}, settings)
    node = probe.get("node")
    if node:
        return found + node_findings(host, node, groups, now, settings)
    said = " ".join(str(probe.get("msg") or probe.get("module_stderr") or "no answer").split())
    # What ssh itself said, without what Ansible put around it.
    said = said.rpartition("ssh: ")[2].replace("Task failed: ", "")[:120]
    if probe.get("unreachable"):
        level = "refuse" if "k3s_servers" in groups and not settings["cluster_alive"] else "note"
        found.append(
            finding(host, "cannot be reached and is left out", said, "check name, address, key and network, then run again", level)
        )
    elif re.search(r"sudo|password|privilege|become", said, re.IGNORECASE):
        found.append(finding(host, "cannot become root", said, "allow sudo without password, or run with --ask-become-pass"))
    else:
        found.append(finding(host, "cannot run Ansible's modules", said, "install Python 3.8 or newer, and see that its disk is not full"))
    return found


def preflight_groups(groups):
    """What is wrong with the groups of the inventory, a dict of group names and their hosts."""
    where = "inventory"
    servers, workers = list(groups.get("k3s_servers") or []), list(groups.get("k3s_workers") or [])
    found = []
    if not servers:
        state = "empty" if "k3s_servers" in groups else "missing"
        found.append(finding(where, f"group k3s_servers is {state}", "0 hosts", "add one host below k3s_servers"))
    for host in sorted(set(servers) & set(workers)):
        found.append(finding(host, "is both server and worker", "in k3s_servers and k3s_workers", "remove it from k3s_workers"))
    if not groups.get("clearml_agents"):
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
        near = difflib.get_close_matches(name, GROUPS, n=1, cutoff=0.85)
        # A group below the right one may be named like it.
        if near and set(groups[name]) - set(groups.get(near[0]) or []):
            hosts = ", ".join(groups[name])
            found.append(finding(where, f"group {name} is used by no play", hosts, f"perhaps {near[0]} is meant: rename it", "note"))
    return found


def preflight_run(probes, groups, node_names, cluster_alive=True):
    """Findings that no host has alone. ``probes`` and ``node_names`` map the hosts of the run to their probe and node name.

    Without a living cluster a run must hold a server, which then founds it.
    """
    found = preflight_groups(groups)
    servers = groups.get("k3s_servers") or []
    if servers and not cluster_alive and not set(servers) & set(probes):
        where = ", ".join(servers)
        found.append(
            finding(where, "no server answers as a living cluster", "not part of this run", "start it, or run without --limit to found one")
        )
    nodes = {host: probe["node"] for host, probe in probes.items() if probe.get("node")}
    same = {}
    for host, node in nodes.items():
        same.setdefault(("machine-id", node["machine_id"]), []).append(host)
        same.setdefault(("host name", node["hostname"]), []).append(host)
        same.setdefault(("node name", node_names[host]), []).append(host)
    fixes = {
        "machine-id": "two names for one machine: keep one; a clone: remove /etc/machine-id and run systemd-machine-id-setup",
        "host name": "give each its own: `hostnamectl set-hostname NAME`",
        "node name": "set k3s_node_name of one of them",
    }
    for (what, value), hosts in same.items():
        if len(hosts) > 1 and value:
            found.append(finding(", ".join(sorted(hosts)), f"share one {what}", value, fixes[what]))
    return found


def preflight_merge(found):
    """Findings with refusals first; the same finding of several hosts becomes one with all their names."""
    merged = {}
    for one in found:
        merged.setdefault((one["level"], one["finding"], one["measured"], one["fix"]), []).append(one["host"])
    lines = [
        {"level": level, "host": ", ".join(dict.fromkeys(hosts)), "finding": text, "measured": measured, "fix": fix}
        for (level, text, measured, fix), hosts in merged.items()
    ]
    return sorted(lines, key=lambda one: (one["level"] != "refuse", one["host"]))


def preflight_table(found):
    """Merged findings as the text of a table, a line for each."""
    columns = ("host", "finding", "measured", "fix")
    rows = [dict(zip(columns, columns))] + [dict(one, host=one["host"] + (" (note)" if one["level"] == "note" else "")) for one in found]
    widths = {column: max(len(row[column]) for row in rows) for column in columns}
    return "\n".join(" | ".join(row[column].ljust(widths[column]) for column in columns).rstrip() for row in rows)


class FilterModule:
    """Filters of the role preflight."""

    def filters(self):
        return {
            "preflight_groups": preflight_groups,
            "preflight_host": preflight_host,
            "preflight_merge": preflight_merge,
            "preflight_run": preflight_run,
            "preflight_table": preflight_table,
        }
