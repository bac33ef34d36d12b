# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a machine as the host of the object store, and against the settings of MinIO there."""

from __future__ import annotations

import re

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding

GIB = 1 << 30
# Where the role puts its binaries: what listens from there is the MinIO of an earlier run.
OWN_BINARIES = "/usr/local/lib/homelab-mlops/minio-"
# systemd and MinIO read blanks, $, % and {1...4} in a path as something else.
FOLDER = re.compile(r"(/[A-Za-z0-9._-]+){2,}")
NOT_FOR_DATA = re.compile(
    r"/(bin|boot|dev|etc|lib|lib64|proc|run|sbin|sys|tmp|usr)/.*|/var/(cache|lib|lib/homelab-mlops(/.*)?|log|run|spool|tmp)|.*/\.{1,2}(/.*)?"
)
USER = re.compile(r"[a-z_][a-z0-9_-]{0,31}")
CHECKSUM = re.compile(r"[0-9a-f]{64}")
RELEASE = re.compile(r"RELEASE\.\d{4}-\d\d-\d\dT\d\d-\d\d-\d\dZ")


def setting_findings(host, provided):
    """Settings of MinIO as a unit. ``provided`` maps variables to values of their type."""
    found = []
    folder, mount = provided.get("minio_data_dir", "/var/lib/minio"), provided.get("minio_data_mount", "")
    if not FOLDER.fullmatch(folder) or NOT_FOR_DATA.fullmatch(folder):
        fix = "name a folder of its own, such as /srv/disk1/minio, of letters, digits, dots, dashes and underscores"
        found.append(finding(host, "minio_data_dir cannot hold the data", folder, fix))
    elif mount and not (folder + "/").startswith(mount.rstrip("/") + "/"):
        fix = "name a folder on it as minio_data_dir, or the right minio_data_mount"
        found.append(finding(host, "minio_data_dir is not below minio_data_mount", f"{folder}, {mount}", fix))
    user = provided.get("minio_host_user", "minio")
    if not USER.fullmatch(user) or user == "root":
        fix = "name a user of its own, such as minio, of small letters, digits, dashes and underscores"
        found.append(finding(host, "minio_host_user cannot run MinIO", user, fix))
    release = provided.get("minio_version", "")
    if release and not RELEASE.fullmatch(release):
        fix = "write it in full, such as RELEASE.2025-09-07T16-13-09Z"
        found.append(finding(host, "minio_version is no release of MinIO", release, fix))
    checksum = provided.get("minio_binary_checksum", "")
    if checksum and not CHECKSUM.fullmatch(checksum):
        fix = "write the 64 small hexadecimal digits that `sha256sum` says"
        found.append(finding(host, "minio_binary_checksum is no SHA-256", checksum, fix))
    if provided.get("minio_binary_file") and not checksum:
        fix = "set minio_binary_checksum to what `sha256sum` says of it"
        found.append(finding(host, "minio_binary_file has no checksum", provided["minio_binary_file"], fix))
    return found


def host_findings(host, node, settings):
    """What speaks against a machine.

    ``settings`` holds ``data_dir``, ``data_mount``, ``free_gib``, ``address`` (of the inventory, or empty) and ``ports`` by what
    answers there.
    """
    found = []
    own = [one["address"] for one in node["network"].get("addresses", [])]
    if settings["address"] and own and settings["address"].lower() not in own:
        fix = "remove homelab_s3_address (the example's is of a cluster with MetalLB), or give the machine this address first"
        found.append(finding(host, "homelab_s3_address is no address of the object store's machine", settings["address"], fix))
    state = node["disks"].get(settings["data_dir"])
    mount = settings["data_mount"].rstrip("/")
    if state and mount and state["mount"] != mount:
        fix = f"mount it (`mount {mount}`, and a line in /etc/fstab), or correct minio_data_mount"
        found.append(finding(host, f"{mount}, of minio_data_mount, is not mounted", f"{settings['data_dir']} is on {state['mount']}", fix))
    elif state and state["readonly"]:
        fix = f"mount {state['mount']} for writing; see `dmesg` for errors of the disk"
        found.append(finding(host, "minio_data_dir is on a file system that cannot be written", state["mount"], fix))
    elif state and state["free_bytes"] < int(settings["free_gib"]) * GIB:
        found.append(
            finding(
                host,
                f"too little space for {settings['data_dir']}",
                f"{state['free_bytes'] / GIB:.1f} GiB free, {settings['free_gib']} GiB needed",
                f"free space on {state['mount']}, or name a folder on another disk as minio_data_dir",
                "note" if node["minio"] else "refuse",  # what runs here already fills the disk by and by
            )
        )
    for service, port in settings["ports"].items():
        program = node["listeners"].get(str(port))
        if program is not None and not program.startswith(OWN_BINARIES):
            fix = f"stop it, or set homelab_{service}_port to another port"
            found.append(finding(host, f"port {port} for MinIO is taken", program or "by an unknown program", fix))
    firewall = node["network"].get("firewall") if not node["minio"] else ""
    if firewall:
        ports = [str(port) for port in settings["ports"].values()]
        command = f"ufw allow {','.join(ports)}/tcp"
        if firewall == "firewalld":
            command = "firewall-cmd --permanent " + " ".join(f"--add-port={port}/tcp" for port in ports) + " && firewall-cmd --reload"
        found.append(finding(host, f"{firewall} may keep clients from MinIO", f"TCP {', '.join(ports)}", f"`{command}`", "note"))
    return found


def group_findings(groups):
    """What is wrong with the group minio_servers."""
    stores = list(groups.get("minio_servers") or [])
    if len(stores) < 2:
        return []
    fix = "leave one: MinIO on several machines needs four disks or more, which this collection does not build"
    return [finding("inventory", "group minio_servers has more than one host", ", ".join(stores), fix)]
