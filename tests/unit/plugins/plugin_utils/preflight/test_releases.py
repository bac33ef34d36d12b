# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of K3s: which one may follow which."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import releases
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import SETTINGS, changed


@pytest.mark.parametrize(
    ("runs", "wanted", "upgrade", "text", "fix"),
    [
        ("v1.33.1+k3s1", "v1.34.1+k3s1", False, "runs another K3s than k3s_version v1.34.1+k3s1", "run homelab.mlops.upgrade"),
        ("v1.34.1+k3s1", "v1.34.1+k3s2", False, "runs another K3s than k3s_version v1.34.1+k3s2", "run homelab.mlops.upgrade"),
        ("v1.32.9+k3s1", "v1.34.1+k3s1", False, "k3s_version v1.34.1+k3s1 skips a minor release", "set k3s_version to a release of v1.33"),
        ("v1.32.9+k3s1", "v1.34.1+k3s1", True, "k3s_version v1.34.1+k3s1 skips a minor release", "set k3s_version to a release of v1.33"),
        ("v1.34.2+k3s1", "v1.34.1+k3s1", False, "k3s_version v1.34.1+k3s1 is older than what runs", "set k3s_version to v1.34.2+k3s1"),
        ("v1.34.1+k3s1", "v1.34.1-rc1+k3s1", True, "k3s_version v1.34.1-rc1+k3s1 is older than what runs", "set k3s_version to v1.34.1"),
    ],
)
def test_a_version_that_differs_from_what_runs(runs, wanted, upgrade, text, fix):
    (found,) = releases.version_findings("node-01", runs, changed(SETTINGS, k3s_version=wanted, upgrade=upgrade))
    assert (found["finding"], found["measured"]) == (text, runs)
    assert found["fix"].startswith(fix)


@pytest.mark.parametrize("runs", ["v1.33.1+k3s1", "v1.34.0+k3s1", "v1.34.1-rc2+k3s1", "v1.34.1+k3s1"])
def test_an_upgrade_may_find_an_older_release(runs):
    assert releases.version_findings("node-01", runs, changed(SETTINGS, upgrade=True)) == []


@pytest.mark.parametrize("runs", ["", "v1.34.1+k3s1", "v1.34.1"])
def test_nothing_to_say(runs):
    assert releases.version_findings("node-01", runs, SETTINGS) == []
