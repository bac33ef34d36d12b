# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real SDK and the real agent, as processes of their own, against the double."""

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pytest
from clearml_api.config import DEFAULTS
from server import Double, basic

AGENT = Path(sys.executable).parent / "clearml-agent"
PAIR = DEFAULTS["secure"]["credentials"]["tests"]
AUTHORIZATION = basic(PAIR["user_key"], PAIR["user_secret"])

SCRIPT = """
import pathlib
from clearml import Task

task = Task.init(project_name="contract", task_name="the experiment")
params = task.connect({"rate": 0.5})
for step in range(3):
    task.get_logger().report_scalar("loss", "train", params["rate"] / (step + 1), step)
print("a line of the script")
pathlib.Path("result.txt").write_text("forty-two")
task.upload_artifact("result", artifact_object=pathlib.Path("result.txt"), wait_on_upload=True)
task.close()
"""

SUBMIT = """
import sys
from clearml import Task

task = Task.create(project_name="contract", task_name="the experiment", script=sys.argv[1], packages=[])
Task.enqueue(task, queue_name="default")
print("TASK", task.id)
"""

READ = """
import json, sys
from clearml import Task

task = Task.get_task(task_id=sys.argv[1])
print("READ", json.dumps({
    "status": task.get_status(),
    "artifact": open(task.artifacts["result"].get_local_copy()).read(),
    "scalars": task.get_reported_scalars(),
    "last": task.get_last_scalar_metrics(),
    "console": "".join(task.get_reported_console_output(number_of_reports=20)),
    "parameters": task.get_parameters(),
}))
"""


@pytest.fixture
def double(tmp_path):
    with Double("open", "--files", "127.0.0.1:0", "--folder", tmp_path / "files", "--state", tmp_path / "state.sqlite") as running:
        yield running


@pytest.fixture
def environment(double, tmp_path):
    """What the clients need to find the double and nothing else: an own home, no configuration of this machine."""
    home = tmp_path / "home"
    home.mkdir()
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML", "TRAINS"))}
    api, files = double.urls
    return {
        **kept,
        "HOME": str(home),
        "TMPDIR": str(tmp_path),
        "CLEARML_API_HOST": api,
        "CLEARML_WEB_HOST": api,
        "CLEARML_FILES_HOST": files,
        "CLEARML_API_ACCESS_KEY": PAIR["user_key"],
        "CLEARML_API_SECRET_KEY": PAIR["user_secret"],
        "CLEARML_CONFIG_FILE": str(home / "none.conf"),
        "PYTHONUNBUFFERED": "1",
    }


def run(environment, folder, program, *arguments):
    """The value that a program prints behind its mark."""
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], cwd=folder, env=environment, capture_output=True, text=True, timeout=90
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return next(line.partition(" ")[2] for line in result.stdout.splitlines() if line.startswith(("TASK ", "READ ")))


def wait_for(check, seconds, what):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = check()
        if value:
            return value
        time.sleep(0.5)
    raise AssertionError(f"{what}: not within {seconds} seconds")


def task_of(double, key):
    return double.call("tasks.get_by_id", {"task": key}, AUTHORIZATION)["data"]["task"]


@pytest.mark.slow
def test_agent_runs_a_task_of_the_sdk(double, environment, tmp_path):
    script = tmp_path / "experiment.py"
    script.write_text(SCRIPT, encoding="utf-8")
    key = run(environment, tmp_path, SUBMIT, str(script))
    assert task_of(double, key)["status"] == "queued"
    settings = {
        **environment,
        "CLEARML_WORKER_ID": "contract:cpu:0",
        "CLEARML_AGENT_SKIP_PIP_VENV_INSTALL": sys.executable,
        "CLEARML_AGENT_SKIP_PYTHON_ENV_INSTALL": "1",
    }
    log = tmp_path / "agent.log"
    with log.open("wb") as stream:
        agent = subprocess.Popen(
            [str(AGENT), "daemon", "--queue", "default", "--foreground", "--cpu-only"],
            cwd=tmp_path,
            env=settings,
            stdout=stream,
            stderr=subprocess.STDOUT,
        )
    try:

        def ended():
            assert agent.poll() is None, log.read_text(errors="replace")
            task = task_of(double, key)
            return task if task["status"] in ("completed", "failed", "stopped") else None

        task = wait_for(ended, 120, f"the task ends\n{log.read_text(errors='replace')}")
        assert task["status"] == "completed", log.read_text(errors="replace")
        workers = double.call("workers.get_all", {}, AUTHORIZATION)["data"]["workers"]
        assert [worker["id"] for worker in workers] == ["contract:cpu:0"]
    finally:
        agent.send_signal(signal.SIGTERM)
        status = agent.wait(30)
    assert status == 254  # the agent's own status after SIGTERM
    assert double.call("workers.get_all", {}, AUTHORIZATION)["data"]["workers"] == []

    seen = json.loads(run(environment, tmp_path, READ, key))
    assert seen["status"] == "completed"
    assert seen["artifact"] == "forty-two"
    assert seen["scalars"]["loss"]["train"]["x"] == [0, 1, 2]
    assert seen["last"]["loss"]["train"]["min"] == pytest.approx(0.5 / 3)
    assert "a line of the script" in seen["console"]
    assert seen["parameters"]["General/rate"] == "0.5"

    uri = task["execution"]["artifacts"][0]["uri"]
    assert uri.startswith(double.urls[1])
    with pytest.raises(urllib.error.HTTPError) as refused:  # the file server wants a token
        urllib.request.urlopen(uri, timeout=10)
    assert refused.value.code == 401
