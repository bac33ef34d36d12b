# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ADMIN, ClearMLServer, on_endpoint
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import send
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def test_with_a_pair(server):
    found = run("clearml_server_info", check=True, **server.connection)
    assert (found["changed"], found["mode"], found["guest"], found["healthy"], found["errors"]) == (False, "open", False, True, [])
    assert (found["version"], found["api_version"], found["build"], found["uid"]) == ("2.3.0", "2.34", None, None)
    assert found["user"] == {"id": "u-admin", "name": "u-admin", "role": "system", "company_id": "c-1", "company_name": "clearml"}
    assert server.called() == ["auth.fixed_users_mode", "server.info", "auth.login"]
    assert server.calls[-1][1] == {"expiration_sec": 60}
    assert ADMIN[1] not in found.text
    assert "signature" not in found.text


def test_without_a_pair(server):
    server.fixed = True
    server.server_errors = {"es_connection_error": True, "missed_es_upgrade": False}
    found = run("clearml_server_info", api_url=server.url)
    assert (found["mode"], found["healthy"], found["errors"], found["api_version"]) == ("fixed", False, ["es_connection_error"], "2.34")
    assert "version" not in found
    assert "user" not in found
    assert server.called() == ["auth.fixed_users_mode"]


def test_a_password_in_the_address_is_refused_and_not_shown(server):
    refused = run("clearml_server_info", api_url=server.url.replace("//", "//bob:its-SECRET@"))
    assert refused["msg"] == "api_url must not hold a user or a password: use access_key and secret_key"
    assert "its-SECRET" not in refused.text
    assert server.calls == []


@pytest.mark.parametrize("token", ["", "a.b", "a.eyJ9.c", "a.e30.c"])
def test_a_token_without_an_identity(server, token):
    server.auth_login = lambda body, user: {"token": token}
    assert "gave a token without an identity" in run("clearml_server_info", **server.connection)["msg"]


def test_what_is_not_clearml(server):
    on_endpoint(server, "auth.fixed_users_mode", lambda handler, endpoint: send(handler, 200, b"<html>", "text/html") or True)
    assert "is not a ClearML API server" in run("clearml_server_info", api_url=server.url)["msg"]
