#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket
short_description: Create, configure and delete a bucket of an S3 server
version_added: 0.1.0
description:
  - Works with MinIO and other servers that speak S3, and asks only for what an option names, so that servers with a part of the API and
    keys with narrow policies do. An option that the server does not have fails with its name.
  - Only settings that differ are written. What was written is read back, because some servers take a setting and keep a part of it.
  - A bucket that holds objects, old versions, delete markers or incomplete uploads is deleted with O(force) only. The module looks itself,
    because some servers do not.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description:
      - Name of the bucket.
      - It needs 3 to 63 lower-case letters, digits, hyphens and dots. What S3 forbids is refused before any request.
    type: str
    required: true
  state:
    description: Whether the bucket is there.
    type: str
    choices: [present, absent]
    default: present
  versioning:
    description: Whether the bucket keeps old versions of objects. Once on, it can only be suspended. When left out, it stays as it is.
    type: str
    choices: [enabled, suspended]
  tags:
    description: All tags of the bucket. An empty dict removes them; when left out, they stay as they are.
    type: dict
  policy:
    description:
      - Policy of the bucket as a dict or as JSON, compared by meaning. An empty dict removes it; when left out, it stays as it is.
    type: json
  lifecycle:
    description:
      - All lifecycle rules of the bucket. An empty list removes them; when left out, they stay as they are.
    type: list
    elements: dict
    suboptions:
      id:
        description: Name of the rule, of 1 to 255 characters.
        type: str
        required: true
      prefix:
        description: The rule is for objects whose names begin with this. An empty text means the whole bucket.
        type: str
        required: true
      enabled:
        description: Whether the rule is carried out.
        type: bool
        default: true
      expire_days:
        description: After how many days objects are removed.
        type: int
      expire_delete_markers:
        description: Whether a delete marker goes away once no version is left behind it. Needs a rule without O(lifecycle[].expire_days).
        type: bool
        default: false
      noncurrent_versions_days:
        description: After how many days old versions of objects are removed.
        type: int
      noncurrent_versions_kept:
        description: How many old versions stay beyond O(lifecycle[].noncurrent_versions_days).
        type: int
      incomplete_uploads_days:
        description:
          - After how many days incomplete multipart uploads are removed.
          - MinIO has no such rule, and removes these uploads by itself after a day.
        type: int
  cors:
    description:
      - All rules for requests of web pages from elsewhere, in their order. An empty list removes them; when left out, they stay.
      - MinIO has one set of rules for all its buckets, and refuses this option.
    type: list
    elements: dict
    suboptions:
      origins:
        description: Where the pages come from, such as V(https://app.example.com), or V(*).
        type: list
        elements: str
        required: true
      methods:
        description: What they may do.
        type: list
        elements: str
        choices: [GET, PUT, POST, DELETE, HEAD]
        required: true
      headers:
        description: Headers that their requests may carry.
        type: list
        elements: str
        default: []
      exposed_headers:
        description: Headers of the answer that they may see.
        type: list
        elements: str
        default: []
      max_age_seconds:
        description: For how many seconds a browser remembers the answer. V(0) leaves that to the browser.
        type: int
        default: 0
  encryption:
    description:
      - How the server encrypts objects that come without an encryption of their own. When left out, it stays as it is.
      - MinIO needs a key of its own for that (C(MINIO_KMS_SECRET_KEY) or KES) and refuses this option without one.
    type: dict
    suboptions:
      algorithm:
        description: V(none) removes the setting. Amazon S3 encrypts always, so V(none) is not for it.
        type: str
        choices: [none, AES256, "aws:kms"]
        required: true
      key:
        description: Name of the key of the key service. Only with O(encryption.algorithm=aws:kms).
        type: str
  object_lock:
    description:
      - Whether objects can be locked against deletion. That is decided when the bucket is made; a bucket that is otherwise is refused.
      - Also turns versioning on, which then cannot be suspended.
    type: bool
  retention:
    description:
      - For how long a new object is locked when its upload does not say. When left out, it stays as it is.
      - Needs a bucket that was made with O(object_lock=true).
    type: dict
    suboptions:
      mode:
        description:
          - V(governance) can be lifted by a key whose policy allows that, V(compliance) by nobody.
          - V(none) removes the setting.
        type: str
        choices: [none, governance, compliance]
        required: true
      days:
        description: For how many days.
        type: int
  quota_bytes:
    description:
      - How many bytes the bucket takes; V(0) for no limit. When left out, it stays as it is.
      - Only MinIO has it. It needs the Python package C(minio), and a key that may use the administration API.
    type: int
  force:
    description: Whether a bucket that holds objects, versions or incomplete uploads may be deleted with all of them.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.mlops.s3
  - homelab.mlops.s3.boto3
  - homelab.mlops.attributes
  - homelab.mlops.attributes.s3
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
notes:
  - The key needs C(s3:ListBucket) on the bucket, so that a missing bucket can be told from one that it may not see. A refusal (403) never
    leads to a new bucket.
  - Check mode cannot see that a server refuses what it lets be read, such as MinIO with O(cors).
  - Incomplete uploads that a server does not list cannot be found. After a restart, MinIO lists none of those from before it, and removes
    them after a day.
seealso:
  - module: homelab.mlops.s3_bucket_info
  - module: homelab.mlops.minio_user
"""

EXAMPLES = r"""
- name: A bucket for artifacts
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: clearml

- name: Old versions are kept for a month, what lies under scratch/ for a week
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: clearml
    versioning: enabled
    lifecycle:
      - id: old-versions
        prefix: ""
        noncurrent_versions_days: 30
      - id: scratch
        prefix: scratch/
        expire_days: 7
    tags:
      owner: homelab

- name: A bucket that web pages may read, and that encrypts
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: reports
    cors:
      - origins: [https://app.example.com]
        methods: [GET, HEAD]
    encryption:
      algorithm: AES256

- name: A bucket whose objects cannot be deleted for ninety days
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: releases
    object_lock: true
    retention:
      mode: governance
      days: 90

- name: A bucket and all that is in it goes away
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: scratch
    state: absent
    force: true

- name: No more than 500 GB on MinIO
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.21:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    name: clearml
    quota_bytes: 500000000000
"""

RETURN = r"""
bucket:
  description: The bucket as it is afterwards, or would be in check mode. Beside these two fields, one for each option that was given.
  type: dict
  returned: success
  contains:
    name:
      description: Name.
      type: str
      sample: clearml
    state:
      description: V(present) or V(absent).
      type: str
      sample: present
    versioning:
      description: V(enabled), V(suspended) or V(off).
      type: str
      returned: when O(versioning) is given
      sample: enabled
    tags:
      description: Tags.
      type: dict
      returned: when O(tags) is given
      sample: {"owner": "homelab"}
    policy:
      description: Policy in the module's common form; null when there is none.
      type: dict
      returned: when O(policy) is given
      sample: null
    lifecycle:
      description: Rules by id, with the fields that are set.
      type: list
      elements: dict
      returned: when O(lifecycle) is given
      sample: [{"id": "scratch", "prefix": "scratch/", "enabled": true, "expire_days": 7}]
    cors:
      description: Rules.
      type: list
      elements: dict
      returned: when O(cors) is given
      sample: []
    encryption:
      description: Algorithm, and the key where there is one.
      type: dict
      returned: when O(encryption) is given
      sample: {"algorithm": "AES256"}
    object_lock:
      description: Whether objects can be locked.
      type: bool
      returned: when O(object_lock) is given
      sample: false
    retention:
      description: Mode and days.
      type: dict
      returned: when O(retention) is given
      sample: {"mode": "governance", "days": 90}
    quota_bytes:
      description: Bytes, or V(0) for no limit.
      type: int
      returned: when O(quota_bytes) is given
      sample: 0
removed:
  description: How many C(objects) (with their versions and delete markers) and incomplete C(uploads) went with the bucket.
  type: dict
  returned: when O(state=absent)
  sample: {"objects": 12, "uploads": 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import arguments, buckets, settings
from ansible_collections.homelab.mlops.plugins.module_utils.s3.client import Client
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput, S3Error
from ansible_collections.homelab.mlops.plugins.module_utils.s3.names import check_bucket_name


def wanted_of(params):
    """The settings that the user named, in the form in which they are read; raises InvalidInput."""
    wanted = {option: params[option] for option in settings.READ if params[option] is not None}
    for option, given in settings.GIVEN.items():
        if option in wanted:
            wanted[option] = given(wanted[option])
    if wanted.get("object_lock") and wanted.get("versioning") == "suspended":
        raise InvalidInput("object_lock needs versions: leave versioning out or set it to enabled")
    return wanted


def check_lock(client, name, wanted, there):
    """Refuses what only a new bucket can have, and a retention without a lock; raises S3Error."""
    if there and ("object_lock" in wanted or "retention" in wanted):
        locked = buckets.read(client, name, ("object_lock",))["object_lock"]
        if wanted.get("object_lock", locked) != locked:
            raise S3Error(
                "object_lock: bucket %r was made %s a lock, and that cannot be changed: set object_lock=%s, or make another bucket"
                % (name, "with" if locked else "without", str(locked).lower())
            )
    else:
        locked = wanted.get("object_lock", False)
    if wanted.get("retention", {}).get("mode", "none") != "none" and not locked:
        raise S3Error("retention: bucket %r has no lock: make it with object_lock=true" % name)


def present(module, client, name, wanted):
    """Creates and configures the bucket; returns the module's result; raises S3Error."""
    there = buckets.exists(client, name)
    check_lock(client, name, wanted, there)
    before = dict(buckets.read(client, name, wanted), name=name, state="present") if there else {"name": name, "state": "absent"}
    after = dict(before, state="present", **wanted)
    if not module.check_mode:
        had = before
        if not there:
            buckets.create(client, name, wanted.get("object_lock", False))
            had = buckets.read(client, name, wanted)
        buckets.apply(client, name, had, wanted)
    return dict(difference(before, after), bucket=after)


def absent(module, client, name, force):
    """Deletes the bucket; returns the module's result; raises S3Error."""
    after = {"name": name, "state": "absent"}
    removed = {"objects": 0, "uploads": 0}
    if not buckets.exists(client, name):
        return dict(difference(after, after), bucket=after, removed=removed)
    found = buckets.contents(client, name)
    example = found.pop("example")
    if any(found.values()) and not force:
        raise S3Error(
            "bucket %r is not empty (%d objects and versions, %d incomplete uploads, such as %r): empty it or set force=true"
            % (name, found["objects"], found["uploads"], example)
        )
    if not module.check_mode:
        if any(found.values()):
            buckets.empty(client, name)
        buckets.delete(client, name)
    before = {"name": name, "state": "present"}
    if any(found.values()):
        before["contents"] = found
    return dict(difference(before, after), bucket=after, removed=found)


def work(module):
    """Checks the options and brings the bucket into the wanted state; returns the module's result; raises S3Error."""
    params = module.params
    check_bucket_name(params["name"])
    wanted = wanted_of(params)
    client = Client(arguments.Connection(params))
    if params["state"] == "absent":
        return absent(module, client, params["name"], params["force"])
    return present(module, client, params["name"], wanted)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str", "required": True},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            versioning={"type": "str", "choices": ["enabled", "suspended"]},
            tags={"type": "dict"},
            policy={"type": "json"},
            lifecycle={
                "type": "list",
                "elements": "dict",
                "options": {
                    "id": {"type": "str", "required": True},
                    "prefix": {"type": "str", "required": True},
                    "enabled": {"type": "bool", "default": True},
                    "expire_days": {"type": "int"},
                    "expire_delete_markers": {"type": "bool", "default": False},
                    "noncurrent_versions_days": {"type": "int"},
                    "noncurrent_versions_kept": {"type": "int"},
                    "incomplete_uploads_days": {"type": "int"},
                },
            },
            cors={
                "type": "list",
                "elements": "dict",
                "options": {
                    "origins": {"type": "list", "elements": "str", "required": True},
                    "methods": {
                        "type": "list",
                        "elements": "str",
                        "required": True,
                        "choices": ["GET", "PUT", "POST", "DELETE", "HEAD"],
                    },
                    "headers": {"type": "list", "elements": "str", "default": []},
                    "exposed_headers": {"type": "list", "elements": "str", "default": []},
                    "max_age_seconds": {"type": "int", "default": 0},
                },
            },
            encryption={
                "type": "dict",
                "options": {
                    "algorithm": {"type": "str", "required": True, "choices": ["none", "AES256", "aws:kms"]},
                    "key": {"type": "str", "no_log": False},
                },
            },
            object_lock={"type": "bool"},
            retention={
                "type": "dict",
                "options": {
                    "mode": {"type": "str", "required": True, "choices": ["none", "governance", "compliance"]},
                    "days": {"type": "int"},
                },
            },
            quota_bytes={"type": "int"},
            force={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except S3Error as error:
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
