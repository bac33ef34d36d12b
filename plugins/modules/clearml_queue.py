#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_queue
short_description: Create, change and delete queues of a ClearML server
version_added: 0.1.0
description:
  - Keeps one queue, or with O(queues) any number of them, as described. All are read with one request.
  - Everything is checked before the first change, so that a list with a mistake in it changes nothing.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description:
      - Name of the queue; upper and lower case differ.
      - It needs 3 to 255 characters. Slashes, invisible characters and spaces at the ends are refused, although the server would take them.
    type: str
  queues:
    description: Queues to keep, instead of O(name), O(display_name) and O(tags).
    type: list
    elements: dict
    suboptions:
      name:
        description: As O(name).
        type: str
        required: true
      display_name:
        description: As O(display_name).
        type: str
      tags:
        description: As O(tags).
        type: list
        elements: str
      state:
        description: As O(state), which is the default.
        type: str
        choices: [present, absent]
      force:
        description: As O(force), which is the default.
        type: bool
  display_name:
    description:
      - Name that the web page shows. An empty text removes it; when left out, it stays as it is.
      - Needs a server with API 2.31 (ClearML server 2.0 has 2.31).
    type: str
  tags:
    description: Tags of the queue, in no order. An empty list removes all; when left out, they stay as they are.
    type: list
    elements: str
  state:
    description: Whether the queue is there.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Whether a queue in which tasks wait may be deleted. The tasks stay and go back to the state they had before they were enqueued.
      - An agent whose queue is deleted does not recover by itself.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
seealso:
  - module: homelab.mlops.clearml_queue_info
"""

EXAMPLES = r"""
- name: One queue
  homelab.mlops.clearml_queue:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: default

- name: All queues of a homelab with one request
  homelab.mlops.clearml_queue:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    queues:
      - name: default
      - name: high-mem
        tags: [gpu, 24gb]
      - name: old-queue
        state: absent

- name: Delete a queue and take its waiting tasks out
  homelab.mlops.clearml_queue:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: experiments
    state: absent
    force: true
"""

RETURN = r"""
queues:
  description: The queues that were named, in that order, as they are afterwards.
  type: list
  elements: dict
  returned: success
  contains:
    name:
      description: Name.
      type: str
      sample: high-mem
    id:
      description: Id; null when there is none.
      type: str
      sample: e0ca447fe43947a5890bb3f642cd9776
    display_name:
      description: Name that the web page shows, or an empty text.
      type: str
      sample: ""
    tags:
      description: Tags.
      type: list
      elements: str
      sample: [24gb, gpu]
    state:
      description: V(present) or V(absent).
      type: str
      sample: present
    action:
      description: What was done, or would be in check mode. One of V(created), V(updated), V(deleted), V(unchanged).
      type: str
      sample: created
    tasks_removed:
      description: Ids of the tasks that a deletion took out of the queue.
      type: list
      elements: str
      sample: []
queue:
  description: The same for the one queue.
  type: dict
  returned: when O(name) is given
  sample:
    name: default
    id: 7fad5d669d384c51b4fd0f9ab2e590b4
    display_name: ""
    tags: []
    state: present
    action: unchanged
    tasks_removed: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, queues
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference


def wanted_of(params):
    """The wanted queues of either form, each a dict with all keys."""
    if params["name"] is not None:
        return [{key: params[key] for key in ("name", "display_name", "tags", "state", "force")}]
    return [
        dict(entry, state=entry["state"] or params["state"], force=params["force"] if entry["force"] is None else entry["force"])
        for entry in params["queues"]
    ]


def work(module):
    """Reads, plans, and outside check mode carries out; returns the module's result; raises ClearMLError."""
    wanted = wanted_of(module.params)
    queues.check_wanted(wanted)
    transport = arguments.transport_of(module.params)
    deleting = any(queue["state"] == "absent" for queue in wanted)
    existing = queues.read(transport, [queue["name"] for queue in wanted], with_entries=deleting) if wanted else {}
    plans = [queues.Plan(queue, existing.get(queue["name"])) for queue in wanted]
    for plan in plans:
        plan.check(transport)
    if not module.check_mode:
        for plan in plans:
            plan.carry_out(transport)
    result = difference(
        {"queues": {plan.name: plan.before for plan in plans if plan.before}},
        {"queues": {plan.name: plan.after for plan in plans if plan.after}},
    )
    result["queues"] = [plan.result() for plan in plans]
    if module.params["name"] is not None:
        result["queue"] = result["queues"][0]
    return result


def main():
    state = {"type": "str", "choices": ["present", "absent"]}
    fields = {"display_name": {"type": "str"}, "tags": {"type": "list", "elements": "str"}}
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str"},
            queues={
                "type": "list",
                "elements": "dict",
                "options": dict(fields, name={"type": "str", "required": True}, state=state, force={"type": "bool"}),
            },
            state=dict(state, default="present"),
            force={"type": "bool", "default": False},
            **fields,
        ),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE + [("name", "queues"), ("queues", "display_name"), ("queues", "tags")],
        required_one_of=arguments.REQUIRED_ONE_OF + [("name", "queues")],
        required_together=arguments.REQUIRED_TOGETHER,
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except ClearMLError as error:
        module.fail_json(msg=str(error), **error.details())
    module.exit_json(**result)


if __name__ == "__main__":
    main()
