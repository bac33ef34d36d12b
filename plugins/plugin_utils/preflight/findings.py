# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Findings, and what all judges of them use.

A finding is a dict of texts: ``level`` (``refuse`` or ``note``), ``host``, ``finding``, ``measured`` and ``fix``.
"""

from __future__ import annotations

import difflib
import ipaddress
import re

# RFC 1123.
HOST_NAME = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?)*")


def finding(host, text, measured, fix, level="refuse"):
    return {"level": level, "host": host, "finding": text, "measured": str(measured), "fix": fix}


def numbers(version):
    """The numbers of a version, to compare by: ``22.04`` before ``24.04`` before ``26``."""
    return [int(number) for number in re.findall(r"\d+", version)]


def is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def nearest(name, names, likeness=0.85):
    """The one of ``names`` that ``name`` was probably meant to be; empty when none is so like it (0 to 1)."""
    return next(iter(difflib.get_close_matches(str(name), list(names), n=1, cutoff=likeness)), "")


def host_fault(text):
    """What is wrong with a DNS name or IP address; empty when nothing."""
    if is_address(text):
        return ""
    if "://" in text:
        return "it is a URL"
    if re.fullmatch(r"(\[.*\]|[^:]*):\d+", text):
        return "it has a port"
    if not HOST_NAME.fullmatch(text):
        return "it is neither name nor address"
    return ""


def merge(found):
    """Findings with refusals first; the same finding of several hosts becomes one with all their names."""
    merged = {}
    for one in found:
        merged.setdefault((one["level"], one["finding"], one["measured"], one["fix"]), []).append(one["host"])
    lines = [
        {"level": level, "host": ", ".join(dict.fromkeys(hosts)), "finding": text, "measured": measured, "fix": fix}
        for (level, text, measured, fix), hosts in merged.items()
    ]
    return sorted(lines, key=lambda one: (one["level"] != "refuse", one["host"]))


def table(found):
    """Merged findings as the text of a table, a line for each."""
    columns = ("host", "finding", "measured", "fix")
    rows = [dict(zip(columns, columns))] + [dict(one, host=one["host"] + (" (note)" if one["level"] == "note" else "")) for one in found]
    widths = {column: max(len(row[column]) for row in rows) for column in columns}
    return "\n".join(" | ".join(row[column].ljust(widths[column]) for column in columns).rstrip() for row in rows)
