# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whose a GPU is: K3s's or the host's agents', never both, because the kubelet does not see what runs outside K3s."""

from __future__ import annotations

import re

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding

ALL = "all"
CHECKSUM = re.compile(r"[0-9a-fA-F]{64}")
UUID = re.compile(r"GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def owner_findings(host, member, listed, instances, gpus):
    """What speaks against the GPUs that a host gives to K3s.

    ``listed`` is homelab_k3s_gpus of the host, ``member`` whether it is a node of K3s, ``instances`` its clearml_agent_instances,
    ``gpus`` what homelab.mlops.gpu_info found there, None when it was not asked.
    """
    unfit = [one for one in listed if one != ALL and not UUID.fullmatch(str(one))]
    if unfit:
        return [
            finding(host, "homelab_k3s_gpus has what is no GPU", ", ".join(map(str, unfit)), "write UUIDs as `nvidia-smi -L` does, or all")
        ]
    if listed and not member:
        return [finding(host, "GPUs are given to K3s on a host that is no node", ", ".join(listed), "remove homelab_k3s_gpus there")]
    found = []
    if gpus is not None and not any(gpu["uuid"] is None for gpu in gpus):
        away = [one for one in listed if one != ALL and one not in [gpu["uuid"] for gpu in gpus]]
        if away:
            there = ", ".join(gpu["uuid"] for gpu in gpus) or "none"
            found.append(finding(host, f"homelab_k3s_gpus has {', '.join(away)}", f"there: {there}", "correct homelab_k3s_gpus"))
    for instance in instances:
        for name in instance.get("gpus") or []:
            uuid = uuid_of(str(name), gpus or [])
            if ALL in listed or uuid in listed:
                found.append(
                    finding(
                        host,
                        f"GPU {name} is K3s's and agent instance {instance.get('name', '')}'s",
                        uuid if uuid in listed else ALL,
                        "remove it from homelab_k3s_gpus or from clearml_agent_instances",
                    )
                )
    return found


def plugin_findings(host, provided):
    """Settings of the device plugin that fit their type and still cannot work. The role asks the same when it works alone."""
    found = []
    replicas = int(provided.get("nvidia_device_plugin_time_slicing_replicas") or 0)
    if replicas < 0 or replicas == 1:
        fix = "write 2 or more, or 0 for GPUs that are one pod's each"
        found.append(finding(host, "nvidia_device_plugin_time_slicing_replicas shares nothing", replicas, fix))
    checksum = provided.get("nvidia_device_plugin_chart_checksum")
    if checksum and not CHECKSUM.fullmatch(checksum):
        fix = "give the 64 hexadecimal digits of the chart's SHA-256, or nothing"
        found.append(finding(host, "nvidia_device_plugin_chart_checksum is no SHA-256", checksum, fix))
    return found


def plugin_owner_findings(host, member, listed, plugin):
    """What speaks against a device plugin for the GPUs that nodes give to K3s.

    ``listed`` and ``member`` as in owner_findings; ``plugin`` holds ``wanted``, ``admin`` (the host that installs it) and ``nodes``,
    those of the inventory that give GPUs to K3s. NVIDIA's plugin has no setting for some of a node's GPUs: its chart shows it all.
    """
    if not plugin["wanted"]:
        return []
    found = []
    if host == plugin["admin"] and not plugin["nodes"]:
        fix = "write homelab_k3s_gpus: [all] for one, or set nvidia_device_plugin_enabled to false"
        found.append(
            finding(host, "the device plugin is wanted and no node gives its GPUs to K3s", "homelab_k3s_gpus is empty on all", fix)
        )
    if member and listed and ALL not in listed:
        fix = "write homelab_k3s_gpus: [all], or [] there, or set nvidia_device_plugin_enabled to false"
        found.append(finding(host, "the device plugin gives out all GPUs of a node, not some", ", ".join(map(str, listed)), fix))
    return found


def uuid_of(name, gpus):
    """UUID of the GPU that an agent's setting names: by UUID, by that of a MIG device in it, or by index; the name itself if unknown."""
    index = name.partition(":")[0]
    for gpu in gpus:
        mig = [device["uuid"] for device in gpu["mig_devices"]]
        if gpu["uuid"] and (name in [gpu["uuid"]] + mig or (gpu["index"] is not None and index == str(gpu["index"]))):
            return gpu["uuid"]
    return name
