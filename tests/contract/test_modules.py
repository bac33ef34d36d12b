# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The ClearML modules against the double: create, repeat, modify, repeat, delete, repeat, each in check mode first."""

import json
import subprocess
import sys
import threading
import time

import pytest
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run
from clearml.utilities.pyhocon import ConfigFactory
from clearml_api import config
from conftest import STAGED
from server import Double, basic

ALICE = ("alice", "alice-pw-1")
RUN_ALONE = """
import json, sys
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
_AnsibleCollectionFinder(paths=[sys.argv[1]], scan_sys_paths=False)._install()
from ansible.module_utils.testing import patch_module_args
import importlib
module = importlib.import_module("ansible_collections.homelab.mlops.plugins.modules." + sys.argv[2])
print("ready", flush=True)
with patch_module_args(json.load(sys.stdin)):
    module.main()
"""


@pytest.fixture(scope="module")
def double():
    with Double("fixed") as running:
        yield running


@pytest.fixture
def alice(double):
    return {"api_url": double.urls[0], "access_key": ALICE[0], "secret_key": ALICE[1], "timeout_seconds": 10}


@pytest.fixture
def system(alice):
    pair = config.load(None, {})["secure"]["credentials"]["apiserver"]
    return {**alice, "access_key": pair["user_key"], "secret_key": pair["user_secret"]}


def state_of(double):
    """What a run in check mode must leave as it is."""
    authorization = basic(*ALICE)
    calls = ("queues.get_all", "auth.get_credentials", "users.get_all", "projects.get_all", "tasks.get_all")
    answers = [double.call(name, {"search_hidden": True}, authorization)["data"] for name in calls]
    for credential in answers[1]["credentials"]:
        credential.pop("last_used", None)
    return answers


def twice(double, module, **options):
    """Check mode, run, check mode, run: the first two report the same change, the others none; returns the first real one."""
    before = state_of(double)
    forecast = run(module, check=True, **options)
    assert forecast["changed"] is True, forecast
    assert state_of(double) == before
    done = run(module, **options)
    assert done["changed"] is True, done
    assert state_of(double) != before
    after = state_of(double)
    for check in (True, False):
        again = run(module, check=check, **options)
        assert again["changed"] is False, again
        assert again["diff"]["before"] == again["diff"]["after"]
    assert state_of(double) == after
    return done


def at_once(module, *options):
    """Runs a module several times at the same moment, in processes of their own; returns what they print."""
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", RUN_ALONE, STAGED, module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in options
    ]
    for process in processes:
        assert process.stdout.readline() == "ready\n", process.stderr.read()
    for process, given in zip(processes, options, strict=True):
        process.stdin.write(json.dumps({**given, "_ansible_remote_tmp": "/tmp", "_ansible_keep_remote_files": False}))
    for process in processes:
        process.stdin.close()
    results = []
    for process in processes:
        printed, said = process.stdout.read(), process.stderr.read()
        process.wait(60)
        assert printed, said
        results.append(json.loads(printed))
    return results


def test_queue(double, alice):
    twice(double, "clearml_queue", **alice, name="matrix", tags=["a"], metadata={"owner": "vision"})
    done = twice(double, "clearml_queue", **alice, name="matrix", tags=["b"], display_name="Matrix", metadata={"owner": "nlp", "x": "1"})
    assert done["queue"]["metadata"]["owner"]["value"] == "nlp"
    twice(double, "clearml_queue", **alice, name="matrix", default=True, system_tags=["mine"])
    assert double.call("queues.get_default", {}, basic(*ALICE))["data"]["name"] == "matrix"
    twice(double, "clearml_queue", **alice, queues=[{"name": "matrix"}, {"name": "default", "default": True}])
    renamed = twice(double, "clearml_queue", **alice, name="matrix-2", renamed_from="matrix")
    assert renamed["queue"]["id"] == done["queue"]["id"]
    twice(double, "clearml_queue", **alice, name="matrix-2", state="absent")


@pytest.mark.parametrize("name", ["über-queue", "队列队列", "🚀🚀🚀", 'say "hi"', "a.b(c)+", "$where"])
def test_queue_names(double, alice, name):
    twice(double, "clearml_queue", **alice, name=name)
    found = run("clearml_queue_info", **alice, name=name)
    assert [queue["name"] for queue in found["queues"]] == [name]
    twice(double, "clearml_queue", **alice, name=name, state="absent")


def test_queue_with_tasks_and_workers(double, alice):
    authorization = basic(*ALICE)
    queue = run("clearml_queue", **alice, name="in-use")["queue"]["id"]
    task = double.call("tasks.create", {"name": "waits", "type": "testing"}, authorization)["data"]["id"]
    double.call("tasks.edit", {"task": task, "script": {"entry_point": "a.py"}}, authorization)
    assert double.call("tasks.enqueue", {"task": task, "queue": queue}, authorization)["meta"]["result_code"] == 200
    double.call("workers.register", {"worker": "gpu-01:0", "queues": [queue]}, authorization)
    found = run("clearml_queue_info", **alice, name="in-use")["queues"][0]
    assert [(entry["id"], entry["name"]) for entry in found["entries"]] == [(task, "waits")]
    assert 0 <= found["longest_wait_seconds"] < 60
    assert [worker["id"] for worker in found["workers"]] == ["gpu-01:0"]
    refused = run("clearml_queue", **alice, name="in-use", state="absent")
    assert refused["tasks"] == [{"id": task, "name": "waits"}]
    assert refused["workers"] == ["gpu-01:0"]
    done = twice(double, "clearml_queue", **alice, name="in-use", state="absent", force=True)
    assert done["queue"]["tasks_removed"] == [{"id": task, "name": "waits"}]
    assert double.call("tasks.get_by_id", {"task": task}, authorization)["data"]["task"]["status"] == "created"


def test_more_than_the_server_lists_at_once(system):
    """It gives 500 entries and does not say that there are more."""
    with Double("fixed") as crowded:
        pair = basic(system["access_key"], system["secret_key"])
        alice = {"api_url": crowded.urls[0], "access_key": ALICE[0], "secret_key": ALICE[1]}
        company = run("clearml_server_info", **alice)["user"]["company_id"]
        names = [f"crowd-{number:04}" for number in range(1003)]
        for name in names:
            crowded.call("queues.create", {"name": name}, basic(*ALICE))
            crowded.call("auth.create_user", {"name": name, "email": f"{name}@example.com", "company": company}, pair)
        assert [queue["name"] for queue in run("clearml_queue_info", **alice)["queues"]] == [*names, "default"]
        found = run("clearml_user_info", **alice)["users"]
        assert [user["name"] for user in found if user["name"].startswith("crowd-")] == names
        same = run("clearml_queue", **alice, queues=[{"name": name} for name in names])
        assert (same["changed"], len(same["queues"])) == (False, 1003)
        refused = run("clearml_queue", **alice, queues=[{"name": "default"}], purge=True)
        assert refused["msg"].startswith("purge would delete 1003 queues")
        last = {**alice, "access_key": system["access_key"], "secret_key": system["secret_key"]}
        assert run("clearml_user", **last, name=names[-1])["changed"] is False
        assert run("clearml_credentials", **last, user=names[-1], label="the last one")["created"] is True


def test_queue_by_two_runs_at_once(double, alice):
    results = at_once("clearml_queue", *[{**alice, "name": "shared-queue", "tags": ["a"]}] * 3)
    assert [result.get("failed", False) for result in results] == [False] * 3
    assert len({result["queue"]["id"] for result in results}) == 1
    assert [queue["tags"] for queue in run("clearml_queue_info", **alice, name="shared-queue")["queues"]] == [["a"]]
    run("clearml_queue", **alice, name="shared-queue", state="absent")


def test_purge(double, alice):
    names = [f"left-over-{number}" for number in range(4)]
    run("clearml_queue", **alice, queues=[{"name": name} for name in names])
    kept = [queue["name"] for queue in run("clearml_queue_info", **alice)["queues"] if queue["name"] not in names]
    assert "purge_limit is 3" in run("clearml_queue", **alice, queues=[{"name": "default"}], purge=True, purge_limit=3)["msg"]
    done = twice(double, "clearml_queue", **alice, queues=[{"name": name} for name in kept], purge=True)
    assert sorted(queue["name"] for queue in done["queues"] if queue["action"] == "deleted") == names


def keys(double, label, who=ALICE):
    """Access keys of a person's credentials with a label."""
    listed = double.call("auth.get_credentials", {}, basic(*who))["data"]["credentials"]
    return [credential["access_key"] for credential in listed if credential.get("label") == label]


@pytest.mark.parametrize("form", ["json", "clearml_conf"])
def test_credentials_in_a_file(double, alice, tmp_path, form):
    path = tmp_path / "pair"
    path.write_text("")
    options = {**alice, "label": f"matrix-{form}", "path": str(path), "format": form}
    first = twice(double, "clearml_credentials", **options)
    before = path.read_text()
    path.write_text(before.replace(first["access_key"], "X" * 30))
    second = twice(double, "clearml_credentials", **options)
    assert second["reason"] == "the stored pair is not accepted"
    assert keys(double, options["label"]) == [second["access_key"]]
    if form == "clearml_conf":
        path.write_text(
            f'api {{\n  api_server: {double.urls[0]}\n  credentials {{"access_key" = "A", "secret_key" = "B"}}\n}}\n' + path.read_text()
        )
        read = ConfigFactory.parse_file(str(path))["api"]
        pair = (read["credentials"]["access_key"], read["credentials"]["secret_key"])
        assert read["api_server"] == double.urls[0]
    else:
        content = json.loads(path.read_text())
        pair = (content["access_key"], content["secret_key"])
    assert double.call("users.get_current_user", {}, basic(*pair))["data"]["user"]["name"] == "Alice Example"
    twice(double, "clearml_credentials", **options, state="absent")
    assert keys(double, options["label"]) == []


def test_credentials_for_another_user(double, alice, system):
    refused = run("clearml_credentials", **alice, label="for-bob", user="Bob Example")
    assert refused["msg"].endswith("use the pair of a user with the role admin or system")
    made = run("clearml_credentials", **system, label="for-alice", user="Alice Example")
    pair = (made["credentials"]["access_key"], made["credentials"]["secret_key"])
    assert double.call("users.get_current_user", {}, basic(*pair))["data"]["user"]["name"] == "Alice Example"
    assert run("clearml_credentials", **system, label="for-alice", user="Alice Example", state="absent")["revoked"] == [pair[0]]


@pytest.mark.parametrize("lost", [0, 1], ids=["none yet", "one whose secret is lost"])
@pytest.mark.parametrize("runs", [2, 4])
def test_credentials_by_several_runs_at_once(double, alice, runs, lost):
    """One pair is left, and a run that says so has it; every other run failed in words."""
    for number in range(3):
        label = f"shared-{runs}-{lost}-{number}"
        for _ in range(lost):
            double.call("auth.create_credentials", {"label": label}, basic(*ALICE))
        results = at_once("clearml_credentials", *[{**alice, "label": label}] * runs)
        for result in results:
            assert not result.get("failed") or f"another run changes the credentials labelled '{label}'" in result["msg"], result
        left = keys(double, label)
        assert len(left) == 1
        assert left[0] in [result["access_key"] for result in results if not result.get("failed")]
        run("clearml_credentials", **alice, label=label, state="absent")


@pytest.mark.parametrize("mode", ["fixed", "open"])
def test_server_info(mode):
    with Double(mode) as running:
        wanted = config.load(None, {})["secure"]["credentials"]["apiserver"]
        found = run("clearml_server_info", api_url=running.urls[0], access_key=wanted["user_key"], secret_key=wanted["user_secret"])
        assert (found["mode"], found["healthy"], found["version"], found["api_version"]) == (mode, True, "2.3.0", "2.34")
        assert (found["user"]["id"], found["user"]["role"]) == ("__apiserver__", "system")
        assert "version" not in run("clearml_server_info", api_url=running.urls[0])


def test_user(double, alice, system):
    options = {**system, "name": "Pipelines", "email": "pipelines@example.com"}
    made = twice(double, "clearml_user", **options)
    assert made["warnings"]
    twice(double, "clearml_user", **options, given_name="Night")
    forecast = run("clearml_user", check=True, **options, role="admin")
    done = run("clearml_user", **options, role="admin")
    assert (forecast["changed"], done["changed"], done["diff"]) == (True, True, forecast["diff"])
    for check in (True, False):
        assert run("clearml_user", check=check, **options, role="admin")["changed"] is False
    roles = {user["name"]: user["role"] for user in run("clearml_user_info", **system, roles=True)["users"]}
    assert (roles["Pipelines"], roles["Alice Example"]) == ("admin", "user")
    refused = run("clearml_user", **alice, name="Nobody", email="nobody@example.com")
    assert (refused["result_code"], refused["endpoint"]) == (403, "auth.create_user")
    taken = run("clearml_user", **{**options, "name": "Another"})
    assert taken["msg"].startswith("another ClearML user has the e-mail address pipelines@example.com")
    pair = run("clearml_credentials", **system, user="Pipelines", label="pipelines")["credentials"]
    assert run("clearml_server_info", **{**alice, **pair})["user"]["role"] == "admin"


def test_worker_info(double, alice):
    authorization = basic(*ALICE)
    queue = double.call("queues.get_default", {}, authorization)["data"]["id"]
    double.call("workers.register", {"worker": "gpu-07:0", "queues": [queue]}, authorization)
    found = run("clearml_worker_info", **alice, pattern="gpu-07:*")["workers"][0]
    assert (found["alive"], found["busy"], found["queues"], found["user"]["name"]) == (True, False, ["default"], "Alice Example")
    assert 0 <= found["seen_seconds_ago"] < 60
    double.call("workers.unregister", {"worker": "gpu-07:0"}, authorization)
    assert run("clearml_worker_info", **alice, pattern="gpu-07:*")["count"] == 0


def test_project(double, alice):
    name = "vision/training/über"
    done = twice(double, "clearml_project", **alice, name=name, default_output_destination="s3://192.0.2.20:9000/clearml")
    twice(double, "clearml_project", **alice, name=name, description="Cameras", tags=["b", "a"])
    twice(double, "clearml_project", **alice, name=name, default_output_destination="")
    task = {"name": "left", "type": "testing", "project": done["project"]["id"]}
    assert double.call("tasks.create", task, basic(*ALICE))["meta"]["result_code"] == 200
    refused = run("clearml_project", **alice, name="vision", state="absent")
    assert "hold 1 task and 0 models" in refused["msg"]
    twice(double, "clearml_project", **alice, name="vision", state="absent", delete_contents=True)
    assert not [item for item in state_of(double)[3]["projects"] if item["name"].startswith("vision")]


def test_project_by_two_runs_at_once(double, alice):
    results = at_once("clearml_project", *[{**alice, "name": "shared/project", "tags": ["a"]}] * 2)
    assert len({result["project"]["id"] for result in results}) == 1


def test_task(double, alice):
    smoke = {**alice, "name": "smoke test", "project": "homelab/checks", "code": 'print("it works")\n', "type": "testing"}
    done = twice(double, "clearml_task", **smoke, parameters={"epochs": 1, "General/a b": "ü"})
    twice(double, "clearml_task", **{**smoke, "code": "print(2)\n"}, parameters={"epochs": 2}, tags=["b", "a"], requirements="torch")
    kept = double.call("tasks.get_by_id", {"task": done["task"]["id"]}, basic(*ALICE))["data"]["task"]
    assert sorted(kept["hyperparams"]) == ["Args", "General"]
    run("clearml_queue", **alice, queues=[{"name": "one-queue"}, {"name": "two-queue"}])
    queued = {**smoke, "code": "print(2)\n", "state": "queued"}
    twice(double, "clearml_task", **queued, queue="one-queue")
    twice(double, "clearml_task", **queued, queue="two-queue")
    waiting = {queue["name"]: len(queue["entries"]) for queue in run("clearml_queue_info", **alice)["queues"]}
    assert (waiting["one-queue"], waiting["two-queue"]) == (0, 1)
    late = run("clearml_task", **queued, queue="two-queue", wait=True, wait_timeout_seconds=1)
    assert late["msg"].endswith("is queued after 1 s: no worker serves queue 'two-queue'")
    twice(double, "clearml_task", **alice, name="smoke test", project="homelab/checks", state="stopped")
    again = run("clearml_task", **queued, queue="one-queue", again="failed")
    assert (again["action"], again["task"]["id"] != done["task"]["id"]) == ("queued", True)
    assert "is queued: stop it first" in run("clearml_task", **alice, id=again["task"]["id"], state="absent")["msg"]
    copied = twice(double, "clearml_task", **alice, name="a copy", project="homelab/checks", clone_of=done["task"]["id"], tags=["copy"])
    assert copied["task"]["status"] == "created"
    twice(double, "clearml_task", **alice, name="smoke test", project="homelab/checks", state="absent", force=True)
    run("clearml_project", **alice, name="homelab", state="absent", delete_contents=True)
    run("clearml_queue", **alice, queues=[{"name": "one-queue"}, {"name": "two-queue"}], state="absent")


@pytest.mark.parametrize("ends", ["completed", "failed"])
def test_task_that_is_waited_for(double, alice, ends):
    """A worker takes the task from the queue, as an agent does, and reports its end."""
    authorization = basic(*ALICE)
    queue = run("clearml_queue", **alice, name="work-queue")["queue"]["id"]
    double.call("workers.register", {"worker": "gpu-09:0", "queues": [queue]}, authorization)

    def work():
        task = None
        while task is None:
            time.sleep(0.2)
            entry = double.call("queues.get_next_task", {"queue": queue}, authorization)["data"].get("entry")
            task = entry and entry["task"]
        double.call("tasks.started", {"task": task}, authorization)
        line = {"type": "log", "task": task, "level": "info", "worker": "gpu-09:0", "msg": "the last line"}
        double.call("events.add", line, authorization)
        time.sleep(1)
        double.call(f"tasks.{ends}", {"task": task, "status_message": "as the test says"}, authorization)

    worker = threading.Thread(target=work)
    worker.start()
    options = {**alice, "name": f"to be {ends}", "project": "waiting", "code": "print(1)", "state": "queued", "queue": "work-queue"}
    done = run("clearml_task", **options, wait=True, poll_seconds=1, wait_timeout_seconds=60)
    worker.join()
    assert done["task"]["status"] == ends
    assert done["failed"] == (ends == "failed")
    if ends == "failed":
        assert done["msg"].endswith("failed: as the test says")
        assert done["log"] == ["the last line"]
    assert run("clearml_task", **options)["changed"] is False
    double.call("workers.unregister", {"worker": "gpu-09:0"}, authorization)
    run("clearml_queue", **alice, name="work-queue", state="absent")
