# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k3s_token against a supervisor that does what K3s's does: takes the old secret, writes the new one into its file."""

from __future__ import annotations

import base64
import json
import os

import pytest
from ansible_collections.homelab.mlops.plugins.module_utils.k3s import supervisor
from ansible_collections.homelab.mlops.plugins.modules import k3s_token
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import LocalServer, send
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

HASH = "ab" * 32
OLD = "the-old-secret"


class Server(LocalServer):
    """The part of K3s's supervisor that is asked here."""

    def __init__(self, data):
        super().__init__()
        self.file = data / "server" / "token"
        self.file.parent.mkdir(parents=True)
        self.write(OLD)
        self.calls = []
        self.status = 200
        self.writes = True

    def write(self, secret):
        self.file.write_text("K10%s::server:%s\n" % (HASH, secret))

    def secret(self):
        return self.file.read_text().strip().rpartition(":")[2]

    def handle(self, handler, body):
        self.calls.append((handler.command, handler.path, body))
        wanted = "Basic " + base64.b64encode(("server:" + self.secret()).encode()).decode()
        if handler.headers["Authorization"] != wanted:
            return send(handler, 401, b'{"message": "Unauthorized"}', "application/json")
        if handler.path == "/db/info":
            return send(handler, self.status, json.dumps({"members": [{"ID": 7, "name": "node-01-aaaa0000"}]}).encode(), "application/json")
        if self.status != 200:
            return send(handler, self.status, b'{"message": "not now: %s"}' % body.replace(b'"', b"'"), "application/json")
        if self.writes:
            self.write(json.loads(body)["newToken"])
        return send(handler, 200, b"", "text/plain")


@pytest.fixture
def server(tmp_path, monkeypatch):
    with Server(tmp_path / "data") as one:

        def made():
            return supervisor.Supervisor(str(tmp_path / "data"), one.url)

        monkeypatch.setattr(k3s_token, "Supervisor", made)
        one.supervisor = made()
        one.note = tmp_path / "etc" / "homelab-token.next"
        one.note.parent.mkdir()
        yield one


def rotate(server, check=False, **options):
    return run("k3s_token", check=check, note=str(server.note), **options)


def states(outcome):
    return {key: outcome[key] for key in ("changed", "unsettled", "resumed")}


def test_a_given_token_and_a_second_run(server):
    first = rotate(server, token="a-new-secret")
    assert states(first) == {"changed": True, "unsettled": True, "resumed": False}
    assert server.calls == [("PUT", "/v1-k3s/token", b'{"newToken": "a-new-secret"}')]
    assert server.secret() == "a-new-secret" and server.note.read_text() == "a-new-secret\n"
    assert server.note.stat().st_mode & 0o777 == 0o600
    assert states(rotate(server, state="settled")) == {"changed": True, "unsettled": False, "resumed": False}
    assert os.listdir(server.note.parent) == []
    assert states(rotate(server, state="settled"))["changed"] is False
    assert states(rotate(server, token="a-new-secret")) == {"changed": False, "unsettled": False, "resumed": False}
    assert len(server.calls) == 1


def test_the_full_form_is_the_same_token(server):
    assert not rotate(server, token="K10%s::server:%s" % (HASH, OLD))["changed"]
    rotate(server, token="K10%s::server:another-secret" % HASH)
    assert server.secret() == "another-secret"


def test_a_made_token_is_another_one_each_time(server):
    rotate(server)
    first = server.secret()
    assert len(first) == 64 and first != OLD
    rotate(server, state="settled")
    rotate(server)
    assert server.secret() not in (first, OLD)


def test_a_run_that_was_killed_is_finished_with_the_same_token(server):
    rotate(server)
    made = server.secret()
    assert states(rotate(server)) == {"changed": False, "unsettled": True, "resumed": True}
    assert server.secret() == made and len(server.calls) == 1


def test_a_run_that_was_killed_before_the_call_makes_it(server):
    server.note.write_text("noted-secret\n")
    assert states(rotate(server)) == {"changed": True, "unsettled": True, "resumed": True}
    assert server.secret() == "noted-secret"


def test_a_given_token_comes_before_a_noted_one(server):
    server.note.write_text("noted-secret\n")
    rotate(server, token="a-new-secret")
    assert server.secret() == "a-new-secret" and server.note.read_text() == "a-new-secret\n"


def test_check_mode_changes_nothing(server):
    assert states(rotate(server, check=True)) == {"changed": True, "unsettled": True, "resumed": False}
    assert server.secret() == OLD and not server.calls and not server.note.exists()
    server.note.write_text("noted-secret\n")
    assert rotate(server, check=True, state="settled")["changed"] and server.note.exists()


@pytest.mark.parametrize("token", ["short", "with space", "with:colon", "with\nline"])
def test_a_token_that_is_none_is_refused(server, token):
    outcome = rotate(server, token=token)
    assert outcome["failed"] and "not usable" in outcome["msg"] and token not in outcome["msg"]
    assert not server.calls and not server.note.exists()


def test_a_refusal_is_told_without_the_token(server):
    server.status = 500
    outcome = rotate(server, token="a-new-secret")
    assert outcome["failed"] and "500 not now" in outcome["msg"] and "a-new-secret" not in outcome.text
    server.status = 200
    assert states(rotate(server)) == {"changed": True, "unsettled": True, "resumed": True}
    assert server.secret() == "a-new-secret"


def test_a_server_that_keeps_the_old_token_is_an_error(server):
    server.writes = False
    outcome = rotate(server, token="a-new-secret")
    assert outcome["failed"] and "has another one" in outcome["msg"]


def test_no_server(server):
    server.file.unlink()
    assert "cannot be read" in rotate(server)["msg"]
    server.file.write_text("\n")
    assert "is empty" in rotate(server)["msg"]


@pytest.mark.parametrize("state", ["rotated", "settled"])
@pytest.mark.parametrize(("make", "kind"), [(os.mkfifo, "a named pipe"), (os.mkdir, "a directory")])
def test_a_note_that_is_no_ordinary_file_is_left_alone(server, make, kind, state):
    make(str(server.note))
    before = server.note.stat()
    assert "%s is %s, not an ordinary file" % (server.note, kind) in rotate(server, state=state)["msg"]
    assert (server.note.stat().st_ino, server.secret(), server.calls) == (before.st_ino, OLD, [])


def test_nothing_answers(server, monkeypatch, tmp_path):
    monkeypatch.setattr(k3s_token, "Supervisor", lambda: supervisor.Supervisor(str(tmp_path / "data"), "http://127.0.0.1:9"))
    assert "does not answer" in rotate(server)["msg"]


def test_members(server):
    assert server.supervisor.members() == [{"ID": 7, "name": "node-01-aaaa0000"}]
    for status in (400, 404):
        server.status = status
        assert server.supervisor.members() is None
    server.status = 503
    with pytest.raises(supervisor.SupervisorError, match="503"):
        server.supervisor.members()


@pytest.mark.parametrize(
    ("token", "secret"),
    [
        ("abc", "abc"),
        (" abc\n", "abc"),
        ("K10%s::server:abc" % HASH, "abc"),
        ("K10%s::abc" % HASH, "abc"),
        ("K10x::server:abc", "K10x::server:abc"),
    ],
)
def test_the_secret_in_a_token(token, secret):
    assert supervisor.secret_of(token) == secret
