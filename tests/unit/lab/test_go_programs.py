# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The unit tests of the k3s stand-in, which are Go's, beside its sources: run with the build's flags, so that they share its cache."""

from __future__ import annotations

import os
import subprocess

from labkit import binaries


def test_the_stand_ins_own_tests_pass() -> None:
    go, _version = binaries.compiler()
    done = subprocess.run(
        [go, "test", "-trimpath", "-tags", binaries.TAGS, "./internal/..."],
        cwd=binaries.SOURCES,
        env=os.environ | {"GOFLAGS": "-buildvcs=false -mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert done.stdout.count("\nok ") + done.stdout.startswith("ok ") >= 6, done.stdout


def test_sources_are_formatted() -> None:
    go, _version = binaries.compiler()
    done = subprocess.run(
        [go, "fmt", "-n", "./internal/...", "./cmd/..."],
        cwd=binaries.SOURCES,
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"GOFLAGS": "-buildvcs=false -mod=mod", "GOTOOLCHAIN": "local"},
    )
    gofmt = done.stdout.split()[0]
    unformatted = subprocess.run(
        [gofmt, "-l", "internal", "cmd", "coredns"], cwd=binaries.SOURCES, capture_output=True, text=True, check=True
    )
    assert unformatted.stdout == ""
