# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: clearml_agent_instances
short_description: The ClearML agent instances of a host
version_added: 0.1.0
description:
  - Completes a list of instances as a person writes it, or makes one from the GPUs of the host when it is empty.
  - Fails with one line that names what cannot work, such as one GPU in two instances.
positional: _input
options:
  _input:
    description:
      - Instances, dictionaries with C(name), C(gpus) and C(queues), of which only the name is needed.
      - With an empty list there is one instance for each usable GPU, named C(gpu) and its number, or one named C(cpu) without any GPU.
      - GPUs of which none is usable are an error, for an instance C(cpu) would take the experiments that wait for a GPU and fail them.
      - The number is the index that nvidia-smi gives it, or its place in the list. The instance takes its GPU by UUID where that is known,
        because numbers move when a card is added.
    type: list
    elements: dict
    required: true
  queues:
    description: Queues of the instances that name none.
    type: list
    elements: str
    required: true
  gpus:
    description: GPUs that were found, as P(homelab.mlops.gpu_info#module) returns them.
    type: list
    elements: dict
    default: []
  found:
    description:
      - Instances that the host has, as P(homelab.mlops.clearml_agent_info#module) returns them.
      - While a GPU is not usable, nvidia-smi numbers the others anew. An instance of a usable GPU then keeps its name, and one whose GPU
        is not among the usable is returned with C(usable) false, to be left alone.
    type: list
    elements: dict
    default: []
author:
  - homelab.mlops contributors (@homelab-mlops)
"""

EXAMPLES = r"""
- name: One instance for each GPU
  ansible.builtin.debug:
    msg: "{{ [] | homelab.mlops.clearml_agent_instances(queues=['default'], gpus=[{'usable': true, 'index': 0, 'uuid': none}]) }}"
    # => [{"name": "gpu0", "gpus": ["0"], "queues": ["default"], "usable": true}]

- name: A list of one's own
  ansible.builtin.debug:
    msg: "{{ [{'name': 'big', 'gpus': [0, 1]}] | homelab.mlops.clearml_agent_instances(queues=['default']) }}"
    # => [{"name": "big", "gpus": ["0", "1"], "queues": ["default"], "usable": true}]
"""

RETURN = r"""
_value:
  description:
    - The instances; GPUs are strings, as they stand on the agent's command line.
    - C(usable) is false for an instance that the host has and whose GPU cannot be used now.
  type: list
  elements: dict
  sample: [{name: gpu0, gpus: ["0"], queues: [default], usable: true}]
"""

import re

from ansible.errors import AnsibleFilterError

# What systemd takes as an instance without escaping, and what can be a file name.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}\Z")
# An instance that this filter made.
OF_ONE_GPU = re.compile(r"gpu[0-9]+\Z")
# An index, an index with a MIG slice, or a UUID.
GPU = re.compile(r"([0-9]{1,3}(:[0-9]{1,3})?|(GPU|MIG)-[0-9A-Fa-f-]{8,64})\Z")


def queue_finding(queue):
    """What is wrong with a queue's name, or nothing."""
    if not isinstance(queue, str) or not queue.strip():
        return "is empty"
    if len(queue) < 3:
        return "has under 3 characters, which ClearML refuses"
    if queue.startswith("-") or queue != queue.strip():
        return "begins with - or has a space at its ends"
    if re.search(r"[\x00-\x1f\x7f'\\=]", queue):
        return "holds a quote, a backslash, = or a control character, which does not reach the agent's command line whole"
    return None


def free_name(number, taken):
    """The name of a GPU's instance: that of its number, or the first that is not taken."""
    while "gpu%d" % number in taken:
        number += 1
    return "gpu%d" % number


def of_gpus(gpus, found):
    """One instance for each usable GPU, and those of `found` whose GPU may be one that is not usable now.

    :raises AnsibleFilterError: there are GPUs and none is usable
    """
    usable = [(place if gpu.get("index") is None else gpu["index"], gpu.get("uuid")) for place, gpu in enumerate(gpus) if gpu["usable"]]
    if len(usable) == len(gpus):
        return [{"name": "gpu%d" % number, "gpus": [uuid or number]} for number, uuid in usable]
    if not usable:
        problems = "; ".join("%s: %s" % (gpu.get("pci_address"), gpu.get("problem")) for gpu in gpus)
        raise AnsibleFilterError(
            "clearml_agent_instances: GPUs are there and none is usable (%s): repair the driver, or list the instances" % problems
        )
    owners = {
        entry["gpus"][0]: entry["name"]
        for entry in found
        if entry.get("configured") and OF_ONE_GPU.match(entry["name"]) and len(entry.get("gpus") or []) == 1
    }
    names = {(number, uuid): owners.pop(uuid, None) or owners.pop(str(number), None) for number, uuid in usable}
    left = [{"name": name, "gpus": [gpu], "usable": False} for gpu, name in sorted(owners.items())]
    taken = set(filter(None, names.values())) | {entry["name"] for entry in left}
    result = []
    for number, uuid in usable:
        name = names[number, uuid] or free_name(number, taken)
        taken.add(name)
        result.append({"name": name, "gpus": [uuid or number], "usable": True})
    return result + left


def clearml_agent_instances(instances, queues, gpus=(), found=()):
    """The filter; raises AnsibleFilterError with one line."""
    listed = instances or of_gpus(gpus, found) or [{"name": "cpu"}]
    own = not instances
    result, names, owners = [], set(), {}
    for entry in listed:
        unknown = set(entry) - {"name", "gpus", "queues"} - ({"usable"} if own else set())
        if unknown:
            raise AnsibleFilterError("clearml_agent_instances: unknown key %s: an entry has name, gpus and queues" % sorted(unknown)[0])
        name = str(entry.get("name") or "")
        if not NAME.match(name):
            raise AnsibleFilterError("clearml_agent_instances: name %r: use letters, digits, - _ and ., a letter or digit first" % name)
        if name in names:
            raise AnsibleFilterError("clearml_agent_instances: two entries are named %r: rename one" % name)
        names.add(name)
        own_gpus = [str(gpu) for gpu in entry.get("gpus") or []]
        for gpu in own_gpus:
            if not GPU.match(gpu):
                raise AnsibleFilterError("clearml_agent_instances: %s: GPU %r: give its index or its UUID" % (name, gpu))
            if gpu in owners:
                raise AnsibleFilterError(
                    "clearml_agent_instances: GPU %s is in %s and in %s: two daemons would use it at once: remove it from one"
                    % (gpu, owners[gpu], name)
                )
            owners[gpu] = name
        own_queues = list(entry.get("queues") or queues)
        if not own_queues:
            raise AnsibleFilterError("clearml_agent_instances: %s has no queue: set clearml_agent_queues" % name)
        for queue in own_queues:
            finding = queue_finding(queue)
            if finding:
                raise AnsibleFilterError("clearml_agent_instances: %s: queue name %r %s" % (name, queue, finding))
        result.append({"name": name, "gpus": own_gpus, "queues": own_queues, "usable": entry.get("usable", True)})
    return result


class FilterModule(object):
    def filters(self):
        return {"clearml_agent_instances": clearml_agent_instances}
