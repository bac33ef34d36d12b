# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory that a lab writes, as Ansible reads it."""

import json
import pathlib
import subprocess
import sys

import pytest
from labkit import lab, topology


@pytest.fixture
def hosts(tmp_path):
    """Ansible's own reading of the demo's inventory."""
    plan = topology.read(topology.find("demo"))
    state = {"hosts": {host.name: {"address": f"10.213.0.{number}"} for number, host in enumerate(plan.hosts, 11)}}
    one = lab.Lab("one", tmp_path / "check out")
    path = tmp_path / "inventory.yml"
    path.write_text(lab.inventory_text(one, plan, state, {"k3s_base_url": "http://10.213.0.1:1/k3s"}))
    command = [pathlib.Path(sys.executable).with_name("ansible-inventory"), "-i", path, "--list"]
    return json.loads(subprocess.run(command, check=True, capture_output=True).stdout)


def test_groups_are_those_of_the_topology_and_the_spare_host_has_none(hosts):
    groups = {name: sorted(hosts[name]["hosts"]) for name in hosts if name not in ("_meta", "all")}
    assert groups == {
        "k3s_servers": ["node-01"],
        "k3s_workers": ["node-02"],
        "clearml_agents": ["gpu-01", "node-02"],
        "ungrouped": ["node-03"],
    }


def test_every_host_has_its_address_the_login_and_the_lab_variables(hosts):
    variables = hosts["_meta"]["hostvars"]
    assert [variables[name]["ansible_host"] for name in ("node-01", "node-02", "gpu-01", "node-03")] == [
        f"10.213.0.{number}" for number in (11, 12, 13, 14)
    ]
    for entry in variables.values():
        assert entry["ansible_user"] == "lab"
        assert entry["k3s_base_url"] == "http://10.213.0.1:1/k3s"
        assert entry["ansible_ssh_private_key_file"].endswith("/check out/.build/lab/one/id_ed25519")


def test_host_keys_are_checked_against_the_labs_own_file_even_below_a_path_with_a_blank(hosts):
    common = hosts["_meta"]["hostvars"]["node-01"]["ansible_ssh_common_args"]
    words = subprocess.run(["sh", "-c", f"printf '%s\\n' {common}"], check=True, capture_output=True, text=True).stdout.splitlines()
    assert "StrictHostKeyChecking=yes" in words
    assert [word for word in words if word.startswith("UserKnownHostsFile=")][0].endswith('/check out/.build/lab/one/known_hosts"')


def test_two_checkouts_never_share_names(tmp_path):
    assert lab.Lab("demo", tmp_path / "a").prefix != lab.Lab("demo", tmp_path / "b").prefix
