# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The mirror of a bucket that a backup includes: what a disaster takes comes back, byte for byte, on a real MinIO."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from s3_servers import MinIO

PROGRAM = Path(__file__).resolve().parents[2] / "roles/minio/files/mirror_bucket.py"
LARGE = os.urandom(20 << 20)  # in parts, so that its ETag is no checksum
OBJECTS = {
    "task/artifacts/model.bin": LARGE,
    "task.txt": b"a small one",
    "naïve ünïcode/a b+c%2F\\?*": b"a key that is no file name",
    "/".join(["deep" * 30] * 8): b"a key that is too long for one",
    "empty": b"",
}


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    with MinIO(tmp_path_factory.mktemp("minio") / "data") as running:
        yield running


@pytest.fixture
def bucket(server):
    """A bucket of its own with some objects, as (client, name)."""
    client, name = server.boto(), f"mirror-{time.monotonic_ns()}"
    client.create_bucket(Bucket=name)
    for key, body in OBJECTS.items():
        if body is LARGE:
            path = server.folder / "large"
            path.write_bytes(body)
            client.upload_file(str(path), name, key, ExtraArgs={"ContentType": "model/x", "Metadata": {"epoch": "7"}})
        else:
            client.put_object(Bucket=name, Key=key, Body=body)
    return client, name


def settings(server, name, directory, direction):
    key, secret = server.pair
    return {
        "endpoint_url": server.url,
        "region": server.region,
        "bucket": name,
        "ca_bundle": "",
        "access_key": key,
        "secret_key": secret,
        "directory": str(directory),
        "direction": direction,
    }


def mirror(server, name, directory, direction):
    """The words of the program: (exit status, what it did or the line that it ends with)."""
    given = json.dumps(settings(server, name, directory, direction))
    done = subprocess.run([sys.executable, PROGRAM], input=given, capture_output=True, text=True, timeout=120)
    assert len(done.stderr.splitlines()) <= 1, done.stderr
    return (0, json.loads(done.stdout)) if done.returncode == 0 else (done.returncode, done.stderr.strip())


def content(client, name):
    return {
        item["Key"]: client.get_object(Bucket=name, Key=item["Key"])["Body"].read()
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=name)
        for item in page.get("Contents", [])
    }


def test_a_bucket_that_was_emptied_comes_back(server, bucket, tmp_path):
    client, name = bucket
    directory = tmp_path / "mirror"
    status, done = mirror(server, name, directory, "save")
    assert (status, done["objects"], done["fetched"]) == (0, len(OBJECTS), len(OBJECTS))
    assert done["bytes"] == sum(map(len, OBJECTS.values()))
    assert {oct(path.stat().st_mode & 0o777) for path in directory.rglob("*") if path.is_file()} == {"0o600"}
    assert oct(directory.stat().st_mode & 0o777) == "0o700"

    assert mirror(server, name, directory, "save")[1]["changed"] is False

    for key in OBJECTS:
        client.delete_object(Bucket=name, Key=key)
    client.put_object(Bucket=name, Key="of a later day", Body=b"stays")
    status, done = mirror(server, name, directory, "restore")
    assert (status, done["written"]) == (0, len(OBJECTS))
    assert content(client, name) == {**OBJECTS, "of a later day": b"stays"}
    there = client.head_object(Bucket=name, Key="task/artifacts/model.bin")
    assert there["ContentType"] == "model/x" and there["Metadata"]["epoch"] == "7"
    assert mirror(server, name, directory, "restore")[1]["changed"] is False


def test_the_next_run_takes_what_changed_and_leaves_what_is_gone(server, bucket, tmp_path):
    client, name = bucket
    mirror(server, name, tmp_path / "mirror", "save")
    client.put_object(Bucket=name, Key="task.txt", Body=b"A small one")
    client.delete_object(Bucket=name, Key="empty")
    _, done = mirror(server, name, tmp_path / "mirror", "save")
    assert (done["fetched"], done["removed"], done["objects"]) == (1, 1, len(OBJECTS) - 1)


def test_a_run_that_was_killed_goes_on(server, bucket, tmp_path):
    client, name = bucket
    for number in range(600):
        client.put_object(Bucket=name, Key=f"sample/{number}", Body=b"x" * 1000)
    process = subprocess.Popen([sys.executable, PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    process.stdin.write(json.dumps(settings(server, name, tmp_path / "mirror", "save")).encode())
    process.stdin.close()
    manifest = tmp_path / "mirror" / "manifest.json"
    for _ in range(600):
        if manifest.exists() or process.poll() is not None:
            break
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL, "it ended before it could be killed"
    _, done = mirror(server, name, tmp_path / "mirror", "save")
    assert done["objects"] == len(OBJECTS) + 600
    assert done["fetched"] <= done["objects"] - 200


def test_a_file_that_rotted_is_not_brought_back(server, bucket, tmp_path):
    client, name = bucket
    directory = tmp_path / "mirror"
    mirror(server, name, directory, "save")
    client.delete_object(Bucket=name, Key="task.txt")
    rotten = next(path for path in directory.glob("objects/*/*") if path.read_bytes() == OBJECTS["task.txt"])
    rotten.write_bytes(b"a smalk one")
    status, line = mirror(server, name, directory, "restore")
    assert status == 1 and "task.txt is not what was mirrored" in line
    assert "task.txt" not in content(client, name)


@pytest.mark.parametrize(
    ("name", "content", "direction", "words"),
    [
        ("holiday.jpg", "a picture", "save", "is not empty and holds no mirror: name an empty directory"),
        ("manifest.json", "{", "save", "is no manifest of a mirror: name another directory"),
        ("manifest.json", '{"bucket": "another", "objects": {}}', "save", "holds bucket another, not"),
        ("manifest.json", '{"bucket": "another", "objects": {}}', "restore", "holds bucket another, not"),
        ("holiday.jpg", "a picture", "restore", "nothing was mirrored into this directory"),
    ],
)
def test_a_directory_of_something_else_is_refused_and_left_alone(server, bucket, tmp_path, name, content, direction, words):
    (tmp_path / name).write_text(content)
    status, line = mirror(server, bucket[1], tmp_path, direction)
    assert status == 1 and words in line
    assert (tmp_path / name).read_text() == content


def test_a_server_that_is_away_is_one_line(server, tmp_path):
    class Away:
        url, region, pair = "http://127.0.0.1:9", "us-east-1", server.pair

    status, line = mirror(Away, "bucket", tmp_path / "mirror", "save")
    assert status == 1 and line.startswith("bucket bucket at http://127.0.0.1:9: ")
