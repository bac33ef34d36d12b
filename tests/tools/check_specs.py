#!/usr/bin/env python3
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that the defaults of each role and its argument_specs say the same, and that tasks/main.yml only includes.

Prints one line for each finding; exit status 1 when there is one.
"""

from __future__ import annotations

import sys
from typing import Any

from roles import Role, roles

INCLUDES = {"import_tasks", "include_tasks", "import_role", "include_role"}
BESIDE_INCLUDES = {"name", "when", "tags", "vars", "loop", "loop_control", "delegate_to", "delegate_facts", "run_once", "become", "no_log"}

TYPES: dict[str, tuple[type, ...]] = {
    "bool": (bool,),
    "int": (int,),
    "float": (int, float),
    "str": (str,),
    "path": (str,),
    "raw": (object,),
    "list": (list,),
    "dict": (dict,),
    "bytes": (str, int),
    "bits": (str, int),
    "json": (str, dict, list),
    "jsonarg": (str, dict, list),
}


def fits(value: Any, kind: str) -> bool:
    """Whether a default is of the type that its spec names; a template may become anything."""
    if isinstance(value, str) and "{{" in value:
        return True
    if kind in ("int", "float") and isinstance(value, bool):
        return False
    return isinstance(value, TYPES.get(kind, ()))


def computed(option: dict[str, Any], default: Any) -> bool:
    """Whether a default is a template that becomes a number or the like: antsibull-docs refuses such a text in a spec."""
    return isinstance(default, str) and "{{" in default and option.get("type") not in ("str", "path", "raw")


def option_findings(where: str, option: dict[str, Any]) -> list[str]:
    """What is wrong within one option of a spec and the options nested in it."""
    found = []
    if not option.get("description"):
        found.append(f"{where}: no description: add one")
    kind = option.get("type")
    if kind not in TYPES:
        found.append(f"{where}: type {kind!r}: name one of {', '.join(TYPES)}")
    if kind == "list" and not option.get("elements"):
        found.append(f"{where}: a list without elements: say their type")
    for name, nested in (option.get("options") or {}).items():
        found += option_findings(f"{where}.{name}", nested)
    return found


def spec_findings(role: Role) -> list[str]:
    """Where defaults/main.yml and meta/argument_specs.yml disagree, or either breaks a rule of naming."""
    entry_points, defaults = role.entry_points, role.defaults
    if "main" not in entry_points:
        return [f"{role.name}: meta/argument_specs.yml has no entry point main: add it"]
    found = []
    specified: dict[str, dict[str, Any]] = {}
    for entry, spec in entry_points.items():
        if not spec.get("short_description"):
            found.append(f"{role.name}, {entry}: no short_description: add one")
        for name, option in (spec.get("options") or {}).items():
            where = f"{role.name}, {entry}, {name}"
            found += option_findings(where, option)
            if name.startswith("__"):
                if entry == "main":
                    found.append(f"{where}: internal variables do not belong into main: remove it")
                continue
            specified[name] = option
            if option.get("required"):
                if name in defaults or "default" in option:
                    found.append(f"{where}: required, but has a default: remove one of them")
            elif name not in defaults:
                found.append(f"{where}: not in defaults/main.yml: add it there, or make it required")
            elif "default" not in option and computed(option, defaults[name]):
                pass
            elif "default" not in option:
                found.append(f"{where}: default {defaults[name]!r} is not in the spec: add it")
            elif option["default"] != defaults[name] or type(option["default"]) is not type(defaults[name]):
                found.append(
                    f"{where}: default {option['default']!r} in the spec, {defaults[name]!r} in defaults/main.yml: make them equal"
                )
            if name in defaults:
                value = defaults[name]
                if not fits(value, option.get("type", "str")):
                    found.append(f"{where}: default {value!r} is no {option.get('type', 'str')}: mend one of them")
                if option.get("choices") and value not in option["choices"] and "{{" not in str(value):
                    found.append(f"{where}: default {value!r} is none of its choices: mend one of them")
    for name in defaults:
        if name.startswith("__"):
            found.append(f"{role.name}, {name}: internal variables belong into vars/main.yml: move it")
            continue
        if not name.startswith(f"{role.name}_"):
            found.append(f"{role.name}, {name}: the names of public variables begin with {role.name}_: rename it")
        if name not in specified:
            found.append(f"{role.name}, {name}: not in meta/argument_specs.yml: add it")
    return found


def main_findings(role: Role) -> list[str]:
    """Tasks of tasks/main.yml that do more than include."""
    found = []
    for task in role.read("tasks/main.yml") or []:
        actions = set(task) - BESIDE_INCLUDES
        names = {action.removeprefix("ansible.builtin.") for action in actions}
        if not names <= INCLUDES:
            found.append(
                f"{role.name}, tasks/main.yml, {task.get('name', task)!r}: main.yml only includes: move the task into a file of its own"
            )
    return found


def main() -> int:
    found = [line for role in roles() for line in [*spec_findings(role), *main_findings(role)]]
    print("\n".join([*found, f"defaults and argument_specs of {len(roles())} roles: {len(found)} findings"]))
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
