# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Calls of podman, which needs root: through sudo when the caller is somebody else."""

from __future__ import annotations

import functools
import json
import os
import pathlib
import resource
import subprocess
from collections.abc import Sequence


class LabError(Exception):
    """Something of the lab failed; the message is for the person at the keyboard."""


def as_root() -> list[str]:
    """What to put in front of a command that needs root."""
    return [] if os.geteuid() == 0 else ["sudo", "--"]


def podman(*arguments: str, stdin: bytes | None = None, check: bool = True) -> str:
    """Run podman and return its stdout.

    Raises:
        LabError: it failed and ``check`` is set; the message holds the command's first words and podman's own last line.
    """
    done = subprocess.run([*as_root(), "podman", "--runtime", "runc", *arguments], input=stdin, capture_output=True, check=False)
    if check and done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines() or ["no message"]
        raise LabError(f"podman {' '.join(arguments[:2])}: {said[-1]}")
    return done.stdout.decode(errors="replace")


def podman_json(*arguments: str) -> list[dict]:
    """Run a podman command that prints JSON; an empty answer is an empty list."""
    return json.loads(podman(*arguments) or "[]") or []


def limits(hard: dict[str, int], pid_max: int) -> dict[str, int]:
    """Resource limits for a host, given the caller's own hard limits.

    podman asks for 1048576 open files by default; the kernel refuses whatever is above the caller's hard limit
    unless the caller has CAP_SYS_RESOURCE. podman lowers its own limit of processes to the kernel's highest
    process id first (seen with podman 4.3.1), so that more is refused as well.

    Args:
        hard: hard limits by name, ``resource.RLIM_INFINITY`` for none.
        pid_max: the kernel's highest process id.
    """
    wanted = {"nofile": 1048576, "nproc": pid_max}
    return {name: value if hard[name] == resource.RLIM_INFINITY else min(value, hard[name]) for name, value in wanted.items()}


@functools.cache
def own_limits() -> dict[str, int]:
    """The limits for hosts on this machine."""
    return limits(
        {
            "nofile": resource.getrlimit(resource.RLIMIT_NOFILE)[1],
            "nproc": resource.getrlimit(resource.RLIMIT_NPROC)[1],
        },
        int(pathlib.Path("/proc/sys/kernel/pid_max").read_text(encoding="ascii")),
    )


def filters(labels: dict[str, str]) -> Sequence[str]:
    """Arguments that restrict a podman listing to things with these labels."""
    return [argument for name, value in labels.items() for argument in ("--filter", f"label={name}={value}")]
