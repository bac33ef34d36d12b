#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_project
short_description: Keep a project of a ClearML server
version_added: 0.1.0
description:
  - Creates, changes and deletes a project. Projects are nested by their names, and parents that are missing are made with a project.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description:
      - Whole name, with the names of the parents before it, such as V(vision/training).
      - Up to 10 levels, each with 3 characters at least. Empty parts, invisible characters and spaces around slashes are refused.
    type: str
    required: true
  description:
    description: Text for people. When left out, it stays as it is.
    type: str
  default_output_destination:
    description:
      - Where the tasks of the project put models and artifacts when they name no place, such as V(s3://192.0.2.20:9000/clearml).
      - An empty text removes it. When left out, it stays as it is.
    type: str
  tags:
    description: Tags of the project, in no order. An empty list removes all; when left out, they stay as they are.
    type: list
    elements: str
  state:
    description: Whether the project is there. With V(absent), those below it are deleted too.
    type: str
    choices: [present, absent]
    default: present
  force:
    description: Whether a project may be deleted that holds tasks or models. They stay, without a project.
    type: bool
    default: false
  delete_contents:
    description:
      - Whether the tasks and models of a project that is deleted are deleted too. It includes O(force).
      - Files outside the server, such as artifacts in a bucket, stay.
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
  - module: homelab.mlops.clearml_task
"""

EXAMPLES = r"""
- name: A project whose models go to the bucket
  homelab.mlops.clearml_project:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: vision/training
    description: Models of the cameras
    default_output_destination: s3://192.0.2.20:9000/clearml
    tags: [nightly]

- name: Delete a project with all that is in it
  homelab.mlops.clearml_project:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: vision/scratch
    state: absent
    delete_contents: true
"""

RETURN = r"""
project:
  description: The project as it is afterwards.
  type: dict
  returned: success
  contains:
    id:
      description: Id; null when there is none.
      type: str
      sample: a315b79af2dd46e0b88005a414b10fdf
    name:
      description: Whole name.
      type: str
      sample: vision/training
    description:
      description: Text for people.
      type: str
      sample: Models of the cameras
    default_output_destination:
      description: Where its tasks put models and artifacts, or an empty text.
      type: str
      sample: s3://192.0.2.20:9000/clearml
    tags:
      description: Tags.
      type: list
      elements: str
      sample: [nightly]
    state:
      description: V(present) or V(absent).
      type: str
      sample: present
    action:
      description: What was done, or would be in check mode. One of V(created), V(updated), V(deleted), V(unchanged).
      type: str
      sample: created
contents:
  description: How many C(tasks) and C(models) the project and those below it held, archived ones included.
  type: dict
  returned: when the project is deleted
  sample: {"tasks": 0, "models": 0}
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, projects, queues, texts
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference


def work(module):
    """Reads, plans, and outside check mode carries out; returns the module's result; raises ClearMLError."""
    params = module.params
    projects.check_name(params["name"])
    texts.check_text("description of project %r" % params["name"], params["description"])
    projects.check_destination(params["default_output_destination"])
    queues.check_tags(params["name"], params["tags"], "project")
    transport = arguments.transport_of(params)
    existing = projects.read(transport, params["name"])
    before = projects.shown(existing) if existing else None
    project_id = existing["id"] if existing else None
    result = {}
    if params["state"] == "absent":
        after = None
        if existing:
            result["contents"] = projects.contents(transport, project_id)
            if any(result["contents"].values()) and not (params["force"] or params["delete_contents"]):
                projects.refuse_contents(params["name"], result["contents"])
    else:
        wanted = {key: params[key] for key in projects.FIELDS if params[key] is not None}
        if "tags" in wanted:
            wanted["tags"] = sorted(set(wanted["tags"]))
        after = dict(before or dict(projects.NEW, name=params["name"]), **wanted)
    if before == after:
        action = "unchanged"
    else:
        action = "created" if not before else "updated" if after else "deleted"
    if not module.check_mode:
        if action == "created":
            project_id = projects.create(transport, {key: value for key, value in after.items() if value})
        elif action == "updated":
            projects.update(transport, project_id, {key: value for key, value in after.items() if before[key] != value})
        elif action == "deleted":
            projects.delete(transport, project_id, any(result["contents"].values()), params["delete_contents"])
    result.update(difference(before or {}, after or {}))
    fields = after or before or dict(projects.NEW, name=params["name"])
    result["project"] = dict(fields, id=project_id, state=params["state"], action=action)
    return result


def main():
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name={"type": "str", "required": True},
            description={"type": "str"},
            default_output_destination={"type": "str"},
            tags={"type": "list", "elements": "str"},
            state={"type": "str", "choices": ["present", "absent"], "default": "present"},
            force={"type": "bool", "default": False},
            delete_contents={"type": "bool", "default": False},
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
