# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a machine, whatever runs on it."""

from __future__ import annotations

import re

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, numbers

GIB = 1 << 30

# Lowest and highest version of each operating system that is supported.
SYSTEMS = {"debian": ("11", "13"), "ubuntu": ("22.04", "26.04")}
ARCHITECTURES = ("x86_64", "aarch64")
SECONDS_OF_GRACE = 5


def installed(node):
    """Whether the collection has been at work on a machine: K3s, agents or MinIO are set up there."""
    return bool(node["k3s"]["server"] or node["k3s"]["agent"] or node["clearml_agents"] or node["minio"])


def machine_findings(host, node, now, settings):
    """What speaks against a machine. ``node`` is the result of homelab.mlops.node_info, ``now`` the controller's clock (seconds)."""
    found = []
    low, high = SYSTEMS.get(node["os"]["id"], ("", ""))
    version = node["os"]["version"]
    if not low or not version or not numbers(low) <= numbers(version) <= numbers(high):
        found.append(
            finding(
                host, "operating system is not supported", node["os"]["name"] or "unknown", "use Debian 11 to 13 or Ubuntu 22.04 to 26.04"
            )
        )
    if node["architecture"] not in ARCHITECTURES:
        found.append(finding(host, "architecture is not supported", node["architecture"], "use a machine of x86_64 or aarch64"))
    if numbers(node["python"])[:2] < [3, 8]:
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
    lenient = "note" if installed(node) else "refuse"
    for path, wanted in settings["free_gib"].items():
        state, wanted = node["disks"][path], int(wanted)
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
    return found


def absence_findings(host, probe, groups, settings):
    """Why nothing is known of a machine. ``probe`` is the failed result of homelab.mlops.node_info."""
    said = " ".join(str(probe.get("msg") or probe.get("module_stderr") or "no answer").split())
    # What ssh itself said, without what Ansible put around it.
    said = said.rpartition("ssh: ")[2].replace("Task failed: ", "")[:120]
    if probe.get("unreachable"):
        needed = "minio_servers" in groups and not settings["servers"]
        level = "refuse" if needed or "k3s_servers" in groups and not settings["cluster_alive"] else "note"
        return [finding(host, "cannot be reached and is left out", said, "check name, address, key and network, then run again", level)]
    if re.search(r"sudo|password|privilege|become", said, re.IGNORECASE):
        return [finding(host, "cannot become root", said, "allow sudo without password, or run with --ask-become-pass")]
    return [finding(host, "cannot run Ansible's modules", said, "install Python 3.8 or newer, and see that its disk is not full")]
