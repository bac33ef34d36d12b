# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of the role k3s that fit their type and still cannot work."""

from __future__ import annotations

import ipaddress
import os
import re

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, host_fault, is_address, nearest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_config import config_values, own_config
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_flags import COMPONENTS
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_networks import range_findings

RELEASES = "https://github.com/k3s-io/k3s/releases"
TOKEN_CHARACTERS = 16
# A token with the digest of the cluster's CA (k3s-io/k3s pkg/clientaccess/token.go).
FULL_TOKEN = re.compile(r"K10([0-9a-f]{64})?::([^:\s]*):([^\s]+)")
# Schemes of the data stores (k3s-io/kine pkg/endpoint; http and https are etcd).
DATASTORES = ("http", "https", "mysql", "nats", "postgres", "postgresql", "sqlite", "unix", "unixs")
# Kubernetes: apimachinery pkg/util/validation, IsQualifiedName and IsValidLabelValue.
LABEL_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?")
LABEL_PREFIX = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
EFFECTS = ("NoSchedule", "PreferNoSchedule", "NoExecute")
# Keys of registries.yaml (rancher/wharfie pkg/registries).
REGISTRIES = {"mirrors": ("endpoint", "rewrite"), "configs": ("auth", "tls")}
VARIABLE_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def settings_findings(host, provided, server, settings, has_authority=False):
    """All findings of the variables of a node. ``settings`` holds values that are in effect, set or default.

    ``has_authority`` is whether the certificate of a cluster's authority lies on the machine already.
    """
    found = _token_findings(host, provided, server and not has_authority, settings)
    found += _address_findings(host, provided)
    found += _label_findings(host, provided)
    found += _taint_findings(host, provided)
    found += _registry_findings(host, provided)
    found += _environment_findings(host, provided)
    checksum = provided.get("k3s_binary_checksum")
    if checksum and not re.fullmatch(r"[0-9a-fA-F]{64}", checksum):
        measured = f"{len(checksum)} characters"
        found.append(finding(host, "k3s_binary_checksum is no SHA-256", measured, "write 64 hexadecimal digits, or leave it out"))
    if server:
        found += _server_count_findings(host, provided, settings)
        found += _datastore_findings(host, provided, settings)
        found += _disable_findings(host, provided, settings)
        found += range_findings(host, provided)
    return found


def token_fault(token):
    """What is wrong with a join token; empty when nothing."""
    if re.search(r"\s", token):
        return "it has a blank or a line break"
    if token.startswith("K10"):
        return "" if FULL_TOKEN.fullmatch(token) else "it begins with K10 and is not K10, 64 hexadecimal digits, ::, USER:SECRET"
    return "it has a colon" if ":" in token else ""


def _token_findings(host, provided, founder, settings):
    """Join tokens; they are never shown."""
    found = []
    tokens = {name: provided[name] for name in ("k3s_token", "k3s_agent_token") if provided.get(name)}
    for name, token in tokens.items():
        fault = token_fault(token)
        if fault:
            fix = "write letters and digits, or the whole text of /var/lib/rancher/k3s/server/token"
            found.append(finding(host, f"{name} is no token: {fault}", "not shown", fix))
        elif len(token) < TOKEN_CHARACTERS and not settings["cluster_alive"]:
            fix = f"write {TOKEN_CHARACTERS} or more letters and digits, or leave it out and one is made"
            found.append(finding(host, f"{name} is too short to keep others out", f"{len(token)} characters", fix))
        elif re.match("K10[0-9a-f]", token) and founder and not settings["cluster_alive"]:
            fix = "leave the part up to the last colon out: there is no certificate yet that it could name"
            found.append(finding(host, f"{name} names the certificate of a cluster that is not there", "K10...", fix))
    if len(tokens) == 2 and tokens["k3s_token"] == tokens["k3s_agent_token"]:
        fix = "give workers another one, or leave k3s_agent_token out"
        found.append(finding(host, "k3s_agent_token is the same as k3s_token", "not shown", fix))
    return found


def _address_findings(host, provided):
    """Names and addresses that are written as URLs, with ports, or not at all."""
    found = []
    for text in [part.strip() for part in (provided.get("k3s_node_ip") or "").split(",") if part.strip()]:
        if not is_address(text):
            fix = "write the IP address alone; one of IPv4 and one of IPv6 with a comma between"
            found.append(finding(host, "k3s_node_ip is no IP address", text, fix))
    address = provided.get("k3s_registration_address")
    if address and host_fault(address):
        fix = "write the name or IP address alone: https:// and :6443 are added"
        found.append(finding(host, f"k3s_registration_address cannot be: {host_fault(address)}", address, fix))
    for text in provided.get("k3s_tls_sans") or []:
        if host_fault(str(text).removeprefix("*.")):
            found.append(finding(host, f"k3s_tls_sans cannot be: {host_fault(str(text))}", text, "write names and IP addresses alone"))
    for text in provided.get("k3s_firewall_clients") or []:
        try:
            ipaddress.ip_network(str(text), strict=False)
        except ValueError:
            fix = "write it as 192.168.1.20 or 192.168.1.0/24"
            found.append(finding(host, "k3s_firewall_clients has what is no address and no network", text, fix))
    return found


def _server_count_findings(host, provided, settings):
    """Servers that keep the cluster's state among themselves, in etcd, need a majority of them.

    An even number is refused before it comes to be. Where it is what remove_host.yml left, every other run is still possible.
    """
    found = []
    servers = settings["servers"]
    if len(servers) % 2 == 0 and not provided.get("k3s_datastore_endpoint"):
        left = set(servers) <= set(settings["etcd_servers"])
        other = "remove one with playbooks/remove_host.yml" if left else f"move {servers[-1]} to k3s_workers"
        fix = f"add a server or {other}; any number will do with k3s_datastore_endpoint"
        measured = f"{len(servers)} in k3s_servers"
        text = "an even number of servers bears no more failures than one server less"
        found.append(finding(host, text, measured, fix, "note" if left else "refuse"))
    if provided.get("k3s_servers_schedulable") is False and not settings["workers"]:
        fix = "set k3s_servers_schedulable to true, or add hosts below k3s_workers"
        found.append(finding(host, "no node would take pods", "k3s_servers_schedulable false, 0 hosts in k3s_workers", fix))
    return found


def _datastore_findings(host, provided, settings):
    """The external data store; its text holds a password and is not shown."""
    endpoint = provided.get("k3s_datastore_endpoint")
    if not endpoint:
        return []
    scheme, separator, rest = endpoint.partition("://")
    if not separator or not rest or scheme not in DATASTORES:
        measured = f"{scheme}://" if separator else "no ://"
        fix = "begin with postgres://, mysql://, nats:// or, for etcd, with https://"
        return [finding(host, "k3s_datastore_endpoint is of no kind that K3s knows", measured, fix)]
    found = []
    if scheme == "sqlite" and len(settings["servers"]) > 1:
        fix = "name a database that all servers reach, or leave it out for an etcd of their own"
        found.append(finding(host, "k3s_datastore_endpoint is a file of one server", f"{len(settings['servers'])} in k3s_servers", fix))
    if not provided.get("k3s_token"):
        fix = "set k3s_token: it encrypts what the servers share there, and a lost server cannot be replaced without it"
        found.append(finding(host, "k3s_datastore_endpoint without k3s_token", "no token", fix))
    return found


def _disable_findings(host, provided, settings):
    """Parts that are left out: names that no part has, and parts that the other roles need."""
    found = []
    names = [*map(str, provided.get("k3s_disable") or []), *config_values(own_config(provided, True), "disable")]
    for name in names:
        if name not in COMPONENTS:
            near = nearest(name, COMPONENTS, 0.6)
            fix = f"perhaps {near} is meant; there are" if near else "right only for a manifest of your own; K3s has"
            level = "refuse" if near else "note"
            found.append(finding(host, "k3s_disable has what is no part of K3s", name, f"{fix} {', '.join(COMPONENTS)}", level))
    if "local-storage" in names and settings["storage_class"] == "local-path":
        fix = "keep local-storage, or set homelab_storage_class to one that you provide"
        found.append(finding(host, "the storage class that ClearML and MinIO use is left out", "local-storage in k3s_disable", fix))
    return found


def label_fault(key, value):
    """What Kubernetes has against a label; empty when nothing."""
    prefix, separator, name = key.rpartition("/")
    if separator and not (LABEL_PREFIX.fullmatch(prefix) and len(prefix) <= 253):
        return "the part before / is no DNS name in small letters"
    if not LABEL_NAME.fullmatch(name):
        return "its name is not 1 to 63 letters, digits and, between them, - . _"
    if value and not LABEL_NAME.fullmatch(value):
        return "its value is not 1 to 63 letters, digits and, between them, - . _"
    return ""


def _label_findings(host, provided):
    """Labels of the node. Kubernetes' own prefixes are allowed: the role sets such labels by way of the API."""
    found = []
    for key, value in (provided.get("k3s_node_labels") or {}).items():
        if isinstance(value, (dict, list)):
            fix = "write a text, a number, true or false in k3s_node_labels"
            found.append(finding(host, f"label {key} has no text as its value", type(value).__name__, fix))
            continue
        text = "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
        fault = label_fault(str(key), text)
        if fault:
            found.append(finding(host, f"label {key} cannot be: {fault}", f"{key}={text}", "mend it in k3s_node_labels"))
    return found


def _taint_findings(host, provided):
    found = []
    seen = []
    for text in map(str, provided.get("k3s_node_taints") or []):
        rest, separator, effect = text.rpartition(":")
        key, _equals, value = rest.partition("=")
        if not separator or not key:
            found.append(finding(host, "a taint is not of the form key=value:Effect", text, "write it so in k3s_node_taints"))
        elif effect not in EFFECTS:
            near = nearest(effect, EFFECTS, 0.6)
            fix = f"perhaps {near} is meant; there are {', '.join(EFFECTS)}" if near else f"write one of {', '.join(EFFECTS)}"
            found.append(finding(host, f"a taint has the effect {effect}", text, fix))
        elif label_fault(key, value):
            found.append(finding(host, f"a taint cannot be: {label_fault(key, value)}", text, "mend it in k3s_node_taints"))
        elif (key, effect) in seen:
            found.append(finding(host, "two taints have one key and effect", text, "keep one of them in k3s_node_taints"))
        seen.append((key, effect))
    return found


def _registry_findings(host, provided):
    """Keys of registries.yaml, of which K3s skips those that it does not know. Values are not shown: they hold passwords."""
    registries = provided.get("k3s_registries") or {}
    found = []
    for key, entries in registries.items():
        if key not in REGISTRIES:
            near = nearest(key, REGISTRIES, 0.6)
            fix = f"perhaps {near} is meant: rename it" if near else "there are mirrors and configs"
            found.append(finding(host, f"k3s_registries has {key}, which K3s does not know", "set", fix))
            continue
        if not isinstance(entries, dict) or not all(isinstance(one, dict) for one in entries.values()):
            fix = f"write below {key} the name of a registry, and below it {' or '.join(REGISTRIES[key])}"
            found.append(finding(host, f"{key} of k3s_registries has another form", type(entries).__name__, fix))
            continue
        for registry, entry in entries.items():
            for name in entry:
                if name not in REGISTRIES[key]:
                    near = nearest(name, REGISTRIES[key], 0.6)
                    fix = f"perhaps {near} is meant: rename it" if near else f"there are {' and '.join(REGISTRIES[key])}"
                    found.append(finding(host, f"{registry} below {key} of k3s_registries has {name}, which K3s does not know", "set", fix))
    if provided.get("k3s_embedded_registry") and not registries.get("mirrors"):
        fix = 'name the registries below mirrors of k3s_registries, "*" for all'
        found.append(finding(host, "k3s_embedded_registry shares nothing", "no mirrors in k3s_registries", fix, "note"))
    return found


def _environment_findings(host, provided):
    """Names of variables; values are not shown, a proxy's may hold a password."""
    found = []
    environment = provided.get("k3s_environment") or {}
    for name, value in environment.items():
        if not VARIABLE_NAME.fullmatch(str(name)):
            fix = "write letters, digits and underscores, no digit first"
            found.append(finding(host, "k3s_environment has what is no name of a variable", name, fix))
        elif str(name).startswith("K3S_"):
            fix = "remove it: the role's variables and k3s_server_config stand for it"
            found.append(finding(host, f"k3s_environment has {name}, which would work against the role", "set", fix))
        elif isinstance(value, (dict, list)) or "\n" in str(value):
            found.append(finding(host, f"{name} of k3s_environment is not one line", type(value).__name__, "write it as one line"))
    names = {str(name).upper() for name in environment}
    if names & {"HTTP_PROXY", "HTTPS_PROXY"} and "NO_PROXY" not in names:
        fix = "set NO_PROXY to the network of the nodes; K3s adds its own networks"
        found.append(finding(host, "nodes would reach each other by way of the proxy", "no NO_PROXY in k3s_environment", fix, "note"))
    return found


def release_findings(host, provided, node, settings):
    """A release that is not where a node is to get it from: below a URL, or in a folder of the controller."""
    status, url = settings["release"]["status"], settings["release"]["url"]
    if status in (404, 410):
        fix = f"set k3s_version to a release that is there (K3s's own: {RELEASES}), or mend k3s_base_url"
        measured = f"{status} from " + re.sub("//[^/@]*@", "//", url)
        return [finding(host, f"there is no K3s {settings['k3s_version']} to download", measured, fix)]
    folder = provided.get("k3s_release_folder")
    architecture = {"x86_64": "amd64", "aarch64": "arm64"}.get(node["architecture"])
    if not folder or not architecture:
        return []
    version = settings["k3s_version"]
    if node["k3s"]["version"] == version and not provided.get("k3s_airgap_images"):
        return []
    path = os.path.join(os.path.expanduser(folder), version)
    fix = f"put the release {version} there as {version}/FILE, or set k3s_release_folder to where it lies"
    if not os.path.isdir(path):
        return [finding(host, "k3s_release_folder has no folder of this release", path, fix)]
    files = ["k3s" if architecture == "amd64" else f"k3s-{architecture}"]
    if not provided.get("k3s_binary_checksum"):
        files.append(f"sha256sum-{architecture}.txt")
    if provided.get("k3s_airgap_images"):
        files.append(f"k3s-airgap-images-{architecture}.tar.zst")
    missing = [name for name in files if not os.path.isfile(os.path.join(path, name))]
    return [finding(host, f"k3s_release_folder lacks {', '.join(missing)}", path, fix)] if missing else []
