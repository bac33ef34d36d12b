# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Values that fit their type and still cannot work."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.mlops.plugins.filter.quantity_bytes import quantity_bytes
from ansible_collections.homelab.mlops.plugins.plugin_utils.k3s_release import release
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import clearml_server, ingress
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import HOST_NAME, finding, is_address


def bucket_fault(name):
    """What S3's rules for bucket names (Amazon S3 user guide, "Bucket naming rules") say against a name; empty when nothing."""
    if not 3 <= len(name) <= 63:
        return f"{len(name)} characters, 3 to 63 are allowed"
    if not re.fullmatch(r"[a-z0-9.-]+", name):
        return "only small letters, digits, dots and hyphens are allowed"
    if not (name[0].isalnum() and name[-1].isalnum()):
        return "it must begin and end with a letter or digit"
    if ".." in name:
        return "two dots must not follow each other"
    if re.fullmatch(r"\d+\.\d+\.\d+\.\d+", name):
        return "it must not look like an IP address"
    if name.startswith(("xn--", "sthree-", "amzn-s3-demo-")) or name.endswith(("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")):
        return "this beginning or end is reserved"
    return ""


def url_fault(url):
    """What is wrong with an HTTP URL; empty when nothing."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError as error:
        return str(error)
    if parts.scheme not in ("http", "https"):
        return "it does not begin with http:// or https://"
    if not parts.hostname or not (is_address(parts.hostname) or HOST_NAME.fullmatch(parts.hostname)):
        return "it names no host"
    if port == 0:
        return "its port is 0"
    if parts.query or parts.fragment:
        return "it has a query or fragment"
    return ""


def value_findings(host, provided, settings):
    """What is wrong with values that fit their type. ``settings`` holds the values that are in effect, set or default."""
    found = clearml_server.server_findings(host, provided, settings["secret_keys"])
    for name, value in provided.items():
        if name.endswith("_timeout_seconds") and int(value) < 1:
            found.append(finding(host, f"{name} is no time to wait", value, "write a number of seconds from 1"))
        if not isinstance(value, str) or not value:
            continue
        if name.endswith("_url"):
            fault = url_fault(value)
            if fault:
                found.append(finding(host, f"{name} is no URL: {fault}", value, "write it as http://host:port"))
        elif name == "homelab_domain_address":
            if not (is_address(value) or HOST_NAME.fullmatch(value)):
                found.append(finding(host, f"{name} is neither name nor address", value, "write a DNS name or an IP address, no URL"))
        elif name.endswith("_storage_size"):
            try:
                quantity_bytes(value)
            except AnsibleFilterError:
                found.append(finding(host, f"{name} is no size", value, "write a number and a unit, such as 20Gi"))
        elif name.startswith("homelab_") and name.endswith("_address") and not is_address(value):
            found.append(finding(host, f"{name} is no IP address", value, "write one free address of the load balancer's range"))
    fault = bucket_fault(settings["bucket"])
    if fault:
        found.append(finding(host, f"S3 forbids this bucket name: {fault}", settings["bucket"], "set homelab_s3_bucket to another name"))
    found += ingress.ingress_findings(host, provided, settings["clearml"])
    if release(settings["k3s_version"]) is None:
        fix = "write it in full, with v and +k3s, such as v1.34.1+k3s1"
        found.append(finding(host, "k3s_version is no release of K3s", settings["k3s_version"], fix))
    if settings["servers"] and not settings["address"]:
        found.append(
            finding(
                host,
                "the first server's address is not known, URLs have no host",
                "it did not answer",
                "start it, or set homelab_domain_address",
            )
        )
    if settings["s3_host"] and not settings["s3"]["endpoint_url"]:
        fix = "start it, or set homelab_s3_address or its ansible_host to its address"
        found.append(finding(host, "the address of the object store is not known", f"{settings['s3_host']} did not answer", fix))
    if settings["s3_host"] and settings["s3"]["provider"] == "external":
        fix = "remove the group minio_servers, or homelab_s3_provider"
        found.append(finding(host, "the object store is external and has a host in minio_servers", settings["s3_host"], fix))
    admin_host = provided.get("homelab_admin_host")
    hosts = settings["servers"] or [one for one in [settings["s3_host"]] if one]
    if admin_host and admin_host not in hosts:
        servers = ", ".join(hosts)
        found.append(
            finding(
                host,
                f"homelab_admin_host is not in {'k3s_servers' if settings['servers'] else 'minio_servers'}; not built yet",
                admin_host,
                f"remove homelab_admin_host or name one of {servers}",
            )
        )
    found += _port_findings(host, settings)
    found += _instance_findings(host, provided)
    return found


def _port_findings(host, settings):
    """Services that would answer on one port of one address."""
    found = []
    taken = {("", 22): "SSH", ("", 6443): "the Kubernetes API", ("", 10250): "the kubelet"}
    for service, (address, port) in settings["endpoints"].items():
        if settings["exposure"] == "ingress" and service.startswith("clearml_"):
            continue  # all behind the controller's one
        port = int(port)  # a text where it comes from the command line
        if not 1 <= port <= 65535:
            found.append(
                finding(host, f"port of {service} is no TCP port", port, f"set homelab_{service}_port to a number from 1 to 65535")
            )
            continue
        on_host = bool(settings["s3_host"]) and service.startswith("s3")
        if on_host:  # a node's addresses are those of the cluster's Services too
            address = "" if settings["s3_host"] in [*settings["servers"], *settings["workers"]] else settings["s3_host"]
        if settings["exposure"] == "node_port" and not on_host and not 30000 <= port <= 32767:
            found.append(finding(host, f"port of {service} is no node port", port, f"set homelab_{service}_port to 30000 to 32767"))
        other = taken.setdefault((address, port), service)
        if other != service:
            where = f"{address or 'the nodes'} port {port}"
            found.append(finding(host, f"{service} and {other} share a port", where, f"set homelab_{service}_port to another one"))
    return found


def _instance_findings(host, provided):
    """Agents of one host that exclude each other, or that have nothing to listen to."""
    found = []
    instances = [one for one in provided.get("clearml_agent_instances") or [] if isinstance(one, dict)]
    names = [str(one.get("name", "")) for one in instances]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.append(finding(host, "two agent instances have one name", name, "rename one in clearml_agent_instances"))
    for one in instances:
        if one.get("queues") == []:  # None where the line is missing
            found.append(
                finding(host, f"agent instance {one.get('name', '')} has no queue", "queues: []", "name queues, or remove the line queues")
            )
    if "clearml_agent_queues" in provided and not provided["clearml_agent_queues"]:
        found.append(finding(host, "agents have no queue", "clearml_agent_queues: []", "name at least one queue, such as default"))
    return found
