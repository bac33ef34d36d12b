# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person gets wrong on the first evening: refused before any change, by one line that says what to do."""

from __future__ import annotations

import contextlib

import pytest
import yaml
from session import Session

BARE = ("/etc/rancher", "/usr/local/bin/k3s", "/opt/homelab-mlops", "/etc/clearml-agent", "/var/lib/clearml-agent")


def inventory(lab: Session, tmp_path, **groups):
    """The lab's inventory with the hosts of some groups replaced; a group given as None is left out."""
    content = yaml.safe_load((lab.folder / "inventory.yml").read_text(encoding="utf-8"))
    known = {host: values for group in content.values() for host, values in group.get("hosts", {}).items() if values}
    content["ungrouped"] = {"hosts": known}
    for group, hosts in groups.items():
        if hosts is None:
            del content[group]
        else:
            content[group] = {"hosts": dict.fromkeys(hosts)}
    path = tmp_path / "inventory.yml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def assert_refused(lab: Session, run, *words: str, hosts=("node-01", "node-02", "gpu-01")) -> None:
    """The run failed, one line of it holds all the words, and the hosts are as bare as before."""
    assert run.rc != 0
    assert [line for line in run.output.splitlines() if all(word in line for word in words)], run.output[-3000:]
    assert run.changed == 0
    for host in hosts:
        assert lab.ssh(host, f"for path in {' '.join(BARE)}; do if [ -e $path ]; then echo $path; fi; done") == ""


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("homelab_s3_bucket", "My_Bucket", ["My_Bucket", "small letters"]),
        ("homelab_clearml_exposure", "ingress", ["ingress", "load_balancer"]),
        ("k3s_version", "1.34", ["k3s_version", "1.34"]),
        ("minio_storage_size", "20 gigs", ["minio_storage_size", "20 gigs"]),
        ("clearml_agent_busy_policy", "kill", ["clearml_agent_busy_policy", "wait"]),
    ],
)
def test_a_value_that_cannot_work(lab, variable, value, words):
    run = lab.playbook("site", "--extra-vars", f"{variable}='{value}'", quiet=True)
    assert_refused(lab, run, *words)


def test_all_findings_come_at_once(lab):
    run = lab.playbook("site", "--extra-vars", "homelab_s3_bucket=My_Bucket homelab_clearml_exposure=ingress", quiet=True)
    assert_refused(lab, run, "My_Bucket")
    assert_refused(lab, run, "ingress")


@pytest.mark.parametrize(
    ("groups", "words"),
    [
        ({"k3s_servers": None}, ["k3s_servers"]),
        ({"k3s_servers": []}, ["k3s_servers"]),
        ({"k3s_workers": ["node-01", "node-02"]}, ["node-01", "k3s_workers"]),
    ],
)
def test_groups_that_make_no_cluster(lab, tmp_path, groups, words):
    run = lab.playbook("site", inventory=inventory(lab, tmp_path, **groups), quiet=True)
    assert_refused(lab, run, *words)


@contextlib.contextmanager
def mounted(lab: Session, host: str, *command: str, target: str):
    """Something mounted over a path of a host, and gone again at the end."""
    lab.ssh(host, "sudo", "mount", *command, target)
    try:
        yield
    finally:
        lab.ssh(host, "sudo", "umount", target)


def test_a_disk_that_is_too_small(lab):
    with mounted(lab, "node-02", "-t", "tmpfs", "-o", "size=512m", "tmpfs", target="/var/lib/rancher"):
        run = lab.playbook("site", quiet=True)
    assert_refused(lab, run, "node-02", "/var/lib/rancher")


def test_an_operating_system_that_nobody_tried(lab):
    lab.ssh("gpu-01", "printf 'ID=fedora\\nVERSION_ID=43\\nPRETTY_NAME=\"Fedora 43\"\\n' | sudo tee /run/os-release")
    with mounted(lab, "gpu-01", "--bind", "/run/os-release", target="/etc/os-release"):
        run = lab.playbook("site", quiet=True)
    assert_refused(lab, run, "gpu-01", "Fedora 43")


def test_a_server_that_cannot_be_reached(lab, tmp_path):
    path = inventory(lab, tmp_path, k3s_servers=["node-09"])
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    content["k3s_servers"]["hosts"]["node-09"] = {"ansible_host": "127.0.0.9", "ansible_port": 9}
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    assert_refused(lab, lab.playbook("site", inventory=path, quiet=True), "node-09", "cannot be reached")
