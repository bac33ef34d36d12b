# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Credentials of one user, kept by their label.

Facts (apiserver 2.3.0, recorded): a secret is shown once, at creation; a key cannot be chosen; labels are not unique;
`auth.get_credentials` lists access_key, label, last_used; a token outlives the revocation of its credential; the
identities of the server's own configuration (`__services_agent__` and such) cannot have credentials made for them.
"""

from __future__ import annotations

import time
import unicodedata

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import (
    BadAnswer,
    ClearMLError,
    CredentialMissing,
    InvalidInput,
    OutcomeUnknown,
)
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.paging import read_all

SETTLE_SECONDS = 1  # longer than another run needs to take back a credential that it gives up


def check_label(label):
    """Refuses labels that cannot be told apart by a person; raises InvalidInput."""
    if not label or label != label.strip() or len(label) > 255:
        raise InvalidInput("label %r must have 1 to 255 characters and no space at its ends" % label[:40])
    for character in label:
        if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp"):
            raise InvalidInput("label %r holds the invisible character U+%04X" % (label, ord(character)))


def user_id_of(transport, user):
    """The id of a user who is given by id or by display name.

    :raises ClearMLError: nobody or more than one has that name
    """
    users = read_all(transport, "users.get_all", "users", {"only_fields": ["id", "name"]})
    if any(entry["id"] == user for entry in users):
        return user
    ids = [entry["id"] for entry in users if entry.get("name") == user]
    if len(ids) == 1:
        return ids[0]
    if ids:
        raise ClearMLError("%d ClearML users are called %r: give one of the ids %s" % (len(ids), user, ", ".join(sorted(ids))))
    names = ", ".join(sorted(entry.get("name") or entry["id"] for entry in users)) or "none"
    raise ClearMLError("no ClearML user has the id or the name %r; there are: %s" % (user, names))


def read(transport):
    """The caller's credentials: list of dicts with access_key and perhaps label, last_used, last_used_from."""
    return transport.call("auth.get_credentials").get("credentials") or []


def labelled(credentials, label):
    """Keys of the credentials with this label, oldest first as the server lists them."""
    return [entry["access_key"] for entry in credentials if entry.get("label") == label]


def create(transport, label, known):
    """A new credential that has been seen to work, and that is the only new one with its label.

    Of several runs at the same moment, the one whose credential the server made first goes on. The others take back what
    they made and fail, so that one credential is left.

    :param known: keys that had the label when the caller decided to make another one
    :returns: dict with access_key and secret_key
    :raises ClearMLError: none was made, or the one that was made does not work, or not alone, and is revoked again

    When the answer to the creation is lost, its secret is lost too: a key that appeared since and was never used is
    revoked, and it is tried once more.
    """
    _expect(transport, label, known)
    if len(known) > 1:  # one of them may be another run's, which is about to take it back
        time.sleep(SETTLE_SECONDS)
        _expect(transport, label, known)
    try:
        made = transport.call("auth.create_credentials", {"label": label}, repeatable=False)
    except OutcomeUnknown:
        for entry in read(transport):
            if entry.get("label") == label and entry["access_key"] not in known and not entry.get("last_used"):
                revoke(transport, entry["access_key"])
        made = transport.call("auth.create_credentials", {"label": label}, repeatable=False)
    pair = made.get("credentials") or {}
    if not pair.get("access_key") or not pair.get("secret_key"):
        raise BadAnswer("the ClearML API at %s made a credential without a pair" % transport.api_url)
    pair = {"access_key": pair["access_key"], "secret_key": pair["secret_key"]}
    works = transport.as_other(pair["access_key"], pair["secret_key"]).login_works()
    now = labelled(read(transport), label)
    if pair["access_key"] in now and not works:
        revoke(transport, pair["access_key"])
        raise ClearMLError(
            "the new credential %r does not work at %s and was revoked; nothing else was changed" % (label, transport.api_url)
        )
    if [key for key in now if key not in known][:1] != [pair["access_key"]] or set(known) - set(now):
        revoke(transport, pair["access_key"])
        raise _another_run(label)
    return pair


def _expect(transport, label, known):
    """Raises ClearMLError when other keys than these have the label."""
    if set(labelled(read(transport), label)) != set(known):
        raise _another_run(label)


def _another_run(label):
    return ClearMLError("another run changes the credentials labelled %r at the same moment: run this again when it has ended" % label)


def relabel(transport, access_key, label, known, former):
    """Gives a credential that works this label, unless another run makes one with it at the same moment.

    :param access_key: of the credential
    :param known: keys that had the label when the caller decided
    :param former: its label until now, or None
    :raises ClearMLError: another run was faster; the credential has its former label
    """
    _expect(transport, label, known)
    transport.call("auth.edit_credentials", {"access_key": access_key, "label": label})
    expected = set(known) | {access_key}
    if set(labelled(read(transport), label)) == expected:
        return
    time.sleep(SETTLE_SECONDS)  # the other run may be about to take back what it made
    if set(labelled(read(transport), label)) != expected:
        transport.call("auth.edit_credentials", dict({"access_key": access_key}, **({"label": former} if former else {})))
        raise _another_run(label)


def revoke(transport, access_key):
    """Revokes a key; one that is gone already counts as revoked."""
    try:
        transport.call("auth.revoke_credentials", {"access_key": access_key})
    except CredentialMissing:
        pass


class Plan(object):
    """What has to happen to the credentials with one label.

    :param keys: keys that have the label now
    :param others: keys of the same user with another label or none
    :param stored_key: key of the stored pair, or None
    :param stored_works: whether a login with the stored pair worked, None when there is none
    :param renew: whether a stored pair that works is replaced (bool)
    :ivar create: a new credential is made
    :ivar relabel: key that only gets the label, or None
    :ivar revoke: keys to revoke
    :ivar duplicates: keys with the label, beside the one in use, that stay
    :ivar key: key that stays in use, or None
    """

    def __init__(self, keys, others, stored_key, stored_works, state, renew, remove_duplicates):
        self.keys = keys
        self.create = False
        self.relabel = None
        self.revoke = []
        self.duplicates = []
        self.key = None
        if state == "absent":
            self.revoke = list(keys)
            return
        if stored_works and stored_key in keys + others:
            self.key = stored_key
            if stored_key in others:
                self.relabel = stored_key
        if renew or self.key is None:
            self.create = True
            self.relabel = None
            self.key = None
            if remove_duplicates or len(keys) == 1:
                self.revoke = list(keys)
            else:
                self.revoke = [key for key in keys if key == stored_key]
            if stored_works and stored_key in others:
                self.revoke.append(stored_key)
        elif remove_duplicates:
            self.revoke = [key for key in keys if key != self.key]
        self.duplicates = [key for key in keys if key != self.key and key not in self.revoke]

    def after(self, new_key, revoked):
        """Keys with the label once the plan is carried out.

        :param new_key: key of the new credential, or a word for it in check mode
        :param revoked: keys that were really revoked
        """
        kept = [key for key in self.keys if key not in revoked]
        if self.relabel:
            kept.append(self.relabel)
        if self.create:
            kept.append(new_key)
        return kept
