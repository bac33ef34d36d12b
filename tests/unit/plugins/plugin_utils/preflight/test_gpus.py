# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each GPU belongs to K3s or to the host's agents."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.gpus import owner_findings, plugin_findings, plugin_owner_findings
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import facts

ONE = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c100"
TWO = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c101"
MIG = "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"
GPUS = [
    {"uuid": ONE, "index": 1, "mig_devices": []},
    {"uuid": TWO, "index": 0, "mig_devices": [{"uuid": MIG, "profile": "1g.5gb"}]},
]


@pytest.mark.parametrize(
    "listed, instances",
    [
        ([], [{"name": "big", "gpus": [0, 1]}]),
        (["all"], []),
        (["all"], [{"name": "cpu"}]),
        ([ONE], [{"name": "small", "gpus": [0]}]),
        ([ONE], [{"name": "small", "gpus": [TWO]}]),
        ([ONE], [{"name": "slice", "gpus": [MIG, "0:1"]}]),
    ],
)
def test_gpus_with_one_owner(listed, instances):
    assert owner_findings("node-01", True, listed, instances, GPUS) == []


@pytest.mark.parametrize(
    "listed, name, measured",
    [
        ([TWO], 0, TWO),
        ([TWO], "0:1", TWO),
        ([TWO], TWO, TWO),
        ([TWO], MIG, TWO),
        (["all"], 0, "all"),
        ([ONE, "all"], ONE, ONE),
    ],
)
def test_a_gpu_with_two_owners(listed, name, measured):
    found = owner_findings("node-01", True, listed, [{"name": "cpu"}, {"name": "big", "gpus": [name]}], GPUS)
    assert facts(found) == [("refuse", f"GPU {name} is K3s's and agent instance big's", measured)]
    assert found[0]["fix"] == "remove it from homelab_k3s_gpus or from clearml_agent_instances"


def test_two_owners_of_a_uuid_are_found_without_asking_the_host():
    assert len(owner_findings("node-01", True, [ONE], [{"name": "big", "gpus": [ONE]}], None)) == 1


@pytest.mark.parametrize("listed", [["GPU-1"], [0], ["ALL"], [MIG]])
def test_what_is_no_gpu(listed):
    (found,) = owner_findings("node-01", True, listed, [], GPUS)
    assert (found["finding"], found["measured"]) == ("homelab_k3s_gpus has what is no GPU", str(listed[0]))


def test_a_gpu_that_is_not_there():
    away = ONE[:-1] + "9"
    assert facts(owner_findings("node-01", True, [away], [], GPUS)) == [
        ("refuse", f"homelab_k3s_gpus has {away}", f"there: {ONE}, {TWO}"),
    ]


def test_gpus_whose_uuid_is_not_known_yet_prove_nothing():
    assert owner_findings("node-01", True, [ONE], [], [dict(GPUS[0], uuid=None)]) == []


def test_gpus_for_k3s_where_there_is_none():
    assert facts(owner_findings("gpu-01", False, ["all"], [], GPUS)) == [
        ("refuse", "GPUs are given to K3s on a host that is no node", "all"),
    ]


PLUGIN = {"wanted": True, "admin": "node-01", "nodes": ["node-02"]}


@pytest.mark.parametrize("listed", [[], ["all"], ["all", ONE]])
def test_a_device_plugin_for_whole_nodes(listed):
    assert plugin_owner_findings("node-01", True, listed, PLUGIN) == []


def test_a_device_plugin_that_nobody_wants_asks_for_nothing():
    assert plugin_owner_findings("node-01", True, [ONE], {"wanted": False, "admin": "node-01", "nodes": []}) == []


def test_a_device_plugin_would_give_out_the_gpus_of_agents():
    (found,) = plugin_owner_findings("node-02", True, [ONE], PLUGIN)
    assert facts([found]) == [("refuse", "the device plugin gives out all GPUs of a node, not some", ONE)]
    assert found["fix"] == "write homelab_k3s_gpus: [all], or [] there, or set nvidia_device_plugin_enabled to false"


def test_a_device_plugin_without_a_node_is_said_once():
    nobodys = {"wanted": True, "admin": "node-01", "nodes": []}
    found = [one for host in ("node-01", "node-02") for one in plugin_owner_findings(host, True, [], nobodys)]
    assert facts(found) == [
        ("refuse", "the device plugin is wanted and no node gives its GPUs to K3s", "homelab_k3s_gpus is empty on all"),
    ]


@pytest.mark.parametrize("replicas", [0, 2, 8])
def test_replicas_that_share(replicas):
    assert plugin_findings("node-01", {"nvidia_device_plugin_time_slicing_replicas": replicas}) == []


@pytest.mark.parametrize("replicas", [1, -1])
def test_replicas_that_share_nothing(replicas):
    assert facts(plugin_findings("node-01", {"nvidia_device_plugin_time_slicing_replicas": replicas})) == [
        ("refuse", "nvidia_device_plugin_time_slicing_replicas shares nothing", str(replicas)),
    ]


def test_a_checksum_of_the_chart_that_is_none():
    assert facts(plugin_findings("node-01", {"nvidia_device_plugin_chart_checksum": "abc"})) == [
        ("refuse", "nvidia_device_plugin_chart_checksum is no SHA-256", "abc"),
    ]
