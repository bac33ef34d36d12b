# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the ClearML server that fit their type and still cannot work. The role asks the same when it works alone."""

from __future__ import annotations

import re

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.mlops.plugins.filter.quantity_bytes import quantity_bytes
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, nearest

PARTS = ("apiserver", "fileserver", "webserver", "redis", "mongodb", "elasticsearch")
SECRET_VALUE = re.compile(r"[A-Za-z][A-Za-z0-9]{7,}")
USER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
# ClearML reads the password of a login as Latin-1 (apiserver/service_repo/auth/auth.py), clients send UTF-8.
PASSWORD = re.compile(r"[ -~]+")
HEAP = re.compile(r"([1-9][0-9]*)([mMgG])")
CHECKSUM = re.compile(r"[0-9a-fA-F]{64}")
CONFIG_FILE = re.compile(r"[a-z_]+\.conf")
# Elasticsearch's size units and percentages (reference of 7.17, "Byte size units").
WATERMARK = re.compile(r"[0-9]+(?:\.[0-9]+)?(?:b|kb|mb|gb|tb|pb|%)")
# What Java needs beside its heap before it is worth starting; Elasticsearch itself asks for as much again.
HEAP_SHARE = 1.25
# The least of MongoDB's --wiredTigerCacheSizeGB (manual of mongod).
MONGODB_LEAST = 0.25


def server_findings(host, provided, secret_keys):
    """Findings of one host. ``provided`` maps variables to values of their type, ``secret_keys`` are what the role generates."""
    found = _user_findings(host, provided) + _secret_findings(host, provided, secret_keys) + _memory_findings(host, provided)
    checksum = provided.get("clearml_server_chart_checksum")
    if checksum and not CHECKSUM.fullmatch(checksum):
        fix = "give the 64 hexadecimal digits of the chart's SHA-256, or nothing"
        found.append(finding(host, "clearml_server_chart_checksum is no SHA-256", checksum, fix))
    for name, least in (("clearml_server_task_timeout_seconds", 60), ("clearml_server_watchdog_interval_seconds", 1)):
        if name in provided and int(provided[name]) < least:
            found.append(finding(host, f"{name} is too short", provided[name], f"write {least} or more"))
    for name, content in (provided.get("clearml_server_extra_conf") or {}).items():
        if not CONFIG_FILE.fullmatch(str(name)) or not isinstance(content, dict):
            fix = "write a mapping of settings below a name such as services.conf"
            found.append(finding(host, "clearml_server_extra_conf has what is no file of settings", name, fix))
    return found


def _user_findings(host, provided):
    if "clearml_server_users" not in provided:
        return []
    found = []
    users = [one for one in provided["clearml_server_users"] if isinstance(one, dict)]
    names = [str(one.get("name", "")) for one in users]
    wrong = [name for name in names if not USER_NAME.fullmatch(name) or names.count(name) > 1]
    if wrong or not names:
        fix = "name one user or more, each differently, with up to 100 letters, digits, dots, dashes and underscores"
        found.append(finding(host, "clearml_server_users has names that cannot be", ", ".join(dict.fromkeys(wrong)) or "nobody", fix))
    unfit = [str(one.get("name", "")) for one in users if one.get("password") and not PASSWORD.fullmatch(str(one["password"]))]
    if unfit:
        fix = "ClearML takes ASCII characters on one line only"
        found.append(finding(host, "clearml_server_users has passwords that let nobody in", ", ".join(unfit), fix))
    return found


def _secret_findings(host, provided, keys):
    """Own secrets that the server does not know, or that a shell, YAML or a URL would read as something else."""
    secrets = provided.get("clearml_server_secrets") or {}
    unfit = sorted(key for key, value in secrets.items() if key not in keys or not SECRET_VALUE.fullmatch(str(value)))
    if not unfit:
        return []
    fix = f"use 8 or more letters and digits, a letter first, for the keys {', '.join(keys)}"
    return [finding(host, "clearml_server_secrets has what cannot be", ", ".join(unfit), fix)]


def _memory_findings(host, provided):
    found = []
    resources = provided.get("clearml_server_resources") or {}
    for name in resources:
        if name not in PARTS:
            likely = nearest(name, PARTS)
            fix = f"did you mean {likely}?" if likely else f"the parts are {', '.join(PARTS)}"
            found.append(finding(host, "clearml_server_resources names no part", name, fix))
    cache = provided.get("clearml_server_mongodb_cache_gigabytes")
    if cache is not None and float(cache) < MONGODB_LEAST:
        found.append(finding(host, "clearml_server_mongodb_cache_gigabytes is too small", cache, f"write {MONGODB_LEAST} or more"))
    marks = provided.get("clearml_server_elasticsearch_watermarks") or {}
    for name, value in marks.items():
        if not WATERMARK.fullmatch(str(value).lower()):
            fix = "write a size such as 500mb or a share such as 95%"
            found.append(finding(host, f"clearml_server_elasticsearch_watermarks.{name} is no size", value, fix))
    heap = provided.get("clearml_server_elasticsearch_heap_size")
    match = HEAP.fullmatch(str(heap)) if heap is not None else None
    if heap is not None and not match:
        fix = "write it as Java does: 512m or 2g"
        return found + [finding(host, "clearml_server_elasticsearch_heap_size is no size of a heap", heap, fix)]
    limit = _limit(resources.get("elasticsearch"))
    if limit is None:
        return found
    # It would be killed for its memory as soon as it has events to sort, hours after the run.
    heap_bytes = int(match[1]) * (1 << (30 if match[2] in "gG" else 20)) if match else 2 << 30
    if limit < heap_bytes * HEAP_SHARE:
        fix = "set clearml_server_elasticsearch_heap_size to half of the memory that it may use"
        measured = f"{heap or '2g'} of {resources['elasticsearch']['limits']['memory']}"
        found.append(finding(host, "the heap of Elasticsearch leaves it no memory", measured, fix))
    return found


def _limit(resources):
    """Bytes that the container may use; None when nothing is said, or nothing that could be read."""
    try:
        return quantity_bytes(resources["limits"]["memory"])
    except (TypeError, KeyError, AnsibleFilterError):
        return None
