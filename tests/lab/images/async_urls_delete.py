# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands where the upstream chart starts the job that deletes files of deleted tasks: waits for its end, deletes nothing."""

import signal
import sys

signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
print("stand-in: deletes nothing", flush=True)
signal.pause()
