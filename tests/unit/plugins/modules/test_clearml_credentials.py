# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import os
import stat
import time

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ADMIN, RECORDED, ClearMLServer, on_endpoint
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import break_off, send
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

READS = {"auth.get_credentials", "auth.login", "users.get_all"}


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def credentials(server, check=False, stored=None, **options):
    if stored:
        options.update(stored_access_key=stored[0], stored_secret_key=stored[1])
    return run("clearml_credentials", check=check, **dict(server.connection, label=options.pop("label", "worker-a"), **options))


def pair_of(result):
    return (result["credentials"]["access_key"], result["credentials"]["secret_key"])


def test_the_first_pair(server):
    forecast = credentials(server, check=True)
    assert (forecast["changed"], forecast["created"], forecast["access_key"]) == (True, True, None)
    assert "credentials" not in forecast
    assert forecast["diff"]["after"]["access_keys"] == ["(a new key)"]
    assert set(server.called()) <= READS

    made = credentials(server)
    assert (made["changed"], made["created"], made["reason"], made["stored_pair_works"]) == (True, True, "no pair is stored", None)
    assert server.keys("worker-a") == [made["access_key"]]
    assert made["diff"] == {
        "before": {"label": "worker-a", "access_keys": []},
        "after": {"label": "worker-a", "access_keys": [made["access_key"]]},
    }
    assert made["credentials"]["secret_key"] not in str(made["diff"])
    assert made.text.count(made["credentials"]["secret_key"]) == 1
    assert made["created_at"].endswith("+00:00")
    # it was seen to work: the last login was made with the new pair
    assert [call[2] for call in server.calls if call[0] == "auth.login"] == [made["access_key"]]


def test_a_stored_pair_that_works_stays(server):
    stored = server.add_credential("worker-a")
    for check in (True, False):
        same = credentials(server, check=check, stored=stored)
        assert (same["changed"], same["created"], same["stored_pair_works"]) == (False, False, True)
        assert same["access_key"] == stored[0]
        assert "credentials" not in same
        assert stored[1] not in same.text
    assert set(server.called()) <= READS
    assert len(server.calls) == 4


def test_a_stored_pair_that_is_refused_is_replaced_and_revoked_last(server):
    stored = server.add_credential("worker-a")
    broken = (stored[0], "no-longer-the-secret")
    forecast = credentials(server, check=True, stored=broken)
    assert (forecast["changed"], forecast["revoked"]) == (True, [stored[0]])
    assert server.keys("worker-a") == [stored[0]]

    made = credentials(server, stored=broken)
    assert (made["reason"], made["stored_pair_works"]) == ("the stored pair is not accepted", False)
    assert made["revoked"] == [stored[0]]
    assert server.keys("worker-a") == [made["access_key"]]
    assert server.called()[-4:] == ["auth.create_credentials", "auth.login", "auth.get_credentials", "auth.revoke_credentials"]
    assert server.calls[-3][2] == made["access_key"]

    assert credentials(server, stored=pair_of(made))["changed"] is False


def test_a_lost_pair_is_replaced(server):
    old = server.add_credential("worker-a")
    made = credentials(server)
    assert made["revoked"] == [old[0]]
    assert server.keys("worker-a") == [made["access_key"]]


def test_rotation(server):
    stored = server.add_credential("worker-a")
    assert credentials(server, check=True, stored=stored, rotate="always")["changed"] is True
    assert server.keys("worker-a") == [stored[0]]
    made = credentials(server, stored=stored, rotate="always")
    assert (made["reason"], made["revoked"]) == ("rotation was asked for", [stored[0]])
    again = credentials(server, stored=pair_of(made), rotate="always")
    assert again["changed"] is True
    assert server.keys("worker-a") == [again["access_key"]]


def test_duplicates_are_reported_and_removed_on_request(server):
    stored = server.add_credential("worker-a")
    other = server.add_credential("worker-a")
    kept = credentials(server, stored=stored)
    assert (kept["changed"], kept["duplicates"]) == (False, [other[0]])
    assert other[0] in kept["warnings"][0]

    forecast = credentials(server, check=True, stored=stored, remove_duplicates=True)
    assert (forecast["changed"], forecast["revoked"]) == (True, [other[0]])
    assert len(server.keys("worker-a")) == 2
    done = credentials(server, stored=stored, remove_duplicates=True)
    assert (done["changed"], done["created"], done["duplicates"]) == (True, False, [])
    assert server.keys("worker-a") == [stored[0]]


def test_without_a_pair_several_with_the_label_are_left_alone(server):
    first, second = server.add_credential("worker-a"), server.add_credential("worker-a")
    made = credentials(server)
    assert made["revoked"] == []
    assert made["duplicates"] == [first[0], second[0]]
    assert credentials(server, stored=pair_of(made), remove_duplicates=True)["revoked"] == [first[0], second[0]]


def test_a_pair_with_another_label_gets_this_one(server):
    stored = server.add_credential("by hand")
    forecast = credentials(server, check=True, stored=stored)
    assert (forecast["changed"], forecast["created"]) == (True, False)
    done = credentials(server, stored=stored)
    assert (done["changed"], done["created"], done["access_key"]) == (True, False, stored[0])
    assert done["diff"] == forecast["diff"]
    assert server.keys("worker-a") == [stored[0]]
    assert credentials(server, stored=stored)["changed"] is False


def test_a_pair_of_another_user_is_not_taken(server):
    foreign = server.add_credential("worker-a", user="u-bob")
    made = credentials(server, stored=foreign)
    assert (made["created"], made["reason"], made["revoked"]) == (True, "the stored pair belongs to another user", [])
    assert foreign[0] in server.keys("worker-a")


@pytest.mark.parametrize("user", ["Alice", "u-alice"])
def test_for_another_user(server, user):
    made = credentials(server, user=user)
    assert made["user_id"] == "u-alice"
    assert [entry["user"] for entry in server.credentials if entry["access_key"] == made["access_key"]] == ["u-alice"]
    create = next(call for call in server.calls if call[0] == "auth.create_credentials")
    assert create[2:] == (ADMIN[0], "u-alice")
    login = next(call for call in server.calls if call[0] == "auth.login")
    assert login[2:] == (made["access_key"], None)
    assert credentials(server, user=user, stored=pair_of(made))["changed"] is False


def test_an_unknown_user(server):
    assert credentials(server, user="nobody")["msg"] == "no ClearML user has the id or the name 'nobody'; there are: Alice, Bob"
    assert "auth.create_credentials" not in server.called()


@pytest.mark.parametrize("version, options", [("2.16", {}), ("2.18", {"stored": ("OTHER-LABEL", "secret-number-1")})])
def test_a_server_that_is_too_old(version, options):
    with ClearMLServer(api_version=version) as old:
        old.add_credential("something else", access_key="OTHER-LABEL")
        refused = credentials(old, **options)
        needed = {
            "2.16": "the label of a credential needs ClearML API 2.17",
            "2.18": "changing the label of a credential needs ClearML API 2.19",
        }
        assert refused["msg"].startswith(needed[version])
        assert "has %s: upgrade the server" % version in refused["msg"]
        assert set(old.called()) <= READS


def test_absent(server):
    server.add_credential("worker-a")
    server.add_credential("worker-a")
    keep = server.add_credential("worker-b")
    forecast = credentials(server, check=True, state="absent")
    assert (forecast["changed"], len(forecast["revoked"])) == (True, 2)
    assert len(server.keys("worker-a")) == 2
    done = credentials(server, state="absent")
    assert done["diff"] == forecast["diff"]
    assert server.keys("worker-a") == []
    assert server.keys("worker-b") == [keep[0]]
    again = credentials(server, state="absent")
    assert (again["changed"], again["revoked"], again["reason"]) == (False, [], "there is none")


def test_the_pair_of_the_connection_is_never_revoked(server):
    server.credentials[0]["label"] = "worker-a"
    for options in ({"state": "absent"}, {"rotate": "always"}):
        refused = credentials(server, **options)
        assert "is the one that this connection uses" in refused["msg"]
    assert server.keys("worker-a") == [ADMIN[0]]


def test_an_outage_does_not_look_like_a_wrong_pair(server):
    stored = server.add_credential("worker-a")

    def html(handler, endpoint):
        send(handler, 500, b"<html>", "text/html")
        return True

    on_endpoint(server, "auth.login", html)
    refused = credentials(server, stored=stored)
    assert refused["failed"] is True
    assert server.keys("worker-a") == [stored[0]]


def test_a_creation_whose_answer_is_lost_leaves_one_pair(server):
    def create_and_break(handler, endpoint):
        server.auth_create_credentials({"label": "worker-a"}, "u-admin")
        break_off(handler)
        return True

    on_endpoint(server, "auth.create_credentials", create_and_break)
    made = credentials(server)
    assert server.keys("worker-a") == [made["access_key"]]


def test_a_failed_revocation_does_not_lose_the_new_pair(server):
    stored = server.add_credential("worker-a")

    def html(handler, endpoint):
        send(handler, 500, b"<html>", "text/html")
        return True

    on_endpoint(server, "auth.revoke_credentials", html)
    made = credentials(server, stored=(stored[0], "wrong"))
    assert made["failed"] is False
    assert made["credentials"]["access_key"] == made["access_key"]
    assert made["revoked"] == []
    assert "was not revoked" in made["warnings"][0]
    assert sorted(made["diff"]["after"]["access_keys"]) == sorted(server.keys("worker-a"))


@pytest.mark.parametrize("label", [" a", "a\nb", "", "x" * 256])
def test_labels_a_person_would_regret(server, label):
    assert credentials(server, label=label)["failed"] is True
    assert server.calls == []


def test_a_protected_identity_says_what_to_do(server):
    recorded = {"text": None}

    def refuse(handler, endpoint):
        recorded["text"] = RECORDED["auth.create_credentials: with a label"]
        send(handler, recorded["text"]["status"], json.dumps(recorded["text"]["body"]).encode(), "application/json")
        return True

    on_endpoint(server, "auth.create_credentials", refuse)
    refused = credentials(server)
    assert (refused["result_code"], refused["result_subcode"]) == (400, 301)
    assert "name one with the option user" in refused["msg"]


@pytest.mark.parametrize("form", ["json", "clearml_conf"])
def test_a_pair_in_a_file(server, tmp_path, form):
    path = tmp_path / "pair"
    options = {"path": str(path), "format": form}
    forecast = credentials(server, check=True, **options)
    assert (forecast["changed"], path.exists()) == (True, False)
    made = credentials(server, **options)
    assert made["diff"] == {
        "before": {"label": "worker-a", "access_keys": [], "in_file": None},
        "after": {"label": "worker-a", "access_keys": [made["access_key"]], "in_file": made["access_key"]},
    }
    secret = next(entry["secret_key"] for entry in server.credentials if entry["access_key"] == made["access_key"])
    assert secret in path.read_text()
    assert secret not in made.text
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert os.listdir(tmp_path) == ["pair"]
    for check in (True, False):
        same = credentials(server, check=check, **options)
        assert (same["changed"], same["reason"], same["stored_pair_works"]) == (False, "the stored pair works", True)
        assert secret not in same.text

    path.chmod(0o644)
    assert credentials(server, check=True, **options)["changed"] is True
    assert credentials(server, **options)["changed"] is True
    assert stat.S_IMODE(path.stat().st_mode) == 0o600

    text = path.read_text()
    rotated = credentials(server, rotate="always", **options)
    assert (rotated["revoked"], server.keys("worker-a")) == ([made["access_key"]], [rotated["access_key"]])
    assert secret not in path.read_text()
    path.write_text(text)  # a restored backup
    again = credentials(server, **options)
    assert (again["reason"], again["stored_pair_works"]) == ("the stored pair is not accepted", False)
    assert len(server.keys("worker-a")) == 1

    assert credentials(server, check=True, state="absent", **options)["changed"] is True
    assert path.exists()
    assert credentials(server, state="absent", **options)["changed"] is True
    assert (path.exists(), server.keys("worker-a")) == (False, [])
    assert credentials(server, state="absent", **options)["changed"] is False


def test_what_else_is_in_the_file_stays(server, tmp_path):
    conf, document = tmp_path / "clearml.conf", tmp_path / "pair.json"
    own = 'api {\n  web_server: "http://192.0.2.10:8080"  # ours\n  credentials { "access_key" = "GONE", "secret_key" = "gone" }\n}'
    conf.write_text(own)
    document.write_text('{"note": "keep", "access_key": null}')
    credentials(server, path=str(conf), format="clearml_conf")
    assert conf.read_text().startswith(own + "\n# BEGIN")
    first = conf.read_text()
    credentials(server, path=str(conf), format="clearml_conf", rotate="always")
    assert conf.read_text() != first
    assert conf.read_text().count("# BEGIN") == 1
    credentials(server, path=str(conf), format="clearml_conf", state="absent")
    assert conf.read_text() == own + "\n"
    assert credentials(server, path=str(conf), format="clearml_conf", state="absent")["changed"] is False
    credentials(server, path=str(document))
    assert json.loads(document.read_text())["note"] == "keep"
    credentials(server, path=str(document), state="absent")
    assert json.loads(document.read_text()) == {"note": "keep"}


def test_a_pair_that_a_person_wrote_to_clearml_conf_is_taken(server, tmp_path):
    stored = server.add_credential("worker-a")
    conf = tmp_path / "clearml.conf"
    text = (
        'api {\n  api_server: http://192.0.2.10:8008\n  # credentials {"access_key" = "OLD", "secret_key" = "old"}\n'
        '  credentials {"access_key" = "%s", "secret_key" = "%s"}\n}\n' % stored
    )
    conf.write_text(text)
    conf.chmod(0o600)
    same = credentials(server, path=str(conf), format="clearml_conf")
    assert (same["changed"], same["access_key"]) == (False, stored[0])
    assert conf.read_text() == text


@pytest.mark.parametrize("content", [b"not json", b"[1]", b"\xff\xfe", b'{"access_key": 5, "secret_key": ["x"]}', b"[" * 100000])
def test_a_file_of_another_kind_is_left_alone(server, tmp_path, content):
    path = tmp_path / "pair.json"
    path.write_bytes(content)
    refused = credentials(server, path=str(path))
    assert refused["failed"] is True
    assert str(path) in refused["msg"]
    assert (path.read_bytes(), server.calls) == (content, [])


@pytest.mark.parametrize("form", ["json", "clearml_conf"])
def test_a_pipe_is_neither_read_nor_replaced(server, tmp_path, form):
    """The same holds for a device, such as what somebody takes for a place to throw a pair away."""
    path = tmp_path / "pipe"
    os.mkfifo(str(path))
    refused = credentials(server, path=str(path), format=form)
    assert refused["msg"] == "%s is a named pipe, not an ordinary file, and is left alone: name another path" % path
    assert stat.S_ISFIFO(path.stat().st_mode)
    assert server.calls == []


def test_a_file_that_cannot_be_written_leaves_no_new_pair(server, tmp_path, monkeypatch):
    path = tmp_path / "folder" / "pair.json"
    assert "there is no folder %s" % path.parent in credentials(server, path=str(path))["msg"]
    assert "auth.create_credentials" not in server.called()
    path.parent.mkdir()
    made = credentials(server, path=str(path))

    def full(source, target):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    refused = credentials(server, path=str(path), rotate="always")
    assert refused["msg"] == "%s cannot be written: No space left on device" % path
    assert server.keys("worker-a") == [made["access_key"]]
    assert json.loads(path.read_text())["access_key"] == made["access_key"]
    assert os.listdir(path.parent) == ["pair.json"]


@pytest.mark.parametrize(
    "options, reason",
    [
        ({"owner": "no-such-user"}, "owner 'no-such-user' does not exist on this host"),
        ({"owner": "-1"}, "owner '-1' does not exist on this host"),
        ({"group": "no-such-group"}, "group 'no-such-group' does not exist on this host"),
        ({"mode": "rw-rw"}, "mode 'rw-rw' must be permissions"),
        ({"mode": "99999"}, "mode '99999' must be permissions"),
        ({"mode": "0070"}, "with which the owner can read the file"),
        ({"mode": 600}, "in quotes"),
        ({"mode": ["0600"]}, "must be permissions"),
    ],
)
def test_what_the_file_cannot_get_is_refused_before_a_pair_is_made(server, tmp_path, options, reason):
    path = tmp_path / "pair.json"
    for check in (True, False):
        assert reason in credentials(server, check=check, path=str(path), **options)["msg"]
    assert (server.calls, path.exists()) == ([], False)


@pytest.mark.parametrize("mode", ["0640", "600", 0o600, "u=rw,g=r,o="])
def test_modes_of_the_file(server, tmp_path, mode):
    path = tmp_path / "pair.json"
    options = {"path": str(path), "mode": mode, "owner": str(os.geteuid()), "group": str(os.getegid())}
    assert credentials(server, **options)["changed"] is True
    assert stat.S_IMODE(path.stat().st_mode) & 0o777 in (0o600, 0o640)
    assert credentials(server, **options)["changed"] is False


def test_a_file_that_cannot_be_given_away_leaves_no_pair(server, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    path = tmp_path / "pair.json"
    refused = credentials(server, path=str(path), owner="root")
    assert refused["msg"] == "%s cannot be given to the owner root by this user: run with become: true" % path
    assert server.calls == []


@pytest.mark.parametrize("path", ["", " ", "a\0b"])
def test_a_path_that_is_none(server, path):
    """An empty variable does not put the secret into the result."""
    refused = credentials(server, path=path)
    assert refused["msg"].startswith("path %r is no path" % path)
    assert server.calls == []


def test_an_empty_user_is_not_the_one_of_the_connection(server):
    assert credentials(server, user="")["msg"] == "user must not be empty: leave it out for the user of the connection"
    assert server.calls == []


def test_rotation_by_age(server, tmp_path):
    path = tmp_path / "pair.json"
    options = {"path": str(path), "rotate": "older_than", "older_than": "90d"}
    made = credentials(server, **options)
    assert credentials(server, **options)["changed"] is False
    content = json.loads(path.read_text())
    for created, reason in (
        (time.time() - 91 * 86400, "the stored pair is older than 90d"),
        (None, "the age of the stored pair is not known"),
    ):
        content["created"] = created and time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(created))
        path.write_text(json.dumps(content))
        forecast = credentials(server, check=True, **options)
        assert (forecast["changed"], forecast["reason"]) == (True, reason)
        renewed = credentials(server, **options)
        assert (renewed["reason"], renewed["revoked"]) == (reason, [made["access_key"]])
        made, content = renewed, json.loads(path.read_text())
        assert credentials(server, **options)["changed"] is False


def test_rotation_by_age_of_a_given_pair(server):
    stored = server.add_credential("worker-a")
    options = {"rotate": "older_than", "older_than": "1h"}
    assert "needs path or stored_created" in credentials(server, stored=stored, **options)["msg"]
    assert "stored_created must be a time" in credentials(server, stored=stored, stored_created="yesterday", **options)["msg"]
    young = time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(time.time() - 1800))
    assert credentials(server, stored=stored, stored_created=young, **options)["changed"] is False
    made = credentials(server, stored=stored, stored_created="2026-01-01T00:00:00+00:00", **options)
    assert made["reason"] == "the stored pair is older than 1h"
    assert credentials(server, stored=pair_of(made), stored_created=made["created_at"], **options)["changed"] is False


@pytest.mark.parametrize("older_than", ["", "90", "0d", "-1d", "1.5h", "d", "90 days"])
def test_durations_that_cannot_be_meant(server, older_than):
    assert "such as 90d" in credentials(server, rotate="older_than", older_than=older_than, path="/nosuch/pair")["msg"]
    assert server.calls == []


def test_two_runs_at_the_same_moment_leave_one_pair(server):
    def other_run_is_first(handler, endpoint):
        server.add_credential("worker-a", access_key="OTHER")
        return False

    on_endpoint(server, "auth.create_credentials", other_run_is_first)
    refused = credentials(server)
    assert refused["msg"] == "another run changes the credentials labelled 'worker-a' at the same moment: run this again when it has ended"
    assert server.keys("worker-a") == ["OTHER"]

    def other_run_is_later(handler, endpoint):
        server.add_credential("worker-b", access_key="LATER")
        return False

    on_endpoint(server, "auth.login", other_run_is_later)
    assert credentials(server, label="worker-b")["failed"] is False  # the other one sees this and gives way


def test_of_two_with_the_label_one_is_taken_back_in_the_next_moment(server):
    """Another run had made it; this one does not leave a second one beside the one that stays."""
    server.add_credential("worker-a", access_key="STAYS")
    server.add_credential("worker-a", access_key="IN-BETWEEN")

    def taken_back_at_the_third_look(handler, endpoint):
        if server.called().count("auth.get_credentials") == 3:
            server.credentials = [entry for entry in server.credentials if entry["access_key"] != "IN-BETWEEN"]
        return False

    server.faults.append(taken_back_at_the_third_look)
    assert "another run changes the credentials" in credentials(server)["msg"]
    assert server.keys("worker-a") == ["STAYS"]
    assert "auth.create_credentials" not in server.called()


@pytest.mark.parametrize("before", ["by hand", None])
def test_another_run_makes_a_pair_while_one_gets_the_label(server, before):
    stored = server.add_credential(before)

    def other_run_is_first(handler, endpoint):
        server.add_credential("worker-a", access_key="OTHER")
        return False

    on_endpoint(server, "auth.edit_credentials", other_run_is_first)
    assert "another run changes the credentials" in credentials(server, stored=stored)["msg"]
    assert server.keys("worker-a") == ["OTHER"]
    assert [entry.get("label") for entry in server.credentials if entry["access_key"] == stored[0]] == [before]


def test_another_run_takes_its_pair_back_when_one_gets_the_label(server):
    stored = server.add_credential("by hand")

    def other_run_is_late(handler, endpoint):
        if server.called().count("auth.get_credentials") == 3:
            server.add_credential("worker-a", access_key="LATE")
        if server.called().count("auth.get_credentials") == 4:
            server.credentials = [entry for entry in server.credentials if entry["access_key"] != "LATE"]
        return False

    server.faults.append(other_run_is_late)
    assert credentials(server, stored=stored)["access_key"] == stored[0]
    assert server.keys("worker-a") == [stored[0]]


def test_a_lost_creation_does_not_revoke_what_another_run_uses(server):
    def create_and_break(handler, endpoint):
        server.add_credential("worker-a", access_key="OTHER")
        server.credentials[-1]["last_used"] = "2026-11-21T00:25:09.986000"
        break_off(handler)
        return True

    on_endpoint(server, "auth.create_credentials", create_and_break)
    assert "another run changes the credentials" in credentials(server)["msg"]
    assert server.keys("worker-a") == ["OTHER"]
