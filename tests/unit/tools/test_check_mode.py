# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check mode with a tag: a machine that lacks an earlier phase gets the refusal of a real run, not a promise."""

import re

import pytest

SERVER = {"name": "homelab.mlops.clearml_server", "tasks_from": "probe", "rolespec_validate": False}
STORE = {"name": "homelab.mlops.minio", "tasks_from": "probe", "rolespec_validate": False}
WORKSPACE = {"name": "homelab.mlops.clearml_workspace", "rolespec_validate": False}
# One after another what earlier phases of a run find out of themselves, which phase follows, and how it ends.
STORY = [
    ({"__admin_tools_helm_there": False}, SERVER, "no server of the cluster answers: run site.yml without --tags."),
    ({"__k3s_would_install": False}, SERVER, "no server of the cluster answers: run site.yml without --tags."),
    ({}, STORE, "no server of the cluster answers: run site.yml without --tags."),
    ({"__k3s_would_install": True}, WORKSPACE, "has no services_agent_key: run site.yml with --tags server first"),
    ({}, STORE, "promised"),
    ({}, SERVER, "promised"),
    ({}, WORKSPACE, "promised"),
]


@pytest.fixture(scope="module")
def ends(play):
    """How each phase ends; the machine is this one, which has no K3s."""
    tasks = []
    for number, (found, phase, _end) in enumerate(STORY):
        if found:
            tasks.append({"ansible.builtin.set_fact": found})
        promised = {"ansible.builtin.debug": {"msg": f"end {number}: promised"}}
        refused = {"ansible.builtin.debug": {"msg": f"end {number}: {{{{ ansible_failed_result.msg }}}}"}}
        tasks.append({"block": [{"ansible.builtin.include_role": phase}, promised], "rescue": [refused]})
    output = play({"node-01": {"homelab_admin_python": "/opt/homelab-mlops/nothing/bin/python"}}, tasks, "--check")
    found = dict(re.findall(r'"msg": "end (\d): (.*)"', output))
    assert len(found) == len(STORY), output
    return found


@pytest.mark.parametrize("number", range(len(STORY)))
def test_a_phase_on_a_bare_machine(ends, number):
    assert ends[str(number)].endswith(STORY[number][2])
