# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists that the server gives in parts.

Fact (apiserver 2.3.0, read in its source and recorded): a list without a page is the first 500 entries and does not say
that there are more; `page_size` counts up to 500.
"""

from __future__ import annotations

PAGE_SIZE = 500


def read_all(transport, endpoint, key, body):
    """All entries of a list.

    :param endpoint: service and action that lists (str)
    :param key: of the list in the answer
    :param body: dict of the call
    :returns: list of dicts, in the order of the server; one request where there are fewer than 500 entries
    :raises ClearMLError: see `Transport.call`
    """
    found = transport.call(endpoint, body).get(key) or []
    if len(found) < PAGE_SIZE:
        return found
    entries = {}  # by id: what is made or deleted meanwhile moves entries from one page to another
    page = 0
    while len(found) >= PAGE_SIZE:
        paged = dict({"order_by": ["id"]}, page=page, page_size=PAGE_SIZE, **body)
        found = transport.call(endpoint, paged).get(key) or []
        entries.update((entry["id"], entry) for entry in found)
        page += 1
    return list(entries.values())
