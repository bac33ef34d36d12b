# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run
from ansible_collections.homelab.mlops.tests.unit.plugins.support.s3_server import LISTED, MotoServer, ScriptedServer


@pytest.fixture
def server():
    with MotoServer() as running:
        yield running


def test_all_and_one(server):
    server.boto.create_bucket(Bucket="plain-one")
    rules = [{"id": "old", "prefix": "", "noncurrent_versions_days": 5}]
    run("s3_bucket", name="data-1", versioning="enabled", tags={"a": "b"}, lifecycle=rules, **server.connection)
    server.boto.put_object(Bucket="data-1", Key="k", Body=b"v")
    found = run("s3_bucket_info", **server.connection)
    assert found["changed"] is False
    assert [bucket["name"] for bucket in found["buckets"]] == ["data-1", "plain-one"]
    assert found["buckets"][0] == {
        "name": "data-1",
        "versioning": "enabled",
        "tags": {"a": "b"},
        "policy": None,
        "lifecycle": [{"id": "old", "prefix": "", "enabled": True, "noncurrent_versions_days": 5}],
        "cors": [],
        "encryption": {"algorithm": "none"},
        "object_lock": False,
        "retention": {"mode": "none"},
    }
    one = run("s3_bucket_info", check=True, name="data-1", contents=True, **server.connection)["buckets"]
    assert [(bucket["name"], bucket["objects"], bucket["uploads"]) for bucket in one] == [("data-1", 1, 0)]
    assert run("s3_bucket_info", name="not-there", **server.connection)["buckets"] == []


def test_a_poor_server_and_a_narrow_key_give_null():
    answers = [
        ("HEAD", "/data-1", 200, "", ""),
        ("GET", "list-type", 200, LISTED, ""),
        ("GET", "versioning", 501, "NotImplemented", "Not here."),
        ("GET", "tagging", 403, "AccessDenied", "No."),
        ("GET", "policy", 405, "MethodNotAllowed", "Not here."),
        ("GET", "lifecycle", 404, "NoSuchLifecycleConfiguration", "None."),
        ("GET", "cors", 501, "NotImplemented", "Not here."),
        ("GET", "encryption", 501, "NotImplemented", "Not here."),
        ("GET", "quota", 404, "NoSuchBucket", "None."),
        ("GET", "object-lock", 403, "AccessDenied", "No."),
    ]
    with ScriptedServer(answers) as server:
        bucket = run("s3_bucket_info", name="data-1", **server.connection)["buckets"][0]
        assert (bucket["versioning"], bucket["tags"], bucket["policy"]) == (None, None, None)
        assert (bucket["cors"], bucket["encryption"], bucket["object_lock"], bucket["retention"]) == (None, None, None, None)
        assert bucket["lifecycle"] == []
        quota = run("s3_bucket_info", name="data-1", quota=True, **server.connection)["buckets"][0]["quota_bytes"]
        assert quota is None
