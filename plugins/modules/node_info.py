#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: What a machine is and what K3s runs on it
version_added: 0.1.0
description:
  - Reads in one step what the roles need to know of a machine before they change it.
  - Changes nothing and reaches nothing outside the machine.
author:
  - homelab.mlops contributors (@homelab-mlops)
attributes:
  check_mode:
    description: Can run in check mode and return what it would return otherwise.
    support: full
  diff_mode:
    description: Returns details on what has changed.
    support: none
    details: Nothing is changed.
options:
  cluster:
    description:
      - Whether to ask the Kubernetes API of this machine for readiness and nodes.
      - It is asked only where the K3s server is running.
    type: bool
    default: false
  disks:
    description: Folders whose free space is measured. For a folder that does not exist yet, its nearest parent is.
    type: list
    elements: path
    default: []
  names:
    description: Names that the machine is asked to resolve, with O(network).
    type: list
    elements: str
    default: []
  network:
    description: Whether to read addresses, routes, open UDP ports and whether a firewall is at work.
    type: bool
    default: false
  ports:
    description: TCP ports of which it is read whether something listens on them.
    type: list
    elements: int
    default: []
  files:
    description: Files of which checksum and mode are read. None of them may hold a secret that could be guessed.
    type: list
    elements: path
    default: []
  modules:
    description: Kernel modules of which it is read whether they are loaded or built in.
    type: list
    elements: str
    default: []
  settings:
    description: Settings of the kernel whose present values are read, named as by C(sysctl).
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Look at the machine
  homelab.mlops.node_info:
    cluster: true
    disks: [/, /var/lib/rancher]
    ports: [6443, 10250]
  register: machine
"""

RETURN = r"""
node:
  description: What was read.
  returned: success
  type: dict
  contains:
    hostname:
      description: Name of the machine.
      type: str
      sample: node-01
    machine_id:
      description: Content of C(/etc/machine-id); empty when there is none.
      type: str
    architecture:
      description: As C(uname -m) says.
      type: str
      sample: x86_64
    python:
      description: Version of the Python that ran this module.
      type: str
      sample: 3.11.2
    os:
      description: C(id), C(version) and C(name) from C(/etc/os-release).
      type: dict
      sample: {id: debian, version: "12", name: Debian GNU/Linux 12 (bookworm)}
    systemd:
      description: Whether systemd is the init process.
      type: bool
    root:
      description: Whether the module ran as root.
      type: bool
    cgroup:
      description: Version of the control groups, V(1) or V(2).
      type: int
    memory_bytes:
      description: Memory in bytes.
      type: int
    swap_bytes:
      description: Swap space in bytes.
      type: int
    address:
      description: Address that packets to the default route carry; empty without one.
      type: str
      sample: 192.168.1.11
    epoch:
      description: The machine's clock, in seconds since 1970.
      type: float
    disks:
      description:
        - For each folder C(free_bytes), C(total_bytes), the existing C(folder) that was measured, the C(mount) point that it lies on, and
          whether its file system is C(readonly) or C(noexec) (programs there cannot be run).
      type: dict
    listening:
      description: Those of the ports in O(ports) on which something listens.
      type: list
      elements: int
    listeners:
      description: For each port of RV(node.listening), as text, the program that listens; empty when it is not known, as without root.
      type: dict
      sample: {"9000": /usr/sbin/nginx}
    k3s:
      description:
        - K3s on this machine. C(version) is that of the installed binary, empty without one. C(server) and C(agent) are the states of the
          units as systemd names them, empty without a unit. C(images) are names of image archives.
        - Of a server, C(data) is whether there is a folder of data, C(etcd) and C(sqlite) whether the data of a cluster is kept in an
          embedded etcd or in SQLite there, and C(authority) the SHA-256 of the certificate of the cluster's
          authority, which all its servers share.
        - C(join) is the URL by which the node joins, from C(config.yaml.d/10-join.yaml). C(password) is whether the node has the
          password that its name is bound to. C(files) are those of the files that K3s need not have, such as C(registries.yaml), that
          are there.
        - C(ready) is whether the API answers that it is ready and tells its nodes. C(nodes) has a dict for each node with C(name),
          C(address), C(addresses) (inner and outer ones), C(ready), C(version), C(machine_id), C(roles), C(server) (whether it is one),
          C(schedulable), C(cordoned_here) (whether M(homelab.mlops.k3s_drain) cordoned it, and it still is), C(etcd_voter) and C(kept)
          (whether labels or taints are kept in step by M(homelab.mlops.k3s_node)).
      type: dict
    files:
      description: Those of the files in O(files) that are there, each with C(sha256) and C(mode).
      type: dict
      sample: {/etc/hostname: {sha256: 01ba4719c80b6fe911b091a7c05124b64eeece964e09c058ef8f9805daca546b, mode: "0644"}}
    modules:
      description: Those of the modules in O(modules) that are loaded or built in.
      type: list
      elements: str
    network:
      description:
        - With O(network), C(addresses) (C(address), C(interface)), C(routes) (C(destination), C(interface)), C(udp) (bound ports),
          C(firewall) (V(ufw), V(firewalld) or empty) and C(names) (addresses of each name in O(names)); else empty.
        - Addresses and routes are unknown, and empty, on a machine without C(ip).
      type: dict
    settings:
      description: Values of the settings in O(settings) that the kernel has, as text.
      type: dict
      sample: {net.ipv4.ip_forward: "1"}
    clearml_agents:
      description: Whether agents of ClearML are set up on this machine, told by their folder C(/etc/clearml-agent).
      type: bool
    minio:
      description: Whether MinIO was set up on this machine as a unit of its own, told by the note C(/etc/minio/given.json).
      type: bool
"""

import glob
import hashlib
import json
import os
import platform
import re
import socket
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.mlops.plugins.module_utils.network import network

K3S = "/usr/local/bin/k3s"
DATA = "/var/lib/rancher/k3s"
JOIN = "/etc/rancher/k3s/config.yaml.d/10-join.yaml"
PASSWORD = "/etc/rancher/node/password"
# Files that are there only where the role k3s was asked for them, or where a node joined with a token.
OPTIONAL = (
    "/etc/rancher/k3s/homelab-token",
    "/etc/rancher/k3s/registries.yaml",
    "/etc/systemd/system/k3s.service.env",
    "/etc/systemd/system/k3s-agent.service.env",
)
ROLE = "node-role.kubernetes.io/"
# Annotations of homelab.mlops.k3s_drain and of homelab.mlops.k3s_node.
CORDONED = "homelab-mlops/cordoned"
KEPT = ("homelab-mlops/labels", "homelab-mlops/taints")
AGENTS = "/etc/clearml-agent"
MINIO = "/etc/minio/given.json"
API_SECONDS = 10


def os_release(text):
    """The three fields of os-release (man 5 os-release) that the roles use."""
    fields = {}
    for line in text.splitlines():
        key, sep, value = line.partition("=")
        if sep:
            fields[key.strip()] = value.strip().strip("\"'")
    return {
        "id": fields.get("ID", ""),
        "version": fields.get("VERSION_ID", ""),
        "name": fields.get("PRETTY_NAME", fields.get("NAME", "")),
    }


def meminfo(text):
    """Memory and swap in bytes from /proc/meminfo, whose numbers are in KiB (man 5 proc)."""
    kib = {}
    for line in text.splitlines():
        key, sep, value = line.partition(":")
        if sep and value.split():
            kib[key] = int(value.split()[0])
    return kib.get("MemTotal", 0) * 1024, kib.get("SwapTotal", 0) * 1024


def listening_ports(tables):
    """Ports in state 0A (listening), with the inodes of their sockets, from /proc/net/tcp and tcp6 (kernel: networking/proc_net_tcp)."""
    ports = {}
    for table in tables:
        for line in table.splitlines()[1:]:
            fields = line.split()
            if len(fields) > 9 and fields[3] == "0A":
                ports.setdefault(int(fields[1].rpartition(":")[2], 16), set()).add(fields[9])
    return ports


def programs_of(inodes, root="/proc"):
    """The program that holds each of the sockets, by its inode; another user's processes are seen by root alone."""
    found = {}
    for link in glob.glob(os.path.join(root, "[0-9]*/fd/*")) if inodes else []:
        try:
            inode = os.readlink(link).partition("socket:[")[2].rstrip("]")
            if inode in inodes:
                found[inode] = os.readlink(os.path.join(os.path.dirname(os.path.dirname(link)), "exe"))
        except OSError:
            continue
    return found


def mount_of(folder, mountinfo):
    """The mount point that a folder lies on, from the text of /proc/self/mountinfo (man 5 proc), where blanks are written as \\040."""
    points = [line.split()[4] for line in mountinfo.splitlines() if len(line.split()) > 4]
    points = [re.sub(r"\\([0-7]{3})", lambda octal: chr(int(octal.group(1), 8)), point) for point in points]
    above = [point for point in points if folder == point or folder.startswith(point.rstrip("/") + "/")]
    return max(above, key=len) if above else "/"


def nodes_of(text):
    """What the roles need to know of each node in the answer of `kubectl get nodes -o json`."""
    nodes = []
    for item in json.loads(text)["items"]:
        status, metadata = item.get("status", {}), item["metadata"]
        addresses = [one["address"] for one in status.get("addresses", []) if one["type"] == "InternalIP"]
        conditions = {one["type"]: one["status"] == "True" for one in status.get("conditions", [])}
        roles = sorted(label[len(ROLE) :] for label in metadata.get("labels", {}) if label.startswith(ROLE))
        cordoned = item.get("spec", {}).get("unschedulable", False)
        nodes.append(
            {
                "name": metadata["name"],
                "address": addresses[0] if addresses else "",
                "addresses": addresses + [one["address"] for one in status.get("addresses", []) if one["type"] == "ExternalIP"],
                "ready": conditions.get("Ready", False),
                "version": status.get("nodeInfo", {}).get("kubeletVersion", ""),
                "machine_id": status.get("nodeInfo", {}).get("machineID", ""),
                "roles": roles,
                "server": "control-plane" in roles,
                "schedulable": not cordoned,
                "cordoned_here": cordoned and CORDONED in metadata.get("annotations", {}),
                "etcd_voter": conditions.get("EtcdIsVoter", False),
                "kept": any(name in metadata.get("annotations", {}) for name in KEPT),
            }
        )
    return nodes


def join_url(text):
    """The value of the key server in the file by which a node joins; empty without one."""
    found = re.search(r"^server:\s*(\S+)\s*$", text, re.MULTILINE)
    return found.group(1).strip("\"'") if found else ""


def read(path):
    """The text of a file; empty when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as stream:
            return stream.read()
    except OSError:
        return ""


def checksum(path):
    """SHA-256 of a file in hexadecimal; empty when it cannot be read."""
    try:
        with open(path, "rb") as stream:
            return hashlib.sha256(stream.read()).hexdigest()
    except OSError:
        return ""


def file_state(path):
    """Checksum and mode of a file."""
    return {"sha256": checksum(path), "mode": f"{os.stat(path).st_mode & 0o7777:04o}"}


def has_module(name):
    """Whether the kernel has a module: loaded, built in, or at work without either, as in a container that sees no modules."""
    name = name.replace("-", "_")
    signs = {"br_netfilter": "/proc/sys/net/bridge/bridge-nf-call-iptables"}
    if os.path.exists(os.path.join("/sys/module", name)) or os.path.exists(signs.get(name, "")):
        return True
    if name in (line.split()[-1] for line in read("/proc/filesystems").splitlines() if line.split()):
        return True
    built_in = read(os.path.join("/lib/modules", platform.release(), "modules.builtin"))
    return any(os.path.basename(line).replace("-", "_") == name + ".ko" for line in built_in.split())


def setting(name):
    """A setting of the kernel as text; empty when the kernel has none of that name."""
    return " ".join(read(os.path.join("/proc/sys", name.replace(".", "/"))).split())


def own_address():
    """The address that a packet to the default route would carry: a UDP socket is connected, nothing is sent."""
    for family, target in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        with socket.socket(family, socket.SOCK_DGRAM) as probe:
            try:
                probe.connect((target, 9))
            except OSError:
                continue
            return probe.getsockname()[0]
    return ""


def disk(path):
    """Space of the file system that `path` is or will be on."""
    folder = os.path.abspath(path)
    while not os.path.isdir(folder):
        folder = os.path.dirname(folder)
    state = os.statvfs(folder)
    return {
        "folder": folder,
        "mount": mount_of(os.path.realpath(folder), read("/proc/self/mountinfo")),
        "free_bytes": state.f_bavail * state.f_frsize,
        "total_bytes": state.f_blocks * state.f_frsize,
        "readonly": bool(state.f_flag & os.ST_RDONLY),
        "noexec": bool(state.f_flag & os.ST_NOEXEC),
    }


def unit_state(module, unit):
    """ActiveState of a unit; empty when systemd does not know it."""
    systemctl = module.get_bin_path("systemctl")
    if not systemctl:
        return ""
    _rc, out, _err = module.run_command([systemctl, "show", "-p", "LoadState,ActiveState", unit])
    fields = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    return fields.get("ActiveState", "") if fields.get("LoadState") == "loaded" else ""


def k3s(module):
    """What is installed and running of K3s."""
    found = {
        "version": "",
        "server": unit_state(module, "k3s.service"),
        "agent": unit_state(module, "k3s-agent.service"),
        "data": os.path.isdir(os.path.join(DATA, "server/db")),
        # As K3s tells it: pkg/etcd/etcd.go, IsInitialized; pkg/etcd/etcd.go, migrateFromSQLite.
        "etcd": os.path.isdir(os.path.join(DATA, "server/db/etcd/member/wal")),
        "sqlite": os.path.isfile(os.path.join(DATA, "server/db/state.db")),
        "authority": checksum(os.path.join(DATA, "server/tls/server-ca.crt")),
        "join": join_url(read(JOIN)),
        "password": os.path.isfile(PASSWORD),
        "files": [path for path in OPTIONAL if os.path.isfile(path)],
        "images": sorted(os.path.basename(path) for path in glob.glob(os.path.join(DATA, "agent/images/*"))),
        "ready": False,
        "nodes": [],
    }
    if os.access(K3S, os.X_OK):
        rc, out, _err = module.run_command([K3S, "--version"])
        # The first line reads: k3s version v1.34.1+k3s1 (24fc436e)
        words = out.split()
        if rc == 0 and words[:2] == ["k3s", "version"] and len(words) > 2:
            found["version"] = words[2]
    if module.params["cluster"] and found["version"] and found["server"] == "active":
        kubectl = [K3S, "kubectl", f"--request-timeout={API_SECONDS}s", "get"]
        rc, out, _err = module.run_command([*kubectl, "--raw=/readyz"])
        found["ready"] = rc == 0 and out.strip() == "ok"
        if found["ready"]:
            rc, out, _err = module.run_command([*kubectl, "nodes", "-o", "json"])
            # An API that does not tell its nodes is not ready: a cluster without any would look as if every name were free.
            found["ready"] = rc == 0
            found["nodes"] = nodes_of(out) if rc == 0 else []
    return found


def main():
    module = AnsibleModule(
        argument_spec={
            "cluster": {"type": "bool", "default": False},
            "disks": {"type": "list", "elements": "path", "default": []},
            "names": {"type": "list", "elements": "str", "default": []},
            "network": {"type": "bool", "default": False},
            "ports": {"type": "list", "elements": "int", "default": []},
            "files": {"type": "list", "elements": "path", "default": []},
            "modules": {"type": "list", "elements": "str", "default": []},
            "settings": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    memory, swap = meminfo(read("/proc/meminfo"))
    busy = listening_ports([read("/proc/net/tcp"), read("/proc/net/tcp6")])
    listening = {port: busy[port] for port in module.params["ports"] if port in busy}
    programs = programs_of({inode for inodes in listening.values() for inode in inodes})
    node = {
        "hostname": platform.node(),
        "machine_id": read("/etc/machine-id").strip(),
        "architecture": platform.machine(),
        "python": platform.python_version(),
        "os": os_release(read("/etc/os-release")),
        "systemd": os.path.isdir("/run/systemd/system"),
        "root": os.geteuid() == 0,
        "cgroup": 2 if os.path.exists("/sys/fs/cgroup/cgroup.controllers") else 1,
        "memory_bytes": memory,
        "swap_bytes": swap,
        "address": own_address(),
        "epoch": time.time(),
        "disks": {path: disk(path) for path in module.params["disks"]},
        "listening": sorted(listening),
        "listeners": {
            str(port): next((programs[one] for one in sorted(inodes) if one in programs), "") for port, inodes in listening.items()
        },
        "files": {path: file_state(path) for path in module.params["files"] if os.path.isfile(path)},
        "modules": [name for name in module.params["modules"] if has_module(name)],
        "network": network(module, read, unit_state, module.params["names"]) if module.params["network"] else {},
        "settings": {name: setting(name) for name in module.params["settings"] if setting(name)},
        "k3s": k3s(module),
        "clearml_agents": os.path.isdir(AGENTS),
        "minio": os.path.isfile(MINIO),
    }
    module.exit_json(changed=False, node=node)


if __name__ == "__main__":
    main()
