# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""projects.*: a tree by name, "top/sub/leaf"; missing parents are made."""

from . import tasks_state
from .auth import COMPANY
from .calls import endpoint, iso, new_id, now, stored
from .errors import fail
from .query import Kind, get_all, get_all_ex, without
from .schema import Any, Bool, Str

FIELDS = (
    "id",
    "company",
    "user",
    "name",
    "basename",
    "description",
    "created",
    "tags",
    "system_tags",
    "default_output_destination",
    "last_update",
    "featured",
    "logo_url",
    "parent",
    "path",
)
KIND = Kind(
    "projects",
    FIELDS,
    hidden=("path",),
    lists=("parent", "path"),
    dates=("last_update",),
    joins={"company": "companies", "user": "users", "parent": "projects"},
)
MAX_DEPTH = 10
_EDITABLE = ("name", "description", "tags", "system_tags", "default_output_destination")
_PROJECT = {"project": Str(required=True)}


def by_id(store, key):
    project = store.get("projects", key)
    if not project:
        raise fail("project_id", id=key)
    return project


def by_name(store, name):
    return next((project for project in store.all("projects") if project["name"] == name), None)


def clean_name(name):
    """Without empty parts and spaces around parts. Raises 400/407 for nothing but slashes."""
    parts = [part.strip() for part in name.split("/") if part]
    if not parts:
        raise fail("project_name", name=name)
    return "/".join(parts)


def _basename(name):
    base = name.rpartition("/")[2]
    if len(base) < 3:
        raise fail("validation", "Project name cannot be blank")
    return base


def _new(call, name, **fields):
    base = _basename(name)
    location = name.rpartition("/")[0]
    parent = None
    if location:
        parent = by_name(call.store, location) or _new(call, location, description="")
    moment = stored(now())
    project = {
        "id": new_id(),
        "company": COMPANY,
        "user": call.user,
        "name": name,
        "basename": base,
        "created": moment,
        "tags": [],
        "system_tags": [],
        "last_update": moment,
        "featured": 9999,
        **fields,
        "path": [*parent["path"], parent["id"]] if parent else [],
    }
    if parent:
        project["parent"] = parent["id"]
        parent["last_update"] = moment
        call.store.put("projects", parent)
    call.store.put("projects", project)
    return project


def find_or_create(call, name):
    name = clean_name(name)
    return by_name(call.store, name) or _new(call, name, description="")


def with_children(store, ids):
    """The ids and those of all projects below."""
    return [project["id"] for project in store.all("projects") if project["id"] in ids or set(project["path"]) & set(ids)]


def _sent_fields(call):
    fields = {name: call.data[name] for name in _EDITABLE if call.data.get(name) is not None}
    for name in ("tags", "system_tags"):
        if name in fields:
            wrong = [tag for tag in fields[name] if tag.startswith("__$")]
            if wrong:
                raise fail("field_value", "unsupported tag prefix", values=wrong)
            fields[name] = sorted(fields[name])
    return fields


@endpoint("projects.create", required=("name",))
def create(call):
    fields = _sent_fields(call)
    name = fields.pop("name")
    if len([part for part in name.split("/") if part]) > MAX_DEPTH:
        raise fail("project_depth", max_depth=MAX_DEPTH)
    name = clean_name(name)
    if by_name(call.store, name):
        raise fail("project_exists", name=name, company=call.company)
    return {"id": _new(call, name, **{"description": "", **fields})["id"]}


@endpoint("projects.get_by_id", fields=_PROJECT)
def get_by_id(call):
    """The only call that shows `path`."""
    return {"project": without(by_id(call.store, call.req.project), ())}


def _candidates(call):
    projects, asked = call.store.all("projects"), call.data
    if not asked.get("search_hidden") and not asked.get("id"):
        projects = [project for project in projects if "hidden" not in project["system_tags"]]
    query = {key: value for key, value in asked.items() if key != "path"}
    if not asked.get("shallow_search"):
        if "parent" in query:
            query["path"] = query.pop("parent")
    elif "parent" not in query:
        query["parent"] = [None]
    if query.get("basename"):
        query["_all_"] = query.get("_all_") or {"fields": ["basename"], "pattern": query["basename"]}
    return projects, query


@endpoint("projects.get_all")
def projects_get_all(call):
    found, rest = get_all(call, KIND, *_candidates(call))
    return {"projects": found, **rest}


@endpoint(
    "projects.get_all_ex",
    fields={"include_stats": Bool(), "stats_with_children": Bool(default=True), "search_hidden": Bool(), "include_dataset_stats": Bool()},
)
def projects_get_all_ex(call):
    found, rest = get_all_ex(call, KIND, *_candidates(call))
    for project in found:
        if call.req.include_stats:
            below = [item for item in call.store.all("projects") if project["id"] in item["path"]]
            project["stats"] = {"active": _stats(call, project["id"], call.req.stats_with_children)}
            project["sub_projects"] = [{"id": item["id"], "name": item["name"]} for item in below]
    return {"projects": found, **rest}


def _stats(call, key, children):
    ids = with_children(call.store, [key]) if children else [key]
    tasks = [task for task in call.store.all("tasks") if task.get("project") in ids and "archived" not in task["system_tags"]]
    started = [task["started"] for task in tasks if task.get("started")]
    day_ago = iso(now().fromtimestamp(now().timestamp() - 86400, now().tzinfo))
    return {
        "status_count": {status: sum(task["status"] == status for task in tasks) for status in sorted(tasks_state.STATUSES)},
        "total_tasks": len(tasks),
        "total_runtime": sum(task.get("active_duration") or 0 for task in tasks),
        "completed_tasks_24h": sum(task["status"] == "completed" and (task.get("completed") or "") > day_ago for task in tasks),
        "last_task_run": max(started, default=None),
    }


@endpoint("projects.update", fields=_PROJECT)
def update(call):
    project, fields = by_id(call.store, call.req.project), _sent_fields(call)
    changes = dict(fields)
    if "name" in changes:
        name = clean_name(changes["name"])
        if name.rpartition("/")[0] != project["name"].rpartition("/")[0]:
            raise fail("project_location", name=name)
        other = by_name(call.store, name)
        if other and other["id"] != project["id"]:
            raise fail("unique", name=name, company=COMPANY)
        changes.update(name=name, basename=_basename(name))
        for child in call.store.all("projects"):
            if project["id"] in child["path"]:
                child["name"] = name + child["name"][len(project["name"]) :]
                call.store.put("projects", child)
    moment = iso(now())
    project.update(changes, last_update=tasks_state.truncated(moment))
    call.store.put("projects", project)
    return {"updated": 1, "fields": {**fields, "last_update": moment} if fields else {"last_update": moment}}


def _contents(call, ids, kind):
    return [item for item in call.store.all(kind) if item.get("project") in ids]


@endpoint("projects.validate_delete", "2.14", fields=_PROJECT)
def validate_delete(call):
    ids = with_children(call.store, [by_id(call.store, call.req.project)["id"]])
    result = {"pipelines": 0, "datasets": 0, "reports": 0, "non_archived_reports": 0}
    for kind in ("tasks", "models"):
        items = _contents(call, ids, kind)
        result[kind] = len(items)
        result["non_archived_" + kind] = sum("archived" not in item["system_tags"] for item in items)
    return result


@endpoint("projects.delete", fields={**_PROJECT, "force": Bool(default=False), "delete_contents": Bool(default=False)})
def delete(call):
    key = by_id(call.store, call.req.project)["id"]
    ids = with_children(call.store, [key])
    if not call.req.force:
        for kind, error in (("tasks", "project_has_tasks"), ("models", "project_has_models")):
            if any("archived" not in item["system_tags"] for item in _contents(call, ids, kind)):
                raise fail(error, "use force=true", id=key)
    result = {"deleted": len(ids), "disassociated_tasks": 0, "deleted_models": 0, "deleted_tasks": 0, "urls": None}
    for kind in ("tasks", "models"):
        for item in _contents(call, ids, kind):
            if call.req.delete_contents:
                if kind == "tasks":
                    tasks_state.forget_events(call.store, item["id"])
                call.store.delete(kind, item["id"])
                result["deleted_" + kind] += 1
            else:
                item.pop("project")
                call.store.put(kind, item)
                result["disassociated_tasks"] += kind == "tasks"
    if call.req.delete_contents:
        result["urls"] = {"model_urls": [], "event_urls": [], "artifact_urls": []}
    for item in ids:
        call.store.delete("projects", item)
    return result


@endpoint("projects.get_task_tags", "2.8", fields={"projects": Any(), "include_system": Bool()})
def get_task_tags(call):
    """The tags of the tasks of some or all projects."""
    tasks = [task for task in call.store.all("tasks") if not call.req.projects or task.get("project") in call.req.projects]
    names = ("tags", "system_tags") if call.req.include_system else ("tags",)
    return {name: sorted({tag for task in tasks for tag in task[name]}) for name in names}
