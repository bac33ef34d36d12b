# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment(object):
    """Attributes that the modules of this collection share."""

    DOCUMENTATION = r"""
options: {}
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Will return details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  idempotent:
    description:
      - When run twice in a row outside check mode, with the same arguments, the second invocation indicates no change.
      - This assumes that the system that the module controls has not changed in a relevant way.
  platform:
    description: Target OS or families that can be operated against.
    support: full
    platforms: posix
"""

    # For modules that change something.
    WRITES = r"""
options: {}
attributes:
  check_mode:
    support: full
  diff_mode:
    support: full
    details:
      - Secrets are never part of the difference.
"""

    # For modules that only read.
    INFO = r"""
options: {}
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
  idempotent:
    support: full
    details:
      - This action does not modify state.
"""

    CLEARML = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/homelab.mlops.clearml) in C(module_defaults) to set the connection once.
    support: full
    membership:
      - homelab.mlops.clearml
"""

    S3 = r"""
options: {}
attributes:
  action_group:
    description: Use C(group/homelab.mlops.s3) in C(module_defaults) to set the connection once.
    support: full
    membership:
      - homelab.mlops.s3
"""
