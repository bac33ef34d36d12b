# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import times, transport
from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import RECORDED, ClearMLServer
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def workers(server, **options):
    return run("clearml_worker_info", **dict(server.connection, **options))


@pytest.mark.parametrize("ago, alive", [(12, True), (90, True), (91, False)])
def test_an_agent_at_work(server, monkeypatch, ago, alive):
    monkeypatch.setattr(transport.Transport, "server_time", lambda self: times.moment_of("2026-11-21T00:33:18+00:00") + ago + 1)
    server.workers = RECORDED["workers.get_all: an agent at work"]["body"]["data"]["workers"]
    found = workers(server, check=True)
    assert (found["changed"], found["count"], found["busy_count"]) == (False, 1, 1)
    assert found["workers"][0] == {
        "id": "realbox:cpu:0",
        "alive": alive,
        "busy": True,
        "task": {"id": "d452d26027c94b388b2ad85ce5f409f4", "name": "longone", "running_seconds": 20},
        "gpus": [],
        "queue": "testq",
        "queues": ["testq"],
        "last_seen": "2026-11-21T00:33:18.726066+00:00",
        "seen_seconds_ago": ago,
        "last_report": "2026-11-21T00:33:18.726066+00:00",
        "ip": "127.0.0.1",
        "tags": [],
        "user": {"id": "ebd9c614fe1dfb0bcb4618861bd238fd", "name": "Alice Example"},
    }


@pytest.mark.parametrize(
    ("name", "gpus"),
    [("gpu-01:gpu0", ["0"]), ("box:gpu0,1", ["0", "1"]), ("box:gpuall", ["all"]), ("gpu-01:cpu", []), ("gpu0", []), ("box:gpus", [])],
)
def test_the_gpus_that_an_id_names(server, name, gpus):
    (agent,) = RECORDED["workers.get_all: an agent at work"]["body"]["data"]["workers"]
    server.workers = [{**agent, "id": name}]
    assert workers(server)["workers"][0]["gpus"] == gpus


def test_two_users_with_the_same_worker_id_one_idle(server):
    server.workers = RECORDED["workers.get_all: with a task"]["body"]["data"]["workers"]
    found = workers(server, pattern="host1*", last_seen_seconds=60)
    assert [(worker["id"], worker["user"]["name"], worker["busy"]) for worker in found["workers"]] == [
        ("host1:0", "Alice Example", True),
        ("host1:0", "Bob Example", False),
    ]
    assert found["workers"][1]["task"] is None
    assert found["busy_count"] == 1
    assert server.calls[-1][:2] == ("workers.get_all", {"worker_pattern": "host1*", "last_seen": 60})


def test_nobody_and_bad_input(server):
    assert workers(server)["workers"] == []
    assert server.calls[-1][1] == {}
    assert workers(server, last_seen_seconds=0)["msg"] == "last_seen_seconds must be above 0"
    assert workers(server, secret_key="wrong-secret")["result_code"] == 401
