# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the double has answered survives its sudden death, in both places where the state can be."""

import http.client
import json
import signal
from concurrent.futures import ThreadPoolExecutor

import pytest
from redis_server import Redis
from server import Double, basic

ALICE = basic("alice", "alice-pw-1")


@pytest.fixture(params=["sqlite", "redis"])
def start(request, tmp_path):
    """A function that starts a double on the same state every time."""
    redis = None
    if request.param == "redis":
        redis = Redis(tmp_path / "redis")
        redis.start()

    def run():
        if redis:
            return Double("fixed", environment={"CLEARML_REDIS_SERVICE_HOST": "127.0.0.1", "CLEARML_REDIS_SERVICE_PORT": str(redis.port)})
        return Double("fixed", "--state", tmp_path / "state.sqlite")

    run.redis = redis
    yield run
    if redis:
        redis.stop()


def fill(double):
    """Something of everything; what a reader sees of it afterwards."""
    token = double.call("auth.login", {}, ALICE)["data"]["token"]
    gone = double.call("auth.login", {}, ALICE)["data"]["token"]
    double.call("auth.logout", {}, f"Bearer {gone}")
    pair = double.call("auth.create_credentials", {"label": "kept"}, ALICE)["data"]["credentials"]
    queue = double.call("queues.create", {"name": "kept", "tags": ["b", "a"]}, ALICE)["data"]["id"]
    project = double.call("projects.create", {"name": "top/leaf"}, ALICE)["data"]["id"]
    task = double.call("tasks.create", {"name": "kept", "type": "training", "project": project}, ALICE)["data"]["id"]
    double.call("tasks.enqueue", {"task": task, "queue": queue}, ALICE)
    double.call("workers.register", {"worker": "w:0", "queues": [queue]}, ALICE)
    events = [{"type": "log", "task": task, "msg": f"line {n} \u00fc", "timestamp": n} for n in range(1500)]
    events += [{"type": "training_stats_scalar", "task": task, "metric": "m", "variant": "v", "iter": n, "value": n} for n in range(3)]
    headers = {"Authorization": ALICE, "Content-Type": "application/json-lines"}
    status, _, _ = double.raw("POST", "/events.add_batch", headers, "\n".join(map(json.dumps, events)))
    assert status == 200
    return {"token": token, "gone": gone, "key": basic(pair["access_key"], pair["secret_key"]), "queue": queue, "task": task}


def seen(double, made):
    """Everything that must be the same before and after."""
    calls = {
        "queues.get_by_id": {"queue": made["queue"]},
        "tasks.get_by_id": {"task": made["task"]},
        "projects.get_all": {},
        "workers.get_all": {},
        "users.get_all": {},
        "events.get_task_log": {"task": made["task"], "batch_size": 2000, "order": "asc"},
        "events.scalar_metrics_iter_histogram": {"task": made["task"]},
    }
    answers = {name: double.call(name, body, f"Bearer {made['token']}")["data"] for name, body in calls.items()}
    assert double.call("auth.login", {}, made["key"])["meta"]["result_code"] == 200
    assert double.call("users.get_current_user", {}, f"Bearer {made['gone']}")["meta"]["result_msg"] == "Invalid token (revoked token)"
    return answers


def test_kill_and_restart(start):
    with start() as double:
        made = fill(double)
        before = seen(double, made)
        assert double.stop(signal.SIGKILL) == -signal.SIGKILL
    assert len(before["events.get_task_log"]["events"]) == 1500
    with start() as double:
        assert seen(double, made) == before
        assert double.call("queues.get_next_task", {"queue": made["queue"]}, ALICE)["data"]["entry"]["task"] == made["task"]
        double.stop(signal.SIGKILL)
    with start() as double:
        assert double.call("queues.get_next_task", {"queue": made["queue"]}, ALICE)["data"] == {}
        assert double.stop() == 0


def test_kill_under_load_keeps_what_was_answered(start):
    """Clients create queues all the time; each creation that was answered is there after the kill, and is whole."""
    with start() as double:
        answered = []

        def create(number):
            try:
                envelope = double.call("queues.create", {"name": f"queue {number}"}, ALICE)
            except (OSError, http.client.HTTPException):  # the kill hit this answer
                return
            answered.append(envelope["data"]["id"])
            if len(answered) == 40:
                double.process.kill()

        with ThreadPoolExecutor(4) as clients:
            list(clients.map(create, range(200)))
    assert 40 <= len(answered) < 200
    with start() as double:
        found = double.call("queues.get_all", {"name": "^queue "}, ALICE)["data"]["queues"]
        assert set(answered) <= {queue["id"] for queue in found}
        assert all(queue["name"] and queue["entries"] == [] for queue in found)


def test_each_task_is_popped_once(start):
    with start() as double:
        queue = double.call("queues.create", {"name": "many"}, ALICE)["data"]["id"]
        for number in range(40):
            double.call("queues.add_task", {"queue": queue, "task": f"task-{number}"}, ALICE)
        with ThreadPoolExecutor(8) as clients:
            popped = list(clients.map(lambda _: double.call("queues.get_next_task", {"queue": queue}, ALICE)["data"], range(60)))
        tasks = [data["entry"]["task"] for data in popped if data]
        assert sorted(tasks) == sorted(f"task-{number}" for number in range(40))


@pytest.mark.parametrize("start", ["redis"], indirect=True)
def test_redis_comes_back(start):
    """While Redis is away changes are refused; afterwards all is as it was, without a restart of the double."""
    with start() as double:
        made = fill(double)
        start.redis.stop()
        assert double.call("queues.create", {"name": "while away"}, ALICE)["meta"]["result_code"] == 500
        start.redis.start()
        assert double.call("queues.create", {"name": "back again"}, ALICE)["meta"]["result_code"] == 200
        names = [queue["name"] for queue in double.call("queues.get_all", {}, ALICE)["data"]["queues"]]
        assert names == ["default", "kept", "back again"]
        assert seen(double, made)["queues.get_by_id"]["queue"]["entries"][0]["task"] == made["task"]
