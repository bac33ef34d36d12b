# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""workers.*: who asks queues for work. A worker is one id of one user; it expires after its timeout."""

import fnmatch
import time
from datetime import datetime

from .auth import COMPANY, COMPANY_NAME
from .calls import endpoint, iso, now
from .errors import fail
from .schema import Any, Dict, Embedded, Float, Int, List, Str
from .tasks_state import truncated

DEFAULT_TIMEOUT = 600
_NUMBERS = (int, float)
_WORKER = {"worker": Str(required=True), "tags": List(), "system_tags": List()}
_STATS = {
    **{
        name: List(_NUMBERS)
        for name in ("cpu_usage", "cpu_temperature", "gpu_usage", "gpu_temperature", "gpu_memory_free", "gpu_memory_used")
    },
    **{
        name: Float()
        for name in (
            "memory_used",
            "memory_free",
            "network_tx",
            "network_rx",
            "disk_free_home",
            "disk_free_temp",
            "disk_read",
            "disk_write",
        )
    },
}


def _key(call, worker):
    return f"worker_{COMPANY}_{call.user}_{worker}"


def _moment(text):
    return datetime.fromisoformat(text).timestamp()


def alive(store):
    """The workers that have not expired; the others are forgotten."""
    found = []
    for worker in store.all("workers"):
        if time.time() - _moment(worker["last_activity_time"]) > worker["register_timeout"]:
            store.delete("workers", worker["id"])
        else:
            found.append(worker)
    return found


def _register(call, worker, queues=(), timeout=DEFAULT_TIMEOUT, tags=None, system_tags=None):
    unknown = [key for key in queues if not call.store.get("queues", key)]
    if unknown:
        raise fail("queue_id", ids=unknown)
    moment = iso(now())
    entry = {
        "id": _key(call, worker),
        "worker": worker,
        "user": call.user,
        "user_name": (call.store.get("accounts", call.user) or {}).get("name"),
        "ip": call.ip,
        "queues": list(queues),
        "register_time": moment,
        "register_timeout": timeout,
        "last_activity_time": moment,
        "tags": tags or [],
        "system_tags": system_tags or [],
    }
    call.store.put("workers", entry)
    return entry


@endpoint("workers.register", "2.4", {**_WORKER, "timeout": Int(default=DEFAULT_TIMEOUT), "queues": List(), "resources": Any()})
def register(call):
    timeout = call.req.timeout or DEFAULT_TIMEOUT
    if timeout < 0:
        raise fail("worker_registration", "invalid timeout", timeout=timeout, worker=call.req.worker)
    _register(call, call.req.worker, call.req.queues or (), timeout, call.req.tags, call.req.system_tags)


@endpoint("workers.unregister", "2.4", _WORKER)
def unregister(call):
    """An unknown worker is no error (clearml-api/workers.unregister.jsonl)."""
    call.store.delete("workers", _key(call, call.req.worker))


@endpoint(
    "workers.status_report",
    "2.4",
    {
        **_WORKER,
        "task": Str(),
        "queue": Str(),
        "queues": List(),
        "timestamp": Int(required=True),
        "machine_stats": Embedded(_STATS, "apiserver.apimodels.workers.MachineStats"),
    },
)
def status_report(call):
    """An unknown worker is registered by its report (clearml-api/workers.status_report.jsonl)."""
    req = call.req
    alive(call.store)
    entry = call.store.get("workers", _key(call, req.worker)) or _register(call, req.worker)
    moment = iso(now())
    entry.update(ip=call.ip, last_activity_time=moment, queue=req.queue, tags=req.tags or [], system_tags=req.system_tags or [])
    if req.queues:
        entry["queues"] = req.queues
    call.store.put("workers", entry)
    if not req.task:
        entry["task"] = None
    else:
        task = call.store.get("tasks", req.task)
        if not task:
            raise fail("task_id", id=req.task, company=call.company)
        short = truncated(moment)
        task.update(last_worker=req.worker, last_worker_report=short, last_update=short, last_change=short, last_changed_by=call.user)
        call.store.put("tasks", task)
        entry["task"] = task["id"]
    entry["last_report_time"] = moment


def _named(store, collection, key):
    item = store.get(collection, key) if key else None
    return {"id": key, "name": item["name"]} if item else None


def _shown(store, worker):
    shown = {
        "company": {"id": COMPANY, "name": COMPANY_NAME},
        "id": worker["worker"],
        "ip": worker["ip"],
        "key": worker["id"],
        "user": {"id": worker["user"], "name": worker["user_name"]},
    }
    for name in ("register_time", "register_timeout", "last_activity_time", "last_report_time", "tags", "system_tags"):
        if worker.get(name) is not None:
            shown[name] = worker[name]
    shown["queues"] = [_queue(store, key) for key in worker["queues"]]
    if worker.get("queue"):
        shown["queue"] = _queue(store, worker["queue"])
    task = store.get("tasks", worker["task"]) if worker.get("task") else None
    if task:
        running = int(time.time() - _moment(task["started"])) if task.get("started") else 0
        shown["task"] = {
            "id": task["id"],
            "name": task["name"],
            "running_time": task.get("active_duration", running) * 1000,
            "last_iteration": task["last_iteration"],
        }
        project = _named(store, "projects", task.get("project"))
        if project:
            shown["project"] = project
    return shown


def _queue(store, key):
    queue = store.get("queues", key)
    if not queue:
        return {"id": key}
    shown = {"id": key, "name": queue["name"], "num_tasks": len(queue["entries"])}
    if queue.get("display_name"):
        shown["display_name"] = queue["display_name"]
    first = _named(store, "tasks", queue["entries"][0]["task"]) if queue["entries"] else None
    if first:
        shown["next_task"] = first
    return shown


_FILTER = {"tags": List(), "system_tags": List(), "worker_pattern": Str()}


def _matching(call):
    req, found = call.req, alive(call.store)
    for name in ("tags", "system_tags"):
        wanted = getattr(req, name)
        if wanted:
            found = [worker for worker in found if set(wanted) & set(worker[name])]
    if req.worker_pattern:
        found = [worker for worker in found if fnmatch.fnmatchcase(worker["worker"], req.worker_pattern)]
    if req.last_seen:
        oldest = time.time() - max(1, req.last_seen)
        found = [worker for worker in found if _moment(worker["last_activity_time"]) >= oldest]
    return found


@endpoint("workers.get_all", "2.4", {**_FILTER, "last_seen": Int(default=3600)})
def get_all(call):
    return {"workers": [_shown(call.store, worker) for worker in _matching(call)]}


@endpoint("workers.get_count", fields={**_FILTER, "last_seen": Int(default=0)})
def get_count(call):
    return {"count": len(_matching(call))}


@endpoint("workers.get_stats", "2.4", {"items": List(dict), "from_date": Any(), "to_date": Any(), "interval": Any(), "split": Dict()})
def get_stats(call):
    """No history is kept. The check of required fields is another one here, with another text."""
    wanted = ("from_date", "to_date", "interval", "items")
    for name in wanted:
        if name not in call.data:
            raise fail_schema(f"'{name}' is a required property", "required", wanted, call.data)
    return {"workers": []}


def fail_schema(message, validator, value, instance):
    return fail(
        "validation",
        message=message,
        path=(),
        context=(),
        cause=None,
        validator=validator,
        validator_value=value,
        instance=instance,
        parent=None,
    )
