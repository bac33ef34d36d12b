# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What real servers refuse, and what is wrong with an address: one line each that says what to do, and nothing changed."""

import datetime
import socket
from unittest import mock

import botocore.auth
import minio.time as minio_time
import pytest
from ansible_collections.homelab.mlops.tests.unit.plugins.support import certificates
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run
from s3_servers import ROOT_PAIR, free_ports

pytestmark = pytest.mark.usefixtures("one_boto_session")
# Each way to a server through a module: those of the S3 API, and those of MinIO's administration API.
WAYS = {
    "s3_bucket": {"name": "wanted"},
    "s3_bucket_info": {},
    "minio_user": {"name": "wanted-user", "secret": "wanted-secret"},
}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch):
    monkeypatch.setattr("time.sleep", lambda seconds: None)


def refusal(module, **options):
    """The message of a run that must fail, the same in check mode, in one line and without a secret."""
    messages = []
    for check in (True, False):
        refused = run(module, check=check, **options)
        assert refused["failed"] is True, refused
        messages.append(refused["msg"])
        assert "\n" not in refused["msg"]
        assert options.get("secret_key", ROOT_PAIR[1]) not in refused["msg"]
    return messages[1]


def names(server):
    return sorted(found["Name"] for found in server.boto().list_buckets()["Buckets"])


@pytest.mark.parametrize("module", WAYS)
def test_https_is_wanted(secure_minio, module):
    url = secure_minio.url.replace("https:", "http:")
    message = refusal(module, **{**secure_minio.connection, "endpoint_url": url}, **WAYS[module])
    assert message.endswith(f"the server speaks https: set endpoint_url to {secure_minio.url}")
    assert "wanted" not in names(secure_minio)


@pytest.mark.parametrize("module", WAYS)
def test_http_is_wanted(minio, module):
    url = minio.url.replace("http:", "https:")
    message = refusal(module, **{**minio.connection, "endpoint_url": url}, **WAYS[module])
    assert message.endswith(f"the server speaks http: set endpoint_url to {minio.url}")


@pytest.mark.parametrize("module", WAYS)
def test_the_port_of_the_console(minio, module):
    message = refusal(module, **{**minio.connection, "endpoint_url": minio.console_url}, **WAYS[module])
    assert message.endswith("set endpoint_url to the address of its API (port 9000 unless it was changed) and not of its console")


@pytest.mark.parametrize("module", ["s3_bucket", "minio_user"])
def test_another_door_of_the_server(seaweedfs, module):
    """SeaweedFS's filer would take the bucket for the name of a file."""
    message = refusal(module, **{**seaweedfs.connection, "endpoint_url": seaweedfs.filer_url}, **WAYS[module])
    assert "is no S3 server" in message or "is not MinIO" in message
    assert names(seaweedfs) == sorted(set(names(seaweedfs)) - {"wanted"})


@pytest.mark.parametrize("module", WAYS)
def test_clocks_that_differ(minio, module):
    hour = datetime.timedelta(hours=1)
    real, real_minio = botocore.auth.get_current_datetime, minio_time.utcnow
    with (
        mock.patch.object(botocore.auth, "get_current_datetime", lambda *given, **named: real(*given, **named) - hour),
        mock.patch.object(minio_time, "utcnow", lambda: real_minio() - hour),
    ):
        message = refusal(module, **minio.connection, **WAYS[module])
    assert "(RequestTimeTooSkewed)" in message
    assert message.endswith("right (chrony)")


@pytest.mark.parametrize("there", [True, False])
def test_the_region_of_the_server(secure_minio, there):
    if there:
        run("s3_bucket", **secure_minio.connection, name="european")
    for region in ("us-east-1", "eu-west-1"):
        message = refusal("s3_bucket", **{**secure_minio.connection, "region": region}, name="european")
        assert message.endswith("set region to eu-central-1")
    if there:
        run("s3_bucket", **secure_minio.connection, name="european", state="absent")


@pytest.mark.filterwarnings("ignore:Unverified HTTPS request")
@pytest.mark.parametrize("module", WAYS)
def test_a_certificate_of_an_unknown_authority(secure_minio, module, tmp_path):
    others = certificates.Authority(tmp_path, name="Another authority").path
    for ca in (None, str(others)):
        message = refusal(module, **{**secure_minio.connection, "ca_bundle": ca}, **WAYS[module])
        assert "certificate" in message.lower()
        assert message.endswith("check ca_bundle, the host name in endpoint_url and the server's clock")
    unchecked = run("s3_bucket_info", **{**secure_minio.connection, "ca_bundle": None, "validate_certs": False})
    assert unchecked["failed"] is False


def test_a_certificate_of_another_name(secure_minio):
    url = secure_minio.url.replace("127.0.0.1", "localhost")
    message = refusal("s3_bucket_info", **{**secure_minio.connection, "endpoint_url": url})
    assert message.endswith("check ca_bundle, the host name in endpoint_url and the server's clock")


def closed_port():
    return f"http://127.0.0.1:{free_ports(1)[0]}"


# Option or options, and what the message says: wherever a person may slip with s3_bucket. None reaches the server's buckets.
SLIPS = [
    ({"name": "My_Bucket"}, "holds 'B', 'M', '_'"),
    ({"name": "ab"}, "has 2 characters: use 3 to 63"),
    ({"name": "192.0.2.1"}, "looks like an IP address"),
    ({"name": "wanted/folder"}, "holds '/'"),
    ({"policy": "{no json"}, "policy is not valid JSON"),
    ({"policy": '"text"'}, "policy must be a policy document with a Statement"),
    ({"policy": {"Statement": [{"Action": "s3:*"}]}}, "each statement needs an Effect"),
    ({"lifecycle": [{"id": "a", "expire_days": 1}]}, "missing required arguments: prefix found in lifecycle"),
    ({"lifecycle": [{"id": "a", "prefix": ""}]}, "lifecycle: rule 'a' does nothing"),
    ({"lifecycle": [{"id": "a", "prefix": "", "expire_days": "soon"}]}, "expire_days"),
    ({"cors": [{"origins": ["*"], "methods": ["get"]}]}, "must be one or more of: GET"),
    ({"encryption": {"algorithm": "rot13"}}, "must be one of: none, AES256, aws:kms"),
    ({"retention": {"mode": "governance", "days": 1}}, "has no lock: make it with object_lock=true"),
    ({"object_lock": True, "versioning": "suspended"}, "object_lock needs versions"),
    ({"quota_bytes": "500 GB"}, "quota_bytes"),
    ({"versioning": "on"}, "must be one of: enabled, suspended"),
    ({"endpoint_url": "127.0.0.1:9000"}, "endpoint_url must be an address"),
    ({"endpoint_url": "http://127.0.0.1:9000/wanted"}, "without a bucket"),
    ({"endpoint_url": "http://root:secret@127.0.0.1:9000"}, "must not hold a user or a password"),
    ({"endpoint_url": "http://no-such-host.invalid:9000"}, "check endpoint_url, and that the server is up"),
    ({"endpoint_url": closed_port}, "check endpoint_url, and that the server is up"),
    ({"secret_key": "not-the-secret"}, "(SignatureDoesNotMatch); check access_key and secret_key"),
    ({"access_key": "nobodys-key"}, "(InvalidAccessKeyId); check access_key and secret_key"),
    ({"region": "us east"}, "region 'us east' must be a name"),
    ({"timeout_seconds": 0}, "timeout_seconds must be above 0"),
    ({"ca_bundle": "/nonexistent/ca.pem"}, "ca_bundle /nonexistent/ca.pem is not a file"),
    ({"colour": "blue"}, "Unsupported parameters"),
]


@pytest.mark.parametrize("options, reason", SLIPS, ids=[f"{number}-{next(iter(slip[0]))}" for number, slip in enumerate(SLIPS)])
def test_slips(minio, options, reason):
    given = {key: value() if callable(value) else value for key, value in options.items()}
    before = names(minio)
    message = refusal("s3_bucket", **{**minio.connection, "timeout_seconds": 3, "name": "wanted", **given})
    assert reason in message
    assert names(minio) == before


def test_a_server_that_never_answers():
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
        options = {"endpoint_url": url, "access_key": ROOT_PAIR[0], "secret_key": ROOT_PAIR[1], "timeout_seconds": 1}
        message = run("s3_bucket", **options, name="wanted")["msg"]
    assert message.startswith(f"cannot reach the S3 server at {url}")
    assert message.endswith("check endpoint_url, and that the server is up")


@pytest.mark.parametrize(
    "policy, phrase",
    [
        ({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:Nonsense", "Resource": "arn:aws:s3:::wanted/*"}]}, "policy: "),
        ({"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "arn:aws:s3:::other/*"}]}, "policy: "),
    ],
)
def test_a_policy_that_only_the_server_can_refuse(minio, policy, phrase):
    refused = run("s3_bucket", **minio.connection, name="wanted-policy", policy=policy)
    assert refused["msg"].startswith(phrase)
    assert refused["error_code"] == "MalformedPolicy"
    run("s3_bucket", **minio.connection, name="wanted-policy", state="absent")
