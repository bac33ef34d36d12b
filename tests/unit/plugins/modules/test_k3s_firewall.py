# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""k3s_firewall against a ufw and a firewalld that keep rules and answer as those programs do (ufw 0.36, firewalld 1.3)."""

from __future__ import annotations

import re

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

OURS = "homelab-k3s"
CLUSTER = {
    "nodes": ["192.168.1.11", "192.168.1.12"],
    "ports": ["2379-2380/tcp", "10250/tcp"],
    "client_ports": ["6443/tcp"],
    "networks": ["10.42.0.0/16"],
}
OPENED = [
    "10250/tcp from 192.168.1.11",
    "10250/tcp from 192.168.1.12",
    "2379-2380/tcp from 192.168.1.11",
    "2379-2380/tcp from 192.168.1.12",
    "6443/tcp from anywhere",
    "everything from 10.42.0.0/16",
]


class Ufw(object):
    """Prints rules as `ufw show added` does, whatever the order in which their words were given."""

    path = "/usr/sbin/ufw"

    def __init__(self):
        self.on, self.rules, self.writes, self.refuses = True, {}, [], ""

    def __call__(self, words):
        if words == ["status"]:
            return 0, "Status: %s\n" % ("active" if self.on else "inactive"), ""
        if words == ["show", "added"]:
            lines = ["ufw %s%s" % (rule, " comment '%s'" % comment if comment else "") for rule, comment in self.rules.items()]
            return 0, "\n".join(["Added user rules (see 'ufw status' for running firewall):"] + (lines or ["(None)"])) + "\n", ""
        self.writes.append(words)
        if self.refuses:
            return 1, "", "ERROR: %s\n" % self.refuses
        comment = words[-1] if words[-2] == "comment" else ""
        words = words[:-2] if comment else words
        if words[:2] == ["--force", "delete"]:
            del self.rules[" ".join(words[2:])]
        else:
            self.rules[" ".join(words)] = comment
        return 0, "Rule added\n", ""

    def held(self):
        return {rule for rule, comment in self.rules.items() if comment == OURS}


class Firewalld(object):
    """A permanent and a running configuration. A new policy runs after a reload only, and a rule that is there is no error."""

    path = "/usr/bin/firewall-cmd"

    def __init__(self):
        self.on, self.writes = True, []
        self.lasting, self.now = {"trusted": set(), "policy": None}, {"trusted": set(), "policy": None}

    def __call__(self, words):
        if words == ["--state"]:
            return (0, "running\n", "") if self.on else (252, "", "not running\n")
        if words == ["--reload"]:
            self.writes.append(words)
            self.now = {"trusted": set(self.lasting["trusted"]), "policy": set(self.lasting["policy"])}
            return 0, "success\n", ""
        place = self.lasting if words[0] == "--permanent" else self.now
        words = [word for word in words if word != "--permanent"]
        if words == ["--zone=trusted", "--list-sources"]:
            return 0, " ".join(sorted(place["trusted"])) + "\n", ""
        if words == ["--policy=" + OURS, "--list-rich-rules"]:
            return (
                (112, "", "Error: INVALID_POLICY: %s\n" % OURS) if place["policy"] is None else (0, "\n".join(place["policy"]) + "\n", "")
            )
        self.writes.append(words)
        if words == ["--new-policy=" + OURS]:
            place["policy"] = set()
            return 0, "success\n", ""
        option, _equals, value = words[1].partition("=")
        if words[0] == "--zone=trusted":
            assert option == "--add-source"
            place["trusted"].add(value)
        elif option in ("--add-rich-rule", "--remove-rich-rule"):
            assert words[0] == "--policy=" + OURS and place["policy"] is not None
            (place["policy"].add if option == "--add-rich-rule" else place["policy"].discard)(value)
        else:
            assert (option, value) in (("--add-ingress-zone", "ANY"), ("--add-egress-zone", "HOST"))
        return 0, "success\n", ""


@pytest.fixture
def machine(monkeypatch):
    """The firewalls of a machine; a test puts those that it has into it."""
    there = []

    def run_command(_module, words, **how):
        assert how["environ_update"]["LC_ALL"] == "C"
        return next(one for one in there if one.path == words[0])(words[1:])

    def get_bin_path(_module, name, *_how, **_more):
        return next((one.path for one in there if one.path.endswith("/" + name)), None)

    monkeypatch.setattr(AnsibleModule, "run_command", run_command)
    monkeypatch.setattr(AnsibleModule, "get_bin_path", get_bin_path)
    return there


@pytest.fixture
def ufw(machine):
    machine.append(Ufw())
    return machine[-1]


@pytest.fixture
def firewalld(machine):
    machine.append(Firewalld())
    return machine[-1]


def firewall(most=None, check=False, **options):
    """Runs the module with the options of ``most``, and of these where both have one."""
    return run("k3s_firewall", check=check, **{**(most or {}), **options})


def test_without_a_firewall_nothing_is_done(machine):
    machine.append(Ufw())
    machine[0].on = False
    for _with_one_that_is_off in (True, False):
        outcome = firewall(CLUSTER)
        assert (outcome["failed"], outcome["changed"], outcome["firewall"]) == (False, False, "")
        assert not machine or machine[0].writes == []
        machine.clear()


def test_ufw_lets_in_the_nodes_alone_and_the_api_for_everybody(ufw):
    outcome = firewall(CLUSTER)
    assert (outcome["firewall"], outcome["changed"], outcome["opened"], outcome["closed"]) == ("ufw", True, OPENED, [])
    assert ufw.held() == {
        "allow from 192.168.1.11 to any port 10250 proto tcp",
        "allow from 192.168.1.12 to any port 10250 proto tcp",
        "allow from 192.168.1.11 to any port 2379:2380 proto tcp",
        "allow from 192.168.1.12 to any port 2379:2380 proto tcp",
        "allow 6443/tcp",
        "allow from 10.42.0.0/16",
    }
    before = len(ufw.writes)
    assert firewall(CLUSTER)["changed"] is False and len(ufw.writes) == before


def test_firewalld_lets_in_the_nodes_alone_now_and_after_a_restart(firewalld):
    outcome = firewall(CLUSTER)
    assert (outcome["firewall"], outcome["changed"], outcome["opened"], outcome["closed"]) == ("firewalld", True, OPENED, [])
    assert firewalld.now == firewalld.lasting
    assert firewalld.now["trusted"] == {"10.42.0.0/16"}
    node = 'rule family="ipv4" source address="%s" port port="%s" protocol="tcp" accept'
    nodes = {node % (source, port) for source in CLUSTER["nodes"] for port in ("10250", "2379-2380")}
    assert firewalld.now["policy"] == nodes | {'rule port port="6443" protocol="tcp" accept'}
    before = len(firewalld.writes)
    assert firewall(CLUSTER)["changed"] is False and len(firewalld.writes) == before


def test_firewalld_is_reloaded_only_where_the_policy_does_not_run_yet(firewalld):
    firewall(CLUSTER)
    assert firewalld.writes.count(["--reload"]) == 1
    firewall(CLUSTER, nodes=["192.168.1.11", "192.168.1.13"])
    assert firewalld.writes.count(["--reload"]) == 1


def test_a_run_that_was_killed_between_the_two_configurations_is_gone_on_with(firewalld):
    firewall(CLUSTER)
    gone = 'rule family="ipv4" source address="192.168.1.12" port port="10250" protocol="tcp" accept'
    firewalld.now["policy"].discard(gone)
    outcome = firewall(CLUSTER)
    assert (outcome["changed"], outcome["opened"]) == (True, ["10250/tcp from 192.168.1.12"])
    assert gone in firewalld.now["policy"]


@pytest.mark.parametrize("kind", ["ufw", "firewalld"])
def test_a_node_that_left_and_a_port_that_is_used_no_more_are_closed(kind, request):
    request.getfixturevalue(kind)
    firewall(CLUSTER)
    outcome = firewall(CLUSTER, nodes=["192.168.1.11"], ports=["10250/tcp"])
    assert outcome["opened"] == []
    assert outcome["closed"] == ["10250/tcp from 192.168.1.12", "2379-2380/tcp from 192.168.1.11", "2379-2380/tcp from 192.168.1.12"]
    assert set(outcome["diff"]["before"]) - set(outcome["diff"]["after"]) == set(outcome["closed"])
    assert firewall(CLUSTER, nodes=["192.168.1.11"], ports=["10250/tcp"])["changed"] is False


def test_rules_of_a_person_stay_and_one_that_says_the_same_is_not_taken_over(ufw):
    ufw.rules = {
        "allow 22/tcp": "",
        "allow from 192.168.1.11 to any port 10250 proto tcp": "my own",
        "deny 10250/tcp": "",
        "allow in on eth0 to any port 9100 proto tcp": "",
    }
    persons = dict(ufw.rules)
    assert "10250/tcp from 192.168.1.11" not in firewall(CLUSTER)["opened"]
    firewall(nodes=[], client_ports=["6443/tcp"])
    assert ufw.rules == dict(persons, **{"allow 6443/tcp": OURS})


@pytest.mark.parametrize("kind", ["ufw", "firewalld"])
def test_the_api_for_the_nodes_and_the_clients_that_were_named(kind, request):
    request.getfixturevalue(kind)
    firewall(CLUSTER)
    outcome = firewall(CLUSTER, clients=["192.168.1.64/26"])
    assert outcome["opened"] == ["6443/tcp from 192.168.1.11", "6443/tcp from 192.168.1.12", "6443/tcp from 192.168.1.64/26"]
    assert outcome["closed"] == ["6443/tcp from anywhere"]


@pytest.mark.parametrize("kind", ["ufw", "firewalld"])
def test_one_more_node_is_let_in_where_the_others_are(kind, request):
    request.getfixturevalue(kind)
    assert firewall(nodes=["192.168.1.13"], state="joined")["changed"] is False  # no node reaches this one yet
    firewall(CLUSTER)
    outcome = firewall(nodes=["192.168.1.13"], state="joined")
    assert (outcome["opened"], outcome["closed"]) == (["10250/tcp from 192.168.1.13", "2379-2380/tcp from 192.168.1.13"], [])
    assert firewall(nodes=["192.168.1.13"], state="joined")["changed"] is False
    assert firewall(CLUSTER, nodes=CLUSTER["nodes"] + ["192.168.1.13"])["changed"] is False


@pytest.mark.parametrize("kind", ["ufw", "firewalld"])
def test_check_mode_tells_and_writes_nothing(kind, request):
    one = request.getfixturevalue(kind)
    outcome = firewall(CLUSTER, check=True)
    assert (outcome["changed"], outcome["opened"], one.writes) == (True, OPENED, [])


def test_both_families(firewalld):
    firewall(nodes=["fd00:0::11"], ports=["51821/udp"])
    assert firewalld.now["policy"] == {'rule family="ipv6" source address="fd00::11" port port="51821" protocol="udp" accept'}
    assert firewall(nodes=["fd00::11"], ports=["51821/udp"])["changed"] is False


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"nodes": ["node-01.lan"]}, "node-01.lan is no IP address and no network"),
        ({"clients": ["192.168.1.0/33"]}, "192.168.1.0/33 is no IP address and no network"),
        ({"ports": ["10250"]}, "10250 is no port"),
    ],
)
def test_what_is_no_address_or_port_is_refused_before_anything(ufw, options, words):
    outcome = firewall(CLUSTER, **options)
    assert outcome["failed"] and words in outcome["msg"] and ufw.writes == []


def test_what_ufw_says_is_told(ufw):
    ufw.refuses = "IPv6 support not enabled"
    outcome = firewall(nodes=["fd00::11"], ports=["10250/tcp"])
    assert outcome["failed"] and re.match(r"ufw allow from fd00::11 .*: ERROR: IPv6 support not enabled$", outcome["msg"])
