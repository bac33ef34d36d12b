# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.minio_server import ROOT, MinioServer
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run


@pytest.fixture
def server():
    with MinioServer() as running:
        running.policies["artifacts"] = {"Version": "2012-10-17", "Statement": []}
        yield running


def user(server, check=False, **options):
    return run("minio_user", check=check, **dict(server.connection, **dict({"name": "agent-key"}, **options)))


def twice(server, **options):
    """Check mode, run, check mode, run: the first two report a change, the others none; returns the first real one."""
    state = copy.deepcopy(server.users)
    forecast = user(server, check=True, **options)
    assert forecast["changed"] is True
    assert server.users == state
    done = user(server, **options)
    assert done["changed"] is True
    assert done["diff"] == forecast["diff"]
    del server.calls[:]
    for check in (True, False):
        again = user(server, check=check, **options)
        assert again["changed"] is False
        assert again["diff"]["before"] == again["diff"]["after"]
    assert server.calls == []
    return done


def test_create_change_delete(server):
    done = twice(server, secret="first-secret", policies=["artifacts"])
    assert server.users == {"agent-key": {"secret": "first-secret", "enabled": True, "policies": {"artifacts"}}}
    assert done["user"] == {"name": "agent-key", "state": "present", "enabled": True, "policies": ["artifacts"]}
    assert "first-secret" not in done.text

    done = twice(server, secret="other-secret")
    assert done["secret_works"] is False
    assert done["diff"]["before"]["secret"] != done["diff"]["after"]["secret"]
    assert "other-secret" not in done.text
    assert server.users["agent-key"] == {"secret": "other-secret", "enabled": True, "policies": {"artifacts"}}

    done = twice(server, policies=["readonly"])
    assert (done["diff"]["before"]["policies"], done["diff"]["after"]["policies"]) == (["artifacts"], ["readonly"])
    assert server.users["agent-key"]["policies"] == {"readonly"}
    twice(server, policies=[])
    assert user(server)["changed"] is False

    done = twice(server, state="absent")
    assert done["user"] == {"name": "agent-key", "state": "absent"}
    assert server.users == {}


def test_a_secret_that_works_is_not_set_again(server):
    user(server, secret="first-secret")
    del server.calls[:]
    for policies in ([], ["artifacts"]):  # without a policy the signed request is denied, and its signature still right
        server.users["agent-key"]["policies"] = set(policies)
        same = user(server, secret="first-secret")
        assert (same["changed"], same["secret_works"]) == (False, True)
    assert server.calls == []


def test_disable_and_enable(server):
    user(server, secret="first-secret", policies=["artifacts"])
    twice(server, enabled=False)
    assert server.users["agent-key"]["enabled"] is False
    refused = user(server, enabled=False, policies=["readonly"])
    assert refused["msg"] == "MinIO does not change the policies of user 'agent-key' while it is disabled: set enabled=true"
    twice(server, secret="new-secret", policies=["readonly"])
    assert server.users["agent-key"] == {"secret": "new-secret", "enabled": True, "policies": {"readonly"}}


def test_a_user_who_is_born_disabled(server):
    twice(server, secret="first-secret", policies=["artifacts"], enabled=False)
    assert server.users["agent-key"] == {"secret": "first-secret", "enabled": False, "policies": {"artifacts"}}


def test_a_policy_that_does_not_exist(server):
    assert user(server, check=True, secret="first-secret", policies=["nosuch"])["changed"] is True
    refused = user(server, secret="first-secret", policies=["nosuch"])
    assert refused["error_code"] == "XMinioAdminNoSuchPolicy"
    assert refused["msg"].endswith("create them with minio_policy first")


def test_a_new_user_needs_a_secret(server):
    for check in (True, False):
        assert user(server, check=check)["msg"] == "user 'agent-key' does not exist: give its secret to create it"


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"name": "ab"}, "3 to 20 characters"),
        ({"name": "x" * 21}, "3 to 20 characters"),
        ({"name": "a=b"}, "without spaces, commas and equals signs"),
        ({"name": "a b"}, "without spaces, commas and equals signs"),
        ({"secret": "short"}, "has 5 characters: use 8 to 40"),
        ({"secret": "x" * 41}, "has 41 characters: use 8 to 40"),
        ({"region": "us east"}, "must be a name such as us-east-1"),
        ({"name": ROOT[0]}, "is the one that this connection uses"),
    ],
)
def test_bad_input_is_refused_before_any_request(server, options, reason):
    refused = user(server, **options)
    assert reason in refused["msg"]
    assert server.calls == []


def test_a_wrong_pair_of_the_connection(server):
    refused = user(server, secret_key="not-the-secret", secret="first-secret")
    assert refused["error_code"] == "SignatureDoesNotMatch"
    assert refused["msg"].endswith("check access_key and secret_key of the connection")
    user(server, secret="first-secret")
    refused = user(server, access_key="agent-key", secret_key="first-secret", name="other-key")
    assert refused["msg"].endswith("connect with the root pair or a user with the policy consoleAdmin")
