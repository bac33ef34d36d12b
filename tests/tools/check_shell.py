#!/usr/bin/env python3
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs shellcheck over every file of the working tree that begins with a shell's name."""

from __future__ import annotations

import re
import subprocess
import sys

from stage import ROOT, listed

_SHELL = re.compile(rb"^#!\s*(/usr)?/bin/(env )?(ba|da)?sh\b")


def main() -> int:
    scripts = []
    for name in sorted(listed(ROOT)):
        if name.endswith(".j2") or not (ROOT / name).is_file():
            continue
        with open(ROOT / name, "rb") as file:
            if _SHELL.match(file.read(64)):
                scripts.append(name)
    print(f"shellcheck: {len(scripts)} scripts", flush=True)
    return subprocess.run(["shellcheck", "--external-sources", *scripts], cwd=ROOT).returncode if scripts else 0


if __name__ == "__main__":
    sys.exit(main())
