#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: minio_policy
short_description: Create, change and delete a policy of a MinIO server
version_added: 0.1.0
description:
  - Keeps a named policy, which M(homelab.mlops.minio_user) attaches to users.
  - Policies are compared by meaning, so order, single values instead of lists and the like make no difference.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: Name of the policy.
    type: str
    required: true
  policy:
    description: The policy document, as a dict or as JSON. Required with O(state=present).
    type: json
  state:
    description: Whether the policy is there. One that is attached to a user cannot be deleted.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment:
  - homelab.mlops.s3
  - homelab.mlops.s3.minio
  - homelab.mlops.attributes
  - homelab.mlops.attributes.s3
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
seealso:
  - module: homelab.mlops.minio_user
"""

EXAMPLES = r"""
- name: What an agent needs of the bucket for artifacts
  homelab.mlops.minio_policy:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    name: clearml-artifacts
    policy:
      Version: "2012-10-17"
      Statement:
        - Effect: Allow
          Action: [s3:GetBucketLocation, s3:ListBucket, s3:ListBucketMultipartUploads]
          Resource: arn:aws:s3:::clearml
        - Effect: Allow
          Action: [s3:GetObject, s3:PutObject, s3:DeleteObject, s3:AbortMultipartUpload, s3:ListMultipartUploadParts]
          Resource: arn:aws:s3:::clearml/*
"""

RETURN = r"""
policy:
  description: The policy in the module's common form, as it is afterwards or would be in check mode; null when there is none.
  type: dict
  returned: success
  sample:
    Version: "2012-10-17"
    Statement:
      - Effect: Allow
        Action: ["s3:GetObject"]
        Resource: ["arn:aws:s3:::clearml/*"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import arguments
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import policy as policies
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput, S3Error
from ansible_collections.homelab.mlops.plugins.module_utils.s3.minio_admin import Admin


def work(module):
    """Brings the policy into the wanted state; returns the module's result; raises S3Error."""
    name = module.params["name"]
    if name != name.strip() or not name or "," in name or any(ord(character) < 32 for character in name):
        raise InvalidInput("policy name %r must not be empty, hold a comma or a line end, or start or end with a space" % name)
    wanted = None
    if module.params["state"] == "present":
        wanted = policies.parse(module.params["policy"])
        if wanted is None:
            raise InvalidInput("policy must not be empty; state=absent deletes policy %r" % name)
    admin = Admin(arguments.Connection(module.params))
    before = admin.policy(name)
    if before != wanted and not module.check_mode:
        if wanted is None:
            admin.call("policy_remove", name)
        else:
            admin.call("policy_add", name, policy=wanted)
    return dict(difference({"name": name, "policy": before}, {"name": name, "policy": wanted}), policy=wanted)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str", "required": True},
            policy={"type": "json"},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
        ),
        required_if=[("state", "present", ["policy"])],
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except S3Error as error:
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
