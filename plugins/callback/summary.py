# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: summary
type: aggregate
short_description: Phases with their duration, and what changed where, at the end of a run
version_added: 0.1.0
description:
  - After the recap, prints how long each play took and, for each host, the tasks that changed it.
  - A task that was delegated is listed under the host it ran on, with the host it was run for.
  - In check mode the same list says what would change.
requirements:
  - enable in configuration, C(callbacks_enabled = homelab.mlops.summary)
options:
  changes_per_host:
    description: How many changed tasks to name for one host; the rest is counted.
    type: int
    default: 12
    env:
      - name: HOMELAB_MLOPS_SUMMARY_CHANGES
    ini:
      - section: callback_homelab_mlops_summary
        key: changes_per_host
author:
  - homelab.mlops contributors (@homelab-mlops)
"""

import time

from ansible.plugins.callback import CallbackBase


def duration(seconds: float) -> str:
    """Seconds as a person reads them: ``8 s`` or ``2 min 05 s``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    return f"{whole // 60} min {whole % 60:02d} s"


class CallbackModule(CallbackBase):
    """Collects play times and changed tasks; prints them once, after the recap."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "homelab.mlops.summary"
    CALLBACK_NEEDS_ENABLED = True

    def __init__(self):
        super().__init__()
        self._phases = []
        self._changes = {}
        self._delegated = {}
        self._check_mode = False

    def v2_playbook_on_play_start(self, play):
        now = time.monotonic()
        self._end_phase(now)
        self._phases.append([play.get_name(), now, None])
        self._check_mode = bool(play.check_mode)

    def v2_runner_item_on_ok(self, result):
        # In a loop each item may be delegated to another host, which the result of the whole does not tell.
        if result.is_changed() and result.task_fields.get("delegate_to"):
            self._delegated.setdefault(result.host.get_name(), set()).add(result.task_fields["delegate_to"])

    def v2_runner_on_ok(self, result):
        host = result.host.get_name()
        delegated = self._delegated.pop(host, set())
        if not result.is_changed():
            return
        # Outside of a loop the task carries the name after templating; None or the host itself where nothing was delegated.
        for where in sorted(delegated) or [result.task.delegate_to or host]:
            name = result.task.get_name()
            self._changes.setdefault(where, []).append(name if where == host else f"{name} (for {host})")

    def v2_playbook_on_stats(self, stats):
        self._end_phase(time.monotonic())
        self._display.banner("SUMMARY")
        width = max((len(name) for name, _start, _took in self._phases), default=0)
        for name, _start, took in self._phases:
            self._display.display(f"{name:<{width}}  {duration(took)}")
        verb = "would change" if self._check_mode else "changed"
        if not self._changes:
            self._display.display(f"Nothing {verb}.")
        shown = self.get_option("changes_per_host")
        for host in sorted(self._changes):
            names = self._changes[host]
            self._display.display(f"{host}: {len(names)} {verb}", color="yellow")
            for name in names[:shown]:
                self._display.display(f"    {name}")
            if len(names) > shown:
                self._display.display(f"    and {len(names) - shown} more (HOMELAB_MLOPS_SUMMARY_CHANGES={len(names)} names them all)")

    def _end_phase(self, now):
        if self._phases and self._phases[-1][2] is None:
            self._phases[-1][2] = now - self._phases[-1][1]
