# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The real SDK stores an artifact of 200 MB on a real MinIO and reads it back, with a clearml.conf and the agents' key."""

import hashlib
import json
import os
import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run
from clearml_api.config import DEFAULTS
from s3_servers import MinIO
from server import Double

ROLES = Path(__file__).resolve().parents[2] / "roles"
BUCKET = "experiments"
AGENTS = ("artifacts-key", "secret-of-the-artifacts")
SIZE = 200 * 2**20
PART = 8 * 2**20  # of the SDK, unless it is told otherwise
# What the role clearml_agent gives every experiment on its way to S3.
OF_THE_ROLE = dict(
    re.findall(r"^(AWS_\w+)='(.*)'$", (ROLES / "clearml_agent/templates/settings.j2").read_text(encoding="utf-8"), re.MULTILINE)
)
STORE = """
import sys
from clearml import Task

task = Task.init(project_name="contract", task_name="stores", output_uri=True)
assert task.upload_artifact("model", artifact_object=sys.argv[1], wait_on_upload=True)
print("TASK", task.id)
task.close()
"""
READ = """
import hashlib, sys
from clearml import Task

artifact = Task.get_task(task_id=sys.argv[1]).artifacts["model"]
with open(artifact.get_local_copy(), "rb") as stream:
    print("READ", artifact.url, hashlib.file_digest(stream, "sha256").hexdigest())
"""


@pytest.fixture
def double(tmp_path):
    with Double("open", "--state", tmp_path / "state.sqlite") as running:
        yield running


@pytest.fixture(scope="module")
def artifact(tmp_path_factory):
    """A file of 200 MB that nothing can shrink, and its checksum."""
    path = tmp_path_factory.mktemp("artifact") / "model.bin"
    digest = hashlib.sha256()
    with path.open("wb") as stream:
        for _ in range(SIZE // 2**20):
            block = os.urandom(2**20)
            digest.update(block)
            stream.write(block)
    yield path, digest.hexdigest()
    path.unlink()


def agents_key(server):
    """Makes the bucket and the key of the agents as the role minio does."""
    policy = yaml.safe_load((ROLES / "minio/vars/main.yml").read_text().replace("{{ homelab_s3_bucket }}", BUCKET))["__minio_policy"]
    for module, options in (
        ("s3_bucket", {"name": BUCKET}),
        ("minio_policy", {"name": "artifacts", "policy": policy}),
        ("minio_user", {"name": AGENTS[0], "secret": AGENTS[1], "policies": ["artifacts"]}),
    ):
        assert run(module, **{**server.connection, **options})["failed"] is False


# Of the role's tasks those that write the SDK's configuration.
WRITTEN = ("Write clearml.conf", "Write what the object store's certificate is checked with")


def environment(double, server, folder):
    """An own home with the clearml.conf and the variables for S3 that the role clearml_agent writes, and nothing else."""
    variables = {
        "ansible_python_interpreter": sys.executable,
        "__clearml_agent_config_dir": str(folder),
        "__clearml_agent_home": str(folder),
        "__clearml_agent_s3_pair": {"access_key": AGENTS[0], "secret_key": AGENTS[1]},
        "__clearml_agent_uid": {"rc": 1},
        "__homelab_clearml_ca": "",
        "__homelab_s3_ca": server.ca.read_text(encoding="utf-8") if server.ca else "",
        "clearml_agent_config": {},
        "clearml_agent_user": "nobody",
        "homelab_s3_bucket": BUCKET,
        "homelab_s3_endpoint_url": server.url,
        "homelab_s3_region": server.region,
    }
    tasks = yaml.safe_load((ROLES / "clearml_agent/tasks/configure.yml").read_text(encoding="utf-8"))
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars_files": [str(ROLES / "clearml_agent/vars/main.yml")],
        "tasks": [task for task in tasks if task["name"].endswith(WRITTEN)],
    }
    (folder / "configure.yml").write_text(json.dumps([play]), encoding="utf-8")
    (folder / "templates").symlink_to(ROLES / "clearml_agent/templates")
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("CLEARML", "TRAINS", "AWS"))}
    ansible = str(Path(sys.executable).with_name("ansible-playbook"))
    subprocess.run([ansible, "-i", "localhost,", "-e", json.dumps(variables), folder / "configure.yml"], env=kept, check=True, timeout=120)
    pair = DEFAULTS["secure"]["credentials"]["tests"]
    api = double.urls[0]
    given = {
        **{f"CLEARML_{name}_HOST": api for name in ("API", "WEB", "FILES")},
        "CLEARML_API_ACCESS_KEY": pair["user_key"],
        "CLEARML_API_SECRET_KEY": pair["user_secret"],
        "CLEARML_CONFIG_FILE": str(folder / "clearml.conf"),
    }
    return {**kept, **OF_THE_ROLE, **given, "HOME": str(folder), "TMPDIR": str(folder), "PYTHONUNBUFFERED": "1"}


def printed(program, argument, variables, folder):
    """The words behind the mark that a program prints."""
    done = subprocess.run(
        [sys.executable, "-c", program, str(argument)], env=variables, cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return next(line.split()[1:] for line in done.stdout.splitlines() if line.startswith(("TASK ", "READ ")))


def store_and_read(double, server, artifact, folder):
    path, checksum = artifact
    variables = environment(double, server, folder)
    (task,) = printed(STORE, path, variables, folder)
    url, read = printed(READ, task, variables, folder)
    assert read == checksum
    assert url.startswith(f"s3://{server.url.partition('://')[2]}/{BUCKET}/")
    key = url.partition(f"/{BUCKET}/")[2]
    stored = server.boto().head_object(Bucket=BUCKET, Key=key)
    assert stored["ContentLength"] == SIZE
    assert stored["ETag"].endswith(f'-{SIZE // PART}"')  # so many parts
    server.boto().delete_object(Bucket=BUCKET, Key=key)


@pytest.mark.slow
@pytest.mark.parametrize("server", ["minio", "secure_minio"])
def test_an_artifact_of_200_mb(double, artifact, tmp_path, request, server):
    server = request.getfixturevalue(server)
    agents_key(server)
    store_and_read(double, server, artifact, tmp_path)


@pytest.mark.slow
def test_a_server_that_dies_during_the_upload(double, artifact, tmp_path):
    """As when its pod is killed: the SDK tries again until the server is back, and what is stored is whole."""
    server = MinIO(tmp_path / "server")
    killed = []

    def kill_once():
        client = server.boto()
        while not (killed or done.is_set()):
            if client.list_multipart_uploads(Bucket=BUCKET).get("Uploads"):
                server.__exit__()
                time.sleep(2)
                server.__enter__()
                killed.append(True)
            time.sleep(0.02)

    with server:
        agents_key(server)
        done = threading.Event()
        thread = threading.Thread(target=kill_once)
        thread.start()
        try:
            store_and_read(double, server, artifact, tmp_path)
        finally:
            done.set()
            thread.join()
    assert killed
