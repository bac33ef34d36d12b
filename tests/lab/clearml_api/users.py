# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""users.* and organization.*: the people of the company."""

import json

from .auth import COMPANY, COMPANY_NAME, SYSTEM_ROLES, put_user
from .calls import endpoint
from .errors import fail
from .query import Kind, get_all, get_all_ex, without
from .schema import Bool, Dict, Str

KIND = Kind(
    "users",
    ("id", "company", "name", "family_name", "given_name", "avatar", "preferences", "created_in_version", "created"),
    hidden=("preferences",),
    joins={"company": "companies"},
)
_SETTABLE = ("name", "family_name", "given_name")


def _user(call, key):
    system = call.identity.role in SYSTEM_ROLES
    user = call.store.get("users", key)
    if not user:
        raise fail("user_id", id=key, **({} if system else {"company": call.company}))
    return user


@endpoint("users.get_by_id", fields={"user": Str(required=True)})
def get_by_id(call):
    """Preferences are shown as they are kept: JSON text, empty where none were set."""
    return {"user": {"preferences": "", **without(_user(call, call.req.user), ())}}


@endpoint("users.get_all")
def users_get_all(call):
    users, rest = get_all(call, KIND)
    return {"users": users, **rest}


@endpoint("users.get_all_ex")
@endpoint("users.get_all_ex", "2.8")
def users_get_all_ex(call):
    users, rest = get_all_ex(call, KIND)
    return {"users": users, **rest}


@endpoint("users.get_current_user")
def get_current_user(call):
    user = call.store.get("users", call.user)
    if not user:  # users of secure.credentials other than `tests` are accounts without a person
        raise fail("user", "failed loading user")
    shown = without(user, KIND.hidden)
    shown["company"] = {"id": COMPANY, "name": COMPANY_NAME}
    shown["role"] = call.identity.role
    return {
        "user": shown,
        "getting_started": {
            "agentName": "clearml",
            "configure": "clearml-init",
            "install": "pip install clearml",
            "packageName": "clearml",
        },
        "settings": {"max_download_items": 50000},
    }


@endpoint(
    "users.create",
    roles=SYSTEM_ROLES,
    fields={
        "id": Str(required=True),
        "name": Str(required=True),
        "company": Str(required=True),
        "avatar": Str(),
        **{name: Str() for name in _SETTABLE[1:]},
    },
)
def create(call):
    if call.store.get("users", call.req.id):
        raise fail("user_id_exists", id=call.req.id)
    if call.req.company != COMPANY:
        raise fail("invalid_id", company=call.req.company)
    put_user(call.store, call.req.id, **call.sent("avatar", *_SETTABLE))


@endpoint("users.delete", roles=SYSTEM_ROLES, fields={"user": Str(required=True)})
def delete(call):
    if not call.store.get("users", call.req.user):
        raise fail("user_id", id=call.req.user)
    call.store.delete("users", call.req.user)


@endpoint("users.update", fields={"user": Str(required=True), **{name: Str() for name in _SETTABLE}})
def update(call):
    """Anyone may change anyone (clearml-api/users.update.jsonl); an unknown user is no error."""
    user, fields = call.store.get("users", call.req.user), call.sent(*_SETTABLE)
    if user and fields:
        user.update(fields)
        call.store.put("users", user)
        account = call.store.get("accounts", call.req.user)
        if account and "name" in fields:
            account["name"] = fields["name"]
            call.store.put("accounts", account)
    return {"fields": fields, "updated": int(bool(user and fields))}


@endpoint("users.get_preferences")
def get_preferences(call):
    return {"preferences": json.loads(_user(call, call.user).get("preferences") or "{}")}


@endpoint("users.set_preferences", fields={"preferences": Dict(required=True), "return_updated": Bool(default=True)})
def set_preferences(call):
    """Each key is a dotted path into the preferences."""
    user = _user(call, call.user)
    old = user.get("preferences") or "{}"
    preferences = json.loads(old)
    for path, value in call.req.preferences.items():
        *steps, last = path.split(".")
        target = preferences
        for step in steps:
            target = target.setdefault(step, {})
        target[last] = value
    changed = preferences != json.loads(old)
    if changed:
        user["preferences"] = json.dumps(preferences)
        call.store.put("users", user)
    return {"updated": int(changed), "fields": {"preferences": preferences} if changed and call.req.return_updated else {}}
