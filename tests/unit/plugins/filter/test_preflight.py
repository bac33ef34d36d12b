# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters of the role preflight: each rule once broken, once kept."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.mlops.plugins.filter import preflight

ROOT = Path(__file__).resolve().parents[4]

NODE = {
    "hostname": "node-01",
    "machine_id": "a" * 32,
    "architecture": "x86_64",
    "python": "3.11.2",
    "os": {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"},
    "systemd": True,
    "root": True,
    "cgroup": 2,
    "memory_bytes": 4 << 30,
    "swap_bytes": 0,
    "address": "10.0.0.1",
    "epoch": 1000.0,
    "disks": {"/": {"folder": "/", "free_bytes": 20 << 30, "total_bytes": 40 << 30}},
    "listening": [],
    "k3s": {"version": "", "server": "", "agent": "", "data": False, "images": [], "ready": False, "nodes": []},
    "clearml_agents": False,
}
SETTINGS = {
    "clock_seconds": 60,
    "free_gib": {"/": 4},
    "server_memory_mib": 1900,
    "worker_memory_mib": 480,
    "cluster_alive": False,
    "upgrade": False,
    "k3s_version": "v1.34.1+k3s1",
    "node_name": "node-01",
    "token_differs": False,
    "address": "10.0.0.1",
    "servers": ["node-01"],
    "bucket": "clearml",
    "exposure": "load_balancer",
    "endpoints": {"clearml_web": ["", 8080], "clearml_api": ["", 8008], "s3": ["", 9000]},
}
SPECS = {
    "k3s": {
        "argument_specs": {
            "main": {
                "options": {
                    "k3s_version": {"type": "str", "description": "Release of K3s. More."},
                    "k3s_ready_timeout_seconds": {"type": "int", "default": "{{ nothing }}", "description": "How long."},
                    "k3s_token": {"type": "dict", "description": "Token."},
                    "k3s_archives": {
                        "type": "list",
                        "elements": "dict",
                        "description": "Archives.",
                        "options": {"url": {"type": "str", "required": True, "description": "Where."}},
                    },
                    "k3s_mode": {"type": "str", "choices": ["one", "two"], "description": "Mode."},
                }
            }
        }
    }
}


def changed(base, **changes):
    """A copy of `base` in which `os__id=x` sets base["os"]["id"]."""
    result = copy.deepcopy(base)
    for path, value in changes.items():
        *folders, name = path.split("__")
        target = result
        for folder in folders:
            target = target[folder]
        target[name] = value
    return result


def judge(node=None, settings=None, groups=("k3s_servers",)):
    return preflight.node_findings("node-01", node or NODE, list(groups), 1000.0, settings or SETTINGS)


def test_a_right_machine_has_no_findings():
    assert judge() == []


@pytest.mark.parametrize(
    ("changes", "text", "measured"),
    [
        ({"os__id": "fedora", "os__name": "Fedora 43"}, "operating system is not supported", "Fedora 43"),
        ({"os__version": "10"}, "operating system is not supported", "Debian GNU/Linux 12 (bookworm)"),
        ({"os__version": "14"}, "operating system is not supported", "Debian GNU/Linux 12 (bookworm)"),
        ({"os__id": "ubuntu", "os__version": "20.04"}, "operating system is not supported", "Debian GNU/Linux 12 (bookworm)"),
        ({"architecture": "armv7l"}, "architecture is not supported", "armv7l"),
        ({"python": "3.7.3"}, "Python is too old", "3.7.3"),
        ({"root": False}, "tasks do not run as root", "become did nothing"),
        ({"systemd": False}, "systemd is not the init process", "no /run/systemd/system"),
        ({"address": ""}, "there is no default route", "none"),
        ({"epoch": 700.0}, "the clock differs from the controller's", "300 s"),
        (
            {"disks": {"/": {"folder": "/", "free_bytes": 3 << 29, "total_bytes": 1}}},
            "too little space for /",
            "1.5 GiB free, 4 GiB needed",
        ),
        ({"memory_bytes": 1 << 30}, "too little memory", "1024 MiB, 1900 MiB needed"),
        ({"k3s__agent": "inactive"}, "is already a K3s worker", "unit k3s-agent"),
        ({"k3s__server": "active", "k3s__version": "v1.33.1+k3s1"}, "runs another K3s than k3s_version v1.34.1+k3s1", "v1.33.1+k3s1"),
        ({"listening": [6443]}, "port 6443 is taken by another program", "in use"),
    ],
)
def test_a_wrong_machine(changes, text, measured):
    assert [(one["level"], one["finding"], one["measured"]) for one in judge(changed(NODE, **changes))] == [("refuse", text, measured)]


@pytest.mark.parametrize(
    "changes",
    [
        {"os__id": "ubuntu", "os__version": "22.04"},
        {"os__id": "ubuntu", "os__version": "26.04"},
        {"os__version": "11"},
        {"os__version": "13"},
        {"architecture": "aarch64"},
        {"epoch": 1050.0},
        {"k3s__server": "active", "k3s__version": "v1.34.1+k3s1", "listening": [6443, 10250]},
        {"k3s__version": "v1.33.1+k3s1"},
    ],
)
def test_machines_that_are_right_too(changes):
    assert judge(changed(NODE, **changes)) == []


FULL = {"/": {"folder": "/", "free_bytes": 3 << 29, "total_bytes": 1}}


@pytest.mark.parametrize(
    ("changes", "groups", "levels"),
    [
        ({"k3s__server": "active", "k3s__version": "v1.34.1+k3s1"}, ["k3s_servers"], ["note", "note"]),
        ({"k3s__agent": "failed", "k3s__version": "v1.34.1+k3s1"}, ["k3s_workers"], ["note", "note"]),
        ({"clearml_agents": True}, ["clearml_agents"], ["note"]),
        ({}, ["k3s_servers"], ["refuse", "refuse"]),
        ({}, ["clearml_agents"], ["refuse"]),
    ],
)
def test_little_space_and_memory_are_notes_where_it_is_installed(changes, groups, levels):
    found = judge(changed(NODE, memory_bytes=1 << 28, disks=FULL, **changes), groups=groups)
    assert [one["level"] for one in found] == levels
    assert found[0]["finding"] == "too little space for /"


def test_the_clock_is_refused_where_it_is_installed():
    found = judge(changed(NODE, epoch=700.0, k3s__server="active", k3s__version="v1.34.1+k3s1"))
    assert [one["level"] for one in found] == ["refuse"]


def test_what_only_nodes_of_the_cluster_need():
    small = changed(NODE, memory_bytes=1 << 30, swap_bytes=1 << 30)
    assert judge(small, groups=["clearml_agents"]) == []
    assert [one["level"] for one in judge(small, groups=["k3s_workers"])] == ["note"]


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"node_name": "Node_1"}, "no valid name for a node"),
        ({"node_name": "n" * 254}, "no valid name for a node"),
        ({"token_differs": True}, "k3s_token is not this cluster's token"),
    ],
)
def test_wrong_settings_of_a_node(changes, text):
    assert [one["finding"] for one in judge(settings=changed(SETTINGS, **changes))] == [text]


def test_old_control_groups_and_new_kubernetes():
    old = changed(NODE, cgroup=1)
    assert judge(old) == []
    assert "control groups v2" in judge(old, changed(SETTINGS, k3s_version="v1.35.0+k3s1"))[0]["finding"]


@pytest.mark.parametrize("name", ["clearml", "a.b-c", "123", "a" * 63])
def test_bucket_names_that_s3_takes(name):
    assert preflight.bucket_fault(name) == ""


@pytest.mark.parametrize("name", ["ab", "a" * 64, "Clearml", "my_bucket", "-ab", "ab.", "a..b", "10.0.0.1", "xn--ab", "ab-s3alias"])
def test_bucket_names_that_s3_forbids(name):
    assert preflight.bucket_fault(name) != ""


@pytest.mark.parametrize("url", ["http://10.0.0.1:8080", "https://s3.home", "http://[fd00::1]:9000/k3s/releases"])
def test_urls(url):
    assert preflight.url_fault(url) == ""


@pytest.mark.parametrize(
    "url", ["10.0.0.1:9000", "s3://bucket", "http://", "http://a_b", "http://a:0", "http://a:99999", "http://a/?x=1", "http://[::1"]
)
def test_no_urls(url):
    assert preflight.url_fault(url) != ""


def values(provided=None, **changes):
    return [one["finding"] for one in preflight.value_findings("node-01", provided or {}, changed(SETTINGS, **changes))]


@pytest.mark.parametrize(
    ("provided", "changes", "text"),
    [
        ({"k3s_base_url": "nowhere"}, {}, "k3s_base_url is no URL"),
        ({"homelab_domain_address": "http://a"}, {}, "homelab_domain_address is neither name nor address"),
        ({"homelab_s3_address": "s3.home"}, {}, "homelab_s3_address is no IP address"),
        ({}, {"bucket": "A"}, "S3 forbids this bucket name"),
        ({}, {"exposure": "ingress"}, "exposure by ingress is not built yet"),
        ({}, {"k3s_version": "1.34"}, "k3s_version is no release of K3s"),
        ({}, {"address": ""}, "the first server's address is not known"),
        ({}, {"endpoints__s3": ["", 8080]}, "s3 and clearml_web share a port"),
        ({}, {"endpoints__s3": ["", 6443]}, "s3 and the Kubernetes API share a port"),
        ({}, {"endpoints__s3": ["", 70000]}, "port of s3 is no TCP port"),
        ({"clearml_agent_instances": [{"name": "a"}, {"name": "a"}]}, {}, "two agent instances have one name"),
        ({"clearml_agent_instances": [{"name": "a", "queues": []}]}, {}, "agent instance a has no queue"),
        ({"clearml_agent_queues": []}, {}, "agents have no queue"),
        ({"homelab_admin_host": "laptop"}, {}, "homelab_admin_host is not in k3s_servers"),
        ({"minio_storage_size": "20 gigs"}, {}, "minio_storage_size is no size"),
        ({"clearml_server_ready_timeout_seconds": -3}, {}, "clearml_server_ready_timeout_seconds is no time to wait"),
        ({"clearml_server_users": []}, {}, "clearml_server_users has names that cannot be"),
        ({"clearml_server_users": [{"name": "a b"}]}, {}, "clearml_server_users has names that cannot be"),
        ({"clearml_server_users": [{"name": "x"}, {"name": "x"}]}, {}, "clearml_server_users has names that cannot be"),
    ],
)
def test_wrong_values(provided, changes, text):
    found = values(provided, **changes)
    assert len(found) == 1 and found[0].startswith(text)


@pytest.mark.parametrize(
    ("servers", "provided", "count"),
    [
        (["node-01"], {}, 0),
        (["node-01", "b"], {}, 1),
        (["node-01", "b"], {"k3s_datastore_endpoint": ""}, 1),
        (["node-01", "b"], {"k3s_datastore_endpoint": "postgres://db/k3s"}, 0),
        (["node-01", "b", "c"], {}, 0),
        (["node-01", "b", "c", "d"], {}, 1),
        (["a", "b"], {}, 0),
    ],
)
def test_servers_that_hold_the_state_are_odd_in_number(servers, provided, count):
    assert values(provided, servers=servers) == ["an even number of servers bears no more failures than one server less"] * count


def test_an_even_number_of_servers_is_one_line_with_its_fix():
    found = [one for host in ("a", "b") for one in preflight.value_findings(host, {}, changed(SETTINGS, servers=["a", "b"]))]
    (line,) = preflight.preflight_merge(found)
    assert (line["host"], line["measured"]) == ("a, b", "2 in k3s_servers")
    assert line["fix"].startswith("add a server or move b to k3s_workers")


@pytest.mark.parametrize(
    ("runs", "wanted", "upgrade", "text", "fix"),
    [
        ("v1.33.1+k3s1", "v1.34.1+k3s1", False, "runs another K3s than k3s_version v1.34.1+k3s1", "run homelab.mlops.upgrade"),
        ("v1.34.1+k3s1", "v1.34.1+k3s2", False, "runs another K3s than k3s_version v1.34.1+k3s2", "run homelab.mlops.upgrade"),
        ("v1.32.9+k3s1", "v1.34.1+k3s1", False, "k3s_version v1.34.1+k3s1 skips a minor release", "set k3s_version to a release of v1.33"),
        ("v1.32.9+k3s1", "v1.34.1+k3s1", True, "k3s_version v1.34.1+k3s1 skips a minor release", "set k3s_version to a release of v1.33"),
        ("v1.34.2+k3s1", "v1.34.1+k3s1", False, "k3s_version v1.34.1+k3s1 is older than what runs", "set k3s_version to v1.34.2+k3s1"),
        ("v1.34.1+k3s1", "v1.34.1-rc1+k3s1", True, "k3s_version v1.34.1-rc1+k3s1 is older than what runs", "set k3s_version to v1.34.1"),
    ],
)
def test_a_version_that_differs_from_what_runs(runs, wanted, upgrade, text, fix):
    node = changed(NODE, k3s__server="active", k3s__version=runs)
    (found,) = judge(node, changed(SETTINGS, k3s_version=wanted, upgrade=upgrade))
    assert (found["finding"], found["measured"]) == (text, runs)
    assert found["fix"].startswith(fix)


@pytest.mark.parametrize("runs", ["v1.33.1+k3s1", "v1.34.0+k3s1", "v1.34.1-rc2+k3s1", "v1.34.1+k3s1"])
def test_an_upgrade_may_find_an_older_release(runs):
    assert judge(changed(NODE, k3s__server="active", k3s__version=runs), changed(SETTINGS, upgrade=True)) == []


def test_ports_of_different_addresses_do_not_collide():
    assert values(endpoints={"clearml_web": ["10.0.0.5", 80], "clearml_api": ["10.0.0.6", 80]}) == []


def test_node_ports_have_their_range():
    endpoints = {"clearml_web": ["", 8080], "clearml_api": ["", 30008], "s3": ["", 9000], "s3_console": ["", 30901]}
    assert values(exposure="node_port", endpoints=endpoints) == ["port of clearml_web is no node port", "port of s3 is no node port"]


def test_numbers_from_the_command_line_are_texts():
    assert values(endpoints={"clearml_web": ["", "8080"], "clearml_api": ["", 8080]}) == ["clearml_api and clearml_web share a port"]
    texts = {"clock_seconds": "60", "free_gib": {"/": "4"}, "server_memory_mib": "1900"}
    assert judge(settings=changed(SETTINGS, **texts)) == []


def test_the_admin_host_may_be_a_server():
    assert values({"homelab_admin_host": "node-01"}) == []


def arguments(provided, known=()):
    return preflight.argument_findings("node-01", SPECS, provided, [*provided, *known])


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
    (found,) = preflight.argument_findings("node-01", specs, {"clearml_server_users": [{"name": "a", "pasword": "hunter2"}]}, [])
    assert found["finding"].startswith("clearml_server_users has wrong keys (clearml_server_users.pasword. Supported parameters")
    assert found["measured"] == "list, not shown"
    assert "hunter2" not in str(found)


def test_a_misspelled_variable_is_a_note():
    found = arguments({}, ["k3s_versoin"])
    assert [(one["level"], one["fix"]) for one in found] == [("note", "perhaps k3s_version is meant: rename it")]


@pytest.mark.parametrize(
    ("probe", "level", "text"),
    [
        ({"unreachable": True, "msg": "Task failed: x: ssh: no route"}, "refuse", "cannot be reached and is left out"),
        ({"msg": "sudo: a password is required"}, "refuse", "cannot become root"),
        ({"msg": "MODULE FAILURE", "rc": 127}, "refuse", "cannot run Ansible's modules"),
    ],
)
def test_a_host_that_does_not_answer(probe, level, text):
    found = preflight.preflight_host(probe, "node-01", ["k3s_servers"], 1000.0, SETTINGS, SPECS, {}, [])
    assert [(one["level"], one["finding"]) for one in found] == [(level, text)]


def test_a_worker_may_be_away():
    found = preflight.preflight_host({"unreachable": True}, "node-02", ["k3s_workers"], 1000.0, SETTINGS, SPECS, {}, [])
    assert [one["level"] for one in found] == ["note"]


def test_wrong_types_do_not_hide_the_machine():
    probe = {"node": changed(NODE, architecture="armv7l")}
    found = preflight.preflight_host(probe, "node-01", [], 1000.0, SETTINGS, SPECS, {"k3s_mode": "three"}, ["k3s_mode"])
    assert [one["finding"] for one in found] == ["k3s_mode is not one of one, two", "architecture is not supported"]


@pytest.mark.parametrize(
    ("groups", "texts"),
    [
        ({"k3s_servers": ["a"], "k3s_workers": ["b"]}, []),
        ({}, ["group k3s_servers is missing"]),
        ({"k3s_servers": []}, ["group k3s_servers is empty"]),
        ({"k3s_servers": ["a", "b", "c"]}, []),
        ({"k3s_servers": ["a", "b"]}, []),
        ({"k3s_servers": ["a"], "k3s_workers": ["a"]}, ["is both server and worker"]),
        ({"k3s_servers": ["a"], "k3s_workers": ["b"], "clearml_agents": ["a", "b"]}, []),
    ],
)
def test_groups(groups, texts):
    found = preflight.preflight_groups({"clearml_agents": ["z"], **groups})
    assert [(one["level"], one["finding"]) for one in found] == [("refuse", text) for text in texts]


@pytest.mark.parametrize(
    ("groups", "texts"),
    [
        ({}, ["group clearml_agents is missing: experiments will wait in the queue"]),
        ({"clearml_agents": []}, ["group clearml_agents is empty: experiments will wait in the queue"]),
        (
            {"clearml_agent": ["b"]},
            ["group clearml_agents is missing: experiments will wait in the queue", "group clearml_agent is used by no play"],
        ),
        ({"clearml_agents": ["b"], "k3s_worker": ["c"]}, ["group k3s_worker is used by no play"]),
        ({"clearml_agents": ["b"], "k3s_servers_big": ["a"], "all": ["a", "b"], "printers": ["p"]}, []),
    ],
)
def test_groups_worth_a_note(groups, texts):
    found = preflight.preflight_groups({"k3s_servers": ["a"], **groups})
    assert [(one["level"], one["finding"]) for one in found] == [("note", text) for text in texts]


def test_hosts_that_are_one_machine():
    probes = {"a": {"node": NODE}, "b": {"node": changed(NODE, hostname="other")}, "c": {"unreachable": True}}
    found = preflight.preflight_run(probes, {"k3s_servers": ["a"], "clearml_agents": ["b"]}, {"a": "a", "b": "b", "c": "c"})
    assert [(one["host"], one["finding"]) for one in found] == [("a, b", "share one machine-id")]


@pytest.mark.parametrize(("hosts", "alive", "count"), [(["a", "b"], False, 0), (["b"], True, 0), (["b"], False, 1)])
def test_a_run_without_servers_needs_a_living_cluster(hosts, alive, count):
    found = preflight.preflight_run(dict.fromkeys(hosts, {}), {"k3s_servers": ["a"], "clearml_agents": ["b"]}, {}, alive)
    assert [one["finding"] for one in found] == ["no server answers as a living cluster"] * count


def test_the_table_has_a_line_for_each_finding():
    found = [
        preflight.finding("b", "swap is on", "1", "turn it off", "note"),
        preflight.finding("b", "too old", "3", "renew"),
        preflight.finding("a", "too old", "3", "renew"),
    ]
    lines = preflight.preflight_table(preflight.preflight_merge(found)).splitlines()
    assert [" | ".join(cell.strip() for cell in line.split("|")) for line in lines] == [
        "host | finding | measured | fix",
        "b, a | too old | 3 | renew",
        "b (note) | swap is on | 1 | turn it off",
    ]


def test_preflight_knows_all_roles():
    variables = yaml.safe_load((ROOT / "roles/preflight/vars/main.yml").read_text(encoding="utf-8"))
    assert variables["__preflight_roles"] == sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
