# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The examples in the modules' documentation are run as they stand, by ansible-playbook against the double and S3 servers."""

import ast
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.mlops.tests.unit.plugins.support.s3_server import KEYS, MotoServer
from clearml_api import config
from conftest import STAGED
from s3_servers import ROOT_PAIR
from server import Double, basic

ROOT = Path(__file__).resolve().parents[2]
MODULES = ROOT / "plugins/modules"

ALICE = ("alice", "alice-pw-1")
OLDEST = "python3.8"  # of a target; of the machine or of its pyenv
# What each example of a module changes.
CLEARML = [
    ("clearml_queue", [False, True, True, False, True]),
    ("clearml_credentials", [True, True, True, False]),
    ("clearml_queue_info", [False, False]),
    ("clearml_worker_info", [False]),
    ("clearml_server_info", [False, False, False]),
    ("clearml_user_info", [False, False]),
    ("clearml_user", [True, True]),
    ("clearml_project", [True, False]),
    ("clearml_task", [True, True, True, True]),
]
# About a host or its cluster; run by the tests of their roles.
ROLES_OWN = ("clearml_agent_info", "node_info", "unit_info", "k3s_", "kubeconfig")


def examples(name):
    """The tasks in the EXAMPLES of a module."""
    tree = ast.parse((MODULES / f"{name}.py").read_text(encoding="utf-8"))
    texts = [
        node.value.value
        for node in tree.body
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "EXAMPLES" and isinstance(node.value, ast.Constant)
    ]
    return texts[0]


def interpreter(name):
    """Path of a Python of this machine that works; skips the test where there is none."""
    found = [shutil.which(name), *map(str, Path.home().glob(f".pyenv/versions/{name.removeprefix('python')}.*/bin/{name}"))]
    for path in filter(None, found):
        if subprocess.run([path, "-c", "import ssl"], capture_output=True).returncode == 0:
            return path
    pytest.skip(f"this machine has no {name}")


def play(folder, name, replaced, variables, check=False, python=sys.executable):
    """Runs a module's examples on localhost, with this Python as the target's; returns the results of its tasks."""
    text = examples(name)
    for old, new in replaced.items():
        assert old in text, f"{name}: {old} is not in the examples"
        text = text.replace(old, new)
    book = folder / f"{name}.yml"
    content = [{"hosts": "localhost", "gather_facts": False, "vars": variables, "tasks": yaml.safe_load(text)}]
    book.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE", "CLEARML", "AWS"))},
        "ANSIBLE_COLLECTIONS_PATH": STAGED,
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_LOCALHOST_WARNING": "false",
        "ANSIBLE_INVENTORY_UNPARSED_WARNING": "false",
        "ANSIBLE_PYTHON_INTERPRETER": python,
    }
    program = [str(Path(sys.executable).parent / "ansible-playbook"), *(["--check"] if check else []), str(book)]
    done = subprocess.run(program, env=environment, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]
    return [task["hosts"]["localhost"] for task in json.loads(done.stdout)["plays"][0]["tasks"]]


@pytest.fixture(scope="module", params=[sys.executable, OLDEST], ids=["own Python", OLDEST])
def python(request):
    return interpreter(request.param)


@pytest.fixture(scope="module")
def double(python):
    with Double("fixed") as running:
        yield running


@pytest.mark.parametrize("name, changes", CLEARML)
def test_clearml(double, python, tmp_path, name, changes):
    replaced = {"http://192.0.2.10:8008": double.urls[0]}
    if name == "clearml_credentials":
        replaced |= {"/etc/clearml-agent": str(tmp_path), "~/clearml.conf": str(tmp_path / "clearml.conf")}
    system = config.load(None, {})["secure"]["credentials"]["apiserver"]
    variables = {"clearml_access_key": ALICE[0], "clearml_secret_key": ALICE[1], "stored_pair": {}}
    variables |= {"clearml_system_access_key": system["user_key"], "clearml_system_secret_key": system["user_secret"]}
    queue = double.call("queues.get_default", {}, basic(*ALICE))["data"]["id"]
    for worker in ("localhost:0", "gpu-01:0"):
        double.call("workers.register", {"worker": worker, "queues": [queue], "timeout": 600}, basic(*ALICE))
    before = double.call("queues.get_all", {}, basic(*ALICE))["data"]
    play(tmp_path, name, replaced, variables, check=True, python=python)
    assert double.call("queues.get_all", {}, basic(*ALICE))["data"] == before
    results = play(tmp_path, name, replaced, variables, python=python)
    assert [bool(result.get("changed")) for result in results] == changes
    written = tmp_path / "credentials.env"
    if name == "clearml_credentials":
        pair = dict(line.split("=", 1) for line in written.read_text(encoding="utf-8").splitlines())
        authorization = basic(pair["CLEARML_API_ACCESS_KEY"], pair["CLEARML_API_SECRET_KEY"])
        assert double.call("users.get_current_user", {}, authorization)["data"]["user"]["name"] == "Alice Example"


def test_s3(tmp_path, minio):
    with MotoServer() as server:
        replaced = {"http://192.0.2.20:9000": server.url, "http://192.0.2.21:9000": minio.url}
        variables = {"s3_access_key": KEYS["access_key"], "s3_secret_key": KEYS["secret_key"]}
        variables |= {"minio_root_user": ROOT_PAIR[0], "minio_root_password": ROOT_PAIR[1]}
        server.boto.create_bucket(Bucket="scratch")
        server.boto.put_object(Bucket="scratch", Key="left-over", Body=b"x")
        play(tmp_path, "s3_bucket", replaced, variables, check=True)
        assert server.names() == ["scratch"]
        results = play(tmp_path, "s3_bucket", replaced, variables)
        assert [result["changed"] for result in results] == [True] * 6
        assert server.names() == ["clearml", "releases", "reports"]
        results = play(tmp_path, "s3_bucket_info", {"http://192.0.2.20:9000": server.url}, variables)
        assert results[0]["buckets"][0]["tags"] == {"owner": "homelab"}


def test_minio(tmp_path, minio, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    replaced = {"http://192.0.2.20:9000": minio.url}
    variables = {
        "minio_root_user": ROOT_PAIR[0],
        "minio_root_password": ROOT_PAIR[1],
        "agent_access_key": "aK3tYq81mPzL",
        "agent_secret_key": "a-secret-of-an-agent",
        "old_agent_access_key": "aGoneOne",
    }
    changes = {"minio_policy": [True], "minio_user": [True, False], "minio_service_account": [True, True, True]}
    for name, changed in changes.items():
        play(tmp_path, name, replaced, variables, check=True)
        results = play(tmp_path, name, replaced, variables)
        assert [result["changed"] for result in results] == changed
    pair = json.loads((tmp_path / "notebook-pair.json").read_text(encoding="utf-8"))
    assert sorted(pair) == ["access_key", "secret_key"]


def test_gpu(tmp_path):
    assert play(tmp_path, "gpu_info", {}, {})[0]["changed"] is False


def test_docker(tmp_path):
    replaced = {"/etc/docker": str(tmp_path)}
    play(tmp_path, "docker_daemon", replaced, {}, check=True)
    assert not (tmp_path / "daemon.json").exists()
    assert [play(tmp_path, "docker_daemon", replaced, {})[0]["changed"] for _run in range(2)] == [True, False]
    assert "nvidia" in json.loads((tmp_path / "daemon.json").read_text(encoding="utf-8"))["runtimes"]


def test_each_module_is_here():
    names = {path.stem for path in MODULES.glob("*.py") if not path.stem.startswith(ROLES_OWN)}
    run_here = {name for name, _ in CLEARML}
    run_here |= {"s3_bucket", "s3_bucket_info", "minio_policy", "minio_user", "minio_service_account", "docker_daemon", "gpu_info"}
    assert names == run_here
