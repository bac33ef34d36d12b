# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter s3_keys: which pairs of the object store there have to be, and how one takes the place of another."""

from __future__ import annotations

DOCUMENTATION = r"""
name: s3_keys
short_description: The scoped pairs of the object store, and the next step of their rotation
version_added: 0.1.0
description:
  - Each owner has a current pair in the Secret. In a rotation the C(next) one is kept first and made on the server, then it becomes the
    current one and the current one the C(previous) one, in one write, and that goes when nobody uses it any more. So the current pair
    works at every moment, wherever a run ends.
  - Nothing is generated here.
author: homelab.mlops contributors (@homelab-mlops)
positional: _input
options:
  _input:
    description: Values of the Secret as text, by their keys.
    type: dict
    required: true
  own:
    description: Pairs that the inventory sets, by owner, each with C(access_key) and C(secret_key); empty texts for what is generated.
    type: dict
    default: {}
  rotate:
    description: Owners that get a new pair unless a rotation of theirs is under way.
    type: list
    elements: str
    default: []
  end:
    description: Owners whose previous pair is used by nobody any more.
    type: list
    elements: str
    default: []
  managed:
    description: Whether the server makes pairs. Otherwise only the agents have one, that of the inventory, and all others are removed.
    type: bool
    default: true
"""

EXAMPLES = r"""
- name: Say which users MinIO must have
  ansible.builtin.debug:
    msg: "{{ (__homelab_secret_values | homelab.mlops.s3_keys).users | map(attribute='access_key') }}"
"""

RETURN = r"""
_value:
  description:
    - C(refusal), one line or empty; C(wanted), the values to be kept before users are made; C(switch), those that turn next pairs into
      current ones once they work, empty when there is none; C(under_way), owners with a previous or next pair.
    - C(users), a list of C(owner), C(which), C(access_key) and C(secret_key) of all pairs that are kept.
  type: dict
"""

OWNERS = ("agents", "people", "delete")
# What MinIO takes, and what the header of a signed request can carry: an access key without spaces, commas and equals signs.
ACCESS_KEY = {"length": 20, "pattern": r"[!-+.-<>-~-]{3,20}"}
SECRET_KEY = {"length": 40, "pattern": r"[^\x00-\x1f\x7f]{8,40}"}


def names(owner, which="current"):
    """The keys of a pair in the Secret, access key first."""
    infix = "" if which == "current" else which + "_"
    return f"s3_{owner}_{infix}access_key", f"s3_{owner}_{infix}secret_key"


def pair(values, owner, which="current"):
    """A pair of the Secret, or None when a half of it is missing."""
    found = tuple(values.get(name) or "" for name in names(owner, which))
    return found if all(found) else None


def kept(owner, which, access_key="", secret_key=""):
    """The part of C(wanted) that keeps a pair, with a half that is given or generated."""
    access_name, secret_name = names(owner, which)
    return {access_name: dict(ACCESS_KEY, override=access_key), secret_name: dict(SECRET_KEY, override=secret_key)}


def removed(owner, which):
    """The part of C(wanted) that removes a pair."""
    return {name: {"absent": True} for name in names(owner, which)}


def s3_keys(values, own=None, rotate=(), end=(), managed=True):
    """See the documentation above."""
    if not managed:
        wanted = kept("agents", "current", **(own or {}).get("agents", {}))
        for owner in OWNERS:
            for which in ("current", "next", "previous"):
                wanted.update(removed(owner, which) if (owner, which) != ("agents", "current") else {})
        return {"refusal": "", "wanted": wanted, "switch": {}, "under_way": [], "users": []}
    plan = {"refusal": "", "wanted": {}, "switch": {}, "under_way": [], "users": []}
    for owner in OWNERS:
        _plan_one(plan, values, owner, (own or {}).get(owner) or {}, owner in rotate, owner in end)
    return plan


def _plan_one(plan, values, owner, own, rotate, end):
    """Adds what one owner needs to the plan."""
    current, following, previous = (pair(values, owner, which) for which in ("current", "next", "previous"))
    access_key, secret_key = own.get("access_key", ""), own.get("secret_key", "")
    other = current is not None and ((access_key and access_key != current[0]) or (secret_key and secret_key != current[1]))
    for which, found in (("current", current), ("next", following), ("previous", previous)):
        if found:
            plan["users"].append({"owner": owner, "which": which, "access_key": found[0], "secret_key": found[1]})
    if following or previous:
        plan["under_way"].append(owner)
    if current is None:
        plan["wanted"].update(kept(owner, "current", access_key, secret_key))
        return
    plan["wanted"].update(kept(owner, "current"))
    if end:
        plan["wanted"].update(removed(owner, "previous"))
        return
    if following:
        plan["switch"].update(kept(owner, "current", *following))
        plan["switch"].update(kept(owner, "previous", *current))
        plan["switch"].update(removed(owner, "next"))
    elif other and access_key == current[0]:
        plan["refusal"] = (
            f"another secret key for the access key that the {owner} have would end their pair at once: give them another access key too"
        )
    elif other and previous:
        plan["refusal"] = (
            f"the pair of the {owner} cannot be replaced while their previous one is in use: run the playbook rotate_s3_keys first, "
            "with the pair that they have"
        )
    elif other or (rotate and not previous):
        plan["wanted"].update(kept(owner, "next", access_key if other else "", secret_key if other else ""))


class FilterModule:
    """The filter."""

    def filters(self):
        return {"s3_keys": s3_keys}
