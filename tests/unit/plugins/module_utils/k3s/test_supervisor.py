# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is made of the answers of K3s's supervisor on the etcd members, and of answers that are not its own."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.supervisor import Supervisor, SupervisorError
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import LocalServer, send


class Server(LocalServer):
    """Answers every question with the same status and body."""

    answer = (200, b"{}")

    def handle(self, handler, _body):
        status, body = self.answer
        return send(handler, status, body, "text/plain")


@pytest.fixture
def members(tmp_path):
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "token").write_text("the-secret\n")
    with Server() as server:

        def ask(status, body):
            server.answer = (status, body)
            return Supervisor(str(tmp_path), server.url).members()

        yield ask


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (200, b'{"members": [{"name": "node-01-aaaa0000"}]}', [{"name": "node-01-aaaa0000"}]),
        (200, b'{"members": null}', []),
        (400, b'{"message": "etcd datastore disabled"}', None),
        (404, b"404 page not found", None),
    ],
)
def test_members(members, status, body, found):
    assert members(status, body) == found


@pytest.mark.parametrize(
    "body", [b"", b"<html>Sign in</html>", b"[]", b'"ok"', b'{"members": "none"}', b'{"members": ["node-01"]}', b"\xff\xfe"]
)
def test_an_answer_that_is_not_of_k3s_is_an_error_of_one_line(members, body):
    with pytest.raises(SupervisorError, match="in a form that is not known: 200") as error:
        members(200, body)
    assert "\n" not in str(error.value)


def test_a_refusal_is_told_in_its_own_words_and_not_at_any_length(members):
    with pytest.raises(SupervisorError, match="does not tell its etcd members: 503 not ready"):
        members(503, b'{"message": "not ready"}')
    with pytest.raises(SupervisorError) as error:
        members(503, b"<p>" * 10000)
    assert len(str(error.value)) < 400
