#!/usr/bin/env python3
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Writes the variables of each role from meta/argument_specs.yml into its README.md, between two markers.

What stands outside the markers is written by hand. Without --write nothing is changed: exit status 1 and a diff when a
README says something else than its spec.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from typing import Any

from roles import ROOT, Role, roles

BEGIN = "<!-- begin: from meta/argument_specs.yml by `make docs` -->"
END = "<!-- end: from meta/argument_specs.yml -->"

_MARKUP = re.compile(r"\b[OVCIB]\(((?:[^()\\]|\\.|\([^()]*\))*)\)")
_LINK = re.compile(r"\bL\(([^,]+),\s*([^)]+)\)")
_URL = re.compile(r"\bU\(([^)]+)\)")


def plain(text: str | list[str]) -> str:
    """A description in Ansible's markup as one line of Markdown that fits into a table."""
    joined = " ".join(text if isinstance(text, list) else [text])
    joined = _LINK.sub(r"[\1](\2)", _URL.sub(r"<\1>", _MARKUP.sub(r"`\1`", joined)))
    return " ".join(joined.split()).replace("|", "\\|")


def kind(option: dict[str, Any]) -> str:
    """``list of str``, ``str: a, b`` with its choices."""
    text = str(option.get("type", "str"))
    if option.get("elements"):
        text += f" of {option['elements']}"
    if option.get("choices"):
        text += ": " + ", ".join(f"`{choice}`" for choice in option["choices"])
    return text


def default(option: dict[str, Any], fallback: Any = None) -> str:
    """The default as code, ``required``, or nothing. ``fallback`` is what defaults/main.yml says, for defaults that are computed."""
    if option.get("required"):
        return "**required**"
    value = option.get("default", fallback)
    if value is None:
        return ""
    text = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return "`" + " ".join(text.split()).replace("|", "\\|") + "`"


def rows(options: dict[str, Any], prefix: str = "", defaults: dict[str, Any] | None = None) -> list[str]:
    """Table rows for options and, indented by their path, the options nested in them."""
    lines = []
    for name, option in options.items():
        path = f"{prefix}{name}"
        lines.append(
            f"| `{path}` | {kind(option)} | {default(option, (defaults or {}).get(name))} | {plain(option.get('description', ''))} |"
        )
        if option.get("options"):
            lines += rows(option["options"], f"{path}[]." if option.get("type") == "list" else f"{path}.")
    return lines


def section(role: Role) -> str:
    """The generated part of the README, markers included."""
    lines = [BEGIN, ""]
    for entry, spec in role.entry_points.items():
        if entry == "main":
            lines += ["## Variables", ""]
        else:
            lines += [f"## `tasks_from: {entry}`", "", plain(spec.get("description") or spec.get("short_description", "")), ""]
        if spec.get("options"):
            lines += ["| variable | type | default | what it is |", "|---|---|---|---|", *rows(spec["options"], defaults=role.defaults), ""]
        else:
            lines += ["It has no variables.", ""]
    return "\n".join([*lines, END])


def readme(role: Role, current: str | None) -> str:
    """The whole README as it should be; a role without one gets its heading and description from the spec."""
    if current is None:
        spec = role.entry_points.get("main", {})
        current = f"# homelab.mlops.{role.name}\n\n{plain(spec.get('description') or spec.get('short_description', ''))}\n"
    begin, end = current.find(BEGIN), current.find(END)
    if begin >= 0 and end >= begin:
        return current[:begin] + section(role) + current[end + len(END) :]
    return f"{current.rstrip()}\n\n{section(role)}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="change the READMEs")
    options = parser.parse_args()
    drift = 0
    for role in roles():
        path = role.path / "README.md"
        current = path.read_text(encoding="utf-8") if path.is_file() else None
        wanted = readme(role, current)
        if current == wanted:
            continue
        drift += 1
        name = str(path.relative_to(ROOT))
        if options.write:
            path.write_text(wanted, encoding="utf-8")
            print(f"{name}: written")
        else:
            print(f"{name}: differs from meta/argument_specs.yml: run `make docs`")
            print("".join(difflib.unified_diff((current or "").splitlines(True), wanted.splitlines(True), name, "wanted", n=0)))
    print(f"READMEs of {len(roles())} roles: {drift} {'written' if options.write else 'stale'}")
    return 1 if drift and not options.write else 0


if __name__ == "__main__":
    sys.exit(main())
