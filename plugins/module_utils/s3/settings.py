# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of a bucket: how each is read, written, and put into the one form in which it is compared.

That form is the form of the module's option. What a server holds beyond it stands under `other`, so that it differs
from everything that an option can say. The "not configured" codes are those of the Amazon S3 API reference.
"""

from __future__ import annotations

import json

from ansible_collections.homelab.mlops.plugins.module_utils.s3 import policy as policies
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import (
    InvalidInput,
    NotImplementedByServer,
    NotKept,
    S3Error,
    Unreachable,
)
from ansible_collections.homelab.mlops.plugins.module_utils.s3.minio_admin import Admin

VERSIONING = {"Enabled": "enabled", "Suspended": "suspended"}
# Fields of a lifecycle rule: option, action of the S3 API, its field.
ACTIONS = (
    ("expire_days", "Expiration", "Days"),
    ("expire_delete_markers", "Expiration", "ExpiredObjectDeleteMarker"),
    ("noncurrent_versions_days", "NoncurrentVersionExpiration", "NoncurrentDays"),
    ("noncurrent_versions_kept", "NoncurrentVersionExpiration", "NewerNoncurrentVersions"),
    ("incomplete_uploads_days", "AbortIncompleteMultipartUpload", "DaysAfterInitiation"),
)
CORS = (
    ("origins", "AllowedOrigins"),
    ("methods", "AllowedMethods"),
    ("headers", "AllowedHeaders"),
    ("exposed_headers", "ExposeHeaders"),
)
NO_INCOMPLETE_UPLOADS = "leave incomplete_uploads_days out of rule %r: MinIO has no such rule, and removes such uploads by itself in a day"


# --- from what the user wrote to the common form ----------------------------------------------------------------------


def given_tags(value):
    """Tags as texts; raises InvalidInput for what the S3 API reference forbids."""
    tags = {str(key): str(text) for key, text in value.items()}
    if len(tags) > 50:
        raise InvalidInput("tags: there are %d: use up to 50" % len(tags))
    for key, text in tags.items():
        if not 1 <= len(key) <= 128 or len(text) > 256:
            raise InvalidInput("tags: %r needs a name of 1 to 128 characters and a value of up to 256" % key)
    return tags


def given_lifecycle(rules):
    """Rules, by their id.

    :param rules: list of dicts with the fields of ACTIONS and id, prefix, enabled
    :raises InvalidInput: S3 would refuse the rules, or take them for something else than is meant
    """
    found = {}
    for rule in rules:
        name = rule["id"]
        actions = {option: rule[option] for option, unused, unused_field in ACTIONS if rule.get(option)}
        problem = _rule_problem(rule, actions, found)
        if problem:
            raise InvalidInput("lifecycle: rule %r %s" % (name, problem))
        found[name] = dict(actions, id=name, prefix=rule["prefix"], enabled=rule["enabled"])
    return [found[name] for name in sorted(found)]


def _rule_problem(rule, actions, others):
    if not 1 <= len(rule["id"]) <= 255:
        return "needs an id of 1 to 255 characters"
    if rule["id"] in others:
        return "is there twice: give each rule an id of its own"
    low = [option for option in rule if option.endswith(("_days", "_kept")) and rule[option] is not None and rule[option] < 1]
    if low:
        return "has %s=%d: use 1 or more" % (low[0], rule[low[0]])
    if not actions:
        return "does nothing: give it one of %s" % ", ".join(option for option, unused, unused_field in ACTIONS)
    if "expire_days" in actions and "expire_delete_markers" in actions:
        return "has both expire_days and expire_delete_markers: use a rule for each"
    if "noncurrent_versions_kept" in actions and "noncurrent_versions_days" not in actions:
        return "has noncurrent_versions_kept, which needs noncurrent_versions_days"
    return None


def given_cors(rules):
    """Rules in their order, because the first that fits counts; raises InvalidInput."""
    result = []
    for number, rule in enumerate(rules, 1):
        if not rule["origins"] or not rule["methods"]:
            raise InvalidInput("cors: rule %d needs origins and methods" % number)
        if rule["max_age_seconds"] < 0:
            raise InvalidInput("cors: rule %d has max_age_seconds=%d: use 0 or more" % (number, rule["max_age_seconds"]))
        form = {option: sorted(set(rule[option])) for option, unused in CORS}
        result.append(dict(form, max_age_seconds=rule["max_age_seconds"]))
    return result


def given_encryption(value):
    """Algorithm, and the key where there is one; raises InvalidInput."""
    if value["key"] and value["algorithm"] != "aws:kms":
        raise InvalidInput("encryption: key goes with algorithm=aws:kms, not with %s" % value["algorithm"])
    return {field: value[field] for field in ("algorithm", "key") if value[field]}


def given_retention(value):
    """Mode, and the days where there are any; raises InvalidInput."""
    if value["mode"] == "none":
        return {"mode": "none"}
    if value["days"] is None or value["days"] < 1:
        raise InvalidInput("retention: mode=%s needs days of 1 or more" % value["mode"])
    return {"mode": value["mode"], "days": value["days"]}


def given_quota(value):
    """Bytes; raises InvalidInput."""
    if value < 0:
        raise InvalidInput("quota_bytes must not be below 0, which means none")
    return value


GIVEN = {
    "tags": given_tags,
    "policy": policies.parse,
    "lifecycle": given_lifecycle,
    "cors": given_cors,
    "encryption": given_encryption,
    "retention": given_retention,
    "quota_bytes": given_quota,
}


# --- from the server --------------------------------------------------------------------------------------------------


def read_versioning(client, bucket):
    return VERSIONING.get(client.call("get_bucket_versioning", Bucket=bucket).get("Status"), "off")


def _lock_configuration(client, bucket):
    answer = client.optional("get_object_lock_configuration", ("ObjectLockConfigurationNotFoundError",), Bucket=bucket) or {}
    return answer.get("ObjectLockConfiguration") or {}


def read_object_lock(client, bucket):
    return _lock_configuration(client, bucket).get("ObjectLockEnabled") == "Enabled"


def read_retention(client, bucket):
    found = (_lock_configuration(client, bucket).get("Rule") or {}).get("DefaultRetention") or {}
    if not found.get("Mode"):
        return {"mode": "none"}
    result = {"mode": found["Mode"].lower()}
    result.update({field.lower(): found[field] for field in ("Days", "Years") if found.get(field)})
    return result


def read_tags(client, bucket):
    answer = client.optional("get_bucket_tagging", ("NoSuchTagSet",), Bucket=bucket) or {}
    return {tag["Key"]: tag["Value"] for tag in answer.get("TagSet") or []}


def read_policy(client, bucket):
    answer = client.optional("get_bucket_policy", ("NoSuchBucketPolicy",), Bucket=bucket) or {}
    return policies.parse(answer.get("Policy"), "the policy of bucket %r" % bucket)


def read_lifecycle(client, bucket):
    answer = client.optional("get_bucket_lifecycle_configuration", ("NoSuchLifecycleConfiguration",), Bucket=bucket) or {}
    return sorted((rule_form(rule) for rule in answer.get("Rules") or []), key=lambda rule: rule["id"])


def rule_form(rule):
    """A lifecycle rule of the S3 API (dict) in the form of the option."""
    rest = json.loads(json.dumps(rule, default=str))  # dates have no place in the option, and become texts
    scope = rest.pop("Filter", None) or {}
    form = {
        "id": rest.pop("ID", ""),
        "enabled": rest.pop("Status", "") == "Enabled",
        "prefix": scope.pop("Prefix", None) or rest.pop("Prefix", None) or "",
    }
    for option, action, field in ACTIONS:
        value = (rest.get(action) or {}).pop(field, None)
        if value:
            form[option] = value
    other = {key: value for key, value in dict(rest, Filter=scope).items() if value not in (None, {}, [])}
    return dict(form, other=other) if other else form


def read_cors(client, bucket):
    answer = client.optional("get_bucket_cors", ("NoSuchCORSConfiguration",), Bucket=bucket) or {}
    result = []
    for rule in answer.get("CORSRules") or []:
        form = {option: sorted(rule.get(field) or []) for option, field in CORS}
        result.append(dict(form, max_age_seconds=rule.get("MaxAgeSeconds") or 0))
    return result


def read_encryption(client, bucket):
    answer = client.optional("get_bucket_encryption", ("ServerSideEncryptionConfigurationNotFoundError",), Bucket=bucket) or {}
    for rule in (answer.get("ServerSideEncryptionConfiguration") or {}).get("Rules") or []:
        found = rule.get("ApplyServerSideEncryptionByDefault") or {}
        if found.get("SSEAlgorithm"):
            both = {"algorithm": found["SSEAlgorithm"], "key": found.get("KMSMasterKeyID")}
            return {field: value for field, value in both.items() if value}
    return {"algorithm": "none"}


def read_quota(client, bucket):
    return _administration(client, "bucket_quota_get", bucket).get("quota") or 0


READ = {
    "versioning": read_versioning,
    "object_lock": read_object_lock,
    "retention": read_retention,
    "tags": read_tags,
    "policy": read_policy,
    "lifecycle": read_lifecycle,
    "cors": read_cors,
    "encryption": read_encryption,
    "quota_bytes": read_quota,
}


# --- to the server ----------------------------------------------------------------------------------------------------


def write_versioning(client, bucket, value):
    status = "Enabled" if value == "enabled" else "Suspended"
    client.call("put_bucket_versioning", Bucket=bucket, VersioningConfiguration={"Status": status})


def write_retention(client, bucket, value):
    configuration = {"ObjectLockEnabled": "Enabled"}
    if value["mode"] != "none":
        configuration["Rule"] = {"DefaultRetention": {"Mode": value["mode"].upper(), "Days": value["days"]}}
    client.call("put_object_lock_configuration", Bucket=bucket, ObjectLockConfiguration=configuration)


def write_tags(client, bucket, value):
    if not value:
        client.call("delete_bucket_tagging", Bucket=bucket)
        return
    tags = [{"Key": key, "Value": text} for key, text in sorted(value.items())]
    try:
        client.call("put_bucket_tagging", Bucket=bucket, Tagging={"TagSet": tags})
    except S3Error as error:
        if error.code == "MalformedXML" and any(ord(character) > 126 for character in "".join(tag["Key"] + tag["Value"] for tag in tags)):
            raise NotKept("%s; MinIO takes letters and digits of English only" % error, code=error.code) from error
        raise


def write_policy(client, bucket, value):
    if value:
        client.call("put_bucket_policy", Bucket=bucket, Policy=json.dumps(value))
    else:
        client.call("delete_bucket_policy", Bucket=bucket)


def write_lifecycle(client, bucket, value):
    if not value:
        client.call("delete_bucket_lifecycle", Bucket=bucket)
        return
    rules = []
    for form in value:
        rule = {"ID": form["id"], "Status": "Enabled" if form["enabled"] else "Disabled", "Filter": {"Prefix": form["prefix"]}}
        for option, action, field in ACTIONS:
            if option in form:
                rule.setdefault(action, {})[field] = form[option]
        rules.append(rule)
    try:
        client.call("put_bucket_lifecycle_configuration", Bucket=bucket, LifecycleConfiguration={"Rules": rules})
    except S3Error as error:
        only_uploads = [
            form["id"] for form in value if [action for action, *unused in ACTIONS if action in form] == ["incomplete_uploads_days"]
        ]
        if only_uploads and error.code in ("InvalidArgument", "MalformedXML"):
            raise NotKept("%s; %s" % (error, NO_INCOMPLETE_UPLOADS % only_uploads[0]), code=error.code) from error
        raise


NO_INCOMPLETE_UPLOADS = (
    "leave incomplete_uploads_days out of rule %r: MinIO has no such rule, and removes these uploads by itself after a day"
)


def write_cors(client, bucket, value):
    if not value:
        client.call("delete_bucket_cors", Bucket=bucket)
        return
    rules = []
    for form in value:
        rule = {field: form[option] for option, field in CORS if form[option]}
        if form["max_age_seconds"]:
            rule["MaxAgeSeconds"] = form["max_age_seconds"]
        rules.append(rule)
    client.call("put_bucket_cors", Bucket=bucket, CORSConfiguration={"CORSRules": rules})


def write_encryption(client, bucket, value):
    if value["algorithm"] == "none":
        client.call("delete_bucket_encryption", Bucket=bucket)
        return
    default = {"SSEAlgorithm": value["algorithm"]}
    if "key" in value:
        default["KMSMasterKeyID"] = value["key"]
    rules = [{"ApplyServerSideEncryptionByDefault": default}]
    client.call("put_bucket_encryption", Bucket=bucket, ServerSideEncryptionConfiguration={"Rules": rules})


def write_quota(client, bucket, value):
    _administration(client, "bucket_quota_set", bucket, value)


# In the order in which they are written: a lock wants versioning, and what is stored meanwhile shall be encrypted.
WRITE = {
    "versioning": write_versioning,
    "encryption": write_encryption,
    "retention": write_retention,
    "policy": write_policy,
    "tags": write_tags,
    "lifecycle": write_lifecycle,
    "cors": write_cors,
    "quota_bytes": write_quota,
}


def _administration(client, method, *arguments):
    """One call of MinIO's administration API; {} for an empty answer.

    :raises NotImplementedByServer: the server has no such API
    """
    try:
        return Admin(client.connection).call(method, *arguments) or {}
    except Unreachable as error:
        raise NotImplementedByServer("what answers at %s is not MinIO, which alone has it" % client.url) from error


def not_kept(option, wanted, kept):
    """What to say when a server took a setting and then shows another one."""
    text = "the server took it, and keeps %s instead of %s" % (json.dumps(kept, sort_keys=True), json.dumps(wanted, sort_keys=True))
    if option == "lifecycle":
        kept_rules = {rule["id"]: rule for rule in kept}
        for rule in wanted:
            if "incomplete_uploads_days" in rule and "incomplete_uploads_days" not in kept_rules.get(rule["id"], rule):
                text = NO_INCOMPLETE_UPLOADS % rule["id"]
    return NotKept(text)
