#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: s3_bucket_info
short_description: Read the buckets of an S3 server
version_added: 0.1.0
description:
  - Reads which buckets there are and how they are configured.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: One bucket. By default all that the key may list are read. One that does not exist gives an empty list.
    type: str
  contents:
    description: Whether objects are counted. That lists the whole bucket.
    type: bool
    default: false
  quota:
    description:
      - Whether the quota is read. Only MinIO has one.
      - It needs the Python package C(minio), and a key that may use the administration API.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.mlops.s3
  - homelab.mlops.s3.boto3
  - homelab.mlops.attributes
  - homelab.mlops.attributes.s3
  - homelab.mlops.attributes.info
seealso:
  - module: homelab.mlops.s3_bucket
"""

EXAMPLES = r"""
- name: Read one bucket
  homelab.mlops.s3_bucket_info:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ s3_access_key }}"
    secret_key: "{{ s3_secret_key }}"
    name: clearml
  register: found

- name: It is there
  ansible.builtin.assert:
    that: found.buckets | length == 1
"""

RETURN = r"""
buckets:
  description: The buckets, by name.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name.
      type: str
      sample: clearml
    versioning:
      description: V(enabled), V(suspended) or V(off); null where the server has no versioning or the key may not see it.
      type: str
      sample: "off"
    tags:
      description: Tags, or null as above.
      type: dict
      sample: {}
    policy:
      description: Policy in the common form of M(homelab.mlops.s3_bucket), or null when there is none or as above.
      type: dict
      sample: null
    lifecycle:
      description: Rules in the form of M(homelab.mlops.s3_bucket), or null as above. What that form has no words for stands under C(other).
      type: list
      elements: dict
      sample: [{"id": "scratch", "prefix": "scratch/", "enabled": true, "expire_days": 7}]
    cors:
      description: Rules in the form of M(homelab.mlops.s3_bucket), or null as above.
      type: list
      elements: dict
      sample: []
    encryption:
      description: Algorithm, V(none) for no setting, and the key where there is one; null as above.
      type: dict
      sample: {"algorithm": "none"}
    object_lock:
      description: Whether objects can be locked, or null as above.
      type: bool
      sample: false
    retention:
      description: Mode and days of the lock of new objects, or null as above.
      type: dict
      sample: {"mode": "none"}
    quota_bytes:
      description: How many bytes the bucket takes, V(0) for no limit, or null as above.
      type: int
      returned: when O(quota=true)
      sample: 0
    objects:
      description: Number of objects, versions and delete markers.
      type: int
      returned: when O(contents=true)
      sample: 12
    uploads:
      description: Number of incomplete uploads.
      type: int
      returned: when O(contents=true)
      sample: 0
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.s3 import arguments, buckets, settings
from ansible_collections.homelab.mlops.plugins.module_utils.s3.client import Client
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import S3Error
from ansible_collections.homelab.mlops.plugins.module_utils.s3.names import check_bucket_name


def work(params):
    """Reads the buckets; returns the module's result; raises S3Error."""
    if params["name"] is not None:
        check_bucket_name(params["name"])
    client = Client(arguments.Connection(params))
    if params["name"] is not None:
        names = [params["name"]] if buckets.exists(client, params["name"]) else []
    else:
        names = sorted(entry["Name"] for entry in client.call("list_buckets").get("Buckets") or [])
    options = [option for option in settings.READ if option != "quota_bytes" or params["quota"]]
    found = []
    for name in names:
        bucket = dict(buckets.read_tolerantly(client, name, options), name=name)
        if params["contents"]:
            counted = buckets.contents(client, name)
            bucket.update(objects=counted["objects"], uploads=counted["uploads"])
        found.append(bucket)
    return {"changed": False, "buckets": found}


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str"},
            contents={"type": "bool", "default": False},
            quota={"type": "bool", "default": False},
        ),
        supports_check_mode=True,
    )
    try:
        result = work(module.params)
    except S3Error as error:
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
