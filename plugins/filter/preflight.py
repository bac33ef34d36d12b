# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters behind the role preflight: what speaks against a run, as findings, and the table of them.

What is judged stands in plugin_utils/preflight, a file for each kind of thing.
"""

from __future__ import annotations

from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight import (
    arguments,
    certificates,
    clearml_client,
    clearml_server,
    cluster,
    findings,
    gpus,
    ingress,
    k3s_config,
    k3s_machine,
    k3s_networks,
    k3s_settings,
    machine,
    minio_host,
    object_store,
    values,
)


def preflight_host(probe, host, groups, now, settings, specs, provided, known):
    """All findings of one host. ``probe`` is the registered result of homelab.mlops.node_info, whether it succeeded or not."""
    found = arguments.argument_findings(host, specs, provided, known)
    wrong = {one["finding"].split()[0] for one in found if one["level"] == "refuse"}
    fitting = arguments.fitting_values(specs, provided)
    if not any(name.startswith(("homelab_", "k3s_version", "clearml_agent_")) for name in wrong):
        found += values.value_findings(host, fitting, settings)
    if not any(name.startswith(("homelab_s3_", "minio_")) for name in wrong):
        found += object_store.store_findings(host, fitting)
        found += certificates.tls_findings(host, fitting, settings["s3"])
    found += clearml_client.client_findings(host, fitting, settings)
    if "clearml_agents" in groups:
        found += clearml_client.queue_findings(host, fitting, settings)
    node = probe.get("node")
    instances = [one for one in fitting.get("clearml_agent_instances") or [] if isinstance(one, dict)]
    server = "k3s_servers" in groups
    member = server or "k3s_workers" in groups
    found += gpus.owner_findings(host, member, settings["k3s_gpus"], instances, settings["gpus"])
    found += gpus.plugin_findings(host, fitting)
    found += gpus.plugin_owner_findings(host, member, settings["k3s_gpus"], settings["device_plugin"])
    if member:
        found += k3s_config.key_findings(host, fitting, server, settings["k3s_version"])
        found += k3s_settings.settings_findings(host, fitting, server, settings, bool(node and node["k3s"]["authority"]))
    if not node:
        return found + machine.absence_findings(host, probe, groups, settings)
    found += machine.machine_findings(host, node, now, settings)
    if settings["s3_host"] == host:
        found += minio_host.host_findings(host, node, settings["minio"])
    found += ingress.name_findings(host, node, settings["clearml"], settings["address"])
    if member:
        found += k3s_machine.node_findings(host, node, server, settings, fitting)
        found += k3s_settings.release_findings(host, fitting, node, settings)
    return found


def preflight_facts(provided, specs, k3s_version):
    """What other hosts of a run are compared with; of secrets only digests.

    ``shared`` is what must be the same on all servers, ``ranges`` the networks of pods and services, ``node_ip`` the node's own.
    """
    fitting = arguments.fitting_values(specs, provided)
    return {
        "shared": k3s_config.shared_settings(fitting, k3s_version),
        "ranges": {name: [str(one) for one in found] for name, found in k3s_networks.networks(fitting).items()},
        "node_ip": (fitting.get("k3s_node_ip") or "").split(",")[0].strip(),
    }


def clearml_server_findings(provided, host, secret_keys, exposure=None):
    """What the role clearml_server refuses when it works alone, a line for each. ``exposure``: the settings of ingress_findings."""
    found = clearml_server.server_findings(host, provided, secret_keys)
    found += ingress.ingress_findings(host, provided, exposure) if exposure else []
    return [f"{one['finding']}: {one['measured']}: {one['fix']}" for one in found]


def nvidia_device_plugin_findings(provided, host):
    """What the role nvidia_device_plugin refuses when it works alone, a line for each."""
    return [f"{one['finding']}: {one['measured']}: {one['fix']}" for one in gpus.plugin_findings(host, provided)]


def minio_findings(provided, host):
    """What the role minio refuses when it works alone, a line for each."""
    return [f"{one['finding']}: {one['measured']}: {one['fix']}" for one in object_store.store_findings(host, provided)]


class FilterModule:
    """Filters of the role preflight."""

    def filters(self):
        return {
            "clearml_server_findings": clearml_server_findings,
            "minio_findings": minio_findings,
            "nvidia_device_plugin_findings": nvidia_device_plugin_findings,
            "preflight_facts": preflight_facts,
            "preflight_groups": cluster.group_findings,
            "preflight_host": preflight_host,
            "preflight_merge": findings.merge,
            "preflight_run": cluster.run_findings,
            "preflight_table": findings.table,
            "tls_refusals": certificates.tls_refusals,
        }
