# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the ClearML server: each rule once broken, once kept."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.filter.preflight import clearml_server_findings

KEYS = ["apiserver_key", "salt"]


def lines(**provided):
    return clearml_server_findings({f"clearml_server_{name}": value for name, value in provided.items()}, "node-01", KEYS)


def memory(limit):
    return {"elasticsearch": {"limits": {"memory": limit}}}


@pytest.mark.parametrize(
    ("provided", "text"),
    [
        ({"users": []}, "clearml_server_users has names that cannot be: nobody"),
        ({"users": [{"name": "a b"}]}, "clearml_server_users has names that cannot be: a b"),
        ({"users": [{"name": "x"}, {"name": "x"}]}, "clearml_server_users has names that cannot be: x"),
        ({"users": [{"name": "x" * 101}]}, "clearml_server_users has names that cannot be"),
        ({"users": [{"name": "jo", "password": "gr\u00fcn"}]}, "clearml_server_users has passwords that let nobody in: jo"),
        ({"users": [{"name": "jo", "password": "two\nlines"}]}, "clearml_server_users has passwords that let nobody in: jo"),
        ({"secrets": {"salt": "abcd1234", "pepper": "abcd1234"}}, "clearml_server_secrets has what cannot be: pepper"),
        ({"secrets": {"salt": "short"}}, "clearml_server_secrets has what cannot be: salt"),
        ({"chart_checksum": "sha256:" + "a" * 64}, "clearml_server_chart_checksum is no SHA-256"),
        ({"elasticsearch_heap_size": "2 gigs"}, "clearml_server_elasticsearch_heap_size is no size of a heap"),
        ({"elasticsearch_heap_size": "2Gi"}, "clearml_server_elasticsearch_heap_size is no size of a heap"),
        ({"elasticsearch_heap_size": "0g"}, "clearml_server_elasticsearch_heap_size is no size of a heap"),
        ({"elasticsearch_heap_size": "2g", "resources": memory("2Gi")}, "the heap of Elasticsearch leaves it no memory: 2g of 2Gi"),
        ({"resources": memory("2Gi")}, "the heap of Elasticsearch leaves it no memory: 2g of 2Gi"),
        ({"elasticsearch_watermarks": {"low": "plenty"}}, "clearml_server_elasticsearch_watermarks.low is no size"),
        ({"mongodb_cache_gigabytes": 0.1}, "clearml_server_mongodb_cache_gigabytes is too small: 0.1"),
        ({"resources": {"apisever": {}}}, "clearml_server_resources names no part: apisever: did you mean apiserver?"),
        ({"resources": {"postgres": {}}}, "clearml_server_resources names no part: postgres: the parts are apiserver"),
        ({"task_timeout_seconds": 5}, "clearml_server_task_timeout_seconds is too short: 5: write 60 or more"),
        ({"watchdog_interval_seconds": 0}, "clearml_server_watchdog_interval_seconds is too short"),
        ({"extra_conf": {"services": {}}}, "clearml_server_extra_conf has what is no file of settings: services"),
        ({"extra_conf": {"../hosts.conf": {}}}, "clearml_server_extra_conf has what is no file of settings"),
        ({"extra_conf": {"services.conf": "tasks {}"}}, "clearml_server_extra_conf has what is no file of settings: services.conf"),
    ],
)
def test_what_cannot_work_is_one_line(provided, text):
    (line,) = lines(**provided)
    assert line.startswith(text)


@pytest.mark.parametrize(
    "provided",
    [
        {},
        {"users": [{"name": "jane.doe", "password": "any ASCII ~!"}, {"name": "ci", "password": None}]},
        {"secrets": {"salt": "abcd1234"}, "chart_checksum": "aB" * 32},
        {"elasticsearch_heap_size": "512m", "resources": memory("1Gi")},
        {"elasticsearch_watermarks": {"low": "1gb", "high": "95%", "flood_stage": "500MB"}},
        {"resources": {"elasticsearch": {"requests": {"cpu": "1"}}, "redis": {}}},
        {"extra_conf": {"services.conf": {"tasks": {}}}, "mongodb_cache_gigabytes": 0.25},
    ],
)
def test_what_works_has_no_findings(provided):
    assert lines(**provided) == []


def test_own_secrets_are_named_and_never_shown():
    (line,) = lines(secrets={"salt": "hunter2", "pepper": "correct1horse", "apiserver_key": "Right1234"})
    assert "pepper, salt" in line and "apiserver_key, salt" in line
    assert "hunter2" not in line and "horse" not in line


def test_a_password_is_never_shown():
    (line,) = lines(users=[{"name": "jo", "password": "gr\u00fcn-secret"}])
    assert "secret" not in line
