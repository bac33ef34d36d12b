# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues: what is read, what is wanted, and the calls that lead from one to the other."""

from __future__ import annotations

import re

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import (
    AlreadyExists,
    ClearMLError,
    InvalidInput,
    OutcomeUnknown,
    QueueInUse,
    QueueMissing,
)
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.paging import read_all
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.texts import check_line, check_text
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.times import seconds_since

LONGEST_FILTER = 4000
DEFAULT_TAG = "default"
FIELDS = ("display_name", "tags", "system_tags", "metadata")
NEW = {"display_name": "", "tags": [], "system_tags": [], "metadata": {}, "default": False}


def check_name(name):
    """Refuses names that the server accepts and a person regrets.

    :raises InvalidInput: with the reason
    """
    if name != name.strip():
        raise InvalidInput("queue name %r starts or ends with a space: the server would strip it" % name)
    if len(name) < 3:
        raise InvalidInput("queue name %r is too short: ClearML wants at least 3 characters" % name)
    if len(name) > 255:
        raise InvalidInput("queue name %r... has %d characters: use at most 255" % (name[:20], len(name)))
    if "/" in name:
        raise InvalidInput("queue name %r holds a slash, which addresses of the web page cannot show" % name)
    check_line("queue name %r" % name, name)


def check_tags(name, tags, kind="queue"):
    """Refuses tags that the server would refuse in the middle of the work, or that nobody could read; raises InvalidInput."""
    for tag in tags or []:
        if not tag.strip() or tag.startswith("__$"):
            raise InvalidInput("tag %r of %s %r: a tag must not be empty or start with __$" % (tag, kind, name))
        check_line("tag %r of %s %r" % (tag, kind, name), tag)


def metadata_of(name, given):
    """Metadata as the server keeps it: dict key -> dict of key, type and value, all texts.

    :param given: dict key -> text, number or truth value, or dict with value and type
    :raises InvalidInput: a value of another kind, or a key that the server cannot keep
    """
    result = {}
    for key, value in given.items():
        item = value if isinstance(value, dict) else {"value": value}
        plain = item.get("value")
        if not key or not set(item) <= {"value", "type"} or not isinstance(plain, (str, int, float)):
            raise InvalidInput("metadata %r of queue %r must be a text, or a dict with value and perhaps type" % (key, name))
        text = str(plain).lower() if isinstance(plain, bool) else str(plain)
        kind = str(item.get("type") or "")
        check_line("key %r in the metadata of queue %r" % (key, name), key)
        check_line("type of metadata %r of queue %r" % (key, name), kind)
        check_text("metadata %r of queue %r" % (key, name), text)
        result[key] = {"key": key, "type": kind, "value": text}
    return result


def check_wanted(wanted):
    """Checks a list of wanted queues, dicts with name, state, force, renamed_from, default and FIELDS; raises InvalidInput."""
    seen = set()
    for queue in wanted:
        for name in (queue["name"], queue["renamed_from"]):
            if name is None:
                continue
            if name in seen:
                raise InvalidInput("queue %r is listed twice" % name)
            seen.add(name)
        check_name(queue["name"])
        check_tags(queue["name"], queue["tags"])
        check_tags(queue["name"], queue["system_tags"])
        check_line("display_name of queue %r" % queue["name"], queue["display_name"])
        if DEFAULT_TAG in (queue["system_tags"] or []):
            raise InvalidInput("queue %r: use default=true instead of the system tag %s" % (queue["name"], DEFAULT_TAG))
        if queue["metadata"] is not None:
            queue["metadata"] = metadata_of(queue["name"], queue["metadata"])
        if queue["state"] == "absent" and (queue["default"] or queue["renamed_from"]):
            raise InvalidInput("queue %r cannot be absent and have default or renamed_from" % queue["name"])
    chosen = [queue["name"] for queue in wanted if queue["default"]]
    if len(chosen) > 1:
        raise InvalidInput("only one queue can be the default, not %s" % " and ".join(repr(name) for name in chosen))


def shown(queue):
    """The part of a server's queue that a user sees and a diff compares."""
    system_tags = set(queue.get("system_tags") or [])
    metadata = queue.get("metadata") or {}
    return {
        "name": queue["name"],
        "display_name": queue.get("display_name") or "",
        "tags": sorted(set(queue.get("tags") or [])),
        "system_tags": sorted(system_tags - {DEFAULT_TAG}),
        "metadata": {
            key: {"key": key, "type": item.get("type") or "", "value": item.get("value") or ""} for key, item in dict(metadata).items()
        },
        "default": DEFAULT_TAG in system_tags,
    }


def tasks_in(queue):
    """The tasks that wait in a queue, first one first: list of dicts with id and name, which is None where it was not read."""
    entries = [entry["task"] for entry in queue.get("entries") or []]
    return [{"id": task["id"], "name": task.get("name")} if isinstance(task, dict) else {"id": task, "name": None} for task in entries]


def workers_of(queue):
    """Ids of the workers that serve a queue, where they were read."""
    return sorted({worker["name"] for worker in queue.get("workers") or []})


def read(transport, names=None, in_use=False):
    """The queues of the caller's company by their names, in one call where they are fewer than 500.

    :param names: names of interest, or None for all
    :param in_use: whether waiting tasks and workers are needed
    :returns: dict name -> the server's dict
    """
    body = {"search_hidden": True}
    if not in_use:
        body["max_task_entries"] = 1
    if names is not None:
        pattern = "^(?:%s)$" % "|".join(re.escape(name) for name in names)
        if len(pattern) <= LONGEST_FILTER:
            body["name"] = pattern
    listed = read_all(transport, "queues.get_all_ex" if in_use else "queues.get_all", "queues", body)
    found = {queue["name"]: queue for queue in listed}
    return found if names is None else {name: found[name] for name in names if name in found}


def read_details(transport, name=None):
    """Queues with their waiting tasks and workers, by name.

    :param name: of one queue, or None for all
    :returns: list of dicts
    """
    found = read(transport, None if name is None else [name], in_use=True)
    now = transport.server_time()
    result = []
    for key in sorted(found):
        queue = found[key]
        entries = []
        for entry, task in zip(queue.get("entries") or [], tasks_in(queue)):
            added = entry.get("added")
            entries.append(dict(task, added=added, waiting_seconds=seconds_since(added, now)))
        workers = []
        for worker in queue.get("workers") or []:
            task = worker.get("task") or {}
            workers.append({"id": worker["name"], "ip": worker.get("ip"), "busy": bool(task.get("id")), "task": task.get("id")})
        waits = [entry["waiting_seconds"] for entry in entries if entry["waiting_seconds"] is not None]
        details = dict(shown(queue), id=queue["id"], entries=entries, longest_wait_seconds=max(waits) if waits else 0)
        details["workers"] = sorted(workers, key=lambda worker: worker["id"])
        result.append(details)
    return result


def undeclared(existing, wanted):
    """Queues that nobody lists, in two lists of names: those that a purge deletes, and those that it leaves alone.

    Queues with a system tag were made, or are used, by ClearML's own programs. The default queue has one, too.
    """
    listed = {name for queue in wanted for name in (queue["name"], queue["renamed_from"])}
    moved = {DEFAULT_TAG} if any(queue["default"] for queue in wanted) else set()
    rest = sorted(name for name in existing if name not in listed)
    kept = [name for name in rest if set(existing[name].get("system_tags") or []) - moved]
    return [name for name in rest if name not in kept], kept


def plans_of(wanted, existing):
    """The plans for the wanted queues, and for a queue that is the default now and must not be any longer.

    :param wanted: list of dicts as `check_wanted` takes them
    :param existing: what `read` gave
    :returns: list of Plan, those of `wanted` first
    :raises ClearMLError: a rename is not possible
    """
    plans = [Plan(queue, existing.get(queue["name"]), existing.get(queue["renamed_from"])) for queue in wanted]
    if any(queue["default"] for queue in wanted):
        names = {queue["name"] for queue in wanted} | {plan.before["name"] for plan in plans if plan.before}
        for name in sorted(set(existing) - names):
            if DEFAULT_TAG in (existing[name].get("system_tags") or []):
                plans.append(Plan(dict(blank(name), default=False), existing[name]))
        for plan in plans:
            if plan.wanted["state"] == "present" and plan.wanted["default"] is None:
                plan.stop_being_default()
    return plans


def blank(name, state="present", force=False):
    """A wanted queue that asks for nothing but to be there or not."""
    return dict(dict.fromkeys(FIELDS), name=name, state=state, force=force, renamed_from=None, default=None)


class Plan(object):
    """What has to happen to one queue.

    :param wanted: dict as `check_wanted` takes it
    :param existing: the server's queue of that name, or None
    :param former: the server's queue of the former name, or None
    :ivar action: created, updated, deleted or unchanged
    :ivar before: and
    :ivar after: what `shown` gives, or None where there is no queue
    :ivar tasks: the tasks that a deletion takes out of the queue
    :ivar workers: ids of the workers whose queue a deletion takes away
    """

    def __init__(self, wanted, existing, former=None):
        if existing and former and wanted["state"] == "present":
            raise ClearMLError(
                "queue %r cannot get the name %r, which another queue has: delete one of them, or leave renamed_from out"
                % (former["name"], existing["name"])
            )
        existing = existing or former
        self.wanted = wanted
        self.name = wanted["name"]
        self.id = existing["id"] if existing else None
        self.before = shown(existing) if existing else None
        self.tasks = []
        self.workers = []
        if wanted["state"] == "absent":
            self.after = None
            if existing:
                self.tasks = tasks_in(existing)
                self.workers = workers_of(existing)
            return
        self.after = dict(self.before or NEW, name=self.name)
        for key in FIELDS:
            if wanted[key] is not None:
                self.after[key] = sorted(set(wanted[key])) if key.endswith("tags") else wanted[key]
        if wanted["default"] is not None:
            self.after["default"] = wanted["default"]

    def stop_being_default(self):
        """Another queue becomes the default one."""
        self.after["default"] = False

    @property
    def action(self):
        if self.before == self.after:
            return "unchanged"
        if self.before is None:
            return "created"
        return "deleted" if self.after is None else "updated"

    def changes(self):
        """Fields to send, as the API names them."""
        before, after = self.before or dict(NEW, name=None), self.after
        fields = {key: after[key] for key in ("name",) + FIELDS if after[key] != before[key]}
        if "system_tags" in fields or after["default"] != before["default"]:
            fields["system_tags"] = sorted(after["system_tags"] + ([DEFAULT_TAG] if after["default"] else []))
        return fields

    def check(self, transport):
        """Raises ClearMLError when the plan cannot be carried out; nothing is changed."""
        if self.action == "unchanged":
            return
        if self.after is not None:
            sent = self.changes()
            if "display_name" in sent:
                transport.need_api_version("2.31", "display_name of queue %r" % self.name)
            if "metadata" in sent:
                transport.need_api_version("2.13", "metadata of queue %r" % self.name)
        elif (self.tasks or self.workers) and not self.wanted["force"]:
            raise QueueInUse(self.name, self.tasks, self.workers)

    def carry_out(self, transport):
        """Makes the calls; raises ClearMLError."""
        if self.action == "created":
            self._create(transport)
        elif self.action == "updated":
            transport.call("queues.update", dict(self.changes(), queue=self.id))
        elif self.action == "deleted":
            body = {"queue": self.id}
            if self.wanted["force"]:
                body["force"] = True
            try:
                transport.call("queues.delete", body)
            except QueueMissing:
                pass  # somebody else was faster, or a repeated call finds its own work

    def _create(self, transport):
        """Creates the queue; a create without an answer is never repeated before a look."""
        for last in (False, True):
            try:
                self.id = transport.call("queues.create", self.changes(), repeatable=False)["id"]
                return
            except (AlreadyExists, OutcomeUnknown):
                existing = read(transport, [self.name]).get(self.name)
                if existing:
                    break
                if last:
                    raise
        self.id = existing["id"]
        rest = Plan(self.wanted, existing)
        if rest.action == "updated":
            rest.carry_out(transport)

    def result(self):
        """What the module returns about this queue."""
        fields = self.after or self.before or dict(NEW, name=self.name)
        state = "absent" if self.after is None else "present"
        return dict(fields, id=self.id, state=state, action=self.action, tasks_removed=self.tasks, workers_left=self.workers)
