# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.homelab.mlops.plugins.filter.clearml_agent_instances import clearml_agent_instances

UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"


def gpu(index=None, uuid=None, usable=True):
    return {"index": index, "uuid": uuid, "usable": usable}


@pytest.mark.parametrize(
    ("instances", "gpus", "expected"),
    [
        ([], [], [("cpu", [])]),
        ([], [gpu(0), gpu(1)], [("gpu0", ["0"]), ("gpu1", ["1"])]),
        ([], [gpu(1, UUID), gpu(0)], [("gpu1", [UUID]), ("gpu0", ["0"])]),
        ([], [gpu(usable=False), gpu(uuid=UUID)], [("gpu1", [UUID])]),
        ([{"name": "big", "gpus": [0, "1:0"]}], [gpu(0), gpu(1)], [("big", ["0", "1:0"])]),
        ([{"name": "a"}, {"name": "b", "gpus": [UUID]}], [], [("a", []), ("b", [UUID])]),
    ],
)
def test_names_and_gpus(instances, gpus, expected):
    found = clearml_agent_instances(instances, ["default"], gpus)
    assert [(entry["name"], entry["gpus"]) for entry in found] == expected
    assert all(entry["queues"] == ["default"] for entry in found)


OTHER = "GPU-00000000-06c0-7d70-1a51-e59b25b2c16c"


def has(name, *gpus, configured=True):
    return {"name": name, "gpus": list(gpus), "configured": configured}


@pytest.mark.parametrize(
    ("gpus", "found", "expected"),
    [
        # A lone failure renumbers the rest: the daemon of the good one keeps its name, that of the bad one is left alone.
        ([gpu(usable=False), gpu(0, UUID)], [has("gpu0", OTHER), has("gpu1", UUID)], [("gpu1", [UUID], True), ("gpu0", [OTHER], False)]),
        ([gpu(0, UUID), gpu(usable=False)], [has("gpu0", UUID), has("gpu1", OTHER)], [("gpu0", [UUID], True), ("gpu1", [OTHER], False)]),
        # A card that is new at the same time takes a free name.
        (
            [gpu(usable=False), gpu(0, UUID), gpu(1, OTHER)],
            [has("gpu0", "GPU-11111111"), has("gpu1", UUID)],
            [("gpu1", [UUID], True), ("gpu2", [OTHER], True), ("gpu0", ["GPU-11111111"], False)],
        ),
        # By index, where no UUID is known.
        ([gpu(0), gpu(usable=False)], [has("gpu0", "0"), has("gpu1", "1")], [("gpu0", ["0"], True), ("gpu1", ["1"], False)]),
        # Instances that a person listed, or that are no instance any more, are not left alone.
        ([gpu(usable=False), gpu(0)], [has("cpu"), has("big", OTHER), has("gpu7", configured=False)], [("gpu0", ["0"], True)]),
        # With all GPUs usable the number is the name, whatever the host has, and who has no GPU any more goes.
        ([gpu(0, UUID)], [has("gpu0", OTHER), has("gpu1", UUID)], [("gpu0", [UUID], True)]),
    ],
)
def test_daemons_of_gpus_that_are_not_usable_are_left_alone(gpus, found, expected):
    made = clearml_agent_instances([], ["default"], gpus, found)
    assert [(entry["name"], entry["gpus"], entry["usable"]) for entry in made] == expected


def test_a_list_of_ones_own_leaves_nothing_alone():
    made = clearml_agent_instances([{"name": "cpu"}], ["default"], [gpu(usable=False)], [has("gpu0", UUID)])
    assert made == [{"name": "cpu", "gpus": [], "queues": ["default"], "usable": True}]


@pytest.mark.parametrize("found", [[], [has("cpu")], [has("gpu0", UUID)]])
def test_gpus_of_which_none_is_usable_do_not_make_a_cpu_worker(found):
    broken = dict(gpu(usable=False), pci_address="0000:01:00.0", problem="it has no driver: install NVIDIA's")
    with pytest.raises(AnsibleFilterError) as caught:
        clearml_agent_instances([], ["default"], [broken], found)
    assert "none is usable (0000:01:00.0: it has no driver: install NVIDIA's)" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_instance_keeps_the_order_of_its_own_queues():
    found = clearml_agent_instances([{"name": "big", "queues": ["high mem", "default"]}], ["other"])
    assert found[0]["queues"] == ["high mem", "default"]


@pytest.mark.parametrize(
    ("instances", "queues", "says"),
    [
        ([{"name": "a"}, {"name": "a"}], ["default"], "two entries are named 'a'"),
        ([{"name": "a/b"}], ["default"], "name 'a/b'"),
        ([{"gpus": [0]}], ["default"], "name ''"),
        ([{"name": "a", "gpu": 0}], ["default"], "unknown key gpu"),
        ([{"name": "a", "usable": True}], ["default"], "unknown key usable"),
        ([{"name": "a", "gpus": ["all"]}], ["default"], "GPU 'all'"),
        ([{"name": "a", "gpus": [0]}, {"name": "b", "gpus": ["0", 1]}], ["default"], "GPU 0 is in a and in b"),
        ([{"name": "a"}], [], "a has no queue"),
        ([{"name": "a"}], ["it's"], "holds a quote"),
        ([{"name": "a"}], ["ab"], "under 3 characters"),
        ([{"name": "a"}], ["--stop"], "begins with -"),
        ([{"name": "a"}], ["two\nlines"], "control character"),
        ([{"name": "a"}], [" "], "is empty"),
    ],
)
def test_what_cannot_work_is_refused_in_one_line(instances, queues, says):
    with pytest.raises(AnsibleFilterError) as caught:
        clearml_agent_instances(instances, queues)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value)
