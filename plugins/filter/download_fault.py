# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a download that failed is to a person."""

from __future__ import annotations

import re


def download_fault(result, url):
    """Why nothing was had from ``url``, as one sentence.

    :param result: failed result of ansible.builtin.uri, ansible.builtin.get_url or of what looked at the download
    :param url: what was asked for; a user and a password in it are not shown
    """
    shown = re.sub(r"//[^/@]*@", "//", url)
    status = result.get("status", result.get("status_code"))
    if status in (404, 410):
        return "%s answers %s: there is no such file." % (shown, status)
    said = re.sub(r"^Status code was -?\d+ and not \[[^]]*\]: ", "", " ".join(str(result.get("msg") or "no answer").split()))
    if result.get("response"):
        said = "%s, %s" % (said.rstrip("."), result["response"])
    said = re.sub(r"checksum for \S+", lambda _found: "checksum of " + shown, said).replace(url, shown)
    return "%s%s." % ("" if status is None or shown in said else shown + ": ", said.rstrip("."))


class FilterModule:
    """Filters for tasks that download."""

    def filters(self):
        return {"download_fault": download_fault}
