# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import os

import pytest

from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

UUID = "GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c1%02d"


class Tree(object):
    """A root folder with a PCI bus."""

    def __init__(self, folder):
        self.root = folder
        (folder / "sys/bus/pci/devices").mkdir(parents=True)

    def write(self, path, text):
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text + "\n", encoding="utf-8")
        return target

    def device(self, address, pci_class, vendor="0x10de", device="0x2204", driver=None, virtual=False):
        base = "sys/bus/pci/devices/%s/" % address
        for name, value in (("vendor", vendor), ("class", pci_class), ("device", device)):
            self.write(base + name, value)
        if driver:
            self.write("sys/bus/pci/drivers/%s/bind" % driver, "")
            os.symlink("../../drivers/%s" % driver, str(self.root / base / "driver"))
        if virtual:
            os.symlink("../0000:01:00.0", str(self.root / base / "physfn"))

    def driver_file(self, address, number, uuid=None):
        text = "Model: \t\t NVIDIA GeForce RTX 3090\nIRQ:   \t\t 128\nGPU UUID: \t %s\nBus Location: \t %s\nDevice Minor: \t %d" % (
            uuid or UUID % number,
            address,
            number,
        )
        self.write("proc/driver/nvidia/gpus/%s/information" % address, text)

    def smi(self, text):
        path = self.write("nvidia-smi", "#!/bin/sh\n" + text)
        path.chmod(0o755)
        return str(path)

    def found(self, **options):
        outcome = run("gpu_info", root=str(self.root), **options)
        assert outcome["changed"] is False
        return outcome


@pytest.fixture
def tree(tmp_path):
    return Tree(tmp_path)


def test_no_gpu(tree):
    tree.device("0000:00:02.0", "0x030000", vendor="0x8086", driver="i915")
    found = tree.found()
    assert (found["gpus"], found["count"], found["usable_count"], found["problems"]) == ([], 0, 0, [])


def test_no_pci_bus_at_all(tmp_path):
    assert run("gpu_info", root=str(tmp_path))["count"] == 0


def test_two_cards_with_audio_usb_and_ucsi(tree):
    for bus in ("01", "0a"):
        tree.device("0000:%s:00.0" % bus, "0x030000", driver="nvidia")
        tree.device("0000:%s:00.1" % bus, "0x040300", driver="snd_hda_intel")
        tree.device("0000:%s:00.2" % bus, "0x0c0330", driver="xhci_hcd")
        tree.device("0000:%s:00.3" % bus, "0x0c8000", driver="nvidia-gpu")
    tree.driver_file("0000:01:00.0", 1)
    tree.driver_file("0000:0a:00.0", 0)
    tree.write("sys/module/nvidia/version", "550.163.01")
    found = tree.found()
    assert (found["count"], found["usable_count"], found["driver_version"], found["problems"]) == (2, 2, "550.163.01", [])
    assert [(gpu["pci_address"], gpu["uuid"], gpu["minor"]) for gpu in found["gpus"]] == [
        ("0000:01:00.0", UUID % 1, 1),
        ("0000:0a:00.0", UUID % 0, 0),
    ]
    first = found["gpus"][0]
    assert (first["model"], first["kind"], first["driver"], first["device_id"]) == ("NVIDIA GeForce RTX 3090", "vga", "nvidia", "0x2204")
    assert (first["index"], first["memory_mib"], first["mig_enabled"], first["mig_devices"]) == (None, None, None, [])


@pytest.mark.parametrize(
    "driver, problem",
    [
        ("nouveau", "its driver is nouveau: install NVIDIA's"),
        (None, "it has no driver: install NVIDIA's"),
        ("vfio-pci", "it is passed through to a virtual machine"),
    ],
)
def test_a_gpu_that_cannot_be_used(tree, driver, problem):
    tree.device("0000:01:00.0", "0x030200", driver=driver)
    found = tree.found()
    assert (found["count"], found["usable_count"]) == (1, 0)
    assert (found["gpus"][0]["kind"], found["gpus"][0]["usable"], found["gpus"][0]["problem"]) == ("3d", False, problem)
    assert found["problems"] == ["GPU 0000:01:00.0 (0x2204): " + problem]


def test_nvswitches_and_virtual_functions_are_no_gpus(tree):
    tree.device("0000:01:00.0", "0x030200", driver="nvidia")
    tree.device("0000:01:00.4", "0x030200", virtual=True)
    tree.device("0000:05:00.0", "0x068000", driver="nvidia-nvswitch")
    found = tree.found()
    assert (found["count"], found["nvswitch_count"]) == (1, 1)


def test_an_unreadable_device_is_named(tree):
    (tree.root / "sys/bus/pci/devices/0000:01:00.0/vendor").mkdir(parents=True)
    assert tree.found()["problems"] == ["PCI device 0000:01:00.0 cannot be read"]


def test_a_uuid_that_the_driver_does_not_know_yet(tree):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    tree.driver_file("0000:01:00.0", 0, uuid="GPU-????????-????-????-????-????????????")
    assert tree.found()["gpus"][0]["uuid"] is None


def test_mig_without_smi(tree):
    tree.device("0000:01:00.0", "0x030200", driver="nvidia")
    tree.driver_file("0000:01:00.0", 0)
    tree.write("proc/driver/nvidia/capabilities/gpu0/mig/gi1/access", "DeviceFileMinor: 12")
    assert tree.found()["gpus"][0]["mig_enabled"] is True


SMI = """case "$1" in
-L)
    echo "GPU 0: NVIDIA A100-SXM4-40GB (UUID: %(one)s)"
    echo "  MIG 1g.5gb      Device  0: (UUID: MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f)"
    echo "  MIG 3g.20gb     Device  1: (UUID: MIG-cba663e8-9bed-5b25-b243-5985ef7c9beb)"
    echo "GPU 1: NVIDIA GeForce RTX 3090 (UUID: %(two)s)"
    ;;
*)
    echo "0, %(one)s, NVIDIA A100-SXM4-40GB, 00000000:0A:00.0, 40960, 550.163.01, Enabled"
    echo "1, %(two)s, NVIDIA GeForce RTX 3090, 00000000:01:00.0, 24576, 550.163.01, [N/A]"
    ;;
esac""" % {"one": UUID % 1, "two": UUID % 2}


def test_nvidia_smi_adds_what_the_bus_does_not_know(tree):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    tree.device("0000:0a:00.0", "0x030200", driver="nvidia")
    found = tree.found(nvidia_smi=tree.smi(SMI))
    assert found["smi_answers"] is True
    small, large = found["gpus"]
    assert (small["index"], small["memory_mib"], small["mig_enabled"], small["mig_devices"]) == (1, 24576, None, [])
    assert (small["uuid"], small["model"]) == (UUID % 2, "NVIDIA GeForce RTX 3090")
    assert (large["index"], large["mig_enabled"]) == (0, True)
    assert [device["profile"] for device in large["mig_devices"]] == ["1g.5gb", "3g.20gb"]
    assert large["mig_devices"][0]["uuid"] == "MIG-c6d4f1ef-42e4-5de3-91c7-45d71c87eb3f"


@pytest.mark.parametrize(
    "text, problem",
    [
        ('echo "NVIDIA-SMI has failed because it could not communicate with the NVIDIA driver."; exit 9', "could not communicate"),
        ("exit 3", "exit status 3"),
        ("exec sleep 30", "no answer in time"),
    ],
)
def test_an_nvidia_smi_that_fails_or_hangs(tree, text, problem):
    tree.device("0000:01:00.0", "0x030000", driver="nvidia")
    found = tree.found(nvidia_smi=tree.smi(text), smi_timeout_seconds=1)
    assert (found["smi_answers"], found["count"]) == (False, 1)
    assert len(found["problems"]) == 1
    assert problem in found["problems"][0]


@pytest.mark.parametrize("path, text, platform", [("dev/dxg", "", "WSL"), ("etc/nv_tegra_release", "# R36", "Tegra")])
def test_unsupported_platforms(tree, path, text, platform):
    tree.write(path, text)
    found = tree.found()
    assert found["platform"] == platform
    assert found["problems"] == ["GPUs of %s are not supported" % platform]


def test_a_limit_that_cannot_be_meant(tree):
    assert run("gpu_info", root=str(tree.root), smi_timeout_seconds=0)["msg"] == "smi_timeout_seconds must be above 0"
