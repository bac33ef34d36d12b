# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Puts the experiment into a queue with ClearML's own SDK, waits for it, and reads its result back.

``send``, ``watch`` and ``read`` run in processes of their own, with nothing but environment variables: no configuration file, no home
folder, as on a machine that never saw ClearML. The artifact is read from the bucket itself, not through the SDK.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import os
import pathlib
import re
import subprocess
import sys
import tempfile
import time
import urllib.parse

TRAIN = pathlib.Path(__file__).with_name("train.py")
# What the agent installs for the experiment; with these the wheels of Python 3.11 to 3.13 exist.
PACKAGES = ["clearml==2.1.12", "boto3==1.44.5", "numpy==2.4.6", "scikit-learn==1.9.1"]
ENDED = ("completed", "published", "failed", "stopped", "closed")

_DIGEST = re.compile(r"artifact weights: (?P<size>\d+) bytes, sha256 (?P<digest>[0-9a-f]{64})")


class ExperimentFailed(Exception):
    """The experiment did not end as it should; the text says how far it came, with its last lines."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What came back of one experiment.

    Attributes:
        task_id: id of the ClearML task.
        status: its last status, ``completed`` when all is well.
        worker: worker that ran it.
        scalars: title to the values of the series ``test``, in the order of epochs, as the API gives them.
        log_lines: its console output as the API gives it.
        artifact_url: where the task says its artifact is.
        artifact_size: bytes that the bucket gave for it.
        artifact_matches: the SHA-256 of these bytes is the one that the experiment printed.
        seconds: from the enqueueing to the end.
    """

    task_id: str
    status: str
    worker: str
    scalars: dict[str, list[float]]
    log_lines: list[str]
    artifact_url: str
    artifact_size: int
    artifact_matches: bool
    seconds: float

    def lines(self) -> list[str]:
        """The outcome for a person."""
        accuracy = self.scalars.get("accuracy", [])
        loss = self.scalars.get("loss", [])
        match = "byte for byte what the experiment stored" if self.artifact_matches else "NOT what the experiment stored"
        return [
            f"experiment {self.task_id}: {self.status} on {self.worker} after {self.seconds:.0f} s",
            *(
                [f"  accuracy {accuracy[0]:.3f} -> {accuracy[-1]:.3f}, loss {loss[0]:.3f} -> {loss[-1]:.3f}, {len(accuracy)} epochs"]
                if accuracy and loss
                else []
            ),
            f"  {len(self.log_lines)} lines of log",
            f"  artifact {self.artifact_url}: {self.artifact_size} bytes, {match}",
        ]


def _sdk(action: str, urls: dict[str, str], access_key: str, secret_key: str, arguments: list[str], timeout: float) -> dict:
    """Run one action of this file in a process of its own; its answer.

    Raises:
        ExperimentFailed: it failed or took too long.
    """
    with tempfile.TemporaryDirectory() as folder:
        environment = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML_", "TRAINS_", "AWS_"))} | {
            "CLEARML_API_HOST": urls["api"],
            "CLEARML_WEB_HOST": urls["web"],
            "CLEARML_FILES_HOST": urls["files"],
            "CLEARML_API_ACCESS_KEY": access_key,
            "CLEARML_API_SECRET_KEY": secret_key,
            "CLEARML_CONFIG_FILE": f"{folder}/no-such-file",
            "HOME": folder,
        }
        answer = pathlib.Path(folder) / "answer.json"
        command = [sys.executable, __file__, action, "--answer", str(answer), *arguments]
        try:
            done = subprocess.run(
                command, env=environment, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=timeout, check=False
            )
        except subprocess.TimeoutExpired as error:
            said = (error.stderr or b"")[-2000:]
            raise ExperimentFailed(f"the SDK's {action} did not end within {timeout:.0f} s: {said!r}") from error
        if done.returncode or not answer.is_file():
            raise ExperimentFailed(f"the SDK's {action} failed:\n{(done.stdout + done.stderr)[-3000:]}")
        return json.loads(answer.read_text(encoding="utf-8"))


def send(
    *,
    api_url: str,
    web_url: str,
    files_url: str,
    access_key: str,
    secret_key: str,
    queue: str = "default",
    parameters: dict[str, float] | None = None,
    timeout_seconds: float = 120,
) -> str:
    """Create the task and put it into a queue; the task's id.

    Raises:
        ExperimentFailed: the SDK could not.
    """
    arguments = ["--queue", queue, "--parameters", json.dumps(parameters or {})]
    urls = {"api": api_url, "web": web_url, "files": files_url}
    return _sdk("send", urls, access_key, secret_key, arguments, timeout_seconds)["task_id"]


def read(*, api_url: str, web_url: str, files_url: str, access_key: str, secret_key: str, task_id: str, timeout_seconds: float) -> dict:
    """Wait for the end of a task; its status, worker, scalars, log and artifact URL as the SDK reads them.

    Raises:
        ExperimentFailed: it has not ended after ``timeout_seconds``, or the SDK could not read it.
    """
    arguments = ["--task", task_id, "--limit", str(timeout_seconds)]
    urls = {"api": api_url, "web": web_url, "files": files_url}
    return _sdk("read", urls, access_key, secret_key, arguments, timeout_seconds + 60)


def wait_until_running(
    *, api_url: str, web_url: str, files_url: str, access_key: str, secret_key: str, task_id: str, timeout_seconds: float = 300
) -> None:
    """Wait until a worker has reported the first epoch of a task.

    Raises:
        ExperimentFailed: it has not after ``timeout_seconds``, or it has ended.
    """
    arguments = ["--task", task_id, "--limit", str(timeout_seconds)]
    urls = {"api": api_url, "web": web_url, "files": files_url}
    found = _sdk("watch", urls, access_key, secret_key, arguments, timeout_seconds + 60)
    if not found["running"]:
        raise ExperimentFailed(f"experiment {task_id} is {found['status']}, no epoch was reported within {timeout_seconds:.0f} s")


def read_artifact(url: str, *, endpoint_url: str, access_key: str, secret_key: str, bucket: str) -> bytes:
    """The bytes that an artifact URL ``s3://HOST:PORT/BUCKET/KEY`` names, read from the bucket with a key of the store.

    Raises:
        ExperimentFailed: the URL is not in that bucket.
        botocore.exceptions.ClientError: the store refuses.
    """
    import boto3
    from botocore.config import Config

    parts = urllib.parse.urlsplit(url)
    found_bucket, _, key = urllib.parse.unquote(parts.path).lstrip("/").partition("/")
    if parts.scheme != "s3" or found_bucket != bucket or not key:
        raise ExperimentFailed(f"the artifact is at {url}, not in the bucket {bucket} of {endpoint_url}")
    client = boto3.client(
        "s3",
        endpoint_url=endpoint_url,
        aws_access_key_id=access_key,
        aws_secret_access_key=secret_key,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}, connect_timeout=10, read_timeout=30),
    )
    return client.get_object(Bucket=bucket, Key=key)["Body"].read()


def run(
    *,
    api_url: str,
    web_url: str,
    files_url: str,
    access_key: str,
    secret_key: str,
    s3_endpoint_url: str,
    s3_bucket: str,
    s3_access_key: str,
    s3_secret_key: str,
    queue: str = "default",
    parameters: dict[str, float] | None = None,
    timeout_seconds: float = 900,
) -> Outcome:
    """Send the experiment, wait for it, read everything back.

    Args:
        api_url, web_url, files_url: the ClearML server, as a client reaches it.
        access_key, secret_key: a pair of the API, or name and password of a fixed user.
        s3_endpoint_url, s3_bucket, s3_access_key, s3_secret_key: the bucket of artifacts and a key that reads it.
        queue: name of the queue.
        parameters: of the experiment: ``epochs``, ``seed``, ``pause_seconds`` after each epoch.
        timeout_seconds: from the enqueueing to the end; a first run installs 300 MB of packages on the worker.

    Raises:
        ExperimentFailed: it did not complete in time, or its artifact is somewhere else.
    """
    login = {"api_url": api_url, "web_url": web_url, "files_url": files_url, "access_key": access_key, "secret_key": secret_key}
    task_id = send(**login, queue=queue, parameters=parameters)
    started = time.monotonic()
    found = read(**login, task_id=task_id, timeout_seconds=timeout_seconds)
    seconds = time.monotonic() - started
    log_lines = found["log"].splitlines()
    if found["status"] != "completed":
        last = "\n".join(log_lines[-40:])
        raise ExperimentFailed(f"experiment {task_id} ended as {found['status']} on {found['worker'] or 'no worker'}:\n{last}")
    printed = _DIGEST.search(found["log"])
    if not printed or not found["artifact_url"]:
        raise ExperimentFailed(f"experiment {task_id} completed without an artifact:\n" + "\n".join(log_lines[-40:]))
    content = read_artifact(
        found["artifact_url"], endpoint_url=s3_endpoint_url, access_key=s3_access_key, secret_key=s3_secret_key, bucket=s3_bucket
    )
    return Outcome(
        task_id=task_id,
        status=found["status"],
        worker=found["worker"],
        scalars=found["scalars"],
        log_lines=log_lines,
        artifact_url=found["artifact_url"],
        artifact_size=len(content),
        artifact_matches=len(content) == int(printed["size"]) and hashlib.sha256(content).hexdigest() == printed["digest"],
        seconds=seconds,
    )


def _send(options: argparse.Namespace) -> dict:
    from clearml import Task

    task = Task.create(
        project_name="homelab",
        task_name="digits",
        task_type="training",
        script=str(TRAIN),
        packages=PACKAGES,
        force_single_script_file=True,
        add_task_init_call=False,
        binary="python3",
    )
    for name, value in json.loads(options.parameters).items():
        task.set_parameter(f"General/{name}", value)
    Task.enqueue(task, queue_name=options.queue)
    return {"task_id": task.id}


def _read(options: argparse.Namespace) -> dict:
    from clearml import Task

    deadline = time.monotonic() + options.limit
    task = Task.get_task(task_id=options.task)
    while str(task.get_status()) not in ENDED and time.monotonic() < deadline:
        time.sleep(2)
    # The agent sends the last lines of the log and the SDK the last scalars within seconds around the end.
    time.sleep(3)
    task.reload()
    artifact = task.artifacts.get("weights")
    reported = task.get_reported_scalars()
    return {
        "status": str(task.get_status()),
        "worker": task.data.last_worker or "",
        "scalars": {title: [float(y) for y in series["test"]["y"]] for title, series in reported.items() if "test" in series},
        "log": "".join(task.get_reported_console_output(number_of_reports=1000)),
        "artifact_url": artifact.url if artifact else "",
    }


def _watch(options: argparse.Namespace) -> dict:
    from clearml import Task

    deadline = time.monotonic() + options.limit
    task = Task.get_task(task_id=options.task)
    while str(task.get_status()) not in ENDED and time.monotonic() < deadline:
        if task.get_reported_scalars():
            return {"running": True}
        time.sleep(2)
    return {"running": False, "status": str(task.get_status())}


ACTIONS = {"send": _send, "watch": _watch, "read": _read}


def main() -> None:
    """The part that runs in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("action", choices=list(ACTIONS))
    parser.add_argument("--answer", type=pathlib.Path, required=True)
    parser.add_argument("--queue")
    parser.add_argument("--parameters", default="{}")
    parser.add_argument("--task")
    parser.add_argument("--limit", type=float)
    options = parser.parse_args()
    answer = ACTIONS[options.action](options)
    options.answer.write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main()
