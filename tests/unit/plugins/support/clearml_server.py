# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A small ClearML API server in this process, over real HTTP.

It keeps queues and credentials in memory and answers with the envelopes and refusals that were recorded from a real
apiserver 2.3.0 (recorded.json). Faults can be put in front of calls.
"""

from __future__ import annotations

import base64
import copy
import json
import os
import re
import threading
import uuid

from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import LocalServer, send

RECORDED_FILE = os.path.join(os.path.dirname(__file__), "recorded.json")

with open(RECORDED_FILE, encoding="utf-8") as _file:
    RECORDED = json.load(_file)

ADMIN = ("ADMINKEY", "admin-secret")


class Refusal(Exception):
    """A recorded refusal that the server gives."""

    def __init__(self, name):
        super().__init__(name)
        self.name = name


class ClearMLServer(LocalServer):
    """Use as a context manager; `url` is its address.

    :ivar calls: list of (endpoint, body, access key, impersonated user) in the order of arrival
    :ivar queues: list of dicts as `queues.get_all` gives them
    :ivar credentials: list of dicts user, access_key, secret_key, label
    :ivar faults: list of functions that are called with (handler, endpoint) and return True once they answered
    """

    def __init__(self, api_version="2.34"):
        super().__init__()
        self.api_version = api_version
        self.calls = []
        self.queues = []
        self.users = [{"id": "u-alice", "name": "Alice"}, {"id": "u-bob", "name": "Bob"}]
        self.credentials = [{"user": "u-admin", "access_key": ADMIN[0], "secret_key": ADMIN[1]}]
        self.roles = {"u-admin": "system", "u-alice": "user", "u-bob": "user"}
        self.emails = {}
        self.projects = []
        self.tasks = []
        self.log = []
        self.fixed = False
        self.server_errors = {}
        self.workers = []
        self.made = 0
        self.faults = []
        self.lock = threading.Lock()

    @property
    def connection(self):
        """Options of a module that connect to this server."""
        return {"api_url": self.url, "access_key": ADMIN[0], "secret_key": ADMIN[1], "timeout_seconds": 5}

    def called(self):
        """Names of the endpoints in the order of their calls."""
        return [call[0] for call in self.calls]

    def add_queue(self, name, tasks=(), **fields):
        """Puts a queue there; returns its id."""
        queue = {"id": uuid.uuid4().hex, "name": name, "tags": [], "system_tags": [], "metadata": {}}
        queue["entries"] = [{"task": task, "added": "2026-11-21T00:25:10.696000+00:00"} for task in tasks]
        queue.update(fields)
        self.queues.append(queue)
        return queue["id"]

    def add_credential(self, label, user="u-admin", access_key=None):
        """Puts a credential there; returns its pair."""
        self.made += 1
        pair = (access_key or "KEY%d" % self.made, "secret-number-%d" % self.made)
        self.credentials.append({"user": user, "access_key": pair[0], "secret_key": pair[1], "label": label})
        return pair

    def keys(self, label):
        """Keys with a label."""
        return [entry["access_key"] for entry in self.credentials if entry.get("label") == label]

    def handle(self, handler, body):
        if handler.command != "POST":
            return send(handler, 404, b"<html>", "text/html")
        endpoint = handler.path.lstrip("/")
        body = json.loads(body)
        scheme, unused, encoded = (handler.headers.get("Authorization") or "").partition(" ")
        pair = tuple(base64.b64decode(encoded).decode().split(":", 1)) if scheme == "Basic" else (None, None)
        impersonated = handler.headers.get("X-Clearml-Impersonate-As")
        with self.lock:
            self.calls.append((endpoint, body, pair[0], impersonated))
            fault = self.faults[0] if self.faults else None
            if fault is not None and fault(handler, endpoint):
                return
            try:
                answer, status = self.answer(endpoint, body, pair, impersonated), 200
                envelope = {"meta": {"result_code": 200, "result_subcode": 0, "result_msg": "OK"}, "data": answer}
            except Refusal as refusal:
                recorded = copy.deepcopy(RECORDED[refusal.name])
                envelope, status = recorded["body"], recorded["status"]
        envelope["meta"]["endpoint"] = {"name": endpoint, "requested_version": self.api_version, "actual_version": "2.4"}
        send(handler, status, json.dumps(envelope).encode(), "application/json")

    def answer(self, endpoint, body, pair, impersonated):
        if endpoint == "auth.fixed_users_mode":
            return {"enabled": self.fixed, "guest": {"enabled": False}, "server_errors": self.server_errors}
        user = next((e["user"] for e in self.credentials if (e["access_key"], e["secret_key"]) == pair), None)
        if user is None:
            raise Refusal("queues.create: no auth" if pair[0] is None else "auth.login: revoked API key")
        if impersonated and user != "u-admin":
            raise Refusal("_impersonation: user tries to impersonate")
        method = getattr(self, endpoint.replace(".", "_"), None)
        if method is None:
            raise Refusal("_paths-and-versions: unknown endpoint")
        return method(body, impersonated or user)

    def auth_login(self, body, user):
        identity = {"user": user, "role": self.roles[user], "user_name": user, "company": "c-1", "company_name": "clearml"}
        claims = base64.urlsafe_b64encode(json.dumps({"identity": identity}).encode()).decode().rstrip("=")
        return {"token": "head.%s.signature" % claims}

    def server_info(self, body, user):
        return {"version": "2.3.0", "build": "", "commit": "", "api_version": self.api_version}

    def auth_create_user(self, body, user):
        if self.roles[user] != "system":
            raise Refusal("auth.create_user: user role")
        if body["email"] in self.emails:
            raise Refusal("auth.create_user: system role, duplicate e-mail")
        made = dict({key: body[key] for key in ("name", "given_name", "family_name") if key in body}, id="u-%d" % len(self.users))
        self.users.append(made)
        self.emails[body["email"]] = made["id"]
        self.roles[made["id"]] = body.get("role", "user")
        return {"id": made["id"]}

    def auth_edit_user(self, body, user):
        self.roles[body["user"]] = body["role"]
        return {"updated": 1, "fields": {"role": body["role"]}}

    def users_update(self, body, user):
        for entry in self.users:
            if entry["id"] == body["user"]:
                entry.update({key: value for key, value in body.items() if key != "user"})
        return {"updated": 1, "fields": {}}

    def projects_get_all(self, body, user):
        return {"projects": [project for project in self.projects if re.search(body["name"], project["name"])]}

    def projects_create(self, body, user):
        if any(project["name"] == body["name"] for project in self.projects):
            raise Refusal("projects.create: duplicate")
        self.projects.append(dict({"description": "", "tags": [], "tasks": 0, "models": 0}, id=uuid.uuid4().hex, **body))
        return {"id": self.projects[-1]["id"]}

    def project(self, body):
        for project in self.projects:
            if project["id"] == body["project"]:
                return project
        raise Refusal("projects.get_by_id: unknown")

    def projects_update(self, body, user):
        self.project(body).update({key: value for key, value in body.items() if key != "project"})
        return {"updated": 1, "fields": {}}

    def projects_validate_delete(self, body, user):
        project = self.project(body)
        return {"tasks": project["tasks"], "models": project["models"], "pipelines": 0, "datasets": 0}

    def projects_delete(self, body, user):
        project = self.project(body)
        if project["tasks"] and not body["force"]:
            raise Refusal("projects.delete: with tasks")
        self.projects.remove(project)
        return {"deleted": 1, "disassociated_tasks": 0, "deleted_models": 0, "deleted_tasks": 0}

    def auth_get_credentials(self, body, user):
        mine = [entry for entry in self.credentials if entry["user"] == user]
        return {"credentials": [{key: e[key] for key in ("access_key", "label", "last_used") if e.get(key) is not None} for e in mine]}

    def auth_create_credentials(self, body, user):
        pair = self.add_credential(body["label"], user=user, access_key="NEW%d" % self.made)
        return {"credentials": {"access_key": pair[0], "secret_key": pair[1], "label": body["label"]}}

    def auth_edit_credentials(self, body, user):
        for entry in self.credentials:
            if entry["access_key"] == body["access_key"]:
                entry["label"] = body.get("label")
        return {"updated": 1}

    def auth_revoke_credentials(self, body, user):
        left = [e for e in self.credentials if (e["user"], e["access_key"]) != (user, body["access_key"])]
        if len(left) == len(self.credentials):
            raise Refusal("auth.revoke_credentials: again")
        self.credentials = left
        return {"revoked": 1}

    def users_get_all(self, body, user):
        return {"users": self.users}

    def queues_get_all(self, body, user):
        pattern = re.compile(body.get("name", ""))
        found = [copy.deepcopy(queue) for queue in self.queues if pattern.search(queue["name"])]
        for queue in found:
            queue["entries"] = queue["entries"][: body.get("max_task_entries")]
        return {"queues": found}

    def queues_get_all_ex(self, body, user):
        found = self.queues_get_all(body, user)["queues"]
        for queue in found:
            queue["entries"] = [dict(entry, task={"id": entry["task"], "name": "name of " + entry["task"]}) for entry in queue["entries"]]
            queue.setdefault("workers", [])
        return {"queues": found}

    def queues_create(self, body, user):
        if len(body["name"].strip()) < 3:
            raise Refusal("queues.create: 2 chars")
        if any(queue["name"] == body["name"] for queue in self.queues):
            raise Refusal("queues.create: duplicate")
        return {"id": self.add_queue(**body)}

    def queues_update(self, body, user):
        for queue in self.queues:
            if queue["id"] == body["queue"]:
                if any(other["name"] == body.get("name") and other is not queue for other in self.queues):
                    raise Refusal("queues.create: duplicate")
                queue.update({key: value for key, value in body.items() if key != "queue"})
                return {"updated": 1, "fields": {}}
        raise Refusal("queues.update: unknown queue")

    def queues_delete(self, body, user):
        for queue in self.queues:
            if queue["id"] == body["queue"]:
                if queue["entries"] and not body.get("force"):
                    raise Refusal("queues.delete: not empty, no force")
                self.queues.remove(queue)
                return {"deleted": 1}
        raise Refusal("queues.delete: already deleted")

    def tasks_get_all(self, body, user):
        found = [copy.deepcopy(task) for task in reversed(self.tasks) if re.search(body.get("name", ""), task["name"])]
        if "project" in body:
            found = [task for task in found if task["project"] in body["project"]]
        return {"tasks": [task for task in found if task["id"] in body.get("id", [task["id"]])]}

    def task(self, body):
        for task in self.tasks:
            if task["id"] == body["task"]:
                return task
        raise Refusal("tasks.delete: unknown")

    def tasks_create(self, body, user):
        fields = dict(body)
        if "output_dest" in fields:
            fields["output"] = {"destination": fields.pop("output_dest")}
        self.tasks.append(
            dict({"tags": [], "system_tags": [], "execution": {}, "status": "created"}, id="t-%d" % len(self.tasks), **fields)
        )
        return {"id": self.tasks[-1]["id"]}

    def tasks_clone(self, body, user):
        old = copy.deepcopy(self.task(body))
        old.update({key[len("new_task_") :]: value for key, value in body.items() if key != "task"})
        old.update(status="created", execution={})
        return self.tasks_create({key: value for key, value in old.items() if key != "id"}, user)

    def tasks_edit(self, body, user):
        task = self.task(body)
        task.update({key: value for key, value in body.items() if key not in ("task", "script")})
        task["script"] = dict(task.get("script") or {}, **body.get("script", {}))
        return {"updated": 1, "fields": {}}

    def tasks_enqueue(self, body, user):
        task = self.task(body)
        task.update(status="queued", execution={"queue": body["queue"]})
        return {"queued": 1, "updated": 1, "fields": {}}

    def tasks_stop(self, body, user):
        task = self.task(body)
        at_work = task["status"] == "in_progress" and task.get("last_worker")
        task.update({"status_message": "stopping"} if at_work else {"status": "stopped"})
        return {"updated": 1, "fields": {}}

    def tasks_delete(self, body, user):
        self.tasks.remove(self.task(body))
        return {"deleted": True}

    def events_get_task_log(self, body, user):
        return {"events": [{"msg": line} for line in reversed(self.log)][: body["batch_size"]]}

    def workers_get_all(self, body, user):
        return {"workers": self.workers}


def times(server, count, fault):
    """Puts a fault in front of the next `count` calls."""
    left = [count]

    def once(handler, endpoint):
        left[0] -= 1
        if left[0] <= 0:
            server.faults.pop(0)
        return fault(handler, endpoint)

    server.faults.append(once)


def on_endpoint(server, name, fault):
    """Puts a fault in front of the next call of one endpoint; others pass."""

    def when(handler, endpoint):
        if endpoint != name:
            return False
        server.faults.remove(when)
        return fault(handler, endpoint)

    server.faults.append(when)
