# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import copy

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ClearMLServer, on_endpoint
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import break_off
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

BUCKET = "s3://192.0.2.20:9000/clearml"


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def project(server, check=False, **options):
    return run("clearml_project", check=check, **dict(server.connection, **options))


def twice(server, **options):
    """Check mode, run, check mode, run; returns the first real one."""
    before = copy.deepcopy(server.projects)
    forecast = project(server, check=True, **options)
    assert (forecast["changed"], server.projects) == (True, before)
    done = project(server, **options)
    assert (done["changed"], done["diff"]) == (True, forecast["diff"])
    del server.calls[:]
    for check in (True, False):
        assert project(server, check=check, **options)["changed"] is False
    assert server.called() == ["projects.get_all"] * 2
    return done


def test_create_modify_delete(server):
    done = twice(server, name="vision/training", default_output_destination=BUCKET)
    assert (done["project"]["action"], done["project"]["id"]) == ("created", server.projects[0]["id"])
    assert done["diff"]["before"] == {}
    done = twice(server, name="vision/training", description="Cameras", tags=["b", "a", "b"])
    assert done["project"]["default_output_destination"] == BUCKET
    assert server.projects[0]["tags"] == ["a", "b"]
    assert twice(server, name="vision/training", default_output_destination="")["project"]["description"] == "Cameras"
    done = twice(server, name="vision/training", state="absent")
    assert (done["project"]["action"], done["contents"], server.projects) == ("deleted", {"tasks": 0, "models": 0}, [])


def test_calls_in_order(server):
    made = project(server, name="vision/training", tags=["a"])
    project(server, name="vision/training", description="Cameras")
    project(server, name="vision/training", state="absent")
    assert [call[:2] for call in server.calls if call[0] != "projects.get_all"] == [
        ("projects.create", {"name": "vision/training", "tags": ["a"]}),
        ("projects.update", {"project": made["project"]["id"], "description": "Cameras"}),
        ("projects.validate_delete", {"project": made["project"]["id"]}),
        ("projects.delete", {"project": made["project"]["id"], "force": False}),
    ]


def test_a_project_with_contents(server):
    project(server, name="vision")
    server.projects[0].update(tasks=1, models=2)
    for check in (True, False):
        refused = project(server, check=check, name="vision", state="absent")
        assert refused["msg"].startswith("project 'vision' and those below it hold 1 task and 2 models: set force=true")
    assert len(server.projects) == 1
    done = project(server, name="vision", state="absent", delete_contents=True)
    assert done["contents"] == {"tasks": 1, "models": 2}
    assert server.calls[-1][1]["delete_contents"] is True
    assert server.calls[-1][1]["force"] is True


@pytest.mark.parametrize(
    "name, reason",
    [
        ("ab", "at least 3 characters"),
        ("vision/ab", "the part 'ab'"),
        ("vision//training", "the part ''"),
        ("/vision", "the part ''"),
        ("vision /training", "starts or ends with a space"),
        ("vis\nion", "U+000A"),
        ("abc/" * 10 + "abc", "11 levels"),
        ("x" * 256, "256 characters"),
    ],
)
def test_names_a_person_would_regret(server, name, reason):
    refused = project(server, name=name)
    assert reason in refused["msg"]
    assert "\n" not in refused["msg"]
    assert server.calls == []


@pytest.mark.parametrize("url", ["clearml", "s3:bucket", "s3://", "s3:///a", "s3://a b", "bucket/models"])
def test_destinations_that_cannot_be_meant(server, url):
    assert "default_output_destination must be a URL" in project(server, name="vision", default_output_destination=url)["msg"]
    assert server.calls == []


def test_texts_that_are_refused(server):
    refused = project(server, name="vision", default_output_destination="s3://key:its-SECRET@192.0.2.20:9000/clearml")
    assert refused["msg"].startswith("default_output_destination must not hold a user or a password")
    assert "its-SECRET" not in refused.text
    assert "U+0000" in project(server, name="vision", default_output_destination="s3://a\0b/c")["msg"]
    assert "description of project 'vision' holds the character U+0000" in project(server, name="vision", description="a\0b")["msg"]
    assert "of project 'vision' holds the invisible character" in project(server, name="vision", tags=["a\nb"])["msg"]
    assert server.calls == []
    twice(server, name="vision", description="two\nlines")


@pytest.mark.parametrize("name", ["Überprüfung/名前名", "a.b (c)", "proj+$x"])
def test_unusual_names_work(server, name):
    twice(server, name=name, default_output_destination="/mnt/models")


def test_a_project_that_another_run_makes_first(server):
    def other_run(handler, endpoint):
        server.projects_create({"name": "vision"}, "u-admin")
        break_off(handler)
        return True

    on_endpoint(server, "projects.create", other_run)
    done = project(server, name="vision", description="Cameras")
    assert done["changed"] is True
    assert [(entry["name"], entry["description"]) for entry in server.projects] == [("vision", "Cameras")]


def test_a_project_that_another_run_deletes_first(server):
    project(server, name="vision")
    on_endpoint(server, "projects.delete", lambda handler, endpoint: server.projects.clear())
    assert project(server, name="vision", state="absent")["changed"] is True
