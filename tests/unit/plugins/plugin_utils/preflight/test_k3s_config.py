# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keys of K3s's config.yaml: unknown, set by the role, and to be the same on all servers."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import k3s_config, k3s_flags


def judge(config, server=True, version="v1.34.1+k3s1", **provided):
    provided["k3s_server_config" if server else "k3s_agent_config"] = config
    return k3s_config.key_findings("node-01", provided, server, version)


@pytest.mark.parametrize(
    ("config", "server"),
    [
        ({"cluster-cidr": "10.50.0.0/16", "kubelet-arg": ["max-pods=50"], "write-kubeconfig-mode": "0644"}, True),
        ({"kubelet-arg": ["max-pods=50"], "disable-apiserver-lb": True}, False),
        ({"kube-apiserver-arg+": ["v=2"], "cluster-init": True, "v": 2}, True),
        ({"flannel-backend": "host-gw", "egress-selector-mode": "disabled"}, True),
        ({}, True),
    ],
)
def test_keys_that_k3s_knows(config, server):
    assert judge(config, server) == []


@pytest.mark.parametrize(
    ("config", "server", "text", "fix"),
    [
        ({"cluster_cidr": "x"}, True, "k3s_server_config has cluster_cidr, which K3s does not know", "perhaps cluster-cidr is meant"),
        ({"--disable": "traefik"}, True, "k3s_server_config has --disable, which K3s does not know", "perhaps disable is meant"),
        ({"flannel-backnd+": "x"}, True, "k3s_server_config has flannel-backnd+, which K3s does not know", "perhaps flannel-backend is"),
        ({"frobnicate": 1}, True, "k3s_server_config has frobnicate, which K3s does not know", "remove it"),
        ({"cluster-cidr": "x"}, False, "k3s_agent_config has cluster-cidr, which only servers know", "move it to k3s_server_config"),
        ({"disable-apiserver-lb": 1}, True, "k3s_server_config has disable-apiserver-lb, which only workers know", "move it to k3s_agent"),
        ({"token": "hunter2"}, True, "k3s_server_config has token, which the role sets", "remove it and set k3s_token"),
        ({"t": "hunter2"}, False, "k3s_agent_config has t, which the role sets", "remove it and set k3s_token"),
        (
            {"server": "https://a:6443"},
            False,
            "k3s_agent_config has server, which the role sets",
            "remove it and set k3s_registration_address",
        ),
        ({"node-ip": "10.0.0.1"}, True, "k3s_server_config has node-ip, which the role sets", "remove it and set k3s_node_ip"),
        ({"node-name": "a"}, True, "k3s_server_config has node-name, which the role sets", "remove it and set k3s_node_name"),
        (
            {"datastore-endpoint": "x"},
            True,
            "k3s_server_config has datastore-endpoint, which the role sets",
            "remove it and set k3s_datastore",
        ),
        (
            {"data-dir": "/mnt"},
            True,
            "k3s_server_config has data-dir, which does not go with the roles",
            "remove it and mount the other disk",
        ),
        ({"cluster-reset": True}, True, "k3s_server_config has cluster-reset, which does not go with the roles", "remove it"),
        (
            {"flannel-backend": "wireguard"},
            True,
            "k3s_server_config has flannel-backend with a value that K3s does not know",
            "set it to one of",
        ),
        ({"kubelet-arg": {"max-pods": 5}}, True, "k3s_server_config has kubelet-arg with something nested", "write a text"),
        ({"kubelet-arg": [{"max-pods": 5}]}, True, "k3s_server_config has kubelet-arg with something nested", "write a text"),
    ],
)
def test_keys_that_cannot_be(config, server, text, fix):
    (found,) = judge(config, server)
    assert (found["level"], found["finding"]) == ("refuse", text)
    assert found["fix"].startswith(fix)
    assert "hunter2" not in str(found)


def test_labels_in_the_configuration_are_a_note():
    (found,) = judge({"node-label": ["disk=ssd"]})
    assert (found["level"], found["fix"]) == ("note", "move it to k3s_node_labels, which is kept in step")


def test_a_release_that_is_newer_than_the_list_may_know_more():
    assert [one["level"] for one in judge({"frobnicate": 1}, version="v1.99.0+k3s1")] == ["note"]
    assert [one["level"] for one in judge({"cluster-cdir": "x"}, version="v1.99.0+k3s1")] == ["refuse"]


@pytest.mark.parametrize(
    ("config", "provided", "count"),
    [
        ({"disable": ["traefik"]}, {"k3s_disable": ["servicelb"]}, 0),
        ({"disable": "traefik"}, {}, 0),
        ({"disable": "traefik"}, {"k3s_disable": ["servicelb"]}, 1),
        ({"tls-san": "k3s.home"}, {"k3s_tls_sans": ["k3s.lan"]}, 1),
        ({"secrets-encryption": True}, {"k3s_secrets_encryption": True}, 0),
        ({"secrets-encryption": False}, {"k3s_secrets_encryption": True}, 1),
        ({"private-registry": "/etc/own.yaml"}, {"k3s_registries": {"mirrors": {}}}, 1),
    ],
)
def test_a_key_and_a_variable_that_say_the_same(config, provided, count):
    assert len(judge(config, **provided)) == count


def test_no_flag_is_on_two_lists():
    assert not k3s_flags.BOTH & k3s_flags.SERVER_ONLY and not k3s_flags.BOTH & k3s_flags.AGENT_ONLY
    known = k3s_flags.flags(True) | k3s_flags.flags(False)
    named = {
        **k3s_flags.VARIABLES,
        **k3s_flags.REGISTRATION,
        **k3s_flags.LISTS,
        **k3s_flags.SINGLES,
        **k3s_flags.REFUSED,
        **k3s_flags.CHOICES,
    }
    assert set(named) | set(k3s_flags.SAME_ON_SERVERS) | set(k3s_flags.SHORT.values()) <= known


def compare(one, other):
    shared = {"a": k3s_config.shared_settings(one, "v1.34.1+k3s1"), "b": k3s_config.shared_settings(other, "v1.34.1+k3s1")}
    return k3s_config.difference_findings(shared)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({}, {}),
        ({"k3s_server_config": {"cluster-cidr": "10.42.0.0/16", "flannel-backend": "vxlan"}}, {}),
        (
            {"k3s_server_config": {"cluster-cidr": ["10.50.0.0/16", "fd00:50::/56"]}},
            {"k3s_server_config": {"cluster-cidr": "10.50.0.0/16,fd00:50::/56"}},
        ),
        ({"k3s_secrets_encryption": True}, {"k3s_server_config": {"secrets-encryption": True}}),
        ({"k3s_token": "abcdefghabcdefgh"}, {}),
        ({"k3s_disable": ["traefik"], "k3s_tls_sans": ["a"]}, {}),
        ({"k3s_server_config": {"kubelet-arg": ["max-pods=50"], "disable-kube-proxy": True}}, {}),
    ],
)
def test_servers_may_differ_in_this(one, other):
    assert compare(one, other) == []


@pytest.mark.parametrize(
    ("one", "other", "text", "measured"),
    [
        (
            {"k3s_server_config": {"cluster-cidr": "10.50.0.0/16"}},
            {},
            "cluster-cidr of k3s_server_config differs between servers",
            "10.50.0.0/16 on a; 10.42.0.0/16 on b",
        ),
        (
            {"k3s_secrets_encryption": True},
            {},
            "k3s_secrets_encryption (or secrets-encryption of k3s_server_config) differs between servers",
            "true on a; false on b",
        ),
        (
            {},
            {"k3s_server_config": {"supervisor-metrics": True}},
            "supervisor-metrics of k3s_server_config differs between servers",
            "false on a; true on b",
        ),
        ({"k3s_disable": ["servicelb"]}, {}, "disable of k3s_server_config differs between servers", "servicelb on a; nothing on b"),
        ({"k3s_token": "a" * 16}, {"k3s_token": "b" * 16}, "k3s_token differs between servers", "set on a; another on b"),
        ({"k3s_agent_token": "a" * 16}, {}, "k3s_agent_token differs between servers", "set on a"),
        ({"k3s_datastore_endpoint": "postgres://u:hunter2@db/k3s"}, {}, "k3s_datastore_endpoint differs between servers", "set on a"),
    ],
)
def test_servers_may_not_differ_in_this(one, other, text, measured):
    (found,) = compare(one, other)
    assert (found["level"], found["host"], found["finding"], found["measured"]) == ("refuse", "a, b", text, measured)
    assert "hunter2" not in str(k3s_config.shared_settings(one, "v1"))


def test_one_cluster_has_one_release():
    shared = {"a": k3s_config.shared_settings({}, "v1.34.1+k3s1"), "b": k3s_config.shared_settings({}, "v1.33.1+k3s1")}
    assert [one["finding"] for one in k3s_config.difference_findings(shared)] == ["k3s_version differs between servers"]
