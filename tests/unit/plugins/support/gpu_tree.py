# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Trees of /sys and /proc as the kernel and NVIDIA's driver lay them out.

A PCI device is a folder below /sys/devices to which /sys/bus/pci/devices links; its driver is a link to /sys/bus/pci/drivers, which
links to the module (Documentation/PCI/sysfs-pci.rst and Documentation/ABI/testing/sysfs-bus-pci of Linux). Below /proc/driver/nvidia
the files of NVIDIA's driver README are made, with the spaces and tabs that it writes.
"""

from __future__ import annotations

import os

UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c1%02d"


class GpuTree(object):
    """A root folder of a host.

    :ivar root: that folder
    """

    def __init__(self, folder):
        self.root = folder
        (folder / "sys/bus/pci/devices").mkdir(parents=True)

    def write(self, path, text):
        """A file, with the line's end that the kernel writes; returns its path."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text + "\n", encoding="utf-8")
        return target

    def link(self, path, to):
        """A relative link to another path of the tree."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        (self.root / to).mkdir(parents=True, exist_ok=True)
        os.symlink(os.path.relpath(str(self.root / to), str(target.parent)), str(target))

    @staticmethod
    def folder(address):
        """Where a device lies."""
        return "sys/devices/pci%s:00/%s" % (address.split(":")[0], address)

    def device(self, address, pci_class, vendor="0x10de", device="0x2204", driver=None, override="(null)", of=None):
        """A PCI device.

        :param driver: name of its driver, or None
        :param of: address of the GPU that it is a virtual function of
        """
        base = self.folder(address)
        values = {"vendor": vendor, "class": pci_class, "device": device, "revision": "0xa1", "enable": "1", "driver_override": override}
        for name, value in values.items():
            self.write(base + "/" + name, value)
        self.link("sys/bus/pci/devices/" + address, base)
        self.link(base + "/subsystem", "sys/bus/pci")
        if driver:
            home = "sys/bus/pci/drivers/" + driver
            if not (self.root / home / "module").is_symlink():
                self.link(home + "/module", "sys/module/" + driver.replace("-", "_"))
            self.link(base + "/driver", home)
        if of:
            self.link(base + "/physfn", self.folder(of))
            count = len(list((self.root / self.folder(of)).glob("virtfn*")))
            self.link("%s/virtfn%d" % (self.folder(of), count), base)
            self.write(self.folder(of) + "/sriov_numvfs", str(count + 1))

    def card(self, bus, driver="nvidia"):
        """A card with outputs: the GPU, and its sound, USB and UCSI functions."""
        self.device("0000:%s:00.0" % bus, "0x030000", driver=driver)
        self.device("0000:%s:00.1" % bus, "0x040300", device="0x1aef", driver="snd_hda_intel")
        self.device("0000:%s:00.2" % bus, "0x0c0330", device="0x1ad8", driver="xhci_hcd")
        self.device("0000:%s:00.3" % bus, "0x0c8000", device="0x1ad9", driver="nvidia-gpu")

    def loaded(self, version="550.163.01", flavour="open"):
        """NVIDIA's kernel module."""
        words = "Open Kernel Module for x86_64" if flavour == "open" else "x86_64 Kernel Module"
        self.write("sys/module/nvidia/version", version)
        self.write(
            "proc/driver/nvidia/version", "NVRM version: NVIDIA UNIX %s  %s  Release Build\nGCC version:  gcc 12.2.0" % (words, version)
        )

    def library(self, version, folder="usr/lib/x86_64-linux-gnu"):
        """The driver's libraries."""
        self.write("%s/libnvidia-ml.so.%s" % (folder, version), "")
        os.symlink("libnvidia-ml.so.%s" % version, str(self.root / folder / "libnvidia-ml.so.1"))

    def information(self, address, minor, uuid=None, model="NVIDIA GeForce RTX 3090", excluded="No"):
        """What the driver says of a GPU that it has."""
        lines = [
            "Model: \t\t %s" % model,
            "IRQ:   \t\t 128",
            "GPU UUID: \t %s" % (uuid or UUID % minor),
            "Video BIOS: \t 94.02.26.08.1c",
            "Bus Type: \t PCIe",
            "DMA Size: \t 47 bits",
            "DMA Mask: \t 0x7fffffffffff",
            "Bus Location: \t %s" % address,
            "Device Minor: \t %d" % minor,
            "GPU Firmware: \t 550.163.01",
            "GPU Excluded:\t %s" % excluded,
        ]
        self.write("proc/driver/nvidia/gpus/%s/information" % address, "\n".join(lines))

    def mig(self, minor, instances):
        """Instances of a GPU: numbers of compute instances by number of the GPU instance."""
        base = "proc/driver/nvidia/capabilities/gpu%d/mig" % minor
        for gpu_instance, compute_instances in instances.items():
            for folder in ["gi%d" % gpu_instance] + ["gi%d/ci%d" % (gpu_instance, number) for number in compute_instances]:
                self.write("%s/%s/access" % (base, folder), "DeviceFileMinor: 12\nDeviceFileMode: 292\nDeviceFileModify: 1")

    def secure_boot(self, enabled):
        """The firmware's variable: four bytes of attributes and the value."""
        path = self.write("sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c", "")
        path.write_bytes(b"\x06\x00\x00\x00" + (b"\x01" if enabled else b"\x00"))

    def smi(self, text):
        """A program in place of nvidia-smi; returns its path."""
        path = self.write("nvidia-smi", "#!/bin/sh\n" + text)
        path.chmod(0o755)
        return str(path)
