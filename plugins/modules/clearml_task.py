#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_task
short_description: Make, queue, wait for, stop and delete a task of a ClearML server
version_added: 0.1.0
description:
  - For smoke runs and schedules. A task is made from a script, from a repository, or as a copy of another task, put into a queue,
    and waited for.
  - ClearML does not keep the names of tasks unique. A task is found by O(name) in O(project), where the newest counts, or by O(id).
    Archived tasks do not count. Of runs at the same moment, each may make one.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  name:
    description: Name of the task, 3 to 255 characters.
    type: str
  project:
    description: Whole name of its project, such as V(vision/training). It is made when it is missing. Needed with O(name).
    type: str
  id:
    description: Id of a task that exists, instead of O(name).
    type: str
  state:
    description:
      - With V(present), there is a task of this name. One that is still a draft is brought in step with the options.
      - With V(queued), it was put into O(queue), whatever became of it since. See O(again).
      - With V(stopped), it does not wait in a queue and does not run. A worker that runs it is asked to stop it.
      - With V(absent), no task of this name is in the project.
    type: str
    choices: [present, queued, stopped, absent]
    default: present
  again:
    description:
      - Whether a new task of the same name is made when the newest has ended.
      - With V(failed), when it failed or was stopped.
    type: str
    choices: [never, failed, always]
    default: never
  queue:
    description: Name of the queue, which has to exist. Needed with O(state=queued).
    type: str
  type:
    description: Type of the task. By default that of the task that is copied, or V(training).
    type: str
    choices: [training, testing, inference, data_processing, application, monitor, controller, optimizer, service, qc, custom]
  code:
    description: A whole Python script that the task runs.
    type: str
  script:
    description: A script in a repository.
    type: dict
    suboptions:
      repository:
        description:
          - Address of the git repository.
          - One with a password or a token in it is refused, because all who see the task would see it.
        type: str
        required: true
      branch:
        description: Branch. By default the repository's own.
        type: str
      commit:
        description: Commit. By default the newest.
        type: str
      entry_point:
        description: File in the repository, from O(script.working_dir) on.
        type: str
        required: true
      working_dir:
        description: Folder in the repository.
        type: str
        default: .
  clone_of:
    description: Id of a task that is copied, with its script, parameters and container.
    type: str
  requirements:
    description: Packages that the agent installs, one a line, as in a C(requirements.txt). By default it looks what the script imports.
    type: str
  container:
    description: Container in which an agent in docker mode runs the task.
    type: dict
    suboptions:
      image:
        description: Image.
        type: str
        required: true
      arguments:
        description: Arguments of C(docker run).
        type: str
      setup_shell_script:
        description: Shell script that is run in the container first.
        type: str
  parameters:
    description: Hyperparameters, C(Section/name) each, or a name alone for the section C(Args). They are no place for secrets.
    type: dict
  tags:
    description: Tags of the task.
    type: list
    elements: str
  comment:
    description: Text for people.
    type: str
  output_destination:
    description: Where the task puts models and artifacts, such as V(s3://192.0.2.20:9000/clearml). By default what the project says.
    type: str
  wait:
    description:
      - Whether to wait until the task has ended. With O(state=queued), the run fails when the task does. With O(state=stopped), it
        waits until the worker has stopped it.
      - In check mode nothing is waited for.
    type: bool
    default: false
  wait_timeout_seconds:
    description: How long to wait at most, in seconds, up to 30 days. Then the run fails, and the task goes on.
    type: int
    default: 600
  poll_seconds:
    description: Seconds between two looks at the task.
    type: int
    default: 5
  log_lines:
    description: How many of the last lines of the task's output are returned when it fails, up to 5000.
    type: int
    default: 20
  force:
    description: Whether a task that waits in a queue or runs may be deleted. Its worker is not asked first.
    type: bool
    default: false
extends_documentation_fragment:
  - homelab.mlops.clearml
  - homelab.mlops.attributes
  - homelab.mlops.attributes.clearml
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: partial
    details:
      - With O(again=always), each run after the end of the task makes a new one.
seealso:
  - module: homelab.mlops.clearml_queue_info
  - module: homelab.mlops.clearml_worker_info
"""

EXAMPLES = r"""
- name: A smoke test, of which one is enough
  homelab.mlops.clearml_task:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: smoke test
    project: homelab/checks
    type: testing
    code: |
      print("it works")
    requirements: ""
    state: queued
    queue: default

- name: The nightly run, a new one each time, in its own repository
  homelab.mlops.clearml_task:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: nightly training
    project: vision/training
    script:
      repository: https://git.example.com/vision/training.git
      branch: main
      entry_point: train.py
    parameters:
      Args/epochs: 3
    state: queued
    queue: default
    again: always

- name: Stop it
  homelab.mlops.clearml_task:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: nightly training
    project: vision/training
    state: stopped

- name: Delete what the smoke test left
  homelab.mlops.clearml_task:
    api_url: http://192.0.2.10:8008
    access_key: "{{ clearml_access_key }}"
    secret_key: "{{ clearml_secret_key }}"
    name: smoke test
    project: homelab/checks
    state: absent
    force: true
"""

RETURN = r"""
task:
  description: The task as it was read last, or as it would be in check mode.
  type: dict
  returned: success, and when a task that was waited for did not end well
  contains:
    id:
      description: Id; null when there is none.
      type: str
      sample: 0ac190ee40414682a6f55dcc5729b2f3
    name:
      description: Name.
      type: str
      sample: smoke test
    status:
      description: Status, such as V(created), V(queued), V(in_progress), V(completed), V(failed) or V(stopped); null when there is none.
      type: str
      sample: completed
    status_reason:
      description: Why it has this status, or an empty text.
      type: str
      sample: ""
    status_message:
      description: More on that, or an empty text.
      type: str
      sample: ""
    queue:
      description: Id of the queue that it was put into, or null.
      type: str
      sample: 7fad5d669d384c51b4fd0f9ab2e590b4
    worker:
      description: Id of the worker that ran it last, or null.
      type: str
      sample: gpu-01:gpu0
    started:
      description: When it began to run, in UTC, or null.
      type: str
      sample: "2026-11-21T00:25:12.308379+00:00"
    completed:
      description: When it ended, in UTC, or null.
      type: str
      sample: "2026-11-21T00:26:12.308379+00:00"
action:
  description: What was done, or would be in check mode. One of V(created), V(updated), V(queued), V(stopped), V(deleted), V(unchanged).
  type: str
  returned: success
  sample: queued
deleted:
  description: Ids of the tasks that were deleted.
  type: list
  elements: str
  returned: when O(state=absent)
  sample: []
log:
  description: The last lines that the task wrote.
  type: list
  elements: str
  returned: when a task that was waited for failed
  sample: ["ValueError: no such file"]
"""

import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import arguments, projects, queues, tasks
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError, InvalidInput
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference

NEW_PROJECT = "(a new project)"
LONGEST_WAIT_SECONDS = 30 * 24 * 3600
MOST_LOG_LINES = 5000


def shown(task):
    """A server's task in the form of the result."""
    task = task or {}
    return {
        "id": task.get("id"),
        "name": task.get("name"),
        "status": task.get("status"),
        "status_reason": task.get("status_reason") or "",
        "status_message": task.get("status_message") or "",
        "queue": (task.get("execution") or {}).get("queue"),
        "worker": task.get("last_worker") or None,
        "started": task.get("started"),
        "completed": task.get("completed"),
    }


def check(params):
    """Refuses options that make no sense; raises InvalidInput."""
    if params["name"] is not None:
        tasks.check_name(params["name"])
        if not params["project"]:
            raise InvalidInput("name needs project: the names of tasks are not unique")
        projects.check_name(params["project"])
    queues.check_tags(params["name"] or params["id"], params["tags"], "task")
    projects.check_destination(params["output_destination"], "output_destination")
    tasks.check_contents(params)
    for option in ("wait_timeout_seconds", "poll_seconds"):
        if not 1 <= params[option] <= LONGEST_WAIT_SECONDS:
            raise InvalidInput("%s must be at least 1 and at most %d" % (option, LONGEST_WAIT_SECONDS))
    if not 0 <= params["log_lines"] <= MOST_LOG_LINES:
        raise InvalidInput("log_lines must not be negative, and at most %d" % MOST_LOG_LINES)
    if params["wait"] and params["state"] not in ("queued", "stopped"):
        raise InvalidInput("wait needs state=queued or state=stopped")
    if params["state"] == "queued" and not params["queue"]:
        raise InvalidInput("state=queued needs queue")


class Work(object):
    """One run of the module.

    :ivar action: what is done
    :ivar task_id: id of the task at the end, or None
    """

    def __init__(self, module):
        self.module = module
        self.params = module.params
        self.transport = arguments.transport_of(module.params)
        self.action = "unchanged"
        self.task_id = None
        self.project_id = None
        self.found = self.find()
        self.newest = self.found[0] if self.found else None

    def find(self):
        """The tasks that are meant, newest first; raises ClearMLError."""
        if self.params["id"] is not None:
            if self.params["state"] == "absent" and not tasks.look_up(self.transport, self.params["id"]):
                return []
            found = tasks.by_id(self.transport, self.params["id"])
            self.params["name"] = found["name"]
            self.project_id = current_project(found)
            return [found]
        project = projects.read(self.transport, self.params["project"])
        if not project:
            return []
        self.project_id = project["id"]
        return tasks.find(self.transport, self.params["name"], project["id"])

    def queue_id(self):
        """Id of the queue; raises ClearMLError when there is none of that name."""
        found = queues.read(self.transport, [self.params["queue"]]).get(self.params["queue"])
        if not found:
            raise ClearMLError("there is no ClearML queue %r: make it with clearml_queue" % self.params["queue"])
        return found["id"]

    def absent(self):
        """Deletes all of them; returns (before, after)."""
        busy = [task for task in self.found if task["status"] in tasks.BUSY]
        if busy and not self.params["force"]:
            raise ClearMLError(
                "task %r (%s) is %s: stop it first, or set force=true"
                % (busy[0]["name"], busy[0]["id"], busy[0]["status"].replace("_", " "))
            )
        if self.found:
            self.action = "deleted"
        if not self.module.check_mode:
            for task in self.found:
                tasks.delete(self.transport, task["id"])
        return {"tasks": [{"id": task["id"], "status": task["status"]} for task in self.found]}, {"tasks": []}

    def stopped(self):
        """Stops the newest; returns (before, after)."""
        if not self.newest:
            return {}, {}
        self.task_id = self.newest["id"]
        before = {"id": self.task_id, "status": self.newest["status"]}
        if self.newest["status"] not in tasks.BUSY or self.newest.get("status_message") == "stopping":
            return before, before
        self.action = "stopped"
        if not self.module.check_mode:
            tasks.stop(self.transport, self.task_id)
        return before, dict(before, status="stopped")

    def present(self):
        """Makes, edits and queues; returns (before, after)."""
        params = self.params
        status = self.newest["status"] if self.newest else None
        renew = status in tasks.ENDED and (params["again"] == "always" or (params["again"] == "failed" and status in tasks.FAILED))
        queue_id = self.queue_id() if params["state"] == "queued" else None
        fields = tasks.wanted_fields(params, self.project_id or NEW_PROJECT)
        if self.newest is None or renew:
            return self.new(fields, queue_id)
        self.task_id = self.newest["id"]
        before = {"id": self.task_id, "status": status}
        after = dict(before)
        if status == "created":
            before.update(tasks.current(self.newest, fields))
            after.update(fields)
        if queue_id and status in ("created", "queued"):
            before["queue"] = (self.newest.get("execution") or {}).get("queue") if status == "queued" else None
            after.update(status="queued", queue=queue_id)
        if before != after:
            self.action = "queued" if queue_id and (before.get("queue"), before["status"]) != (queue_id, "queued") else "updated"
            if not self.module.check_mode:
                if status == "created":
                    tasks.edit(self.transport, self.newest, fields)
                if self.action == "queued":
                    tasks.enqueue(self.transport, self.task_id, queue_id)
        return before, after

    def new(self, fields, queue_id):
        """Makes a task, and queues it where that was asked; returns (before, after)."""
        params = self.params
        source = params["clone_of"]
        if not source and not fields.get("script", {}).get("entry_point"):
            if not self.newest:
                raise ClearMLError(
                    "there is no task %r in %r: give code, script or clone_of to make it" % (params["name"], params["project"])
                )
            source = self.newest["id"]
        if params["clone_of"]:
            tasks.by_id(self.transport, source)
        if not source:
            fields.setdefault("type", "training")
        before = {"id": self.newest["id"], "status": self.newest["status"]} if self.newest else {}
        self.action = "queued" if queue_id else "created"
        if not self.module.check_mode:
            if not self.project_id:
                self.project_id = projects.create(self.transport, {"name": params["project"]})
            fields["project"] = self.project_id
            if source:
                self.task_id = tasks.clone(self.transport, source, fields)
            else:
                self.task_id = tasks.make(self.transport, "tasks.create", fields, fields["name"], fields["project"])
            if queue_id:
                tasks.enqueue(self.transport, self.task_id, queue_id)
        after = dict(fields, id=self.task_id, status="queued" if queue_id else "created", project=params["project"] or self.project_id)
        if queue_id:
            after["queue"] = queue_id
        return before, after

    def wait(self):
        """Waits for the end of the task; returns the server's task; fails the module when it did not end well."""
        params = self.params
        task = tasks.wait(self.transport, self.task_id, params["wait_timeout_seconds"], params["poll_seconds"], time.monotonic, time.sleep)
        what = "task %r (%s)" % (task["name"], task["id"])
        if task["status"] not in tasks.ENDED:
            reason = "%s is %s after %d s" % (what, task["status"].replace("_", " "), params["wait_timeout_seconds"])
            self.module.fail_json(msg=reason + self.hint(task), task=shown(task), action=self.action)
        if params["state"] != "stopped" and task["status"] in tasks.FAILED:
            why = ", ".join(text for text in (task.get("status_reason"), task.get("status_message")) if text) or "no reason given"
            log = tasks.log_tail(self.transport, task["id"], params["log_lines"])
            self.module.fail_json(
                msg="%s %s: %s" % (what, "failed" if task["status"] == "failed" else "was stopped", why),
                task=shown(task),
                log=log,
                action=self.action,
            )
        return task

    def hint(self, task):
        """Why a task that waits may do so, as the end of a sentence."""
        queue_id = (task.get("execution") or {}).get("queue")
        if task["status"] != "queued" or not queue_id:
            return ""
        found = [queue for queue in queues.read(self.transport, None, in_use=True).values() if queue["id"] == queue_id]
        if found and not queues.workers_of(found[0]):
            return ": no worker serves queue %r" % found[0]["name"]
        return ": all workers of its queue are busy" if found else ": its queue is gone"

    def result(self):
        """Does all of it; returns the module's result; raises ClearMLError."""
        state = self.params["state"]
        before, after = {"absent": self.absent, "stopped": self.stopped}.get(state, self.present)()
        result = dict(difference(before, after), action=self.action)
        if state == "absent":
            return dict(result, task=dict(shown(None), name=self.params["name"]), deleted=[task["id"] for task in self.found])
        if self.module.check_mode or not self.task_id:
            task = dict(shown(self.newest if self.task_id else None), name=self.params["name"])
            task.update({key: after[key] for key in ("status", "queue") if key in after})
        elif self.params["wait"]:
            task = shown(self.wait())
        else:
            task = shown(tasks.by_id(self.transport, self.task_id))
        return dict(result, task=task)


def current_project(task):
    """Id of a server's task's project, or None."""
    project = task.get("project")
    return project.get("id") if isinstance(project, dict) else project


def work(module):
    """The module's result; raises ClearMLError."""
    check(module.params)
    return Work(module).result()


def main():
    text = {"type": "str"}
    module = AnsibleModule(
        argument_spec=dict(
            arguments.connection_arguments(),
            name=text,
            project=text,
            id=text,
            state={"type": "str", "choices": ["present", "queued", "stopped", "absent"], "default": "present"},
            again={"type": "str", "choices": ["never", "failed", "always"], "default": "never"},
            queue=text,
            type={"type": "str", "choices": list(tasks.TYPES)},
            code=text,
            script={
                "type": "dict",
                "options": {
                    "repository": {"type": "str", "required": True},
                    "branch": text,
                    "commit": text,
                    "entry_point": {"type": "str", "required": True},
                    "working_dir": {"type": "str", "default": "."},
                },
            },
            clone_of=text,
            requirements=text,
            container={
                "type": "dict",
                "options": {"image": {"type": "str", "required": True}, "arguments": text, "setup_shell_script": text},
            },
            parameters={"type": "dict"},
            tags={"type": "list", "elements": "str"},
            comment=text,
            output_destination=text,
            wait={"type": "bool", "default": False},
            wait_timeout_seconds={"type": "int", "default": 600},
            poll_seconds={"type": "int", "default": 5},
            log_lines={"type": "int", "default": 20},
            force={"type": "bool", "default": False},
        ),
        mutually_exclusive=arguments.MUTUALLY_EXCLUSIVE + [("name", "id"), ("id", "project"), ("code", "script", "clone_of")],
        required_one_of=arguments.REQUIRED_ONE_OF + [("name", "id")],
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
