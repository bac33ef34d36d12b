# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Buckets: what is read, and the calls that lead to what is wanted."""

from __future__ import annotations

import json

from ansible_collections.homelab.mlops.plugins.module_utils.s3 import policy as policies
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import (
    AccessDenied,
    NotFound,
    NotImplementedByServer,
    S3Error,
)

INCOMPLETE_UPLOADS_RULE = "homelab-mlops-incomplete-uploads"
NONCURRENT_VERSIONS_RULE = "homelab-mlops-noncurrent-versions"
LARGEST_DELETION = 1000  # keys in one DeleteObjects request, by the S3 API reference
VERSIONING = {"Enabled": "enabled", "Suspended": "suspended"}
ASPECTS = ("versioning", "tags", "policy", "incomplete_uploads_days", "noncurrent_versions_days")
LIFECYCLE_ASPECTS = ("incomplete_uploads_days", "noncurrent_versions_days")


def exists(client, name):
    """Whether the caller has a bucket with this name.

    :raises S3Error: also for 403, which can mean a wrong key, a bucket of somebody else, or a missing one under a narrow
        policy: nothing may be created then
    """
    try:
        client.call("head_bucket", Bucket=name)
    except NotFound:
        return False
    except AccessDenied:
        # HeadBucket's answer has no body; this one says why.
        try:
            client.call("get_bucket_location", Bucket=name)
        except NotFound:
            return False
    return True


def read(client, name, aspects=ASPECTS):
    """The state of an existing bucket.

    :param aspects: which of ASPECTS are of interest; the others are not asked for
    :returns: dict with the aspects
    :raises NotImplementedByServer: the server does not have one of them
    """
    state = {}
    if "versioning" in aspects:
        state["versioning"] = VERSIONING.get(client.call("get_bucket_versioning", Bucket=name).get("Status"), "off")
    if "tags" in aspects:
        answer = client.optional("get_bucket_tagging", ("NoSuchTagSet",), Bucket=name) or {}
        state["tags"] = {tag["Key"]: tag["Value"] for tag in answer.get("TagSet") or []}
    if "policy" in aspects:
        answer = client.optional("get_bucket_policy", ("NoSuchBucketPolicy",), Bucket=name) or {}
        state["policy"] = policies.parse(answer.get("Policy"), "the policy of bucket %r" % name)
    if any(aspect in aspects for aspect in LIFECYCLE_ASPECTS):
        rules = read_rules(client, name)
        found = {
            "incomplete_uploads_days": _days(rules, "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
            "noncurrent_versions_days": _days(rules, "NoncurrentVersionExpiration", "NoncurrentDays"),
        }
        state.update({aspect: found[aspect] for aspect in LIFECYCLE_ASPECTS if aspect in aspects})
    return state


def read_tolerantly(client, name):
    """As `read` for all aspects; what the server does not have or the key may not see is None."""
    state = {}
    for aspect in ASPECTS:
        try:
            state.update(read(client, name, (aspect,)))
        except (NotImplementedByServer, AccessDenied):
            state[aspect] = None
    return state


def read_rules(client, name):
    """The lifecycle rules of a bucket, as a list of dicts."""
    answer = client.optional("get_bucket_lifecycle_configuration", ("NoSuchLifecycleConfiguration",), Bucket=name) or {}
    return answer.get("Rules") or []


def _days(rules, action, field):
    """Days of the first active rule for the whole bucket that has the action, 0 when there is none."""
    for rule in rules:
        if rule.get("Status") == "Enabled" and action in rule and _is_for_all(rule):
            return rule[action].get(field) or 0
    return 0


def _is_for_all(rule):
    scope = rule.get("Filter") or {}
    return not rule.get("Prefix") and not any(
        scope.get(key) for key in ("Prefix", "Tag", "And", "ObjectSizeGreaterThan", "ObjectSizeLessThan")
    )


def create(client, name):
    """Creates a bucket; one that the caller got in the meantime is right too.

    :raises BucketTaken: somebody else has the name
    """
    arguments = {"Bucket": name}
    if client.region != "us-east-1":
        arguments["CreateBucketConfiguration"] = {"LocationConstraint": client.region}
    try:
        client.call("create_bucket", **arguments)
    except S3Error as error:
        if error.code != "BucketAlreadyOwnedByYou":
            raise


def apply(client, name, before, wanted):
    """Brings the aspects in `wanted` about where they differ from `before`; raises S3Error."""
    changed = {aspect: value for aspect, value in wanted.items() if before.get(aspect) != value}
    if "versioning" in changed:
        status = "Enabled" if changed["versioning"] == "enabled" else "Suspended"
        client.call("put_bucket_versioning", Bucket=name, VersioningConfiguration={"Status": status})
    if "tags" in changed:
        if changed["tags"]:
            tags = [{"Key": key, "Value": value} for key, value in sorted(changed["tags"].items())]
            client.call("put_bucket_tagging", Bucket=name, Tagging={"TagSet": tags})
        else:
            client.call("delete_bucket_tagging", Bucket=name)
    if "policy" in changed:
        if changed["policy"]:
            client.call("put_bucket_policy", Bucket=name, Policy=json.dumps(changed["policy"]))
        else:
            client.call("delete_bucket_policy", Bucket=name)
    if any(aspect in changed for aspect in LIFECYCLE_ASPECTS):
        _apply_rules(client, name, changed)


def _apply_rules(client, name, changed):
    """Replaces this collection's rules and keeps the others, because S3 knows only the whole list."""
    fields = {
        "incomplete_uploads_days": (INCOMPLETE_UPLOADS_RULE, "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
        "noncurrent_versions_days": (NONCURRENT_VERSIONS_RULE, "NoncurrentVersionExpiration", "NoncurrentDays"),
    }
    rules = read_rules(client, name)
    for aspect, days in changed.items():
        if aspect not in fields:
            continue
        rule_id, action, field = fields[aspect]
        rules = [
            rule for rule in rules if not (rule.get("ID") == rule_id or (action in rule and _is_for_all(rule) and _is_only(rule, action)))
        ]
        if days:
            rules.append({"ID": rule_id, "Status": "Enabled", "Filter": {"Prefix": ""}, action: {field: days}})
    if not rules:
        client.call("delete_bucket_lifecycle", Bucket=name)
        return
    try:
        client.call("put_bucket_lifecycle_configuration", Bucket=name, LifecycleConfiguration={"Rules": rules})
    except S3Error as error:
        if "incomplete_uploads_days" in changed and error.code in ("InvalidArgument", "MalformedXML", "NotImplemented"):
            raise NotImplementedByServer(
                "the S3 server at %s takes no lifecycle rule for incomplete uploads (MinIO removes them by itself after a "
                "day): leave incomplete_uploads_days out" % client.url,
                code=error.code,
            ) from error
        raise


def _is_only(rule, action):
    """Whether a rule has no other action than this one."""
    others = {"Expiration", "Transitions", "NoncurrentVersionTransitions", "NoncurrentVersionExpiration", "AbortIncompleteMultipartUpload"}
    return not any(other in rule for other in others - {action})


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
