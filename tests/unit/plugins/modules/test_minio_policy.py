# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy
import json

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ClearMLServer
from ansible_collections.homelab.mlops.tests.unit.plugins.support.minio_server import MinioServer
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

READ = {"Effect": "Allow", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::clearml/*"}


@pytest.fixture
def server():
    with MinioServer() as running:
        yield running


def policy(server, check=False, **options):
    return run("minio_policy", check=check, **dict(server.connection, **dict({"name": "artifacts"}, **options)))


def twice(server, **options):
    """Check mode, run, check mode, run: the first two report a change, the others none; returns the first real one."""
    state = copy.deepcopy(server.policies)
    forecast = policy(server, check=True, **options)
    assert forecast["changed"] is True
    assert server.policies == state
    done = policy(server, **options)
    assert done["changed"] is True
    assert done["diff"] == forecast["diff"]
    del server.calls[:]
    for check in (True, False):
        assert policy(server, check=check, **options)["changed"] is False
    assert server.calls == []
    return done


def test_create_change_delete(server):
    done = twice(server, policy={"Statement": READ})
    assert done["diff"]["before"] == {"name": "artifacts", "policy": None}
    assert server.policies["artifacts"] == {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::clearml/*"]}],
    }
    same = {"Version": "2012-10-17", "Statement": [dict(READ, Action=["s3:GetObject", "s3:GetObject"])]}
    assert policy(server, policy=json.dumps(same))["changed"] is False
    done = twice(server, policy={"Statement": [dict(READ, Action=["s3:GetObject", "s3:PutObject"])]})
    assert done["policy"]["Statement"][0]["Action"] == ["s3:GetObject", "s3:PutObject"]
    done = twice(server, state="absent")
    assert done["policy"] is None
    assert "artifacts" not in server.policies


def test_a_policy_in_use_stays(server):
    policy(server, policy={"Statement": READ})
    server.users["agent-key"] = {"secret": "x", "enabled": True, "policies": {"artifacts"}}
    refused = policy(server, state="absent")
    assert refused["msg"].endswith("(XMinioIAMPolicyInUse); detach it from its users and groups first")
    assert "artifacts" in server.policies


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"policy": {}}, "state=absent deletes policy 'artifacts'"),
        ({"policy": {"a": "b"}}, "must be a policy document with a Statement"),
        ({"policy": {"Statement": [{"Action": "s3:*"}]}}, "needs an Effect"),
        ({"policy": {"Statement": READ}, "name": "a,b"}, "must not be empty, hold a comma"),
        ({}, "policy"),
    ],
)
def test_bad_input_is_refused_before_any_request(server, options, reason):
    assert reason in policy(server, **options)["msg"]
    assert server.calls == []


def test_what_is_not_minio():
    with ClearMLServer() as other:
        refused = run("minio_policy", name="artifacts", state="absent", endpoint_url=other.url, access_key="key", secret_key="secret-1")
        assert refused["failed"] is True
        assert "is not MinIO" in refused["msg"]
