# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""s3_bucket and s3_bucket_info against real servers: each option through create, modify and delete, each twice and in check mode first."""

import concurrent.futures
import json

import pytest
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run
from botocore.exceptions import ClientError
from minio.credentials import StaticProvider
from minio.minioadmin import MinioAdmin
from s3_servers import KMS_KEY, ROOT_PAIR

pytestmark = pytest.mark.usefixtures("one_boto_session")


def statement(bucket, actions):
    return {"Effect": "Allow", "Principal": {"AWS": ["*"]}, "Action": actions, "Resource": [f"arn:aws:s3:::{bucket}/public/*"]}


# Option: the value that the bucket is made with, the one that it is changed to, and the one that removes it again.
OPTIONS = {
    "versioning": ("enabled", "suspended", "enabled"),
    "tags": ({"owner": "vision", "cost center": "10/a"}, {"owner": "nlp"}, {}),
    "policy": (
        {"Version": "2012-10-17", "Statement": [statement("matrix-policy", ["s3:GetObject"])]},
        json.dumps({"Statement": statement("matrix-policy", ["s3:PutObject", "s3:GetObject"])}),
        {},
    ),
    "lifecycle": (
        [{"id": "scratch", "prefix": "scratch/", "expire_days": 7}],
        [
            {"id": "scratch", "prefix": "scratch/", "expire_days": 3, "enabled": False},
            {"id": "old", "prefix": "", "noncurrent_versions_days": 30, "noncurrent_versions_kept": 2},
            {"id": "markers", "prefix": "", "expire_delete_markers": True},
        ],
        [],
    ),
    "lifecycle of uploads": (
        [{"id": "uploads", "prefix": "", "incomplete_uploads_days": 2}],
        [{"id": "uploads", "prefix": "a/", "incomplete_uploads_days": 3, "expire_days": 9}],
        [],
    ),
    "cors": (
        [{"origins": ["https://app.example.com"], "methods": ["PUT", "GET"], "headers": ["*"], "max_age_seconds": 300}],
        [{"origins": ["*"], "methods": ["GET"], "exposed_headers": ["ETag"]}, {"origins": ["https://b.example"], "methods": ["HEAD"]}],
        [],
    ),
    "encryption": ({"algorithm": "AES256"}, {"algorithm": "aws:kms", "key": KMS_KEY}, {"algorithm": "none"}),
    "retention": ({"mode": "governance", "days": 3}, {"mode": "compliance", "days": 5}, {"mode": "none"}),
    "quota_bytes": (10**9, 2 * 10**9, 0),
}
# What a server does not have, with what the message says beside the option's name.
LACKS = {
    ("minio", "cors"): "(NotImplemented); this server does not have it: leave cors out",
    ("minio", "lifecycle of uploads"): "leave incomplete_uploads_days out of rule 'uploads'",
    ("secure_minio", "encryption"): "KMS is not configured",
    ("seaweedfs", "quota_bytes"): "is not MinIO, which alone has it",
}
LACKS |= {("s3rver", option): f"this server does not have it: leave {option.split()[0]} out" for option in OPTIONS if option != "cors"}
LACKS["s3rver", "retention"] = "this server does not have it: leave object_lock out"
HAVE = [("s3rver", "cors")] + [(server, option) for server in ("minio", "seaweedfs") for option in OPTIONS if (server, option) not in LACKS]


@pytest.fixture
def server(request):
    return request.getfixturevalue(request.param)


def bucket(server, name, check=False, **options):
    return run("s3_bucket", check=check, **{**server.connection, "name": name, **options})


def seen(server, name):
    """What another client sees of a bucket: raw answers, or error codes; None for no bucket."""
    client = server.boto()
    if name not in [found["Name"] for found in client.list_buckets()["Buckets"]]:
        return None
    calls = {
        "versioning": "get_bucket_versioning",
        "tags": "get_bucket_tagging",
        "policy": "get_bucket_policy",
        "lifecycle": "get_bucket_lifecycle_configuration",
        "cors": "get_bucket_cors",
        "encryption": "get_bucket_encryption",
        "retention": "get_object_lock_configuration",
    }
    found = {}
    for option, call in calls.items():
        try:
            found[option] = getattr(client, call)(Bucket=name)
            del found[option]["ResponseMetadata"]
        except ClientError as error:
            found[option] = error.response["Error"]["Code"]
    # MinIO shows tags and actions in another order each time.
    if isinstance(found["policy"], dict):
        found["policy"] = sorted(found["policy"]["Policy"])
    if isinstance(found["tags"], dict):
        found["tags"] = {tag["Key"]: tag["Value"] for tag in found["tags"]["TagSet"]}
    if server.name == "minio" and server.scheme == "http":
        admin = MinioAdmin(endpoint=server.url[7:], credentials=StaticProvider(*ROOT_PAIR), secure=False)
        found["quota_bytes"] = json.loads(admin.bucket_quota_get(name)).get("quota")
    return found


def four_steps(server, name, **options):
    """Check mode, run, check mode, run: the first two report the same change, the others none; returns the first real one."""
    before = seen(server, name)
    forecast = bucket(server, name, check=True, **options)
    assert forecast.get("changed") is True, forecast
    assert seen(server, name) == before
    done = bucket(server, name, **options)
    assert done.get("changed") is True, done
    assert done["diff"] == forecast["diff"]
    after = seen(server, name)
    assert after != before
    for check in (True, False):
        again = bucket(server, name, check=check, **options)
        assert again["changed"] is False, again
        assert again["diff"]["before"] == again["diff"]["after"]
    assert seen(server, name) == after
    return done


def only(before, after):
    """Names of the settings that differ."""
    return {key for key in before if before[key] != after[key]}


@pytest.mark.parametrize("server, option", HAVE, indirect=["server"])
def test_twelve_steps(server, option):
    key = option.split()[0]
    name = "matrix-" + option.replace(" ", "-").replace("_", "-")
    more = {"object_lock": True} if key == "retention" else {}
    for number, value in enumerate(OPTIONS[option]):
        before = seen(server, name)
        done = four_steps(server, name, **{key: value}, **more)
        after = seen(server, name)
        if number:
            assert only(before, after) == {key}
        info = run("s3_bucket_info", **server.connection, name=name, quota=key == "quota_bytes")["buckets"]
        assert [found[key] for found in info] == [done["bucket"][key]]
    four_steps(server, name, state="absent")
    assert seen(server, name) is None


@pytest.mark.parametrize("server, option", LACKS, indirect=["server"])
def test_an_option_that_the_server_does_not_have(server, option, request):
    """It fails with its name when it is set, and nothing is asked when it is not."""
    key = option.split()[0]
    name = "lacks-" + option.replace(" ", "-").replace("_", "-")
    more = {"object_lock": True} if key == "retention" else {}
    phrase = LACKS[request.node.callspec.params["server"], option]
    for value in OPTIONS[option][:2]:
        refused = bucket(server, name, **{key: value}, **more)
        assert refused["failed"] is True, refused
        assert refused["msg"].startswith(("object_lock" if more else key) + ": ")
        assert phrase in refused["msg"]
        assert "\n" not in refused["msg"]
    assert (seen(server, name) is None) == bool(more)  # a bucket without the lock that it was made for is of no use
    assert bucket(server, name)["failed"] is False
    bucket(server, name, state="absent")


@pytest.mark.parametrize("server", ["minio", "seaweedfs"], indirect=True)
def test_many_options_at_once_and_only_what_differs_is_written(server):
    options = {option: OPTIONS[option][0] for option in ("versioning", "tags", "lifecycle", "encryption")}
    four_steps(server, "all-at-once", **options)
    before = seen(server, "all-at-once")
    four_steps(server, "all-at-once", **{**options, "tags": {"owner": "nlp"}})
    assert only(before, seen(server, "all-at-once")) == {"tags"}
    bucket(server, "all-at-once", state="absent")


def leave_objects(client, name):
    client.put_object(Bucket=name, Key="ümlaut/one two", Body=b"x")
    return "objects"


def leave_versions(client, name):
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    for turn in range(3):
        client.put_object(Bucket=name, Key="one", Body=b"%d" % turn)
    return "objects"


def leave_a_delete_marker(client, name):
    client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    version = client.put_object(Bucket=name, Key="one", Body=b"x")["VersionId"]
    client.delete_object(Bucket=name, Key="one")
    client.delete_object(Bucket=name, Key="one", VersionId=version)
    return "objects"


def leave_an_upload(client, name):
    client.create_multipart_upload(Bucket=name, Key="folder/one")
    return "uploads"


def test_a_server_without_versions_or_a_list_of_uploads_shows_its_objects(s3rver):
    bucket(s3rver, "simple")
    leave_objects(s3rver.boto(), "simple")
    assert "bucket 'simple' is not empty (1 objects" in bucket(s3rver, "simple", state="absent")["msg"]
    info = run("s3_bucket_info", **s3rver.connection, name="simple", contents=True)["buckets"][0]
    assert (info["objects"], info["tags"], info["policy"], info["lifecycle"], info["encryption"]) == (1, None, None, None, None)
    four_steps(s3rver, "simple", state="absent", force=True)


@pytest.mark.parametrize("server", ["minio", "seaweedfs"], indirect=True)
@pytest.mark.parametrize("leave", [leave_objects, leave_versions, leave_a_delete_marker, leave_an_upload])
def test_a_bucket_that_is_not_empty_needs_force(server, leave):
    name = leave.__name__.replace("_", "-")
    bucket(server, name)
    kind = leave(server.boto(), name)
    for check in (True, False):
        refused = bucket(server, name, check=check, state="absent")
        assert f"bucket {name!r} is not empty" in refused["msg"]
        assert refused["msg"].endswith("empty it or set force=true")
    info = run("s3_bucket_info", **server.connection, name=name, contents=True)["buckets"][0]
    assert info[kind] > 0
    done = four_steps(server, name, state="absent", force=True)
    assert done["removed"][kind] > 0
    assert seen(server, name) is None


@pytest.mark.parametrize("server", ["minio", "seaweedfs"], indirect=True)
def test_a_thousand_objects_go_with_force(server):
    bucket(server, "thousand")
    client = server.boto()
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: client.put_object(Bucket="thousand", Key=f"key-{number:04d}", Body=b""), range(1003)))
    assert bucket(server, "thousand", state="absent", force=True)["removed"] == {"objects": 1003, "uploads": 0}


@pytest.mark.parametrize("server", ["minio", "seaweedfs"], indirect=True)
def test_a_lock_is_decided_when_the_bucket_is_made(server):
    bucket(server, "unlocked")
    for check in (True, False):
        assert "that cannot be changed: set object_lock=false" in bucket(server, "unlocked", check=check, object_lock=True)["msg"]
        refused = bucket(server, "unlocked", check=check, retention={"mode": "governance", "days": 1})
        assert refused["msg"] == "retention: bucket 'unlocked' has no lock: make it with object_lock=true"
    four_steps(server, "locked", object_lock=True)
    assert "that cannot be changed: set object_lock=true" in bucket(server, "locked", object_lock=False)["msg"]
    assert bucket(server, "locked", versioning="suspended")["msg"].startswith("versioning: ")
    bucket(server, "locked", retention={"mode": "governance", "days": 1})
    server.boto().put_object(Bucket="locked", Key="kept", Body=b"x")
    kept = bucket(server, "locked", state="absent", force=True)
    assert "object 'kept' of bucket 'locked' cannot be deleted" in kept["msg"]
    assert seen(server, "locked") is not None


def test_rules_that_only_another_client_can_write_are_shown_and_replaced(minio):
    bucket(minio, "foreign-rules")
    rule = {"ID": "big", "Status": "Enabled", "Filter": {"ObjectSizeGreaterThan": 100}, "Expiration": {"Days": 1}}
    minio.boto().put_bucket_lifecycle_configuration(Bucket="foreign-rules", LifecycleConfiguration={"Rules": [rule]})
    found = run("s3_bucket_info", **minio.connection, name="foreign-rules")["buckets"][0]["lifecycle"]
    assert found == [{"id": "big", "prefix": "", "enabled": True, "expire_days": 1, "other": {"Filter": {"ObjectSizeGreaterThan": 100}}}]
    four_steps(minio, "foreign-rules", lifecycle=[{"id": "big", "prefix": "", "expire_days": 1}])
    bucket(minio, "foreign-rules", state="absent")


def test_over_https_in_another_region(secure_minio):
    done = four_steps(secure_minio, "secure", versioning="enabled", tags={"a": "b"})
    assert done["bucket"]["versioning"] == "enabled"
    assert [bucket(secure_minio, "secure", quota_bytes=10**9)["changed"] for _ in range(2)] == [True, False]
    four_steps(secure_minio, "secure", state="absent")
