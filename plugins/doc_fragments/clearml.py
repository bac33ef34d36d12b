# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment(object):
    """Options of the connection to a ClearML API server."""

    DOCUMENTATION = r"""
options:
  api_url:
    description:
      - Address of the API server, which is not that of the web page, without a version.
      - Falls back to the environment variable E(CLEARML_API_HOST).
    type: str
    required: true
  access_key:
    description:
      - Access key of the pair that signs in.
      - The name of a user that is configured on the server works too, with its password as O(secret_key).
      - Falls back to the environment variable E(CLEARML_API_ACCESS_KEY).
    type: str
  secret_key:
    description:
      - Secret key of that pair.
      - Falls back to the environment variable E(CLEARML_API_SECRET_KEY).
    type: str
  token:
    description: Bearer token, instead of the pair.
    type: str
  timeout_seconds:
    description:
      - How long one request may take, in seconds, to the last byte of its answer.
      - Refused connections, timeouts and the HTTP statuses 429, 502, 503 and 504 are tried again, up to 5 times in all and
        within about three times this time.
    type: int
    default: 30
  validate_certs:
    description: Whether the certificate of an https address is checked.
    type: bool
    default: true
  ca_path:
    description: File on the target with the certificate of the authority that signed the server's, in PEM form.
    type: path
  client_cert:
    description:
      - File on the target with the certificate that this side shows, in PEM form, for servers behind a proxy that asks for one.
      - It may hold the key too.
    type: path
  client_key:
    description: File on the target with the key of O(client_cert), in PEM form.
    type: path
  use_proxy:
    description: Whether the proxy variables of the environment count.
    type: bool
    default: true
notes:
  - Needs no Python package beside Ansible's own on the target.
"""
