# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One comparison from which both `changed` and `diff` follow."""

from __future__ import annotations


def difference(before, after):
    """What a module reports about a change.

    :param before: state that was read (any JSON value, without secrets)
    :param after: state that is wanted, in the same form
    :returns: dict with `changed` and `diff`, ready for `exit_json`
    """
    return {"changed": before != after, "diff": {"before": before, "after": after}}
