# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The order in which the recordings are played against a fresh double.

The recordings come one file for an endpoint, in order within each file. The order between the files is put together
here from the dates in the answers. Some of the exchanges that made the state are not among the recordings; where a
recorded request needs their result, `missing` makes the call that they must have been, with the recorded ids for what it
creates.

Each step is a function of a `replay.Player`; those that a server mode has no recordings for do nothing.
"""

from replay import OWN_KEY

COMPANY = "d1bd92a3b039400cbafc60a7a5b1e52b"
GPU = {"fixed": "e0ca447fe43947a5890bb3f642cd9776", "open": "952cec8bade8456b9cf53fbbd5277172"}
SECOND_GPU = {"fixed": "306a1c5aab794ad294041886080d64f7", "open": "def62ed97b55494398e25d6b2cc8d064"}
SPARE = {"fixed": "c8da5a18fdf6469d9ee0a65a0a511480", "open": "62390489c8d54b9e8772dcfcaf588b29"}
DEFAULT = {"fixed": "7fad5d669d384c51b4fd0f9ab2e590b4", "open": "b3efe9d40474436bae0db4d5a081f43a"}
FULL = {"fixed": "9bf0e700982e48548c689d9b610a2747", "open": "7f7e0448a9074fd1924f62d6f7f1e5ba"}
TASK = {
    1: {"fixed": "0ac190ee40414682a6f55dcc5729b2f3", "open": "73aa93fa3b42432ebefb8f6c6c71a171"},
    2: {"fixed": "fe961915ba52495f87bb849b94d4c1d5", "open": "1e970842295f4c1da9db3bfdeda60d50"},
    3: {"fixed": "d06457dea49c4c888af7c03ca5431da9", "open": "f1655544c6f548b1b3147ad7c9ee0fb3"},
    4: {"fixed": "c07ac554b8de4f1e917e2af7118d2054", "open": "300cf922c40b43f392f2137df549ec07"},
    "no-script": {"fixed": "884d3be4d99f4fa38cf0ef0ec907b416", "open": "f5fb2b88551048ed8b0559b3f6487017"},
    "never-queued": {"fixed": "f47a21642622421d8aedce3de5c5f85a", "open": "d11b7af4a5a4435dbbefaeafea6df599"},
}
ALICE = "ebd9c614fe1dfb0bcb4618861bd238fd"


def play_all(p):
    first_contact(p)
    people(p)
    keys(p)
    make_queues(p)
    make_projects_and_tasks(p)
    fill_queues(p)
    empty_queues(p)
    run_tasks(p)
    report(p)


def first_contact(p):
    p.play("debug.ping")
    p.play("_paths-and-versions")
    p.play("login.supported_modes")
    p.play("login.logout")
    p.play("auth.fixed_users_mode")
    p.play("server.info")
    p.play("auth.login", "default 'webserver' key from secure.conf (revoked in fixed mode)", "with X-Forwarded-For")


def people(p):
    p.play("users.get_current_user", "system user", "GET")
    p.play("users.get_all")
    p.play("users.get_all_ex")
    p.play("users.get_by_id")
    p.play("users.get_preferences", "empty")
    p.missing("users.set_preferences", "ok", {"preferences": {"a": {"b": 1}}})
    p.play("users.set_preferences")
    p.play("users.get_preferences")
    p.play("_tokens", "good cookie, bad header: the header wins")
    p.play("users.update", "a plain user renames ANOTHER user", "user role")
    p.play("users.get_current_user", "after being renamed by another user")
    if p.mode == "fixed":
        p.call("users.update", {"user": ALICE, "name": "Alice Example"})
    p.play("users.update")
    p.play("users.create")
    p.play("users.delete")
    p.play("auth.create_user", "system role")
    p.call("auth.create_user", {"name": "Adm", "company": COMPANY, "email": "adm@example.com", "role": "admin"}, who="system")
    p.play("auth.create_user")
    p.play("auth.get_token_for_user")
    p.play("users.get_current_user")
    p.play("auth.create_credentials", "as the API-created user")
    p.play("auth.edit_user")
    p.play("_impersonation")
    p.play("organization.get_user_companies")


def keys(p):
    p.play("auth.get_credentials", "no auth")
    if p.mode == "fixed":  # in open mode all of these are refused and change nothing
        p.missing("auth.create_credentials", "with a label", {"label": "agent-1"}, OWN_KEY)
        p.play("auth.create_credentials", "empty label")
        p.missing("auth.create_credentials", "the same label again", {"label": "agent-1"}, "78H6IB4QCHPB3X4EVTJGH26R8607RK")
        p.missing("auth.create_credentials", "label of 5000 chars", {"label": "x" * 5000}, "OLIRI8CHARAJU0CNHNX5HBRCRWBFQ2")
        p.play("auth.create_credentials", "label null")
        p.missing("auth.create_credentials", "unknown field", {"label": "l"}, "VOSDIFO2ZA5PS1ESESQT9OC6PY5DLX")
        p.missing("auth.create_credentials", "GET (creates!)", {}, "N13WQ2X6753UE00JFDYTG7FPUOEPNG")
    p.play("auth.create_credentials")
    p.play("auth.login", "API key, wrong secret")
    p.play("auth.edit_credentials")
    p.play("auth.get_credentials")
    p.keep_token_of_key()
    p.play("auth.revoke_credentials")
    p.play("auth.login")
    p.play("_tokens")
    p.play("auth.logout", "logout with basic auth", "logout again with the revoked token")
    p.log_out()
    p.play("auth.validate_token")


def make_queues(p):
    p.play("queues.get_default", "at start", "no auth")
    listed = p.recorded("queues.get_all", "all")["data"]["queues"]
    for queue in sorted(listed, key=lambda queue: queue["created"]):
        if p.is_recorded_answer("queues.create", queue["id"]):
            p.play_to_answer("queues.create", queue["id"])
        elif "default" not in queue["system_tags"]:
            body = {key: queue[key] for key in ("name", "display_name", "tags", "system_tags", "metadata") if queue.get(key)}
            p.call("queues.create", body, creates=queue["id"])
    p.play("queues.create", "hidden tag k8s-glue")
    p.play("queues.get_all", "order_by unknown")
    p.missing("queues.get_all", "scroll: first", {"size": 2, "scroll_id": None}, {"fixed": "26e5fdccdbb04f2d83d26bcafb615f12"})
    p.play("queues.get_all", "scroll: unknown id", "max_task_entries")
    p.play("queues.get_all_ex", "with a join", "by id")
    p.play("queues.get_by_id", "a name instead of an id", "empty")
    p.play("queues.update", "tags cleared", "make it a second default")
    p.missing("queues.update", "make it a second default", {"queue": FULL, "system_tags": ["default"]})
    p.play("queues.get_default", "two default queues")
    p.play("queues.update")
    p.play("queues.get_by_id", "after the updates")


def make_projects_and_tasks(p):
    p.play("projects.create", "ok")
    p.call("projects.create", {"name": "top/sub/leaf"})
    p.play("projects.create")
    p.play("projects.get_all")
    p.play("projects.get_by_id")
    p.play("projects.get_all_ex")
    p.play("organization.get_tags")
    script = p.any_recorded("tasks.create", "ok")["request"]["body"]["script"]
    body = {"type": "training", "project": p.project, "script": script}
    p.missing("tasks.create", "ok", {**body, "name": "task-1"}, TASK[1])
    p.play("tasks.create", "without a project")
    for note in ("status in create", "unknown field"):
        p.missing("tasks.create", note, {"name": "task-1", "type": "training"})
    p.play("tasks.create")
    for number in (2, 3, 4):
        p.call("tasks.create", {**body, "name": f"task-{number}"}, creates=TASK[number])
    p.call("tasks.create", {"name": "no-script", "type": "training", "project": p.project}, creates=TASK["no-script"])
    p.call("tasks.create", {**body, "name": "never-queued"}, creates=TASK["never-queued"])
    p.play("tasks.get_by_id", "another user of the company sees it", "only_fields")


def fill_queues(p):
    p.missing("tasks.enqueue", "task without a script", {"task": TASK["no-script"], "queue": GPU})
    p.play("tasks.enqueue", "unknown queue")
    p.play("tasks.get_by_id", "after a failed enqueue")
    p.missing("tasks.enqueue", "queue_name unknown: the queue is created silently", {"task": TASK[1], "queue_name": "nosuch-name"})
    p.play("queues.get_all")
    p.play("tasks.enqueue", "ok by id")
    p.call("tasks.enqueue", {"task": TASK[2], "queue": GPU})
    p.play("tasks.enqueue", "no auth")
    p.play("queues.get_by_id")
    p.play("queues.get_all_ex")
    p.play("queues.get_num_entries")
    p.play("queues.peek_task")
    for way in ("forward", "backward", "to_front", "to_back"):
        p.play(f"queues.move_task_{way}")
    p.missing("queues.add_task", "unknown task (accepted?)", {"queue": GPU, "task": "nosuch"})
    p.play("queues.add_task")
    p.play("queues.remove_task")


def empty_queues(p):
    p.play("tasks.dequeue", "again")
    p.play("tasks.get_by_id", "after dequeue")
    p.play("queues.delete", "not empty, force")
    p.play("tasks.get_by_id")
    p.play("tasks.dequeue", "task whose queue was force deleted")
    p.call("queues.create", {"name": "spare"}, creates=SPARE)
    p.call("tasks.enqueue", {"task": TASK[4], "queue": SPARE})
    p.play("queues.delete", 'not empty, force "no" (truthy text: DELETES)', "not empty, force null")
    p.missing("queues.delete", 'not empty, force "no" (truthy text: DELETES)', {"queue": SPARE, "force": "no"})
    p.missing("queues.create", "the name is free again after delete", {"name": "gpu"}, SECOND_GPU)
    p.play("queues.create", "the name is free again after delete")
    p.call("tasks.enqueue", {"task": TASK[2], "queue": SECOND_GPU})
    p.call("queues.get_next_task", {"queue": SECOND_GPU})
    p.play("tasks.dequeue")
    p.play("queues.get_next_task")
    p.play("queues.delete")
    p.missing("queues.delete", "the default queue can be deleted", {"queue": DEFAULT, "force": True})
    p.play("queues.get_default", "after deleting the default queue")
    p.play("tasks.enqueue", "no queue given and no default queue")
    p.play("queues.create")
    p.play("queues.get_default")
    p.play("queues.get_queue_metrics")


def run_tasks(p):
    p.play("tasks.started", "created -> in_progress", "again")
    p.play("tasks.enqueue", "while in_progress")
    p.play("tasks.stop")
    p.play("tasks.stopped")
    p.missing("tasks.completed", "force", {"task": TASK[1], "force": True})
    p.play("tasks.completed")
    p.play("tasks.started")
    p.missing("tasks.started", "completed -> started", {"task": TASK[1]})
    p.missing("tasks.failed", "completed -> failed", {"task": TASK[1], "status_message": "boom"})
    p.play("tasks.failed")
    p.missing("tasks.reset", "reset", {"task": TASK[1]})
    p.play("tasks.reset")
    p.missing("tasks.clone", "ok", {"task": TASK[1]})
    p.play("tasks.clone")
    p.missing("tasks.edit", "ok", {"task": TASK[1], "comment": "c"})
    p.play("tasks.edit")
    p.play("tasks.update")
    p.play("tasks.get_all")
    p.play("tasks.get_all_ex")
    p.play("tasks.ping")
    p.missing("tasks.delete", "status created, no force: ok", {"task": TASK[2]})
    p.play("tasks.delete")
    p.play("projects.delete")


def report(p):
    p.missing_events("events.add_batch", "3 log lines", TASK[1], p.recorded("events.get_task_log", "ok (ES stub)"))
    p.play("events.add_batch")
    p.play("events.get_task_log")
    p.play("events.add")
    p.play("workers.get_all", "at start")
    queues = [SECOND_GPU]
    p.missing("workers.register", "ok", {"worker": "host1:0", "queues": queues})
    p.play("workers.register", "no queues")
    p.missing("workers.register", "empty", {"worker": "", "queues": queues})
    p.missing("workers.register", "odd characters", {"worker": "w/with:odd*chars[1]", "queues": queues})
    p.missing("workers.register", "timeout 0", {"worker": "host3:0", "timeout": 0})
    p.play("workers.register")
    p.play("workers.get_all", "worker_pattern")
    p.play("workers.get_count")
    p.call("tasks.started", {"task": TASK[1]})
    p.call("events.add", {"type": "training_stats_scalar", "task": TASK[1], "metric": "m", "variant": "v", "value": 1, "iter": 1})
    p.play("workers.status_report", "with a task")
    p.call("workers.status_report", {"worker": "host1:0", "timestamp": 1, "task": "nosuch"}, refused=True)
    p.play("workers.status_report")
    p.play("workers.get_all")
    p.play("tasks.enqueue")
    p.play("queues.clear_queue")
    p.play("workers.get_stats")
    p.play("workers.unregister")
