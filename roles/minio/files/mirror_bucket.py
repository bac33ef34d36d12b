# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mirrors a bucket into a directory, or brings it back from there; reads its settings as JSON from stdin.

In the directory each object is a file below ``objects``, named by the SHA-256 of its key: keys may hold what no file name can.
``manifest.json`` says which file is which key, with its size, ETag, SHA-256, type and metadata. What is already there is not
fetched again; a run that was killed goes on where it was. Nothing in the directory is readable by others than its owner.

``direction`` save: an object that is gone from the bucket goes from the mirror, after all others have been fetched.
``direction`` restore: an object whose content differs is written; nothing in the bucket is removed.
"""

import hashlib
import json
import os
import sys
import tempfile
from pathlib import Path

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

# Objects after which the manifest is written, so that a killed run has little to fetch again.
STRIDE = 200
BLOCK = 1 << 20
# Of an object that was brought back: its own checksum, since the ETag of a large one depends on how it was cut into parts.
CHECKSUM = "homelab-mlops-sha256"


class Fault(Exception):
    """What ends the run, in one line."""


def client_of(given):
    """The boto3 client for a server of the settings."""
    return boto3.client(
        "s3",
        endpoint_url=given["endpoint_url"],
        region_name=given["region"],
        aws_access_key_id=given["access_key"],
        aws_secret_access_key=given["secret_key"],
        verify=given["ca_bundle"] or None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"max_attempts": 5, "mode": "standard"},
            connect_timeout=5,
            read_timeout=60,
        ),
    )


class Mirror:
    """A directory that holds the objects of one bucket."""

    def __init__(self, directory, bucket):
        self.root = Path(directory)
        self.manifest = self.root / "manifest.json"
        self.bucket = bucket
        self.entries = {}

    def read(self):
        """Reads the manifest; Fault when it is none, or of another bucket."""
        try:
            content = json.loads(self.manifest.read_text(encoding="utf-8"))
            self.entries, bucket = dict(content["objects"]), content["bucket"]
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError):
            raise Fault("%s is no manifest of a mirror: name another directory" % self.manifest) from None
        if bucket != self.bucket:
            raise Fault("%s holds bucket %s, not %s: name another directory" % (self.root, bucket, self.bucket))

    def prepare(self):
        """Makes the directory; Fault when it holds something else than a mirror."""
        if self.root.is_dir() and not self.manifest.exists() and any(entry.name != "objects" for entry in self.root.iterdir()):
            raise Fault("%s is not empty and holds no mirror: name an empty directory" % self.root)
        (self.root / "objects").mkdir(mode=0o700, parents=True, exist_ok=True)
        self.root.chmod(0o700)

    def write(self):
        """Puts the manifest into place in one step."""
        text = json.dumps({"bucket": self.bucket, "objects": self.entries}, indent=1, sort_keys=True)
        self._place(self.manifest, lambda stream: stream.write(text.encode("utf-8")))

    def file_of(self, key):
        """The file of an object."""
        name = hashlib.sha256(key.encode("utf-8")).hexdigest()
        return self.root / "objects" / name[:2] / name

    def has(self, key, etag, size):
        """Whether this content of the object is there already."""
        entry = self.entries.get(key)
        try:
            return bool(entry) and (entry["etag"], entry["size"]) == (etag, size) == (etag, self.file_of(key).stat().st_size)
        except FileNotFoundError:
            return False

    def take(self, key, answer):
        """Keeps an object as the server answers it."""
        digest = hashlib.sha256()

        def copy(stream):
            for block in iter(lambda: answer["Body"].read(BLOCK), b""):
                digest.update(block)
                stream.write(block)
            return stream.tell()

        size = self._place(self.file_of(key), copy)
        if size != answer["ContentLength"]:
            raise Fault("%s ended after %d of %d bytes" % (key, size, answer["ContentLength"]))
        self.entries[key] = {
            "etag": answer["ETag"],
            "metadata": answer.get("Metadata", {}),
            "sha256": digest.hexdigest(),
            "size": size,
            "type": answer.get("ContentType", ""),
        }

    def forget(self, keys):
        """Removes objects that are gone, first from the manifest."""
        for key in keys:
            self.entries.pop(key)
        self.write()
        known = {self.file_of(key) for key in self.entries}
        removed = 0
        for path in (self.root / "objects").glob("*/*"):
            if path not in known:
                path.unlink()
                removed += 1
        return removed

    def check(self, key):
        """The file of an object, compared with its checksum; Fault when it is another one."""
        path, digest = self.file_of(key), hashlib.sha256()
        try:
            with path.open("rb") as stream:
                for block in iter(lambda: stream.read(BLOCK), b""):
                    digest.update(block)
        except FileNotFoundError:
            raise Fault("%s lacks its file %s" % (key, path)) from None
        if digest.hexdigest() != self.entries[key]["sha256"]:
            raise Fault("%s is not what was mirrored: %s has another checksum" % (key, path))
        return path

    @staticmethod
    def _place(path, write):
        path.parent.mkdir(mode=0o700, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=".part-")
        try:
            with os.fdopen(handle, "wb") as stream:
                result = write(stream)
                stream.flush()
                os.fsync(stream.fileno())
            os.replace(name, path)
        except BaseException:
            os.unlink(name)
            raise
        return result


def save(client, mirror):
    """Brings the directory to what is in the bucket."""
    mirror.prepare()
    mirror.read()
    found, fetched, fetched_bytes = set(), 0, 0
    for page in client.get_paginator("list_objects_v2").paginate(Bucket=mirror.bucket):
        for item in page.get("Contents", []):
            key = item["Key"]
            found.add(key)
            if mirror.has(key, item["ETag"], item["Size"]):
                continue
            try:
                mirror.take(key, client.get_object(Bucket=mirror.bucket, Key=key))
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("NoSuchKey", "404"):
                    raise
                found.discard(key)  # removed since it was listed
                continue
            fetched += 1
            fetched_bytes += mirror.entries[key]["size"]
            if fetched % STRIDE == 0:
                mirror.write()
    removed = mirror.forget([key for key in mirror.entries if key not in found])
    return {"fetched": fetched, "fetched_bytes": fetched_bytes, "removed": removed}


def restore(client, mirror):
    """Brings what the directory holds back into the bucket."""
    if not mirror.manifest.is_file():
        raise Fault("%s is missing: nothing was mirrored into this directory" % mirror.manifest)
    mirror.read()
    written, written_bytes = 0, 0
    for key, entry in sorted(mirror.entries.items()):
        try:
            there = client.head_object(Bucket=mirror.bucket, Key=key)
        except ClientError as error:
            if error.response["Error"]["Code"] not in ("404", "NoSuchKey"):
                raise
            there = {}
        same = there.get("ETag") == entry["etag"] or there.get("Metadata", {}).get(CHECKSUM) == entry["sha256"]
        if there.get("ContentLength") == entry["size"] and same:
            continue
        extra = {"Metadata": dict(entry["metadata"], **{CHECKSUM: entry["sha256"]})}
        if entry["type"]:
            extra["ContentType"] = entry["type"]
        client.upload_file(str(mirror.check(key)), mirror.bucket, key, ExtraArgs=extra)
        written += 1
        written_bytes += entry["size"]
    return {"written": written, "written_bytes": written_bytes}


def main():
    """Prints what was done as JSON; exit status 1 and a line on stderr when it could not be done."""
    given = json.load(sys.stdin)
    mirror = Mirror(given["directory"], given["bucket"])
    os.umask(0o077)
    try:
        done = {"save": save, "restore": restore}[given["direction"]](client_of(given), mirror)
    except (BotoCoreError, ClientError, Fault, OSError) as error:
        sys.exit("bucket %s at %s: %s" % (given["bucket"], given["endpoint_url"], " ".join(str(error).split())))
    total = sum(entry["size"] for entry in mirror.entries.values())
    print(json.dumps(dict(done, objects=len(mirror.entries), bytes=total, changed=any(done.values())), sort_keys=True))


main()
