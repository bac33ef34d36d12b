# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""kubeconfig with files: what it adds, what it leaves, what it refuses, and that no key is shown."""

from __future__ import annotations

import base64
import os

import pytest
import yaml
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run


def encoded(text):
    return base64.b64encode(text.encode()).decode()


def of_cluster(authority="CA one", key="KEY one", server="https://127.0.0.1:6443"):
    """What a server of K3s writes into k3s.yaml."""
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "preferences": {},
            "clusters": [{"name": "default", "cluster": {"certificate-authority-data": encoded(authority), "server": server}}],
            "users": [{"name": "default", "user": {"client-certificate-data": encoded("CRT " + key), "client-key-data": encoded(key)}}],
            "contexts": [{"name": "default", "context": {"cluster": "default", "user": "default"}}],
            "current-context": "default",
        }
    )


WORK = {
    "apiVersion": "v1",
    "kind": "Config",
    "clusters": [{"name": "work", "cluster": {"server": "https://work.example:6443", "insecure-skip-tls-verify": True}}],
    "users": [{"name": "me", "user": {"exec": {"command": "login", "args": ["--role", "0123"], "env": None}}}],
    "contexts": [{"name": "work", "context": {"cluster": "work", "user": "me", "namespace": "team"}}],
    "current-context": "work",
    "extensions": [{"name": "kept", "extension": {"a": [1, 2]}}],
}


def put(path, check=False, **options):
    options = dict({"path": str(path), "content": of_cluster(), "server": "https://10.0.0.1:6443", "context": "homelab"}, **options)
    return run("kubeconfig", check=check, **options)


def load(path):
    return yaml.safe_load(path.read_text())


def named(config, key, name):
    return [one for one in config[key] if one["name"] == name]


def test_a_new_file_and_a_second_run(tmp_path):
    path = tmp_path / "new" / "config"
    first = put(path)
    assert first["changed"] and first["current"] == "homelab" and first["others"] == []
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700
    config = load(path)
    assert config["kind"] == "Config" and config["current-context"] == "homelab"
    assert named(config, "clusters", "homelab")[0]["cluster"] == {
        "certificate-authority-data": encoded("CA one"),
        "server": "https://10.0.0.1:6443",
    }
    assert named(config, "users", "homelab")[0]["user"]["client-key-data"] == encoded("KEY one")
    assert named(config, "contexts", "homelab")[0]["context"] == {"cluster": "homelab", "user": "homelab"}
    before = path.stat()
    assert not put(path)["changed"]
    assert path.stat().st_mtime_ns == before.st_mtime_ns and os.listdir(path.parent) == ["config"]


def test_check_mode_writes_nothing(tmp_path):
    path = tmp_path / "new" / "config"
    assert put(path, check=True)["changed"]
    assert not path.parent.exists()
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(WORK))
    assert put(path, check=True)["changed"]
    assert load(path) == WORK


def test_entries_of_others_stay_as_they_are(tmp_path):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(WORK))
    path.chmod(0o644)
    outcome = put(path)
    assert outcome["changed"] and outcome["current"] == "work" and outcome["others"] == ["work"]
    config = load(path)
    for key in ("clusters", "users", "contexts"):
        assert config[key][: len(WORK[key])] == WORK[key]
    assert config["extensions"] == WORK["extensions"] and config["current-context"] == "work"
    assert path.stat().st_mode & 0o777 == 0o600
    assert put(path, current=True)["current"] == "homelab"


def test_new_certificate_and_new_address_are_taken_over(tmp_path):
    path = tmp_path / "config"
    put(path)
    config = load(path)
    named(config, "contexts", "homelab")[0]["context"]["namespace"] = "clearml"
    path.write_text(yaml.safe_dump(config))
    assert put(path, content=of_cluster(key="KEY two"), server="https://k3s.example:6443")["changed"]
    config = load(path)
    assert named(config, "users", "homelab")[0]["user"]["client-key-data"] == encoded("KEY two")
    assert named(config, "clusters", "homelab")[0]["cluster"]["server"] == "https://k3s.example:6443"
    assert named(config, "contexts", "homelab")[0]["context"]["namespace"] == "clearml"
    assert len(config["users"]) == len(config["clusters"]) == len(config["contexts"]) == 1


def test_a_wide_mode_is_narrowed_alone(tmp_path):
    path = tmp_path / "config"
    put(path)
    path.chmod(0o640)
    assert put(path)["changed"]
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "real").mkdir()
    target, link = tmp_path / "real" / "config", tmp_path / "config"
    target.write_text("")
    link.symlink_to(target)
    assert put(link)["path"] == str(target)
    assert link.is_symlink() and load(target)["current-context"] == "homelab"


def foreign(kind):
    config = yaml.safe_load(yaml.safe_dump(WORK))
    if kind == "cluster":
        config["clusters"].append(
            {"name": "homelab", "cluster": {"server": "https://other:6443", "certificate-authority-data": encoded("CA two")}}
        )
    elif kind == "user":
        config["users"].append({"name": "homelab", "user": {"token": "abc"}})
    else:
        config["contexts"].append({"name": "homelab", "context": {"cluster": "work", "user": "me"}})
    return config


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("kind", ["cluster", "user", "context"])
def test_an_entry_of_another_cluster_is_refused(tmp_path, kind, check):
    path = tmp_path / "config"
    path.write_text(yaml.safe_dump(foreign(kind)))
    outcome = put(path, check=check)
    assert outcome["failed"] and f"has a {kind} homelab" in outcome["msg"] and "kubeconfig_context" in outcome["msg"]
    assert load(path) == foreign(kind)
    assert not put(path, context="homelab-2")["failed"]
    assert named(load(path), kind + "s", "homelab") == named(foreign(kind), kind + "s", "homelab")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("clusters: [", "is not YAML in line 1"),
        ("a: b\n\tc: d\n", "is not YAML in line 2"),
        ("- one\n", "is no kubeconfig"),
        ("kind: Deployment\n", "is no kubeconfig"),
        ("clusters: {}\n", "its clusters are no list"),
        ("contexts: [homelab]\n", "its contexts are no list"),
        ("users: [{user: {}}]\n", "its users are no list"),
    ],
)
def test_a_file_that_is_something_else_is_refused(tmp_path, text, said):
    path = tmp_path / "config"
    path.write_text(text)
    outcome = put(path)
    assert outcome["failed"] and said in outcome["msg"] and "name another file" in outcome["msg"]
    assert path.read_text() == text


def test_a_pipe_is_neither_read_nor_replaced(tmp_path):
    path = tmp_path / "config"
    os.mkfifo(path)
    assert "is a named pipe, not an ordinary file" in put(path)["msg"]
    assert path.is_fifo()


def test_bytes_that_are_no_text_and_a_folder_are_refused(tmp_path):
    path = tmp_path / "config"
    path.write_bytes(b"\xff\xfe\x00")
    assert "is no text" in put(path)["msg"]
    assert "is a directory, not an ordinary file" in put(tmp_path)["msg"]


@pytest.mark.parametrize(
    "content", ["", "kind: Config\n", yaml.safe_dump({"current-context": "x", "contexts": [{"name": "x", "context": {}}]})]
)
def test_a_source_without_a_cluster_is_refused(tmp_path, content):
    outcome = put(tmp_path / "config", content=content)
    assert outcome["failed"] and "the cluster's kubeconfig" in outcome["msg"]
    assert not (tmp_path / "config").exists()


@pytest.mark.parametrize("name", ["", " ", "-x", "a b", "a\nb"])
def test_a_name_that_is_none_is_refused(tmp_path, name):
    assert "no name for a context" in put(tmp_path / "config", context=name)["msg"]


def test_no_key_is_shown(tmp_path):
    path = tmp_path / "config"
    config = yaml.safe_load(yaml.safe_dump(WORK))
    config["users"][0]["user"] = {"token": "of-work"}
    path.write_text(yaml.safe_dump(config))
    for outcome in (put(path), put(path, content=of_cluster(key="KEY two"))):
        assert outcome["changed"] and outcome["diff"]["before"] != outcome["diff"]["after"]
        for secret in ("KEY", encoded("KEY one"), encoded("KEY two"), encoded("CA one"), "of-work"):
            assert secret not in outcome.text
