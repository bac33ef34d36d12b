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
  - Reads the PCI bus from C(/sys), so that a GPU is found without any driver or tool, and audio, USB or UCSI functions of a card are not
    taken for one.
  - What NVIDIA's driver and C(nvidia-smi) say is added where they are there.
  - Each GPU has a verdict and, where it cannot be used, the reason with the remedy. Virtual functions and NVSwitches are listed among the
    devices, but are no GPUs of this host. WSL and Tegra are reported as unsupported.
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
    description: How long to wait for each call of C(nvidia-smi), which hangs when a GPU has failed.
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

- name: Name the GPUs that wait for a restart of the host
  ansible.builtin.debug:
    msg: "{{ found.gpus | selectattr('verdict', 'in', ['not_loaded', 'version_mismatch']) | map(attribute='pci_address') | join(', ') }}"
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
    vendor_id:
      description: PCI vendor id, always NVIDIA's.
      type: str
      sample: "0x10de"
    device_id:
      description: PCI device id.
      type: str
      sample: "0x2204"
    class:
      description: PCI class.
      type: str
      sample: "0x030000"
    kind:
      description: V(vga) with outputs for screens, V(3d) without.
      type: str
      sample: vga
    driver:
      description: Kernel driver, or null.
      type: str
      sample: nvidia
    kernel_module:
      description: Kernel module of the driver, or null.
      type: str
      sample: nvidia
    driver_override:
      description: The only driver that the kernel may give it, or null.
      type: str
      sample: null
    virtual_functions:
      description: Number of virtual functions that it is divided into for virtual machines.
      type: int
      sample: 0
    verdict:
      description:
        - V(usable), or what stands in the way.
        - V(no_driver), V(other_driver) for one that is not NVIDIA's, V(not_loaded) for NVIDIA's installed and another or none at work.
        - V(passed_through) to a virtual machine, V(excluded) by a setting of the driver, V(unsupported_platform) on WSL and Tegra.
        - V(version_mismatch) when the driver was upgraded and the old one is still loaded, V(failed) when the driver does not serve it.
        - V(mig_empty) in MIG mode without a MIG device.
      type: str
      sample: usable
    usable:
      description: Whether the verdict is V(usable).
      type: bool
      sample: true
    problem:
      description: Why it is not usable and what to do, or null.
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
    compute_capability:
      description: CUDA compute capability, or null without nvidia-smi.
      type: str
      sample: "8.6"
    mig_enabled:
      description: Whether it is in MIG mode; null when that is not known or not supported.
      type: bool
      sample: null
    mig_pending:
      description: The MIG mode after the next reset of the GPU; null when that is not known or not supported.
      type: bool
      sample: null
    mig_instances:
      description: GPU instances of MIG by number, each with C(gpu_instance) and its C(compute_instances).
      type: list
      elements: dict
      sample: []
    mig_devices:
      description: MIG devices that nvidia-smi lists, each with C(uuid) and C(profile).
      type: list
      elements: dict
      sample: []
devices:
  description:
    - All PCI devices of NVIDIA, by PCI address, with what each is and its driver.
    - C(function) is one of V(gpu), V(virtual_gpu), V(nvswitch), V(audio), V(usb), V(ucsi), V(bridge) and V(other).
    - C(physical_function) is the GPU that a virtual function belongs to.
  type: list
  elements: dict
  returned: success
  sample:
    - pci_address: "0000:01:00.1"
      vendor_id: "0x10de"
      device_id: "0x1aef"
      class: "0x040300"
      function: audio
      driver: snd_hda_intel
      kernel_module: snd_hda_intel
      driver_override: null
      physical_function: null
      virtual_functions: 0
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
driver_flavour:
  description: V(open) or V(proprietary) kernel module, or null when none is loaded.
  type: str
  returned: success
  sample: open
library_version:
  description: Version of the driver's libraries on disk, or null when there are none or several.
  type: str
  returned: success
  sample: 550.163.01
cuda_version:
  description: Newest CUDA that the driver serves, or null without nvidia-smi.
  type: str
  returned: success
  sample: "12.4"
secure_boot:
  description: Whether Secure Boot is on, so that the module must be signed; null without EFI.
  type: bool
  returned: success
  sample: false
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

import os

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils import gpus as nvidia


class Smi(object):
    """nvidia-smi under a time limit."""

    def __init__(self, module, program, seconds):
        self._module = module
        self._command = [module.get_bin_path("timeout", required=True), "--kill-after=5", str(seconds), program]

    def call(self, *arguments):
        """Exit status and what it printed, first on standard output, then on standard error."""
        rc, out, err = self._module.run_command(self._command + list(arguments))
        return rc, out if rc == 0 else out + err

    def query(self, fields):
        """A query of the GPUs; exit status and lines."""
        return self.call("--query-gpu=" + ",".join(fields), "--format=csv,noheader,nounits")


def ask_smi(smi, gpus):
    """Adds to the GPUs what nvidia-smi knows.

    :returns: whether it answered, the newest CUDA that the driver serves or None, and lines that belong to no GPU
    """
    rc, output = smi.query(nvidia.SMI_FIELDS)
    if rc != 0:
        line = nvidia.add_smi_failure(gpus, rc, output)
        return False, None, [line] if line else []
    nvidia.add_smi_query(gpus, output)
    rc, output = smi.query(nvidia.SMI_CAPABILITY_FIELDS)
    if rc == 0:
        nvidia.add_smi_capability(gpus, output)
    lines = []
    rc, output = smi.call("-L")
    if rc == 0:
        nvidia.add_smi_list(gpus, output)
    else:
        line = nvidia.add_smi_failure(gpus, rc, output)
        lines += [line] if line else []
    rc, output = smi.call("-q", "-d", "COMPUTE")
    return True, nvidia.cuda_version(output) if rc == 0 else None, lines


def work(module):
    """Reads everything; returns the module's result.

    :raises GpuError: the tree cannot be read
    """
    root = module.params["root"]
    if not os.path.isdir(root):
        raise nvidia.GpuError("root: %s is no folder" % root)
    devices, problems = nvidia.from_sysfs(root)
    system = nvidia.read_system(root)
    gpus = [nvidia.gpu_of(device, system) for device in devices if device["function"] == "gpu"]
    nvidia.add_driver_files(root, gpus)
    answers, cuda, lines = False, None, []
    program = module.params["nvidia_smi"] or (module.get_bin_path("nvidia-smi") if root == "/" else None)
    if not program:
        nvidia.add_library_version(system, gpus)
    elif any(gpu["usable"] for gpu in gpus):
        answers, cuda, lines = ask_smi(Smi(module, program, module.params["smi_timeout_seconds"]), gpus)
    problems = ["GPU %s (%s): %s" % (gpu["pci_address"], gpu["device_id"], gpu["problem"]) for gpu in gpus if gpu["problem"]] + problems
    if system["platform"] and not gpus:
        problems.append("GPUs of %s are not supported" % system["platform"])
    result = {
        "changed": False,
        "gpus": gpus,
        "devices": devices,
        "count": len(gpus),
        "usable_count": len([gpu for gpu in gpus if gpu["usable"]]),
        "nvswitch_count": len([device for device in devices if device["function"] == "nvswitch"]),
        "cuda_version": cuda,
        "smi_answers": answers,
        "problems": problems + lines,
    }
    result.update(system)
    return result


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
    try:
        result = work(module)
    except nvidia.GpuError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
