# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A rotation as it is kept in the Secret: whatever run ends where, the pair that is handed out is one that works."""

from __future__ import annotations

import itertools

import pytest
from ansible_collections.homelab.mlops.plugins.filter.homelab import secret_data, secret_differs, secret_values
from ansible_collections.homelab.mlops.plugins.filter.s3_keys import OWNERS, s3_keys


class Store:
    """A Secret and the users of a server, changed as the role minio changes them, one write after the other.

    Attributes:
        values: what the Secret holds, as text.
        users: pairs that the server takes.
    """

    def __init__(self):
        self.values = {}
        self.users = set()

    def keep(self, wanted):
        if secret_differs(secret_data(self.values), wanted):
            self.values = secret_values(secret_data(self.values), wanted)

    def steps(self, **given):
        """The writes of one run, each a function; a run that is killed does some of them."""
        plan = s3_keys(self.values, **given)
        assert plan["refusal"] == ""
        yield lambda: self.keep(plan["wanted"])
        yield lambda: self.users.update((one["access_key"], one["secret_key"]) for one in s3_keys(self.values)["users"])
        yield lambda: self.keep(s3_keys(self.values)["switch"])

    def end(self, owner):
        """The writes that end a rotation."""
        yield lambda: self.users.discard(self.pair(owner, "previous_"))
        yield lambda: self.keep(s3_keys(self.values, end=[owner])["wanted"])

    def run(self, **given):
        for step in self.steps(**given):
            step()

    def pair(self, owner, which=""):
        return tuple(self.values.get(f"s3_{owner}_{which}{half}_key") for half in ("access", "secret"))

    def which(self, owner):
        return {one["which"] for one in s3_keys(self.values)["users"] if one["owner"] == owner}


@pytest.fixture
def store():
    made = Store()
    made.run()
    return made


def test_each_owner_has_a_pair_of_its_own(store):
    pairs = [store.pair(owner) for owner in OWNERS]
    assert len(set(pairs)) == 3 and store.users == set(pairs)
    assert all(len(access) == 20 and len(secret) == 40 for access, secret in pairs)


def test_a_second_run_changes_nothing(store):
    before = dict(store.values)
    store.run()
    assert store.values == before and s3_keys(store.values)["under_way"] == []


@pytest.mark.parametrize("owner", OWNERS)
def test_a_rotation_keeps_the_old_pair_until_it_is_ended(store, owner):
    old = store.pair(owner)
    store.run(rotate=[owner])
    assert store.pair(owner) != old and store.pair(owner, "previous_") == old
    assert {old, store.pair(owner)} <= store.users
    assert s3_keys(store.values)["under_way"] == [owner]
    for step in store.end(owner):
        step()
    assert store.which(owner) == {"current"} and old not in store.users and store.pair(owner) in store.users


def test_a_run_in_the_middle_of_a_rotation_makes_no_third_pair(store):
    store.run(rotate=["agents"])
    before = dict(store.values)
    store.run(rotate=["agents"])
    assert store.values == before


@pytest.mark.parametrize("killed_after", list(itertools.product(range(4), range(3))))
def test_the_pair_that_is_handed_out_works_wherever_runs_are_killed(store, killed_after):
    """Two runs of a rotation killed after some of their writes, then one that is not."""
    old = store.pair("agents")
    for writes in killed_after:
        for step in itertools.islice(store.steps(rotate=["agents"]), writes):
            step()
            assert store.pair("agents") in store.users
    store.run(rotate=["agents"])
    assert store.pair("agents") != old and store.pair("agents", "previous_") == old
    for step in itertools.islice(store.end("agents"), 1):
        step()
    assert store.pair("agents") in store.users
    for step in store.end("agents"):
        step()
    assert store.which("agents") == {"current"} and store.users == {store.pair(owner) for owner in OWNERS}


def test_a_pair_of_the_inventory_takes_the_place_of_a_generated_one_like_a_rotation(store):
    old = store.pair("agents")
    own = {"agents": {"access_key": "of-the-vault", "secret_key": "secret-of-the-vault"}}
    store.run(own=own)
    assert store.pair("agents") == ("of-the-vault", "secret-of-the-vault") and store.pair("agents", "previous_") == old
    before = dict(store.values)
    store.run(own=own)
    assert store.values == before


def test_half_a_pair_of_the_inventory_is_completed():
    store = Store()
    store.run(own={"agents": {"access_key": "of-the-vault", "secret_key": ""}})
    access, secret = store.pair("agents")
    assert access == "of-the-vault" and len(secret) == 40


def test_another_secret_for_the_same_access_key_is_refused(store):
    access, unused = store.pair("agents")
    plan = s3_keys(store.values, own={"agents": {"access_key": access, "secret_key": "another-secret"}})
    assert "would end their pair at once" in plan["refusal"]


def test_a_second_change_of_pair_is_refused_while_the_first_is_under_way(store):
    store.run(own={"agents": {"access_key": "first-one", "secret_key": ""}})
    plan = s3_keys(store.values, own={"agents": {"access_key": "second-one", "secret_key": ""}})
    assert "rotate_s3_keys" in plan["refusal"]


def test_a_server_that_makes_no_pairs_leaves_only_that_of_the_inventory(store):
    store.run(rotate=["agents"])
    own = {"agents": {"access_key": "made-there", "secret_key": "secret-made-there"}}
    store.keep(s3_keys(store.values, own=own, managed=False)["wanted"])
    assert store.values == {"s3_agents_access_key": "made-there", "s3_agents_secret_key": "secret-made-there"}
