#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_server_info
short_description: Read version, health and mode of a ClearML server
version_added: 0.1.0
description:
  - Reads how people sign in, what the server complains about, its versions, and to whom the pair of the connection belongs.
  - It needs no pair. Without one, only the mode, the health and the version of the API are read.
  - It fails when the server does not answer, so that C(retries) with C(until) waits for one that is starting.
author:
  - homelab.mlops contributors (@homelab-mlops)
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.info
seealso:
  - module: homelab.mlops.clearml_worker_info
"""

EXAMPLES = r"""
- name: Wait until the server answers
  homelab.mlops.clearml_server_info:
    api_url: http://192.0.2.10:8008
    timeout_seconds: 5
  register: server
  until: server is succeeded
  retries: 12
  delay: 5

- name: Read the versions, and who we are
  homelab.mlops.clearml_server_info:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
  register: server

- name: The server is well and new enough
  ansible.builtin.assert:
    that:
      - server.healthy
      - server.version is version('1.16', '>=')
"""

RETURN = r"""
mode:
  description:
    - V(fixed) when the users are in the server's configuration and sign in with a password. V(open) when anybody signs in with a name.
    - With V(fixed), users that are made through the API cannot sign in at the web page.
  type: str
  returned: success
  sample: fixed
guest:
  description: Whether guests may sign in, who can read only.
  type: bool
  returned: success
  sample: false
healthy:
  description: Whether the server has no complaint.
  type: bool
  returned: success
  sample: true
errors:
  description: What the server complains about, such as V(es_connection_error) when it does not reach Elasticsearch.
  type: list
  elements: str
  returned: success
  sample: []
api_version:
  description: Newest version of the API that the server speaks.
  type: str
  returned: success
  sample: "2.34"
version:
  description: Version of the server.
  type: str
  returned: with a pair or a token
  sample: 2.3.0
build:
  description: Number of the build, or null.
  type: str
  returned: with a pair or a token
  sample: null
commit:
  description: Commit of the build, or null.
  type: str
  returned: with a pair or a token
  sample: null
uid:
  description: Id of the installation, or null.
  type: str
  returned: with a pair or a token
  sample: null
user:
  description: To whom the pair belongs.
  type: dict
  returned: with a pair or a token
  contains:
    id:
      description: Id.
      type: str
      sample: ebd9c614fe1dfb0bcb4618861bd238fd
    name:
      description: Name.
      type: str
      sample: Alice Example
    role:
      description: Role, such as V(user), V(admin) or V(system).
      type: str
      sample: user
    company_id:
      description: Id of the company.
      type: str
      sample: d1bd92a3b039400cbafc60a7a5b1e52b
    company_name:
      description: Name of the company.
      type: str
      sample: clearml
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, server
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError


def work(params):
    """Reads what can be read; returns the module's result; raises ClearMLError."""
    transport = arguments.transport_of(params)
    result = dict(server.mode(transport), changed=False)
    result["healthy"] = not result["errors"]
    if params["access_key"] or params["token"]:
        result.update(server.about(transport))
        result["user"] = server.identity(transport)
    result["api_version"] = transport.server_api_version
    return result


def main():
    module = AnsibleModule(
        argument_spec=arguments.connection_arguments(),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE,
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
