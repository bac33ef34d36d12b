# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ClearMLServer, on_endpoint
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import break_off
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def queue(server, check=False, **options):
    return run("clearml_queue", check=check, **dict(server.connection, **options))


def names(server):
    return sorted(entry["name"] for entry in server.queues)


def twice(server, **options):
    """Check mode, run, check mode, run: the first two report a change, the others none; returns the first real one."""
    state = json.dumps(server.queues)
    forecast = queue(server, check=True, **options)
    assert forecast["changed"] is True
    assert json.dumps(server.queues) == state
    done = queue(server, **options)
    assert done["changed"] is True
    assert done["diff"] == forecast["diff"]
    assert queue(server, check=True, **options)["changed"] is False
    del server.calls[:]
    again = queue(server, **options)
    assert again["changed"] is False
    assert again["diff"]["before"] == again["diff"]["after"]
    assert server.called() == ["queues.get_all"]
    return done


def test_create_modify_delete_each_with_check_mode_and_repetition(server):
    done = twice(server, name="default")
    assert done["queue"]["action"] == "created"
    assert done["queue"]["id"] == server.queues[0]["id"]
    assert done["diff"] == {"before": {"queues": {}}, "after": {"queues": {"default": {"name": "default", "display_name": "", "tags": []}}}}

    done = twice(server, name="default", tags=["b", "a", "b"], display_name="Everybody's")
    assert done["queue"]["action"] == "updated"
    assert done["diff"]["before"]["queues"]["default"]["tags"] == []
    assert done["diff"]["after"]["queues"]["default"] == {"name": "default", "display_name": "Everybody's", "tags": ["a", "b"]}
    assert server.queues[0]["tags"] == ["a", "b"]

    assert queue(server, name="default")["changed"] is False  # what is left out stays
    assert twice(server, name="default", tags=[])["diff"]["after"]["queues"]["default"]["display_name"] == "Everybody's"
    assert twice(server, name="default", display_name="")["queue"]["tags"] == []

    done = twice(server, name="default", state="absent")
    assert (done["queue"]["action"], done["queue"]["state"]) == ("deleted", "absent")
    assert server.queues == []


def test_list_form_reads_once_and_changes_only_what_differs(server):
    server.add_queue("default")
    server.add_queue("other")
    server.add_queue("old-queue")
    wanted = [
        {"name": "default"},
        {"name": "high-mem", "tags": ["gpu"]},
        {"name": "old-queue", "state": "absent"},
        {"name": "never", "state": "absent"},
    ]
    done = twice(server, queues=wanted)
    assert [entry["action"] for entry in done["queues"]] == ["unchanged", "created", "deleted", "unchanged"]
    assert "queue" not in done
    assert names(server) == ["default", "high-mem", "other"]


def test_state_and_force_are_defaults_of_the_list(server):
    server.add_queue("one-task", tasks=["t1"])
    server.add_queue("keep")
    done = queue(server, queues=[{"name": "one-task"}, {"name": "keep", "state": "present"}], state="absent", force=True)
    assert names(server) == ["keep"]
    assert done["queues"][0]["tasks_removed"] == ["t1"]


def test_a_queue_with_tasks_needs_force(server):
    server.add_queue("busy", tasks=["t1", "t2", "t3", "t4"])
    for check in (True, False):
        refused = queue(server, check=check, name="busy", state="absent")
        assert refused["msg"] == "queue 'busy' holds 4 waiting tasks (t1, t2, t3, ...): let them run, take them out, or set force=true"
    assert names(server) == ["busy"]
    assert queue(server, name="busy", state="absent", force=True)["queue"]["tasks_removed"] == ["t1", "t2", "t3", "t4"]
    assert server.calls[-1][1]["force"] is True


def test_a_mistake_in_the_list_changes_nothing(server):
    server.add_queue("busy", tasks=["t1"])
    refused = queue(server, queues=[{"name": "new-one"}, {"name": "busy", "state": "absent"}])
    assert "holds 1 waiting task (t1)" in refused["msg"]
    assert names(server) == ["busy"]


@pytest.mark.parametrize(
    "name, reason",
    [
        ("ab", "at least 3 characters"),
        (" abc", "starts or ends with a space"),
        ("abc\n", "starts or ends with a space"),
        ("a\nbc", "U+000A"),
        ("a\x00bc", "U+0000"),
        ("a/bc", "slash"),
        ("\u200b\u200b\u200b", "U+200B"),
        ("x" * 256, "256 characters"),
    ],
)
def test_names_a_person_would_regret(server, name, reason):
    refused = queue(server, name=name)
    assert refused["failed"] is True
    assert reason in refused["msg"]
    assert "\n" not in refused["msg"]
    assert server.calls == []


@pytest.mark.parametrize("name", ["über-queue", "队列队列", "🚀🚀🚀", "a b c", "a.b(c)+", "$where", 'say "hi"', "GPU"])
def test_unusual_names_work(server, name):
    server.add_queue("gpu")
    twice(server, name=name)
    assert name in names(server)


def test_tags_and_double_entries_are_refused_before_any_call(server):
    assert "must not be empty or start with __$" in queue(server, name="default", tags=["__$all"])["msg"]
    assert queue(server, queues=[{"name": "abc"}, {"name": "abc"}])["msg"] == "queue 'abc' is listed twice"
    assert "mutually exclusive" in queue(server, name="abc", queues=[{"name": "abc"}])["msg"]
    assert server.calls == []


def test_display_name_needs_a_new_server():
    with ClearMLServer(api_version="2.30") as old:
        refused = queue(old, name="default", display_name="D")
        assert "display_name of queue 'default' needs ClearML API 2.31" in refused["msg"]
        assert "has 2.30" in refused["msg"]
        assert old.queues == []
        assert queue(old, name="default")["changed"] is True


def test_a_create_whose_answer_is_lost_is_looked_at_before_it_is_repeated(server):
    def create_and_break(handler, endpoint):
        server.add_queue("default")
        break_off(handler)
        return True

    on_endpoint(server, "queues.create", create_and_break)
    done = queue(server, name="default", tags=["a"])
    assert done["changed"] is True
    assert names(server) == ["default"]
    assert server.queues[0]["tags"] == ["a"]
    assert server.called() == ["queues.get_all", "queues.create", "queues.get_all", "queues.update"]


def test_a_create_that_was_lost_on_the_way_is_repeated(server):
    def only_break(handler, endpoint):
        break_off(handler)
        return True

    on_endpoint(server, "queues.create", only_break)
    assert queue(server, name="default")["changed"] is True
    assert server.called() == ["queues.get_all", "queues.create", "queues.get_all", "queues.create"]
    assert names(server) == ["default"]


def test_a_queue_that_another_run_makes_first_is_taken(server):
    def other_run(handler, endpoint):
        server.add_queue("default")
        return False

    on_endpoint(server, "queues.create", other_run)
    done = queue(server, name="default")
    assert done["failed"] is False
    assert names(server) == ["default"]
    assert done["queue"]["id"] == server.queues[0]["id"]


def test_a_queue_that_another_run_deletes_first_is_gone(server):
    server.add_queue("default")

    def other_run(handler, endpoint):
        del server.queues[:]
        return False

    on_endpoint(server, "queues.delete", other_run)
    assert queue(server, name="default", state="absent")["changed"] is True


def test_wrong_pair_is_one_line_with_the_codes(server):
    refused = queue(server, name="default", secret_key="not-the-secret")
    assert (refused["result_code"], refused["result_subcode"], refused["endpoint"]) == (401, 22, "queues.get_all")
    assert refused["msg"].endswith("check access_key and secret_key")
    assert "not-the-secret" not in refused.text
    assert "admin-secret" not in refused.text
