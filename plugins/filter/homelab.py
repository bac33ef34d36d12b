# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters behind the role homelab: addresses, URLs, and the Secret of generated values."""

from __future__ import annotations

import base64
import ipaddress
import re
import secrets
import string

from ansible.errors import AnsibleFilterError

_LETTERS = string.ascii_letters
_CHARACTERS = string.ascii_letters + string.digits
_LENGTH = 32
PLACEHOLDER = "placeholder-in-check-mode"


def _is_address(text):
    """Whether ``text`` is an IP address rather than a name."""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def http_url(host, port, scheme="http"):
    """The URL of ``host`` (name or address) and ``port``; the scheme's own port is left out.

    Empty without a host: before the cluster was looked for, the address of the first server is not known.
    """
    host = str(host)
    if not host:
        return ""
    if ":" in host and _is_address(host):
        host = f"[{host}]"
    own = {"http": 80, "https": 443}.get(scheme)
    return f"{scheme}://{host}" if int(port) == own else f"{scheme}://{host}:{int(port)}"


def server_address(servers, name, configured="", connection=""):
    """The address of server ``name``: what its inventory entry says, what it says itself, what the cluster says.

    ``servers`` holds for each server that was reached what homelab.mlops.node_info returned of it. ``connection`` is its
    ansible_host, used last and only when it is an address. Empty when nothing of all that is known.
    """
    if configured:
        return str(configured).split(",", maxsplit=1)[0].strip()  # of two families, as K3s writes them, the first
    for node in (servers.get(name) or {}).get("k3s", {}).get("nodes", []):
        if node["name"] == name and node["address"]:
            return node["address"]
    if name in servers:
        return servers[name]["address"]
    for other in servers.values():
        for node in other["k3s"]["nodes"]:
            if node["name"] == name:
                return node["address"]
    return str(connection) if connection and _is_address(str(connection)) else ""


def node_addresses(nodes, known):
    """The addresses of all nodes, sorted: those that the cluster tells, and of a node that it does not know yet what is known otherwise.

    ``nodes`` are the cluster's as homelab.mlops.node_info returns them. ``known`` maps names of nodes to lists of an address that the
    inventory sets (of two families, as K3s writes them, both), the machine's own and its ansible_host; the first that is one counts.
    """
    found = {address for node in nodes for address in node["addresses"]}
    there = {node["name"] for node in nodes if node["addresses"]}
    for name, texts in known.items():
        lists = [[part.strip() for part in str(text).split(",")] for text in texts]
        found.update(next((one for one in lists if all(map(_is_address, one))), []) if name not in there else [])
    return sorted(found)


def _decoded(stored):
    """The values of a Secret's ``data`` as text; those that are none are left out, and stay in the cluster as they are."""
    values = {}
    for key, value in stored.items():
        try:
            values[key] = base64.b64decode(value).decode()
        except UnicodeDecodeError:
            continue
    return values


def _fits(value, want):
    """Whether ``value`` is one that its reader takes."""
    return bool(value) and re.fullmatch(want.get("pattern") or "(?s:.*)", value) is not None


def _generated(length):
    """Random letters and digits, a letter first, so that no shell, YAML or URL reads them as something else."""
    return secrets.choice(_LETTERS) + "".join(secrets.choice(_CHARACTERS) for _unused in range(length - 1))


def secret_values(stored, wanted, generate=True):
    """All values of a Secret, as text: overrides first, then what is stored, then generated values for what is missing.

    ``stored`` is the Secret's ``data``; ``wanted`` maps each key to ``length`` (characters), ``override`` and ``pattern``,
    a regular expression for all of the value: what is stored and does not match it counts as missing, and ``generated``, which
    takes the place of a random value where nothing is stored. A key that is to be ``absent`` is left out. Without
    ``generate`` the missing values are placeholders. Raises AnsibleFilterError for a length below 8 and for an override
    that does not match.
    """
    values = _decoded(stored)
    for key, want in wanted.items():
        if want.get("absent"):
            values.pop(key, None)
            continue
        length = int(want.get("length") or _LENGTH)
        if length < 8:
            raise AnsibleFilterError(f"{key}: {length} characters are too few for a secret: 8 at least")
        if want.get("override"):
            values[key] = str(want["override"])
            if not _fits(values[key], want):
                raise AnsibleFilterError(f"{key}: the value given for it cannot be used: all of it must match {want['pattern']}")
        elif not _fits(values.get(key), want):
            values[key] = (str(want.get("generated") or "") or _generated(length)) if generate else PLACEHOLDER
    return values


def secret_differs(stored, wanted):
    """Whether in the Secret's ``data`` a key of ``wanted`` is missing, unusable, of another value than its override, or to be absent."""
    values = _decoded(stored)
    return any(
        key in stored
        if want.get("absent")
        else not _fits(values.get(key), want) or (want.get("override") and values[key] != str(want["override"]))
        for key, want in wanted.items()
    )


def secret_data(values):
    """``values`` as the ``data`` of a Secret."""
    return {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}


def without_secrets(text, values):
    """``text`` on one line, or what is wrong with showing it: a value of ``values``, a dict, stands in it as it is or in base64."""
    line = " ".join(str(text).split())
    shown = [" ".join(value.split()) for value in [*values.values(), *secret_data(values).values()] if value.strip()]
    return "the reason holds a secret and is not shown" if any(value in line for value in shown) else line


class FilterModule:
    """Filters of the role homelab."""

    def filters(self):
        return {
            "http_url": http_url,
            "node_addresses": node_addresses,
            "secret_data": secret_data,
            "secret_differs": secret_differs,
            "secret_values": secret_values,
            "server_address": server_address,
            "without_secrets": without_secrets,
        }
