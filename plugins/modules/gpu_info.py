#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: gpu_info
short_description: Find the NVIDIA GPUs of a host
version_added: 0.1.0
description:
  - Reads the PCI bus from C(/sys), so that a GPU is found without any driver or tool, and audio or USB functions of a card are not
    taken for one.
  - What NVIDIA's driver and C(nvidia-smi) say is added where they are there.
  - Virtual functions and NVSwitches are not counted as GPUs. WSL and Tegra are reported as unsupported.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  root:
    description: Folder that is read instead of the root of the file system.
    type: path
    default: /
  nvidia_smi:
    description: The program C(nvidia-smi). By default it is looked for in the search path, but not with another O(root).
    type: path
  smi_timeout_seconds:
    description: How long to wait for C(nvidia-smi), which hangs when a GPU has failed.
    type: int
    default: 20
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.info
notes:
  - Pin by C(uuid). The C(minor) number of a GPU and the C(index) of nvidia-smi need not be the same.
  - Needs no Python package beside Ansible's own on the target.
"""

EXAMPLES = r"""
- name: Look for GPUs
  homelab.mlops.gpu_info:
  register: found

- name: All of them can be used
  ansible.builtin.assert:
    that: found.problems | length == 0
    fail_msg: "{{ found.problems | join('; ') }}"
"""

RETURN = r"""
gpus:
  description: The GPUs, by PCI address.
  type: list
  elements: dict
  returned: success
  contains:
    pci_address:
      description: Address on the PCI bus.
      type: str
      sample: "0000:01:00.0"
    device_id:
      description: PCI device id.
      type: str
      sample: "0x2204"
    kind:
      description: V(vga) with outputs for screens, V(3d) without.
      type: str
      sample: vga
    driver:
      description: Kernel driver, or null.
      type: str
      sample: nvidia
    usable:
      description: Whether NVIDIA's driver has it.
      type: bool
      sample: true
    problem:
      description: Why it is not usable, or null.
      type: str
      sample: null
    model:
      description: Name of the model; null without NVIDIA's driver.
      type: str
      sample: NVIDIA GeForce RTX 3090
    uuid:
      description: UUID; null without NVIDIA's driver.
      type: str
      sample: GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c
    minor:
      description: Number of the device file, or null.
      type: int
      sample: 0
    index:
      description: Index that nvidia-smi gives it, or null.
      type: int
      sample: 0
    memory_mib:
      description: Memory in MiB, or null without nvidia-smi.
      type: int
      sample: 24576
    mig_enabled:
      description: Whether it is in MIG mode; null when that is not known or not supported.
      type: bool
      sample: null
    mig_devices:
      description: MIG devices, each with C(uuid) and C(profile).
      type: list
      elements: dict
      sample: []
count:
  description: Number of GPUs.
  type: int
  returned: success
  sample: 1
usable_count:
  description: Number of GPUs that are usable.
  type: int
  returned: success
  sample: 1
nvswitch_count:
  description: Number of NVSwitches.
  type: int
  returned: success
  sample: 0
driver_version:
  description: Version of the loaded kernel module of NVIDIA, or null.
  type: str
  returned: success
  sample: 550.163.01
smi_answers:
  description: Whether nvidia-smi is there and answered.
  type: bool
  returned: success
  sample: true
platform:
  description: V(WSL) or V(Tegra), which are not supported, or null.
  type: str
  returned: success
  sample: null
problems:
  description: What stands in the way, one line for each.
  type: list
  elements: str
  returned: success
  sample: []
"""

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils import gpus as nvidia


class Smi(object):
    """nvidia-smi under a time limit.

    :ivar problem: why it did not answer, or None
    """

    def __init__(self, module, program, seconds):
        self._module = module
        self._command = [module.get_bin_path("timeout", required=True), "--kill-after=5", str(seconds), program]
        self.problem = None

    def output(self, *arguments):
        """Its standard output, or None."""
        rc, out, err = self._module.run_command(self._command + list(arguments))
        if rc == 0:
            return out
        lines = (out + err).strip().splitlines()
        reason = "no answer in time" if rc in (124, 137) else (lines[-1] if lines else "exit status %d" % rc)
        self.problem = "nvidia-smi fails: %s" % reason
        return None


def work(module):
    """Reads everything; returns the module's result."""
    root = module.params["root"]
    found = nvidia.from_sysfs(root)
    gpus = found["gpus"]
    nvidia.add_driver_files(root, gpus)
    version = nvidia.driver_version(root)
    problems = ["GPU %s (%s): %s" % (gpu["pci_address"], gpu["device_id"], gpu["problem"]) for gpu in gpus if gpu["problem"]]
    problems += ["PCI device %s cannot be read" % address for address in found["unreadable"]]
    platform = nvidia.unsupported_platform(root)
    if platform:
        problems.append("GPUs of %s are not supported" % platform)
    answers = False
    usable = [gpu for gpu in gpus if gpu["usable"]]
    program = module.params["nvidia_smi"] or (module.get_bin_path("nvidia-smi") if root == "/" else None)
    if usable and program:
        smi = Smi(module, program, module.params["smi_timeout_seconds"])
        query = smi.output("--query-gpu=" + ",".join(nvidia.SMI_FIELDS), "--format=csv,noheader,nounits")
        answers = query is not None
        if answers:
            nvidia.add_smi_query(gpus, query)
            nvidia.add_smi_list(gpus, smi.output("-L") or "")
        if smi.problem:
            problems.append(smi.problem)
    return {
        "changed": False,
        "gpus": gpus,
        "count": len(gpus),
        "usable_count": len(usable),
        "nvswitch_count": found["nvswitches"],
        "driver_version": version,
        "smi_answers": answers,
        "platform": platform,
        "problems": problems,
    }


def main():
    module = AnsibleModule(
        argument_spec={
            "root": {"type": "path", "default": "/"},
            "nvidia_smi": {"type": "path"},
            "smi_timeout_seconds": {"type": "int", "default": 20},
        },
        supports_check_mode=True,
    )
    if module.params["smi_timeout_seconds"] <= 0:
        module.fail_json(msg="smi_timeout_seconds must be above 0")
    module.exit_json(**work(module))


if __name__ == "__main__":
    main()
