# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order of K3s's releases, which is the same for preflight and for an upgrade."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.homelab.mlops.plugins.filter import k3s_upgrade
from ansible_collections.homelab.mlops.plugins.plugin_utils.k3s_release import release
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.releases import version_findings
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import SETTINGS, changed

ORDER = [
    "v1.33.9+k3s1",
    "v1.33.10+k3s1",
    "v1.34.1-rc1+k3s1",
    "v1.34.1-rc1+k3s2",
    "v1.34.1-rc2+k3s1",
    "v1.34.1+k3s1",
    "v1.34.1+k3s2",
    "v1.34.2-rc1+k3s1",
    "v1.34.10+k3s1",
]


@pytest.mark.parametrize(("older", "newer"), itertools.combinations(ORDER, 2))
def test_preflight_and_upgrade_take_the_newer_and_refuse_the_older(older, newer):
    assert release(older) < release(newer)
    upgrade = changed(SETTINGS, k3s_version=newer, upgrade=True)
    assert version_findings("node-01", older, upgrade) == [] and plan(older, newer)["refusals"] == []
    back = changed(SETTINGS, k3s_version=older, upgrade=True)
    (found,) = version_findings("node-01", newer, back)
    (refusal,) = plan(newer, older)["refusals"]
    assert "is older than what runs" in found["finding"] and f"{older} is older" in refusal


def plan(runs, target):
    """The plan of an upgrade of one server."""
    node = {"name": "node-01", "version": runs, "server": True, "ready": True, "etcd_voter": False}
    probe = {"k3s": {"version": runs, "server": "active", "agent": "", "etcd": False}}
    return k3s_upgrade.k3s_upgrade_plan(
        [node], target, ["node-01"], [], {"node-01": "node-01"}, {"node-01": probe}, ["node-01"], {"node-01": target}
    )


@pytest.mark.parametrize("text", ["", "v1.34.1", "1.34.1+k3s1", "v1.34.1+rke2r1", "v1.34.1-beta1+k3s1", "latest"])
def test_what_is_no_release(text):
    assert release(text) is None
