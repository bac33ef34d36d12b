# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Times as the API writes them (``2026-11-21T00:25:10.696000+00:00``), and credentials' last use, which comes without an offset."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import InvalidInput

UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}


def moment_of(text):
    """Seconds since 1970 (float) of a time of the API, which is in UTC where it has no offset; None when it is none."""
    try:
        moment = datetime.fromisoformat((text or "").replace("Z", "+00:00"))
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)).timestamp()


def seconds_since(text, now):
    """Whole seconds from a time of the API to `now` (seconds since 1970), at least 0; None when there is no time."""
    moment = moment_of(text)
    return None if moment is None else max(0, int(now - moment))


def text_of(moment):
    """Seconds since 1970 as a time of the API, to the second."""
    return datetime.fromtimestamp(int(moment), timezone.utc).isoformat()


def seconds_of(text, option):
    """Seconds of a duration such as 90d.

    :param option: name of the option, for the message
    :raises InvalidInput: it is none
    """
    match = re.match(r"^([1-9][0-9]*)([smhdw])$", text.strip())
    if not match:
        raise InvalidInput("%s must be a number and one of the units s, m, h, d and w, such as 90d, and not %r" % (option, text))
    return int(match.group(1)) * UNITS[match.group(2)]
