# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a path must be before a module reads it and moves a new file into its place."""

from __future__ import annotations

import os
import stat

KINDS = (
    (stat.S_ISDIR, "a directory"),
    (stat.S_ISFIFO, "a named pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


class NotAnOrdinaryFile(Exception):
    """Something else than a file is at the path; the text is one line for a person."""


def ordinary(path):
    """Whether a file is at the path, links followed; False where nothing is.

    Anything else would be replaced by a file when one is moved there, and a pipe blocks whoever opens it.

    :param path: str
    :raises NotAnOrdinaryFile: for a directory, a named pipe, a socket or a device
    :raises OSError: the path cannot be looked at
    """
    try:
        mode = os.stat(path).st_mode
    except FileNotFoundError:
        return False
    if stat.S_ISREG(mode):
        return True
    kind = next((name for test, name in KINDS if test(mode)), "something special")
    raise NotAnOrdinaryFile("%s is %s, not an ordinary file, and is left alone: name another path" % (path, kind))
