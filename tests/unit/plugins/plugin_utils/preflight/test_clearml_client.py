# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""People whom nobody makes, and queues that nobody makes."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.clearml_client import client_findings, queue_findings
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import facts

ALICE = {"user": "alice", "clearml_user": "alice"}


def settings(alive=False):
    queues = [{"name": "default"}, {"name": "gpu", "tags": ["nvidia"]}, {"name": "old", "state": "absent"}]
    return {"cluster_alive": alive, "workspace": {"server_users": [{"name": "homelab"}], "users": [{"name": "alice"}], "queues": queues}}


def clients(people, alive=False, **further):
    return facts(client_findings("gpu-01", {"clearml_client_people": people, **further}, settings(alive)))


def test_right_people():
    assert client_findings("gpu-01", {}, settings()) == []
    assert clients([ALICE, dict(ALICE, form="environment"), dict(ALICE, path="/srv/clearml.conf")]) == []


@pytest.mark.parametrize(
    ("people", "finding"),
    [
        (
            [dict(ALICE, path="clearml.conf")],
            ("refuse", "clearml_client_people has an entry that cannot be", "alice"),
        ),
        (
            [ALICE, dict(ALICE, form="conf")],
            ("refuse", "clearml_client_people has two entries for one file", "~/clearml.conf of alice"),
        ),
        (
            [ALICE, {"user": "bob", "clearml_user": "bob"}],
            ("refuse", "clearml_client_people names a user whom the settings do not make", "bob"),
        ),
    ],
)
def test_people_that_cannot_be(people, finding):
    assert clients(people) == [finding]


def test_somebody_may_have_made_the_user_on_a_server_that_runs():
    assert [level for level, _finding, _measured in clients([{"user": "bob", "clearml_user": "bob"}], alive=True)] == ["note"]


def test_a_name_that_no_variable_can_have():
    found = clients([], clearml_client_environment={"MY-NAME": 1, "HTTPS_PROXY": "x"})
    assert found == [("refuse", "clearml_client_environment has a name that no variable can have", "MY-NAME")]


@pytest.mark.parametrize(
    ("provided", "missing"),
    [
        ({}, ""),
        ({"clearml_agent_queues": ["gpu", "default"]}, ""),
        ({"clearml_agent_queues": ["gpus", "default"]}, "gpus"),
        ({"clearml_agent_queues": ["old"]}, "old"),
        ({"clearml_agent_queues": ["gpus"], "clearml_agent_instances": [{"name": "a", "queues": ["gpu"]}]}, ""),
        ({"clearml_agent_instances": [{"name": "a"}, {"name": "b", "queues": ["high-mem", "gpu", "cpu"]}]}, "high-mem, cpu"),
        ({"clearml_agent_instances": [{"name": "a", "queues": []}]}, ""),
    ],
)
def test_queues_that_agents_listen_to_and_nobody_makes(provided, missing):
    found = queue_findings("gpu-01", provided, settings())
    assert facts(found) == ([("refuse", "agents listen to a queue that the workspace does not make", missing)] if missing else [])
    assert [one["host"] for one in found] == (["gpu-01"] if missing else [])


def test_lists_of_the_wrong_type_make_nothing():
    wrong = {"cluster_alive": False, "workspace": {"server_users": "homelab", "users": None, "queues": ["default"]}}
    assert [one["measured"] for one in queue_findings("gpu-01", {}, wrong)] == ["default"]
    assert [one["measured"] for one in client_findings("gpu-01", {"clearml_client_people": [ALICE]}, wrong)] == ["alice"]


def test_somebody_may_have_made_the_queue_on_a_server_that_runs():
    assert [one["level"] for one in queue_findings("gpu-01", {"clearml_agent_queues": ["mine"]}, settings(alive=True))] == ["note"]
