# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A pair of keys in a file: a JSON document, or a section of clearml.conf.

clearml.conf is HOCON, in which a later value of a key replaces an earlier one. So the section is one marked block at the
end of the file, and what a person wrote above it stays as it is.
"""

from __future__ import annotations

import grp
import json
import os
import pwd
import re
import stat
import tempfile

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import ClearMLError, InvalidInput
from ansible_collections.homelab.mlops.plugins.module_utils.files import NotAnOrdinaryFile, ordinary

BEGIN = "# BEGIN homelab.mlops credentials"
END = "# END homelab.mlops credentials"
BLOCK = re.compile(r"^%s$.*?^%s$\n?" % (re.escape(BEGIN), re.escape(END)), re.MULTILINE | re.DOTALL)
CREATED = re.compile(r"^# created (\S+)$", re.MULTILINE)
SYMBOLIC = re.compile(r"^[ugoa]*([-+=]([rwxXst]*|[ugo]))+(,[ugoa]*([-+=]([rwxXst]*|[ugo]))+)*$")
FIELDS = ("access_key", "secret_key", "label", "api_url", "created")


class PairFile(object):
    """The file with the pair.

    :param path: of the file (str)
    :param form: ``json`` or ``clearml_conf``
    :ivar access_key: and
    :ivar secret_key: the pair in it, None when there is none
    :ivar ours: whether this module wrote the pair, so that it may take it out
    :ivar created: when that pair was made, as it was written, or None
    :raises ClearMLError: the file cannot be read or is not of this form, so that it must not be replaced
    """

    def __init__(self, path, form):
        if not path.strip() or "\0" in path:
            raise InvalidInput("path %r is no path: leave it out where the pair is to be in the result" % path)
        self.path = os.path.realpath(path)
        self.form = form
        self.access_key = None
        self.secret_key = None
        self.created = None
        self.ours = False
        self.text = None
        self._others = {}
        try:
            if ordinary(self.path):
                with open(self.path, encoding="utf-8") as file:
                    self.text = file.read()
        except NotAnOrdinaryFile as error:
            raise ClearMLError(str(error)) from error
        except (OSError, UnicodeDecodeError) as error:
            raise ClearMLError("%s cannot be read: %s" % (self.path, getattr(error, "strerror", None) or "it is not text")) from error
        if self.text and self.text.strip():
            (self._read_json if form == "json" else self._read_conf)(self.text)
        if not self.access_key or not self.secret_key:
            self.access_key = self.secret_key = self.created = None

    def _read_json(self, text):
        try:
            content = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise ClearMLError("%s is not JSON: it was not written by this module and is left alone" % self.path) from error
        if not isinstance(content, dict):
            raise ClearMLError("%s holds no JSON object: it was not written by this module and is left alone" % self.path)
        values = [content.get(key) for key in ("access_key", "secret_key", "created")]
        if not all(value is None or isinstance(value, str) for value in values):
            raise ClearMLError("%s holds a pair that is no text: it was not written by this module and is left alone" % self.path)
        self.access_key, self.secret_key, self.created = values
        self.ours = "access_key" in content
        self._others = {key: value for key, value in content.items() if key not in FIELDS}

    def _read_conf(self, text):
        self.access_key, self.secret_key = (_last_value(text, key) for key in ("access_key", "secret_key"))
        block = BLOCK.search(text)
        self.ours = block is not None
        created = CREATED.search(block.group(0)) if block else None
        self.created = created.group(1) if created else None

    def check_writable(self):
        """Raises ClearMLError when the file could not be written; asked before a pair is made that has to go there."""
        folder = os.path.dirname(self.path)
        if not os.path.isdir(folder):
            raise ClearMLError("%s cannot be written: there is no folder %s" % (self.path, folder))
        if not os.access(folder, os.W_OK | os.X_OK):
            raise ClearMLError("%s cannot be written by this user: run with become: true" % self.path)

    def check_attributes(self, owner, group, mode):
        """Refuses owner, group and mode that the file could not get; asked before a pair is made that has to go there.

        :param owner: name or number, or None
        :param group: name or number, or None
        :param mode: as Ansible takes it, octal or symbolic
        :raises ClearMLError: with the option
        """
        have = os.stat(self.path) if self.text is not None else None
        for option, given, number, now in (
            ("owner", owner, _number_of(owner, lambda name: pwd.getpwnam(name).pw_uid), have.st_uid if have else os.geteuid()),
            ("group", group, _number_of(group, lambda name: grp.getgrnam(name).gr_gid), have.st_gid if have else os.getegid()),
        ):
            if given is None:
                continue
            if number is None or not 0 <= number < 2**32 - 1:
                raise InvalidInput("%s %r does not exist on this host" % (option, given))
            if os.geteuid() != 0 and number != now and not (option == "group" and number in os.getgroups()):
                raise ClearMLError("%s cannot be given to the %s %s by this user: run with become: true" % (self.path, option, given))
        if not _readable(mode):
            raise InvalidInput("mode %r must be permissions in quotes with which the owner can read the file, such as '0600'" % (mode,))

    def with_pair(self, pair, label, api_url, created):
        """The file's new content.

        :param pair: dict with access_key and secret_key
        :param created: time as text
        """
        if self.form == "json":
            content = dict(self._others, label=label, api_url=api_url, created=created)
            content.update((key, pair[key]) for key in ("access_key", "secret_key"))
            return json.dumps(content, indent=2, sort_keys=True) + "\n"
        lines = [BEGIN, "# created %s" % created, "# label %s" % label]
        lines += ["api.credentials.%s = %s" % (key, json.dumps(pair[key])) for key in ("access_key", "secret_key")]
        return _with_end(self._without_block()) + "\n".join(lines + [END]) + "\n"

    def without_pair(self):
        """The file's content without our part, or None where nothing would be left of it."""
        if self.text is None:
            return None
        if self.form == "json":
            return json.dumps(self._others, indent=2, sort_keys=True) + "\n" if self._others else None
        rest = self._without_block()
        return rest if rest.strip() else None

    def _without_block(self):
        return BLOCK.sub("", self.text or "")

    def write(self, text):
        """Replaces the file at once, readable by its owner only; None removes it. Raises ClearMLError."""
        try:
            if text is None:
                if os.path.exists(self.path):
                    os.unlink(self.path)
                return
            handle, temporary = tempfile.mkstemp(dir=os.path.dirname(self.path), prefix=".%s." % os.path.basename(self.path))
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(text)
                    file.flush()
                    os.fsync(file.fileno())
                    if os.path.exists(self.path):
                        old = os.stat(self.path)
                        if (old.st_uid, old.st_gid) != (os.geteuid(), os.getegid()):
                            os.fchown(file.fileno(), old.st_uid, old.st_gid)
                os.replace(temporary, self.path)
            except BaseException:
                os.unlink(temporary)
                raise
        except OSError as error:
            raise ClearMLError("%s cannot be written: %s" % (self.path, error.strerror)) from error


def _number_of(given, look_up):
    """The number of a user or a group, given by number or name; None when there is none."""
    try:
        return int(given)
    except (TypeError, ValueError):
        try:
            return look_up(given)
        except (KeyError, TypeError, ValueError):
            return None


def _readable(mode):
    """Whether a mode is one, and lets the owner read where it is octal (600 without quotes is another number, and does not)."""
    try:
        bits = mode if isinstance(mode, int) else int(mode, 8)
    except (TypeError, ValueError):
        return isinstance(mode, str) and bool(SYMBOLIC.match(mode))
    return 0 <= bits <= 0o7777 and bool(bits & stat.S_IRUSR)


def _with_end(text):
    return text if not text or text.endswith("\n") else text + "\n"


def _last_value(text, key):
    """The last value of a quoted or plain key in HOCON, outside comments; None when there is none."""
    pattern = r"^[^#\n]*?\b%s\"?\s*[=:]\s*(?:\"([^\"\n]*)\"|([^\s\"#,}]+))" % key
    found = re.findall(pattern, re.sub(r"(?m)//.*$", "", text.replace("://", ":")), re.MULTILINE)
    return (found[-1][0] or found[-1][1]) if found else None
