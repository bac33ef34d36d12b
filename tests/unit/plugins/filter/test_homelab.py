# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role homelab."""

from __future__ import annotations

import base64

import pytest
from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.mlops.plugins.filter import homelab


@pytest.mark.parametrize(
    ("host", "port", "scheme", "url"),
    [
        ("10.0.0.1", 8080, "http", "http://10.0.0.1:8080"),
        ("10.0.0.1", "80", "http", "http://10.0.0.1"),
        ("10.0.0.1", 80, "https", "https://10.0.0.1:80"),
        ("k3s.home", 443, "https", "https://k3s.home"),
        ("fd00::1", 9000, "http", "http://[fd00::1]:9000"),
        ("", 80, "http", ""),
    ],
)
def test_http_url(host, port, scheme, url):
    assert homelab.http_url(host, port, scheme) == url


def server(address, *nodes):
    return {"address": address, "k3s": {"nodes": [{"name": name, "address": own} for name, own in nodes]}}


@pytest.mark.parametrize(
    ("servers", "configured", "connection", "address"),
    [
        ({"one": server("10.0.0.1")}, "10.0.0.9", "", "10.0.0.9"),
        ({"one": server("10.0.0.1")}, "", "", "10.0.0.1"),
        ({"one": server("10.0.0.1", ("one", "10.0.0.7"))}, "", "", "10.0.0.7"),
        ({"two": server("10.0.0.2", ("one", "10.0.0.7"))}, "", "", "10.0.0.7"),
        ({"two": server("10.0.0.2", ("two", "10.0.0.2"))}, "", "10.0.0.8", "10.0.0.8"),
        ({}, "", "one.home", ""),
        ({}, "", "", ""),
    ],
)
def test_server_address(servers, configured, connection, address):
    assert homelab.server_address(servers, "one", configured, connection) == address


def test_node_addresses_are_the_clusters_and_of_a_new_node_what_is_known_otherwise():
    nodes = [
        {"name": "node-01", "addresses": ["10.0.0.1", "fd00::1"]},
        {"name": "elsewhere", "addresses": ["10.0.0.9"]},
        {"name": "empty", "addresses": []},
    ]
    known = {
        "node-01": ["", "192.168.1.1", ""],  # an address by which it is managed
        "empty": ["", "10.0.0.5", "10.0.0.6"],
        "set": ["10.0.0.2, fd00::2", "10.0.0.3", ""],
        "named": ["", "", "node-04.lan"],
        "reached": ["", "", "10.0.0.4"],
    }
    assert homelab.node_addresses(nodes, known) == ["10.0.0.1", "10.0.0.2", "10.0.0.4", "10.0.0.5", "10.0.0.9", "fd00::1", "fd00::2"]


def stored(**values):
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def test_missing_values_are_generated_and_present_ones_stay():
    values = homelab.secret_values(stored(old="as it was"), {"old": {"length": 8}, "new": {"length": 12}, "long": {}})
    assert values["old"] == "as it was"
    assert (len(values["new"]), len(values["long"])) == (12, 32)
    assert values["new"].isalnum() and values["new"][0].isalpha()


def test_generated_values_differ():
    assert len({homelab.secret_values({}, {"key": {}})["key"] for _unused in range(20)}) == 20


def test_an_override_wins_and_other_keys_stay():
    values = homelab.secret_values(stored(key="old", other="kept"), {"key": {"override": "given"}})
    assert values == {"key": "given", "other": "kept"}


def test_what_the_caller_made_is_taken_only_where_nothing_is_stored():
    wanted = {"key": {"generated": "ours"}}
    assert homelab.secret_values({}, wanted) == {"key": "ours"}
    assert homelab.secret_values(stored(key="theirs"), wanted) == {"key": "theirs"}
    assert homelab.secret_differs({}, wanted) and not homelab.secret_differs(stored(key="theirs"), wanted)


def test_check_mode_generates_nothing():
    values = homelab.secret_values(stored(old="kept"), {"old": {}, "new": {}}, generate=False)
    assert values == {"old": "kept", "new": homelab.PLACEHOLDER}


def test_a_secret_is_no_handful_of_characters():
    with pytest.raises(AnsibleFilterError, match="8 at least"):
        homelab.secret_values({}, {"key": {"length": 7}})


@pytest.mark.parametrize(
    ("data", "wanted", "differs"),
    [
        ({}, {"key": {}}, True),
        (stored(key=""), {"key": {}}, True),
        (stored(key="old"), {"key": {}}, False),
        (stored(key="old"), {"key": {"override": "old"}}, False),
        (stored(key="old"), {"key": {"override": "new"}}, True),
        (stored(key="old"), {}, False),
    ],
)
def test_secret_differs(data, wanted, differs):
    assert bool(homelab.secret_differs(data, wanted)) is differs


def test_a_stored_value_that_does_not_fit_is_replaced():
    wanted = {"key": {"length": 12, "pattern": "[A-Za-z0-9]{8,}"}}
    for unfit in ("short", "eight letters", "lineended\n"):
        values = homelab.secret_values(stored(key=unfit, other="kept"), wanted)
        assert len(values["key"]) == 12 and values["other"] == "kept"
        assert homelab.secret_differs(stored(key=unfit), wanted)
    assert homelab.secret_values(stored(key="goodenough"), wanted)["key"] == "goodenough"
    assert not homelab.secret_differs(stored(key="goodenough"), wanted)


def test_an_override_that_does_not_fit_is_refused_without_being_shown():
    with pytest.raises(AnsibleFilterError, match="key") as refused:
        homelab.secret_values(stored(key="goodenough"), {"key": {"override": "hunter2", "pattern": "[a-z]{8,}"}})
    assert "hunter2" not in str(refused.value)


def test_values_that_are_no_text_stay_as_they_are():
    data = {"foreign": base64.b64encode(b"\xff\xfe").decode(), "key": base64.b64encode(b"\xff\xfe").decode()}
    values = homelab.secret_values(data, {"key": {"length": 12}})
    assert list(values) == ["key"] and len(values["key"]) == 12
    assert homelab.secret_differs(data, {"key": {}})


def test_secret_data_is_what_secret_values_reads():
    assert homelab.secret_values(homelab.secret_data({"key": "väl"}), {}) == {"key": "väl"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("no answer\n from 10.0.0.1", "no answer from 10.0.0.1"),
        ("refused: hunter2", "the reason holds a secret and is not shown"),
        ("refused: aHVudGVyMg==", "the reason holds a secret and is not shown"),
    ],
)
def test_without_secrets(text, shown):
    assert homelab.without_secrets(text, {"password": "hunter2", "empty": ""}) == shown


def test_a_value_that_is_to_be_absent_is_taken_out_once():
    wanted = {"old": {"absent": True}, "key": {}}
    assert homelab.secret_differs(stored(key="value-of-key", old="value-of-old"), wanted)
    assert homelab.secret_values(stored(key="value-of-key", old="value-of-old"), wanted) == {"key": "value-of-key"}
    assert not homelab.secret_differs(stored(key="value-of-key"), wanted)
