# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Workers: what `workers.get_all` and `queues.get_all_ex` say, in a form for people and playbooks.

Facts (apiserver 2.3.0, recorded): a worker is keyed by user and id; it expires 600 s after its last report; an agent
reports every 30 s; `running_time` is in milliseconds. Of its GPUs the server knows only what clearml-agent (3.0.3, commands/worker.py)
writes into the last part of the id: `gpu0,1`, `gpuall`.
"""

from __future__ import annotations

import re

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.times import seconds_since

ALIVE_SECONDS = 90  # three of an agent's reports
GPUS = re.compile(r":gpu(all|[0-9][0-9,]*)$")


def read(transport, pattern=None, last_seen_seconds=None):
    """The workers that the server knows, by id.

    :param pattern: glob on the id, or None for all
    :param last_seen_seconds: how long ago a worker may have been seen at most, or None for the server's default
    :returns: list of dicts
    """
    body = {}
    if pattern is not None:
        body["worker_pattern"] = pattern
    if last_seen_seconds is not None:
        body["last_seen"] = last_seen_seconds
    found = transport.call("workers.get_all", body).get("workers") or []
    now = transport.server_time()
    return sorted((_worker(entry, now) for entry in found), key=lambda worker: (worker["id"], worker["user"]["name"] or ""))


def _worker(entry, now):
    seen = seconds_since(entry.get("last_activity_time"), now)
    task = entry.get("task") or {}
    queue = entry.get("queue") or {}
    user = entry.get("user") or {}
    return {
        "id": entry["id"],
        "alive": seen is not None and seen <= ALIVE_SECONDS,
        "busy": bool(task.get("id")),
        "task": {"id": task["id"], "name": task.get("name"), "running_seconds": (task.get("running_time") or 0) // 1000}
        if task.get("id")
        else None,
        "gpus": _gpus(entry["id"]),
        "queue": queue.get("name"),
        "queues": [served.get("name") or served.get("id") for served in entry.get("queues") or []],
        "last_seen": entry.get("last_activity_time"),
        "seen_seconds_ago": seen,
        "last_report": entry.get("last_report_time"),
        "ip": entry.get("ip"),
        "tags": sorted(entry.get("tags") or []),
        "user": {"id": user.get("id"), "name": user.get("name")},
    }


def _gpus(worker_id):
    """The GPUs in an id as a list of texts; empty where it names none."""
    found = GPUS.search(worker_id)
    return [number for number in found.group(1).split(",") if number] if found else []
