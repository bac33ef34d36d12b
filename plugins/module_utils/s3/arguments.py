# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection options that the S3 and MinIO modules share (doc fragment `homelab.mlops.s3`)."""

from __future__ import annotations

import copy
import os
import re
from urllib.parse import urlsplit

from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import InvalidInput

REGION = re.compile(r"^[A-Za-z0-9_-]+$")


def connection_arguments():
    """Argument spec (dict) of the connection; a module adds its own options to it."""
    return {
        "endpoint_url": {"type": "str", "required": True},
        "access_key": {"type": "str", "required": True, "no_log": False},
        "secret_key": {"type": "str", "required": True, "no_log": True},
        "region": {"type": "str", "default": "us-east-1"},
        "timeout_seconds": {"type": "int", "default": 30},
        "validate_certs": {"type": "bool", "default": True},
        "ca_bundle": {"type": "path"},
    }


class Connection(object):
    """The checked connection options of a module.

    :ivar endpoint_url: address without a trailing slash
    :ivar host: host and port as in the address
    :ivar secure: whether it is https
    :raises InvalidInput: an option has a value that cannot be meant
    """

    def __init__(self, params):
        self.endpoint_url = (params["endpoint_url"] or "").strip().rstrip("/")
        try:
            parts = urlsplit(self.endpoint_url)
            valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
            valid = valid and not any(character.isspace() for character in self.endpoint_url)
        except ValueError:
            valid = False
        if not valid or parts.path or parts.query or parts.fragment:
            raise InvalidInput("endpoint_url must be an address such as http://192.0.2.20:9000, without a bucket")
        if parts.username is not None or parts.password is not None:
            raise InvalidInput("endpoint_url must not hold a user or a password: use access_key and secret_key")
        if not REGION.match(params["region"]):
            raise InvalidInput("region %r must be a name such as us-east-1" % params["region"])
        if params["timeout_seconds"] <= 0:
            raise InvalidInput("timeout_seconds must be above 0")
        if params["ca_bundle"] and not os.access(params["ca_bundle"], os.R_OK):
            raise InvalidInput("ca_bundle %s is not a file that can be read on this host" % params["ca_bundle"])
        self.host = parts.netloc
        self.secure = parts.scheme == "https"
        self.access_key = params["access_key"]
        self.secret_key = params["secret_key"]
        self.region = params["region"]
        self.timeout_seconds = params["timeout_seconds"]
        self.validate_certs = params["validate_certs"]
        self.ca_bundle = params["ca_bundle"]

    def signed_by(self, access_key, secret_key):
        """The same connection with another pair."""
        other = copy.copy(self)
        other.access_key, other.secret_key = access_key, secret_key
        return other
