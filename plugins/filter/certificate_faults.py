# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a certificate serves: for the own authority, which renews it otherwise, and for one that a person gives."""

from __future__ import annotations

from ansible_collections.homelab.mlops.plugins.plugin_utils.certificates import certificate_faults

DOCUMENTATION = r"""
name: certificate_faults
short_description: What speaks against a server's certificate
version_added: 0.1.0
description:
  - Looks at its time, its names, its private key and the authority that signed it, and says each fault on a line.
  - Runs on the controller and needs the Python library C(cryptography), which ansible-core brings.
author:
  - homelab.mlops contributors (@homelab-mlops)
positional: _input
options:
  _input:
    description: The certificate in PEM, followed by those between it and its authority.
    type: str
    required: true
  key:
    description: Its private key in PEM. Without it no key is looked at.
    type: str
  names:
    description: Host names and IP addresses that it must hold for.
    type: list
    elements: str
    default: []
  authorities:
    description: Certificates in PEM of the authorities that clients know. Without them none is looked for.
    type: str
  days:
    description: How many days it must still be valid.
    type: int
    default: 0
  exact:
    description: Whether it may hold for no other names.
    type: bool
    default: false
"""

EXAMPLES = r"""
- name: Refuse a certificate that no client would take
  ansible.builtin.assert:
    that: faults | length == 0
    fail_msg: "{{ faults | join('; ') }}"
  vars:
    faults: "{{ lookup('ansible.builtin.file', 's3.pem') | homelab.mlops.certificate_faults(names=['s3.home.example']) }}"
"""

RETURN = r"""
_value:
  description: The faults; empty when there is none.
  type: list
  elements: str
  sample:
    - it ended on 2026-01-31
"""


class FilterModule:
    """Filter that judges certificates."""

    def filters(self):
        return {"certificate_faults": certificate_faults}
