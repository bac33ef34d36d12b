# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Topology files: what is read, and what each mistake is answered with."""

import pytest
import yaml
from labkit import topology


def written(tmp_path, text):
    path = tmp_path / "lab.yml"
    path.write_text(text)
    return path


@pytest.mark.parametrize("path", sorted(topology.TOPOLOGIES.glob("*.yml")), ids=lambda path: path.stem)
def test_every_topology_of_the_repository_is_right_and_has_an_odd_number_of_servers_or_an_object_store_alone(path):
    groups = [group for host in topology.read(path).hosts for group in host.groups]
    assert groups.count("k3s_servers") % 2 == 1 or set(groups) == {"minio_servers"}


def test_the_demo_has_an_agent_outside_the_cluster_and_a_spare_machine():
    hosts = {host.name: host.groups for host in topology.read(topology.find("demo")).hosts}
    assert hosts == {
        "node-01": ("k3s_servers",),
        "node-02": ("k3s_workers", "clearml_agents"),
        "gpu-01": ("clearml_agents",),
        "node-03": (),
    }


def test_variables_of_a_host_and_of_all(tmp_path):
    path = written(tmp_path, "hosts: {a: {groups: [k3s_servers], vars: {k3s_node_ip: 1.2.3.4}}, b: }\nvars: {x: [1]}\n")
    plan = topology.read(path)
    assert plan.vars == {"x": [1]}
    assert plan.host("a").vars == {"k3s_node_ip": "1.2.3.4"}
    assert plan.host("b").groups == ()


def test_a_host_may_have_further_names_and_a_lab_an_ingress_controller(tmp_path):
    plan = topology.read(written(tmp_path, "hosts: {a: {names: [app.c.test, c]}, b: }\ningress: true\n"))
    assert plan.host("a").names == ("app.c.test", "c")
    assert plan.ingress
    assert not topology.read(topology.find("demo")).ingress


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hosts: [", "not YAML"),
        ("- a", "the file must be a mapping with the keys hosts, ingress, vars"),
        ("vars: {}", "hosts must map at least one host name"),
        ("hosts: {a: }\nnodes: {}", "the file: unknown key nodes; allowed are hosts, ingress, vars"),
        ("hosts: {Node_1: }", "'Node_1' is no host name"),
        ("hosts: {7: }", "7 is no host name"),
        ("hosts: {a: {group: [k3s_servers]}}", "host a: unknown key group; allowed are groups, names, pci, vars"),
        ("hosts: {a: {groups: [servers]}}", "host a: unknown group 'servers'; the groups are k3s_servers"),
        ("hosts: {a: {groups: k3s_servers}}", "host a: unknown group 'k3s_servers'"),
        ("hosts: {a: {vars: [1]}}", "host a: vars must be a mapping"),
        ("hosts: {a: {pci: no-such}}", "host a: no PCI fixture no-such"),
        ("hosts: {a: {names: api.test}}", "host a: names must be a list of DNS names"),
        ("hosts: {a: {names: ['http://api.test']}}", "host a: names must be a list of DNS names"),
        (yaml.safe_dump({"hosts": {f"h{number}": None for number in range(201)}}), "201 hosts do not fit"),
    ],
)
def test_mistakes_are_named_in_one_line_with_the_file(tmp_path, text, message):
    path = written(tmp_path, text)
    with pytest.raises(topology.TopologyError) as error:
        topology.read(path)
    assert str(error.value).startswith(f"{path}: ")
    assert message in str(error.value)
    assert "\n" not in str(error.value)


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(topology.TopologyError, match="no topology demmo: .* demo, ha, ingress, molecule, object_store, pair, single"):
        topology.find("demmo")


def test_an_unknown_host_lists_the_known_ones():
    with pytest.raises(topology.TopologyError, match="no host gpu-02 in this lab; it has node-01, node-02, gpu-01, node-03"):
        topology.read(topology.find("demo")).host("gpu-02")
