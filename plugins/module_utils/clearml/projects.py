# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Projects: a tree by name, ``vision/training``; parents that are missing are made with a project.

Facts (apiserver 2.3.0, recorded and read in its source): 10 levels at most; the last part of a name has 3 characters at
least; spaces around slashes and empty parts are dropped; a default output destination is a text that nobody checks.
"""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import (
    AlreadyExists,
    ClearMLError,
    InvalidInput,
    OutcomeUnknown,
    ProjectMissing,
)
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.texts import check_line, sign_in_of

DEEPEST = 10
FIELDS = ("description", "default_output_destination", "tags")
NEW = {"description": "", "default_output_destination": "", "tags": []}


def check_name(name):
    """Refuses names that the server changes, refuses or takes for something else; raises InvalidInput."""
    parts = name.split("/")
    if len(parts) > DEEPEST:
        raise InvalidInput("project %r has %d levels: ClearML takes %d at most" % (name, len(parts), DEEPEST))
    for part in parts:
        if part != part.strip():
            raise InvalidInput("project %r has a part that starts or ends with a space: the server would strip it" % name)
        if len(part) < 3:
            raise InvalidInput("project %r has the part %r: ClearML wants at least 3 characters in each" % (name, part))
    if len(name) > 255:
        raise InvalidInput("project %r... has %d characters: use at most 255" % (name[:20], len(name)))
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise InvalidInput("project %r holds the invisible character U+%04X" % (name, ord(character)))


def check_destination(url, option="default_output_destination"):
    """Refuses destinations that no SDK could write to, or that show a secret; raises InvalidInput."""
    check_line(option, url)
    if sign_in_of(url):
        raise InvalidInput(
            "%s must not hold a user or a password: all who see it would read them; they belong into the clearml.conf of the agents"
            % option
        )
    if url and (any(character.isspace() for character in url) or not re.match(r"^([a-z][a-z0-9+.-]*://[^/]|/)", url)):
        raise InvalidInput("%s must be a URL such as s3://192.0.2.20:9000/clearml, or a folder, and not %r" % (option, url))


def shown(project):
    """The part of a server's project that a user sees and a diff compares."""
    return {
        "name": project["name"],
        "description": project.get("description") or "",
        "default_output_destination": project.get("default_output_destination") or "",
        "tags": sorted(set(project.get("tags") or [])),
    }


def read(transport, name):
    """The server's project of exactly this name, or None."""
    body = {"name": "^%s$" % re.escape(name), "search_hidden": True}
    found = [project for project in transport.call("projects.get_all", body).get("projects") or [] if project["name"] == name]
    return found[0] if found else None


def contents(transport, project_id):
    """What a project and those below it hold: dict with tasks and models (numbers, archived ones included)."""
    said = transport.call("projects.validate_delete", {"project": project_id})
    return {key: int(said.get(key) or 0) for key in ("tasks", "models")}


def create(transport, fields):
    """Makes a project; a create without an answer is never repeated before a look; returns the server's id."""
    for last in (False, True):
        try:
            return transport.call("projects.create", fields, repeatable=False)["id"]
        except (AlreadyExists, OutcomeUnknown):
            existing = read(transport, fields["name"])
            if existing:
                differing = {key: value for key, value in fields.items() if key != "name" and shown(existing)[key] != value}
                if differing:
                    update(transport, existing["id"], differing)
                return existing["id"]
            if last:
                raise


def update(transport, project_id, fields):
    """Sets fields of a project."""
    transport.call("projects.update", dict(fields, project=project_id))


def delete(transport, project_id, force, delete_contents):
    """Deletes a project and those below it; one that is gone already counts as deleted."""
    body = {"project": project_id, "force": force}
    if delete_contents:
        body["delete_contents"] = True
    try:
        transport.call("projects.delete", body)
    except ProjectMissing:
        pass


def refuse_contents(name, held):
    """Raises ClearMLError that says what a project holds."""
    raise ClearMLError(
        "project %r and those below it hold %d task%s and %d model%s: set force=true to leave them without a project, "
        "or delete_contents=true to delete them too"
        % (name, held["tasks"], "" if held["tasks"] == 1 else "s", held["models"], "" if held["models"] == 1 else "s")
    )
