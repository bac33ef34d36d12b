# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rules in ufw or firewalld that let a node of K3s be reached, each told apart from the rules of others.

A rule is a pair: the address or network it is for (empty: any), and the port as `10250/tcp` or `2379-2380/tcp` (empty: all traffic).
"""

from __future__ import annotations

import ipaddress
import re
import shlex

# The comment of our rules in ufw, and the name of our policy in firewalld.
OURS = "homelab-k3s"
PLAIN = {"LC_ALL": "C", "LANGUAGE": "C"}


class FirewallError(Exception):
    """The firewall refuses; the text says what it said, or which argument is none."""


def address(text):
    """An address or a network as both firewalls write it.

    :raises FirewallError: when the text is neither
    """
    try:
        network = ipaddress.ip_network(str(text).strip(), strict=False)
    except ValueError:
        raise FirewallError("%s is no IP address and no network" % text) from None
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def told(rule):
    """A rule as words."""
    return "%s from %s" % (rule[1] or "everything", rule[0] or "anywhere")


class Firewall(object):
    """What both firewalls share.

    :param run_command: `AnsibleModule.run_command` or a function that takes and returns the same
    :param program: path of the firewall's program
    """

    def __init__(self, run_command, program):
        self._run_command = run_command
        self._program = program

    def _once(self, *words):
        return self._run_command([self._program] + list(words), environ_update=PLAIN)

    def _run(self, *words):
        rc, out, err = self._once(*words)
        if rc != 0:
            raise FirewallError("%s %s: %s" % (self.name, " ".join(words), " ".join((err or out).split()) or "exit status %d" % rc))
        return out


class Ufw(Firewall):
    """ufw (man 8 ufw). Each of our rules has a comment."""

    name = "ufw"

    def active(self):
        return "Status: active" in self._once("status")[1]

    def read(self):
        """Our rules that are whole, our rules that are there in any way, and those of others that serve as well."""
        ours, theirs = set(), set()
        for line in self._run("show", "added").splitlines():
            rule, comment = self._parsed(line)
            if rule:
                (ours if comment == OURS else theirs).add(rule)
        return ours, ours, theirs

    @staticmethod
    def _parsed(line):
        """The rule that a line of `ufw show added` tells and its comment; None for one that is not of the kind that we make."""
        words = shlex.split(line) if line.startswith("ufw allow ") else []
        comment = words[-1] if words[-2:-1] == ["comment"] else ""
        words = words[2 : len(words) - (2 if comment else 0)]
        if len(words) == 1 and re.match(r"^[0-9:]+/(tcp|udp)$", words[0]):
            return ("", words[0].replace(":", "-")), comment
        options = dict(zip(words[::2], words[1::2]))
        if len(words) % 2 or set(options) not in ({"from"}, {"from", "to", "port", "proto"}) or options.get("to", "any") != "any":
            return None, comment
        port = "%s/%s" % (options["port"].replace(":", "-"), options["proto"]) if "port" in options else ""
        return (options["from"], port), comment

    @staticmethod
    def _words(rule):
        source, port = rule
        number, _slash, protocol = port.replace("-", ":").partition("/")
        if not source:
            return ["%s/%s" % (number, protocol)]
        return ["from", source] + (["to", "any", "port", number, "proto", protocol] if port else [])

    def add(self, rules):
        for rule in rules:
            self._run("allow", *(self._words(rule) + ["comment", OURS]))

    def remove(self, rules):
        for rule in rules:
            self._run("--force", "delete", "allow", *self._words(rule))


class Firewalld(Firewall):
    """firewalld (man 1 firewall-cmd). Our rules lie in a policy of our own; a network of which all is let in is a source of the zone
    `trusted`, as K3s's documentation asks ("Requirements", operating systems), and stays there."""

    name = "firewalld"
    _POLICY = "--policy=" + OURS
    _RULE = re.compile(
        r'^rule(?: family="ipv[46]")?(?: source address="(?P<source>[^"]+)")?'
        r' port port="(?P<port>[0-9-]+)" protocol="(?P<protocol>tcp|udp)" accept$'
    )

    def active(self):
        return self._once("--state")[0] == 0

    def read(self):
        lasting, now = self._rules("--permanent"), self._rules()
        theirs = self._networks("--permanent") & self._networks()
        return lasting & now, lasting | now, theirs

    def _rules(self, *where):
        rc, out, _err = self._once(*(list(where) + [self._POLICY, "--list-rich-rules"]))
        found = [self._RULE.match(line.strip()) for line in out.splitlines()] if rc == 0 else []
        return {(one.group("source") or "", "%s/%s" % (one.group("port"), one.group("protocol"))) for one in found if one}

    def _networks(self, *where):
        return {(source, "") for source in self._run(*(list(where) + ["--zone=trusted", "--list-sources"])).split()}

    @staticmethod
    def _rich(rule):
        source, port = rule
        number, _slash, protocol = port.partition("/")
        where = ' family="ipv%d" source address="%s"' % (6 if ":" in source else 4, source) if source else ""
        return 'rule%s port port="%s" protocol="%s" accept' % (where, number, protocol)

    def _prepare(self):
        """Has the policy now and after a restart. It comes before the zones and leaves to them what it has no rule for."""
        if self._once("--permanent", self._POLICY, "--list-rich-rules")[0] != 0:
            self._run("--permanent", "--new-policy=" + OURS)
        for option in ("--add-ingress-zone=ANY", "--add-egress-zone=HOST"):
            self._run("--permanent", self._POLICY, option)
        if self._once(self._POLICY, "--list-rich-rules")[0] != 0:
            self._run("--reload")  # the only way in which a policy comes into being

    def add(self, rules):
        if any(port for _source, port in rules):
            self._prepare()
        for rule in rules:
            words = [self._POLICY, "--add-rich-rule=" + self._rich(rule)] if rule[1] else ["--zone=trusted", "--add-source=" + rule[0]]
            self._run("--permanent", *words)
            self._run(*words)

    def remove(self, rules):
        for rule in rules:
            words = [self._POLICY, "--remove-rich-rule=" + self._rich(rule)]
            self._run("--permanent", *words)
            self._run(*words)


def at_work(run_command, find_program):
    """The firewall that is at work; None without one.

    :param find_program: returns the path of a program, or None
    """
    for kind, program in ((Firewalld, "firewall-cmd"), (Ufw, "ufw")):
        path = find_program(program)
        firewall = kind(run_command, path) if path else None
        if firewall and firewall.active():
            return firewall
    return None
