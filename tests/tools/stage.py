#!/usr/bin/env python3
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies the collection to .build/collections/ansible_collections/homelab/mlops.

ansible-test wants the collection below a folder of exactly that name, and a copy rather than a link. Copied is what
git tracks or would track (`git ls-files --cached --others --exclude-standard`); files that are gone are removed, and
files that did not change keep their times. Only the standard library is used.
"""

from __future__ import annotations

import fcntl
import filecmp
import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
STAGE = ROOT / ".build/collections/ansible_collections/homelab/mlops"
# Made inside the copy by the tools that run there.
KEPT = {"tests/output", "changelogs/.plugin-cache.yaml"}


def listed(root: Path) -> set[str]:
    """Relative paths of the files that belong to the working tree of `root`; CalledProcessError where it is no git tree."""
    output = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"], cwd=root, check=True, capture_output=True
    ).stdout
    names = {name for name in output.decode().split("\0") if name}
    return {name for name in names if (root / name).is_file() or (root / name).is_symlink()}


def copy(source: Path, target: Path) -> bool:
    """Makes `target` the same file as `source`; returns whether anything had to be done."""
    if source.is_symlink():
        link = os.readlink(source)
        if target.is_symlink() and os.readlink(target) == link:
            return False
        target.unlink(missing_ok=True)
        target.symlink_to(link)
        return True
    if target.is_file() and not target.is_symlink() and filecmp.cmp(source, target) and same_mode(source, target):
        return False
    if target.is_dir() and not target.is_symlink():
        shutil.rmtree(target)
    else:
        target.unlink(missing_ok=True)
    shutil.copy2(source, target)
    return True


def same_mode(one: Path, other: Path) -> bool:
    return (one.stat().st_mode & 0o777) == (other.stat().st_mode & 0o777)


def stage(root: Path = ROOT, target: Path = STAGE) -> tuple[int, int, int]:
    """Brings `target` up to date with `root`; returns the numbers of (files, copied, removed)."""
    target.mkdir(parents=True, exist_ok=True)
    with open(target.parent / f".{target.name}.lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = listed(root)
        copied = removed = 0
        for name in sorted(wanted):
            path = target / name
            for parent in reversed(path.relative_to(target).parents):
                if (target / parent).is_symlink() or (target / parent).is_file():
                    (target / parent).unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                copied += copy(root / name, path)
            except FileNotFoundError:  # removed since it was listed
                continue
        for folder, folders, files in os.walk(target, topdown=True):
            relative = Path(folder).relative_to(target)
            folders[:] = [name for name in folders if str(relative / name) not in KEPT and name != "__pycache__"]
            for name in [*files, *(n for n in folders if (Path(folder) / n).is_symlink())]:
                path = str(relative / name)
                if path not in wanted and path not in KEPT:
                    (Path(folder) / name).unlink()
                    removed += 1
        for folder, _, _ in os.walk(target, topdown=False):
            if folder != str(target) and not os.listdir(folder):
                os.rmdir(folder)
        return len(wanted), copied, removed


def main() -> int:
    files, copied, removed = stage()
    print(f"staged {files} files ({copied} new or changed, {removed} removed) in {STAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
