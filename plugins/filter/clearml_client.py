# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filters behind the role clearml_client: which files people get, what is in those that are there, and values of environment files."""

from __future__ import annotations

import json
import posixpath
import re

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.clearml_client import DEFAULT_PATHS, entry_fault

# In the first line of every file of the role.
MARK = "homelab.mlops.clearml_client"
PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
ASSIGNMENT = re.compile(r"^CLEARML_API_(ACCESS|SECRET)_KEY=(['\"]?)(.*)\2$", re.MULTILINE)


def clearml_client_files(people, accounts, host, companions=False):
    """The files of a host, a dict for each entry of ``people``: ``user``, ``group`` (number), ``clearml_user``, ``form``, ``path``,
    ``settings`` and ``label``. ``settings`` is the file without secrets beside an environment file, empty where there is none: where
    ``companions`` is false, and of a ``clearml.conf``. ``accounts`` maps users of the host to their entry of ``getent passwd``
    after the name (password, number, group, comment, home, shell), or to nothing.

    Raises AnsibleFilterError with one line for an entry that cannot be, a user whom the host does not have, and a file of two entries.
    """
    result, owners = [], {}
    for entry in people:
        fault = entry_fault(entry)
        if fault:
            raise AnsibleFilterError(f"clearml_client_people: {fault}")
        account = accounts.get(entry["user"])
        if not account:
            raise AnsibleFilterError(f"clearml_client_people: {host} has no user {entry['user']}: make it, or correct the entry")
        form = entry.get("form") or "conf"
        path = entry.get("path") or DEFAULT_PATHS[form]
        path = posixpath.normpath(account[4] + path[1:] if path.startswith("~/") else path)
        settings = path + ".conf" if form == "environment" and companions else ""
        for one in filter(None, (path, settings)):
            if one in owners:
                people_of = f"{owners[one]}, {entry['user']}"
                raise AnsibleFilterError(f"clearml_client_people: {one} is of two entries ({people_of}): give one another path")
            owners[one] = entry["user"]
        result.append(
            {
                "user": entry["user"],
                "group": account[2],
                "clearml_user": entry["clearml_user"],
                "form": form,
                "path": path,
                "settings": settings,
                "label": f"{host}:{path}"[-255:],
            }
        )
    return result


def clearml_client_refusals(files, stats, texts, replace=False):
    """What stands where ``files`` are to go and must stay, a line for each.

    ``stats`` maps paths of files and of their folders to what ansible.builtin.stat says, ``texts`` paths of files to what is in them.
    """
    found = []
    for path in (one for entry in files for one in (entry["path"], entry["settings"]) if one):
        folder, state = posixpath.dirname(path), stats[path]
        if not stats[folder].get("isdir"):
            found.append(f"{path}: there is no folder {folder}: make it, or correct the path in clearml_client_people")
        elif state["exists"] and not state.get("isreg"):
            found.append(f"{path} is no ordinary file and is left alone: remove it, or give the entry another path")
        elif state["exists"] and not ours(texts.get(path, "")) and not replace:
            fix = "set clearml_client_replace (a copy is kept), or give the entry another path"
            found.append(f"{path} is somebody's own file and is left alone: {fix}")
    return found


def ours(text):
    """Whether the role wrote this."""
    return MARK in text.partition("\n")[0]


def clearml_client_pair(text):
    """The pair of keys in a file of the role, ``access_key`` and ``secret_key``; both empty where there is none, and in files of others."""
    pair = {}
    if ours(text):
        lines = text.partition("\n")[2]
        if lines.lstrip().startswith("{"):
            try:
                pair = json.loads(lines)["api"]["credentials"]
            except (ValueError, KeyError, TypeError):
                pair = {}
        else:
            pair = {name.lower() + "_key": value for name, _quote, value in ASSIGNMENT.findall(lines)}
    keys = {name: pair.get(name) if isinstance(pair, dict) else None for name in ("access_key", "secret_key")}
    whole = all(isinstance(value, str) and value for value in keys.values())
    return keys if whole else {"access_key": "", "secret_key": ""}


def clearml_client_quoted(value):
    """A value of an environment file, as it is where Docker, systemd, shells and python-dotenv agree on it, and in quotes otherwise."""
    text = str(value)
    if "\n" in text or "\r" in text:
        raise AnsibleFilterError("clearml_client_environment: a value has more than one line")
    if PLAIN.fullmatch(text):
        return text
    if "'" not in text:
        return f"'{text}'"
    return '"' + re.sub(r'([\\"$`])', r"\\\1", text) + '"'


class FilterModule:
    """Filters of the role clearml_client."""

    def filters(self):
        return {
            "clearml_client_files": clearml_client_files,
            "clearml_client_pair": clearml_client_pair,
            "clearml_client_quoted": clearml_client_quoted,
            "clearml_client_refusals": clearml_client_refusals,
        }
