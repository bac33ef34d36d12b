#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_worker_info
short_description: Read the workers of a ClearML server
version_added: 0.1.0
description:
  - Reads which workers (agents) are alive, what they work on and which queues they serve.
  - The server forgets a worker 10 minutes after its last report. An agent reports every 30 seconds.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  pattern:
    description: Pattern with V(*) and V(?) for the ids of the workers, such as V(gpu-01:*). By default all are read.
    type: str
  last_seen_seconds:
    description: Only workers that were seen within this time. By default what the server does, which is an hour.
    type: int
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.info
seealso:
  - module: homelab.mlops.clearml_queue_info
"""

EXAMPLES = r"""
- name: Wait until the agent of this host has reported
  homelab.mlops.clearml_worker_info:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    pattern: "{{ inventory_hostname }}:*"
    last_seen_seconds: 60
  register: found
  until: found.count > 0
  retries: 12
  delay: 5
"""

RETURN = r"""
workers:
  description: The workers, by id.
  type: list
  elements: dict
  returned: success
  contains:
    id:
      description: Id.
      type: str
      sample: gpu-01:gpu0
    alive:
      description: Whether it called the server within the last 90 seconds, by the clock of the server.
      type: bool
      sample: true
    busy:
      description: Whether it runs a task.
      type: bool
      sample: true
    task:
      description: The task with C(id), C(name) and C(running_seconds); null when there is none.
      type: dict
      sample: {"id": "d452d26027c94b388b2ad85ce5f409f4", "name": "train", "running_seconds": 20}
    gpus:
      description:
        - Its GPUs as far as its id names them, by their numbers or V(all), as clearml-agent and the role
          P(homelab.mlops.clearml_agent#role) form ids. The server knows no more of them.
        - Empty for a worker without any, or with an id of another form.
      type: list
      elements: str
      sample: ["0"]
    queue:
      description: Name of the queue from which the task came, or null.
      type: str
      sample: default
    queues:
      description: Names of the queues that it serves, most important first.
      type: list
      elements: str
      sample: [high-mem, default]
    last_seen:
      description: When it last called the server, in UTC.
      type: str
      sample: "2026-11-21T00:33:18.726066+00:00"
    seen_seconds_ago:
      description: Seconds since then.
      type: int
      sample: 12
    last_report:
      description: When it last reported on a task, in UTC, or null.
      type: str
      sample: "2026-11-21T00:33:18.726066+00:00"
    ip:
      description: Address from which it calls.
      type: str
      sample: 192.0.2.31
    tags:
      description: Tags.
      type: list
      elements: str
      sample: []
    user:
      description: The user whose credential it uses, with C(id) and C(name).
      type: dict
      sample: {"id": "ebd9c614fe1dfb0bcb4618861bd238fd", "name": "homelab"}
count:
  description: Number of workers.
  type: int
  returned: success
  sample: 1
busy_count:
  description: Number of workers that run a task.
  type: int
  returned: success
  sample: 1
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, workers
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError, InvalidInput


def work(params):
    """Reads the workers; returns the module's result; raises ClearMLError."""
    if params["last_seen_seconds"] is not None and params["last_seen_seconds"] <= 0:
        raise InvalidInput("last_seen_seconds must be above 0")
    found = workers.read(arguments.transport_of(params), params["pattern"], params["last_seen_seconds"])
    return {"changed": False, "workers": found, "count": len(found), "busy_count": sum(worker["busy"] for worker in found)}


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            pattern={"type": "str"},
            last_seen_seconds={"type": "int"},
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
