# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The dictionaries k3s_server_config and k3s_agent_config: keys that K3s does not know, that the role sets, that servers share."""

from __future__ import annotations

import hashlib

from ansible_collections.homelab.mlops.plugins.plugin_utils.k3s_release import release
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, nearest
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.k3s_flags import (
    AGENT_ONLY,
    CHOICES,
    LISTED,
    LISTS,
    REFUSED,
    REGISTRATION,
    SAME_ON_SERVERS,
    SERVER_ONLY,
    SINGLES,
    VARIABLES,
    flag,
    flags,
)

SECRETS = ("k3s_agent_token", "k3s_datastore_endpoint", "k3s_token")


def own_config(provided, server):
    """The dictionary of a server or worker."""
    return provided.get("k3s_server_config" if server else "k3s_agent_config") or {}


def config_values(config, name):
    """All values of a flag in a config dictionary as texts, from lists and from texts with commas."""
    found = []
    for key, value in config.items():
        if flag(key) == name:
            for one in value if isinstance(value, list) else [value]:
                found += [part.strip() for part in str(one).split(",") if part.strip()]
    return found


def key_findings(host, provided, server, k3s_version):
    """What is wrong with the keys of the dictionary. Values are never shown: one may be a secret."""
    variable = "k3s_server_config" if server else "k3s_agent_config"
    found = []
    for key, value in own_config(provided, server).items():
        name = flag(key)
        where = f"{variable} has {key}"
        known = flags(server)
        if name not in known:
            found.append(_unknown(host, variable, key, server, k3s_version))
        elif name in VARIABLES:
            found.append(finding(host, f"{where}, which the role sets", "set", f"remove it and set {VARIABLES[name]}"))
        elif name in REFUSED:
            found.append(finding(host, f"{where}, which does not go with the roles", "set", REFUSED[name]))
        elif name in REGISTRATION:
            fix = f"move it to {REGISTRATION[name]}, which is kept in step"
            found.append(finding(host, f"{where}, which counts only when a node registers", "set", fix, "note"))
        elif provided.get(LISTS.get(name)) and not isinstance(value, list):
            fix = f"write it as a list, or remove it and keep {LISTS[name]}"
            found.append(finding(host, f"{where} and {LISTS[name]} is set too", "a text and a list", fix))
        elif provided.get(SINGLES.get(name)) and str(value).lower() != "true":
            fix = f"remove {key} from {variable} and keep {SINGLES[name]}"
            found.append(finding(host, f"{where} and {SINGLES[name]} is set too", "both set", fix))
        elif name in CHOICES and value not in CHOICES[name]:
            found.append(
                finding(host, f"{where} with a value that K3s does not know", value, f"set it to one of {', '.join(CHOICES[name])}")
            )
        elif isinstance(value, dict) or (isinstance(value, list) and any(isinstance(one, (dict, list)) for one in value)):
            found.append(
                finding(host, f"{where} with something nested", type(value).__name__, "write a text, a number, true, false or a list")
            )
    return found


def _unknown(host, variable, key, server, k3s_version):
    """The finding of a key that is no flag of this command."""
    bare = str(key).removesuffix("+")
    where = f"{variable} has {key}"
    if not server and bare in SERVER_ONLY:
        return finding(host, f"{where}, which only servers know", "K3s's agent does not start with it", "move it to k3s_server_config")
    if server and bare in AGENT_ONLY:
        return finding(host, f"{where}, which only workers know", "K3s's server skips it", "move it to k3s_agent_config")
    near = nearest(bare.lstrip("-").replace("_", "-").lower(), flags(server), 0.7)
    fix = f"perhaps {near} is meant: rename it" if near else "remove it: `k3s server --help` names the flags"
    newer = (release(k3s_version) or LISTED)[:2] > LISTED
    measured = f"no flag up to v{LISTED[0]}.{LISTED[1]}" if newer else "no flag of K3s"
    return finding(host, f"{where}, which K3s does not know", measured, fix, "note" if newer and not near else "refuse")


def shared_settings(provided, k3s_version):
    """What must be the same on all servers, as texts by name. Of secrets only a digest is returned.

    ``disable`` counts with servicelb only: other parts may be left out on single servers.
    """
    config = own_config(provided, True)
    shared = {"k3s_version": k3s_version}
    for name, default in SAME_ON_SERVERS.items():
        values = config_values(config, name) or [str(provided.get(SINGLES.get(name), "") or default)]
        shared[name] = ", ".join(values).lower()
    for name in SECRETS:
        value = str(provided.get(name) or "")
        shared[name] = hashlib.sha256(value.encode()).hexdigest() if value else ""
    left_out = [*(provided.get("k3s_disable") or []), *config_values(config, "disable")]
    shared["disable"] = "servicelb" if "servicelb" in left_out else ""
    return shared


def difference_findings(shared):
    """Settings that must be the same on all servers and are not. ``shared`` maps servers to their shared_settings."""
    found = []
    for name in sorted({name for settings in shared.values() for name in settings}):
        values = {}
        for host, settings in shared.items():
            values.setdefault(settings[name], []).append(host)
        if name == "k3s_token":
            # A server without one takes the cluster's.
            values.pop("", None)
        if len(values) < 2:
            continue
        if name in SECRETS:
            hosts = [", ".join(hosts) for value, hosts in values.items() if value]
            measured = "set on " + ("; another on ".join(hosts))
        else:
            measured = "; ".join(f"{value or 'nothing'} on {', '.join(hosts)}" for value, hosts in values.items())
        where = name if name.startswith("k3s_") else f"{name} of k3s_server_config"
        if name in SINGLES:
            where = f"{SINGLES[name]} (or {where})"
        found.append(finding(", ".join(shared), f"{where} differs between servers", measured, "set it once, for the group k3s_servers"))
    return found
