#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_user_info
short_description: Read the users of a ClearML server
version_added: 0.1.0
description:
  - Reads the users, with O(roles) also what each may do.
  - ClearML shows e-mail addresses to nobody.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: Users with this name. By default all are read. One that does not exist gives an empty list.
    type: str
  roles:
    description:
      - Whether the roles are read. This takes one more request for each user, and a pair with the role admin or system, because a role
        is shown to its bearer only.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.info
seealso:
  - module: homelab.mlops.clearml_user
"""

EXAMPLES = r"""
- name: Read the users
  homelab.mlops.clearml_user_info:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
  register: found

- name: Show their names
  ansible.builtin.debug:
    msg: "{{ found.users | map(attribute='name') }}"
"""

RETURN = r"""
users:
  description: The users, by name.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: Id.
      type: str
      sample: ebd9c614fe1dfb0bcb4618861bd238fd
    name:
      description: Name.
      type: str
      sample: Alice Example
    given_name:
      description: Given name, or null.
      type: str
      sample: Alice
    family_name:
      description: Family name, or null.
      type: str
      sample: Example
    created:
      description: When the user was made, in UTC.
      type: str
      sample: "2026-11-21T00:25:05.954000+00:00"
    role:
      description: Role; null when O(roles) is not set.
      type: str
      sample: user
count:
  description: Number of users.
  type: int
  returned: success
  sample: 1
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, users
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError


def work(params):
    """Reads the users; returns the module's result; raises ClearMLError."""
    transport = arguments.transport_of(params)
    found = [user for user in users.read(transport) if params["name"] in (None, user["name"])]
    for user in found:
        user["role"] = users.role_of(transport, user["id"]) if params["roles"] else None
    return {"changed": False, "users": found, "count": len(found)}


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str"},
            roles={"type": "bool", "default": False},
        ),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE,
        required_one_of=arguments.REQUIRED_ONE_OF,
        required_together=arguments.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    try:
        result = work(module.params)
    except ClearMLError as error:
        module.no_log_values.update(arguments.secrets_in(module.params))
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
