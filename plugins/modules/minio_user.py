#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: minio_user
short_description: Create, change and delete a user of a MinIO server
version_added: 0.1.0
description:
  - Keeps a user, whose name is an access key and whose secret is a secret key, and the policies that are attached to it.
  - A secret cannot be read back. So a request is signed with the given one, and the secret is set only when the server does not take it.
    A secret that was set is proven in the same way before the module reports success.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: Name of the user, which is the access key with which it signs. It needs 3 to 20 characters.
    type: str
    required: true
  secret:
    description:
      - Secret key of the user, 8 to 40 characters. Required when the user does not exist.
      - When left out, the secret stays as it is.
    type: str
  policies:
    description: Policies that are attached to the user, and no others. An empty list detaches all; when left out, they stay as they are.
    type: list
    elements: str
  enabled:
    description:
      - Whether the user may sign in.
      - The secret of a user who stays disabled is not verified, and MinIO does not change the policies of such a user.
    type: bool
    default: true
  state:
    description: Whether the user is there.
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
notes:
  - Another secret for the same name ends the old pair at that moment. To rotate without a gap, make a second user, hand its pair out, and
    delete the first one when nobody uses it any more.
  - A policy must exist when it is attached. Check mode does not look whether it does, because an earlier task may be the one that makes it.
seealso:
  - module: homelab.mlops.minio_policy
  - module: homelab.mlops.minio_service_account
"""

EXAMPLES = r"""
- name: The key of the agents
  homelab.mlops.minio_user:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    name: "{{ agent_access_key }}"
    secret: "{{ agent_secret_key }}"
    policies: [clearml-artifacts]
  no_log: true

- name: Once all agents have their new key, the old one goes away
  homelab.mlops.minio_user:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    name: "{{ old_agent_access_key }}"
    state: absent
"""

RETURN = r"""
user:
  description: The user as it is afterwards, or would be in check mode.
  type: dict
  returned: success
  contains:
    name:
      description: Name.
      type: str
      sample: aK3tYq81mPzL
    state:
      description: V(present) or V(absent).
      type: str
      sample: present
    enabled:
      description: Whether the user may sign in.
      type: bool
      returned: when O(state=present)
      sample: true
    policies:
      description: Policies that are attached.
      type: list
      elements: str
      returned: when O(state=present)
      sample: [clearml-artifacts]
secret_works:
  description: Whether a request that was signed with O(secret) was taken before anything was changed; null when it was not tried.
  type: bool
  returned: success
  sample: true
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import arguments
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput, NotFound, S3Error
from ansible_collections.homelab.mlops.plugins.module_utils.s3.minio_admin import Admin, check_pair


def check_options(params):
    """Refuses what MinIO would refuse in the middle of the work; raises InvalidInput."""
    name = params["name"]
    check_pair("user", name, params["secret"])
    if name == params["access_key"]:
        raise InvalidInput("user %r is the one that this connection uses: connect with another pair to change it" % name)


class Change(object):
    """What has to happen to one user."""

    def __init__(self, admin, params):
        self.admin = admin
        self.name = params["name"]
        self.secret = params["secret"]
        self.existing = admin.user(self.name)
        self.secret_works = None
        wanted_policies = params["policies"]
        if params["state"] == "absent":
            self.wanted = None
            return
        if self.existing is None and self.secret is None:
            raise InvalidInput("user %r does not exist: give its secret to create it" % self.name)
        had = self.existing["policies"] if self.existing else []
        self.wanted = {
            "enabled": params["enabled"],
            "policies": had if wanted_policies is None else sorted(set(wanted_policies)),
        }
        if self.existing and not self.existing["enabled"] and not params["enabled"] and self.wanted["policies"] != had:
            raise S3Error("MinIO does not change the policies of user %r while it is disabled: set enabled=true" % self.name)
        if self.existing and self.existing["enabled"] and self.secret is not None:
            self.secret_works = admin.secret_works(self.name, self.secret)

    def shown(self, user, secret):
        """A user for the difference; `secret` is a word about it, never the secret."""
        if user is None:
            return {"name": self.name, "state": "absent"}
        return dict(user, name=self.name, state="present", secret=secret)

    def result(self):
        """The module's result."""
        old_secret = "another one" if self.secret_works is False else "as given"
        result = difference(self.shown(self.existing, old_secret), self.shown(self.wanted, "as given"))
        result["user"] = {key: value for key, value in self.shown(self.wanted, None).items() if key != "secret"}
        result["secret_works"] = self.secret_works
        return result

    def carry_out(self):
        """Makes the calls; raises S3Error."""
        admin = self.admin
        if self.wanted is None:
            if self.existing:
                try:
                    admin.call("user_remove", self.name)
                except NotFound:
                    pass
            return
        enabled = bool(self.existing and self.existing["enabled"])
        unproven = self.existing is None or self.secret_works is False
        if unproven:
            admin.call("user_add", self.name, self.secret)
            enabled = True
        elif self.wanted["enabled"] and not enabled:
            admin.call("user_enable", self.name)
            enabled = True
            if self.secret is not None and not admin.secret_works(self.name, self.secret):
                admin.call("user_add", self.name, self.secret)
                unproven = True
        had = self.existing["policies"] if self.existing else []
        missing = [policy for policy in self.wanted["policies"] if policy not in had]
        extra = [policy for policy in had if policy not in self.wanted["policies"]]
        if missing:
            self._attach(missing)
        if extra:
            admin.change_policies("detach_policy", self.name, extra)
        if unproven:
            admin.check_secret("user", self.name, self.secret)
        if enabled and not self.wanted["enabled"]:
            admin.call("user_disable", self.name)

    def _attach(self, missing):
        try:
            self.admin.change_policies("attach_policy", self.name, missing)
        except NotFound as error:
            raise S3Error(
                "policies %s cannot be attached to user %r: %s; create them with minio_policy first"
                % (", ".join(missing), self.name, error),
                code=error.code,
            ) from error


def work(module):
    """Brings the user into the wanted state; returns the module's result; raises S3Error."""
    check_options(module.params)
    change = Change(Admin(arguments.Connection(module.params)), module.params)
    if not module.check_mode:
        change.carry_out()
    return change.result()


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str", "required": True},
            secret={"type": "str", "no_log": True},
            policies={"type": "list", "elements": "str"},
            enabled={"type": "bool", "default": True},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
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
