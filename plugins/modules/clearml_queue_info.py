#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_queue_info
short_description: Read the queues of a ClearML server
version_added: 0.1.0
description:
  - Reads which queues there are, which tasks wait in them and which workers serve them.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: One queue. By default all are read. One that does not exist gives an empty list.
    type: str
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.info
seealso:
  - module: homelab.mlops.clearml_queue
  - module: homelab.mlops.clearml_worker_info
"""

EXAMPLES = r"""
- name: Read the queue
  homelab.mlops.clearml_queue_info:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: default
  register: found

- name: Somebody serves it
  ansible.builtin.assert:
    that: found.queues[0].workers | length > 0
"""

RETURN = r"""
queues:
  description: The queues, by name.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name.
      type: str
      sample: default
    id:
      description: Id.
      type: str
      sample: 7fad5d669d384c51b4fd0f9ab2e590b4
    display_name:
      description: Name that the web page shows, or an empty text.
      type: str
      sample: ""
    tags:
      description: Tags.
      type: list
      elements: str
      sample: []
    system_tags:
      description: System tags, without the one of the default queue.
      type: list
      elements: str
      sample: []
    metadata:
      description: Metadata by key, each with C(key), C(type) and C(value).
      type: dict
      sample: {}
    default:
      description: Whether tasks without a queue go here.
      type: bool
      sample: true
    entries:
      description:
        - Tasks that wait, first one first, each with C(id), C(name), C(added), the time in UTC when it came, and C(waiting_seconds).
        - The waiting time is reckoned by the clock of the server.
      type: list
      elements: dict
      sample:
        - id: 884d3be4d99f4fa38cf0ef0ec907b416
          name: train
          added: "2026-11-21T00:25:10.696000+00:00"
          waiting_seconds: 12
    longest_wait_seconds:
      description: How long the task has waited that has waited longest; 0 when none waits.
      type: int
      sample: 12
    workers:
      description: The workers that serve the queue, each with C(id), C(ip), C(busy) and C(task), the id of the task that it runs, or null.
      type: list
      elements: dict
      sample: [{"id": "gpu-01:gpu0", "ip": "192.0.2.31", "busy": false, "task": null}]
count:
  description: Number of queues.
  type: int
  returned: success
  sample: 1
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, queues
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError


def work(params):
    """Reads the queues; returns the module's result; raises ClearMLError."""
    found = queues.read_details(arguments.transport_of(params), params["name"])
    return {"changed": False, "queues": found, "count": len(found)}


def main():
    module = AnsibleModule(
        argument_spec=dict(arguments.connection_arguments(), name={"type": "str"}),
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
