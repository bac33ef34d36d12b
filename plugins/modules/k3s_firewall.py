#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_firewall
short_description: Rules for a node of K3s in ufw or firewalld
version_added: 0.1.0
description:
  - Lets the nodes of a cluster reach each other's ports, and nobody else, in the firewall that is at work. Without one nothing is done.
  - Rules that it made and that apply no more are removed. In C(ufw) they are known by their comment, in C(firewalld) (0.9 or newer)
    they are the rules of a policy of their own; both are called C(homelab-k3s). Rules of others stay.
author:
  - homelab.mlops contributors (@homelab-mlops)
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
options:
  nodes:
    description: Addresses of the nodes.
    type: list
    elements: str
    required: true
  ports:
    description: Ports that only nodes reach, such as V(10250/tcp) or V(2379-2380/tcp).
    type: list
    elements: str
    default: []
  client_ports:
    description: Ports that nodes and O(clients) reach.
    type: list
    elements: str
    default: []
  clients:
    description: Addresses and networks that reach O(client_ports). Without any, everybody does.
    type: list
    elements: str
    default: []
  networks:
    description:
      - Networks of which all is let in, those of pods and of services. In C(firewalld) they become sources of the zone C(trusted),
        which tells nobody's apart, and stay.
    type: list
    elements: str
    default: []
  state:
    description:
      - V(exact) makes the rules those of the other options.
      - V(joined) lets O(nodes) reach what other nodes reach already, and removes nothing. All other options are ignored.
    type: str
    choices: [exact, joined]
    default: exact
"""

EXAMPLES = r"""
- name: Let the nodes in
  homelab.mlops.k3s_firewall:
    nodes: [192.168.1.11, 192.168.1.12]
    ports: [10250/tcp, 8472/udp]
    client_ports: [6443/tcp]
    networks: [10.42.0.0/16, 10.43.0.0/16]

- name: Let one more node in
  homelab.mlops.k3s_firewall:
    nodes: [192.168.1.13]
    state: joined
"""

RETURN = r"""
firewall:
  description: Which firewall is at work, V(ufw) or V(firewalld); empty for none.
  returned: success
  type: str
opened:
  description: Rules that were added.
  returned: success
  type: list
  elements: str
  sample: [10250/tcp from 192.168.1.12]
closed:
  description: Rules that were removed.
  returned: success
  type: list
  elements: str
"""

import re

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.firewall import FirewallError, address, at_work, told

PORT = re.compile(r"^[0-9]+(-[0-9]+)?/(tcp|udp)$")


def wanted(options):
    """The rules that the options ask for.

    :param options: the module's, other than `state`
    :returns: set of pairs of source and port
    :raises FirewallError: when one of them is no address or no port
    """
    for port in options["ports"] + options["client_ports"]:
        if not PORT.match(port):
            raise FirewallError("%s is no port: write it as 10250/tcp or 2379-2380/tcp" % port)
    nodes = [address(one) for one in options["nodes"]]
    clients = nodes + [address(one) for one in options["clients"]] if options["clients"] else [""]
    rules = {(source, port) for source in nodes for port in options["ports"]}
    rules |= {(source, port) for source in clients for port in options["client_ports"]}
    return rules | {(address(one), "") for one in options["networks"]}


def joined(nodes, ours):
    """The rules that are there, with those by which `nodes` reach what other nodes reach."""
    ports = {port for source, port in ours if source and port}
    return ours | {(address(node), port) for node in nodes for port in ports}


def main():
    texts = {"type": "list", "elements": "str", "default": []}
    module = AnsibleModule(
        argument_spec={
            "nodes": {"type": "list", "elements": "str", "required": True},
            "ports": texts,
            "client_ports": texts,
            "clients": texts,
            "networks": texts,
            "state": {"type": "str", "choices": ["exact", "joined"], "default": "exact"},
        },
        supports_check_mode=True,
    )
    try:
        rules = wanted(module.params)
        firewall = at_work(module.run_command, module.get_bin_path)
        if firewall is None:
            module.exit_json(changed=False, firewall="", opened=[], closed=[])
        whole, ours, theirs = firewall.read()
        if module.params["state"] == "joined":
            rules = joined(module.params["nodes"], ours)
        missing, extra = rules - whole - theirs, ours - rules
        if not module.check_mode:
            firewall.add(sorted(missing))
            firewall.remove(sorted(extra))
    except FirewallError as error:
        module.fail_json(msg=str(error))
    before = whole | extra
    report = difference(sorted(map(told, before)), sorted(map(told, (before | missing) - extra)))
    module.exit_json(firewall=firewall.name, opened=sorted(map(told, missing)), closed=sorted(map(told, extra)), **report)


if __name__ == "__main__":
    main()
