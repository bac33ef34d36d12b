# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of people's clients, and queues and users that the workspace does not have."""

from __future__ import annotations

import re

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding

DEFAULT_PATHS = {"conf": "~/clearml.conf", "environment": "~/clearml.env"}
KEYS = ("user", "clearml_user", "path", "form")
VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def entry_fault(entry):
    """What is wrong with an entry of clearml_client_people, with the fix; empty when nothing."""
    unknown = [str(key) for key in entry if key not in KEYS]
    if unknown:
        return f"unknown key {unknown[0]}: an entry has {', '.join(KEYS)}"
    for key in ("user", "clearml_user"):
        value = entry.get(key)
        if not isinstance(value, str) or not value.strip():
            return f"an entry has no {key}: name one"
    if entry.get("form") not in (None, *DEFAULT_PATHS):
        return f"{entry['user']}: form {entry['form']}: write {' or '.join(DEFAULT_PATHS)}"
    path = entry.get("path") or DEFAULT_PATHS["conf"]
    if not path.startswith(("/", "~/")) or path.endswith("/") or re.search(r"[\x00-\x1f\x7f]", path):
        return f"{entry['user']}: path {path!r}: write a file's whole path, or one that begins with ~/"
    return ""


def names(entries):
    """The names of what a list of the settings makes; none where it is no such list."""
    known = [one for one in entries if isinstance(one, dict)] if isinstance(entries, list) else []
    return [str(one.get("name")) for one in known if one.get("state") != "absent"]


def client_findings(host, provided, settings):
    """Findings of a host that gets clients.

    ``settings`` holds ``cluster_alive`` and ``workspace``: the lists ``queues``, ``users`` and ``server_users`` of the admin host.
    """
    people = [one for one in provided.get("clearml_client_people") or [] if isinstance(one, dict)]
    found = []
    for fault in filter(None, map(entry_fault, people)):
        found.append(finding(host, "clearml_client_people has an entry that cannot be", *fault.split(": ", 1)))
    places = [(one.get("user"), one.get("path") or DEFAULT_PATHS.get(one.get("form") or "conf")) for one in people]
    for user, path in dict.fromkeys(place for place in places if places.count(place) > 1):
        found.append(finding(host, "clearml_client_people has two entries for one file", f"{path} of {user}", "give one another path"))
    for name in provided.get("clearml_client_environment") or {}:
        if not VARIABLE.fullmatch(str(name)):
            fix = "use letters, digits and _, no digit first"
            found.append(finding(host, "clearml_client_environment has a name that no variable can have", name, fix))
    users = names(settings["workspace"]["users"]) + names(settings["workspace"]["server_users"])
    for name in dict.fromkeys(one.get("clearml_user") for one in people):
        if name and name not in users:
            fix = "correct it, or add it to clearml_server_users or clearml_workspace_users"
            # Somebody may have made the user by hand once there is a server.
            level = "note" if settings["cluster_alive"] else "refuse"
            found.append(finding(host, "clearml_client_people names a user whom the settings do not make", name, fix, level))
    return found


def queue_findings(host, provided, settings):
    """Queues that agents of the host listen to and that the workspace does not make: a daemon does not start without one."""
    instances = [one for one in provided.get("clearml_agent_instances") or [] if isinstance(one, dict)]
    usual = provided.get("clearml_agent_queues", ["default"])
    wanted = [queue for one in instances or [{}] for queue in (usual if one.get("queues") is None else one["queues"])]
    made = names(settings["workspace"]["queues"])
    missing = [str(queue) for queue in dict.fromkeys(wanted) if queue not in made]
    if not missing:
        return []
    fix = "add it to clearml_workspace_queues, or correct the queues of the agents"
    # Somebody may have made the queue by hand once there is a server: then the role asks the server.
    level = "note" if settings["cluster_alive"] else "refuse"
    return [finding(host, "agents listen to a queue that the workspace does not make", ", ".join(missing), fix, level)]
