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


NOTHING = {"display_name": "", "tags": [], "system_tags": [], "metadata": {}, "default": False}


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
    assert server.called() in (["queues.get_all"], ["queues.get_all_ex"])
    return done


def test_create_modify_delete_each_with_check_mode_and_repetition(server):
    done = twice(server, name="default")
    assert done["queue"]["action"] == "created"
    assert done["queue"]["id"] == server.queues[0]["id"]
    assert done["diff"] == {"before": {"queues": {}}, "after": {"queues": {"default": dict(NOTHING, name="default")}}}

    done = twice(server, name="default", tags=["b", "a", "b"], display_name="Everybody's")
    assert done["queue"]["action"] == "updated"
    assert done["diff"]["before"]["queues"]["default"]["tags"] == []
    assert done["diff"]["after"]["queues"]["default"] == dict(NOTHING, name="default", display_name="Everybody's", tags=["a", "b"])
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
    assert done["queues"][0]["tasks_removed"] == [{"id": "t1", "name": "name of t1"}]


def test_a_queue_with_tasks_needs_force(server):
    server.add_queue("busy", tasks=["t1", "t2", "t3", "t4"])
    for check in (True, False):
        refused = queue(server, check=check, name="busy", state="absent")
        assert refused["msg"] == (
            "queue 'busy' holds 4 waiting tasks (name of t1, name of t2, name of t3, ...): wait until nobody uses it, or set force=true"
        )
        assert [task["id"] for task in refused["tasks"]] == ["t1", "t2", "t3", "t4"]
    assert names(server) == ["busy"]
    done = queue(server, name="busy", state="absent", force=True)
    assert done["queue"]["tasks_removed"][0] == {"id": "t1", "name": "name of t1"}
    assert len(done["queue"]["tasks_removed"]) == 4
    assert server.calls[-1][1]["force"] is True


def test_a_queue_that_workers_serve_needs_force(server):
    server.add_queue("served", workers=[{"name": "gpu-01:0", "ip": "192.0.2.31", "key": "k"}])
    refused = queue(server, name="served", state="absent")
    assert refused["msg"] == "queue 'served' is served by 1 worker (gpu-01:0): wait until nobody uses it, or set force=true"
    assert refused["workers"] == ["gpu-01:0"]
    assert names(server) == ["served"]
    assert queue(server, name="served", state="absent", force=True)["queue"]["workers_left"] == ["gpu-01:0"]


def test_a_mistake_in_the_list_changes_nothing(server):
    server.add_queue("busy", tasks=["t1"])
    refused = queue(server, queues=[{"name": "new-one"}, {"name": "busy", "state": "absent"}])
    assert "holds 1 waiting task (name of t1)" in refused["msg"]
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
    assert "tag 'a\\x00b' of queue 'default' holds the invisible character U+0000" in queue(server, name="default", tags=["a\0b"])["msg"]
    assert "holds the invisible character U+000A" in queue(server, name="default", system_tags=["a\nb"])["msg"]
    assert "display_name of queue 'default' holds" in queue(server, name="default", display_name="a\0b")["msg"]
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


def test_system_tags_and_metadata(server):
    server.add_queue("default", system_tags=["default", "k8s-glue"])
    done = twice(
        server, name="default", system_tags=["mine"], metadata={"owner": "vision", "size": {"value": 3, "type": "int"}, "on": True}
    )
    assert (done["queue"]["system_tags"], done["queue"]["default"]) == (["mine"], True)
    assert server.queues[0]["system_tags"] == ["default", "mine"]  # that it is the default queue stays
    assert server.queues[0]["metadata"] == {
        "owner": {"key": "owner", "type": "", "value": "vision"},
        "size": {"key": "size", "type": "int", "value": "3"},
        "on": {"key": "on", "type": "", "value": "true"},
    }
    assert twice(server, name="default", metadata={})["queue"]["metadata"] == {}
    twice(server, name="other", metadata={"a": "b"}, system_tags=["x"])
    assert server.queues[1]["system_tags"] == ["x"]


@pytest.mark.parametrize("value", [None, [1], {"value": None}, {"text": "a"}, {"value": "a", "key": "b"}])
def test_metadata_that_cannot_be_kept(server, value):
    assert "metadata 'owner' of queue 'default' must be a text" in queue(server, name="default", metadata={"owner": value})["msg"]
    assert server.calls == []


@pytest.mark.parametrize(
    "metadata, reason",
    [
        ({"own\0er": "a"}, "key 'own\\x00er' in the metadata of queue 'default' holds the invisible character U+0000"),
        ({"owner": "a\0b"}, "metadata 'owner' of queue 'default' holds the character U+0000, which is no text"),
        ({"owner": "\ud800"}, "holds the character U+D800, which is no text"),
        ({"owner": {"value": "a", "type": "a\nb"}}, "type of metadata 'owner' of queue 'default' holds"),
    ],
)
def test_metadata_that_is_no_text(server, metadata, reason):
    assert reason in queue(server, name="default", metadata=metadata)["msg"]
    assert server.calls == []


def test_texts_that_people_use_are_kept(server):
    family = "\U0001f468\u200d\U0001f469"
    twice(server, name="default", display_name="GPU %s" % family, tags=[family], metadata={"notes": "two\nlines"})


def test_one_default_queue(server):
    server.add_queue("default", system_tags=["default"])
    server.add_queue("other", system_tags=["default", "k8s-glue"])
    done = twice(server, name="nightly", default=True)
    assert done["queue"]["default"] is True
    assert [(entry["name"], entry["action"]) for entry in done["queues"]] == [
        ("nightly", "created"),
        ("default", "updated"),
        ("other", "updated"),
    ]
    assert [entry["system_tags"] for entry in server.queues] == [[], ["k8s-glue"], ["default"]]
    twice(server, queues=[{"name": "nightly"}, {"name": "default", "default": True}])
    assert [entry["system_tags"] for entry in server.queues] == [["default"], ["k8s-glue"], []]
    twice(server, name="default", default=False)
    assert queue(server, name="default", system_tags=["default"])["msg"].endswith("use default=true instead of the system tag default")
    two = queue(server, queues=[{"name": "nightly", "default": True}, {"name": "default", "default": True}])
    assert two["msg"] == "only one queue can be the default, not 'nightly' and 'default'"


def test_rename(server):
    kept = server.add_queue("high-mem", tasks=["t1"], workers=[{"name": "gpu-01:0"}])
    done = twice(server, name="large-gpu", renamed_from="high-mem", tags=["gpu"])
    assert (done["queue"]["action"], done["queue"]["id"]) == ("updated", kept)
    assert list(done["diff"]["before"]["queues"]) == ["high-mem"]
    assert list(done["diff"]["after"]["queues"]) == ["large-gpu"]
    assert server.queues[0]["entries"]
    server.add_queue("high-mem")
    refused = queue(server, name="large-gpu", renamed_from="high-mem")
    assert refused["msg"].startswith("queue 'high-mem' cannot get the name 'large-gpu', which another queue has")
    twice(server, name="fresh-one", renamed_from="never-there")
    assert "cannot be absent and have default or renamed_from" in queue(server, name="abc", renamed_from="def", state="absent")["msg"]


def test_purge_deletes_what_nobody_lists(server):
    server.add_queue("default", system_tags=["default"])
    server.add_queue("glue", system_tags=["k8s-glue"])
    for name in ("keep-me", "old-1", "old-2"):
        server.add_queue(name)
    done = twice(server, queues=[{"name": "keep-me"}, {"name": "new-one"}], purge=True)
    assert done["purge_kept"] == ["default", "glue"]
    assert names(server) == ["default", "glue", "keep-me", "new-one"]
    assert [entry["action"] for entry in done["queues"]] == ["unchanged", "created", "deleted", "deleted"]
    # the former default queue goes in the same run in which another one becomes it
    done = twice(server, queues=[{"name": "keep-me", "default": True}], purge=True)
    assert names(server) == ["glue", "keep-me"]


def test_purge_is_guarded(server):
    for number in range(4):
        server.add_queue("old-%d" % number)
    server.add_queue("busy", tasks=["t1"])
    wanted = [{"name": "new-one"}]
    refused = queue(server, queues=wanted, purge=True, purge_limit=4)
    assert refused["msg"].startswith("purge would delete 5 queues (busy, old-0, old-1, old-2, old-3), and purge_limit is 4")
    assert "queue 'busy' holds 1 waiting task" in queue(server, queues=wanted, purge=True)["msg"]
    assert len(server.queues) == 5
    assert "purge needs queues to keep" in queue(server, queues=[], purge=True)["msg"]
    assert "purge needs queues to keep" in queue(server, queues=[{"name": "old-1", "state": "absent"}], purge=True)["msg"]
    assert queue(server, name="abc", purge=True)["failed"] is True
    assert set(server.called()) == {"queues.get_all_ex"}
    queue(server, queues=wanted, purge=True, force=True)
    assert names(server) == ["new-one"]


def test_metadata_needs_a_server_that_has_it():
    with ClearMLServer(api_version="2.12") as old:
        assert "metadata of queue 'default' needs ClearML API 2.13" in queue(old, name="default", metadata={"a": "b"})["msg"]
        assert old.queues == []
