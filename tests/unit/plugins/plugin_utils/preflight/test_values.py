# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that fit their type: each rule once broken, once kept."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import values as rules
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import SETTINGS, changed


@pytest.mark.parametrize("name", ["clearml", "a.b-c", "123", "a" * 63])
def test_bucket_names_that_s3_takes(name):
    assert rules.bucket_fault(name) == ""


@pytest.mark.parametrize("name", ["ab", "a" * 64, "Clearml", "my_bucket", "-ab", "ab.", "a..b", "10.0.0.1", "xn--ab", "ab-s3alias"])
def test_bucket_names_that_s3_forbids(name):
    assert rules.bucket_fault(name) != ""


@pytest.mark.parametrize("url", ["http://10.0.0.1:8080", "https://s3.home", "http://[fd00::1]:9000/k3s/releases"])
def test_urls(url):
    assert rules.url_fault(url) == ""


@pytest.mark.parametrize(
    "url", ["10.0.0.1:9000", "s3://bucket", "http://", "http://a_b", "http://a:0", "http://a:99999", "http://a/?x=1", "http://[::1"]
)
def test_no_urls(url):
    assert rules.url_fault(url) != ""


def values(provided=None, **changes):
    return [one["finding"] for one in rules.value_findings("node-01", provided or {}, changed(SETTINGS, **changes))]


@pytest.mark.parametrize(
    ("provided", "changes", "text"),
    [
        ({"k3s_base_url": "nowhere"}, {}, "k3s_base_url is no URL"),
        ({"homelab_domain_address": "http://a"}, {}, "homelab_domain_address is neither name nor address"),
        ({"homelab_s3_address": "s3.home"}, {}, "homelab_s3_address is no IP address"),
        ({}, {"bucket": "A"}, "S3 forbids this bucket name"),
        ({}, {"clearml__exposure": "ingress"}, "exposure by ingress needs homelab_clearml_domain"),
        ({}, {"k3s_version": "1.34"}, "k3s_version is no release of K3s"),
        ({}, {"address": ""}, "the first server's address is not known"),
        ({}, {"endpoints__s3": ["", 8080]}, "s3 and clearml_web share a port"),
        ({}, {"endpoints__s3": ["", 6443]}, "s3 and the Kubernetes API share a port"),
        ({}, {"endpoints__s3": ["", 70000]}, "port of s3 is no TCP port"),
        ({"clearml_agent_instances": [{"name": "a"}, {"name": "a"}]}, {}, "two agent instances have one name"),
        ({"clearml_agent_instances": [{"name": "a", "queues": []}]}, {}, "agent instance a has no queue"),
        ({"clearml_agent_queues": []}, {}, "agents have no queue"),
        ({"homelab_admin_host": "laptop"}, {}, "homelab_admin_host is not in k3s_servers"),
        ({"homelab_admin_host": "laptop"}, {"servers": [], "s3_host": "store-01"}, "homelab_admin_host is not in minio_servers"),
        ({}, {"s3_host": "store-01", "s3__endpoint_url": ""}, "the address of the object store is not known"),
        ({}, {"s3_host": "store-01", "s3__provider": "external"}, "the object store is external and has a host in minio_servers"),
        ({}, {"s3_host": "node-02", "endpoints__s3": ["", 8080]}, "s3 and clearml_web share a port"),
        ({"minio_storage_size": "20 gigs"}, {}, "minio_storage_size is no size"),
        ({"clearml_server_ready_timeout_seconds": -3}, {}, "clearml_server_ready_timeout_seconds is no time to wait"),
    ],
)
def test_wrong_values(provided, changes, text):
    found = values(provided, **changes)
    assert len(found) == 1 and found[0].startswith(text)


def test_ports_of_different_addresses_do_not_collide():
    assert values(endpoints={"clearml_web": ["10.0.0.5", 80], "clearml_api": ["10.0.0.6", 80]}) == []


def test_node_ports_have_their_range():
    endpoints = {"clearml_web": ["", 8080], "clearml_api": ["", 30008], "s3": ["", 9000], "s3_console": ["", 30901]}
    assert values(exposure="node_port", endpoints=endpoints) == ["port of clearml_web is no node port", "port of s3 is no node port"]


def test_numbers_from_the_command_line_are_texts():
    assert values(endpoints={"clearml_web": ["", "8080"], "clearml_api": ["", 8080]}) == ["clearml_api and clearml_web share a port"]


def test_the_admin_host_may_be_a_server():
    assert values({"homelab_admin_host": "node-01"}) == []
