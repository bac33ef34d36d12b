# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.homelab.mlops.plugins.filter.containerd_runtimes import containerd_runtimes

VERSION_3 = """
version = 3
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'nvidia']
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'nvidia'.options]
  BinaryName = "/usr/local/nvidia/toolkit/nvidia-container-runtime"
"""
VERSION_2 = """
version = 2
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
[plugins."io.containerd.grpc.v1.cri".containerd.runtimes.nvidia.options]
  BinaryName = "/usr/bin/nvidia-container-runtime"
"""
ONLY_NAMED = """
version = 3
# [plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.'nvidia']
[plugins.'io.containerd.cri.v1.runtime'.containerd]
  default_runtime_name = "nvidia"
"""


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (VERSION_3, {"runc": "", "nvidia": "/usr/local/nvidia/toolkit/nvidia-container-runtime"}),
        (VERSION_2, {"runc": "", "nvidia": "/usr/bin/nvidia-container-runtime"}),
        (ONLY_NAMED, {}),
        ("plugins = 3", {}),
        ("", {}),
    ],
)
def test_runtimes_by_name(text, expected):
    assert containerd_runtimes(text) == expected


def test_what_is_no_toml_is_refused():
    with pytest.raises(AnsibleFilterError, match="this is no TOML"):
        containerd_runtimes("[plugins")
