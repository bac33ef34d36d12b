# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tasks: found by name and project, or by id; made, queued, waited for, stopped and deleted.

Facts (apiserver 2.3.0, recorded): names are not unique; a task that is enqueued under the name of a queue that does not
exist makes that queue, so queues are looked up first; enqueueing a queued task moves it; `tasks.stop` ends a task at once
unless a worker reported on it within ten minutes, which is then asked to stop; a task that has begun is deleted with force only.
A script that is not in a repository is kept whole in `script.diff`, as the SDK does.
"""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import (
    ApiError,
    ClearMLError,
    InvalidInput,
    OutcomeUnknown,
    TaskMissing,
)
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.paging import read_all
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.texts import check_line, check_text, sign_in_of

TYPES = (
    "training",
    "testing",
    "inference",
    "data_processing",
    "application",
    "monitor",
    "controller",
    "optimizer",
    "service",
    "qc",
    "custom",
)
ENDED = ("completed", "closed", "published", "failed", "stopped")
FAILED = ("failed", "stopped")
BUSY = ("queued", "in_progress", "publishing")
FIELDS = [
    "id",
    "name",
    "type",
    "status",
    "status_reason",
    "status_message",
    "comment",
    "tags",
    "system_tags",
    "project",
    "script",
    "container",
    "hyperparams",
    "output.destination",
    "execution.queue",
    "created",
    "started",
    "completed",
    "last_worker",
]
SCRIPT = {
    "repository": "repository",
    "branch": "branch",
    "commit": "version_num",
    "entry_point": "entry_point",
    "working_dir": "working_dir",
}
CODE_FILE = "task.py"


def check_name(name):
    """Refuses names that the server refuses, or a person would regret; raises InvalidInput."""
    if name != name.strip() or len(name) < 3 or len(name) > 255:
        raise InvalidInput("task name %r must have 3 to 255 characters and no space at its ends" % name[:40])
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise InvalidInput("task name %r holds the invisible character U+%04X" % (name, ord(character)))


def check_contents(params):
    """Refuses texts that no agent could use, and an address that would show its secret to all who see the task.

    :param params: the module's
    :raises InvalidInput: with the option
    """
    for option in ("code", "requirements", "comment"):
        check_text(option, params[option])
    script, container = params["script"] or {}, params["container"] or {}
    for option, given in sorted(script.items()):
        check_line("script.%s" % option, given)
    if sign_in_of(script.get("repository")):
        raise InvalidInput(
            "script.repository must not hold a user or a password: all who see the task would read them; "
            "the agent signs in with its own git_user and git_pass"
        )
    check_line("container.image", container.get("image"))
    for option in ("arguments", "setup_shell_script"):
        check_text("container.%s" % option, container.get(option))
    for section, items in parameters_of(params["parameters"] or {}).items():
        for item in items.values():
            check_line("the name of parameter %r" % item["name"], section + item["name"])
            check_text("parameter %r" % item["name"], item["value"])


def find(transport, name, project_id):
    """The server's tasks of exactly this name in a project, newest first, without archived ones."""
    body = {
        "name": "^%s$" % re.escape(name),
        "project": [project_id],
        "only_fields": FIELDS,
        "order_by": ["-created"],
        "search_hidden": True,
    }
    found = read_all(transport, "tasks.get_all", "tasks", body)
    return [task for task in found if task["name"] == name and "archived" not in (task.get("system_tags") or [])]


def look_up(transport, task_id):
    """The server's task with this id, or None."""
    found = transport.call("tasks.get_all", {"id": [task_id], "only_fields": FIELDS, "search_hidden": True}).get("tasks") or []
    return found[0] if found else None


def by_id(transport, task_id):
    """The server's task with this id; raises ClearMLError when there is none."""
    found = look_up(transport, task_id)
    if not found:
        raise ClearMLError("there is no ClearML task with the id %r" % task_id)
    return found


def parameters_of(given):
    """Hyperparameters as the server keeps them.

    :param given: dict Section/name -> value, where a name without a section is one of Args
    :returns: dict section -> name -> item
    """
    result = {}
    for key, value in given.items():
        section, slash, name = key.partition("/")
        if not slash:
            section, name = "Args", key
        if name in result.get(section, {}):
            raise InvalidInput("parameter %r is given twice, with and without its section" % name)
        if not section or not name:
            raise InvalidInput("parameter %r must be a name, or a section, a slash and a name" % key)
        text = "" if value is None else str(value)
        result.setdefault(section, {})[name] = {"section": section, "name": name, "value": text, "type": ""}
    return result


def wanted_fields(params, project_id):
    """What a task is made of, as the API names it: those fields that were given.

    :param params: the module's
    """
    fields = {"name": params["name"], "project": project_id}
    if params["type"]:
        fields["type"] = params["type"]
    if params["comment"] is not None:
        fields["comment"] = params["comment"]
    if params["tags"] is not None:
        fields["tags"] = sorted(set(params["tags"]))
    if params["code"] is not None:
        fields["script"] = {"repository": "", "entry_point": CODE_FILE, "working_dir": ".", "diff": params["code"]}
    if params["script"]:
        fields["script"] = {SCRIPT[key]: params["script"][key] or "" for key in SCRIPT if params["script"][key] is not None}
    if params["requirements"] is not None:
        fields.setdefault("script", {})["requirements"] = {"pip": params["requirements"]}
    if params["container"]:
        fields["container"] = {key: value for key, value in params["container"].items() if value is not None}
    if params["parameters"] is not None:
        fields["hyperparams"] = parameters_of(params["parameters"])
    if params["output_destination"] is not None:
        fields["output_dest"] = params["output_destination"]
    return fields


def current(task, fields):
    """The same fields of a server's task, to compare with."""
    result = {}
    for key, value in fields.items():
        have = (task.get("output") or {}).get("destination") if key == "output_dest" else task.get(key)
        if key == "project" and isinstance(have, dict):
            have = have.get("id")
        if key == "tags":
            have = sorted(set(have or []))
        elif key in ("script", "container"):
            have = {name: (have or {}).get(name) or ({} if name == "requirements" else "") for name in value}
        elif key == "hyperparams":
            have = {
                section: {
                    name: dict(item, value=((have or {}).get(section) or {}).get(name, {}).get("value")) for name, item in items.items()
                }
                for section, items in value.items()
            }
        result[key] = have if have is not None else ""
    return result


def merged_parameters(task, wanted):
    """All hyperparameters of a draft with the wanted ones in place, because the server replaces them as a whole."""
    result = {section: dict(items) for section, items in (task.get("hyperparams") or {}).items()}
    for section, items in wanted.items():
        result.setdefault(section, {}).update(items)
    return result


def make(transport, endpoint, body, name, project_id):
    """Makes a task, by `tasks.create` or `tasks.clone`; without an answer, it looks before it tries once more; returns the id."""
    known = {task["id"] for task in find(transport, name, project_id)}
    for last in (False, True):
        try:
            return transport.call(endpoint, body, repeatable=False)["id"]
        except OutcomeUnknown:
            new = [task["id"] for task in find(transport, name, project_id) if task["id"] not in known]
            if new:
                return new[0]
            if last:
                raise


def clone(transport, source, fields):
    """A copy of a task with some fields of its own; returns the id."""
    names = {"name": "new_task_name", "project": "new_task_project", "comment": "new_task_comment", "tags": "new_task_tags"}
    body = {names[key]: value for key, value in fields.items() if key in names and value}
    task_id = make(transport, "tasks.clone", dict(body, task=source), fields["name"], fields["project"])
    edit(transport, by_id(transport, task_id), {key: value for key, value in fields.items() if key not in ("name", "project")})
    return task_id


def edit(transport, task, fields):
    """Brings those fields of a draft in step that differ; returns whether any did."""
    have = current(task, fields)
    changes = {key: value for key, value in fields.items() if have[key] != value}
    if "hyperparams" in changes:
        changes["hyperparams"] = merged_parameters(task, changes["hyperparams"])
    if changes:
        transport.call("tasks.edit", dict(changes, task=task["id"]))
    return bool(changes)


def enqueue(transport, task_id, queue_id):
    """Puts a task into a queue; a call without an answer is looked at before it is repeated."""
    for last in (False, True):
        try:
            transport.call("tasks.enqueue", {"task": task_id, "queue": queue_id}, repeatable=False)
            return
        except (ApiError, OutcomeUnknown):
            task = by_id(transport, task_id)
            if (task.get("execution") or {}).get("queue") == queue_id and task["status"] != "created":
                return
            if last:
                raise


def stop(transport, task_id):
    """Ends a task, or asks its worker to end it; one that has ended meanwhile is left as it is."""
    try:
        transport.call("tasks.stop", {"task": task_id})
    except ApiError:
        if by_id(transport, task_id)["status"] not in ENDED:
            raise


def delete(transport, task_id):
    """Deletes a task, whatever its status; one that is gone already counts as deleted."""
    try:
        transport.call("tasks.delete", {"task": task_id, "force": True})
    except TaskMissing:
        pass


def log_tail(transport, task_id, lines):
    """The last lines that a task wrote: list of texts, or why they cannot be read, so that this does not hide how the task ended."""
    if not lines:
        return []
    try:
        events = transport.call("events.get_task_log", {"task": task_id, "order": "desc", "batch_size": lines}).get("events") or []
    except ClearMLError as error:
        return ["(the log cannot be read: %s)" % error]
    texts = [line for event in reversed(events) for line in str(event.get("msg") or "").splitlines()]
    return texts[-lines:]


def wait(transport, task_id, seconds, pause, clock, sleep):
    """Reads a task until it has ended.

    :param seconds: how long at most
    :param pause: seconds between two readings
    :param clock: function that gives seconds of a monotonic clock
    :param sleep: function that waits for a number of seconds
    :returns: the server's task as it was read last, ended or not
    """
    end = clock() + seconds
    while True:
        task = by_id(transport, task_id)
        left = end - clock()
        if task["status"] in ENDED or left <= 0:
            return task
        sleep(min(pause, left))
