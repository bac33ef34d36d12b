# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs a module as Ansible does: arguments in, one JSON document on standard output, an exit status."""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import urllib.request
from unittest import mock

import pytest
from ansible.module_utils.common import warnings
from ansible.module_utils.testing import patch_module_args


class Outcome(dict):
    """What the module printed; `failed` is always there, `warnings` are plain texts."""

    def __init__(self, printed, status):
        super().__init__(printed)
        assert bool(self.get("failed")) == (status != 0)
        self.setdefault("failed", False)
        self["warnings"] = [warning["event"]["msg"] for warning in self.get("warnings", [])]
        self.text = json.dumps(printed)


def run(module_name, /, check=False, **options):
    """Runs a module of this collection in this process.

    :param module_name: of the module
    :param check: whether it runs in check mode
    :param options: its options; None is left out
    :returns: Outcome
    """
    module = importlib.import_module("ansible_collections.homelab.mlops.plugins.modules." + module_name)
    arguments = {key: value for key, value in options.items() if value is not None}
    arguments.update(_ansible_check_mode=check, _ansible_diff=True, _ansible_remote_tmp="/tmp", _ansible_keep_remote_files=False)
    output = io.StringIO()
    of_this_run = mock.patch.dict(warnings._global_warnings, clear=True)  # a module's process has its own
    opener = mock.patch.object(urllib.request, "_opener", None)  # open_url leaves its own behind
    with of_this_run, opener, patch_module_args(arguments), contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
        module.main()
    return Outcome(json.loads(output.getvalue()), ended.value.code)
