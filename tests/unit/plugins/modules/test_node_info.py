# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What node_info makes of the texts that it reads."""

from __future__ import annotations

import json
import os
import socket
import sys

import pytest
from ansible_collections.homelab.mlops.plugins.modules import node_info


def test_os_release():
    text = 'PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"\nID=debian\nVERSION_ID="12"\n\n# note\n'
    assert node_info.os_release(text) == {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"}
    assert node_info.os_release("") == {"id": "", "version": "", "name": ""}


def test_meminfo():
    assert node_info.meminfo("MemTotal:       24000 kB\nSwapTotal:      1024 kB\nHugePages_Total:       0\n") == (24000 << 10, 1 << 20)


def test_listening_ports():
    head = "  sl  local_address rem_address   st tx_queue rx_queue\n"
    rest = " 00000000:00000000 00:00000000 00000000     0        0 %s 1 0000000000000000 100 0 0 10 0\n"
    ipv4 = head + "   0: 00000000:0016 00000000:0000 0A" + rest % 77 + "   1: 0100007F:192B 0100007F:D2A4 01" + rest % 78
    ipv6 = head + "   0: 00000000000000000000000000000000:192B 00000000000000000000000000000000:0000 0A" + rest % 79
    assert node_info.listening_ports([ipv4, ""]) == {22: {"77"}}
    assert node_info.listening_ports([ipv4, ipv6]) == {22: {"77"}, 6443: {"79"}}


def test_the_program_that_listens_is_found_by_its_socket(tmp_path):
    folder = tmp_path / "41" / "fd"
    folder.mkdir(parents=True)
    (folder / "3").symlink_to("socket:[79]")
    (folder / "4").symlink_to("/etc/hosts")
    (tmp_path / "41" / "exe").symlink_to("/usr/sbin/nginx")
    assert node_info.programs_of({"79", "80"}, str(tmp_path)) == {"79": "/usr/sbin/nginx"}
    assert node_info.programs_of(set(), str(tmp_path)) == {}


def test_a_port_on_which_this_test_listens_leads_to_its_program():
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        busy = node_info.listening_ports([node_info.read("/proc/net/tcp")])
        assert node_info.programs_of(busy[port]) == dict.fromkeys(busy[port], os.path.realpath(sys.executable))


@pytest.mark.parametrize(
    ("folder", "point"), [("/srv/a disk/minio", "/srv/a disk"), ("/srv/a", "/"), ("/srv/a disk", "/srv/a disk"), ("/", "/")]
)
def test_the_mount_that_a_folder_is_on(folder, point):
    lines = "22 1 8:1 / / rw - ext4 /dev/sda1 rw\n30 22 8:2 / /srv/a\\040disk rw - ext4 /dev/sdb1 rw\n"
    assert node_info.mount_of(folder, lines) == point


def test_nodes():
    node = {
        "metadata": {
            "name": "node-01",
            "labels": {"node-role.kubernetes.io/control-plane": "true", "node-role.kubernetes.io/etcd": "true", "disk": "ssd"},
            "annotations": {"homelab-mlops/labels": '["disk"]'},
        },
        "spec": {"unschedulable": True},
        "status": {
            "addresses": [
                {"type": "ExternalIP", "address": "203.0.113.1"},
                {"type": "Hostname", "address": "node-01"},
                {"type": "InternalIP", "address": "10.0.0.1"},
                {"type": "InternalIP", "address": "fd00::1"},
            ],
            "conditions": [{"type": "Ready", "status": "True"}, {"type": "EtcdIsVoter", "status": "True"}],
            "nodeInfo": {"kubeletVersion": "v1.34.1+k3s1", "machineID": "0123"},
        },
    }
    new = {"metadata": {"name": "node-02"}, "status": {"conditions": [{"type": "Ready", "status": "Unknown"}]}}
    assert node_info.nodes_of(json.dumps({"items": [node, new]})) == [
        {
            "name": "node-01",
            "address": "10.0.0.1",
            "addresses": ["10.0.0.1", "fd00::1", "203.0.113.1"],
            "ready": True,
            "version": "v1.34.1+k3s1",
            "machine_id": "0123",
            "roles": ["control-plane", "etcd"],
            "server": True,
            "schedulable": False,
            "cordoned_here": False,
            "etcd_voter": True,
            "kept": True,
        },
        {
            "name": "node-02",
            "address": "",
            "addresses": [],
            "ready": False,
            "version": "",
            "machine_id": "",
            "roles": [],
            "server": False,
            "schedulable": True,
            "cordoned_here": False,
            "etcd_voter": False,
            "kept": False,
        },
    ]


@pytest.mark.parametrize(
    ("unschedulable", "annotations", "here"),
    [
        (True, {"homelab-mlops/cordoned": "true"}, True),
        (True, {}, False),  # by a person
        (False, {"homelab-mlops/cordoned": "true"}, False),  # a person let pods come again since
    ],
)
def test_who_cordoned_a_node(unschedulable, annotations, here):
    node = {"metadata": {"name": "node-01", "annotations": annotations}, "spec": {"unschedulable": unschedulable}}
    (found,) = node_info.nodes_of(json.dumps({"items": [node]}))
    assert (found["cordoned_here"], found["schedulable"]) == (here, not unschedulable)


@pytest.mark.parametrize("status, ready", [(0, True), (1, False)])
def test_an_api_that_does_not_tell_its_nodes_is_not_ready(monkeypatch, status, ready):
    class Module:
        params = {"cluster": True}

        def run_command(self, words):
            if "--version" in words:
                return 0, "k3s version v1.34.1+k3s1 (24fc436e)\n", ""
            return (0, "ok", "") if "--raw=/readyz" in words else (status, '{"items": []}', "")

    monkeypatch.setattr(node_info, "unit_state", lambda _module, _unit: "active")
    monkeypatch.setattr(node_info.os, "access", lambda *_unused: True)
    found = node_info.k3s(Module())
    assert (found["ready"], found["nodes"]) == (ready, [])


def test_the_url_by_which_a_node_joins():
    assert node_info.join_url("# Managed\nserver: https://10.0.0.1:6443\ntoken-file: /a\n") == "https://10.0.0.1:6443"
    assert node_info.join_url('server: "https://[fd00::1]:6443"\n') == "https://[fd00::1]:6443"
    assert node_info.join_url("cluster-init: true\n") == ""
    assert node_info.join_url("") == ""


def test_settings_of_the_kernel():
    assert node_info.setting("kernel.ostype") == "Linux"
    assert node_info.setting("kernel.there_is_none") == ""


def test_modules_of_the_kernel(monkeypatch):
    texts = {
        "/proc/filesystems": "nodev\tsysfs\n\text4\nnodev\toverlay\n",
        f"/lib/modules/{node_info.platform.release()}/modules.builtin": "kernel/net/ipv4/tcp-cubic.ko\nkernel/fs/fuse/fuse.ko\n",
    }
    monkeypatch.setattr(node_info, "read", lambda path: texts.get(path, ""))
    monkeypatch.setattr(node_info.os.path, "exists", lambda path: path == "/sys/module/nf_tables")
    names = ["overlay", "tcp_cubic", "fuse", "nf-tables", "br_netfilter", "proc", ""]
    assert [name for name in names if node_info.has_module(name)] == ["overlay", "tcp_cubic", "fuse", "nf-tables"]


def test_the_checksum_of_a_file(tmp_path):
    path = tmp_path / "ca.crt"
    assert node_info.checksum(str(path)) == ""
    path.write_text("abc")
    path.chmod(0o640)
    assert node_info.checksum(str(path)) == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert node_info.file_state(str(path)) == {"sha256": node_info.checksum(str(path)), "mode": "0640"}


def test_the_disk_of_a_folder_to_be(tmp_path):
    state = node_info.disk(str(tmp_path / "not" / "there"))
    assert state["folder"] == str(tmp_path)
    assert 0 <= state["free_bytes"] <= state["total_bytes"]
