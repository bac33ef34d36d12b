# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Releases of K3s and their order."""

from __future__ import annotations

import re

RELEASE = re.compile(r"v(\d+)\.(\d+)\.(\d+)(?:-rc(\d+))?\+k3s(\d+)")


def release(version):
    """A release to compare by: a candidate comes before its release, and a build after an earlier one of the same.

    Returns a tuple of int and float that begins with the major and the minor number; None where the text is no release.
    """
    found = RELEASE.fullmatch(str(version))
    if not found:
        return None
    major, minor, patch, candidate, build = found.groups()
    return int(major), int(minor), int(patch), int(candidate) if candidate else float("inf"), int(build)
