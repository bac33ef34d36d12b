# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ClearMLServer
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def test_roles_are_read_only_when_asked_for(server):
    found = run("clearml_user_info", **server.connection)
    assert [(entry["name"], entry["role"]) for entry in found["users"]] == [("Alice", None), ("Bob", None)]
    assert server.called() == ["users.get_all"]
    server.roles["u-bob"] = "admin"
    found = run("clearml_user_info", check=True, name="Bob", roles=True, **server.connection)
    assert (found["count"], found["users"][0]["role"], found["changed"]) == (1, "admin", False)
    assert run("clearml_user_info", name="nobody", **server.connection)["users"] == []
