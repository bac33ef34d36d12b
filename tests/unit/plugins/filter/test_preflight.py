# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The filters of the role preflight: what of a host is judged, and what others are compared with."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible_collections.homelab.mlops.plugins.filter import preflight
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, SETTINGS, changed

ROOT = Path(__file__).resolve().parents[4]
TYPES = {
    "k3s_agent_token": "str",
    "k3s_node_ip": "str",
    "k3s_registration_address": "str",
    "k3s_server_config": "dict",
    "k3s_agent_config": "dict",
    "k3s_mode": "int",
    "k3s_token": "str",
}
SPECS = {"k3s": {"argument_specs": {"main": {"options": {name: {"type": kind, "description": "One."} for name, kind in TYPES.items()}}}}}


def judge(provided=None, probe=None, groups=("k3s_servers",), **settings):
    provided = provided or {}
    return preflight.preflight_host(
        {"node": NODE} if probe is None else probe,
        "node-01",
        list(groups),
        1000.0,
        changed(SETTINGS, **settings),
        SPECS,
        provided,
        list(provided),
    )


def test_a_right_host_has_no_findings():
    assert judge() == judge(groups=["k3s_workers"]) == judge(groups=["clearml_agents"]) == []


def test_wrong_types_do_not_hide_the_machine():
    found = judge({"k3s_mode": "three"}, {"node": changed(NODE, architecture="armv7l")}, [])
    assert [one["finding"] for one in found] == ["k3s_mode is not of type int", "architecture is not supported"]


def test_what_only_nodes_of_the_cluster_need():
    small = {"node": changed(NODE, memory_bytes=1 << 28)}
    wrong = {"k3s_agent_token": "short", "k3s_agent_config": {"nodelabel": "a=b"}}
    assert judge(wrong, small, ["clearml_agents"]) == []
    assert [one["finding"].split()[0] for one in judge(wrong, small, ["k3s_workers"])] == ["k3s_agent_config", "k3s_agent_token", "too"]


def test_a_host_that_is_away_is_judged_by_its_variables():
    found = judge({"k3s_node_ip": "10.0.0"}, {"unreachable": True, "msg": "ssh: no route"})
    assert [one["finding"] for one in found] == ["k3s_node_ip is no IP address", "cannot be reached and is left out"]


@pytest.mark.parametrize(("authority", "count"), [("", 1), ("ab12", 0)])
def test_a_token_with_a_certificate_that_is_there(authority, count):
    provided = {"k3s_token": "K10" + "a" * 64 + "::server:abcdefabcdef"}
    probe = {"node": changed(NODE, k3s__authority=authority)}
    assert len(judge(provided, probe)) == count


def test_a_name_for_registration_is_no_address_of_a_load_balancer():
    assert judge({"k3s_registration_address": "k3s.home"}) == []


def test_a_number_as_a_token():
    assert [one["finding"] for one in judge({"k3s_token": 12345678})] == ["k3s_token is too short to keep others out"]


def test_facts_for_other_hosts():
    provided = {"k3s_node_ip": "10.0.0.1,fd00::1", "k3s_server_config": {"cluster-cidr": "10.50.0.0/16"}, "k3s_mode": "three"}
    facts = preflight.preflight_facts(provided, SPECS, "v1.34.1+k3s1")
    assert facts["ranges"] == {"cluster-cidr": ["10.50.0.0/16"], "service-cidr": ["10.43.0.0/16"]}
    assert (facts["node_ip"], facts["shared"]["k3s_version"]) == ("10.0.0.1", "v1.34.1+k3s1")
    assert preflight.preflight_facts({"k3s_server_config": ["wrong"]}, SPECS, "v1")["ranges"]["cluster-cidr"] == ["10.42.0.0/16"]


def test_an_agent_instance_without_queues_has_those_of_its_host():
    spec = yaml.safe_load((ROOT / "roles/clearml_agent/meta/argument_specs.yml").read_text(encoding="utf-8"))
    provided = {"clearml_agent_instances": [{"name": "cpu"}]}
    probe = {"node": NODE}
    found = preflight.preflight_host(
        probe, "node-01", ["clearml_agents"], 1000.0, SETTINGS, {"clearml_agent": spec}, provided, list(provided)
    )
    assert found == []


def test_preflight_knows_all_roles():
    variables = yaml.safe_load((ROOT / "roles/preflight/vars/main.yml").read_text(encoding="utf-8"))
    assert variables["__preflight_roles"] == sorted(path.name for path in (ROOT / "roles").iterdir() if path.is_dir())
