# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ClearMLServer, on_endpoint
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import break_off
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

READS = {"auth.fixed_users_mode", "users.get_all", "auth.login"}
EMAIL = "carol@example.com"


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def user(server, check=False, **options):
    return run("clearml_user", check=check, **dict(server.connection, **options))


def twice(server, **options):
    """Check mode, run, check mode, run; returns the first real one."""
    before = copy.deepcopy((server.users, server.roles))
    forecast = user(server, check=True, **options)
    assert (forecast["changed"], (server.users, server.roles)) == (True, before)
    done = user(server, **options)
    assert (done["changed"], done["diff"]) == (True, forecast["diff"])
    del server.calls[:]
    for check in (True, False):
        assert user(server, check=check, **options)["changed"] is False
    assert set(server.called()) <= READS
    return done


def test_create_and_change(server):
    done = twice(server, name="Carol", email=EMAIL, given_name="Carol")
    assert (done["user"]["action"], done["user"]["role"], done["mode"], done["warnings"]) == ("created", "user", "open", [])
    assert server.users[-1] == {"id": done["user"]["id"], "name": "Carol", "given_name": "Carol"}
    twice(server, name="Carol", role="admin")
    assert server.roles[done["user"]["id"]] == "admin"
    renamed = twice(server, name="Carol Example", id=done["user"]["id"], family_name="Example")
    assert renamed["diff"]["before"]["name"] == "Carol"
    assert server.users[-1]["name"] == "Carol Example"


def test_calls_in_order(server):
    made = user(server, name="Carol", email=EMAIL, role="admin")
    assert server.called() == ["auth.fixed_users_mode", "users.get_all", "auth.login", "auth.create_user"]
    assert server.calls[-1][1] == {"name": "Carol", "email": EMAIL, "role": "admin", "company": "c-1"}
    del server.calls[:]
    user(server, name="Carol", given_name="C", role="user")
    assert [(call[0], call[3]) for call in server.calls] == [
        ("auth.fixed_users_mode", None),
        ("users.get_all", None),
        ("auth.login", made["user"]["id"]),
        ("users.update", None),
        ("auth.edit_user", None),
    ]
    assert [call[1] for call in server.calls[-2:]] == [
        {"user": made["user"]["id"], "given_name": "C"},
        {"user": made["user"]["id"], "role": "user"},
    ]


def test_fixed_users_are_explained(server):
    server.fixed = True
    made = user(server, name="Carol", email=EMAIL)
    assert (made["mode"], made["warnings"]) == (
        "fixed",
        ["this ClearML server has fixed users: 'Carol' cannot sign in at the web page, only with credentials"],
    )
    assert "its next start undoes this" in user(server, name="Alice", role="admin")["warnings"][0]
    assert user(server, name="Alice")["warnings"] == []


def test_what_cannot_be_meant(server):
    assert user(server, name="Carol")["msg"] == "there is no ClearML user 'Carol': email is needed to make one"
    for name in ("", " Carol", "Ca\nrol", "x" * 256):
        assert user(server, name=name, email=EMAIL)["failed"] is True
    assert "is not an address" in user(server, name="Carol", email="carol")["msg"]
    for option in ("given_name", "family_name", "email"):
        refused = user(server, **dict({"name": "Carol", "email": EMAIL}, **{option: "c\0@example.com"}))
        assert refused["msg"] == "%s of user 'Carol' holds the invisible character U+0000" % option
    assert user(server, name="Carol", id="nosuch")["msg"] == "no ClearML user has the id 'nosuch'"
    server.users.append({"id": "u-alice-2", "name": "Alice"})
    assert (
        "2 ClearML users are called 'Alice': say with the option id which one is meant, of u-alice, u-alice-2"
        in user(server, name="Alice")["msg"]
    )
    assert user(server, name="Alice", id="u-alice-2")["changed"] is False
    assert set(server.called()) <= READS


def test_an_address_of_another_user(server):
    user(server, name="Carol", email=EMAIL)
    assert user(server, name="Dave", email=EMAIL)["msg"].startswith("another ClearML user has the e-mail address %s" % EMAIL)
    assert [entry["name"] for entry in server.users].count("Dave") == 0


def test_a_creation_whose_answer_is_lost(server):
    def create_and_break(handler, endpoint):
        server.auth_create_user({"name": "Carol", "email": EMAIL}, "u-admin")
        break_off(handler)
        return True

    on_endpoint(server, "auth.create_user", create_and_break)
    made = user(server, name="Carol", email=EMAIL)
    assert (made["changed"], made["user"]["id"]) == (True, server.users[-1]["id"])
    assert [entry["name"] for entry in server.users].count("Carol") == 1


def test_the_role_of_the_caller_is_not_enough(server):
    server.roles["u-admin"] = "user"
    refused = user(server, name="Carol", email=EMAIL)
    assert (refused["result_code"], refused["endpoint"]) == (403, "auth.create_user")
    assert "allowed=(system, root)" in refused["msg"]
    assert refused["msg"].endswith("; use a pair with the role system")
