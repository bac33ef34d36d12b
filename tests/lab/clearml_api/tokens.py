# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON web tokens (HS256) with the error texts of the library that the real server uses."""

import base64
import binascii
import hashlib
import hmac
import json
import time


class TokenError(ValueError):
    """A token that cannot be accepted; the text is the reason that callers see."""


class KeyNotWanted(TokenError):
    """An unsigned token."""


def _encode(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def _decode(segment, name):
    try:
        return base64.urlsafe_b64decode(segment + b"=" * (-len(segment) % 4))
    except (binascii.Error, ValueError):
        raise TokenError(f"Invalid {name} padding") from None


def _object(data, name):
    try:
        value = json.loads(data)
    except ValueError as error:
        raise TokenError(f"Invalid {name} string: {error}") from None
    if not isinstance(value, dict):
        raise TokenError(f"Invalid {name} string: must be a json object")
    return value


def _signature(message, secret):
    return hmac.new(secret.encode(), message, hashlib.sha256).digest()


def create(payload, secret):
    head = _encode(json.dumps({"alg": "HS256", "typ": "JWT"}).encode())
    message = head + b"." + _encode(json.dumps(payload).encode())
    return (message + b"." + _encode(_signature(message, secret))).decode()


def read(token, secret):
    """The payload of a valid token. Raises TokenError."""
    parts = token.encode().split(b".")
    if len(parts) < 3:
        raise TokenError("Not enough segments")
    message, _, crypto = token.encode().rpartition(b".")
    head, _, payload = message.partition(b".")
    header = _object(_decode(head, "header"), "header")
    body = _decode(payload, "payload")
    signature = _decode(crypto, "crypto")
    if header.get("alg") == "none":
        raise KeyNotWanted('When alg = "none", key value must be None.')
    if header.get("alg") != "HS256":
        raise TokenError("The specified alg value is not allowed")
    if not hmac.compare_digest(signature, _signature(message, secret)):
        raise TokenError("Signature verification failed")
    claims = _object(body, "payload")
    if claims.get("exp") is not None and claims["exp"] <= time.time():
        raise TokenError("Signature has expired")
    return claims
