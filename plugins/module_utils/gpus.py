# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA GPUs as the kernel shows them, without tools that may be missing.

Facts: PCI vendor 0x10de; class 0x0300 is a VGA and 0x0302 a 3D controller (PCI code and ID assignment specification); audio, USB and UCSI
functions of a card have other classes, 0x0680 is an NVSwitch; `physfn` marks a virtual function; the driver's own files are described in
NVIDIA's driver README ("/proc interface").
"""

from __future__ import annotations

import os
import re

VENDOR = "0x10de"
KINDS = {"0x0300": "vga", "0x0302": "3d"}
NVSWITCH = "0x0680"
UUID = re.compile(r"^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
SMI_FIELDS = ("index", "uuid", "name", "pci.bus_id", "memory.total", "driver_version", "mig.mode.current")
MIG_LINE = re.compile(r"^\s+MIG (?P<profile>\S+)\s+Device\s+\d+: \(UUID: (?P<uuid>MIG-[^)]+)\)")
GPU_LINE = re.compile(r"^GPU \d+: .*\(UUID: (?P<uuid>GPU-[^)]+)\)")


def text_of(path):
    """The content of a small file without spaces around it, None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.read().strip()
    except OSError:
        return None


def names_in(path):
    """Names in a folder, sorted; nothing when it is not there."""
    try:
        return sorted(os.listdir(path))
    except OSError:
        return []


def pci_address(text):
    """The kernel's form of a PCI address: nvidia-smi writes the domain with eight digits."""
    domain, unused, rest = text.strip().lower().partition(":")
    return "%s:%s" % (domain[-4:], rest)


def problem_of(driver):
    """Why a GPU with this driver cannot be used here, None when it can."""
    if driver == "nvidia":
        return None
    if driver == "vfio-pci":
        return "it is passed through to a virtual machine"
    if driver is None:
        return "it has no driver: install NVIDIA's"
    return "its driver is %s: install NVIDIA's" % driver


def from_sysfs(root):
    """What the PCI bus holds.

    :param root: folder in which `sys` lies, ordinarily ``/``
    :returns: dict with `gpus` (list of dicts), `nvswitches` (int) and `unreadable` (list of addresses)
    """
    base = os.path.join(root, "sys/bus/pci/devices")
    found = {"gpus": [], "nvswitches": 0, "unreadable": []}
    for address in names_in(base):
        device = os.path.join(base, address)
        vendor = text_of(os.path.join(device, "vendor"))
        if vendor is None:
            found["unreadable"].append(address)
            continue
        if vendor.lower() != VENDOR:
            continue
        kind = (text_of(os.path.join(device, "class")) or "").lower()[:6]
        if kind == NVSWITCH:
            found["nvswitches"] += 1
        if kind not in KINDS or os.path.lexists(os.path.join(device, "physfn")):
            continue
        link = os.path.join(device, "driver")
        driver = os.path.basename(os.readlink(link)) if os.path.islink(link) else None
        found["gpus"].append(
            {
                "pci_address": address.lower(),
                "device_id": text_of(os.path.join(device, "device")),
                "kind": KINDS[kind],
                "driver": driver,
                "usable": driver == "nvidia",
                "problem": problem_of(driver),
                "model": None,
                "uuid": None,
                "minor": None,
                "index": None,
                "memory_mib": None,
                "mig_enabled": None,
                "mig_devices": [],
            }
        )
    return found


def add_driver_files(root, gpus):
    """Adds what NVIDIA's driver shows below /proc: model, uuid, minor, and whether MIG instances exist."""
    base = os.path.join(root, "proc/driver/nvidia")
    by_address = {gpu["pci_address"]: gpu for gpu in gpus}
    for name in names_in(os.path.join(base, "gpus")):
        gpu = by_address.get(pci_address(name))
        information = text_of(os.path.join(base, "gpus", name, "information"))
        if gpu is None or information is None:
            continue
        fields = dict((part.strip() for part in line.split(":", 1)) for line in information.splitlines() if ":" in line)
        gpu["model"] = fields.get("Model") or None
        uuid = fields.get("GPU UUID", "").replace("gpu-", "GPU-")
        gpu["uuid"] = uuid if UUID.match(uuid) else None  # question marks until the GPU is used for the first time
        minor = fields.get("Device Minor", "")
        gpu["minor"] = int(minor) if minor.isdigit() else None
        instances = os.path.join(base, "capabilities", "gpu%s" % minor, "mig")
        if any(entry.startswith("gi") for entry in names_in(instances)):
            gpu["mig_enabled"] = True


def driver_version(root):
    """Version of the loaded kernel module, or None."""
    return text_of(os.path.join(root, "sys/module/nvidia/version"))


def add_smi_query(gpus, output):
    """Adds what ``nvidia-smi --query-gpu=`` with SMI_FIELDS printed as CSV without header and units."""
    by_address = {gpu["pci_address"]: gpu for gpu in gpus}
    for line in output.splitlines():
        values = dict(zip(SMI_FIELDS, (value.strip() for value in line.split(","))))
        gpu = by_address.get(pci_address(values.get("pci.bus_id", "")))
        if gpu is None or len(values) < len(SMI_FIELDS):
            continue
        gpu["index"] = int(values["index"]) if values["index"].isdigit() else None
        gpu["uuid"] = values["uuid"] if UUID.match(values["uuid"]) else gpu["uuid"]
        gpu["model"] = values["name"] or gpu["model"]
        gpu["memory_mib"] = int(values["memory.total"]) if values["memory.total"].isdigit() else None
        if values["mig.mode.current"] in ("Enabled", "Disabled"):
            gpu["mig_enabled"] = values["mig.mode.current"] == "Enabled"


def add_smi_list(gpus, output):
    """Adds the MIG devices that ``nvidia-smi -L`` printed."""
    by_uuid = {gpu["uuid"]: gpu for gpu in gpus if gpu["uuid"]}
    current = None
    for line in output.splitlines():
        head = GPU_LINE.match(line)
        if head:
            current = by_uuid.get(head.group("uuid"))
            continue
        device = MIG_LINE.match(line)
        if device and current is not None:
            current["mig_devices"].append({"uuid": device.group("uuid"), "profile": device.group("profile")})


def unsupported_platform(root):
    """A platform whose GPU is not on the PCI bus in the ordinary way: ``WSL``, ``Tegra`` or None."""
    if os.path.lexists(os.path.join(root, "dev/dxg")):
        return "WSL"
    compatible = text_of(os.path.join(root, "proc/device-tree/compatible")) or ""
    if "nvidia,tegra" in compatible or os.path.exists(os.path.join(root, "etc/nv_tegra_release")):
        return "Tegra"
    return None
