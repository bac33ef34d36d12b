# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What NVIDIA's device plugin is told, and what preflight says of it, both by the roles on this machine."""

import json

import pytest

WITHOUT = {"name": "homelab.mlops.nvidia_device_plugin", "tasks_from": "report", "public": True, "rolespec_validate": False}
HOSTS = {
    "whole": {},
    "shared": {"nvidia_device_plugin_time_slicing_replicas": 4},
    "not-renamed": {"nvidia_device_plugin_time_slicing_replicas": 2, "nvidia_device_plugin_time_slicing_rename": False},
    "sliced": {"nvidia_device_plugin_mig_strategy": "mixed", "nvidia_device_plugin_image_registry": "registry.lan:5000"},
    "own": {"nvidia_device_plugin_values": {"deviceListStrategy": "cdi-cri", "tolerations": [], "gfd": {"enabled": True}}},
}


@pytest.fixture(scope="module")
def told(play, tmp_path_factory):
    """The chart's values for each of HOSTS."""
    folder = tmp_path_factory.mktemp("told")
    write = {"content": "{{ __nvidia_device_plugin_merged_values | to_json }}", "dest": f"{folder}/{{{{ inventory_hostname }}}}.json"}
    output = play(HOSTS, [{"ansible.builtin.include_role": WITHOUT}, {"ansible.builtin.copy": write}])
    assert "failed=1" not in output, output[-5000:]
    return {host: json.loads((folder / f"{host}.json").read_text()) for host in HOSTS}


def test_only_nodes_whose_gpus_are_the_clusters(told):
    for values in told.values():
        (term,) = values["affinity"]["nodeAffinity"]["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        assert term == {"matchExpressions": [{"key": "nvidia.com/gpu.present", "operator": "In", "values": ["true"]}]}
        assert values["runtimeClassName"] == "nvidia"


def test_each_gpu_is_one_pods_by_default(told):
    assert "config" not in told["whole"]
    assert (told["whole"]["migStrategy"], told["whole"]["deviceListStrategy"]) == ("none", "envvar")
    assert "image" not in told["whole"]


@pytest.mark.parametrize(("host", "replicas", "renamed"), [("shared", 4, True), ("not-renamed", 2, False)])
def test_shared_gpus(told, host, replicas, renamed):
    config = told[host]["config"]
    sharing = json.loads(config["map"][config["default"]])
    assert sharing == {
        "version": "v1",
        "sharing": {
            "timeSlicing": {
                "renameByDefault": renamed,
                "failRequestsGreaterThanOne": True,
                "resources": [{"name": "nvidia.com/gpu", "replicas": replicas}],
            }
        },
    }


def test_mig_devices_and_a_mirror_of_the_image(told):
    assert told["sliced"]["migStrategy"] == "mixed"
    assert told["sliced"]["image"] == {"repository": "registry.lan:5000/nvidia/k8s-device-plugin"}


def test_own_values_outrank_the_roles(told):
    assert (told["own"]["deviceListStrategy"], told["own"]["tolerations"], told["own"]["gfd"]) == ("cdi-cri", [], {"enabled": True})
    assert told["own"]["runtimeClassName"] == "nvidia"


UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c100"
WRONG = {
    "nvidia_device_plugin_enabled": True,
    "nvidia_device_plugin_mig_strategy": "double",
    "nvidia_device_plugin_time_slicing_replicas": 1,
}
NOBODYS = {"nvidia_device_plugin_enabled": True, "homelab_k3s_gpus": []}


@pytest.mark.parametrize(
    ("hosts", "lines"),
    [
        (
            {"node-01": WRONG, "node-02": {"homelab_k3s_gpus": [UUID]}},
            [
                ("node-01", "nvidia_device_plugin_mig_strategy is not one of none, single, mixed", "'double'"),
                ("node-01", "nvidia_device_plugin_time_slicing_replicas shares nothing", "1"),
                ("node-02", "the device plugin gives out all GPUs of a node, not some", UUID),
            ],
        ),
        (
            {"node-01": NOBODYS},
            [("node-01", "the device plugin is wanted and no node gives its GPUs to K3s", "homelab_k3s_gpus is empty on all")],
        ),
    ],
)
def test_preflight_refuses_in_a_line_each(play, hosts, lines):
    output = play(hosts, [{"ansible.builtin.include_role": {"name": "homelab.mlops.preflight"}}])
    assert "nothing was changed" in output, output[-5000:]
    table = output.split("nothing was changed", 1)[1].split("Origin:", 1)[0].splitlines()
    ours = [line.split(" | ") for line in table if "device_plugin" in line or "device plugin" in line]
    assert [tuple(column.strip() for column in row[:3]) for row in ours] == lines
