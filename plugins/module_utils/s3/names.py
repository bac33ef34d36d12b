# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Bucket names, by the rules for general purpose buckets in the Amazon S3 user guide ("bucket naming rules")."""

from __future__ import annotations

import re

from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput

ADDRESS = re.compile(r"^\d{1,3}(\.\d{1,3}){3}$")
RESERVED_STARTS = ("xn--", "sthree-", "amzn-s3-demo-")
RESERVED_ENDS = ("-s3alias", "--ol-s3", ".mrap", "--x-s3", "--table-s3")


def bucket_name_problem(name):
    """Why S3 forbids this name, as words that follow the name; None when it is allowed."""
    if not 3 <= len(name) <= 63:
        return "has %d characters: use 3 to 63" % len(name)
    odd = sorted(set(re.sub(r"[a-z0-9.-]", "", name)))
    if odd:
        return "holds %s: use lower-case letters, digits, hyphens and dots" % ", ".join(repr(character) for character in odd)
    if not (name[0].isalnum() and name[-1].isalnum()):
        return "must start and end with a letter or a digit"
    if ".." in name or ".-" in name or "-." in name:
        return "has a dot beside a dot or a hyphen"
    if ADDRESS.match(name):
        return "looks like an IP address"
    for start in RESERVED_STARTS:
        if name.startswith(start):
            return "starts with %r, which is reserved" % start
    for end in RESERVED_ENDS:
        if name.endswith(end):
            return "ends with %r, which is reserved" % end
    return None


def check_bucket_name(name):
    """Raises InvalidInput when S3 forbids the name."""
    problem = bucket_name_problem(name)
    if problem:
        raise InvalidInput("bucket name %r %s" % (name, problem))
