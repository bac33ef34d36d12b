# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""organization.*, server.*, login.* and debug.*: the small endpoints about the installation."""

from .auth import COMPANY, COMPANY_NAME
from .calls import API_VERSION, SERVER_VERSION, endpoint
from .schema import Any, Bool, Dict


@endpoint("debug.ping", authorize=False)
def ping(call):
    """Everything that was sent comes back."""
    return {"msg": "ClearML server", **call.data}


@endpoint("server.info", "2.12")
@endpoint("server.info")
def info(call):
    return {"version": SERVER_VERSION, "build": "", "commit": "", "api_version": API_VERSION}


@endpoint("login.supported_modes", authorize=None)
def supported_modes(call):
    return {
        "authenticated": call.identity is not None,
        "basic": {"enabled": call.server.config.fixed, "guest": {"enabled": False}},
        "server_errors": {"es_connection_error": False, "missed_es_upgrade": False},
        "sso": {},
        "sso_providers": [],
    }


@endpoint("login.logout", "2.13", authorize=None)
def logout(call):
    call.cookies[call.server.config.cookie_name] = None


_TAGGED = ("projects", "tasks", "models", "queues")


@endpoint("organization.get_tags", fields={"include_system": Bool(), "filter": Dict()})
def get_tags(call):
    """The tags in use by projects' tasks and models."""
    result = {}
    for field in ("tags", "system_tags") if call.req.include_system else ("tags",):
        result[field] = sorted({tag for kind in ("tasks", "models") for item in call.store.all(kind) for tag in item.get(field) or ()})
    return result


@endpoint("organization.get_user_companies")
def get_user_companies(call):
    owners = [{"id": user["id"], "name": user["name"], "avatar": user.get("avatar")} for user in call.store.all("users")]
    owners.sort(key=lambda owner: owner["name"])
    return {"companies": [{"id": COMPANY, "name": COMPANY_NAME, "allocated": len(owners), "owners": owners}]}


@endpoint("organization.get_entities_count", fields={kind: Any() for kind in _TAGGED})
def get_entities_count(call):
    """How many entities each sent query finds."""
    from .query import Kind, select

    result = {}
    for kind in _TAGGED:
        asked = call.data.get(kind)
        if asked is not None:
            query = {**asked, "page": None, "page_size": None}
            found, _ = select(call, Kind(kind, (), plain=("status", "type", "project", "user", "parent")), asked=query)
            result[kind] = len(found)
    return result
