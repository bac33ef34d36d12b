#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: unit_info
short_description: Whether a systemd unit runs what is on disk
version_added: 0.1.0
description:
  - Compares the files that a unit recorded at its start with the same files as they are now.
  - The unit records them with an C(ExecStartPre) that writes C(sha256sum FILES) to C(/run/homelab-mlops/UNIT.sha256).
  - So a restart that was lost, because a run was killed between a write and its handler, is found by the next run.
author:
  - homelab.mlops contributors (@homelab-mlops)
attributes:
  check_mode:
    description: Can run in check mode and return what it would return otherwise.
    support: full
  diff_mode:
    description: Returns details on what has changed.
    support: none
    details: Nothing is changed.
options:
  unit:
    description: Full name of the unit.
    type: str
    required: true
  files:
    description: Files to compare. A file that is on neither side is no difference.
    type: list
    elements: path
    default: []
  journal_lines:
    description: How many of the last lines of the unit's present start to return. Tokens in them are masked.
    type: int
    default: 0
"""

EXAMPLES = r"""
- name: Look whether K3s runs with its configuration
  homelab.mlops.unit_info:
    unit: k3s.service
    files: [/usr/local/bin/k3s, /etc/rancher/k3s/config.yaml]
  register: k3s
"""

RETURN = r"""
active_state:
  description: As systemd names it; V(absent) without such a unit.
  returned: success
  type: str
  sample: active
main_pid:
  description: Main process; V(0) when none runs.
  returned: success
  type: int
restarts:
  description: How often systemd started it again by itself since a person or a run did.
  returned: success
  type: int
reasons:
  description: Why the unit is to be restarted, one line each; empty when it runs what is on disk.
  returned: success
  type: list
  elements: str
  sample: ["/etc/rancher/k3s/config.yaml changed since it started"]
journal:
  description: Last lines of the journal.
  returned: success
  type: list
  elements: str
"""

import hashlib
import os
import re

from ansible.module_utils.basic import AnsibleModule

RECORDS = "/run/homelab-mlops"
# A token with its CA hash, token=VALUE, and "token": "VALUE"; not a file name before a colon.
SECRET = re.compile(
    r"(K10[0-9a-f]{8})[0-9a-f]*(?:::\S+)?|((?:token|password|secret)(?:\s*=\s*|[\"']\s*:\s*)[\"']?)[^\s\"',]+", re.IGNORECASE
)


def masked(line):
    """A journal line without what follows a token's CA hash, or words such as token= and password:."""
    return SECRET.sub(lambda found: (found.group(1) or found.group(2)) + "****", line)


def record_of(text):
    """Path to checksum from the output of sha256sum; lines it wrote for unreadable files are not among them."""
    record = {}
    for line in text.splitlines():
        checksum, sep, path = line.partition("  ")
        if sep and len(checksum) == 64:
            record[path] = checksum
    return record


def checksum_of(path):
    """SHA-256 of a file in hexadecimal; None when there is none."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                digest.update(block)
    except OSError:
        return None
    return digest.hexdigest()


def differences(record, files):
    """One line for each of `files` that is not now what `record` says it was."""
    lines = []
    for path in files:
        now, then = checksum_of(path), record.get(path)
        if now == then:
            continue
        lines.append(f"{path} {'is gone' if now is None else 'is new' if then is None else 'changed'} since it started")
    return lines


def main():
    module = AnsibleModule(
        argument_spec={
            "unit": {"type": "str", "required": True},
            "files": {"type": "list", "elements": "path", "default": []},
            "journal_lines": {"type": "int", "default": 0},
        },
        supports_check_mode=True,
    )
    unit = module.params["unit"]
    properties = "LoadState,ActiveState,MainPID,InvocationID,NeedDaemonReload,NRestarts"
    rc, out, err = module.run_command([module.get_bin_path("systemctl", required=True), "show", "-p", properties, unit])
    if rc != 0:
        module.fail_json(msg=f"systemctl show {unit}: {err.strip()}", rc=rc)
    state = dict(line.split("=", 1) for line in out.splitlines() if "=" in line)
    active = state.get("ActiveState", "") if state.get("LoadState") == "loaded" else "absent"
    reasons = []
    if active not in ("active", "reloading"):
        reasons.append(f"it is {active}")
    else:
        if state.get("NeedDaemonReload") == "yes":
            reasons.append("its unit file changed since systemd read it")
        if module.params["files"]:
            try:
                with open(os.path.join(RECORDS, unit + ".sha256"), encoding="utf-8") as stream:
                    reasons += differences(record_of(stream.read()), module.params["files"])
            except OSError:
                reasons.append("it has no record of what it started with")
    journal = []
    if module.params["journal_lines"] > 0:
        command = [module.get_bin_path("journalctl", required=True), "--no-pager", "--quiet", "--output=cat"]
        command += [f"--lines={module.params['journal_lines']}", f"--unit={unit}"]
        if state.get("InvocationID"):
            command.append(f"_SYSTEMD_INVOCATION_ID={state['InvocationID']}")
        _rc, out, _err = module.run_command(command)
        journal = [masked(line) for line in out.splitlines()]
    counts = {"main_pid": int(state.get("MainPID") or 0), "restarts": int(state.get("NRestarts") or 0)}
    module.exit_json(changed=False, active_state=active, reasons=reasons, journal=journal, **counts)


if __name__ == "__main__":
    main()
