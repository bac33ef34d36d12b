# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Why a node does not get another one."""

from __future__ import annotations

from ansible_collections.homelab.mlops.plugins.plugin_utils.k3s_release import release
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding


def version_findings(host, runs, settings):
    """Why a node that has one release of K3s does not get another in this run. An upgrade takes one minor at a time."""
    wanted = settings["k3s_version"]
    old, new = release(runs), release(wanted)
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
