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


def queues(server, **options):
    return run("clearml_queue_info", **dict(server.connection, **options))


def test_all_with_entries_waiting_times_and_workers(server, monkeypatch):
    workers = [{"name": "gpu-02:0", "ip": "192.0.2.32", "task": {"id": "t9"}}, {"name": "gpu-01:0", "ip": "192.0.2.31", "task": None}]
    server.add_queue("testq", tasks=["t1", "t2"], tags=["b", "a"], display_name="Test", workers=workers)
    server.add_queue("default", system_tags=["default"])
    server.queues[0]["entries"][0]["added"] = "2026-11-21T00:25:00.696000+00:00"
    monkeypatch.setattr(transport.Transport, "server_time", lambda self: times.moment_of("2026-11-21T00:25:20+00:00"))
    found = queues(server, check=True)
    assert (found["changed"], found["count"]) == (False, 2)
    default, testq = found["queues"]
    assert (default["name"], default["default"], default["entries"], default["workers"]) == ("default", True, [], [])
    assert default["longest_wait_seconds"] == 0
    assert (testq["display_name"], testq["tags"], testq["default"]) == ("Test", ["a", "b"], False)
    assert testq["workers"] == [
        {"id": "gpu-01:0", "ip": "192.0.2.31", "busy": False, "task": None},
        {"id": "gpu-02:0", "ip": "192.0.2.32", "busy": True, "task": "t9"},
    ]
    assert testq["entries"] == [
        {"id": "t1", "name": "name of t1", "added": "2026-11-21T00:25:00.696000+00:00", "waiting_seconds": 19},
        {"id": "t2", "name": "name of t2", "added": "2026-11-21T00:25:10.696000+00:00", "waiting_seconds": 9},
    ]
    assert testq["longest_wait_seconds"] == 19
    assert server.called() == ["queues.get_all_ex"]


def test_as_the_real_server_joins_task_names(server):
    recorded = RECORDED["queues.get_all_ex: with entries (task names joined)"]["body"]["data"]["queues"]
    server.queues_get_all_ex = lambda body, user: {"queues": recorded}
    found = queues(server)["queues"][0]
    assert [entry["name"] for entry in found["entries"]] == ["no-script", "task-1", "task-2", "task-4"]
    assert found["longest_wait_seconds"] == max(entry["waiting_seconds"] for entry in found["entries"])


def test_one_by_its_exact_name(server):
    for name in ("gpu", "gpu-2", "GPU", "g.u"):
        server.add_queue(name)
    assert [queue["name"] for queue in queues(server, name="g.u")["queues"]] == ["g.u"]
    assert queues(server, name="nosuch")["queues"] == []
    assert server.called()[-1] == "queues.get_all_ex"
