# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of the inventory against argument_specs."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import arguments as rules
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import SPECS


def arguments(provided, known=()):
    return rules.argument_findings("node-01", SPECS, provided, [*provided, *known])


def test_arguments_that_fit():
    right = {"k3s_version": "v1", "k3s_ready_timeout_seconds": "30", "k3s_archives": [{"url": "x"}], "k3s_mode": "two"}
    assert arguments(right, ["k3s_something_of_my_own", "other"]) == []


@pytest.mark.parametrize(
    ("provided", "text", "measured"),
    [
        ({"k3s_ready_timeout_seconds": "soon"}, "k3s_ready_timeout_seconds is not of type int", "'soon'"),
        ({"k3s_mode": "three"}, "k3s_mode is not one of one, two", "'three'"),
    ],
)
def test_arguments_that_do_not_fit(provided, text, measured):
    found = arguments(provided)
    assert [(one["finding"], one["measured"]) for one in found] == [(text, measured)]


def test_a_nested_argument_is_named():
    assert "url" in arguments({"k3s_archives": [{"path": "x"}]})[0]["finding"]


def test_a_secret_is_never_shown():
    assert "hunter2" not in str(arguments({"k3s_token": "hunter2"}))
    assert len(arguments({"k3s_token": "hunter2"})) == 1


def test_wrong_keys_of_a_secret_are_named_without_values():
    users = {"type": "list", "elements": "dict", "options": {"name": {"type": "str", "required": True}}, "description": "People."}
    specs = {"clearml_server": {"argument_specs": {"main": {"options": {"clearml_server_users": users}}}}}
    (found,) = rules.argument_findings("node-01", specs, {"clearml_server_users": [{"name": "a", "pasword": "hunter2"}]}, [])
    assert found["finding"].startswith("clearml_server_users has wrong keys (clearml_server_users.pasword. Supported parameters")
    assert found["measured"] == "list, not shown"
    assert "hunter2" not in str(found)


def test_a_misspelled_variable_is_a_note():
    found = arguments({}, ["k3s_versoin"])
    assert [(one["level"], one["fix"]) for one in found] == [("note", "perhaps k3s_version is meant: rename it")]


def test_values_get_the_type_that_roles_get():
    provided = {"k3s_version": 1.34, "k3s_ready_timeout_seconds": "30", "k3s_mode": "three", "k3s_archives": [{"url": "x"}], "own": 1}
    assert rules.fitting_values(SPECS, provided) == {"k3s_version": "1.34", "k3s_ready_timeout_seconds": 30, "k3s_archives": [{"url": "x"}]}
