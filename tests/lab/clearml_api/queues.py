# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""queues.*: ordered lists of tasks. A queue is {id, name, entries: [{task, added}], ...}."""

from . import tasks_state
from .auth import COMPANY
from .calls import endpoint, new_id, now, stored
from .errors import fail
from .query import Kind, get_all, get_all_ex, without
from .schema import Bool, Dict, Float, Int, List, Str

FIELDS = (
    "id",
    "name",
    "display_name",
    "company",
    "created",
    "tags",
    "system_tags",
    "entries",
    "last_update",
    "metadata",
)
KIND = Kind("queues", FIELDS, dates=("last_update",), joins={"company": "companies"})
HIDDEN_TAG = "k8s-glue"
_METADATA = {name: Str(required=True) for name in ("key", "type", "value")}
_METADATA_NAME = "apiserver.apimodels.metadata.MetadataItem"
_QUEUE = {"queue": Str(required=True)}
_ENTRY = {**_QUEUE, "task": Str(required=True)}
_EDITABLE = {
    "name": Str(),
    "display_name": Str(),
    "tags": List(),
    "system_tags": List(),
    "metadata": Dict(_METADATA, _METADATA_NAME),
}


# --- what other services need -----------------------------------------------------------------------------------------


def by_id(call, key):
    queue = call.store.get("queues", key)
    if not queue:
        raise fail("queue_id", id=key, company=call.company)
    return queue


def by_name(store, name):
    return next((queue for queue in store.all("queues") if queue["name"] == name), None)


def default_queue(call):
    found = [queue for queue in call.store.all("queues") if "default" in queue["system_tags"]]
    if not found:
        raise fail("no_default_queue")
    if len(found) > 1:
        raise fail("many_default_queues", queues=[queue["id"] for queue in found])
    return found[0]


def _shown_in_unique_error(name):
    """The name as the real server cuts it out of the database's message: up to a quote, nothing behind a brace."""
    return None if "}" in name else name.partition('"')[0] + ("\\" if '"' in name else "")


def _checked_name(store, name, own_id=None):
    """The stripped name, 3 characters at least, unique with regard to case (clearml-api/queues.create.jsonl)."""
    name = name.strip()
    if len(name) < 3:
        raise fail("data", name="String value is too short")
    other = by_name(store, name)
    if other and other["id"] != own_id:
        shown = _shown_in_unique_error(name)
        raise fail("unique", **({} if shown is None else {"name": shown, "company": COMPANY}))
    return name


def new_queue(store, name, display_name=None, tags=(), system_tags=(), metadata=None):
    """A stored queue. Raises 400/800 or 400/801 for its name."""
    moment = stored(now())
    queue = {
        "id": new_id(),
        "name": _checked_name(store, name),
        "display_name": display_name,
        "company": COMPANY,
        "created": moment,
        "tags": sorted(tags or ()),
        "system_tags": sorted(system_tags or ()),
        "entries": [],
        "last_update": moment,
        "metadata": metadata or {},
    }
    store.put("queues", queue)
    return queue


def add_entry(call, queue_id, task_id):
    """Raises 701 for an unknown queue, 706 for a task that is in the queue already. Any task id is accepted."""
    queue = by_id(call, queue_id)
    if any(entry["task"] == task_id for entry in queue["entries"]):
        raise fail("already_queued", task=task_id)
    moment = stored(now())
    queue["entries"].append({"task": task_id, "added": moment})
    queue["last_update"] = moment
    call.store.put("queues", queue)


def remove_everywhere(store, task_id, but=None):
    """Take a task out of all queues but one. Returns the number of queues that had it."""
    count = 0
    for queue in store.all("queues"):
        left = [entry for entry in queue["entries"] if entry["task"] != task_id]
        if queue["id"] != but and len(left) < len(queue["entries"]):
            queue["entries"], queue["last_update"] = left, stored(now())
            store.put("queues", queue)
            count += 1
    return count


# --- endpoints --------------------------------------------------------------------------------------------------------


def _check_tags(fields):
    for name in ("tags", "system_tags"):
        wrong = [tag for tag in fields.get(name) or () if tag.startswith("__$")]
        if wrong:
            raise fail("field_value", "unsupported tag prefix", values=wrong)


def _shown(call, queue):
    """Clients up to API 2.16 get no metadata (agent-and-sdk-sessions.json, agent_daemon_start)."""
    if "metadata" in queue and not call.older_than("2.17"):
        return queue
    return {**queue, "metadata": []} if "metadata" in queue else queue


def _cut(call, queue):
    """At most `max_task_entries` entries; negative numbers count from the end."""
    size = call.req.max_task_entries
    if not size or "entries" not in queue:
        return queue
    return {**queue, "entries": queue["entries"][:size] if size > 0 else queue["entries"][size:]}


def _visible(call):
    queues = call.store.all("queues")
    if any(call.data.get(name) for name in ("search_hidden", "id", "name")):
        return queues
    return [queue for queue in queues if HIDDEN_TAG not in queue["system_tags"]]


_GET_ALL = {"max_task_entries": Int(), "search_hidden": Bool()}


@endpoint("queues.get_all", "2.4", _GET_ALL)
def queues_get_all(call):
    found, rest = get_all(call, KIND, _visible(call))
    return {"queues": [_cut(call, _shown(call, queue)) for queue in found], **rest}


@endpoint("queues.get_all_ex", "2.4", _GET_ALL)
def queues_get_all_ex(call):
    """The projection is ignored; entries have their task's name (clearml-api/queues.get_all_ex.jsonl)."""
    from .workers import alive

    asked = {key: value for key, value in call.data.items() if key not in ("only_fields", "projection")}
    found, rest = get_all_ex(call, KIND, _visible(call), asked)
    for queue in found:
        for entry in queue["entries"]:
            task = call.store.get("tasks", entry["task"])
            entry["task"] = {"id": entry["task"], **({"name": task["name"]} if task else {})}
        queue["workers"] = [
            {"name": worker["worker"], "ip": worker["ip"], "key": worker["id"], "task": worker.get("task")}
            for worker in alive(call.store)
            if queue["id"] in worker["queues"]
        ]
    return {"queues": [_cut(call, _shown(call, queue)) for queue in found], **rest}


@endpoint("queues.get_by_id", "2.4", {**_QUEUE, "max_task_entries": Int()})
def get_by_id(call):
    return {"queue": _cut(call, _shown(call, without(by_id(call, call.req.queue), ())))}


@endpoint("queues.get_default", "2.4")
def get_default(call):
    queue = default_queue(call)
    return {"id": queue["id"], "name": queue["name"]}


@endpoint("queues.create", "2.4", {**_EDITABLE, "name": Str(required=True)})
def create(call):
    req = call.req
    _check_tags(vars(req))
    queue = new_queue(call.store, req.name, req.display_name, req.tags, req.system_tags, req.metadata)
    return {"id": queue["id"]}


@endpoint("queues.update", "2.4", {**_QUEUE, **_EDITABLE})
def update(call):
    """Answers the fields as they were sent, tags sorted; null and unknown fields change nothing."""
    fields = call.sent(*_EDITABLE)
    _check_tags(fields)
    queue = by_id(call, call.req.queue)
    for name in ("tags", "system_tags"):
        if name in fields:
            fields[name] = sorted(fields[name])
    changes = dict(fields)
    if "name" in fields:
        changes["name"] = _checked_name(call.store, fields["name"], queue["id"])
    if fields:
        queue.update(changes)
        call.store.put("queues", queue)
    return {"fields": fields, "updated": int(bool(fields))}


@endpoint("queues.delete", "2.4", {**_QUEUE, "force": Bool(default=False)})
def delete(call):
    queue = by_id(call, call.req.queue)
    if queue["entries"] and not call.req.force:
        raise fail("queue_not_empty", "use force=true to delete", id=queue["id"])
    _release_tasks(call, queue, f"Queue {queue['id']} was deleted")
    call.store.delete("queues", queue["id"])
    return {"deleted": 1}


def _release_tasks(call, queue, reason, only=None):
    """Give the queue's tasks the status back that they had. Returns their ids."""
    released = []
    for entry in queue["entries"]:
        task = call.store.get("tasks", entry["task"])
        if task and task["execution"].get("queue") == queue["id"] and only in (None, task["id"]):
            task["execution"].pop("queue")
            tasks_state.change(call, task, task.get("enqueue_status") or "created", reason=reason, force=True, enqueue_status=None)
            released.append(task["id"])
    return released


@endpoint("queues.clear_queue", "1.0", _QUEUE)
def clear_queue(call):
    queue = call.store.get("queues", call.req.queue)
    if not queue:
        raise fail("queue_id", queue=call.req.queue)
    released = _release_tasks(call, queue, f"Queue {queue['id']} was cleared")
    queue["entries"] = []
    call.store.put("queues", queue)
    return {"removed_tasks": released}


@endpoint("queues.add_task", "2.4", {**_ENTRY, "update_execution_queue": Bool(default=True)})
def add_task(call):
    add_entry(call, call.req.queue, call.req.task)
    task = call.store.get("tasks", call.req.task)
    if task and call.req.update_execution_queue:
        task["execution"]["queue"] = call.req.queue
        call.store.put("tasks", task)
    return {"added": 1}


@endpoint("queues.get_next_task", "1.0", {**_QUEUE, "get_task_info": Bool(default=False), "task": Str()})
def get_next_task(call):
    queue = by_id(call, call.req.queue)
    if not queue["entries"] or call.req.task not in (None, queue["entries"][0]["task"]):
        return {}
    entry = queue["entries"].pop(0)
    queue["last_update"] = stored(now())
    call.store.put("queues", queue)
    result, task = {"entry": entry}, call.store.get("tasks", entry["task"])
    if task and task["status"] == "stopped":
        task["status"] = "queued"
        call.store.put("tasks", task)
    if task and call.req.get_task_info:
        result["task_info"] = {"company": task["company"], "user": task["user"]}
    return result


def _queue_with(call):
    queue = call.store.get("queues", call.req.queue)
    position = next((n for n, entry in enumerate(queue["entries"]) if entry["task"] == call.req.task), None) if queue else None
    if position is None:
        raise fail("not_queued", task=call.req.task, id=call.req.queue, company=call.company)
    return queue, position


@endpoint("queues.remove_task", "2.4", {**_ENTRY, "update_task_status": Bool(default=False)})
def remove_task(call):
    queue, position = _queue_with(call)
    if call.req.update_task_status:
        _release_tasks(call, queue, f"Task was removed from the queue {queue['id']}", only=call.req.task)
    queue["entries"].pop(position)
    queue["last_update"] = stored(now())
    call.store.put("queues", queue)
    return {"removed": 1}


def _move(call, target):
    queue, position = _queue_with(call)
    new = max(0, min(target(position, len(queue["entries"])), len(queue["entries"]) - 1))
    queue["entries"].insert(new, queue["entries"].pop(position))
    call.store.put("queues", queue)
    return {"position": new}


_STEP = {**_ENTRY, "count": Int(default=1)}


@endpoint("queues.move_task_forward", "2.4", _STEP)
def move_task_forward(call):
    return _move(call, lambda position, size: position - call.req.count)


@endpoint("queues.move_task_backward", "2.4", _STEP)
def move_task_backward(call):
    return _move(call, lambda position, size: position + call.req.count)


@endpoint("queues.move_task_to_front", "2.4", _ENTRY)
def move_task_to_front(call):
    return _move(call, lambda position, size: 0)


@endpoint("queues.move_task_to_back", "2.4", _ENTRY)
def move_task_to_back(call):
    return _move(call, lambda position, size: size - 1)


@endpoint("queues.peek_task", "2.15", _QUEUE)
def peek_task(call):
    entries = by_id(call, call.req.queue)["entries"]
    return {"task": entries[0]["task"] if entries else None}


@endpoint("queues.get_num_entries", "2.15", _QUEUE)
def get_num_entries(call):
    queue = call.store.get("queues", call.req.queue)
    if not queue:
        raise fail("queue_id", queue_id=call.req.queue)
    return {"num": len(queue["entries"])}


@endpoint(
    "queues.get_queue_metrics",
    "2.4",
    {
        "queue_ids": List(),
        "from_date": Float(required=True, minimum=0),
        "to_date": Float(required=True, minimum=0),
        "interval": Int(required=True, minimum=1),
        "refresh": Bool(default=False),
    },
)
def get_queue_metrics(call):
    """No history is kept."""
    return {"queues": []}


@endpoint(
    "queues.add_or_update_metadata",
    "2.13",
    {**_QUEUE, "metadata": List(model=_METADATA, model_name=_METADATA_NAME, shortest=1), "replace_metadata": Bool(default=False)},
)
def add_or_update_metadata(call):
    queue = by_id(call, call.req.queue)
    items = {item.get("key"): item for item in call.req.metadata or ()}
    queue["metadata"] = items if call.req.replace_metadata else {**queue["metadata"], **items}
    call.store.put("queues", queue)
    return {"updated": 1}


@endpoint("queues.delete_metadata", "2.13", {**_QUEUE, "keys": List(required=True)})
def delete_metadata(call):
    queue = by_id(call, call.req.queue)
    queue["metadata"] = {key: item for key, item in queue["metadata"].items() if key not in call.req.keys}
    call.store.put("queues", queue)
    return {"updated": 1}


def set_up(store):
    """The first start makes the default queue, before the users (its date in clearml-api/queues.get_all.jsonl)."""
    with store:
        if not store.get("settings", "installed"):
            new_queue(store, "default", system_tags=["default"])
            store.put("companies", {"id": COMPANY, "name": "clearml"})
            store.put("settings", {"id": "installed"})
