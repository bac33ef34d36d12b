# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The settings of the server: defaults, files of a configuration folder, `CLEARML__` variables, in this order.

A file `NAME.conf` holds what stands below `NAME` (apiserver.conf: `auth.fixed_users`), a variable
`CLEARML__SECURE__CREDENTIALS__APISERVER__USER_KEY` one value. Facts: the pairs below are the public defaults of server
2.3.0, which therefore open every server that does not replace them (clearml-api/auth.login.jsonl, "works in BOTH modes").
"""

import copy
import hashlib
from pathlib import Path

from .auth import COMPANY
from .hocon import HoconError, merge_into, parse, scalar

DEFAULTS = {
    "apiserver": {
        "auth": {
            "fixed_users": {"enabled": False, "pass_hashed": False, "users": []},
            "session_auth_cookie_name": "clearml_token_basic",
        }
    },
    "fileserver": {"auth": {"enabled": True, "cookie_names": ["clearml_token_basic"]}},
    "secure": {
        "auth": {"token_secret": "a secret for tests that no deployment keeps"},
        "credentials": {
            "apiserver": {
                "role": "system",
                "user_key": "62T8CP7HGBC6647XF9314C2VY67RJO",
                "user_secret": "gaOfhDX2-bpkeI7-cwEcaMuGijxaG2UG3jbIvg4DxmVGF0LNI7rgvCb1-ne38IlBo1w",
            },
            "fileserver": {
                "role": "system",
                "user_key": "GSQWPEKSKNKF354LC9V6BHXKTYFD5I",
                "user_secret": "tuBXcGQBECsEhcNiK2kiWi750z9r8Z85XrQ9V0c24huTuCb2xf2X1nKG",
            },
            "webserver": {
                "role": "system",
                "user_key": "EYVQ385RW7Y2QQUH88CZ7DWIQ1WUHP",
                "user_secret": "XhkH6a6ds9JBnM_MrahYyYdO-wS2bqFSm8gl-V0UZXH26Ydd6Eyi28TeBEoSr6Z3Bes",
                "revoke_in_fixed_mode": True,
            },
            "services_agent": {"role": "admin", "user_key": "", "user_secret": ""},
            "tests": {
                "role": "user",
                "display_name": "Default User",
                "user_key": "EGRTCO8JMSIGI6S39GTP43NFWXDQOW",
                "user_secret": "LPEJbGJ6bK4tujQcmrD3i1dbMBDdwUwelVa-LG0K0FFmY9bzH_H0Sw",
                "revoke_in_fixed_mode": True,
            },
        },
    },
}

# the fixed users of the recordings, for `--mode fixed`
RECORDED_USERS = [
    {"username": "alice", "password": "alice-pw-1", "name": "Alice Example"},
    {"username": "bob", "password": "bob-pw-2", "name": "Bob Example"},
    {"username": "carol", "password": "pässwörd", "name": "Carol Ünicode"},
]


def load(folder=None, environment=None):
    """The tree of settings. Raises HoconError for a file that cannot be read."""
    tree = copy.deepcopy(DEFAULTS)
    if folder and Path(folder).is_dir():
        for path in sorted(Path(folder).glob("*.conf")):
            merge_into(tree.setdefault(path.stem, {}), parse(path.read_text(encoding="utf-8")))
    for name, value in sorted((environment or {}).items()):
        prefix, *path = name.split("__")
        if prefix in ("CLEARML", "TRAINS") and path:
            target = tree
            for step in path[:-1]:
                target = target.setdefault(step.lower(), {})
            target[path[-1].lower()] = _variable(value)
    return tree


def _variable(text):
    """Lists and objects are read as in files; what cannot be read stays text, for this program may not need it."""
    if text.lstrip().startswith(("[", "{")):
        try:
            return parse(f"value: {text}")["value"]
        except HoconError:
            return text
    return scalar(text)


class Config:
    """What the services ask of the settings."""

    def __init__(self, tree):
        fixed = tree["apiserver"]["auth"]["fixed_users"]
        self.fixed = bool(fixed.get("enabled"))
        self.passwords_hashed = bool(fixed.get("pass_hashed"))
        self.cookie_name = str(tree["apiserver"]["auth"].get("session_auth_cookie_name"))
        self.token_secret = str(tree["secure"]["auth"]["token_secret"])
        self.internal_users = {
            name: {
                "role": user["role"],
                "key": str(user.get("user_key") or ""),
                "secret": str(user.get("user_secret") or ""),
                "display_name": user.get("display_name", name),
                "revoke_in_fixed_mode": bool(user.get("revoke_in_fixed_mode")),
            }
            for name, user in tree["secure"]["credentials"].items()
        }
        self.fixed_users = []
        for user in fixed.get("users") or () if self.fixed else ():
            name = str(user["username"])
            key = hashlib.md5(f"{COMPANY}:{name}".encode(), usedforsecurity=False).hexdigest()
            self.fixed_users.append({"id": key, "username": name, "password": str(user["password"]), "name": user.get("name", name)})

    def fixed_user(self, name):
        return next((user for user in self.fixed_users if user["username"] == name), None)
