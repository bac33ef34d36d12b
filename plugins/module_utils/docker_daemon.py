# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The configuration file of docker's daemon: what is in it, and what it becomes with some settings more."""

from __future__ import annotations

import copy
import json


class DaemonConfigError(Exception):
    """The file cannot be taken as it is; the text is one line for a person."""


def parse(text, path):
    """The settings in a file.

    :param text: its content, None or empty for a file that is not there or empty
    :param path: its name, for messages
    :returns: dict
    :raises DaemonConfigError: it is no JSON, holds a key twice, or is no object
    """
    if not (text or "").strip():
        return {}

    def unique(pairs):
        names = [name for name, unused in pairs]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise DaemonConfigError("%s holds %s twice: remove one" % (path, twice[0]))
        return dict(pairs)

    try:
        found = json.loads(text, object_pairs_hook=unique)
    except ValueError as problem:
        raise DaemonConfigError("%s is no JSON: %s" % (path, problem)) from problem
    if not isinstance(found, dict):
        raise DaemonConfigError("%s holds no object but a %s" % (path, type(found).__name__))
    return found


def merged(current, settings):
    """A copy of `current` with `settings` in it: objects key by key, anything else as a whole; null takes a key away."""
    result = copy.deepcopy(current)
    for name, value in settings.items():
        if value is None:
            result.pop(name, None)
        elif isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merged(result[name], value)
        elif isinstance(value, dict):
            result[name] = merged({}, value)
        else:
            result[name] = value
    return result


def named(current, settings):
    """Of `current` only what `settings` names, so that nothing else of the file is shown."""
    result = {}
    for name, value in settings.items():
        if name in current:
            inner = isinstance(value, dict) and isinstance(current[name], dict)
            result[name] = named(current[name], value) if inner else current[name]
    return result


def rendered(settings):
    """Text of the file, keys in the order that they have."""
    return json.dumps(settings, indent=4) + "\n"
