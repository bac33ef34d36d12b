# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queues: what is read, what is wanted, and the calls that lead from one to the other."""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import (
    AlreadyExists,
    ClearMLError,
    InvalidInput,
    OutcomeUnknown,
    QueueMissing,
)

ZERO_WIDTH_JOINER = "\u200d"  # part of ordinary emoji
LONGEST_FILTER = 4000


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
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp") and character != ZERO_WIDTH_JOINER:
            raise InvalidInput("queue name %r holds the invisible character U+%04X" % (name, ord(character)))


def check_tags(name, tags):
    """Refuses tags that the server would refuse in the middle of the work; raises InvalidInput."""
    for tag in tags or []:
        if not tag.strip() or tag.startswith("__$"):
            raise InvalidInput("tag %r of queue %r: a tag must not be empty or start with __$" % (tag, name))


def check_wanted(wanted):
    """Checks a list of wanted queues (dicts with name, state, display_name, tags, force); raises InvalidInput."""
    seen = set()
    for queue in wanted:
        check_name(queue["name"])
        check_tags(queue["name"], queue["tags"])
        if queue["name"] in seen:
            raise InvalidInput("queue %r is listed twice" % queue["name"])
        seen.add(queue["name"])


def shown(queue):
    """The part of a server's queue that a user sees and a diff compares."""
    return {
        "name": queue["name"],
        "display_name": queue.get("display_name") or "",
        "tags": sorted(set(queue.get("tags") or [])),
    }


def tasks_in(queue):
    """Ids of the tasks that wait in a queue, first one first."""
    entries = queue.get("entries") or []
    return [entry["task"]["id"] if isinstance(entry["task"], dict) else entry["task"] for entry in entries]


def read(transport, names=None, with_entries=False):
    """The queues of the caller's company by their names, in one call.

    :param names: names of interest, or None for all
    :param with_entries: whether the waiting tasks are needed
    :returns: dict name -> the server's dict
    """
    body = {"search_hidden": True}
    if not with_entries:
        body["max_task_entries"] = 1
    if names is not None:
        pattern = "^(?:%s)$" % "|".join(re.escape(name) for name in names)
        if len(pattern) <= LONGEST_FILTER:
            body["name"] = pattern
    found = {queue["name"]: queue for queue in transport.call("queues.get_all", body).get("queues") or []}
    return found if names is None else {name: found[name] for name in names if name in found}


def read_details(transport, name=None):
    """Queues with their waiting tasks' names, by name.

    :param name: of one queue, or None for all
    :returns: list of dicts name, id, display_name, tags, default, entries
    """
    body = {"search_hidden": True}
    if name is not None:
        body["name"] = "^%s$" % re.escape(name)
    found = transport.call("queues.get_all_ex", body).get("queues") or []
    result = []
    for queue in sorted(found, key=lambda entry: entry["name"]):
        if name is not None and queue["name"] != name:
            continue
        entries = []
        for entry in queue.get("entries") or []:
            task = entry["task"] if isinstance(entry["task"], dict) else {"id": entry["task"]}
            entries.append({"id": task["id"], "name": task.get("name"), "added": entry.get("added")})
        details = dict(shown(queue), id=queue["id"], entries=entries, default="default" in (queue.get("system_tags") or []))
        result.append(details)
    return result


class Plan(object):
    """What has to happen to one queue.

    :ivar action: created, updated, deleted or unchanged
    :ivar before: and
    :ivar after: what `shown` gives, or None where there is no queue
    :ivar changes: fields to send
    :ivar tasks: ids of tasks that a deletion takes out of the queue
    """

    def __init__(self, wanted, existing):
        self.wanted = wanted
        self.name = wanted["name"]
        self.id = existing["id"] if existing else None
        self.before = shown(existing) if existing else None
        self.changes = {}
        self.tasks = []
        asked = {}
        if wanted["display_name"] is not None:
            asked["display_name"] = wanted["display_name"]
        if wanted["tags"] is not None:
            asked["tags"] = sorted(set(wanted["tags"]))
        if wanted["state"] == "absent":
            self.after = None
            self.action = "deleted" if existing else "unchanged"
            self.tasks = tasks_in(existing) if existing else []
        elif existing is None:
            self.after = dict({"name": self.name, "display_name": "", "tags": []}, **asked)
            self.action = "created"
            self.changes = {key: value for key, value in asked.items() if value}
        else:
            self.after = dict(self.before, **asked)
            self.changes = {key: value for key, value in asked.items() if self.before[key] != value}
            self.action = "updated" if self.changes else "unchanged"

    def check(self, transport):
        """Raises ClearMLError when the plan cannot be carried out; nothing is changed."""
        if "display_name" in self.changes:
            transport.need_api_version("2.31", "display_name of queue %r" % self.name)
        if self.tasks and not self.wanted["force"]:
            listed = ", ".join(self.tasks[:3]) + (", ..." if len(self.tasks) > 3 else "")
            raise ClearMLError(
                "queue %r holds %d waiting task%s (%s): let them run, take them out, or set force=true"
                % (self.name, len(self.tasks), "" if len(self.tasks) == 1 else "s", listed)
            )

    def carry_out(self, transport):
        """Makes the calls; raises ClearMLError."""
        if self.action == "created":
            self._create(transport)
        elif self.action == "updated":
            transport.call("queues.update", dict(self.changes, queue=self.id))
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
                self.id = transport.call("queues.create", dict(self.changes, name=self.name), repeatable=False)["id"]
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
        fields = self.after or self.before or {"name": self.name, "display_name": "", "tags": []}
        state = "absent" if self.after is None else "present"
        return dict(fields, id=self.id, state=state, action=self.action, tasks_removed=self.tasks)
