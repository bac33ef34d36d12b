# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A person's daemon.json with NVIDIA's runtime put into it."""

from __future__ import annotations

import json
import os
import stat

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

NVIDIA = {"runtimes": {"nvidia": {"path": "nvidia-container-runtime", "args": []}}}
OWN = {
    "log-driver": "json-file",
    "log-opts": {"max-size": "10m", "max-file": "3"},
    "features": {"buildkit": True, "cdi": False},
    "runtimes": {"kata": {"path": "/usr/bin/kata-runtime"}},
    "insecure-registries": ["registry.example:5000"],
    "proxies": {"http-proxy": "http://alice:secret@proxy.example"},
}


@pytest.fixture
def path(tmp_path):
    return tmp_path / "docker" / "daemon.json"


@pytest.fixture
def own(path):
    """The file of a person who has set much else."""
    path.parent.mkdir()
    path.write_text(json.dumps(OWN), encoding="utf-8")
    path.chmod(0o640)
    return path


def put(path, settings=None, **options):
    options.setdefault("dockerd", "/bin/true")
    return run("docker_daemon", path=str(path), settings=NVIDIA if settings is None else settings, **options)


def content(path):
    return json.loads(path.read_text(encoding="utf-8"))


def test_everything_else_survives(own):
    assert put(own)["changed"] is True
    assert content(own) == dict(OWN, runtimes={"kata": {"path": "/usr/bin/kata-runtime"}, "nvidia": NVIDIA["runtimes"]["nvidia"]})
    assert list(content(own)) == list(OWN)
    assert stat.S_IMODE(own.stat().st_mode) == 0o640
    before = own.read_text(encoding="utf-8")
    assert put(own)["changed"] is False
    assert own.read_text(encoding="utf-8") == before


def test_the_difference_shows_nothing_else_of_the_file(own):
    outcome = put(own, dict(NVIDIA, features={"cdi": True}))
    assert outcome["diff"] == {"before": {"runtimes": {}, "features": {"cdi": False}}, "after": dict(NVIDIA, features={"cdi": True})}
    assert "secret" not in outcome.text


def test_a_key_is_taken_away(own):
    assert put(own, {"features": {"cdi": None}, "log-driver": None, "nothing": None})["changed"] is True
    assert content(own) == {name: value for name, value in dict(OWN, features={"buildkit": True}).items() if name != "log-driver"}


@pytest.mark.parametrize("text", [None, "", " \n"])
def test_a_docker_without_a_file(path, text):
    if text is not None:
        path.parent.mkdir()
        path.write_text(text, encoding="utf-8")
    assert put(path)["changed"] is True
    assert content(path) == NVIDIA
    assert put(path)["changed"] is False
    if text is None:
        assert stat.S_IMODE(path.stat().st_mode) == 0o644


def test_check_mode_says_the_same_and_writes_nothing(own, path):
    before = own.read_text(encoding="utf-8")
    tried = put(own, check=True)
    assert own.read_text(encoding="utf-8") == before
    done = put(own)
    assert (tried["changed"], tried["diff"]) == (done["changed"], done["diff"])


def test_check_mode_makes_no_folder(path):
    assert put(path, check=True)["changed"] is True
    assert not path.parent.exists()


def test_a_link_is_followed(own, tmp_path):
    link = tmp_path / "daemon.json"
    os.symlink(str(own), str(link))
    put(link)
    assert link.is_symlink()
    assert "nvidia" in content(own)["runtimes"]


@pytest.mark.parametrize(
    "text, problem",
    [
        ('{"debug": true,}', "is no JSON"),
        ("[1]", "holds no object but a list"),
        ('{"debug": true, "debug": false}', "holds debug twice: remove one"),
    ],
)
def test_a_file_that_cannot_be_taken_is_left_alone(own, text, problem):
    own.write_text(text, encoding="utf-8")
    assert problem in put(own)["msg"]
    assert own.read_text(encoding="utf-8") == text


@pytest.mark.parametrize("check", [True, False])
@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a named pipe"), (os.mkdir, "a directory")])
def test_what_is_no_ordinary_file_is_neither_read_nor_replaced(path, make, kind, check):
    path.parent.mkdir()
    make(str(path))
    before = path.stat()
    assert put(path, check=check)["msg"] == "%s is %s, not an ordinary file, and is left alone: name another path" % (path, kind)
    assert (path.stat().st_ino, path.stat().st_mode) == (before.st_ino, before.st_mode)


def program(folder, text):
    path = folder / "dockerd"
    path.write_text("#!/bin/sh\n" + text, encoding="utf-8")
    path.chmod(0o755)
    return str(path)


def test_a_file_that_docker_refuses_is_not_put_into_place(own, tmp_path):
    before = own.read_text(encoding="utf-8")
    refuses = program(tmp_path, 'echo "unable to configure the Docker daemon with file $3: unknown runtime" >&2; exit 1')
    message = put(own, dockerd=refuses)["msg"]
    assert message.startswith("dockerd refuses the new %s: unable to configure" % own)
    assert own.read_text(encoding="utf-8") == before
    assert [entry.name for entry in own.parent.iterdir()] == ["daemon.json"]


def test_docker_is_shown_the_whole_new_file(own, tmp_path):
    seen = tmp_path / "seen.json"
    takes = program(tmp_path, '[ "$1 $2" = "--validate --config-file" ] && cp "$3" %s' % seen)
    assert put(own, dockerd=takes)["validated"] is True
    assert content(seen) == content(own)


def test_an_old_docker_that_cannot_validate(own, tmp_path):
    outcome = put(own, dockerd=program(tmp_path, 'echo "unknown flag: --validate" >&2; exit 125'))
    assert (outcome["changed"], outcome["validated"]) == (True, False)
