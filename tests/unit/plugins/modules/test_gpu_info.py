# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest

from ansible_collections.homelab.mlops.plugins.module_utils import gpus
from ansible_collections.homelab.mlops.tests.unit.plugins.support.gpu_tree import UUID, GpuTree
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run


@pytest.fixture
def tree(tmp_path):
    return GpuTree(tmp_path)


def look(tree, **options):
    """What the module says of a tree; it never changes anything, and check mode says the same."""
    found = run("gpu_info", root=str(tree.root), **options)
    assert found["changed"] is False
    assert run("gpu_info", check=True, root=str(tree.root), **options) == found
    return found


def verdicts(found):
    return [gpu["verdict"] for gpu in found["gpus"]]


def test_no_gpu(tree):
    tree.device("0000:00:02.0", "0x030000", vendor="0x8086", driver="i915")
    found = look(tree)
    assert (found["gpus"], found["devices"], found["count"], found["usable_count"], found["problems"]) == ([], [], 0, 0, [])
    assert (found["driver_version"], found["driver_flavour"], found["library_version"], found["secure_boot"]) == (None, None, None, None)


def test_no_pci_bus_at_all(tmp_path):
    assert run("gpu_info", root=str(tmp_path))["count"] == 0


def test_a_root_that_is_not_there(tmp_path):
    assert run("gpu_info", root=str(tmp_path / "none"))["msg"] == "root: %s is no folder" % (tmp_path / "none")


@pytest.mark.parametrize("pci_class, kind", [("0x030000", "vga"), ("0x030200", "3d")])
def test_one_gpu(tree, pci_class, kind):
    tree.device("0000:01:00.0", pci_class, driver="nvidia")
    tree.information("0000:01:00.0", 0)
    tree.loaded()
    tree.library("550.163.01")
    found = look(tree)
    assert (found["count"], found["usable_count"], found["problems"]) == (1, 1, [])
    assert (found["driver_version"], found["driver_flavour"], found["library_version"]) == ("550.163.01", "open", "550.163.01")
    assert found["gpus"] == [
        {
            "pci_address": "0000:01:00.0",
            "vendor_id": "0x10de",
            "device_id": "0x2204",
            "class": pci_class,
            "kind": kind,
            "driver": "nvidia",
            "kernel_module": "nvidia",
            "driver_override": None,
            "virtual_functions": 0,
            "verdict": "usable",
            "usable": True,
            "problem": None,
            "model": "NVIDIA GeForce RTX 3090",
            "uuid": UUID % 0,
            "minor": 0,
            "index": None,
            "memory_mib": None,
            "compute_capability": None,
            "mig_enabled": None,
            "mig_pending": None,
            "mig_instances": [],
            "mig_devices": [],
        }
    ]


def test_two_cards_with_audio_usb_and_ucsi(tree):
    for bus, minor in (("0a", 0), ("01", 1)):
        tree.card(bus)
        tree.information("0000:%s:00.0" % bus, minor)
    tree.loaded(flavour="proprietary")
    found = look(tree)
    assert (found["count"], found["usable_count"], found["driver_flavour"], found["problems"]) == (2, 2, "proprietary", [])
    assert [(gpu["pci_address"], gpu["uuid"], gpu["minor"]) for gpu in found["gpus"]] == [
        ("0000:01:00.0", UUID % 1, 1),
        ("0000:0a:00.0", UUID % 0, 0),
    ]
    assert [device["function"] for device in found["devices"]] == ["gpu", "audio", "usb", "ucsi"] * 2
    assert [device["kernel_module"] for device in found["devices"][:4]] == ["nvidia", "snd_hda_intel", "xhci_hcd", "nvidia_gpu"]


def test_eight_gpus_in_the_order_of_their_addresses(tree):
    buses = ["0000:07", "0000:0f", "0000:47", "0000:4e", "0000:87", "0000:90", "0000:b7", "10000:01"]
    for minor, bus in enumerate(reversed(buses)):
        tree.device(bus + ":00.0", "0x030200", device="0x2330", driver="nvidia")
        tree.information(bus + ":00.0", minor, model="NVIDIA H100 80GB HBM3")
    for slot in range(4):
        tree.device("0000:0%d:00.0" % (slot + 1), "0x068000", device="0x22a3", driver="nvidia-nvswitch")
    found = look(tree)
    assert (found["count"], found["usable_count"], found["nvswitch_count"]) == (8, 8, 4)
    assert [gpu["pci_address"] for gpu in found["gpus"]] == [bus + ":00.0" for bus in buses]
    assert [gpu["minor"] for gpu in found["gpus"]] == [7, 6, 5, 4, 3, 2, 1, 0]
    assert {gpu["model"] for gpu in found["gpus"]} == {"NVIDIA H100 80GB HBM3"}


@pytest.mark.parametrize(
    "driver, override, verdict, problem",
    [
        ("nouveau", "(null)", "other_driver", "its driver is nouveau: install NVIDIA's"),
        (None, "(null)", "no_driver", "it has no driver: install NVIDIA's"),
        ("vfio-pci", "vfio-pci", "passed_through", "it is passed through to a virtual machine"),
        ("nvgrace_gpu_vfio_pci", "(null)", "passed_through", "it is passed through to a virtual machine"),
        (None, "vfio-pci", "passed_through", "it is kept for the driver vfio-pci"),
    ],
)
def test_a_gpu_that_cannot_be_used(tree, driver, override, verdict, problem):
    tree.device("0000:01:00.0", "0x030200", driver=driver, override=override)
    found = look(tree)
    assert (found["count"], found["usable_count"], verdicts(found)) == (1, 0, [verdict])
    assert (found["gpus"][0]["kind"], found["gpus"][0]["usable"], found["gpus"][0]["problem"]) == ("3d", False, problem)
    assert found["problems"] == ["GPU 0000:01:00.0 (0x2204): " + problem]


@pytest.mark.parametrize("secure_boot, hint", [(None, ""), (False, ""), (True, ", and sign the module, because Secure Boot is on")])
def test_nouveau_while_nvidias_driver_waits_for_a_restart(tree, secure_boot, hint):
    tree.card("01", driver="nouveau")
    tree.library("535.183.01", "usr/lib/x86_64-linux-gnu/nvidia/current")
    if secure_boot is not None:
        tree.secure_boot(secure_boot)
    found = look(tree)
    assert (verdicts(found), found["secure_boot"], found["library_version"]) == (["not_loaded"], secure_boot, "535.183.01")
    assert found["gpus"][0]["problem"] == "its driver is nouveau although NVIDIA's 535.183.01 is installed: restart the host" + hint


def test_one_gpu_for_the_host_and_one_for_a_virtual_machine(tree):
    tree.card("01")
    tree.card("02", driver="vfio-pci")
    found = look(tree)
    assert (verdicts(found), found["usable_count"]) == (["usable", "passed_through"], 1)


def test_virtual_functions_are_told_but_are_no_gpus(tree):
    tree.device("0000:01:00.0", "0x030200", driver="nvidia")
    tree.device("0000:01:00.4", "0x030200", of="0000:01:00.0")
    tree.device("0000:01:00.5", "0x030200", of="0000:01:00.0", driver="vfio-pci")
    found = look(tree)
    assert (found["count"], found["gpus"][0]["virtual_functions"]) == (1, 2)
    assert [(device["function"], device["physical_function"]) for device in found["devices"]] == [
        ("gpu", None),
        ("virtual_gpu", "0000:01:00.0"),
        ("virtual_gpu", "0000:01:00.0"),
    ]


def test_a_network_card_of_an_old_board_is_no_nvswitch(tree):
    tree.device("0000:00:08.0", "0x068000", device="0x0373", driver="forcedeth")
    found = look(tree)
    assert (found["nvswitch_count"], found["devices"][0]["function"]) == (0, "other")


def test_unreadable_devices_are_named(tree):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    tree.device("0000:02:00.0", "0x030000", driver="nvidia")
    (tree.root / tree.folder("0000:01:00.0") / "vendor").unlink()
    (tree.root / tree.folder("0000:02:00.0") / "class").unlink()
    found = look(tree)
    assert found["count"] == 0
    assert found["problems"] == [
        "PCI device 0000:01:00.0 cannot be read",
        "PCI device 0000:02:00.0 is NVIDIA's and its class cannot be read",
    ]


def test_a_bus_that_cannot_be_listed_is_not_called_empty(tree, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(gpus.os, "listdir", refuse)
    assert run("gpu_info", root=str(tree.root))["msg"].endswith("sys/bus/pci/devices cannot be read: Permission denied")


def test_a_uuid_that_the_driver_does_not_know_yet(tree):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    tree.information("0000:01:00.0", 0, uuid="GPU-????????-????-????-????-????????????")
    assert look(tree)["gpus"][0]["uuid"] is None


def test_a_gpu_that_the_driver_was_told_to_leave_alone(tree):
    tree.card("01")
    tree.card("02")
    tree.information("0000:01:00.0", 0, excluded="Yes")
    tree.information("0000:02:00.0", 1)
    found = look(tree)
    assert verdicts(found) == ["excluded", "usable"]
    assert "NVreg_ExcludedGpus" in found["problems"][0]


def test_mig_without_smi(tree):
    tree.device("0000:01:00.0", "0x030200", driver="nvidia")
    tree.information("0000:01:00.0", 0)
    tree.mig(0, {9: [0], 1: [0, 1], 11: []})
    gpu = look(tree)["gpus"][0]
    assert (gpu["mig_enabled"], gpu["mig_pending"]) == (True, None)
    assert gpu["mig_instances"] == [
        {"gpu_instance": 1, "compute_instances": [0, 1]},
        {"gpu_instance": 9, "compute_instances": [0]},
        {"gpu_instance": 11, "compute_instances": []},
    ]


SMI = """case "$*" in
-L)
    echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: %(one)s)"
    echo "  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)"
    echo "  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)"
    echo "GPU 1: NVIDIA GeForce RTX 3090 (UUID: %(two)s)"
    ;;
"-q -d COMPUTE")
    echo "==============NVSMI LOG=============="
    echo "Driver Version                            : 550.163.01"
    echo "CUDA Version                              : 12.4"
    ;;
*compute_cap*)
    echo "00000000:0A:00.0, 8.0"
    echo "00000000:01:00.0, 8.6"
    ;;
*)
    echo "0, %(one)s, NVIDIA A100-SXM4-40GB, 00000000:0A:00.0, 40960, 550.163.01, Enabled, Disabled"
    echo "1, %(two)s, NVIDIA GeForce RTX 3090, 00000000:01:00.0, 24576, 550.163.01, [N/A], [N/A]"
    ;;
esac""" % {"one": UUID % 1, "two": UUID % 2}


def test_nvidia_smi_adds_what_the_bus_does_not_know(tree):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    tree.device("0000:0a:00.0", "0x030200", driver="nvidia")
    found = look(tree, nvidia_smi=tree.smi(SMI))
    assert (found["smi_answers"], found["cuda_version"], found["problems"]) == (True, "12.4", [])
    small, large = found["gpus"]
    assert (small["index"], small["memory_mib"], small["mig_enabled"], small["mig_pending"], small["mig_devices"]) == (
        1,
        24576,
        None,
        None,
        [],
    )
    assert (small["uuid"], small["model"], small["compute_capability"]) == (UUID % 2, "NVIDIA GeForce RTX 3090", "8.6")
    assert (large["index"], large["mig_enabled"], large["mig_pending"], large["compute_capability"]) == (0, True, False, "8.0")
    assert [device["profile"] for device in large["mig_devices"]] == ["1g.5gb", "3g.20gb"]
    assert large["mig_devices"][0]["uuid"] == "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"


def test_an_old_nvidia_smi_that_does_not_know_the_compute_capability(tree):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    tree.device("0000:0a:00.0", "0x030200", driver="nvidia")
    text = SMI.replace('echo "00000000:0A:00.0, 8.0"', """echo 'Field "compute_cap" is not a valid field to query.'; exit 2""")
    found = look(tree, nvidia_smi=tree.smi(text))
    assert (found["smi_answers"], found["usable_count"], found["problems"]) == (True, 2, [])
    assert {gpu["compute_capability"] for gpu in found["gpus"]} == {None}


def test_a_gpu_that_nvidia_smi_no_longer_lists_has_failed(tree):
    for bus in ("01", "0a", "0b"):
        tree.card(bus)
    found = look(tree, nvidia_smi=tree.smi(SMI))
    assert verdicts(found) == ["usable", "usable", "failed"]
    assert found["problems"][0].startswith("GPU 0000:0b:00.0 (0x2204): NVIDIA's driver has it and nvidia-smi does not list it")


def test_mig_mode_without_a_mig_device(tree):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    tree.device("0000:0a:00.0", "0x030200", driver="nvidia")
    text = "\n".join(line for line in SMI.splitlines() if "  MIG " not in line)
    found = look(tree, nvidia_smi=tree.smi(text))
    assert verdicts(found) == ["usable", "mig_empty"]
    assert "nvidia-smi mig -cgi PROFILE -C" in found["problems"][0]


MISMATCH = 'echo "Failed to initialize NVML: Driver/library version mismatch"; echo "NVML library version: 550.163"; exit 18'
NO_DRIVER = """echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9"""
LOST = 'echo "Unable to determine the device handle for GPU0000:0A:00.0: Unknown Error"; exit 15'


@pytest.mark.parametrize(
    "text, expected, said",
    [
        (MISMATCH, ["version_mismatch"] * 2, "Driver/library version mismatch NVML library version: 550.163; the driver was replaced"),
        (NO_DRIVER, ["failed"] * 2, "couldn't communicate with the NVIDIA driver.; look for NVRM"),
        ('echo "No devices were found"; exit 6', ["failed"] * 2, "No devices were found; look for NVRM"),
        (LOST, ["usable", "failed"], "GPU 0000:0a:00.0 (0x2204): nvidia-smi says: Unable to determine the device handle"),
    ],
)
def test_an_nvidia_smi_that_says_what_failed(tree, text, expected, said):
    tree.card("01")
    tree.card("0a")
    tree.loaded()
    found = look(tree, nvidia_smi=tree.smi(text))
    assert (found["smi_answers"], verdicts(found), found["usable_count"]) == (False, expected, expected.count("usable"))
    assert said in found["problems"][0]
    assert len(found["problems"]) == 2 - expected.count("usable")


@pytest.mark.parametrize("text, problem", [("exit 3", "exit status 3"), ("exec sleep 30", "no answer in time")])
def test_an_nvidia_smi_that_fails_without_a_word_or_hangs(tree, text, problem):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    found = run("gpu_info", root=str(tree.root), nvidia_smi=tree.smi(text), smi_timeout_seconds=1)
    assert (found["smi_answers"], verdicts(found)) == (False, ["usable"])
    assert found["problems"] == ["nvidia-smi fails: " + problem]


def test_an_upgraded_driver_without_nvidia_smi(tree):
    tree.card("01")
    tree.loaded("550.54.14")
    tree.library("550.163.01")
    found = look(tree)
    assert verdicts(found) == ["version_mismatch"]
    assert found["gpus"][0]["problem"] == "the loaded driver is 550.54.14 and its libraries are 550.163.01: restart the host"


def test_libraries_of_two_versions_prove_nothing(tree):
    tree.card("01")
    tree.loaded("550.54.14")
    tree.library("550.163.01")
    tree.library("535.183.01", "usr/lib64")
    found = look(tree)
    assert (found["library_version"], verdicts(found)) == (None, ["usable"])


@pytest.mark.parametrize(
    "path, text, platform",
    [
        ("dev/dxg", "", "WSL"),
        ("etc/nv_tegra_release", "# R36", "Tegra"),
        ("proc/device-tree/compatible", "nvidia,p3737-0000+p3701-0000\0nvidia,tegra234\0", "Tegra"),
    ],
)
def test_unsupported_platforms(tree, path, text, platform):
    tree.write(path, text)
    found = look(tree)
    assert (found["platform"], found["count"]) == (platform, 0)
    assert found["problems"] == ["GPUs of %s are not supported" % platform]


def test_a_card_in_an_unsupported_platform(tree):
    tree.card("01")
    tree.write("etc/nv_tegra_release", "# R36")
    found = look(tree)
    assert (verdicts(found), found["usable_count"]) == (["unsupported_platform"], 0)
    assert found["problems"] == ["GPU 0000:01:00.0 (0x2204): GPUs of Tegra are not supported"]


def test_a_limit_that_cannot_be_meant(tree):
    assert run("gpu_info", root=str(tree.root), smi_timeout_seconds=0)["msg"] == "smi_timeout_seconds must be above 0"


def test_this_machine_is_read_without_an_error():
    found = run("gpu_info")
    assert found["count"] == len(found["gpus"]) <= len(found["devices"])
    assert all(os.path.exists("/sys/bus/pci/devices/" + device["pci_address"]) for device in found["devices"])
