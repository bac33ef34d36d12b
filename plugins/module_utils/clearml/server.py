# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ClearML server says about itself and about the caller.

Facts: `auth.fixed_users_mode` needs no pair and names errors of the server's start (recorded, apiserver 2.3.0);
`server.info` needs one; who a pair belongs to, with which role, is in the token that `auth.login` gives, also for the
identities of the server's own configuration, for which `users.get_current_user` fails with 400/300.
"""

from __future__ import annotations

import base64
import json

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import BadAnswer

TOKEN_SECONDS = 60


def identity(transport):
    """Who the caller is: dict id, name, role, company_id and company_name; raises ClearMLError."""
    token = transport.call("auth.login", {"expiration_sec": TOKEN_SECONDS}).get("token") or ""
    try:
        part = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)).decode("utf-8"))["identity"]
        return {
            "id": claims["user"],
            "name": claims.get("user_name"),
            "role": claims["role"],
            "company_id": claims["company"],
            "company_name": claims.get("company_name"),
        }
    except (IndexError, KeyError, TypeError, ValueError) as error:
        raise BadAnswer("the ClearML API at %s gave a token without an identity" % transport.api_url) from error


def mode(transport):
    """How people sign in at the web page, and what the server complains about.

    :returns: dict with mode (``fixed`` or ``open``), guest (bool) and errors (list of texts)
    """
    said = transport.call("auth.fixed_users_mode")
    return {
        "mode": "fixed" if said.get("enabled") else "open",
        "guest": bool((said.get("guest") or {}).get("enabled")),
        "errors": sorted(name for name, wrong in (said.get("server_errors") or {}).items() if wrong),
    }


def about(transport):
    """What `server.info` says: dict with version, build, commit, uid and api_version."""
    said = transport.call("server.info")
    return {key: said.get(key) or None for key in ("version", "build", "commit", "uid", "api_version")}
