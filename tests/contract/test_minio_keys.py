# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users, policies and service accounts on a real MinIO: what a key may do is tried with it."""

import json
import threading
import time
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run
from botocore.exceptions import ClientError
from s3_servers import ROOT_PAIR

pytestmark = pytest.mark.usefixtures("one_boto_session")
ROLE = Path(__file__).resolve().parents[2] / "roles/minio/vars/main.yml"
BUCKET = "artifacts"
PART = b"x" * (5 * 2**20)


def role_policy(bucket, owner=""):
    """The policy of the agents' key, or of another owner's, as the role makes it."""
    return yaml.safe_load(ROLE.read_text().replace("{{ homelab_s3_bucket }}", bucket))["__minio_policy" + (owner and "_" + owner)]


def make(server, module, check=False, **options):
    done = run(module, check=check, **{**server.connection, **options})
    assert done["failed"] is False, done["msg"]
    return done


def four_steps(server, module, **options):
    """Check mode, run, check mode, run: the first two report the same change, the others none; returns the first real one."""
    forecast = make(server, module, check=True, **options)
    done = make(server, module, **options)
    assert (forecast["changed"], done["changed"]) == (True, True)
    assert forecast["diff"] == done["diff"]
    for check in (True, False):
        again = make(server, module, check=check, **options)
        assert again["changed"] is False, again["diff"]
    return done


def code_of(call, **arguments):
    """The error code of a call that must be refused."""
    with pytest.raises(ClientError) as refused:
        call(**arguments)
    return refused.value.response["Error"]["Code"]


@pytest.fixture(scope="module")
def buckets(minio):
    """The bucket of the artifacts and one of somebody else's, with an object."""
    for name in (BUCKET, "payroll"):
        make(minio, "s3_bucket", name=name)
    minio.boto().put_object(Bucket="payroll", Key="salaries", Body=b"secret")


@pytest.fixture(scope="module")
def agent(minio, buckets):
    """A client with the key of the agents, made as the role makes it."""
    make(minio, "minio_policy", name=f"homelab-mlops-{BUCKET}", policy=role_policy(BUCKET))
    make(minio, "minio_user", name="agents-key", secret="secret-of-the-agents", policies=[f"homelab-mlops-{BUCKET}"])
    return minio.boto(("agents-key", "secret-of-the-agents"))


def test_the_agents_key_may_work_in_its_bucket(agent):
    agent.put_object(Bucket=BUCKET, Key="model.bin", Body=b"weights")
    assert agent.get_object(Bucket=BUCKET, Key="model.bin")["Body"].read() == b"weights"
    assert [entry["Key"] for entry in agent.list_objects_v2(Bucket=BUCKET)["Contents"]] == ["model.bin"]
    assert "LocationConstraint" in agent.get_bucket_location(Bucket=BUCKET)
    upload = agent.create_multipart_upload(Bucket=BUCKET, Key="big")["UploadId"]
    parts = [
        {"PartNumber": number, "ETag": agent.upload_part(Bucket=BUCKET, Key="big", UploadId=upload, PartNumber=number, Body=PART)["ETag"]}
        for number in (1, 2)
    ]
    assert len(agent.list_parts(Bucket=BUCKET, Key="big", UploadId=upload)["Parts"]) == 2
    agent.complete_multipart_upload(Bucket=BUCKET, Key="big", UploadId=upload, MultipartUpload={"Parts": parts})
    assert agent.head_object(Bucket=BUCKET, Key="big")["ContentLength"] == 2 * len(PART)
    upload = agent.create_multipart_upload(Bucket=BUCKET, Key="given-up")["UploadId"]
    agent.abort_multipart_upload(Bucket=BUCKET, Key="given-up", UploadId=upload)
    assert not agent.list_multipart_uploads(Bucket=BUCKET).get("Uploads")
    agent.delete_object(Bucket=BUCKET, Key="big")


NOTHING_PUBLIC = json.dumps({"Version": "2012-10-17", "Statement": []})
FORBIDDEN = {
    "delete_bucket": {"Bucket": BUCKET},
    "create_bucket": {"Bucket": "agents-own"},
    "get_bucket_policy": {"Bucket": BUCKET},
    "put_bucket_policy": {"Bucket": BUCKET, "Policy": NOTHING_PUBLIC},
    "delete_bucket_policy": {"Bucket": BUCKET},
    "put_bucket_versioning": {"Bucket": BUCKET, "VersioningConfiguration": {"Status": "Enabled"}},
    "put_bucket_lifecycle_configuration": {
        "Bucket": BUCKET,
        "LifecycleConfiguration": {"Rules": [{"ID": "a", "Status": "Enabled", "Filter": {"Prefix": ""}, "Expiration": {"Days": 1}}]},
    },
    "list_objects_v2": {"Bucket": "payroll"},
    "get_object": {"Bucket": "payroll", "Key": "salaries"},
    "put_object": {"Bucket": "payroll", "Key": "mine", "Body": b"x"},
    "delete_object": {"Bucket": "payroll", "Key": "salaries"},
}


@pytest.mark.parametrize("call", FORBIDDEN)
def test_the_agents_key_may_do_nothing_else(agent, call):
    assert code_of(getattr(agent, call), **FORBIDDEN[call]) == "AccessDenied"


def test_the_agents_key_sees_no_other_bucket(agent):
    assert [entry["Name"] for entry in agent.list_buckets()["Buckets"]] == [BUCKET]  # MinIO lists what a key may see


def client_of(minio, owner):
    """A client with the key of people or of ClearML's server, made as the role makes it."""
    make(minio, "minio_policy", name=f"homelab-mlops-{BUCKET}-{owner}", policy=role_policy(BUCKET, owner))
    make(minio, "minio_user", name=f"{owner}-key", secret=f"secret-of-{owner}", policies=[f"homelab-mlops-{BUCKET}-{owner}"])
    return minio.boto((f"{owner}-key", f"secret-of-{owner}"))


def test_people_work_in_the_bucket_and_bring_old_versions_back(minio, agent):
    people = client_of(minio, "people")
    minio.boto().put_bucket_versioning(Bucket=BUCKET, VersioningConfiguration={"Status": "Enabled"})
    people.put_object(Bucket=BUCKET, Key="notes", Body=b"first")
    people.put_object(Bucket=BUCKET, Key="notes", Body=b"second")
    old = next(one for one in people.list_object_versions(Bucket=BUCKET, Prefix="notes")["Versions"] if not one["IsLatest"])
    assert people.get_object(Bucket=BUCKET, Key="notes", VersionId=old["VersionId"])["Body"].read() == b"first"
    for client in (people, agent, client_of(minio, "delete")):  # where MinIO itself would let them
        assert code_of(client.delete_object, Bucket=BUCKET, Key="notes", VersionId=old["VersionId"]) == "AccessDenied"
    people.delete_object(Bucket=BUCKET, Key="notes")
    for call in FORBIDDEN:
        assert code_of(getattr(people, call), **FORBIDDEN[call]) == "AccessDenied"


def test_clearmls_server_lists_and_deletes_and_reads_nothing(minio, buckets):
    delete = client_of(minio, "delete")
    minio.boto().put_object(Bucket=BUCKET, Key="of-a-deleted-task/a", Body=b"x")
    minio.boto().put_object(Bucket=BUCKET, Key="of-a-deleted-task/b", Body=b"x")
    found = [entry["Key"] for entry in delete.list_objects_v2(Bucket=BUCKET, Prefix="of-a-deleted-task/")["Contents"]]
    assert len(found) == 2
    assert code_of(delete.get_object, Bucket=BUCKET, Key=found[0]) == "AccessDenied"
    assert code_of(delete.put_object, Bucket=BUCKET, Key=found[0], Body=b"y") == "AccessDenied"
    assert code_of(delete.create_multipart_upload, Bucket=BUCKET, Key="big") == "AccessDenied"
    done = delete.delete_objects(Bucket=BUCKET, Delete={"Objects": [{"Key": key} for key in found]})
    assert not done.get("Errors") and "Contents" not in delete.list_objects_v2(Bucket=BUCKET, Prefix="of-a-deleted-task/")
    for call in FORBIDDEN:
        assert code_of(getattr(delete, call), **FORBIDDEN[call]) == "AccessDenied"


@pytest.mark.parametrize(
    "module, options",
    [
        (
            "minio_policy",
            {"name": f"homelab-mlops-{BUCKET}", "policy": {"Statement": {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}},
        ),
        ("minio_user", {"name": "second-key", "secret": "second-secret"}),
        ("minio_service_account", {"label": "more", "user": "someone-else", "user_secret": "a-secret-of-theirs"}),
        ("s3_bucket", {"name": "agents-own"}),
        ("s3_bucket", {"name": BUCKET, "state": "absent", "force": True}),
        ("s3_bucket", {"name": BUCKET, "quota_bytes": 0}),
    ],
)
def test_the_modules_change_nothing_with_the_agents_key(minio, agent, module, options):
    pair = {"access_key": "agents-key", "secret_key": "secret-of-the-agents"}
    refused = run(module, **{**minio.connection, **pair, **options})
    assert refused.get("error_code") in ("AccessDenied", "403"), refused
    assert "agents-own" not in [found["Name"] for found in minio.boto().list_buckets()["Buckets"]]
    as_before = {"name": f"homelab-mlops-{BUCKET}", "policy": role_policy(BUCKET)}
    assert make(minio, "minio_policy", check=True, **as_before)["changed"] is False


def test_a_policy_in_twelve_steps(minio):
    four_steps(minio, "minio_policy", name="matrix", policy=role_policy("one"))
    four_steps(minio, "minio_policy", name="matrix", policy=json.dumps(role_policy("two")))
    four_steps(minio, "minio_policy", name="matrix", state="absent")


def test_a_user_in_twelve_steps(minio, agent):
    policy = f"homelab-mlops-{BUCKET}"
    four_steps(minio, "minio_user", name="matrix-user", secret="first-secret", policies=[policy])
    assert minio.boto(("matrix-user", "first-secret")).list_objects_v2(Bucket=BUCKET)["Name"] == BUCKET
    done = four_steps(minio, "minio_user", name="matrix-user", secret="other-secret", policies=[])
    assert done["secret_works"] is False
    client = minio.boto(("matrix-user", "first-secret"))
    assert code_of(client.list_objects_v2, Bucket=BUCKET) == "SignatureDoesNotMatch"
    assert code_of(minio.boto(("matrix-user", "other-secret")).list_objects_v2, Bucket=BUCKET) == "AccessDenied"
    four_steps(minio, "minio_user", name="matrix-user", enabled=False)
    four_steps(minio, "minio_user", name="matrix-user", secret="third-secret", policies=[policy])
    assert minio.boto(("matrix-user", "third-secret")).list_objects_v2(Bucket=BUCKET)["Name"] == BUCKET
    four_steps(minio, "minio_user", name="matrix-user", state="absent")
    assert code_of(minio.boto(("matrix-user", "third-secret")).list_objects_v2, Bucket=BUCKET) == "InvalidAccessKeyId"


READ_ONLY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": f"arn:aws:s3:::{BUCKET}/*"}]}
LIST_ONLY = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:ListBucket", "Resource": f"arn:aws:s3:::{BUCKET}"}]}
AGENTS = {"user": "agents-key", "user_secret": "secret-of-the-agents"}


def account(server, **options):
    return four_steps(server, "minio_service_account", label="notebook", **options)


def test_a_service_account_in_twelve_steps(minio, agent):
    agent.put_object(Bucket=BUCKET, Key="kept", Body=b"kept")
    done = account(minio, policy=READ_ONLY, **AGENTS)
    pair = (done["access_key"], done["secret_key"])
    assert (len(pair[0]), len(pair[1])) == (20, 40)
    client = minio.boto(pair)
    assert client.get_object(Bucket=BUCKET, Key="kept")["Body"].read() == b"kept"
    assert code_of(client.put_object, Bucket=BUCKET, Key="more", Body=b"") == "AccessDenied"
    assert "secret_key" not in make(minio, "minio_service_account", label="notebook", **AGENTS)

    done = account(minio, user="agents-key", policy=LIST_ONLY, description="for the notebook")
    assert (done["access_key"], "secret_key" in done) == (pair[0], False)
    assert client.list_objects_v2(Bucket=BUCKET)["KeyCount"] >= 1
    assert code_of(client.get_object, Bucket=BUCKET, Key="kept") == "AccessDenied"
    account(minio, user="agents-key", enabled=False)
    assert code_of(client.list_objects_v2, Bucket=BUCKET) == "InvalidAccessKeyId"
    account(minio, user="agents-key", secret=pair[1])
    assert client.list_objects_v2(Bucket=BUCKET)["KeyCount"] >= 1

    account(minio, user="agents-key", state="absent")
    assert code_of(client.list_objects_v2, Bucket=BUCKET) == "InvalidAccessKeyId"


def test_a_secret_is_never_rotated_unasked(minio, agent):
    options = {"label": "steady", "user": "agents-key"}
    made = make(minio, "minio_service_account", **options, user_secret=AGENTS["user_secret"], secret="the-first-secret")
    assert "secret_key" not in made
    assert "the-first-secret" not in made.text
    client = minio.boto((made["access_key"], "the-first-secret"))
    refused = run("minio_service_account", **minio.connection, **options, secret="another-secret")
    assert refused["msg"] == (
        "MinIO refuses the given secret of service account 'steady': correct it, or set rotate=true to make it the account's"
    )
    assert client.list_objects_v2(Bucket=BUCKET)["Name"] == BUCKET
    four_steps(minio, "minio_service_account", **options, secret="another-secret", rotate=True)
    assert code_of(client.list_objects_v2, Bucket=BUCKET) == "SignatureDoesNotMatch"
    told = [make(minio, "minio_service_account", **options, rotate=True)["secret_key"] for _ in range(2)]
    assert told[0] != told[1]
    assert minio.boto((made["access_key"], told[1])).list_objects_v2(Bucket=BUCKET)["Name"] == BUCKET
    make(minio, "minio_service_account", **options, state="absent")


@pytest.mark.parametrize(
    "options, reason",
    [
        ({}, f"'{ROOT_PAIR[0]}' is no user of this MinIO (the root pair is none)"),
        ({"user": "nobody-here"}, "'nobody-here' is no user of this MinIO"),
        ({"user": "agents-key"}, "service account 'wanted' does not exist: give user_secret"),
        ({"user": "agents-key", "user_secret": "not-this-one"}, "check access_key and secret_key"),
        ({**AGENTS, "name": "agents-key"}, "refused add_service_account"),
        ({**AGENTS, "policy": "{no json"}, "policy is not valid JSON"),
        (
            {**AGENTS, "policy": {"Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "nonsense"}]}},
            "refused add_service_account",
        ),
    ],
)
def test_service_accounts_that_cannot_be_made(minio, agent, options, reason):
    refused = run("minio_service_account", **{**minio.connection, "label": "wanted", **options})
    assert reason in refused["msg"]
    assert "\n" not in refused["msg"]
    listed = run("minio_service_account", check=True, **minio.connection, label="wanted", user="agents-key", state="absent")
    assert listed["changed"] is False


def test_rotation_while_uploads_run(minio, agent):
    """A second user is made and proven, its pair handed out, and only then the first one removed: no upload fails."""
    policy = f"homelab-mlops-{BUCKET}"
    make(minio, "minio_user", name="rotates-0", secret="secret-number-0", policies=[policy])
    handed_out = [("rotates-0", "secret-number-0")]
    failures, uploads, using, stop = [], [], [""], threading.Event()

    def upload():
        clients = {}
        while not stop.is_set():
            pair = handed_out[0]
            client = clients.setdefault(pair, None) or minio.boto(pair)
            clients[pair] = client
            using[0] = pair[0]
            try:
                client.put_object(Bucket=BUCKET, Key=f"rotation/{len(uploads)}", Body=b"x" * 1000)
                uploads.append(pair[0])
            except ClientError as error:
                failures.append(error)

    thread = threading.Thread(target=upload)
    thread.start()
    try:
        for turn in range(1, 6):
            make(minio, "minio_user", name=f"rotates-{turn}", secret=f"secret-number-{turn}", policies=[policy])
            handed_out[0] = (f"rotates-{turn}", f"secret-number-{turn}")
            deadline = time.monotonic() + 20
            while using[0] != f"rotates-{turn}" and time.monotonic() < deadline:
                time.sleep(0.02)
            make(minio, "minio_user", name=f"rotates-{turn - 1}", state="absent")
    finally:
        stop.set()
        thread.join()
    assert failures == []
    assert {pair for pair in uploads} >= {f"rotates-{turn}" for turn in range(1, 5)}
    make(minio, "minio_user", name="rotates-5", state="absent")
