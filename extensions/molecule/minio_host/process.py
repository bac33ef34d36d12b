# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What systemd, /proc and the file system say of MinIO. Argument: the file of secrets."""

import base64
import json
import pathlib
import pwd
import subprocess
import sys


def show(name):
    """A property of the unit."""
    return subprocess.check_output(["systemctl", "show", "--value", f"--property={name}", "minio.service"]).decode().strip()


process = pathlib.Path("/proc") / show("MainPID")
status = dict(line.split(":", 1) for line in (process / "status").read_text().splitlines())
print(f"runs as {pwd.getpwuid(int(status['Uid'].split()[0])).pw_name}, {show('UnitFileState')}")
if int(status["NoNewPrivs"]) and not any(int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")):
    print("no new privileges, no capabilities")
if show("ProtectSystem") == "strict":
    print(f"writes to: {show('ReadWritePaths')}")
secrets = [base64.b64decode(value) for value in json.loads(pathlib.Path(sys.argv[1]).read_text()).values()]
arguments = (process / "cmdline").read_bytes()
if len(secrets) >= 4 and not any(secret in arguments for secret in secrets):
    print("no secret in its arguments")
for path in map(pathlib.Path, ("/etc/minio/environment", sys.argv[1].rpartition("/")[0], sys.argv[1])):
    print(f"{path} {path.owner()} {path.stat().st_mode & 0o7777:o}")
