# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""tasks.*: create, edit, queue, run, finish, reset, delete."""

import copy
from datetime import datetime

from . import projects, queues
from .auth import COMPANY
from .calls import endpoint, iso, new_id, now, stored
from .errors import ApiError, fail
from .query import Kind, get_all, get_all_ex, without
from .schema import Bool, Dict, Int, List, Str
from .tasks_state import STATUSES, change, forget_events, touch, write

TYPES = (
    "training",
    "testing",
    "inference",
    "data_processing",
    "application",
    "monitor",
    "controller",
    "report",
    "optimizer",
    "service",
    "qc",
    "custom",
)
FIELDS = (
    "id",
    "company",
    "user",
    "name",
    "type",
    "status",
    "status_reason",
    "status_message",
    "status_changed",
    "comment",
    "report",
    "report_assets",
    "created",
    "started",
    "completed",
    "published",
    "active_duration",
    "parent",
    "project",
    "output",
    "execution",
    "tags",
    "system_tags",
    "script",
    "last_worker",
    "last_worker_report",
    "last_update",
    "last_change",
    "last_iteration",
    "last_metrics",
    "unique_metrics",
    "metric_stats",
    "hyperparams",
    "configuration",
    "runtime",
    "models",
    "container",
    "enqueue_status",
    "last_changed_by",
)
KIND = Kind(
    "tasks",
    FIELDS,
    hidden=("unique_metrics", "enqueue_status"),
    lists=("user", "type", "status", "project", "parent", "execution.queue"),
    dates=("created", "started", "last_update", "last_change", "status_changed"),
    joins={"company": "companies", "user": "users", "project": "projects", "parent": "tasks", "execution.queue": "queues"},
)
_CREATE = (
    "name",
    "tags",
    "system_tags",
    "type",
    "error",
    "comment",
    "parent",
    "project",
    "input",
    "models",
    "container",
    "output_dest",
    "execution",
    "hyperparams",
    "configuration",
    "script",
    "runtime",
)
# what tasks.update may change, and what tasks.edit changes without a new last_update
_UPDATE = ("name", "status_message", "comment", "created", "project", "tags", "system_tags")
_EMBEDDED = ("output", "execution", "script", "models")
_TASK = {"task": Str(required=True)}
_FORCED = {**_TASK, "force": Bool(default=False)}
_STATUS = {**_FORCED, "status_reason": Str(default=""), "status_message": Str(default="")}


def by_id(call, key):
    task = call.store.get("tasks", key)
    if not task:
        raise fail("task_id", id=key, company=call.company)
    return task


# --- reading ----------------------------------------------------------------------------------------------------------


def shown(call, task):
    """As this client's API version knows tasks; older ones find parameters, models and image in `execution`."""
    if call.older_than("2.9") and task.get("hyperparams"):
        parameters = {
            f"{section}/{name}": item.get("value") for section, items in task["hyperparams"].items() for name, item in items.items()
        }
        task.setdefault("execution", {}).setdefault("parameters", {}).update(parameters)
    if call.older_than("2.13"):
        for mode, place, index in (("input", "execution", 0), ("output", "output", -1)):
            linked = (task.get("models") or {}).get(mode)
            if linked:
                task.setdefault(place, {})["model"] = linked[index].get("model")
        image = (task.get("container") or {}).get("image")
        if image:
            command = " ".join(filter(None, (image, task["container"].get("arguments"))))
            task.setdefault("execution", {})["docker_cmd"] = command
    if call.older_than("2.3") and task.get("system_tags"):
        task["tags"] = sorted({*task.get("tags", ()), *task["system_tags"]})
    return task


@endpoint("tasks.get_by_id", fields=_TASK)
def get_by_id(call):
    """All fields, whatever only_fields says (clearml-api/tasks.get_by_id.jsonl)."""
    task = call.store.get("tasks", call.req.task)
    if not task:
        raise fail("task_id", ids=[call.req.task])
    return {"task": shown(call, without(task, ("enqueue_status",)))}


def _candidates(call):
    asked, tasks = dict(call.data), call.store.all("tasks")
    if not any(asked.get(name) for name in ("search_hidden", "id", "name")):
        tasks = [task for task in tasks if "hidden" not in task["system_tags"]]
    if asked.pop("include_subprojects", False) and asked.get("project"):
        ids = asked["project"] if isinstance(asked["project"], list) else [asked["project"]]
        asked["project"] = projects.with_children(call.store, ids)
    return tasks, asked


@endpoint("tasks.get_all")
def tasks_get_all(call):
    found, rest = get_all(call, KIND, *_candidates(call))
    return {"tasks": [shown(call, task) for task in found], **rest}


@endpoint("tasks.get_all_ex")
def tasks_get_all_ex(call):
    found, rest = get_all_ex(call, KIND, *_candidates(call))
    return {"tasks": [shown(call, task) for task in found], **rest}


@endpoint("tasks.get_by_id_ex", required=("id",))
def get_by_id_ex(call):
    found, _ = get_all_ex(call, KIND, *_candidates(call))
    return {"tasks": [shown(call, task) for task in found]}


@endpoint("tasks.get_types", fields={"projects": List()})
def get_types(call):
    tasks = [task for task in call.store.all("tasks") if not call.req.projects or task.get("project") in call.req.projects]
    return {"types": sorted({task["type"] for task in tasks})}


# --- creating and editing ---------------------------------------------------------------------------------------------


def _sent_fields(call, names, previous=None):
    """The sent fields of a task, checked. Raises 400/16 for references, 400/800 for values."""
    fields = {name: copy.deepcopy(call.data[name]) for name in names if call.data.get(name) is not None}
    for name, collection, what in (("parent", "tasks", "Task"), ("project", "projects", "Project")):
        if fields.get(name) and not call.store.get(collection, fields[name]):
            raise fail("field_value", f"expecting {what} id", id=fields[name], field=name)
    for name in ("container", "hyperparams", "configuration", "runtime", "tags", "system_tags"):
        kind = list if name.endswith("tags") else dict
        if name in fields:
            try:
                kind(fields[name])
            except TypeError:
                raise fail("field_value", f"expecting {kind.__name__}", field=name) from None
            except ValueError as error:
                raise fail("field_value", str(error), field=name) from None
    for name in ("tags", "system_tags"):
        if name in fields:
            wrong = [tag for tag in fields[name] if tag.startswith("__$")]
            if wrong:
                raise fail("field_value", "unsupported tag prefix", values=wrong)
            if not isinstance(fields[name], list):
                raise fail("data", **{name: "Only lists and tuples may be used in a list field"})
            fields[name] = sorted(fields[name])
    for name in ("name", "comment"):
        if not isinstance(fields.get(name, ""), str):
            raise fail("data", **{name: "StringField only accepts string values"})
    if fields.get("type") is not None and fields["type"] not in TYPES:
        raise fail("data", type=f"Value must be one of {TYPES}")
    if "name" in fields and len(str(fields["name"]).strip()) < 3:
        raise fail("data", name="String value is too short")
    if "output_dest" in fields:
        fields["output"] = {**((previous or {}).get("output") or {}), "destination": fields.pop("output_dest")}
    if isinstance(fields.get("script"), dict):
        for name, value in fields["script"].items():
            if isinstance(value, str) and name != "diff":
                fields["script"][name] = value.strip()
    if isinstance(fields.get("models"), dict):
        for linked in fields["models"].values():
            for item in linked or ():
                item["updated"] = stored(now())
    for name in _EMBEDDED:
        if previous and isinstance(fields.get(name), dict):
            fields[name] = {**previous.get(name, {}), **fields[name]}
    return fields


def _new(call, fields):
    moment = stored(now())
    task = {
        "id": new_id(),
        "company": COMPANY,
        "user": call.user,
        "name": None,
        "type": None,
        "status": "created",
        "report_assets": [],
        "created": moment,
        "tags": [],
        "system_tags": [],
        "last_update": moment,
        "last_change": moment,
        "last_iteration": 0,
        "last_metrics": {},
        "unique_metrics": [],
        "metric_stats": {},
        "hyperparams": {},
        "configuration": {},
        "runtime": {},
        "container": {},
        "last_changed_by": call.user,
        **fields,
    }
    task["name"] = task["name"].strip()
    task["output"] = fields.get("output") or {}
    task["execution"] = {"test_split": 0, "parameters": {}, "model_desc": {}, "model_labels": {}, "artifacts": []}
    task["execution"].update(fields.get("execution") or {})
    task["script"] = {"binary": "python", "repository": "", "entry_point": "", "requirements": {}, **(fields.get("script") or {})}
    task["models"] = {"input": [], "output": [], **(fields.get("models") or {})}
    return task


_NEW = {"name": Str(required=True), "type": Str(required=True, choices=TYPES)}


@endpoint("tasks.create", fields=_NEW)
def create(call):
    task = _new(call, _sent_fields(call, _CREATE))
    call.store.put("tasks", task)
    return {"id": task["id"]}


@endpoint("tasks.validate", fields=_NEW)
def validate(call):
    _sent_fields(call, _CREATE)


@endpoint(
    "tasks.clone",
    fields={
        **_TASK,
        **{f"new_task_{name}": Str() for name in ("name", "comment", "parent", "project")},
        **{f"new_task_{name}": List() for name in ("tags", "system_tags")},
        **{f"new_task_{name}": Dict() for name in ("hyperparams", "configuration", "container")},
        "execution_overrides": Dict(),
        "new_project_name": Str(),
    },
)
def clone(call):
    req, old = call.req, by_id(call, call.req.task)
    if req.new_task_project and not call.store.get("projects", req.new_task_project):
        raise fail("project_id", id=req.new_task_project)
    if req.new_task_parent and not call.store.get("tasks", req.new_task_parent):
        raise fail("task_id", "invalid parent", parent=req.new_task_parent)
    kept = ("name", "comment", "type", "project", "tags", "script", "container", "hyperparams", "configuration")
    fields = copy.deepcopy({name: old[name] for name in kept if old.get(name) is not None})
    fields["system_tags"] = [tag for tag in old["system_tags"] if tag not in ("development", "archived")]
    fields["parent"] = old.get("parent") or old["id"]
    for name in ("name", "comment", "parent", "project", "tags", "system_tags", "hyperparams", "configuration", "container"):
        value = getattr(req, f"new_task_{name}")
        if value:
            fields[name] = value
    answer = {}
    if not req.new_task_project and req.new_project_name:
        project = projects.find_or_create(call, req.new_project_name)
        fields["project"] = project["id"]
        answer["new_project"] = {"id": project["id"], "name": req.new_project_name}
    execution = copy.deepcopy(old["execution"])
    execution["artifacts"] = [item for item in execution["artifacts"] if item.get("mode") == "input"]
    execution.pop("queue", None)
    fields["execution"] = {**execution, **(req.execution_overrides or {})}
    if "destination" in old["output"]:
        fields["output"] = {"destination": old["output"]["destination"]}
    fields["models"] = {"input": copy.deepcopy(old["models"]["input"])}
    if len(fields["name"].strip()) < 3:
        raise fail("data", name="String value is too short")
    task = _new(call, fields)
    call.store.put("tasks", task)
    return {"id": task["id"], **answer}


@endpoint("tasks.edit", fields=_STATUS)
def edit(call):
    """Embedded objects are merged with what is there; everything else is replaced."""
    task = by_id(call, call.req.task)
    if not call.req.force and task["status"] != "created":
        raise fail("task_status", expected="created", status=task["status"])
    fields = _sent_fields(call, (*_CREATE, "status"), task)
    if not fields:
        return {"updated": 0, "fields": {}}
    write(task, copy.deepcopy(fields))
    fields.update(touch(task, call.user, update=not set(fields) <= set(_UPDATE)))
    call.store.put("tasks", task)
    return {"updated": 1, "fields": fields}


@endpoint("tasks.update", fields=_STATUS)
def update(call):
    task = by_id(call, call.req.task)
    fields = _sent_fields(call, _UPDATE)
    if not fields:
        return {"updated": 0, "fields": {}}
    write(task, fields)
    fields = {**fields, **touch(task, call.user, update=False)}
    call.store.put("tasks", task)
    return {"updated": 1, "fields": fields}


@endpoint("tasks.update_batch")
def update_batch(call):
    if not call.batch:
        raise fail("empty_batch")
    count = 0
    for item in call.batch:
        task = call.store.get("tasks", item.get("task"))
        if task:
            call.data = item
            write(task, _sent_fields(call, _UPDATE))
            touch(task, call.user, update=False)
            call.store.put("tasks", task)
            count += 1
    return {"updated": count}


@endpoint("tasks.set_requirements", fields={**_TASK, "requirements": Dict(required=True)})
def set_requirements(call):
    task = by_id(call, call.req.task)
    task["script"]["requirements"] = call.req.requirements
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"updated": 1, "fields": {}}


@endpoint("tasks.edit_runtime", "2.34", {**_FORCED, "add_or_update": Dict(), "remove": List()})
def edit_runtime(call):
    task = by_id(call, call.req.task)
    runtime = {key: value for key, value in task["runtime"].items() if key not in (call.req.remove or ())}
    task["runtime"] = {**runtime, **(call.req.add_or_update or {})}
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"updated": 1}


_PARAMETER = {"section": Str(required=True), "name": Str(required=True), "value": Str(required=True), "type": Str(), "description": Str()}


@endpoint(
    "tasks.edit_hyper_params",
    "2.9",
    {**_FORCED, "hyperparams": List(model=_PARAMETER, shortest=1), "replace_hyperparams": Str(choices=("none", "section", "all"))},
)
def edit_hyper_params(call):
    task = _hyper_params_of(call)
    params = {} if call.req.replace_hyperparams == "all" else task["hyperparams"]
    if call.req.replace_hyperparams == "section":
        params = {key: value for key, value in params.items() if key not in {item["section"] for item in call.req.hyperparams}}
    for item in call.req.hyperparams:
        params.setdefault(item["section"], {})[item["name"]] = item
    task["hyperparams"] = params
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"updated": 1}


def _hyper_params_of(call):
    """The task, where it may be edited: user properties at any time, the rest of new tasks or by force."""
    task = by_id(call, call.req.task)
    properties_only = all(item["section"] == "properties" for item in call.req.hyperparams)
    if task["status"] != "created" and not call.req.force and not properties_only:
        raise fail("task_status", expected="created", status=task["status"])
    return task


@endpoint(
    "tasks.delete_hyper_params",
    "2.9",
    {**_FORCED, "hyperparams": List(model={"section": Str(required=True), "name": Str()}, shortest=1)},
)
def delete_hyper_params(call):
    """Without a name the whole section goes."""
    task = _hyper_params_of(call)
    for item in call.req.hyperparams:
        section = task["hyperparams"].get(item["section"], {})
        if item.get("name"):
            section.pop(item["name"], None)
        if not section or not item.get("name"):
            task["hyperparams"].pop(item["section"], None)
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"deleted": 1}


@endpoint("tasks.get_hyper_params", "2.9", {"tasks": List(shortest=1)})
def get_hyper_params(call):
    result = []
    for key in call.req.tasks:
        task = call.store.get("tasks", key)
        if task:
            items = [item for section in task["hyperparams"].values() for item in section.values()]
            result.append({"task": key, "hyperparams": items})
    return {"params": result}


_CONFIGURATION = {"name": Str(required=True), "value": Str(required=True), "type": Str(), "description": Str()}


@endpoint(
    "tasks.edit_configuration",
    "2.9",
    {**_FORCED, "configuration": List(model=_CONFIGURATION, shortest=1), "replace_configuration": Bool(default=False)},
)
def edit_configuration(call):
    task = by_id(call, call.req.task)
    items = {item["name"]: item for item in call.req.configuration}
    task["configuration"] = items if call.req.replace_configuration else {**task["configuration"], **items}
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"updated": 1}


@endpoint("tasks.delete_configuration", "2.9", {**_FORCED, "configuration": List(shortest=1)})
def delete_configuration(call):
    task = by_id(call, call.req.task)
    task["configuration"] = {key: item for key, item in task["configuration"].items() if key not in call.req.configuration}
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"deleted": 1}


@endpoint("tasks.get_configurations", "2.9", {"tasks": List(shortest=1), "names": List()})
def get_configurations(call):
    result = []
    for key in call.req.tasks:
        task = call.store.get("tasks", key)
        if task:
            items = [item for item in task["configuration"].values() if not call.req.names or item["name"] in call.req.names]
            result.append({"task": key, "configuration": items})
    return {"configurations": result}


@endpoint("tasks.get_configuration_names", "2.9", {"tasks": List(shortest=1), "skip_empty": Bool(default=True)})
def get_configuration_names(call):
    found = [(key, call.store.get("tasks", key)) for key in call.req.tasks]
    return {"configurations": [{"task": key, "names": sorted(task["configuration"])} for key, task in found if task]}


_ARTIFACT = {
    "key": Str(required=True),
    "type": Str(required=True),
    "mode": Str(choices=("input", "output"), default="output"),
    "uri": Str(),
    "hash": Str(),
    "content_size": Int(),
    "timestamp": Int(),
    "type_data": Dict(),
    "display_data": List(list, default=[]),
}


@endpoint("tasks.add_or_update_artifacts", "2.10", {**_FORCED, "artifacts": List(model=_ARTIFACT, shortest=1)})
def add_or_update_artifacts(call):
    task = by_id(call, call.req.task)
    kept = {(item["key"], item["mode"]): item for item in task["execution"]["artifacts"]}
    for item in call.req.artifacts or ():
        kept[item["key"], item["mode"]] = item
    task["execution"]["artifacts"] = list(kept.values())
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"updated": 1}


@endpoint(
    "tasks.delete_artifacts",
    "2.10",
    {**_FORCED, "artifacts": List(model={"key": Str(required=True), "mode": Str(default="output")}, shortest=1)},
)
def delete_artifacts(call):
    task = by_id(call, call.req.task)
    gone = {(item["key"], item["mode"]) for item in call.req.artifacts or ()}
    task["execution"]["artifacts"] = [item for item in task["execution"]["artifacts"] if (item["key"], item["mode"]) not in gone]
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"deleted": 1}


_LINK = {**_TASK, "name": Str(required=True), "model": Str(required=True), "type": Str(required=True, choices=("input", "output"))}


@endpoint("tasks.add_or_update_model", "2.13", {**_LINK, "iteration": Int()})
def add_or_update_model(call):
    task, req = by_id(call, call.req.task), call.req
    if not call.store.get("models", req.model):
        raise fail("model_id", model=req.model, company=call.company)
    linked = [item for item in task["models"][req.type] if item["name"] != req.name]
    task["models"][req.type] = [*linked, {"name": req.name, "model": req.model, "updated": stored(now())}]
    if req.iteration:
        task["last_iteration"] = max(task["last_iteration"], req.iteration)
    touch(task, call.user)
    call.store.put("tasks", task)
    return {"updated": 1}


# --- queueing ---------------------------------------------------------------------------------------------------------


@endpoint(
    "tasks.enqueue",
    fields={
        **_STATUS,
        "queue": Str(),
        "queue_name": Str(),
        "verify_watched_queue": Bool(default=False),
        "update_execution_queue": Bool(default=True),
    },
)
def enqueue(call):
    """An unknown queue_name makes the queue; a failure afterwards leaves its trace in the task's status_reason."""
    req = call.req
    if req.verify_watched_queue and not req.update_execution_queue:
        raise fail("validation", "verify_watched_queue cannot be used with update_execution_queue=False")
    if req.queue and req.queue_name:
        raise fail("validation", "Either queue id or queue name should be provided")
    task = by_id(call, req.task)
    if not req.update_execution_queue and not (task["status"] == "queued" and task["execution"].get("queue")):
        text = "Cannot skip setting execution queue for a task that is not enqueued or does not have execution queue set"
        raise fail("validation", text)
    queue_id = req.queue
    if req.queue_name:
        queue_id = (queues.by_name(call.store, req.queue_name) or queues.new_queue(call.store, req.queue_name))["id"]
    queue_id = queue_id or queues.default_queue(call)["id"]
    before = task["status"]
    if before == "queued" and task.get("enqueue_status"):
        before = task["enqueue_status"]
    previous = task["status"]
    result = change(call, task, "queued", req.status_reason, req.status_message, req.force, enqueue_status=before)
    try:
        queues.add_entry(call, queue_id, task["id"])
    except ApiError:
        change(call, task, previous, reason="failed enqueueing", force=True, enqueue_status=None)
        raise
    if req.update_execution_queue:
        task["execution"]["queue"] = queue_id
        result["fields"]["execution.queue"] = queue_id
        call.store.put("tasks", task)
    queues.remove_everywhere(call.store, task["id"], but=queue_id)
    if req.verify_watched_queue:
        from .workers import alive

        result["queue_watched"] = any(queue_id in worker["queues"] for worker in alive(call.store))
    return {**result, "queued": 1}


def _leave_queue(call, task):
    """Take a queued task out of its queue. Returns {removed: 1}, or {} when it was in none."""
    queue = call.store.get("queues", task["execution"].get("queue") or "") if task["status"] == "queued" else None
    if not queue or all(entry["task"] != task["id"] for entry in queue["entries"]):
        return {}
    queue["entries"] = [entry for entry in queue["entries"] if entry["task"] != task["id"]]
    queue["last_update"] = stored(now())
    call.store.put("queues", queue)
    return {"removed": 1}


@endpoint("tasks.dequeue", fields={**_STATUS, "remove_from_all_queues": Bool(default=False), "new_status": Str()})
def dequeue(call):
    """Unknown and never queued tasks are no error (clearml-api/tasks.dequeue.jsonl)."""
    req = call.req
    if req.new_status and req.new_status not in STATUSES:
        raise fail("validation", f"Invalid task status: {req.new_status}")
    task = call.store.get("tasks", req.task)
    nothing = {"dequeued": 1, "updated": 0, "fields": {}}
    if not task:
        queues.remove_everywhere(call.store, req.task)
        return nothing
    _leave_queue(call, task)
    if req.remove_from_all_queues:
        queues.remove_everywhere(call.store, task["id"])
    if task["status"] not in ("queued", "in_progress"):
        return nothing
    status = req.new_status or task.get("enqueue_status") or "created"
    return {"dequeued": 1, **change(call, task, status, req.status_reason, req.status_message, True, enqueue_status=None)}


# --- running ----------------------------------------------------------------------------------------------------------


def _finish(call, status, **extra):
    req = call.req
    return change(call, by_id(call, req.task), status, req.status_reason, req.status_message, req.force, **extra)


@endpoint("tasks.started", fields=_STATUS)
def started(call):
    task, extra = call.store.get("tasks", call.req.task), {}
    if not task:
        raise fail("invalid_id", task=None)
    if not (task["status"] == "in_progress" and task.get("started")):
        extra["started"] = iso(now())
    result = _finish(call, "in_progress", **extra)
    if extra:
        for name in ("completed", "active_duration"):
            task.pop(name, None)
    return {**result, "started": result["updated"]}


@endpoint("tasks.ping", fields=_TASK)
def ping(call):
    """An unknown task is no error (clearml-api/tasks.ping.jsonl)."""
    task = call.store.get("tasks", call.req.task)
    if task:
        note_activity(call, task)


def note_activity(call, task):
    """Whatever a running task reports also counts its running time."""
    touch(task, call.user)
    if task["status"] == "in_progress" and task.get("started"):
        task["active_duration"] = int((now() - datetime.fromisoformat(task["started"])).total_seconds())
    call.store.put("tasks", task)


@endpoint("tasks.stop", fields={**_STATUS, "include_pipeline_steps": Bool(default=False)})
def stop(call):
    """A task that a worker reported on within ten minutes is only asked to stop; all others stop at once."""
    task, req = by_id(call, call.req.task), call.req
    age = (now() - datetime.fromisoformat(task["last_update"])).total_seconds()
    at_work = bool(task.get("last_worker")) and age < 600
    if task["status"] == "queued" or "development" in task["system_tags"] or not at_work:
        _leave_queue(call, task)
        return change(call, task, "stopped", req.status_reason, f"Stopped by {call.identity.user_name}", req.force)
    return change(call, task, task["status"], req.status_reason, "stopping", req.force)


@endpoint("tasks.stopped", fields=_STATUS)
def stopped(call):
    return _finish(call, "stopped", completed=iso(now()))


@endpoint("tasks.failed", fields=_STATUS)
def failed(call):
    return _finish(call, "failed", completed=iso(now()))


@endpoint("tasks.close", fields=_STATUS)
def close(call):
    return _finish(call, "closed")


@endpoint("tasks.completed", "2.2", {**_STATUS, "publish": Bool(default=False)})
def completed(call):
    result = {**_finish(call, "completed", completed=iso(now())), "published": 0}
    if call.req.publish:
        published = _finish(call, "published", published=iso(now()))
        result["published"] = published["updated"]
        result["fields"]["status"] = "published"
    return result


@endpoint("tasks.publish", fields={**_STATUS, "publish_model": Bool(default=True)})
def publish(call):
    task = by_id(call, call.req.task)
    result = _finish(call, "published", published=iso(now()))
    if call.req.publish_model:
        for linked in task["models"]["output"][-1:]:
            model = call.store.get("models", linked["model"])
            if model:
                model["ready"] = True
                call.store.put("models", model)
    result["fields"]["output"] = task["output"]
    return result


# --- ending -----------------------------------------------------------------------------------------------------------


_CLEAN_UP = {**_STATUS, "return_file_urls": Bool(), "delete_output_models": Bool(), "delete_external_artifacts": Bool()}


@endpoint("tasks.reset", fields={**_CLEAN_UP, "clear_all": Bool(default=False)})
def reset(call):
    task, req = by_id(call, call.req.task), call.req
    if not req.force and task["status"] == "published":
        raise fail("task_status", task_id=task["id"], status=task["status"])
    dequeued = _leave_queue(call, task)
    queues.remove_everywhere(call.store, task["id"])
    result = change(call, task, "created", "reset", "reset", req.force)
    gone = ("last_worker", "last_worker_report", "started", "completed", "published", "active_duration", "enqueue_status")
    for name in gone:
        task.pop(name, None)
    task.update(last_iteration=0, last_metrics={}, unique_metrics=[], metric_stats={}, runtime={})
    task["models"]["output"] = []
    for name in ("result", "error"):
        task["output"].pop(name, None)
    if req.clear_all:
        fresh = _new(call, {"name": task["name"], "type": task["type"]})
        task.update(execution=fresh["execution"], script=fresh["script"])
    task["execution"].pop("queue", None)
    task["execution"]["artifacts"] = [item for item in task["execution"]["artifacts"] if item.get("mode") == "input"]
    call.store.put("tasks", task)
    forget_events(call.store, task["id"])
    return {**result, "dequeued": dequeued, "deleted_models": 0, "events": {}, "urls": {}}


@endpoint("tasks.delete", fields={**_CLEAN_UP, "move_to_trash": Bool(default=False), "include_pipeline_steps": Bool()})
def delete(call):
    task = by_id(call, call.req.task)
    if task["status"] != "created" and "archived" not in task["system_tags"] and not call.req.force:
        raise fail("task_cannot_be_deleted", "due to status, use force=True", task=task["id"], expected="created", current=task["status"])
    queues.remove_everywhere(call.store, task["id"])
    children = [other for other in call.store.all("tasks") if other.get("parent") == task["id"]]
    for child in children:
        child["parent"] = f"__DELETED__{task['id']}"
        call.store.put("tasks", child)
    call.store.delete("tasks", task["id"])
    forget_events(call.store, task["id"])
    urls = {"model_urls": [], "event_urls": [], "artifact_urls": []} if call.req.return_file_urls else None
    return {"deleted": True, "updated_children": len(children), "updated_models": 0, "deleted_models": 0, "urls": urls}


def _archive(call, add):
    count = 0
    for key in call.req.tasks:
        task = by_id(call, key)
        tags = {*task["system_tags"], "archived"} if add else {*task["system_tags"]} - {"archived"}
        task["system_tags"] = sorted(tags)
        if add:
            queues.remove_everywhere(call.store, key)
        touch(task, call.user, update=False)
        call.store.put("tasks", task)
        count += 1
    return count


_MANY = {"tasks": List(required=True, shortest=1), "status_reason": Str(default=""), "status_message": Str(default="")}


@endpoint("tasks.archive", "2.12", _MANY)
def archive(call):
    return {"archived": _archive(call, True)}


def _each(call, action):
    """The batch form of an endpoint: what worked and what did not."""
    done, wrong = [], []
    for key in call.req.ids:
        call.req.task = key
        try:
            done.append({"id": key, **action(call)})
        except ApiError as error:
            wrong.append({"id": key, "error": {"codes": [error.code, error.subcode], "msg": error.msg, "data": error.data}})
    return {"succeeded": done, "failed": wrong}


_BATCH = {name: field for name, field in _CLEAN_UP.items() if name != "task"} | {"ids": List(required=True, shortest=1)}


@endpoint("tasks.delete_many", "2.13", {**_BATCH, "move_to_trash": Bool()})
def delete_many(call):
    return _each(call, delete)


@endpoint("tasks.stop_many", "2.13", {**_BATCH, "include_pipeline_steps": Bool()})
def stop_many(call):
    return _each(call, stop)


@endpoint("tasks.reset_many", "2.13", {**_BATCH, "clear_all": Bool()})
def reset_many(call):
    return _each(call, reset)


@endpoint("tasks.archive_many", "2.13", _BATCH)
def archive_many(call):
    call.req.tasks = call.req.ids
    _archive(call, True)
    return {"succeeded": [{"id": key, "archived": True} for key in call.req.ids], "failed": []}


@endpoint("tasks.unarchive_many", "2.13", _BATCH)
def unarchive_many(call):
    call.req.tasks = call.req.ids
    _archive(call, False)
    return {"succeeded": [{"id": key, "unarchived": True} for key in call.req.ids], "failed": []}


@endpoint("tasks.move", "2.12", {"ids": List(required=True), "project": Str(), "project_name": Str()})
def move(call):
    req = call.req
    if not (req.project or req.project_name):
        raise fail("validation", "project id or name required")
    project = projects.by_id(call.store, req.project) if req.project else projects.find_or_create(call, req.project_name)
    for key in req.ids:
        task = by_id(call, key)
        task["project"] = project["id"]
        touch(task, call.user)
        call.store.put("tasks", task)
    return {"updated": len(req.ids), "project_id": project["id"]}
