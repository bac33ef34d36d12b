#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_user
short_description: Keep a user of a ClearML server
version_added: 0.1.0
description:
  - Creates a user, or changes the name and the role of one.
  - A user is found by O(name), or by O(id) where several have the same name, or where the name is to change.
  - ClearML's API cannot delete a user. M(homelab.mlops.clearml_credentials) with C(state=absent) takes the access away.
  - On a server with fixed users, which RV(mode) shows, a user that is made here cannot sign in at the web page, and works with
    credentials only. Users of the configuration get back the role C(user) and their configured name at each start of the server.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: Name that the web page shows.
    type: str
    required: true
  id:
    description: Id of a user that exists.
    type: str
  email:
    description:
      - Address, which no other user has. Needed when the user has to be made.
      - It cannot be read or changed afterwards.
    type: str
  role:
    description:
      - What the user may do. V(admin) may act for others.
      - When left out, a new user gets V(user), and that of another one is neither read nor changed.
      - To read and to change it takes a pair with the role admin or system. To make a user takes one with the role system.
    type: str
    choices: [admin, superuser, user, annotator]
  given_name:
    description: Given name. When left out, it stays as it is.
    type: str
  family_name:
    description: Family name. When left out, it stays as it is.
    type: str
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
seealso:
  - module: homelab.mlops.clearml_user_info
  - module: homelab.mlops.clearml_credentials
"""

EXAMPLES = r"""
- name: A user for the pipelines
  homelab.mlops.clearml_user:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_system_access_key }}"
    secret_key: "{{ clearml_system_secret_key }}"
    name: Nightly pipelines
    email: pipelines@example.com
    role: user

- name: A pair of keys for that user
  homelab.mlops.clearml_credentials:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_system_access_key }}"
    secret_key: "{{ clearml_system_secret_key }}"
    user: Nightly pipelines
    label: pipelines
  register: pair
  when: not ansible_check_mode
  no_log: true
"""

RETURN = r"""
user:
  description: The user as it is afterwards.
  type: dict
  returned: success
  contains:
    id:
      description: Id; null in check mode before it is made.
      type: str
      sample: ec17ad7d70c84fcfb6fa940d02edf217
    name:
      description: Name.
      type: str
      sample: Nightly pipelines
    given_name:
      description: Given name, or an empty text.
      type: str
      sample: ""
    family_name:
      description: Family name, or an empty text.
      type: str
      sample: ""
    role:
      description: Role; null when it was not read.
      type: str
      sample: user
    action:
      description: What was done, or would be in check mode. One of V(created), V(updated), V(unchanged).
      type: str
      sample: created
mode:
  description: V(fixed) or V(open), as M(homelab.mlops.clearml_server_info) explains them.
  type: str
  returned: success
  sample: open
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, server, users
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError, InvalidInput
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference


def wanted_of(params):
    """The fields that were asked for."""
    return {key: params[key] for key in ("name", "role") + users.NAMES if params[key] is not None}


def warn_of_mode(module, mode, action, changes):
    """Says what a server with fixed users does with what was asked."""
    if mode == "fixed" and action == "created":
        module.warn("this ClearML server has fixed users: %r cannot sign in at the web page, only with credentials" % module.params["name"])
    elif mode == "fixed" and ("role" in changes or "name" in changes):
        module.warn("this ClearML server has fixed users: if %r is one of them, its next start undoes this" % module.params["name"])


def work(module):
    """Reads, plans, and outside check mode carries out; returns the module's result; raises ClearMLError."""
    params = module.params
    users.check(params["name"], params["email"], params["given_name"], params["family_name"])
    transport = arguments.transport_of(params)
    mode = server.mode(transport)["mode"]
    everybody = users.read(transport)
    existing = users.choose(everybody, params["name"], params["id"])
    wanted = wanted_of(params)
    if existing:
        before = dict({key: existing[key] or "" for key in ("name",) + users.NAMES}, role=None)
        if params["role"]:
            before["role"] = users.role_of(transport, existing["id"])
        after = dict(before, **wanted)
    else:
        before = {}
        after = dict(dict.fromkeys(users.NAMES, ""), **wanted)
        after.setdefault("role", "user")
        if not params["email"]:
            raise InvalidInput("there is no ClearML user %r: email is needed to make one" % params["name"])
    changes = {key: value for key, value in after.items() if before.get(key) != value}
    action = "created" if not existing else "updated" if changes else "unchanged"
    user_id = existing["id"] if existing else None
    if not module.check_mode:
        if action == "created":
            fields = dict({key: value for key, value in after.items() if value}, email=params["email"])
            user_id = users.create(transport, fields, {user["id"] for user in everybody})
        elif action == "updated":
            users.change(transport, user_id, changes)
    warn_of_mode(module, mode, action, changes)
    return dict(difference(before, after), user=dict(after, id=user_id, action=action), mode=mode)


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str", "required": True},
            id={"type": "str"},
            email={"type": "str"},
            role={"type": "str", "choices": list(users.ROLES)},
            given_name={"type": "str"},
            family_name={"type": "str"},
        ),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE,
        required_one_of=arguments.REQUIRED_ONE_OF,
        required_together=arguments.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except ClearMLError as error:
        module.no_log_values.update(arguments.secrets_in(module.params))
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
