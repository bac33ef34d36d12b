# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which files people get, what is left alone, and what is read back."""

from __future__ import annotations

import json
import subprocess

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.mlops.plugins.filter.clearml_client import (
    clearml_client_files,
    clearml_client_pair,
    clearml_client_quoted,
    clearml_client_refusals,
)

ACCOUNTS = {
    "alice": ["x", "1000", "1000", "", "/home/alice", "/bin/bash"],
    "ci": ["x", "998", "997", "", "/var/lib/ci", "/usr/sbin/nologin"],
    "carol": None,
}
ALICE = {"user": "alice", "clearml_user": "Alice Example"}
MARKED = "# Written by homelab.mlops.clearml_client for Alice Example; a change made here is undone by its next run.\n"


def files(*people, companions=False):
    return clearml_client_files(list(people), ACCOUNTS, "gpu-01", companions)


def test_a_person_gets_a_file_at_home():
    assert files(ALICE) == [
        {
            "user": "alice",
            "group": "1000",
            "clearml_user": "Alice Example",
            "form": "conf",
            "path": "/home/alice/clearml.conf",
            "settings": "",
            "label": "gpu-01:/home/alice/clearml.conf",
        }
    ]


@pytest.mark.parametrize(
    ("entry", "companions", "path", "settings"),
    [
        ({"form": "environment"}, False, "/var/lib/ci/clearml.env", ""),
        ({"form": "environment"}, True, "/var/lib/ci/clearml.env", "/var/lib/ci/clearml.env.conf"),
        ({"form": "conf"}, True, "/var/lib/ci/clearml.conf", ""),
        ({"path": "~/jobs/../train.conf"}, True, "/var/lib/ci/train.conf", ""),
        ({"path": "/etc/ci/clearml.conf"}, False, "/etc/ci/clearml.conf", ""),
    ],
)
def test_other_files(entry, companions, path, settings):
    found = files({"user": "ci", "clearml_user": "ci", **entry}, companions=companions)[0]
    assert (found["path"], found["settings"], found["group"]) == (path, settings, "997")


def test_a_host_and_a_path_are_one_label_whatever_the_path():
    long = files(dict(ALICE, path="/" + "a" * 300 + "/b"))[0]
    assert len(long["label"]) == 255
    assert long["label"].endswith("a/b")


@pytest.mark.parametrize(
    ("people", "line"),
    [
        ([dict(ALICE, user="carol")], "gpu-01 has no user carol: make it"),
        ([dict(ALICE, user="bob")], "gpu-01 has no user bob: make it"),
        ([ALICE, ALICE], "/home/alice/clearml.conf is of two entries (alice, alice)"),
        ([ALICE, {"user": "ci", "clearml_user": "ci", "path": "/home/alice/clearml.conf"}], "is of two entries (alice, ci)"),
        (
            [dict(ALICE, form="environment"), dict(ALICE, path="~/clearml.env.conf")],
            "/home/alice/clearml.env.conf is of two entries",
        ),
        ([dict(ALICE, path="clearml.conf")], "write a file's whole path"),
        ([dict(ALICE, path="~bob/clearml.conf")], "write a file's whole path"),
        ([dict(ALICE, path="~/folder/")], "write a file's whole path"),
        ([dict(ALICE, form="yaml")], "alice: form yaml: write conf or environment"),
        ([dict(ALICE, pth="~/x")], "unknown key pth"),
        ([{"user": "alice"}], "an entry has no clearml_user"),
    ],
)
def test_entries_that_cannot_be(people, line):
    with pytest.raises(AnsibleFilterError) as refused:
        files(*people, companions=True)
    assert line in str(refused.value)
    assert "\n" not in str(refused.value)


STATS = {"/home/alice/clearml.conf": {"exists": True, "isreg": True}, "/home/alice": {"exists": True, "isdir": True}}


@pytest.mark.parametrize(
    ("stat", "text", "replace", "line"),
    [
        ({"exists": False}, "", False, ""),
        ({"exists": True, "isreg": True}, MARKED + "{}", False, ""),
        ({"exists": True, "isreg": True}, "api { }", False, "is somebody's own file and is left alone: set clearml_client_replace"),
        ({"exists": True, "isreg": True}, "# mine, not homelab's\n" + MARKED, False, "is somebody's own file"),
        ({"exists": True, "isreg": True}, "api { }", True, ""),
        ({"exists": True, "isreg": False, "islnk": True}, "", True, "is no ordinary file and is left alone"),
        ({"exists": True, "isreg": False, "isdir": True}, "", True, "is no ordinary file and is left alone"),
    ],
)
def test_what_is_there_and_not_ours(stat, text, replace, line):
    stats = dict(STATS, **{"/home/alice/clearml.conf": stat})
    found = clearml_client_refusals(files(ALICE), stats, {"/home/alice/clearml.conf": text}, replace)
    assert [line in one for one in found] == ([True] if line else [])


def test_a_folder_that_is_not_there():
    stats = dict(STATS, **{"/srv": {"exists": False}, "/srv/c.conf": {"exists": False}})
    found = clearml_client_refusals(files(dict(ALICE, path="/srv/c.conf")), stats, {})
    assert found == ["/srv/c.conf: there is no folder /srv: make it, or correct the path in clearml_client_people"]


def test_a_pair_is_read_back_from_both_forms():
    pair = {"access_key": "KEY1", "secret_key": "s3cr-e_t"}
    conf = MARKED + json.dumps({"api": {"credentials": pair}, "sdk": {}}, indent=4)
    environment = MARKED + "AWS_ACCESS_KEY_ID=no\nCLEARML_API_ACCESS_KEY=KEY1\nCLEARML_API_SECRET_KEY='s3cr-e_t'\nX=1\n"
    assert clearml_client_pair(conf) == clearml_client_pair(environment) == pair


@pytest.mark.parametrize(
    "text",
    [
        "",
        "CLEARML_API_ACCESS_KEY=a\nCLEARML_API_SECRET_KEY=b\n",
        MARKED,
        MARKED + "CLEARML_API_ACCESS_KEY=a\n",
        MARKED + '{"api": {"cred',
        MARKED + '{"api": {"credentials": ["a", "b"]}}',
        MARKED + '{"api": {"credentials": {"access_key": 1, "secret_key": ""}}}',
    ],
)
def test_no_pair(text):
    assert clearml_client_pair(text) == {"access_key": "", "secret_key": ""}


@pytest.mark.parametrize("value", ["plain-1_2./:@%+,=", "", "two words", "it's", 'a "b" $HOME `id` \\ \'x', "#no comment", "{a}"])
def test_a_shell_reads_the_value_that_was_given(value):
    line = "NAME=" + clearml_client_quoted(value)
    said = subprocess.run(["/bin/sh", "-c", line + '\nprintf %s "$NAME"'], capture_output=True, text=True, check=True).stdout
    assert said == value


def test_two_lines_are_no_value():
    with pytest.raises(AnsibleFilterError, match="more than one line"):
        clearml_client_quoted("a\nb")
