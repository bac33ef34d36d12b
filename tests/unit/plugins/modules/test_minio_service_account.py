# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.minio_server import ROOT, MinioServer
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

READ = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::data/*"]}]}


@pytest.fixture
def server():
    with MinioServer() as running:
        running.users["agents"] = {"secret": "agents-secret", "enabled": True, "policies": {"readonly"}}
        yield running


def account(server, check=False, **options):
    options = dict({"label": "notebook", "user": "agents", "user_secret": "agents-secret"}, **options)
    return run("minio_service_account", check=check, **dict(server.connection, **options))


def twice(server, **options):
    """Check mode, run, check mode, run: the first two report a change, the others none; returns the first real one."""
    state = copy.deepcopy(server.accounts)
    forecast = account(server, check=True, **options)
    assert forecast["changed"] is True
    assert server.accounts == state
    done = account(server, **options)
    assert done["changed"] is True
    assert done["diff"] == forecast["diff"]
    del server.calls[:]
    for check in (True, False):
        again = account(server, check=check, **options)
        assert again["changed"] is False
        assert again["diff"]["before"] == again["diff"]["after"]
    assert server.calls == []
    return done


def test_create_change_delete(server):
    done = twice(server, policy=READ)
    key = done["access_key"]
    assert server.accounts[key]["secret"] == done["secret_key"]
    assert (server.accounts[key]["user"], server.accounts[key]["policy"]) == ("agents", READ)
    assert done["account"]["policy"] == READ
    done = twice(server, description="for me", enabled=False)
    assert (server.accounts[key]["status"], server.accounts[key]["description"]) == ("off", "for me")
    assert server.accounts[key]["policy"] == READ
    assert "secret_key" not in done
    twice(server, state="absent")
    assert server.accounts == {}


def test_a_given_pair_is_set_and_not_told(server):
    done = twice(server, name="my-own-key", secret="my-own-secret")
    assert server.accounts["my-own-key"]["secret"] == "my-own-secret"
    assert "my-own-secret" not in done.text
    assert account(server, name="my-own-key", secret="my-own-secret")["secret_works"] is True
    assert "has the access key 'my-own-key', not 'other-key'" in account(server, name="other-key")["msg"]


def test_a_secret_is_rotated_when_that_is_said(server):
    account(server, name="my-own-key", secret="my-own-secret")
    assert "set rotate=true" in account(server, secret="other-secret")["msg"]
    assert server.accounts["my-own-key"]["secret"] == "my-own-secret"
    twice(server, secret="other-secret", rotate=True)
    assert server.accounts["my-own-key"]["secret"] == "other-secret"
    told = account(server, rotate=True)["secret_key"]
    assert server.accounts["my-own-key"]["secret"] == told
    assert account(server, rotate=True, check=True)["changed"] is True
    assert server.accounts["my-own-key"]["secret"] == told


def test_an_account_that_was_disabled_is_proven_when_it_is_enabled(server):
    account(server, name="my-own-key", secret="my-own-secret", enabled=False)
    assert server.accounts["my-own-key"]["status"] == "off"
    assert "refuses what is signed with it" in account(server, secret="other-secret")["msg"]
    assert server.accounts["my-own-key"]["secret"] == "my-own-secret"
    account(server, enabled=False)
    assert account(server, secret="other-secret", rotate=True)["failed"] is False
    assert server.accounts["my-own-key"]["secret"] == "other-secret"


def test_a_pair_that_does_not_work_is_not_called_good(server):
    """Nobody would ever learn the secret of the account, so it goes away again."""
    server.forgetful = True
    refused = account(server)
    assert "took the secret of service account" in refused["msg"]
    assert server.accounts == {}


def test_two_accounts_with_one_label(server):
    for key in ("key-one", "key-two"):
        server.accounts[key] = {"user": "agents", "name": "notebook", "secret": "x", "status": "on", "description": "", "policy": None}
    assert "has 2 service accounts with the label 'notebook'" in account(server)["msg"]


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"label": "a label"}, "label 'a label' needs 1 to 32 letters"),
        ({"label": "1st"}, "begins with a letter"),
        ({"name": "ab"}, "must have 3 to 20 characters"),
        ({"secret": "short"}, "has 5 characters: use 8 to 40"),
        ({"policy": {}}, "policy must not be empty"),
        ({"policy": "{"}, "policy is not valid JSON"),
        ({"description": ""}, "description must not be empty"),
    ],
)
def test_what_minio_would_refuse_is_refused_before_any_request(server, options, reason):
    refused = account(server, **options)
    assert reason in refused["msg"]
    assert "\n" not in refused["msg"]
    assert server.calls == []


@pytest.mark.parametrize("user", [None, ROOT[0], "nobody"])
def test_the_root_pair_gets_none(server, user):
    refused = account(server, user=user)
    assert "is no user of this MinIO (the root pair is none)" in refused["msg"]
    assert server.accounts == {}


def test_a_user_that_is_gone_or_not_there_yet(server):
    assert account(server, user="gone", state="absent")["changed"] is False
    assert account(server, user="made-by-an-earlier-task", check=True)["changed"] is True
    assert "is no user" in account(server, user=ROOT[0], check=True)["msg"]
