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
        ([], [gpu(usable=False)], [("cpu", [])]),
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
