# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a text must not hold that goes to the server: characters that nobody sees there, and secrets that everybody sees."""

from __future__ import annotations

import re
import unicodedata

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import InvalidInput

ZERO_WIDTH_JOINER = "\u200d"  # part of ordinary emoji
INVISIBLE = ("Cc", "Cf", "Cs", "Zl", "Zp")
SIGNED_IN = re.compile(r"^([a-z][a-z0-9+.-]*)://([^/?#]*)@", re.IGNORECASE)


def check_line(what, text):
    """Refuses invisible characters, line breaks among them.

    :param what: what the text is, for the message
    :param text: str, or None where it was not given
    :raises InvalidInput: with the character
    """
    for character in text or "":
        if unicodedata.category(character) in INVISIBLE and character != ZERO_WIDTH_JOINER:
            raise InvalidInput("%s holds the invisible character U+%04X" % (what, ord(character)))


def check_text(what, text):
    """Refuses what no text of several lines needs: NUL, and halves of characters, which UTF-8 cannot write.

    :param what: what the text is, for the message
    :param text: str, or None where it was not given
    :raises InvalidInput: with the character
    """
    for character in text or "":
        if character == "\0" or unicodedata.category(character) == "Cs":
            raise InvalidInput("%s holds the character U+%04X, which is no text" % (what, ord(character)))


def sign_in_of(address):
    """What stands before the @ of an address and nobody else must see: a password, or any user of http, who may be a token.

    :param address: str or None
    :returns: str, empty where there is none
    """
    found = SIGNED_IN.match((address or "").strip())
    if found and (":" in found.group(2) or found.group(1).lower() in ("http", "https")):
        return found.group(2)
    return ""
