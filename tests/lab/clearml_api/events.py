# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""events.*: log lines, scalars, plots of tasks. They stay in the store's lists and are read back in parts."""

import hashlib
import heapq

from .calls import endpoint, now
from .errors import ApiError, fail
from .schema import Any, Bool, Int, List, Str
from .tasks import note_activity
from .tasks_state import events_list

TYPES = ("log", "training_stats_scalar", "training_stats_vector", "training_debug_image", "plot")
_PART = 1000
_MANY = 10000


def _hash(text):
    """Metrics and variants are keys of maps by the MD5 of their names."""
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _written():
    return now().isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _note_scalar(task, event):
    value, iteration = event.get("value"), event.get("iter") or 0
    if not isinstance(value, (int, float)):
        return
    metric, variant = event["metric"], event["variant"]
    last = task["last_metrics"].setdefault(_hash(metric), {}).setdefault(_hash(variant), {})
    if not last:
        last.update(metric=metric, variant=variant, count=0, mean_value=0, first_value=value, first_value_iteration=iteration)
        last.update(min_value=value, min_value_iteration=iteration, max_value=value, max_value_iteration=iteration)
        task["unique_metrics"] = sorted({*task["unique_metrics"], f"{metric}/{variant}"})
    if iteration >= last.get("iteration", iteration):
        last.update(value=value, iteration=iteration)
    if value < last["min_value"]:
        last.update(min_value=value, min_value_iteration=iteration)
    if value > last["max_value"]:
        last.update(max_value=value, max_value_iteration=iteration)
    last["mean_value"] = round((last["mean_value"] * last["count"] + value) / (last["count"] + 1), 2)
    last["count"] += 1


def _add(call, events):
    errors, added, touched = {}, 0, {}
    worker = call.headers.get("x-clearml-worker") or call.headers.get("x-trains-worker") or "<unknown>"
    for event in events:
        kind = str(event.get("type", "")).replace(" ", "_")
        task = call.store.get("tasks", event.get("task"))
        if event.get("type") is None:
            problem = "Event must have a 'type' field"
        elif kind not in TYPES:
            problem = f"Invalid event type {kind}"
        elif event.get("task") is None:
            problem = "Event must have a 'task' field"
        elif task is None:
            problem = f"Invalid task id {event['task']}"
        else:
            problem = None
        if problem:
            errors[problem] = errors.get(problem, 0) + 1
            continue
        event = {key: value for key, value in event.items() if key not in ("allow_locked", "method", "x_axis_label")}
        event["type"] = kind
        event.setdefault("model_event", False)
        event["@timestamp"] = _written()
        event.setdefault("timestamp", event.pop("ts", None) or int(now().timestamp() * 1000))
        event.setdefault("worker", worker)
        if event.get("iter") is not None:
            event["iter"] = int(event["iter"])
            task["last_iteration"] = max(task["last_iteration"], event["iter"])
        if "values" in event:
            event["value"] = event.pop("values")
        event["metric"], event["variant"] = event.get("metric") or "", event.get("variant") or ""
        call.store.append(events_list("log" if kind == "log" else "data", task["id"]), event)
        if task["id"] not in touched:
            task["metric_stats"] = {}  # each batch replaces them (agent-and-sdk-sessions.json, sdk_task_init)
        stats = task["metric_stats"].setdefault(_hash(event["metric"]), {"metric": event["metric"], "event_stats_by_type": {}})
        stats["event_stats_by_type"][kind] = {"last_update": event["timestamp"]}
        if kind == "training_stats_scalar":
            _note_scalar(task, event)
        touched[task["id"]] = task
        added += 1
    for task in touched.values():
        note_activity(call, task)
    if not added:
        text = ", ".join(f"{problem}={count}" for problem, count in errors.items())
        raise ApiError(400, 131, f"Events not added: {text}", errors)
    return {"added": added, "errors": sum(errors.values()), "errors_info": errors}


@endpoint("events.add")
def add(call):
    return _add(call, [call.data])


@endpoint("events.add_batch")
def add_batch(call):
    if not call.batch:
        raise fail("empty_batch")
    return _add(call, call.batch)


def _task(call, key):
    if not call.store.get("tasks", key):
        raise fail("task_id", ids=[key])


def _stream(call, kind, key):
    name = events_list(kind, key)
    for start in range(0, call.store.count(name), _PART):
        yield from call.store.events(name, start, _PART)


_LOG = {"task": Str(required=True), "batch_size": Int(default=500), "order": Str(choices=("asc", "desc"))}


@endpoint("events.get_task_log", "2.9", {**_LOG, "navigate_earlier": Bool(default=True), "from_timestamp": Int(), "metrics": Any()})
def get_task_log(call):
    """The next lines from a moment on, backwards unless told otherwise; `order` is that of the answer."""
    req = call.req
    _task(call, req.task)
    total = call.store.count(events_list("log", req.task))
    stream = _stream(call, "log", req.task)
    if req.from_timestamp is not None:
        earlier = req.navigate_earlier
        stream = (
            line for line in stream if (line["timestamp"] < req.from_timestamp if earlier else line["timestamp"] > req.from_timestamp)
        )
    pick = heapq.nlargest if req.navigate_earlier else heapq.nsmallest
    numbered = pick(req.batch_size, enumerate(stream), key=lambda item: (item[1]["timestamp"], item[0]))
    lines = [line for _, line in numbered]
    if req.order and (req.order == "asc") == bool(req.navigate_earlier):
        lines.reverse()
    return {"events": lines, "returned": len(lines), "total": total}


def _scroll(call, kind, key, size, descending=False):
    """A part of a list and the id to go on with: the position itself."""
    name = events_list(kind, key)
    total = call.store.count(name)
    position = int(call.data.get("scroll_id") or 0)
    if descending:
        start = max(0, total - position - size)
        part = call.store.events(name, start, max(0, min(size, total - position)))[::-1]
    else:
        part = call.store.events(name, position, size)
    return {"events": part, "returned": len(part), "total": total, "scroll_id": str(position + len(part))}


@endpoint("events.get_task_log", "1.0", {**_LOG, "scroll_id": Str()})
@endpoint("events.get_task_log", "1.7", {**_LOG, "scroll_id": Str()})
def get_task_log_old(call):
    _task(call, call.req.task)
    from_tail = call.data.get("from") == "tail"
    result = _scroll(call, "log", call.req.task, call.req.batch_size, from_tail)
    if (call.req.order == "asc") == from_tail:
        result["events"].reverse()
    return result


@endpoint(
    "events.get_task_events",
    fields={"task": Str(required=True), "event_type": Str(), "batch_size": Int(default=500), "scroll_id": Str(), "order": Str()},
)
def get_task_events(call):
    _task(call, call.req.task)
    wanted = call.req.event_type
    result = _scroll(call, "log" if wanted == "log" else "data", call.req.task, call.req.batch_size)
    if wanted:
        result["events"] = [event for event in result["events"] if event["type"] == wanted]
        result["returned"] = len(result["events"])
    return result


def _data(call, key, kind):
    """At most ten thousand events of a type, the newest of them."""
    found = [event for event in _stream(call, "data", key) if event["type"] == kind]
    return found[-_MANY:]


@endpoint("events.scalar_metrics_iter_histogram", fields={"task": Str(required=True), "samples": Int(default=6000), "key": Str()})
def scalar_metrics_iter_histogram(call):
    """{metric: {variant: {name, x, y}}} over iterations, or over time for the other keys."""
    _task(call, call.req.task)
    result = {}
    for event in _data(call, call.req.task, "training_stats_scalar"):
        series = result.setdefault(event["metric"], {}).setdefault(event["variant"], {"name": event["variant"], "x": [], "y": []})
        series["x"].append(event.get("iter", 0) if call.req.key in (None, "iter") else event["timestamp"])
        series["y"].append(event.get("value"))
    return result


@endpoint("events.get_scalar_metrics_and_variants", fields={"task": Str(required=True)})
def get_scalar_metrics_and_variants(call):
    _task(call, call.req.task)
    result = {}
    for event in _data(call, call.req.task, "training_stats_scalar"):
        variants = result.setdefault(event["metric"], [])
        if event["variant"] not in variants:
            variants.append(event["variant"])
    return {"metrics": result}


@endpoint("events.get_scalar_metric_data", fields={"task": Str(required=True), "metric": Str(required=True), "scroll_id": Str()})
def get_scalar_metric_data(call):
    _task(call, call.req.task)
    events = [event for event in _data(call, call.req.task, "training_stats_scalar") if event["metric"] == call.req.metric]
    if call.req.scroll_id:
        events = []
    return {"events": events, "returned": len(events), "total": len(events), "scroll_id": "end"}


@endpoint("events.get_task_single_value_metrics", "2.20", {"tasks": List(required=True, shortest=1)})
def get_task_single_value_metrics(call):
    """Single values are scalars at the smallest iteration."""
    result = []
    for key in call.req.tasks:
        task = call.store.get("tasks", key)
        if not task:
            raise fail("task_id", ids=[key])
        values = {}
        for event in _data(call, key, "training_stats_scalar"):
            if event.get("iter") == -(2**31):
                names = ("metric", "variant", "value", "timestamp")
                values[event["metric"], event["variant"]] = {name: event[name] for name in names}
        if values:
            result.append({"task": key, "task_name": task["name"], "values": list(values.values())})
    return {"tasks": result}


@endpoint("events.get_task_plots", fields={"task": Str(required=True), "iters": Int(default=1), "scroll_id": Str()})
def get_task_plots(call):
    _task(call, call.req.task)
    plots = [] if call.req.scroll_id else _data(call, call.req.task, "plot")
    return {"plots": plots, "returned": len(plots), "total": len(plots), "scroll_id": "end"}


@endpoint("events.get_task_metrics", "2.7", {"tasks": List(required=True, shortest=1), "event_type": Str(required=True)})
def get_task_metrics(call):
    result = []
    for key in call.req.tasks:
        _task(call, key)
        metrics = {event["metric"] for event in _data(call, key, call.req.event_type)}
        result.append({"task": key, "metrics": sorted(metrics)})
    return {"metrics": result}
