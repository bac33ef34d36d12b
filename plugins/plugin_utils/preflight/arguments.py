# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Variables of the inventory against the roles' argument_specs."""

from __future__ import annotations

import re

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, nearest

SECRET = re.compile(r"token|password|secret|_key$|users$", re.IGNORECASE)


def shown(name, value):
    """A variable's value for a table; secrets only as their type."""
    kind = next((one.__name__ for one in (dict, list, str, bool, int) if isinstance(value, one)), type(value).__name__)
    return f"{kind}, not shown" if SECRET.search(name) else f"{value!r}"[:60]


def argument_findings(host, specs, provided, known):
    """Variables that do not fit the roles' argument_specs, and names that look like a role's but are none.

    ``specs`` maps a role to its argument_specs.yml; ``provided`` maps the options that the inventory sets to their values;
    ``known`` are the names of all variables of the host.
    """
    options = {}
    for spec in specs.values():
        options.update(spec["argument_specs"]["main"].get("options") or {})
    found = []
    for name, option in options.items():
        if name not in provided:
            if option.get("required"):
                found.append(finding(host, f"{name} is not set", "nothing", f"set it: {_text(option)}"))
            continue
        errors = ArgumentSpecValidator({name: _checked(option)}).validate({name: provided[name]}).error_messages
        if errors:
            wanted = f"one of {', '.join(map(str, option['choices']))}" if option.get("choices") else f"of type {option['type']}"
            # Only these two kinds of message name keys and never quote a value.
            speaks_of_keys = errors[0].startswith("missing required arguments") or "Supported parameters include" in errors[0]
            nested = f" ({errors[0]})" if option.get("options") and (speaks_of_keys or not SECRET.search(name)) else ""
            text = f"{name} has wrong keys{nested}" if speaks_of_keys and nested else f"{name} is not {wanted}{nested}"
            found.append(finding(host, text, shown(name, provided[name]), f"set it: {_text(option)}"))
    prefixes = tuple(f"{role}_" for role in specs)
    for name in sorted(known):
        if name.startswith(prefixes) and name not in options:
            near = nearest(name, options)
            if near:
                found.append(finding(host, f"{name} is no variable of any role", "set", f"perhaps {near} is meant: rename it", "note"))
    return found


def fitting_values(specs, provided):
    """Those of the values that the inventory sets that fit their type, converted to it as roles would get them."""
    fitting = {}
    for spec in specs.values():
        for name, option in (spec["argument_specs"]["main"].get("options") or {}).items():
            if name in provided:
                result = ArgumentSpecValidator({name: _checked(option)}).validate({name: provided[name]})
                if not result.error_messages:
                    fitting[name] = result.validated_parameters[name]
    return fitting


def _text(option):
    """An option's description as one line."""
    description = option.get("description", "")
    return " ".join((description if isinstance(description, str) else " ".join(description)).split()).partition(". ")[0].rstrip(".")


def _checked(option):
    """An option without its default, which may be a template that no type fits."""
    return {key: value for key, value in option.items() if key in ("type", "choices", "elements", "options", "required")}
