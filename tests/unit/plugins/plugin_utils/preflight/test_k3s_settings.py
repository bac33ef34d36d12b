# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of the role k3s: each rule once broken, once kept."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import k3s_settings
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, SETTINGS, changed, facts


def judge(server=True, has_authority=False, settings=None, **provided):
    return k3s_settings.settings_findings("node-01", provided, server, changed(SETTINGS, **(settings or {})), has_authority)


GOOD = "abcdefgh12345678"
FULL = "K10" + "a" * 64 + "::server:" + GOOD


@pytest.mark.parametrize(
    "provided",
    [
        {},
        {"k3s_token": GOOD, "k3s_agent_token": GOOD[::-1]},
        {"k3s_datastore_endpoint": "postgres://user:secret@db/k3s", "k3s_token": GOOD},
        {"k3s_datastore_endpoint": "https://e1:2379,https://e2:2379", "k3s_token": GOOD},
        {"k3s_node_ip": "10.0.0.1,fd00::1", "k3s_registration_address": "k3s.home", "k3s_tls_sans": ["10.0.0.9", "*.k3s.home"]},
        {"k3s_firewall_clients": ["10.0.0.9", "192.168.1.7/24", "fd00::/64"]},
        {"k3s_node_labels": {"disk": "ssd", "example.org/rack": 4, "gpu": True, "empty": None, "node-role.kubernetes.io/worker": ""}},
        {"k3s_node_taints": ["gpu=true:NoSchedule", "gpu=true:NoExecute", "example.org/slow:PreferNoSchedule"]},
        {
            "k3s_registries": {
                "mirrors": {"docker.io": {"endpoint": ["https://m"], "rewrite": {}}},
                "configs": {"m": {"auth": {}, "tls": {}}},
            }
        },
        {"k3s_environment": {"HTTP_PROXY": "http://p", "NO_PROXY": "10.0.0.0/24", "_x1": ""}},
        {"k3s_disable": ["traefik", "servicelb"], "k3s_binary_checksum": "a" * 64, "k3s_servers_schedulable": False},
    ],
)
def test_settings_that_are_right(provided):
    assert judge(**provided) == []


@pytest.mark.parametrize(
    ("provided", "text", "measured"),
    [
        ({"k3s_token": "short"}, "k3s_token is too short to keep others out", "5 characters"),
        ({"k3s_token": "with blank 1234567"}, "k3s_token is no token: it has a blank or a line break", "not shown"),
        ({"k3s_token": "with:colon12345678"}, "k3s_token is no token: it has a colon", "not shown"),
        (
            {"k3s_token": "K10abc::server:" + GOOD},
            "k3s_token is no token: it begins with K10 and is not K10, 64 hexadecimal digits, ::, USER:SECRET",
            "not shown",
        ),
        ({"k3s_token": FULL}, "k3s_token names the certificate of a cluster that is not there", "K10..."),
        ({"k3s_agent_token": "short"}, "k3s_agent_token is too short to keep others out", "5 characters"),
        ({"k3s_token": GOOD, "k3s_agent_token": GOOD}, "k3s_agent_token is the same as k3s_token", "not shown"),
        ({"k3s_node_ip": "10.0.0"}, "k3s_node_ip is no IP address", "10.0.0"),
        ({"k3s_node_ip": "10.0.0.1:6443"}, "k3s_node_ip is no IP address", "10.0.0.1:6443"),
        ({"k3s_registration_address": "https://k3s.home"}, "k3s_registration_address cannot be: it is a URL", "https://k3s.home"),
        ({"k3s_registration_address": "k3s.home:6443"}, "k3s_registration_address cannot be: it has a port", "k3s.home:6443"),
        ({"k3s_firewall_clients": ["desk.lan"]}, "k3s_firewall_clients has what is no address and no network", "desk.lan"),
        ({"k3s_tls_sans": ["https://k3s.home"]}, "k3s_tls_sans cannot be: it is a URL", "https://k3s.home"),
        ({"k3s_binary_checksum": "abc"}, "k3s_binary_checksum is no SHA-256", "3 characters"),
        (
            {"k3s_datastore_endpoint": "mongodb://u:p@h", "k3s_token": GOOD},
            "k3s_datastore_endpoint is of no kind that K3s knows",
            "mongodb://",
        ),
        ({"k3s_datastore_endpoint": "db.home:5432", "k3s_token": GOOD}, "k3s_datastore_endpoint is of no kind that K3s knows", "no ://"),
        ({"k3s_datastore_endpoint": "mysql://u:p@tcp(h)/k3s"}, "k3s_datastore_endpoint without k3s_token", "no token"),
        ({"k3s_node_taints": ["gpu"]}, "a taint is not of the form key=value:Effect", "gpu"),
        ({"k3s_node_taints": ["gpu=true:NoShedule"]}, "a taint has the effect NoShedule", "gpu=true:NoShedule"),
        ({"k3s_node_taints": ["a=1:NoExecute", "a=2:NoExecute"]}, "two taints have one key and effect", "a=2:NoExecute"),
        ({"k3s_registries": {"mirror": {}}}, "k3s_registries has mirror, which K3s does not know", "set"),
        ({"k3s_registries": {"mirrors": ["docker.io"]}}, "mirrors of k3s_registries has another form", "list"),
        (
            {"k3s_registries": {"configs": {"m": {"authh": {"password": "hunter2"}}}}},
            "m below configs of k3s_registries has authh, which K3s does not know",
            "set",
        ),
        ({"k3s_environment": {"HTTP-PROXY": "x"}}, "k3s_environment has what is no name of a variable", "HTTP-PROXY"),
        ({"k3s_environment": {"K3S_TOKEN": "hunter2"}}, "k3s_environment has K3S_TOKEN, which would work against the role", "set"),
        ({"k3s_environment": {"A": "x\ny"}}, "A of k3s_environment is not one line", "str"),
        ({"k3s_disable": ["traefk"]}, "k3s_disable has what is no part of K3s", "traefk"),
        ({"k3s_disable": ["local-storage"]}, "the storage class that ClearML and MinIO use is left out", "local-storage in k3s_disable"),
        ({"k3s_server_config": {"cluster-cidr": "x"}}, "cluster-cidr is no network", "x"),
    ],
)
def test_settings_that_cannot_work(provided, text, measured):
    found = judge(**provided)
    assert facts(found) == [("refuse", text, measured)]
    for secret in ("hunter2", GOOD, "with:colon", "u:p@"):
        assert secret not in str(found)


@pytest.mark.parametrize(
    ("key", "value", "fault"),
    [
        ("disk", "s" * 64, "its value"),
        ("a b", "x", "its name"),
        ("-disk", "x", "its name"),
        ("Example.org/disk", "x", "the part before"),
        ("disk", "a/b", "its value"),
        ("x/y/z", "1", "the part before"),
    ],
)
def test_labels_that_kubernetes_refuses(key, value, fault):
    (found,) = judge(k3s_node_labels={key: value})
    assert found["finding"].startswith(f"label {key} cannot be: {fault}")
    (found,) = judge(k3s_node_taints=[f"{key}={value}:NoSchedule"])
    assert found["finding"].startswith(f"a taint cannot be: {fault}")


def test_a_label_is_one_value():
    assert facts(judge(k3s_node_labels={"disks": ["a", "b"]})) == [("refuse", "label disks has no text as its value", "list")]


@pytest.mark.parametrize(("effect", "fix"), [("noschedule", "perhaps NoSchedule is meant"), ("Never", "write one of")])
def test_the_effect_that_was_meant(effect, fix):
    (found,) = judge(k3s_node_taints=[f"a=b:{effect}"])
    assert found["fix"].startswith(fix)


def test_a_short_token_of_a_living_cluster_stays():
    assert judge(settings={"cluster_alive": True}, k3s_token="short") == []


def test_a_full_token_where_its_certificate_is():
    assert judge(has_authority=True, k3s_token=FULL) == judge(settings={"cluster_alive": True}, k3s_token=FULL) == []
    assert judge(server=False, k3s_token=FULL) == []


@pytest.mark.parametrize(
    ("servers", "provided", "count"),
    [
        (["node-01"], {}, 0),
        (["node-01", "b"], {}, 1),
        (["node-01", "b"], {"k3s_datastore_endpoint": "", "k3s_token": GOOD}, 1),
        (["node-01", "b"], {"k3s_datastore_endpoint": "postgres://db/k3s", "k3s_token": GOOD}, 0),
        (["node-01", "b", "c"], {}, 0),
        (["node-01", "b", "c", "d"], {}, 1),
    ],
)
def test_servers_that_hold_the_state_are_odd_in_number(servers, provided, count):
    found = [one["finding"] for one in judge(settings={"servers": servers}, **provided)]
    assert found == ["an even number of servers bears no more failures than one server less"] * count


def test_two_servers_that_are_left_of_three_are_noted_only():
    settings = {"servers": ["node-01", "b"], "etcd_servers": ["node-01", "b"]}
    (found,) = judge(settings=settings)
    assert (found["level"], "remove_host.yml" in found["fix"]) == ("note", True)
    (found,) = judge(settings={**settings, "servers": ["node-01", "c"]})
    assert (found["level"], "move c to k3s_workers" in found["fix"]) == ("refuse", True)


def test_a_worker_is_not_asked_what_servers_need():
    assert judge(server=False, settings={"servers": ["a", "b"]}, k3s_disable=["traefk"], k3s_datastore_endpoint="x") == []


def test_pods_need_a_node_that_takes_them():
    (found,) = judge(settings={"workers": []}, k3s_servers_schedulable=False)
    assert found["finding"] == "no node would take pods"


def test_a_file_is_no_store_for_several_servers():
    (found,) = judge(settings={"servers": ["a", "b", "c"]}, k3s_datastore_endpoint="sqlite:///k3s.db", k3s_token=GOOD)
    assert found["finding"] == "k3s_datastore_endpoint is a file of one server"


def test_another_storage_class_needs_no_local_storage():
    assert judge(settings={"storage_class": "longhorn"}, k3s_disable=["local-storage"]) == []


@pytest.mark.parametrize(
    ("provided", "text"),
    [
        ({"k3s_disable": ["my-own-manifest"]}, "k3s_disable has what is no part of K3s"),
        ({"k3s_embedded_registry": True}, "k3s_embedded_registry shares nothing"),
        ({"k3s_environment": {"https_proxy": "http://p"}}, "nodes would reach each other by way of the proxy"),
    ],
)
def test_settings_worth_a_note(provided, text):
    assert [(one["level"], one["finding"]) for one in judge(**provided)] == [("note", text)]


RELEASE = "v1.34.1+k3s1"


@pytest.mark.parametrize(
    ("files", "provided", "missing"),
    [
        (["k3s", "sha256sum-amd64.txt"], {}, ""),
        (["k3s"], {"k3s_binary_checksum": "a" * 64}, ""),
        (["k3s"], {}, "sha256sum-amd64.txt"),
        (["k3s-arm64", "sha256sum-arm64.txt"], {}, "k3s, sha256sum-amd64.txt"),
        (["k3s", "sha256sum-amd64.txt"], {"k3s_airgap_images": True}, "k3s-airgap-images-amd64.tar.zst"),
    ],
)
def test_a_release_on_the_controller(tmp_path, files, provided, missing):
    (tmp_path / RELEASE).mkdir()
    for name in files:
        (tmp_path / RELEASE / name).write_text("")
    found = k3s_settings.release_findings("node-01", {"k3s_release_folder": str(tmp_path), **provided}, NODE, SETTINGS)
    assert [one["finding"] for one in found] == [f"k3s_release_folder lacks {missing}"] * bool(missing)


def test_a_release_that_is_not_there(tmp_path):
    provided = {"k3s_release_folder": str(tmp_path)}
    (found,) = k3s_settings.release_findings("node-01", provided, NODE, SETTINGS)
    assert found["measured"] == str(tmp_path / RELEASE)
    assert k3s_settings.release_findings("node-01", provided, changed(NODE, k3s__version=RELEASE), SETTINGS) == []
    assert k3s_settings.release_findings("node-01", {}, NODE, SETTINGS) == []


@pytest.mark.parametrize("status", [404, 410, 200, 403, 503, -1, 0])
def test_a_release_that_its_url_does_not_have(status):
    settings = changed(SETTINGS, release={"status": status, "url": "https://me:hunter2@mirror.home/v1.34.1%2Bk3s1/sha256sum-amd64.txt"})
    found = k3s_settings.release_findings("node-01", {}, NODE, settings)
    assert len(found) == (status in (404, 410))
    if found:
        assert found[0]["finding"] == f"there is no K3s {RELEASE} to download"
        assert found[0]["measured"] == f"{status} from https://mirror.home/v1.34.1%2Bk3s1/sha256sum-amd64.txt"
        assert "set k3s_version to a release that is there" in found[0]["fix"]
