# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""models.*: what tasks read and write as models."""

from . import projects
from .auth import COMPANY
from .calls import endpoint, new_id, now, stored
from .errors import fail
from .query import Kind, get_all, get_all_ex, without
from .schema import Bool, Dict, Int, List, Str

FIELDS = (
    "id",
    "company",
    "user",
    "name",
    "parent",
    "project",
    "task",
    "comment",
    "tags",
    "system_tags",
    "uri",
    "framework",
    "design",
    "labels",
    "ready",
    "created",
    "last_update",
    "metadata",
    "ui_cache",
    "stats",
)
KIND = Kind(
    "models",
    FIELDS,
    lists=("user", "project", "task", "parent", "framework", "uri"),
    plain=("ready",),
    dates=("created", "last_update"),
    joins={"company": "companies", "user": "users", "project": "projects", "task": "tasks", "parent": "models"},
)
_METADATA = {name: Str(required=True) for name in ("key", "type", "value")}
_FIELDS = {
    "name": Str(),
    "uri": Str(),
    "labels": Dict(),
    "tags": List(),
    "system_tags": List(),
    "comment": Str(),
    "design": Dict(),
    "framework": Str(),
    "project": Str(),
    "parent": Str(),
    "task": Str(),
    "ready": Bool(),
    "metadata": Dict(_METADATA, "apiserver.apimodels.metadata.MetadataItem"),
}
_MODEL = {"model": Str(required=True)}


def _by_id(call, key):
    model = call.store.get("models", key)
    if not model:
        raise fail("model_id", id=key, company=call.company)
    return model


def _sent(call):
    fields = call.sent(*_FIELDS)
    for name, collection, what in (("parent", "models", "Model"), ("project", "projects", "Project"), ("task", "tasks", "Task")):
        if fields.get(name) and not call.store.get(collection, fields[name]):
            raise fail("field_value", f"expecting {what} id", id=fields[name], field=name)
    for name in ("tags", "system_tags"):
        if name in fields:
            fields[name] = sorted(fields[name])
    return fields


def _create(call, fields):
    moment = stored(now())
    model = {
        "id": new_id(),
        "company": COMPANY,
        "user": call.user,
        "created": moment,
        "last_update": moment,
        "tags": [],
        "system_tags": [],
        "design": {},
        "labels": {},
        "ready": True,
        "metadata": {},
        "ui_cache": {},
        "stats": {},
        **fields,
    }
    call.store.put("models", model)
    return model


@endpoint("models.create", fields={**_FIELDS, "name": Str(required=True), "uri": Str(required=True)})
def create(call):
    return {"id": _create(call, _sent(call))["id"], "created": True}


@endpoint("models.get_by_id", fields=_MODEL)
def get_by_id(call):
    return {"model": without(_by_id(call, call.req.model), ())}


@endpoint("models.get_all")
def models_get_all(call):
    found, rest = get_all(call, KIND)
    return {"models": found, **rest}


@endpoint("models.get_all_ex")
def models_get_all_ex(call):
    found, rest = get_all_ex(call, KIND)
    return {"models": found, **rest}


@endpoint("models.get_by_task_id", fields={"task": Str()})
def get_by_task_id(call):
    task = call.store.get("tasks", call.req.task)
    if not task:
        raise fail("task_id", id=call.req.task, company=call.company)
    linked = task["models"]["output"]
    if not linked:
        raise fail("model_id", "task has no output model", task=call.req.task)
    return {"model": without(_by_id(call, linked[-1]["model"]), ())}


@endpoint(
    "models.update_for_task",
    fields={"task": Str(required=True), "uri": Str(), "iteration": Int(), "override_model_id": Str(), "name": Str()},
)
def update_for_task(call):
    """The task's output model gets this address, or the task gets a model or another model's link."""
    req = call.req
    task = call.store.get("tasks", req.task)
    if not task:
        raise fail("task_id", id=req.task, company=call.company)
    if req.override_model_id:
        model, created = _by_id(call, req.override_model_id), False
    elif not req.uri:
        raise fail("missing_fields", "exactly one field is required", fields=("uri", "override_model_id"))
    else:
        model, created = None, True
        if task["models"]["output"]:
            model = call.store.get("models", task["models"]["output"][-1]["model"])
        if model:
            model.update(uri=req.uri, last_update=stored(now()))
            call.store.put("models", model)
            created = False
        else:
            fields = {"name": req.name or task["name"], "uri": req.uri, "task": task["id"], "ready": False, "comment": ""}
            if task.get("project"):
                fields["project"] = task["project"]
            model = _create(call, fields)
    task["models"]["output"] = [{"name": model["name"], "model": model["id"], "updated": stored(now())}]
    if req.iteration is not None:
        task["last_iteration"] = max(task["last_iteration"], req.iteration)
    call.store.put("tasks", task)
    return {"id": model["id"], "created": created, "updated": 1}


def _change(call):
    model, fields = _by_id(call, call.req.model), _sent(call)
    if fields:
        model.update(fields, last_update=stored(now()))
        call.store.put("models", model)
    return {"updated": int(bool(fields)), "fields": fields}


@endpoint("models.edit", fields={**_MODEL, **_FIELDS, "iteration": Int()})
def edit(call):
    return _change(call)


@endpoint("models.update", fields={**_MODEL, **_FIELDS, "iteration": Int()})
def update(call):
    return _change(call)


@endpoint("models.set_ready", fields={**_MODEL, "force_publish_task": Bool(), "publish_task": Bool()})
def set_ready(call):
    model = _by_id(call, call.req.model)
    if model["ready"]:
        raise fail("model_ready", model=model["id"])
    model.update(ready=True, last_update=stored(now()))
    call.store.put("models", model)
    return {"updated": 1, "published_task": None}


@endpoint("models.delete", fields={**_MODEL, "force": Bool(default=False), "delete_external_artifacts": Bool(), "return_file_url": Bool()})
def delete(call):
    model = _by_id(call, call.req.model)
    for task in call.store.all("tasks"):
        for mode in ("input", "output"):
            left = [item for item in task["models"][mode] if item.get("model") != model["id"]]
            if len(left) < len(task["models"][mode]):
                task["models"][mode] = left
                call.store.put("tasks", task)
    call.store.delete("models", model["id"])
    return {"deleted": True, "url": model.get("uri")}


@endpoint("models.move", "2.12", {"ids": List(required=True), "project": Str(), "project_name": Str()})
def move(call):
    req = call.req
    if not (req.project or req.project_name):
        raise fail("validation", "project id or name required")
    project = projects.by_id(call.store, req.project) if req.project else projects.find_or_create(call, req.project_name)
    for key in req.ids:
        model = _by_id(call, key)
        model["project"] = project["id"]
        call.store.put("models", model)
    return {"updated": len(req.ids), "project_id": project["id"]}


@endpoint(
    "models.add_or_update_metadata",
    "2.13",
    {**_MODEL, "metadata": List(model=_METADATA, shortest=1), "replace_metadata": Bool(default=False)},
)
def add_or_update_metadata(call):
    model = _by_id(call, call.req.model)
    items = {item.get("key"): item for item in call.req.metadata}
    model["metadata"] = items if call.req.replace_metadata else {**model["metadata"], **items}
    call.store.put("models", model)
    return {"updated": 1}
