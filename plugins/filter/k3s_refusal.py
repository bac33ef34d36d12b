# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter behind the wait for a node: whether the journal says that the cluster refuses it, or only that something is on its way."""

from __future__ import annotations

import re

# What no waiting mends (k3s-io/k3s pkg/clientaccess/token.go; pkg/cluster/storage.go): K3s compared the token with the cluster.
DEFINITE = re.compile(
    r"token CA hash does not match|invalid token (CA hash length|format)|failed to normalize (server )?token"
    r"|encrypted with different token",
    re.IGNORECASE,
)
# What a server that starts, a clock that is set or a certificate that is renewed may bring for a moment (pkg/agent/config/config.go).
PASSING = re.compile(r"401 Unauthorized|\bnot authorized\b|Node password rejected|x509:", re.IGNORECASE)
FATAL = re.compile(r"level=fatal")
TIMES = 3
# K3s tries every few seconds and says little else meanwhile: so many lines hold the tries, and after the last one so few may follow.
SPAN = 12
AFTER = 3


def k3s_refusal(lines, restarts=0):
    """The line of the journal by which the cluster refuses the node; empty when it does not, or when that may still pass.

    ``lines`` are the last ones since the present start of the unit, ``restarts`` is how often systemd started it again by itself. One
    line is enough where it speaks of the token itself. Anything else counts when it was said several times and K3s is still at it, or
    when K3s ended with it and had been started again before.
    """
    lines = [str(line) for line in lines]
    definite = [line for line in lines if DEFINITE.search(line)]
    if definite:
        return definite[-1]
    places = [place for place, line in enumerate(lines) if PASSING.search(line)]
    if not places or places[-1] < len(lines) - 1 - AFTER:
        return ""
    last = lines[places[-1]]
    often = len(places) >= TIMES and places[-1] - places[-TIMES] < SPAN
    return last if often or (restarts > 0 and FATAL.search(last)) else ""


class FilterModule:
    """Filters of the wait for a node."""

    def filters(self):
        return {"k3s_refusal": k3s_refusal}
