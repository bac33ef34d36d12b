# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""NVIDIA GPUs as the kernel shows them, without tools that may be missing.

Facts: PCI vendor 0x10de; class 0x0300 is a VGA and 0x0302 a 3D controller, 0x0403 audio, 0x0c03 USB, 0x0c80 another serial bus
(PCI code and ID assignment specification); an NVSwitch has class 0x0680, as has the network card of nForce boards, whose kernel driver
is forcedeth; `physfn`, `sriov_numvfs` and `driver_override` are in the kernel's ABI documentation (sysfs-bus-pci); the driver's own
files are described in NVIDIA's driver README ("/proc interface") and MIG's capabilities in its MIG guide, exit codes in the manual
page of nvidia-smi.
"""

from __future__ import annotations

import os
import re

VENDOR = "0x10de"
KINDS = {"0x0300": "vga", "0x0302": "3d"}
FUNCTIONS = {"0x0403": "audio", "0x0c03": "usb", "0x0c80": "ucsi", "0x0604": "bridge"}
NVSWITCH = "0x0680"
UUID = re.compile(r"^GPU-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$")
ADDRESS = re.compile(r"([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])", re.IGNORECASE)
LIBRARY = re.compile(r"^libnvidia-ml\.so\.([0-9]+(?:\.[0-9]+)+)$")
LIBRARY_FOLDERS = (
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/x86_64-linux-gnu/nvidia/current",
    "usr/lib/aarch64-linux-gnu",
    "usr/lib/aarch64-linux-gnu/nvidia/current",
    "usr/lib64",
    "usr/lib",
)
SECURE_BOOT = "sys/firmware/efi/efivars/SecureBoot-8be4df61-93ca-11d2-aa0d-00e098032b8c"
SMI_FIELDS = ("index", "uuid", "name", "pci.bus_id", "memory.total", "driver_version", "mig.mode.current", "mig.mode.pending")
# A field that drivers before 510 refuse together with the whole query, so it is asked for apart.
SMI_CAPABILITY_FIELDS = ("pci.bus_id", "compute_cap")
MIG_LINE = re.compile(r"^\s+MIG (?P<profile>\S+)\s+Device\s+\d+: \(UUID: (?P<uuid>MIG-[^)]+)\)")
GPU_LINE = re.compile(r"^GPU \d+: .*\(UUID: (?P<uuid>GPU-[^)]+)\)")
CUDA_LINE = re.compile(r"^CUDA Version\s*:\s*([0-9.]+)", re.MULTILINE)
SMI_TIMED_OUT = (124, 137)  # of coreutils' timeout: the program was ended, or killed
SMI_NO_DEVICE = 6
SMI_NO_DRIVER = 9
SMI_GPU_LOST = 15
SMI_MISMATCH = 18


class GpuError(Exception):
    """The tree cannot be read at all; the text is one line for a person."""


def text_of(path):
    """The content of a small file without spaces around it, None when it cannot be read."""
    try:
        with open(path, encoding="utf-8", errors="replace") as source:
            return source.read().strip()
    except OSError:
        return None


def names_in(path):
    """Names in a folder, sorted; nothing when it is not there.

    :raises GpuError: it is there and cannot be read
    """
    try:
        return sorted(os.listdir(path))
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as problem:
        raise GpuError("%s cannot be read: %s" % (path, problem.strerror)) from problem


def link_name(path):
    """Last part of where a link leads, None when it is no link."""
    try:
        return os.path.basename(os.readlink(path))
    except OSError:
        return None


def pci_address(text):
    """The kernel's form of a PCI address: nvidia-smi writes the domain with eight digits."""
    match = ADDRESS.search(text)
    if not match:
        return text.strip().lower()
    return "%04x:%s:%s.%s" % ((int(match.group(1), 16),) + tuple(part.lower() for part in match.groups()[1:]))


def order(address):
    """Key that sorts PCI addresses by number: the kernel writes domains above ffff with five digits."""
    match = ADDRESS.match(address)
    return (0, [int(part, 16) for part in match.groups()]) if match else (1, [address])


def function_of(pci_class, driver, virtual):
    """What a PCI device of NVIDIA is: ``gpu``, ``virtual_gpu``, ``nvswitch``, ``audio``, ``usb``, ``ucsi``, ``bridge`` or ``other``."""
    base = pci_class[:6]
    if base in KINDS:
        return "virtual_gpu" if virtual else "gpu"
    if base == NVSWITCH:
        return "other" if driver == "forcedeth" else "nvswitch"
    return FUNCTIONS.get(base, "other")


def verdict_of(device, system):
    """Whether a GPU can be used, by what the kernel shows of it.

    :param device: dict of `from_sysfs`
    :param system: dict of `read_system`
    :returns: pair of a verdict and the reason; the reason of ``usable`` is None
    """
    driver = device["driver"]
    if system["platform"]:
        return "unsupported_platform", "GPUs of %s are not supported" % system["platform"]
    if driver == "nvidia":
        return "usable", None
    if driver is not None and (driver == "pci-stub" or "vfio" in driver):
        return "passed_through", "it is passed through to a virtual machine"
    if driver is None and device["driver_override"] not in (None, "nvidia"):
        return "passed_through", "it is kept for the driver %s" % device["driver_override"]
    what = "it has no driver" if driver is None else "its driver is %s" % driver
    if system["library_version"]:
        signed = ", and sign the module, because Secure Boot is on" if system["secure_boot"] else ""
        return "not_loaded", "%s although NVIDIA's %s is installed: restart the host%s" % (what, system["library_version"], signed)
    return ("no_driver" if driver is None else "other_driver"), "%s: install NVIDIA's" % what


def judge(gpu, verdict, problem):
    """Writes a verdict and its reason into a GPU."""
    gpu.update(verdict=verdict, usable=verdict == "usable", problem=problem)


def read_device(folder, address):
    """One PCI device of NVIDIA; None for another vendor's.

    :raises GpuError: what tells it apart cannot be read
    """
    base = os.path.join(folder, address)
    vendor, pci_class = text_of(os.path.join(base, "vendor")), text_of(os.path.join(base, "class"))
    if vendor is None:
        raise GpuError("PCI device %s cannot be read" % address)
    if vendor.lower() != VENDOR:
        return None
    if pci_class is None:
        raise GpuError("PCI device %s is NVIDIA's and its class cannot be read" % address)
    driver = link_name(os.path.join(base, "driver"))
    parent = link_name(os.path.join(base, "physfn"))
    override = text_of(os.path.join(base, "driver_override"))
    virtual = text_of(os.path.join(base, "sriov_numvfs")) or ""
    return {
        "pci_address": address.lower(),
        "vendor_id": vendor.lower(),
        "device_id": text_of(os.path.join(base, "device")),
        "class": pci_class.lower(),
        "function": function_of(pci_class.lower(), driver, parent is not None),
        "driver": driver,
        "kernel_module": link_name(os.path.join(base, "driver", "module")),
        "driver_override": None if override in (None, "", "(null)") else override,
        "physical_function": parent.lower() if parent else None,
        "virtual_functions": int(virtual) if virtual.isdigit() else 0,
    }


def from_sysfs(root):
    """What the PCI bus holds of NVIDIA.

    :param root: folder in which `sys` lies, ordinarily ``/``
    :returns: pair of the devices (list of dicts by PCI address) and what could not be read (list of lines)
    :raises GpuError: the bus cannot be read
    """
    folder = os.path.join(root, "sys/bus/pci/devices")
    devices, problems = [], []
    for address in sorted(names_in(folder), key=order):
        try:
            device = read_device(folder, address)
        except GpuError as problem:
            problems.append(str(problem))
            continue
        if device:
            devices.append(device)
    return devices, problems


def read_system(root):
    """What holds for all GPUs of a host.

    :returns: dict with `driver_version`, `driver_flavour`, `library_version`, `platform`, each a string or None, and `secure_boot`, a
        boolean or None
    """
    version = text_of(os.path.join(root, "proc/driver/nvidia/version")) or ""
    return {
        "driver_version": text_of(os.path.join(root, "sys/module/nvidia/version")),
        "driver_flavour": ("open" if "Open Kernel Module" in version else "proprietary") if version else None,
        "library_version": library_version(root),
        "platform": unsupported_platform(root),
        "secure_boot": secure_boot(root),
    }


def library_version(root):
    """Version of NVIDIA's management library on disk; None without it, or with several, of which the linker's choice is not known here."""
    found = set()
    for folder in LIBRARY_FOLDERS:
        for name in names_in(os.path.join(root, folder)):
            match = LIBRARY.match(name)
            if match:
                found.add(match.group(1))
    return found.pop() if len(found) == 1 else None


def secure_boot(root):
    """Whether the firmware enforces Secure Boot, None without EFI: the variable is four bytes of attributes and one of the value."""
    try:
        with open(os.path.join(root, SECURE_BOOT), "rb") as source:
            return source.read()[4:5] == b"\x01"
    except OSError:
        return None


def unsupported_platform(root):
    """A platform whose GPU is not on the PCI bus in the ordinary way: ``WSL``, ``Tegra`` or None."""
    if os.path.lexists(os.path.join(root, "dev/dxg")):
        return "WSL"
    compatible = text_of(os.path.join(root, "proc/device-tree/compatible")) or ""
    if "nvidia,tegra" in compatible or os.path.exists(os.path.join(root, "etc/nv_tegra_release")):
        return "Tegra"
    return None


def gpu_of(device, system):
    """A GPU, with the verdict that the kernel alone allows, from its PCI device."""
    gpu = {name: value for name, value in device.items() if name not in ("function", "physical_function")}
    gpu.update(kind=KINDS[device["class"][:6]], model=None, uuid=None, minor=None, index=None, memory_mib=None, compute_capability=None)
    gpu.update(mig_enabled=None, mig_pending=None, mig_instances=[], mig_devices=[])
    judge(gpu, *verdict_of(device, system))
    return gpu


def mig_instances(folder):
    """GPU instances of MIG and the compute instances in them, as the driver's folder of capabilities shows them."""
    found = []
    for name in names_in(folder):
        if re.match(r"gi[0-9]+$", name):
            inner = [int(entry[2:]) for entry in names_in(os.path.join(folder, name)) if re.match(r"ci[0-9]+$", entry)]
            found.append({"gpu_instance": int(name[2:]), "compute_instances": sorted(inner)})
    return sorted(found, key=lambda entry: entry["gpu_instance"])


def add_driver_files(root, gpus):
    """Adds what NVIDIA's driver shows below /proc: model, uuid, minor, MIG instances, and whether it was told to leave the GPU alone."""
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
        if gpu["usable"] and fields.get("GPU Excluded") == "Yes":
            judge(gpu, "excluded", "NVIDIA's driver was told to leave it alone (NVreg_ExcludedGpus)")
        if gpu["minor"] is not None:
            gpu["mig_instances"] = mig_instances(os.path.join(base, "capabilities", "gpu%d" % gpu["minor"], "mig"))
        if gpu["mig_instances"]:
            gpu["mig_enabled"] = True


def add_library_version(system, gpus):
    """Judges by the versions on disk and in the kernel, for where nvidia-smi cannot be asked."""
    loaded, library = system["driver_version"], system["library_version"]
    if loaded and library and loaded != library:
        for gpu in gpus:
            if gpu["usable"]:
                judge(gpu, "version_mismatch", "the loaded driver is %s and its libraries are %s: restart the host" % (loaded, library))


def rows(output, fields):
    """The lines of an ``nvidia-smi --query-gpu=`` in CSV without header and units, as dicts; what has another shape is left out."""
    for line in output.splitlines():
        values = [value.strip() for value in line.split(",")]
        if len(values) == len(fields):
            yield dict(zip(fields, values))


def number(text):
    """A whole number, None for anything else, such as ``[N/A]``."""
    return int(text) if text.isdigit() else None


def add_smi_query(gpus, output):
    """Adds what ``nvidia-smi --query-gpu=`` with SMI_FIELDS printed; a usable GPU that is not among it has failed."""
    by_address = {gpu["pci_address"]: gpu for gpu in gpus}
    listed = set()
    modes = {"Enabled": True, "Disabled": False}
    for values in rows(output, SMI_FIELDS):
        gpu = by_address.get(pci_address(values["pci.bus_id"]))
        if gpu is None:
            continue
        listed.add(gpu["pci_address"])
        gpu["index"] = number(values["index"])
        gpu["uuid"] = values["uuid"] if UUID.match(values["uuid"]) else gpu["uuid"]
        gpu["model"] = values["name"] or gpu["model"]
        gpu["memory_mib"] = number(values["memory.total"])
        gpu["mig_enabled"] = modes.get(values["mig.mode.current"], gpu["mig_enabled"])
        gpu["mig_pending"] = modes.get(values["mig.mode.pending"])
    for gpu in gpus:
        if gpu["usable"] and gpu["pci_address"] not in listed:
            judge(
                gpu,
                "failed",
                "NVIDIA's driver has it and nvidia-smi does not list it: look for NVRM in the kernel's log and restart the host,"
                " or give it to this host if that is a container",
            )


def add_smi_capability(gpus, output):
    """Adds what ``nvidia-smi --query-gpu=`` with SMI_CAPABILITY_FIELDS printed."""
    by_address = {gpu["pci_address"]: gpu for gpu in gpus}
    for values in rows(output, SMI_CAPABILITY_FIELDS):
        gpu = by_address.get(pci_address(values["pci.bus_id"]))
        if gpu is not None and re.match(r"[0-9]+\.[0-9]+$", values["compute_cap"]):
            gpu["compute_capability"] = values["compute_cap"]


def add_smi_list(gpus, output):
    """Adds the MIG devices that ``nvidia-smi -L`` printed; a GPU in MIG mode without any runs nothing."""
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
    for gpu in gpus:
        if gpu["usable"] and gpu["mig_enabled"] and not gpu["mig_devices"]:
            judge(gpu, "mig_empty", "it is in MIG mode and has no MIG device, so nothing can run on it: nvidia-smi mig -cgi PROFILE -C")


def cuda_version(output):
    """The newest CUDA that the driver serves, from what ``nvidia-smi -q`` prints at its beginning, or None."""
    match = CUDA_LINE.search(output)
    return match.group(1) if match else None


def add_smi_failure(gpus, rc, output):
    """Judges the GPUs when nvidia-smi failed.

    :param rc: its exit status
    :param output: what it printed on both channels
    :returns: a line for the case that no GPU could be named by it, else None
    """
    lines = [line.strip() for line in output.strip().splitlines() if line.strip()]
    said = "no answer in time" if rc in SMI_TIMED_OUT else (" ".join(lines[:2]) or "exit status %d" % rc)
    usable = [gpu for gpu in gpus if gpu["usable"]]
    lost = [gpu for gpu in usable if gpu["pci_address"] in {pci_address(match.group(0)) for match in ADDRESS.finditer(output)}]
    if rc == SMI_MISMATCH or "version mismatch" in output:
        judged, verdict, remedy = usable, "version_mismatch", "the driver was replaced while it was loaded: restart the host"
    elif rc == SMI_GPU_LOST and lost:
        judged, verdict, remedy = lost, "failed", "look for NVRM in the kernel's log, restart the host"
    elif rc in (SMI_NO_DEVICE, SMI_NO_DRIVER):
        judged, verdict, remedy = usable, "failed", "look for NVRM in the kernel's log"
    else:
        return "nvidia-smi fails: %s" % said
    for gpu in judged:
        judge(gpu, verdict, "nvidia-smi says: %s; %s" % (said, remedy))
    return None
