# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k3s_snapshot with a real SQLite database, and with an etcd-snapshot command that is scripted."""

from __future__ import annotations

import os
import pathlib
import sqlite3

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.mlops.plugins.modules import k3s_snapshot
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

RELEASE = "v1.34.2+k3s1"


@pytest.fixture
def server(tmp_path):
    """Data of a server with SQLite in WAL mode, a row of which is not in the main file yet, and the name K3s gives every etcd member."""
    folder = tmp_path / "data/server/db"
    (folder / "etcd").mkdir(parents=True)
    (folder / "etcd/name").write_text("node-01-0123abcd")
    (folder.parent / "token").write_text("K10abc::server:secret\n")
    database = sqlite3.connect(str(folder / "state.db"))
    database.execute("PRAGMA journal_mode=WAL")
    database.execute("CREATE TABLE kine (name TEXT)")
    database.execute("INSERT INTO kine VALUES ('/registry/nodes/node-01')")
    database.commit()
    assert (folder / "state.db-wal").stat().st_size > 0
    yield tmp_path
    database.close()


def snapshot(folder, **options):
    return run("k3s_snapshot", **dict({"release": RELEASE, "folder": str(folder / "kept"), "data_folder": str(folder / "data")}, **options))


def kept(folder):
    return sorted(os.listdir(str(folder / "kept")))


def test_a_database_in_use_is_copied_whole(server):
    outcome = snapshot(server)
    path = pathlib.Path(outcome["path"])
    assert (outcome["changed"], outcome["kind"], outcome["removed"]) == (True, "sqlite", [])
    assert path.name.endswith("Z-before-v1.34.2+k3s1")
    assert sorted(os.listdir(str(path))) == ["about.json", "state.db", "token"]
    assert (path / "token").read_text() == "K10abc::server:secret\n"
    copy = sqlite3.connect(str(path / "state.db"))
    assert copy.execute("SELECT name FROM kine").fetchall() == [("/registry/nodes/node-01",)]
    copy.close()
    assert {one.stat().st_mode & 0o777 for one in (server / "kept", path)} == {0o700}
    assert {one.stat().st_mode & 0o777 for one in path.iterdir()} == {0o600}
    assert outcome["size_bytes"] == sum(one.stat().st_size for one in path.iterdir())
    assert "secret" not in outcome.text


def test_check_mode_writes_nothing(server):
    outcome = snapshot(server, check=True)
    assert outcome["changed"] is True
    assert outcome["path"].startswith(str(server / "kept"))
    assert not (server / "kept").exists()


def test_a_resumed_upgrade_takes_no_second_one(server):
    first = snapshot(server)
    again = snapshot(server, reuse=True)
    assert (again["changed"], again["path"]) == (False, first["path"])
    assert snapshot(server, reuse=True, release="v1.35.0+k3s1")["changed"] is True


def test_the_oldest_go(server):
    (server / "kept").mkdir()
    names = ["2026010%dT000000Z-before-v1.33.%d+k3s1" % (day, day) for day in range(1, 4)]
    for name in [*names, ".partial-20260104T000000Z-before-v1.34.2+k3s1", "mine"]:
        (server / "kept" / name).mkdir()
    outcome = snapshot(server, keep=2)
    assert [os.path.basename(path) for path in outcome["removed"]] == names[:2]
    assert kept(server) == [names[2], os.path.basename(outcome["path"]), "mine"]
    assert outcome["diff"] == {"before": names, "after": [names[2], os.path.basename(outcome["path"])]}


def test_nothing_is_left_of_one_that_fails(server):
    (server / "data/server/token").unlink()
    outcome = snapshot(server)
    assert outcome["failed"]
    assert "the servers' token cannot be kept" in outcome["msg"]
    assert kept(server) == []


def test_a_damaged_database_is_no_snapshot(server):
    (server / "data/server/db/state.db").write_bytes(b"no database" * 1000)
    (server / "data/server/db/state.db-wal").unlink()
    outcome = snapshot(server)
    assert outcome["failed"]
    assert "SQLite could not copy" in outcome["msg"]
    assert kept(server) == []


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((0, "Snapshot before-upgrade-node-01-1 saved.\n", ""), None),
        ((1, "", "level=info\nlevel=fatal msg=refused\n"), "k3s etcd-snapshot: level=fatal msg=refused"),
        ((3, "", ""), "k3s etcd-snapshot: exit status 3"),
        ((0, "", ""), "is empty"),
    ],
)
def test_etcd(server, monkeypatch, answer, said):
    (server / "data/server/db/etcd/member/wal").mkdir(parents=True)
    commands = []

    def save(_module, command, **_how):
        commands.append(command)
        if answer[1]:
            folder = pathlib.Path(command[command.index("--etcd-snapshot-dir") + 1])
            (folder / "before-upgrade-node-01-1").write_bytes(b"snapshot")
        return answer

    monkeypatch.setattr(AnsibleModule, "run_command", save)
    outcome = snapshot(server)
    assert commands[0][:5] == ["/usr/local/bin/k3s", "etcd-snapshot", "save", "--data-dir", str(server / "data")]
    if said:
        assert outcome["failed"]
        assert said in outcome["msg"]
        assert kept(server) == []
    else:
        assert outcome["kind"] == "etcd"
        assert (pathlib.Path(outcome["path"]) / "etcd/before-upgrade-node-01-1").read_bytes() == b"snapshot"


def test_a_datastore_elsewhere(server):
    (server / "data/server/db/state.db").unlink()
    outcome = snapshot(server)
    assert outcome["kind"] == "external"
    assert sorted(os.listdir(outcome["path"])) == ["about.json", "token"]


def test_a_number_that_cannot_be_meant(server):
    assert "keep must be above 0" in snapshot(server, keep=0)["msg"]
    assert k3s_snapshot.whole(str(server / "kept")) == []
