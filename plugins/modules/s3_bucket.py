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
    keys with narrow policies do.
  - A bucket that holds anything is deleted with O(force) only. The module looks itself, because some servers do not.
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
  incomplete_uploads_days:
    description:
      - After how many days incomplete multipart uploads are removed; V(0) removes the rule. When left out, it stays as it is.
      - MinIO refuses this rule, and removes such uploads by itself after a day.
    type: int
  noncurrent_versions_days:
    description: After how many days old versions of objects are removed; V(0) removes the rule. When left out, it stays as it is.
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
  - Other lifecycle rules of the bucket are kept.
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

- name: Old versions are kept for a month
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: clearml
    versioning: enabled
    noncurrent_versions_days: 30
    tags:
      owner: homelab

- name: A bucket and all that is in it goes away
  homelab.mlops.s3_bucket:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: scratch
    state: absent
    force: true
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
    incomplete_uploads_days:
      description: Days, or V(0) for no rule.
      type: int
      returned: when O(incomplete_uploads_days) is given
      sample: 7
    noncurrent_versions_days:
      description: Days, or V(0) for no rule.
      type: int
      returned: when O(noncurrent_versions_days) is given
      sample: 30
removed:
  description: How many C(objects) (with their versions and delete markers) and incomplete C(uploads) went with the bucket.
  type: dict
  returned: when O(state=absent)
  sample: {"objects": 12, "uploads": 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import arguments, buckets, policy
from ansible_collections.homelab.mlops.plugins.module_utils.s3.client import Client
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput, S3Error
from ansible_collections.homelab.mlops.plugins.module_utils.s3.names import check_bucket_name


def wanted_of(params):
    """The aspects that the user named, in the form in which they are read; raises InvalidInput."""
    wanted = {aspect: params[aspect] for aspect in buckets.ASPECTS if params[aspect] is not None}
    if "tags" in wanted:
        wanted["tags"] = {str(key): str(value) for key, value in wanted["tags"].items()}
    if "policy" in wanted:
        wanted["policy"] = policy.parse(wanted["policy"])
    for aspect in buckets.LIFECYCLE_ASPECTS:
        if wanted.get(aspect, 0) < 0:
            raise InvalidInput("%s must not be below 0" % aspect)
    return wanted


def present(module, client, name, wanted):
    """Creates and configures the bucket; returns the module's result; raises S3Error."""
    there = buckets.exists(client, name)
    before = dict(buckets.read(client, name, tuple(wanted)), name=name, state="present") if there else {"name": name, "state": "absent"}
    after = dict(before, state="present", **wanted)
    if not module.check_mode:
        if not there:
            buckets.create(client, name)
            before_settings = buckets.read(client, name, tuple(wanted))
        else:
            before_settings = before
        buckets.apply(client, name, before_settings, wanted)
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
            incomplete_uploads_days={"type": "int"},
            noncurrent_versions_days={"type": "int"},
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
