# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resource limits of hosts."""

import resource

from labkit import podman

FREE = resource.RLIM_INFINITY


def test_limits_are_those_of_a_real_machine_where_the_caller_has_none():
    assert podman.limits({"nofile": FREE, "nproc": FREE}, 4194304) == {"nofile": 1048576, "nproc": 4194304}


def test_limits_never_exceed_the_callers_own():
    assert podman.limits({"nofile": 20000, "nproc": 5000}, 4194304) == {"nofile": 20000, "nproc": 5000}


def test_processes_never_exceed_the_kernels_highest_id():
    assert podman.limits({"nofile": 2097152, "nproc": 96365}, 32768) == {"nofile": 1048576, "nproc": 32768}
