# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task's status: which changes are allowed, and what a change writes."""

from .calls import iso, now
from .errors import fail

STATUSES = (
    "created",
    "queued",
    "in_progress",
    "stopped",
    "publishing",
    "published",
    "closed",
    "failed",
    "completed",
    "unknown",
)
_NEXT = {
    "created": {"queued", "in_progress"},
    "queued": {"created", "in_progress", "stopped"},
    "in_progress": {"stopped", "failed", "created", "completed"},
    "stopped": {"closed", "created", "failed", "queued", "in_progress", "published", "publishing", "completed"},
    "closed": {"created", "failed", "published", "publishing", "stopped"},
    "failed": {"created", "stopped", "published", "queued"},
    "publishing": {"published"},
    "published": set(),
    "completed": {"published", "in_progress", "created"},
    "unknown": set(),
}


def truncated(text):
    """A moment of an answer as the database keeps it: milliseconds."""
    head, _, rest = text.partition(".")
    return f"{head}.{rest[:3]}000{rest[6:]}"


def touch(task, user, moment=None, update=True):
    """Note who changed a task and when; returns those fields with full precision."""
    moment = moment or iso(now())
    fields = {"last_change": moment, "last_changed_by": user}
    if update:
        fields["last_update"] = moment
    write(task, fields)
    return fields


def write(task, fields):
    """Put answer fields into the document; None removes one."""
    for name, value in fields.items():
        if value is None:
            task.pop(name, None)
        elif isinstance(value, str) and name in _MOMENTS:
            task[name] = truncated(value)
        else:
            task[name] = value


_MOMENTS = frozenset(("status_changed", "last_update", "last_change", "started", "completed", "published", "created", "last_worker_report"))


def change(call, task, status, reason="", message="", force=False, **extra):
    """Move a task to a status and store it. Returns {updated, fields} as the endpoints answer.

    The same status again is allowed; other steps that the table lacks need `force`. Raises 400/110.
    """
    old = task["status"]
    if not force and status != old and status not in _NEXT[old]:
        raise fail("task_status", "Invalid status change", current_status=old, new_status=status)
    moment = iso(now())
    fields = {
        "status": status,
        "status_reason": reason,
        "status_message": message,
        "status_changed": moment,
        "last_update": moment,
        "last_change": moment,
        "last_changed_by": call.user,
        **extra,
    }
    write(task, fields)
    if status == "queued" and "development" in task["system_tags"]:
        task["system_tags"] = [tag for tag in task["system_tags"] if tag != "development"]
    call.store.put("tasks", task)
    project = call.store.get("projects", task.get("project") or "")
    if project:
        project["last_update"] = truncated(moment)
        call.store.put("projects", project)
    return {"updated": 1, "fields": fields}


def events_list(kind, key):
    """The store's list of a task's events: "log", or "data" for scalars, plots and the like."""
    return f"{key}:{kind}"


def forget_events(store, key):
    for kind in ("log", "data"):
        store.drop(events_list(kind, key))
