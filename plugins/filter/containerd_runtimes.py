# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Filter that reads the runtimes of a containerd from its configuration, on the controller: targets may have a Python without TOML."""

from __future__ import annotations

DOCUMENTATION = r"""
name: containerd_runtimes
short_description: Runtimes that containerd is configured with
version_added: 0.1.0
description:
  - Reads containerd's C(config.toml) as TOML, of version 2 and of version 3, and drop-ins are not followed.
author:
  - homelab.mlops contributors (@homelab-mlops)
options:
  _input:
    description: Content of the file.
    type: str
    required: true
"""

EXAMPLES = r"""
- name: Read the configuration that K3s wrote for its containerd
  ansible.builtin.slurp:
    src: /var/lib/rancher/k3s/agent/etc/containerd/config.toml
  register: config

- name: See the runtimes
  ansible.builtin.debug:
    msg: "{{ config.content | b64decode | homelab.mlops.containerd_runtimes }}"
    # => {"runc": "/var/lib/rancher/k3s/data/current/bin/runc", "nvidia": "/usr/bin/nvidia-container-runtime"}
"""

RETURN = r"""
_value:
  description: For each runtime its program, empty where containerd chooses it.
  type: dict
  sample: {nvidia: /usr/bin/nvidia-container-runtime}
"""

import tomllib

from ansible.errors import AnsibleFilterError

# containerd's docs/cri/config.md: where runtimes stand in version 3 and in version 2 of the configuration.
PLUGINS = ("io.containerd.cri.v1.runtime", "io.containerd.grpc.v1.cri")


def table(value, name):
    """A table inside another one; empty when it is not there or is no table."""
    found = value.get(name)
    return found if isinstance(found, dict) else {}


def containerd_runtimes(text):
    """For each runtime of a containerd configuration its program.

    :raises AnsibleFilterError: it is no TOML
    """
    try:
        plugins = table(tomllib.loads(text), "plugins")
    except tomllib.TOMLDecodeError as problem:
        raise AnsibleFilterError(f"containerd_runtimes: this is no TOML: {problem}") from problem
    found = {}
    for plugin in PLUGINS:
        runtimes = table(table(table(plugins, plugin), "containerd"), "runtimes")
        for name in runtimes:
            found.setdefault(name, str(table(table(runtimes, name), "options").get("BinaryName") or ""))
    return found


class FilterModule:
    """The filter."""

    def filters(self):
        return {"containerd_runtimes": containerd_runtimes}
