# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options that all ClearML modules share (doc fragment `homelab.mlops.clearml`)."""

from __future__ import annotations

from ansible.module_utils.basic import env_fallback

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.texts import sign_in_of
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.transport import Transport

MUTUALLY_EXCLUSIVE = [("access_key", "token"), ("secret_key", "token")]
REQUIRED_TOGETHER = [("access_key", "secret_key")]
REQUIRED_ONE_OF = [("access_key", "token")]


def connection_arguments():
    """Argument spec (dict) of the connection; a module adds its own options to it."""
    return {
        "api_url": {"type": "str", "required": True, "fallback": (env_fallback, ["CLEARML_API_HOST"])},
        "access_key": {"type": "str", "no_log": False, "fallback": (env_fallback, ["CLEARML_API_ACCESS_KEY"])},
        "secret_key": {"type": "str", "no_log": True, "fallback": (env_fallback, ["CLEARML_API_SECRET_KEY"])},
        "token": {"type": "str", "no_log": True},
        "timeout_seconds": {"type": "int", "default": 30},
        "validate_certs": {"type": "bool", "default": True},
        "ca_path": {"type": "path"},
        "client_cert": {"type": "path"},
        "client_key": {"type": "path"},
        "use_proxy": {"type": "bool", "default": True},
    }


def secrets_in(params):
    """What stands in addresses that are refused because of it, and must not be shown with the refusal.

    :param params: `module.params`
    :returns: set of texts
    """
    addresses = [params.get(option) for option in ("api_url", "default_output_destination", "output_destination")]
    addresses.append((params.get("script") or {}).get("repository"))
    return {sign_in_of(address) for address in addresses} - {""}


def transport_of(params):
    """The transport that a module's parameters describe.

    :param params: `module.params`
    :raises InvalidInput: an option has a value that cannot be meant
    """
    names = ("api_url", "access_key", "secret_key", "token", "timeout_seconds", "validate_certs", "ca_path", "client_cert", "client_key")
    return Transport(use_proxy=params["use_proxy"], **{name: params[name] for name in names})
