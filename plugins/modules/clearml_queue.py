#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_queue
short_description: Keep queues of a ClearML server
version_added: 0.1.0
description:
  - Creates, changes, renames and deletes execution queues, one or many at once.
  - All queues of one call are read with a single request.
  - Everything is checked before the first change, so that a list with a mistake in it changes nothing.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description:
      - Name of the queue. Names are compared as they are written, so that V(gpu) and V(GPU) differ.
      - It needs 3 to 255 characters. Slashes, invisible characters and spaces at the ends are refused, although the server would take them.
    type: str
  queues:
    description: Queues to keep, instead of O(name) and the options that describe one queue.
    type: list
    elements: dict
    suboptions:
      name:
        description: As O(name).
        type: str
        required: true
      renamed_from:
        description: As O(renamed_from).
        type: str
      display_name:
        description: As O(display_name).
        type: str
      tags:
        description: As O(tags).
        type: list
        elements: str
      system_tags:
        description: As O(system_tags).
        type: list
        elements: str
      metadata:
        description: As O(metadata).
        type: dict
      default:
        description: As O(default).
        type: bool
      state:
        description: As O(state), which is the default.
        type: str
        choices: [present, absent]
      force:
        description: As O(force), which is the default.
        type: bool
  renamed_from:
    description:
      - Former name. When there is a queue of this name and none of the new one, it is renamed. Its tasks stay in it, and agents
        that serve it go on, because they know it by its id.
      - When there are queues of both names, nothing is done and the run fails.
    type: str
  display_name:
    description:
      - Name that the web page shows. An empty text removes it; when left out, it stays as it is.
      - Needs a server with API 2.31 (ClearML server 2.0 has 2.31).
    type: str
  tags:
    description: Tags of the queue, in no order. An empty list removes all; when left out, they stay as they are.
    type: list
    elements: str
  system_tags:
    description:
      - Tags that programs look at and the web page does not show, such as V(k8s-glue), which hides the queue. The one that marks
        the default queue is kept with O(default).
      - An empty list removes all; when left out, they stay as they are.
    type: list
    elements: str
  metadata:
    description:
      - Metadata of the queue by key, each a text, or a dict with C(value) and C(type). They replace what is there.
      - An empty dict removes all; when left out, it stays as it is.
      - Needs a server with API 2.13.
    type: dict
  default:
    description:
      - Whether tasks that name no queue go here. With V(true), a queue that was the default one is it no longer, so that there is
        exactly one.
      - When left out, it stays as it is.
    type: bool
  state:
    description: Whether the queue is there.
    type: str
    choices: [present, absent]
    default: present
  force:
    description:
      - Whether a queue may be deleted in which tasks wait or which workers serve. Otherwise the run fails and names them.
      - The tasks stay and go back to the state they had before they were enqueued.
      - An agent whose queue is deleted does not recover by itself.
    type: bool
    default: false
  purge:
    description:
      - Whether queues that O(queues) does not list are deleted.
      - Queues with a system tag stay, and are reported as RV(purge_kept). They belong to ClearML's own programs, or are the default queue.
      - O(force) counts for them as for the others.
    type: bool
    default: false
  purge_limit:
    description: A run in which O(purge) would delete more queues than this fails and changes nothing.
    type: int
    default: 5
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
        metadata:
          owner: vision
      - name: old-queue
        state: absent

- name: Another name for a queue that agents serve
  homelab.mlops.clearml_queue:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: large-gpu
    renamed_from: high-mem

- name: Delete a queue and take its waiting tasks out
  homelab.mlops.clearml_queue:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: experiments
    state: absent
    force: true

- name: These queues and no others
  homelab.mlops.clearml_queue:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    queues:
      - name: default
        default: true
      - name: nightly
    purge: true
"""

RETURN = r"""
queues:
  description: The queues that were named, in that order, as they are afterwards. Then those that a purge or a new default queue concerns.
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
    system_tags:
      description: System tags, without the one of the default queue.
      type: list
      elements: str
      sample: []
    metadata:
      description: Metadata by key, each with C(key), C(type) and C(value).
      type: dict
      sample: {"owner": {"key": "owner", "type": "", "value": "vision"}}
    default:
      description: Whether it is the default queue.
      type: bool
      sample: false
    state:
      description: V(present) or V(absent).
      type: str
      sample: present
    action:
      description: What was done, or would be in check mode. One of V(created), V(updated), V(deleted), V(unchanged).
      type: str
      sample: created
    tasks_removed:
      description: The tasks that a deletion took out of the queue, each with C(id) and C(name).
      type: list
      elements: dict
      sample: []
    workers_left:
      description: Ids of the workers that served the queue which was deleted.
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
    system_tags: []
    metadata: {}
    default: true
    state: present
    action: unchanged
    tasks_removed: []
    workers_left: []
purge_kept:
  description: Names of the queues that O(purge) left alone because of their system tags.
  type: list
  elements: str
  returned: when O(purge=true)
  sample: [default]
tasks:
  description: The tasks that wait in the queue which was not deleted, each with C(id) and C(name).
  type: list
  elements: dict
  returned: when a queue is in use and O(force) is not set
  sample: [{"id": "884d3be4d99f4fa38cf0ef0ec907b416", "name": "train"}]
workers:
  description: Ids of the workers that serve the queue which was not deleted.
  type: list
  elements: str
  returned: when a queue is in use and O(force) is not set
  sample: ["gpu-01:gpu0"]
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, queues
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError, InvalidInput
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference

DESCRIPTION = {
    "renamed_from": {"type": "str"},
    "display_name": {"type": "str"},
    "tags": {"type": "list", "elements": "str"},
    "system_tags": {"type": "list", "elements": "str"},
    "metadata": {"type": "dict"},
    "default": {"type": "bool"},
}


def wanted_of(params):
    """The wanted queues of either form, each a dict with all keys."""
    if params["name"] is not None:
        return [dict({key: params[key] for key in DESCRIPTION}, name=params["name"], state=params["state"], force=params["force"])]
    return [
        dict(entry, state=entry["state"] or params["state"], force=params["force"] if entry["force"] is None else entry["force"])
        for entry in params["queues"]
    ]


def purged(params, existing, wanted):
    """Names that a purge deletes, and names that it keeps; raises ClearMLError when they are too many."""
    names, kept = queues.undeclared(existing, wanted)
    if len(names) > params["purge_limit"]:
        raise ClearMLError(
            "purge would delete %d queues (%s), and purge_limit is %d: list the queues to keep, or raise purge_limit"
            % (len(names), ", ".join(names[:10]) + (", ..." if len(names) > 10 else ""), params["purge_limit"])
        )
    return names, kept


def work(module):
    """Reads, plans, and outside check mode carries out; returns the module's result; raises ClearMLError."""
    params = module.params
    wanted = wanted_of(params)
    queues.check_wanted(wanted)
    if params["purge"] and not any(queue["state"] == "present" for queue in wanted):
        raise InvalidInput("purge needs queues to keep: list at least one with state=present")
    transport = arguments.transport_of(params)
    everything = params["purge"] or any(queue["default"] for queue in wanted)
    names = [name for queue in wanted for name in (queue["name"], queue["renamed_from"]) if name]
    in_use = params["purge"] or any(queue["state"] == "absent" for queue in wanted)
    existing = queues.read(transport, None if everything else names, in_use=in_use) if wanted else {}
    kept = []
    if params["purge"]:
        names, kept = purged(params, existing, wanted)
        wanted += [queues.blank(name, state="absent", force=params["force"]) for name in names]
    plans = queues.plans_of(wanted, existing)
    for plan in plans:
        plan.check(transport)
    if not module.check_mode:
        for plan in plans:
            plan.carry_out(transport)
    result = difference(
        {"queues": {plan.before["name"]: plan.before for plan in plans if plan.before}},
        {"queues": {plan.name: plan.after for plan in plans if plan.after}},
    )
    result["queues"] = [plan.result() for plan in plans]
    if params["name"] is not None:
        result["queue"] = result["queues"][0]
    if params["purge"]:
        result["purge_kept"] = kept
    return result


def main():
    state = {"type": "str", "choices": ["present", "absent"]}
    entry = dict(DESCRIPTION, name={"type": "str", "required": True}, state=state, force={"type": "bool"})
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str"},
            queues={"type": "list", "elements": "dict", "options": entry},
            state=dict(state, default="present"),
            force={"type": "bool", "default": False},
            purge={"type": "bool", "default": False},
            purge_limit={"type": "int", "default": 5},
            **DESCRIPTION,
        ),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE + [("name", "queues")] + [("queues", option) for option in DESCRIPTION],
        required_one_of=arguments.REQUIRED_ONE_OF + [("name", "queues")],
        required_together=arguments.REQUIRED_TOGETHER,
        required_if=[("purge", True, ("queues",))],
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
