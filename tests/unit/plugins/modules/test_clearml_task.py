# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import errors, tasks
from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ClearMLServer, on_endpoint
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import break_off, send
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

READS = {"projects.get_all", "tasks.get_all", "queues.get_all"}
SMOKE = {"name": "smoke test", "project": "homelab/checks", "code": 'print("it works")\n', "type": "testing"}
QUEUED = dict(SMOKE, state="queued", queue="default")


@pytest.fixture
def server():
    with ClearMLServer() as running:
        running.queue = running.add_queue("default")
        yield running


def task(server, check=False, **options):
    return run("clearml_task", check=check, **dict(server.connection, **options))


def but(options, **other):
    """The same options, but for some."""
    result = dict(options)
    result.update(other)
    return result


def twice(server, **options):
    """Check mode, run, check mode, run; returns the first real one."""
    before = copy.deepcopy((server.tasks, server.projects))
    forecast = task(server, check=True, **options)
    assert (forecast["changed"], (server.tasks, server.projects)) == (True, before)
    done = task(server, **options)
    assert (done["changed"], done["action"]) == (True, forecast["action"])
    del server.calls[:]
    for check in (True, False):
        again = task(server, check=check, **options)
        assert (again["changed"], again["action"]) == (False, "unchanged")
    assert set(server.called()) <= READS
    return done


def test_create_modify_delete(server):
    done = twice(server, **SMOKE)
    assert (done["action"], done["task"]["status"], done["task"]["id"]) == ("created", "created", "t-0")
    assert server.tasks[0]["script"] == {"repository": "", "entry_point": "task.py", "working_dir": ".", "diff": SMOKE["code"]}
    assert [project["name"] for project in server.projects] == ["homelab/checks"]
    server.tasks[0]["hyperparams"] = {"Args": {"old": {"section": "Args", "name": "old", "value": "1"}}}
    twice(
        server,
        **but(SMOKE, code="print(2)\n", parameters={"epochs": 3, "General/x": "y"}, tags=["b", "a"], comment="c", requirements="torch"),
    )
    assert server.tasks[0]["script"]["diff"] == "print(2)\n"
    assert server.tasks[0]["script"]["requirements"] == {"pip": "torch"}
    assert {key: sorted(items) for key, items in server.tasks[0]["hyperparams"].items()} == {"Args": ["epochs", "old"], "General": ["x"]}
    assert server.tasks[0]["hyperparams"]["Args"]["epochs"]["value"] == "3"
    done = twice(server, name=SMOKE["name"], project=SMOKE["project"], state="absent")
    assert (done["deleted"], server.tasks) == (["t-0"], [])


def test_queued_and_stopped(server):
    done = twice(server, **QUEUED)
    assert (done["action"], done["task"]["status"], done["task"]["queue"]) == ("queued", "queued", server.queue)
    other = server.add_queue("other-queue")
    assert twice(server, **but(QUEUED, queue="other-queue"))["task"]["queue"] == other
    assert twice(server, name="smoke test", project="homelab/checks", state="stopped")["task"]["status"] == "stopped"
    server.tasks[0].update(status="in_progress", last_worker="gpu-01:0")
    assert twice(server, id="t-0", state="stopped")["task"]["status_message"] == "stopping"
    for status in ("in_progress", "completed", "failed"):
        server.tasks[0]["status"] = status
        assert task(server, **QUEUED)["changed"] is False  # one is enough
    assert task(server, name="never there", project="homelab/checks", state="stopped")["changed"] is False


def test_calls_in_order(server):
    task(server, **QUEUED)
    assert server.called() == [
        "projects.get_all",
        "queues.get_all",
        "projects.create",
        "tasks.get_all",
        "tasks.create",
        "tasks.enqueue",
        "tasks.get_all",
    ]
    assert server.calls[-2][1] == {"task": "t-0", "queue": server.queue}
    assert server.calls[-3][1]["project"] == server.projects[0]["id"]


@pytest.mark.parametrize(
    "again, status, new",
    [
        ("failed", "completed", False),
        ("failed", "failed", True),
        ("failed", "stopped", True),
        ("always", "completed", True),
        ("always", "in_progress", False),
        ("never", "failed", False),
    ],
)
def test_again(server, again, status, new):
    task(server, **QUEUED)
    server.tasks[0]["status"] = status
    forecast = task(server, check=True, again=again, **QUEUED)
    done = task(server, again=again, **QUEUED)
    assert (forecast["changed"], done["changed"], len(server.tasks)) == (new, new, 2 if new else 1)
    assert done["task"]["id"] == ("t-1" if new else "t-0")


def test_a_copy(server):
    task(server, **but(SMOKE, parameters={"epochs": 1}))
    done = twice(server, name="a copy", project="homelab/copies", clone_of="t-0", parameters={"epochs": 9}, state="queued", queue="default")
    copied = server.tasks[1]
    assert (copied["script"]["diff"], copied["hyperparams"]["Args"]["epochs"]["value"]) == (SMOKE["code"], "9")
    assert (copied["type"], done["task"]["id"]) == ("testing", "t-1")
    copied["status"] = "failed"
    assert task(server, name="a copy", project="homelab/copies", state="queued", queue="default", again="failed")["task"]["id"] == "t-2"
    assert "no ClearML task with the id 'nosuch'" in task(server, name="abc", project="homelab/copies", clone_of="nosuch")["msg"]


def test_from_a_repository(server):
    script = {"repository": "https://git.example.com/a.git", "branch": "main", "entry_point": "train.py", "commit": "abc"}
    twice(server, name="train", project="vision", script=script, container={"image": "python:3.11"}, output_destination="/mnt/models")
    assert server.tasks[0]["script"] == {
        "repository": "https://git.example.com/a.git",
        "branch": "main",
        "version_num": "abc",
        "entry_point": "train.py",
        "working_dir": ".",
    }
    assert (server.tasks[0]["type"], server.tasks[0]["container"]) == ("training", {"image": "python:3.11"})
    assert server.tasks[0]["output"] == {"destination": "/mnt/models"}


def test_archived_tasks_do_not_count(server):
    task(server, **SMOKE)
    server.tasks[0]["system_tags"] = ["archived"]
    assert task(server, **SMOKE)["task"]["id"] == "t-1"


def test_delete_of_a_busy_task_needs_force(server):
    task(server, **QUEUED)
    options = {"name": SMOKE["name"], "project": SMOKE["project"], "state": "absent"}
    assert task(server, **options)["msg"] == "task 'smoke test' (t-0) is queued: stop it first, or set force=true"
    assert task(server, force=True, **options)["deleted"] == ["t-0"]


def test_wait_for_a_good_end(server, monkeypatch):
    looks = []

    def ends(seconds):
        looks.append(seconds)
        server.tasks[0].update(status="in_progress" if len(looks) < 3 else "completed", last_worker="gpu-01:0")

    monkeypatch.setattr("time.sleep", ends)
    done = task(server, wait=True, poll_seconds=2, **QUEUED)
    assert (done["task"]["status"], done["task"]["worker"], looks) == ("completed", "gpu-01:0", [2, 2, 2])
    assert task(server, wait=True, **QUEUED)["changed"] is False
    assert len(looks) == 3


def test_wait_for_a_bad_end(server, monkeypatch):
    server.log = ["line %d" % number for number in range(30)] + ["ValueError: no such file"]
    monkeypatch.setattr("time.sleep", lambda seconds: server.tasks[0].update(status="failed", status_message="exit code 1"))
    failed = task(server, wait=True, log_lines=2, **QUEUED)
    assert failed["msg"] == "task 'smoke test' (t-0) failed: exit code 1"
    assert (failed["log"], failed["task"]["status"]) == (["line 29", "ValueError: no such file"], "failed")
    server.tasks[0].update(status="stopped", status_message="")
    assert task(server, wait=True, log_lines=0, **QUEUED)["msg"] == "task 'smoke test' (t-0) was stopped: no reason given"


def test_wait_has_an_end(server):
    failed = task(server, wait=True, wait_timeout_seconds=1, poll_seconds=1, **QUEUED)
    assert failed["msg"] == "task 'smoke test' (t-0) is queued after 1 s: no worker serves queue 'default'"
    server.queues[0]["workers"] = [{"name": "gpu-01:0"}]
    assert "all workers of its queue are busy" in task(server, wait=True, wait_timeout_seconds=1, **QUEUED)["msg"]


def test_waiting_looks_a_bounded_number_of_times():
    class Transport(object):
        looks = 0

        def call(self, endpoint, body):
            self.looks += 1
            return {"tasks": [{"id": "t", "status": "in_progress"}]}

    clock = [0.0]
    transport = Transport()

    def sleep(seconds):
        assert 0 < seconds <= 5
        clock[0] += seconds

    tasks.wait(transport, "t", 12, 5, lambda: clock[0], sleep)
    assert (clock[0], transport.looks) == (12, 4)


@pytest.mark.parametrize("arrived", [True, False])
@pytest.mark.parametrize("endpoint", ["tasks.create", "tasks.enqueue"])
def test_a_call_whose_answer_is_lost_is_looked_at_first(server, endpoint, arrived):
    def lose(handler, called):
        if arrived:
            getattr(server, endpoint.replace(".", "_"))(server.calls[-1][1], "u-admin")
        break_off(handler)
        return True

    on_endpoint(server, endpoint, lose)
    done = task(server, **QUEUED)
    assert (done["task"]["status"], len(server.tasks)) == ("queued", 1)
    assert server.called().count(endpoint) == (1 if arrived else 2)


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"name": "ab", "project": "abc"}, "3 to 255 characters"),
        ({"name": "a\nbc", "project": "abc"}, "U+000A"),
        ({"name": "abc"}, "name needs project"),
        ({"name": "abc", "project": "ab"}, "at least 3 characters in each"),
        (dict(SMOKE, state="queued"), "state=queued needs queue"),
        (dict(SMOKE, wait=True), "wait needs state=queued"),
        (dict(SMOKE, poll_seconds=0), "poll_seconds must be at least 1"),
        (dict(SMOKE, wait_timeout_seconds=10**400), "wait_timeout_seconds must be at least 1 and at most 2592000"),
        (dict(SMOKE, log_lines=-1), "log_lines must not be negative"),
        (dict(SMOKE, tags=["__$x"]), "of task 'smoke test'"),
        (dict(SMOKE, tags=["a\0b"]), "of task 'smoke test' holds the invisible character U+0000"),
        (dict(SMOKE, output_destination="bucket"), "output_destination must be a URL"),
        (dict(SMOKE, code="print(1)\0"), "code holds the character U+0000, which is no text"),
        (dict(SMOKE, comment="a\0b"), "comment holds the character U+0000"),
        (dict(SMOKE, container={"image": "a\nb"}), "container.image holds the invisible character U+000A"),
        (dict(SMOKE, parameters={"a\0": 1}), "the name of parameter 'a\\x00' holds the invisible character U+0000"),
        (dict(SMOKE, parameters={"a": "\ud800"}), "parameter 'a' holds the character U+D800, which is no text"),
        (dict(SMOKE, parameters={"a": 1, "Args/a": 2}), "is given twice, with and without its section"),
    ],
)
def test_what_cannot_be_meant(server, options, reason):
    assert reason in task(server, **options)["msg"]
    assert server.calls == []


@pytest.mark.parametrize(
    "address",
    ["https://bob:ghp-SECRET@git.example.com/x.git", "HTTP://ghp-SECRET@git.example.com/x", "ssh://git:ghp-SECRET@git.example.com/x"],
)
def test_an_address_with_a_secret_is_refused_and_not_shown(server, address):
    """Everybody who sees a task would see it there; so would everybody who sees the run's output."""
    script = dict(name="repo", project="vision", script={"repository": address, "entry_point": "a.py"})
    refused = task(server, **script)
    assert "the agent signs in with its own git_user" in refused["msg"]
    assert "ghp-SECRET" not in refused.text
    refused = task(server, output_destination=address, **SMOKE)
    assert refused["msg"].startswith("output_destination must not hold a user or a password")
    assert "ghp-SECRET" not in refused.text
    assert server.calls == []


@pytest.mark.parametrize("address", ["git@git.example.com:x.git", "ssh://git@git.example.com/x", "https://git.example.com/a@b.git"])
def test_an_address_without_a_secret_is_taken(server, address):
    twice(server, name="repo", project="vision", script={"repository": address, "entry_point": "a.py"})


@pytest.mark.parametrize("code", ["print('\u00fc')\r\nprint('\U0001f680')\r\n", "print(1)\n" * 120000])
def test_scripts_arrive_as_they_are(server, code):
    twice(server, **but(SMOKE, code=code))
    assert server.tasks[0]["script"]["diff"] == code


def test_a_task_that_is_gone_by_its_id(server):
    task(server, **SMOKE)
    twice(server, id="t-0", state="absent")
    assert task(server, id="t-0", state="stopped")["msg"] == "there is no ClearML task with the id 't-0'"


def test_a_copy_of_a_task_that_is_missing_is_refused_in_check_mode_too(server):
    task(server, **SMOKE)
    server.tasks[0]["status"] = "failed"
    for check in (True, False):
        refused = task(server, check=check, name=SMOKE["name"], project=SMOKE["project"], again="always", clone_of="nosuch")
        assert refused["msg"] == "there is no ClearML task with the id 'nosuch'"
    assert len(server.tasks) == 1


def test_a_log_that_cannot_be_read_does_not_hide_how_the_task_ended(server):
    task(server, **SMOKE)
    server.tasks[0].update(status="failed", status_message="exit code 1")

    def no_elasticsearch(handler, endpoint):
        body = {"meta": {"result_code": 500, "result_subcode": 100, "result_msg": "no connection to Elasticsearch"}, "data": {}}
        send(handler, 500, json.dumps(body).encode(), "application/json")
        return True

    on_endpoint(server, "events.get_task_log", no_elasticsearch)
    failed = task(server, wait=True, **QUEUED)
    assert failed["msg"] == "task 'smoke test' (t-0) failed: exit code 1"
    assert "no connection to Elasticsearch" in failed["log"][0]


def test_what_is_missing_is_said_before_anything_is_made(server):
    assert task(server, **but(QUEUED, queue="nosuch"))["msg"] == "there is no ClearML queue 'nosuch': make it with clearml_queue"
    assert "give code, script or clone_of" in task(server, name="abc", project="vision")["msg"]
    assert "must be a name, or a section" in task(server, **but(SMOKE, parameters={"/x": 1}))["msg"]
    assert "no ClearML task with the id 'nosuch'" in task(server, id="nosuch", state="stopped")["msg"]
    assert (server.tasks, server.projects) == ([], [])


def test_parameters_keep_their_texts():
    assert tasks.parameters_of({"a": None, "S/b/c": True})["S"]["b/c"]["value"] == "True"
    with pytest.raises(errors.InvalidInput):
        tasks.parameters_of({"a/": 1})
