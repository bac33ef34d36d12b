# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets: what is read, and the calls that lead to what is wanted."""

from __future__ import annotations

import contextlib

from ansible_collections.homelab.mlops.plugins.module_utils.s3 import settings
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import (
    AccessDenied,
    NotImplementedByServer,
    S3Error,
    Unusable,
    WrongRegion,
)

LARGEST_DELETION = 1000  # keys in one DeleteObjects request, by the S3 API reference
READ_BACK = 5  # times that a setting is read after it was written, for servers that show it late
READ_BACK_SECONDS = 0.5


def exists(client, name):
    """Whether the caller has a bucket with this name.

    HeadBucket is quick and its answer has no body, so what it refuses is asked for in a way that needs the same permission
    and is answered with a reason. An address that is no S3 server's never looks like a missing bucket.

    :raises S3Error: also for 403, which can mean a wrong key, a bucket of somebody else, or a missing one under a narrow
        policy: nothing may be created then
    """
    try:
        answer = client.call("head_bucket", Bucket=name)
    except Unusable:
        raise
    except S3Error:
        answer = {}
    try:
        listed = client.call("list_objects_v2", Bucket=name, MaxKeys=1)
    except Unusable:
        raise
    except S3Error as error:
        if error.code == "NoSuchBucket":
            return False
        if error.code in ("", "404"):
            raise client.no_s3("its answer to list_objects_v2 gives no reason") from error
        raise
    if "Name" not in listed:
        raise client.no_s3("its answer to list_objects_v2 names no bucket")
    region = answer.get("BucketRegion")
    if region and region != client.region:
        raise WrongRegion("bucket %r is in region %s, not in %s: set region to %s" % (name, region, client.region, region))
    return True


def read(client, name, options):
    """The settings of an existing bucket, as a dict by option.

    :param options: which settings are of interest; the others are not asked for
    :raises NotImplementedByServer: the server does not have one of them; the error begins with the option's name
    """
    state = {}
    for option in options:
        with _naming(option):
            state[option] = settings.READ[option](client, name)
    return state


def read_tolerantly(client, name, options):
    """As `read`; what the server does not have or the key may not see is None."""
    state = {}
    for option in options:
        try:
            state.update(read(client, name, (option,)))
        except (NotImplementedByServer, AccessDenied):
            state[option] = None
    return state


@contextlib.contextmanager
def _naming(option):
    """Errors of the block begin with the option's name; those of the connection are not about an option."""
    try:
        yield
    except Unusable:
        raise
    except NotImplementedByServer as error:
        raise NotImplementedByServer(
            "%s: %s; this server does not have it: leave %s out" % (option, error, option), code=error.code
        ) from error
    except S3Error as error:
        raise error.about(option) from error


def create(client, name, object_lock=False):
    """Creates a bucket; one that the caller got in the meantime is right too.

    :param object_lock: whether objects can be locked in it, which no server can turn on later
    :raises BucketTaken: somebody else has the name
    """
    arguments = {"Bucket": name}
    if client.region != "us-east-1":
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": client.region}
    if object_lock:
        arguments["ObjectLockEnabledForBucket"] = True
    try:
        client.call("create_bucket", **arguments)
    except S3Error as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise
        return
    if object_lock:
        _check_lock(client, name)


def _check_lock(client, name):
    """A server that does not know locks makes a bucket without one, and says nothing; that bucket is of no use."""
    try:
        with _naming("object_lock"):
            if not settings.READ["object_lock"](client, name):
                raise NotImplementedByServer("the server made the bucket without a lock")
    except S3Error:
        delete(client, name)
        raise


def apply(client, name, before, wanted):
    """Writes the settings in `wanted` that differ from `before`, and looks whether the server kept them; raises S3Error."""
    for option, write in settings.WRITE.items():
        if option not in wanted or before.get(option) == wanted[option]:
            continue
        with _naming(option):
            write(client, name, wanted[option])
            for attempt in range(1, READ_BACK + 1):
                kept = settings.READ[option](client, name)
                if kept == wanted[option]:
                    break
                if attempt == READ_BACK:
                    raise settings.not_kept(option, wanted[option], kept)
                client.sleep(READ_BACK_SECONDS)


def contents(client, name):
    """What a bucket holds: dict with the numbers `objects` (current objects, versions and delete markers) and `uploads`
    (incomplete ones), and `example`, a key, or None.

    The module looks itself, because some servers delete a bucket that is not empty.
    """
    found = {"objects": 0, "uploads": 0, "example": None}
    for entries in object_pages(client, name):
        found["objects"] += len(entries)
        if entries and found["example"] is None:
            found["example"] = entries[0]["Key"]
    for entries in upload_pages(client, name):
        found["uploads"] += len(entries)
        if entries and found["example"] is None:
            found["example"] = entries[0]["Key"]
    return found


def object_pages(client, name):
    """Lists of dicts with Key and perhaps VersionId: everything that keeps a bucket from being empty."""
    try:
        for page in client.pages("list_object_versions", Bucket=name):
            both = (page.get("Versions") or []) + (page.get("DeleteMarkers") or [])
            yield [{"Key": entry["Key"], "VersionId": entry["VersionId"]} for entry in both]
    except NotImplementedByServer:
        for page in client.pages("list_objects_v2", Bucket=name):
            yield [{"Key": entry["Key"]} for entry in page.get("Contents") or []]


def upload_pages(client, name):
    """Lists of dicts with Key and UploadId of incomplete uploads; nothing where the server does not list them."""
    try:
        for page in client.pages("list_multipart_uploads", Bucket=name):
            yield [{"Key": entry["Key"], "UploadId": entry["UploadId"]} for entry in page.get("Uploads") or []]
    except NotImplementedByServer:
        return


def empty(client, name):
    """Removes every object, version, delete marker and incomplete upload; raises S3Error naming the first that stays."""
    for entries in upload_pages(client, name):
        for entry in entries:
            client.optional("abort_multipart_upload", ("NoSuchUpload", "404"), Bucket=name, **entry)
    previous = None
    while True:
        # Always the first page: markers that point to what was just deleted confuse some servers.
        entries = next((page for page in object_pages(client, name) if page), [])[:LARGEST_DELETION]
        if not entries:
            return
        if entries == previous:
            raise S3Error(
                "bucket %r still holds %r after its deletion; does object lock or another client keep it?" % (name, entries[0]["Key"])
            )
        previous = entries
        answer = client.call("delete_objects", Bucket=name, Delete={"Objects": entries, "Quiet": True})
        for failure in answer.get("Errors") or []:
            raise S3Error(
                "object %r of bucket %r cannot be deleted: %s" % (failure.get("Key"), name, failure.get("Message")),
                code=failure.get("Code", ""),
            )


def delete(client, name):
    """Deletes an empty bucket; one that is gone is right too."""
    client.optional("delete_bucket", ("NoSuchBucket", "404"), Bucket=name)
