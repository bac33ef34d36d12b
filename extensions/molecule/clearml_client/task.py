# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A task with an artifact, by ClearML's SDK with nothing but the settings that the environment names; prints id and artifact's URL."""

import sys

from clearml import Task

task = Task.init("clients", sys.argv[1], auto_connect_frameworks=False, auto_resource_monitoring=False, reuse_last_task_id=False)
if not task.upload_artifact("note", {"written by": sys.argv[1]}, wait_on_upload=True):
    sys.exit("the artifact was not uploaded")
print("made", task.id, task.artifacts["note"].url)
task.close()
