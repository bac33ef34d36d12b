# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Policy documents, brought into one form so that two that mean the same are equal.

The equivalences are those of the "IAM JSON policy elements reference": a single statement, action, resource or
condition value may stand without its list, order does not matter, and the principal ``*`` is ``{"AWS": "*"}``.
"""

from __future__ import annotations

import json

from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput

VERSION = "2012-10-17"
LISTS = ("Action", "NotAction", "Resource", "NotResource")


def parse(value, option="policy"):
    """A policy given as JSON text or dict, in the common form; None for an empty one.

    :raises InvalidInput: it is no policy document
    """
    document = value
    if isinstance(value, (str, bytes)):
        if not value.strip():
            return None
        try:
            document = json.loads(value)
        except ValueError as error:
            raise InvalidInput("%s is not valid JSON: %s" % (option, error)) from error
    if not document:
        return None
    if not isinstance(document, dict) or "Statement" not in document:
        raise InvalidInput("%s must be a policy document with a Statement" % option)
    return normalised(document, option)


def normalised(document, option="policy"):
    """The common form of a policy document (dict); raises InvalidInput."""
    statements = document["Statement"]
    if isinstance(statements, dict):
        statements = [statements]
    if not isinstance(statements, list) or not all(isinstance(statement, dict) for statement in statements):
        raise InvalidInput("%s: Statement must be a list of statements" % option)
    result = {key: value for key, value in document.items() if key not in ("Version", "Statement") and value not in ("", None)}
    result["Version"] = document.get("Version") or VERSION
    result["Statement"] = sorted(
        (_statement(statement, option) for statement in statements), key=lambda item: json.dumps(item, sort_keys=True)
    )
    return result


def _statement(statement, option):
    result = {}
    for key, value in statement.items():
        if value in ("", None, {}) and key not in LISTS:
            continue
        if key in LISTS:
            result[key] = _texts(value)
        elif key in ("Principal", "NotPrincipal"):
            result[key] = _principal(value)
        elif key == "Condition":
            result[key] = _conditions(value, option)
        else:
            result[key] = value
    if result.get("Effect") not in ("Allow", "Deny"):
        raise InvalidInput("%s: each statement needs an Effect, Allow or Deny" % option)
    return result


def _texts(value):
    values = value if isinstance(value, list) else [value]
    return sorted({_text(item) for item in values})


def _text(item):
    return str(item).lower() if isinstance(item, bool) else str(item)


def _principal(value):
    if not isinstance(value, dict):
        value = {"AWS": value}
    return {kind: _texts(names) for kind, names in value.items()}


def _conditions(value, option):
    if not isinstance(value, dict) or not all(isinstance(keys, dict) for keys in value.values()):
        raise InvalidInput("%s: a Condition must be a dict of dicts" % option)
    return {operator: {key: _texts(values) for key, values in keys.items()} for operator, keys in value.items()}
