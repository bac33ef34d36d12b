# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import socket

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run
from ansible_collections.homelab.mlops.tests.unit.plugins.support.s3_server import KEYS, LISTED, MotoServer, ScriptedServer

READ_ANYBODY = {"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::data-1/public/*"}


@pytest.fixture
def server():
    with MotoServer() as running:
        yield running


def bucket(server, check=False, **options):
    return run("s3_bucket", check=check, **dict(server.connection, **dict({"name": "data-1"}, **options)))


def everything(server):
    """All that the tests set on the bucket, read with another client."""
    if "data-1" not in server.names():
        return None
    client = server.boto

    def read(method, key):
        try:
            return getattr(client, method)(Bucket="data-1").get(key)
        except client.exceptions.ClientError as error:
            return error.response["Error"]["Code"]

    return {
        "versioning": read("get_bucket_versioning", "Status"),
        "tags": read("get_bucket_tagging", "TagSet"),
        "policy": read("get_bucket_policy", "Policy"),
        "rules": read("get_bucket_lifecycle_configuration", "Rules"),
    }


def twice(server, **options):
    """Check mode, run, check mode, run: the first two report a change, the others none; returns the first real one."""
    state = everything(server)
    forecast = bucket(server, check=True, **options)
    assert forecast["changed"] is True
    assert everything(server) == state
    done = bucket(server, **options)
    assert done["changed"] is True
    assert done["diff"] == forecast["diff"]
    state = everything(server)
    for check in (True, False):
        again = bucket(server, check=check, **options)
        assert again["changed"] is False
        assert again["diff"]["before"] == again["diff"]["after"]
    assert everything(server) == state
    return done


def test_create_and_delete(server):
    done = twice(server)
    assert done["diff"] == {"before": {"name": "data-1", "state": "absent"}, "after": {"name": "data-1", "state": "present"}}
    assert done["bucket"] == {"name": "data-1", "state": "present"}
    assert server.names() == ["data-1"]
    done = twice(server, state="absent")
    assert done["removed"] == {"objects": 0, "uploads": 0}
    assert server.names() == []


def test_versioning(server):
    done = twice(server, versioning="enabled")
    assert everything(server)["versioning"] == "Enabled"
    assert done["bucket"]["versioning"] == "enabled"
    done = twice(server, versioning="suspended")
    assert (done["diff"]["before"]["versioning"], done["diff"]["after"]["versioning"]) == ("enabled", "suspended")
    assert everything(server)["versioning"] == "Suspended"
    assert bucket(server)["changed"] is False


def test_tags(server):
    twice(server, tags={"owner": "me", "number": 7})
    assert everything(server)["tags"] == [{"Key": "number", "Value": "7"}, {"Key": "owner", "Value": "me"}]
    twice(server, tags={"owner": "you"})
    assert everything(server)["tags"] == [{"Key": "owner", "Value": "you"}]
    assert bucket(server)["changed"] is False
    twice(server, tags={})
    assert everything(server)["tags"] == "NoSuchTagSet"


def test_policy_is_compared_by_meaning(server):
    twice(server, policy={"Version": "2012-10-17", "Statement": READ_ANYBODY})
    same = {
        "Statement": [
            {
                "Resource": ["arn:aws:s3:::data-1/public/*"],
                "Action": ["s3:GetObject"],
                "Principal": {"AWS": ["*"]},
                "Effect": "Allow",
                "Sid": "",
            }
        ]
    }
    assert bucket(server, policy=same)["changed"] is False
    assert bucket(server, policy=json.dumps(same))["changed"] is False
    done = twice(server, policy={"Statement": [dict(READ_ANYBODY, Action=["s3:GetObject", "s3:GetObjectVersion"])]})
    assert done["diff"]["after"]["policy"]["Statement"][0]["Action"] == ["s3:GetObject", "s3:GetObjectVersion"]
    twice(server, policy={})
    assert everything(server)["policy"] == "NoSuchBucketPolicy"


@pytest.mark.parametrize("policy", ["{not json", '{"a": 1}', '{"Statement": [{"Action": "s3:*"}]}', '{"Statement": 5}'])
def test_what_is_no_policy_is_refused_before_any_request(server, policy):
    refused = bucket(server, policy=policy)
    assert refused["msg"].startswith("policy") or "is not valid JSON" in refused["msg"]
    assert server.names() == []


def test_lifecycle(server):
    rules = [
        {"id": "scratch", "prefix": "scratch/", "expire_days": 7},
        {"id": "uploads", "prefix": "", "incomplete_uploads_days": 2},
        {"id": "old", "prefix": "", "noncurrent_versions_days": 30},
    ]
    done = twice(server, lifecycle=rules)
    assert [rule["id"] for rule in done["bucket"]["lifecycle"]] == ["old", "scratch", "uploads"]
    assert bucket(server, lifecycle=rules[::-1])["changed"] is False
    written = {rule["ID"]: rule for rule in everything(server)["rules"]}
    assert written["scratch"] == {"ID": "scratch", "Filter": {"Prefix": "scratch/"}, "Status": "Enabled", "Expiration": {"Days": 7}}
    assert written["old"]["NoncurrentVersionExpiration"] == {"NoncurrentDays": 30}
    twice(server, lifecycle=[dict(rules[0], expire_days=3, enabled=False)])
    assert [(rule["Status"], rule["Expiration"]) for rule in everything(server)["rules"]] == [("Disabled", {"Days": 3})]
    assert bucket(server)["changed"] is False
    twice(server, lifecycle=[])
    assert everything(server)["rules"] == "NoSuchLifecycleConfiguration"


def test_cors(server):
    twice(server, cors=[{"origins": ["https://a.example"], "methods": ["PUT", "GET"], "headers": ["*"], "max_age_seconds": 60}])
    same = [{"origins": ["https://a.example"], "methods": ["GET", "PUT"], "headers": ["*"], "max_age_seconds": 60}]
    assert bucket(server, cors=same)["changed"] is False
    twice(server, cors=[])
    assert bucket(server)["changed"] is False


def test_encryption(server):
    done = twice(server, encryption={"algorithm": "AES256"})
    assert done["bucket"]["encryption"] == {"algorithm": "AES256"}
    twice(server, encryption={"algorithm": "aws:kms", "key": "mine"})
    twice(server, encryption={"algorithm": "none"})


def test_a_lock_and_how_long_it_lasts(server):
    done = twice(server, object_lock=True, retention={"mode": "governance", "days": 9})
    assert done["bucket"]["retention"] == {"mode": "governance", "days": 9}
    assert everything(server)["versioning"] == "Enabled"
    twice(server, retention={"mode": "none"})
    refused = bucket(server, object_lock=False)
    assert refused["msg"].startswith("object_lock: bucket 'data-1' was made with a lock, and that cannot be changed")


def test_all_at_once(server):
    rules = [{"id": "old", "prefix": "", "noncurrent_versions_days": 3}]
    done = twice(server, versioning="enabled", tags={"a": "b"}, lifecycle=rules, policy={"Statement": READ_ANYBODY})
    assert sorted(done["bucket"]) == ["lifecycle", "name", "policy", "state", "tags", "versioning"]


def test_a_bucket_that_is_not_empty_needs_force(server):
    bucket(server, versioning="enabled")
    for turn in range(2):
        server.boto.put_object(Bucket="data-1", Key="one", Body=b"x%d" % turn)
    server.boto.delete_object(Bucket="data-1", Key="one")
    server.boto.create_multipart_upload(Bucket="data-1", Key="two")
    for check in (True, False):
        refused = bucket(server, check=check, state="absent")
        assert refused["msg"] == (
            "bucket 'data-1' is not empty (3 objects and versions, 1 incomplete uploads, such as 'one'): empty it or set force=true"
        )
    assert server.names() == ["data-1"]
    done = twice(server, state="absent", force=True)
    assert done["removed"] == {"objects": 3, "uploads": 1}
    assert server.names() == []


def test_more_objects_than_one_page(server, monkeypatch):
    monkeypatch.setenv("MOTO_S3_DEFAULT_MAX_KEYS", "5")
    bucket(server)
    for number in range(12):
        server.boto.put_object(Bucket="data-1", Key="key-%04d" % number, Body=b"")
    assert bucket(server, state="absent", force=True)["removed"]["objects"] == 12
    assert server.names() == []


@pytest.mark.parametrize(
    "name, reason",
    [
        ("ab", "has 2 characters: use 3 to 63"),
        ("x" * 64, "has 64 characters"),
        ("Data", "holds 'D': use lower-case letters"),
        ("my_bucket", "holds '_'"),
        ("a b", "holds ' '"),
        ("über", "holds 'ü'"),
        ("-abc", "must start and end"),
        ("abc.", "must start and end"),
        ("a..b", "a dot beside"),
        ("a.-b", "a dot beside"),
        ("192.168.5.4", "looks like an IP address"),
        ("xn--abc", "reserved"),
        ("abc-s3alias", "reserved"),
    ],
)
def test_names_that_s3_forbids_are_refused_before_any_request(name, reason):
    with ScriptedServer([]) as server:
        refused = bucket(server, name=name)
        assert reason in refused["msg"]
        assert "\n" not in refused["msg"]
        assert server.calls == []


def rule(**fields):
    return {"lifecycle": [dict({"id": "a", "prefix": "", "expire_days": 1}, **fields)]}


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"lifecycle": [{"id": "a", "expire_days": 1}]}, "missing required arguments: prefix found in lifecycle"),
        (rule(expire_days=None), "lifecycle: rule 'a' does nothing: give it one of expire_days"),
        (rule(expire_days=0), "lifecycle: rule 'a' has expire_days=0: use 1 or more"),
        (rule(id=""), "lifecycle: rule '' needs an id"),
        (rule(expire_delete_markers=True), "lifecycle: rule 'a' has both expire_days and expire_delete_markers"),
        (rule(noncurrent_versions_kept=3), "lifecycle: rule 'a' has noncurrent_versions_kept, which needs noncurrent_versions_days"),
        ({"lifecycle": rule()["lifecycle"] * 2}, "lifecycle: rule 'a' is there twice"),
        ({"cors": [{"origins": [], "methods": ["GET"]}]}, "cors: rule 1 needs origins and methods"),
        ({"cors": [{"origins": ["*"], "methods": ["PATCH"]}]}, "value of methods must be one or more of: GET"),
        ({"cors": [{"origins": ["*"], "methods": ["GET"], "max_age_seconds": -1}]}, "cors: rule 1 has max_age_seconds=-1"),
        ({"encryption": {"algorithm": "AES256", "key": "mine"}}, "encryption: key goes with algorithm=aws:kms"),
        ({"retention": {"mode": "governance"}, "object_lock": True}, "retention: mode=governance needs days of 1 or more"),
        ({"object_lock": True, "versioning": "suspended"}, "object_lock needs versions"),
        ({"quota_bytes": -1}, "quota_bytes must not be below 0"),
        ({"tags": {"": "x"}}, "tags: '' needs a name"),
        ({"tags": {str(number): "" for number in range(51)}}, "tags: there are 51: use up to 50"),
    ],
)
def test_what_s3_would_refuse_is_refused_before_any_request(options, reason):
    with ScriptedServer([]) as server:
        refused = bucket(server, **options)
        assert reason in refused["msg"]
        assert "\n" not in refused["msg"]
        assert server.calls == []


def refusals(code, message):
    return [("HEAD", "/data-1", 403, "", ""), ("GET", "list-type", 403, code, message), ("PUT", "", 200, "", "")]


THERE = [("HEAD", "/data-1", 200, "", ""), ("GET", "list-type", 200, LISTED, "")]
MISSING = [("HEAD", "/data-1", 404, "", ""), ("GET", "list-type", 404, "NoSuchBucket", "None.")]


@pytest.mark.parametrize(
    "code, remedy",
    [
        ("SignatureDoesNotMatch", "check access_key and secret_key"),
        ("InvalidAccessKeyId", "check access_key and secret_key"),
        ("AccessDenied", "use a key whose policy allows it"),
    ],
)
def test_forbidden_is_never_taken_for_missing(code, remedy):
    with ScriptedServer(refusals(code, "No.")) as server:
        refused = bucket(server)
        assert refused["error_code"] == code
        assert refused["msg"].endswith("(%s); %s" % (code, remedy))
        assert "PUT" not in [method for method, unused in server.calls]
        assert KEYS["secret_key"] not in refused.text


def test_a_name_of_somebody_else():
    answers = MISSING + [("PUT", "/data-1", 409, "BucketAlreadyExists", "Taken.")]
    with ScriptedServer(answers) as server:
        assert bucket(server)["msg"].endswith("Taken. (BucketAlreadyExists); choose another name")


def test_a_bucket_that_another_run_makes_first():
    answers = MISSING + [("PUT", "/data-1", 409, "BucketAlreadyOwnedByYou", "Yours.")]
    with ScriptedServer(answers) as server:
        assert bucket(server)["failed"] is False


def test_an_option_that_the_server_does_not_have_fails_and_others_do_not():
    answers = [("GET", "versioning", 501, "NotImplemented", "Not here.")] + THERE
    with ScriptedServer(answers) as server:
        assert bucket(server)["changed"] is False
        refused = bucket(server, versioning="enabled")
        assert refused["msg"].startswith("versioning: ")
        assert refused["msg"].endswith("Not here. (NotImplemented); this server does not have it: leave versioning out")


def test_minio_has_no_rule_for_incomplete_uploads():
    answers = [
        ("GET", "lifecycle", 404, "NoSuchLifecycleConfiguration", "None."),
        ("PUT", "lifecycle", 400, "InvalidArgument", "The XML you provided was not well-formed"),
    ]
    with ScriptedServer(answers + THERE) as server:
        refused = bucket(server, lifecycle=[{"id": "up", "prefix": "", "incomplete_uploads_days": 7}])
        assert "leave incomplete_uploads_days out of rule 'up'" in refused["msg"]


def test_a_lock_that_the_server_takes_no_notice_of():
    answers = [
        ("GET", "object-lock", 501, "NotImplemented", "Not here."),
        ("PUT", "/data-1", 200, "", ""),
        ("DELETE", "/data-1", 204, "", ""),
    ]
    with ScriptedServer(answers + MISSING) as server:
        assert bucket(server, object_lock=True)["msg"].endswith("leave object_lock out")
        assert server.calls[-1][0] == "DELETE"


def test_what_the_server_takes_and_does_not_keep(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    answers = [("GET", "tagging", 404, "NoSuchTagSet", "None."), ("PUT", "tagging", 200, "", "")]
    with ScriptedServer(answers + THERE) as server:
        assert bucket(server, tags={"a": "b"})["msg"] == 'tags: the server took it, and keeps {} instead of {"a": "b"}'


def test_wrong_region():
    answers = [("HEAD", "/data-1", 404, "", ""), ("GET", "list-type", 400, "InvalidRegion", "Expecting 'eu-1'.")]
    with ScriptedServer(answers) as server:
        assert bucket(server)["msg"].endswith("(InvalidRegion); set region to that of the server")


@pytest.mark.parametrize("status", [200, 404, 418])
def test_a_web_server_is_no_s3_server(status):
    answers = [("HEAD", "/data-1", status, "", ""), ("GET", "list-type", status, "<html></html>", ""), ("PUT", "", 200, "", "")]
    with ScriptedServer(answers) as server:
        refused = bucket(server)
        assert refused["failed"] is True
        assert "PUT" not in [method for method, unused in server.calls]
        if status != 418:
            assert "is no S3 server" in refused["msg"]


@pytest.mark.parametrize(
    "url", ["192.0.2.1:9000", "http://", "http://user:pw@192.0.2.1:9000", "http://192.0.2.1:9000/bucket", "http://a b:9000"]
)
def test_addresses_that_cannot_be_meant(url):
    refused = run("s3_bucket", endpoint_url=url, name="data-1", **KEYS)
    assert refused["msg"].startswith("endpoint_url must")


def test_a_client_that_cannot_be_made(monkeypatch):
    with ScriptedServer([]) as server:
        assert bucket(server, region="us east")["msg"] == "region 'us east' must be a name such as us-east-1"
        monkeypatch.setenv("AWS_PROFILE", "nosuch")
        refused = bucket(server)
        assert "cannot be made" in refused["msg"]
        assert "nosuch" in refused["msg"]
        assert server.calls == []


def test_nobody_listens(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:%d" % probe.getsockname()[1]
    refused = run("s3_bucket", endpoint_url=url, name="data-1", timeout_seconds=2, **KEYS)
    assert refused["msg"].startswith("cannot reach the S3 server at %s" % url)
    assert "is up" in refused["msg"]
