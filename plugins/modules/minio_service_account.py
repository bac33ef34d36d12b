#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: minio_service_account
short_description: Create, change and delete a service account of a user of MinIO
version_added: 0.1.0
description:
  - Keeps a further pair of a user (MinIO calls it a service account or an access key), which may do what the user may or less.
  - The account is found by its label, so that its access key may be a random one.
  - The root pair gets none, because such a pair could do more than its policy says (CVE-2025-62506).
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  label:
    description:
      - Name of the account, by which it is found among those of the user.
      - It needs 1 to 32 letters, digits, hyphens and underscores, and begins with a letter.
    type: str
    required: true
  user:
    description: Whose account it is. By default the user of the connection.
    type: str
  user_secret:
    description:
      - Secret key of O(user). MinIO lets only the user itself make an account, so it is needed when the account does not exist and the
        connection is another user's.
    type: str
  name:
    description:
      - Access key of the account, 3 to 20 characters. By default a random one.
      - An account with the label and another access key is refused, because its pair may be in use.
    type: str
  secret:
    description:
      - Secret key of the account, 8 to 40 characters. By default a random one, which is returned once, when it is made.
      - For an account that exists, a request is signed with it, and one that the server does not take is refused without O(rotate).
    type: str
  rotate:
    description:
      - Whether an account that exists gets another secret, which ends its old pair at that moment.
      - With O(secret), only when the server does not take that one. Without, each run makes a new random one.
    type: bool
    default: false
  policy:
    description:
      - What the account may do of what its user may, as a dict or as JSON, compared by meaning. An account is made without one when it is
        left out, and may do what its user may; that of an account that exists stays as it is then.
      - MinIO cannot remove it again.
    type: json
  description:
    description: A remark. When left out, it stays as it is.
    type: str
  enabled:
    description: Whether the account may sign in. The secret of one that stays disabled is not verified.
    type: bool
    default: true
  state:
    description: Whether the account is there.
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
    support: partial
    details:
      - With O(rotate=true) and without O(secret), each run makes a new secret.
notes:
  - A user may make, read and delete its own accounts. Changing one needs C(admin:UpdateServiceAccount), so connect with a key that has it.
  - To rotate without a gap, make an account with another label, hand its pair out, and delete the first one when nobody uses it any more.
seealso:
  - module: homelab.mlops.minio_user
"""

EXAMPLES = r"""
- name: A pair for one notebook, which may only read
  homelab.mlops.minio_service_account:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    user: "{{ agent_access_key }}"
    user_secret: "{{ agent_secret_key }}"
    label: notebook
    policy:
      Version: "2012-10-17"
      Statement:
        - Effect: Allow
          Action: s3:GetObject
          Resource: arn:aws:s3:::clearml/*
  register: notebook
  no_log: true

- name: The pair is kept, since it is told only once
  ansible.builtin.copy:
    content: "{{ {'access_key': notebook.access_key, 'secret_key': notebook.secret_key} | to_json }}"
    dest: "{{ lookup('env', 'HOME') }}/notebook-pair.json"
    mode: "0600"
  when: notebook.secret_key is defined
  no_log: true

- name: It goes away
  homelab.mlops.minio_service_account:
    endpoint_url: http://192.0.2.20:9000
    access_key: "{{ minio_root_user }}"
    secret_key: "{{ minio_root_password }}"
    user: "{{ agent_access_key }}"
    label: notebook
    state: absent
"""

RETURN = r"""
account:
  description: The account as it is afterwards, or would be in check mode.
  type: dict
  returned: success
  contains:
    label:
      description: Name by which it is found.
      type: str
      sample: notebook
    user:
      description: Whose it is.
      type: str
      sample: aK3tYq81mPzL
    state:
      description: V(present) or V(absent).
      type: str
      sample: present
    enabled:
      description: Whether it may sign in.
      type: bool
      returned: when O(state=present)
      sample: true
    description:
      description: Remark.
      type: str
      returned: when O(state=present)
      sample: ""
    policy:
      description: What it may do, in the common form; null when that is all that its user may.
      type: dict
      returned: when O(state=present)
      sample: null
access_key:
  description: Access key of the account.
  type: str
  returned: when the account exists
  sample: 5TQZ8DM0K2X7W1YB4H6C
secret_key:
  description:
    - The random secret key that this run made. It is told this once, and a request that was signed with it was taken.
    - Hide it with C(no_log).
  type: str
  returned: when this run made one
  sample: only-an-example-of-a-secret-of-forty-cha
secret_works:
  description: Whether a request that was signed with O(secret) was taken before anything was changed; null when it was not tried.
  type: bool
  returned: success
  sample: null
"""

import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import arguments
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import policy as policies
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import AccessDenied, InvalidInput, NotFound, S3Error
from ansible_collections.homelab.mlops.plugins.module_utils.s3.minio_admin import Admin, check_pair, new_access_key, new_secret

LABEL = re.compile(r"^[A-Za-z][A-Za-z0-9_-]{0,31}$")
COMPARED = ("enabled", "description", "policy")


def check_options(params):
    """Refuses what MinIO would refuse in the middle of the work; raises InvalidInput."""
    if not LABEL.match(params["label"]):
        raise InvalidInput(
            "label %r needs 1 to 32 letters, digits, hyphens and underscores, and begins with a letter: MinIO takes no other"
            % params["label"]
        )
    if params["name"] is not None or params["secret"] is not None:
        check_pair("service account", params["name"] or "any-name", params["secret"])
    if params["description"] == "":
        raise InvalidInput("description must not be empty: leave it out, since MinIO keeps a remark that an account has")
    if params["policy"] is not None and policies.parse(params["policy"]) is None:
        raise InvalidInput("policy must not be empty: leave it out, or delete the account and make it without one")


class Change(object):
    """What has to happen to one service account."""

    def __init__(self, connection, params, check_mode):
        self.connection = connection
        self.admin = Admin(connection)
        self.label = params["label"]
        self.user = params["user"] or params["access_key"]
        self.user_secret = params["secret_key"] if self.user == params["access_key"] else params["user_secret"]
        self.name, self.secret, self.rotate = params["name"], params["secret"], params["rotate"]
        self.secret_works = None
        self.told = None
        self.access_key = self.existing = None
        # Without its user there is no account; in check mode an earlier task may be the one that makes the user.
        if self.admin.user(self.user) is not None:
            self._find()
        elif params["state"] == "present" and (self.user == params["access_key"] or not check_mode):
            raise InvalidInput(
                "%r is no user of this MinIO (the root pair is none): make it with minio_user, and name it as user" % self.user
            )
        self.wanted = None
        if params["state"] == "present":
            had = self.existing or {"description": "", "policy": None}
            self.wanted = {
                "enabled": params["enabled"],
                "description": had["description"] if params["description"] is None else params["description"],
                "policy": had["policy"] if params["policy"] is None else policies.parse(params["policy"]),
            }
            self._check()

    def _find(self):
        """Reads the account with the label; raises S3Error when there are two."""
        found = self.admin.service_accounts_of(self.user).get(self.label, [])
        if len(found) > 1:
            raise S3Error(
                "user %r has %d service accounts with the label %r: delete those that are not used" % (self.user, len(found), self.label)
            )
        self.access_key = found[0] if found else None
        self.existing = self.admin.service_account(self.access_key) if found else None

    def _check(self):
        """Refuses what must not happen; raises S3Error."""
        if self.existing is None:
            if self.user_secret is None:
                raise InvalidInput(
                    "service account %r does not exist: give user_secret, as only user %r can make it" % (self.label, self.user)
                )
            return
        if self.name is not None and self.name != self.access_key:
            raise S3Error(
                "service account %r has the access key %r, not %r: delete it, or make one with another label"
                % (self.label, self.access_key, self.name)
            )
        if self.secret is not None and self.existing["enabled"]:
            self.secret_works = self.admin.secret_works(self.access_key, self.secret)
            if not self.secret_works and not self.rotate:
                raise S3Error(
                    "MinIO refuses the given secret of service account %r: correct it, or set rotate=true to make it the account's"
                    % self.label
                )

    def _new_secret(self):
        """Whether an account that exists gets another secret; that of one that was disabled could not be tried."""
        untried = self.wanted["enabled"] and not self.existing["enabled"]
        return self.rotate and (self.secret is None or self.secret_works is False or untried)

    def shown(self, account, secret):
        """An account for the difference; `secret` is a word about it, never the secret."""
        if account is None:
            return {"label": self.label, "user": self.user, "state": "absent"}
        return dict({field: account[field] for field in COMPARED}, label=self.label, user=self.user, state="present", secret=secret)

    def result(self):
        """The module's result."""
        old_secret = "another one" if self.wanted and self.existing and self._new_secret() else "as given"
        result = difference(self.shown(self.existing, old_secret), self.shown(self.wanted, "as given"))
        result["account"] = {key: value for key, value in self.shown(self.wanted, None).items() if key != "secret"}
        result["secret_works"] = self.secret_works
        if self.wanted and self.access_key:
            result["access_key"] = self.access_key
        if self.told:
            result["secret_key"] = self.told
        return result

    def carry_out(self):
        """Makes the calls; raises S3Error."""
        if self.wanted is None:
            if self.existing:
                self._delete()
        elif self.existing is None:
            self._create()
        else:
            self._update()

    def _delete(self):
        try:
            self.admin.call("delete_service_account", self.access_key)
        except NotFound:
            pass

    def _create(self):
        own = Admin(self.connection.signed_by(self.user, self.user_secret))
        name, secret = self.name or new_access_key(), self.secret or new_secret()
        remark = {"description": self.wanted["description"]} if self.wanted["description"] else {}
        own.call("add_service_account", access_key=name, secret_key=secret, name=self.label, policy=self.wanted["policy"], **remark)
        self.access_key = name
        try:
            self.admin.check_secret("service account", name, secret)
            if not self.wanted["enabled"]:
                self._change(status="off")
        except S3Error:
            # Its secret would never be told.
            self._delete()
            raise
        self.told = None if self.secret else secret

    def _update(self):
        changes = {
            "status": ("on" if self.wanted["enabled"] else "off") if self.wanted["enabled"] != self.existing["enabled"] else None,
            "description": self.wanted["description"] if self.wanted["description"] != self.existing["description"] else None,
            "policy": self.wanted["policy"] if self.wanted["policy"] != self.existing["policy"] else None,
        }
        changes = {field: value for field, value in changes.items() if value is not None}
        if self._new_secret():
            changes["secret_key"] = self.secret or new_secret()
        if changes:
            self._change(**changes)
        if "secret_key" in changes:
            self.told = None if self.secret else changes["secret_key"]
        unproven = changes.get("secret_key") or (self.secret if "status" in changes else None)
        if self.wanted["enabled"] and unproven:
            self.admin.check_secret("service account", self.access_key, unproven)

    def _change(self, **changes):
        try:
            self.admin.call("update_service_account", access_key=self.access_key, **changes)
        except AccessDenied as error:
            raise AccessDenied("%s; a user needs admin:UpdateServiceAccount to change its own accounts" % error, code=error.code) from error


def work(module):
    """Brings the account into the wanted state; returns the module's result; raises S3Error."""
    check_options(module.params)
    change = Change(arguments.Connection(module.params), module.params, module.check_mode)
    if not module.check_mode:
        change.carry_out()
    return change.result()


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            label={"type": "str", "required": True},
            user={"type": "str"},
            user_secret={"type": "str", "no_log": True},
            name={"type": "str"},
            secret={"type": "str", "no_log": True},
            rotate={"type": "bool", "default": False},
            policy={"type": "json"},
            description={"type": "str"},
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
