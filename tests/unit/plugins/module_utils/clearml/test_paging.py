# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.paging import read_all


class Listing(object):
    """Gives a list as the server does: 500 entries at most, those of one page."""

    def __init__(self, count):
        self.entries = [{"id": number} for number in range(count)]
        self.bodies = []

    def call(self, endpoint, body):
        self.bodies.append(body)
        size = min(body.get("page_size", 500), 500)
        start = body.get("page", 0) * size
        return {"queues": self.entries[start : start + size]}


@pytest.mark.parametrize("count, requests", [(0, 1), (1, 1), (499, 1), (500, 3), (501, 3), (1003, 4)])
def test_every_entry_once(count, requests):
    listing = Listing(count)
    assert read_all(listing, "queues.get_all", "queues", {"search_hidden": True}) == listing.entries
    assert len(listing.bodies) == requests
    assert listing.bodies[0] == {"search_hidden": True}
    assert all(body["order_by"] == ["id"] and body["search_hidden"] for body in listing.bodies[1:])


def test_the_order_that_was_asked_for_stays():
    listing = Listing(600)
    read_all(listing, "tasks.get_all", "queues", {"order_by": ["-created"]})
    assert {tuple(body["order_by"]) for body in listing.bodies} == {("-created",)}


def test_an_entry_that_moves_to_the_next_page_counts_once():
    listing = Listing(700)

    def call(endpoint, body, plain=listing.call):
        answer = plain(endpoint, body)
        if body.get("page") == 0:
            listing.entries.insert(0, {"id": "made meanwhile"})
        return answer

    listing.call = call
    found = [entry["id"] for entry in read_all(listing, "queues.get_all", "queues", {})]
    assert sorted(found) == list(range(700))
