# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own modules are imported by name, the collection's by its full name from the staged copy, as Ansible does."""

import os
import sys
from pathlib import Path

from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder

HERE = Path(__file__).resolve().parent
STAGED = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(HERE.parents[1] / ".build/collections")
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]
_AnsibleCollectionFinder(paths=STAGED.split(os.pathsep), scan_sys_paths=False)._install()
