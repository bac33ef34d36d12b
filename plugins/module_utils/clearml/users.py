# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Users: what can be read, and the calls that make and change them.

Facts (apiserver 2.3.0, recorded and read in its source): names are not unique, e-mail addresses are, and nothing shows
them; a role is shown to its bearer only, so it is read by impersonation; no call deletes an account; the roles and the
names of users of the configuration (fixed users) are set again at each start of the server.
"""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import server
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import (
    AlreadyExists,
    ClearMLError,
    InvalidInput,
    OutcomeUnknown,
)
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.paging import read_all
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.texts import check_line

ROLES = ("admin", "superuser", "user", "annotator")
NAMES = ("given_name", "family_name")
EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")


def check(name, email, given_name=None, family_name=None):
    """Refuses names that a person would regret and addresses that the server would not take; raises InvalidInput."""
    if not name or name != name.strip() or len(name) > 255:
        raise InvalidInput("name %r must have 1 to 255 characters and no space at its ends" % name[:40])
    for character in name:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise InvalidInput("name %r holds the invisible character U+%04X" % (name, ord(character)))
    check_line("given_name of user %r" % name, given_name)
    check_line("family_name of user %r" % name, family_name)
    check_line("email of user %r" % name, email)
    if email is not None and not EMAIL.match(email):
        raise InvalidInput("email %r is not an address" % email)


def read(transport):
    """All users, by name and id: list of dicts with id, name, given_name, family_name and created."""
    fields = ["id", "name", "given_name", "family_name", "created"]
    found = read_all(transport, "users.get_all", "users", {"only_fields": fields})
    users = [dict({key: entry.get(key) for key in fields}, name=entry.get("name") or "") for entry in found]
    return sorted(users, key=lambda user: (user["name"], user["id"]))


def role_of(transport, user_id):
    """The role of a user, seen by acting as that user; raises PermissionDenied where the caller may not."""
    return server.identity(transport.impersonating(user_id))["role"]


def choose(users, name, user_id):
    """The one user who is meant, or None.

    :param user_id: an id, which has to exist, or None for the name
    :raises ClearMLError: nobody has the id, or several have the name
    """
    if user_id is not None:
        found = [user for user in users if user["id"] == user_id]
        if not found:
            raise ClearMLError("no ClearML user has the id %r" % user_id)
        return found[0]
    found = [user for user in users if user["name"] == name]
    if len(found) > 1:
        ids = ", ".join(user["id"] for user in found)
        raise ClearMLError("%d ClearML users are called %r: say with the option id which one is meant, of %s" % (len(found), name, ids))
    return found[0] if found else None


def create(transport, fields, known):
    """Makes a user; a create without an answer is never repeated before a look.

    :param fields: dict with name, email, role and perhaps given_name and family_name
    :param known: ids of all users there were
    :returns: the id
    :raises ClearMLError: none was made
    """
    body = dict(fields, company=server.identity(transport)["company_id"])
    for last in (False, True):
        try:
            return transport.call("auth.create_user", body, repeatable=False)["id"]
        except (AlreadyExists, OutcomeUnknown) as error:
            new = [user["id"] for user in read(transport) if user["name"] == fields["name"] and user["id"] not in known]
            if len(new) == 1:
                return new[0]
            if isinstance(error, AlreadyExists):
                raise ClearMLError(
                    "another ClearML user has the e-mail address %s: give another one, or that user's id" % fields["email"]
                ) from error
            if last:
                raise


def change(transport, user_id, changes):
    """Sets the fields that differ, role last."""
    names = {key: value for key, value in changes.items() if key != "role"}
    if names:
        transport.call("users.update", dict(names, user=user_id))
    if "role" in changes:
        transport.call("auth.edit_user", {"user": user_id, "role": changes["role"]})
