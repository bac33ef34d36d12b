# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter quantity_bytes: a Kubernetes quantity as a number of bytes."""

from __future__ import annotations

import math
import re
from decimal import Decimal

from ansible.errors import AnsibleFilterError

DOCUMENTATION = r"""
name: quantity_bytes
short_description: Bytes of a Kubernetes quantity
version_added: 0.1.0
description:
  - Turns a quantity as Kubernetes writes it for memory and storage, such as V(20Gi), into a number of bytes, so that two can be compared.
  - The suffixes are those of the Kubernetes API, where V(Gi) counts in powers of 1024 and V(G) in powers of 1000.
author: homelab.mlops contributors (@homelab-mlops)
positional: _input
options:
  _input:
    description: The quantity.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Refuse to shrink a volume
  ansible.builtin.assert:
    that: "'20Gi' | homelab.mlops.quantity_bytes >= '10Gi' | homelab.mlops.quantity_bytes"
"""

RETURN = r"""
_value:
  description: The number of bytes.
  type: int
"""

_QUANTITY = re.compile(r"^([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(m|[kMGTPE]|[KMGTPE]i|[eE][+-]?[0-9]+)?$")
_BINARY = {suffix: 1024**power for power, suffix in enumerate(("Ki", "Mi", "Gi", "Ti", "Pi", "Ei"), start=1)}
_DECIMAL = {suffix: 1000**power for power, suffix in enumerate(("k", "M", "G", "T", "P", "E"), start=1)}


def quantity_bytes(value: str | int) -> int:
    """Bytes of a quantity; fractions of a byte count as a whole one, as the Kubernetes API rounds them.

    Raises AnsibleFilterError when the text is no quantity
    (grammar: https://kubernetes.io/docs/reference/kubernetes-api/common-definitions/quantity/).
    """
    match = _QUANTITY.match(str(value))
    if not match:
        raise AnsibleFilterError(f"{value!r} is no quantity: write a number and a unit, such as 20Gi")
    number, suffix = Decimal(match.group(1)), match.group(2) or ""
    if suffix == "m":
        number /= 1000
    elif suffix in _BINARY:
        number *= _BINARY[suffix]
    elif suffix in _DECIMAL:
        number *= _DECIMAL[suffix]
    elif suffix:
        number = number.scaleb(int(suffix[1:]))
    return math.ceil(number)


class FilterModule:
    """Registers the filter."""

    def filters(self):
        return {"quantity_bytes": quantity_bytes}
