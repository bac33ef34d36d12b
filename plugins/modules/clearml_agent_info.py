# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: clearml_agent_info
short_description: What the ClearML agent instances of a host do, and what they were started with
version_added: 0.1.0
description:
  - Reads systemd, C(/proc) and the environment files of the role P(homelab.mlops.clearml_agent#role).
  - It asks no server and changes nothing.
  - An instance is found by its environment file, by its unit being enabled, or by its unit being loaded.
options:
  config_dir:
    description: Folder of the environment files, one C(INSTANCE.env) each.
    type: path
    default: /etc/clearml-agent
  drain_dir:
    description: Folder of the drain files, C(INSTANCE.drain).
    type: path
    default: /run/clearml-agent
  unit:
    description: Name of the template unit, without C(@.service).
    type: str
    default: clearml-agent
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.info
notes:
  - It needs root to read environment files of mode 0600 and the environment of other users' processes.
author:
  - homelab.mlops contributors (@homelab-mlops)
"""

EXAMPLES = r"""
- name: Look at the agents of this host
  homelab.mlops.clearml_agent_info:
  become: true
  register: agents

- name: Name the instances that run an experiment
  ansible.builtin.debug:
    msg: "{{ agents.instances | selectattr('busy') | map(attribute='name') }}"
"""

RETURN = r"""
instances:
  description: The instances, by name.
  returned: always
  type: list
  elements: dict
  contains:
    name:
      description: Name of the instance, what stands between C(@) and C(.service).
      type: str
      sample: gpu0
    unit:
      description: Name of the unit.
      type: str
      sample: clearml-agent@gpu0.service
    configured:
      description: Whether its environment file is there.
      type: bool
    gpus:
      description: GPUs in its environment file, by index or UUID.
      type: list
      elements: str
      sample: ["GPU-4cf8db2d-06c0-7d70-1a51-e59b25b2c16c"]
    enabled:
      description: Whether it starts with the machine.
      type: bool
    active:
      description: Whether its daemon runs, or is being started or stopped.
      type: bool
    ready:
      description: Whether its daemon is registered with the server and asks for tasks.
      type: bool
    status:
      description: The daemon's own words; empty when it does not run.
      type: str
      sample: running 7c1f4a5d9b5b4b0f8a1b2c3d4e5f6a7b
    task:
      description: Id of the task that it runs; empty for none.
      type: str
    processes:
      description: Processes of the unit other than the daemon itself.
      type: int
    busy:
      description: Whether it runs a task or has other processes than the daemon.
      type: bool
    drain:
      description: The first line of its drain file, V(asked) when that is empty; an empty string when there is none.
      type: str
    drained:
      description:
        - Whether nothing would be lost by stopping it.
        - It does not run, or it has a drain file and no other processes, and it has said that it takes nothing or is not yet registered.
      type: bool
    started_hash:
      description: C(HOMELAB_CONFIG_HASH) in the environment of the running daemon; empty when it does not run.
      type: str
    configured_hash:
      description: The same in its environment file; empty when there is none.
      type: str
    in_step:
      description: Whether its daemon runs with what is in its environment file.
      type: bool
    interpreter:
      description: First word of the daemon's command line, in the virtual environment that it uses; empty when it does not run.
      type: str
"""

import os

from ansible.module_utils.basic import AnsibleModule

HASH = "HOMELAB_CONFIG_HASH"
GPUS = "HOMELAB_AGENT_GPUS"
PROPERTIES = ("ActiveState", "MainPID", "StatusText", "ControlGroup")
WANTS = ("/etc/systemd/system/multi-user.target.wants", "/run/systemd/system/multi-user.target.wants")
# cgroup v2; the systemd hierarchy of v1 and of hybrid machines.
CGROUP_ROOTS = ("/sys/fs/cgroup", "/sys/fs/cgroup/systemd", "/sys/fs/cgroup/unified")


def read_bytes(path):
    """Content of a file; empty when it is absent or ends while it is read, as files of /proc do."""
    try:
        with open(path, "rb") as file:
            return file.read()
    except (FileNotFoundError, ProcessLookupError, NotADirectoryError):
        return b""


def listing(path):
    """Names in a folder; none when it is absent."""
    try:
        return os.listdir(path)
    except FileNotFoundError:
        return []


def names_in(entries, prefix, suffix):
    """What stands between prefix and suffix in those entries that have both and something in between."""
    return {
        entry[len(prefix) : len(entry) - len(suffix)]
        for entry in entries
        if entry.startswith(prefix) and entry.endswith(suffix) and len(entry) > len(prefix) + len(suffix)
    }


def value_of(lines, key):
    """Value of `key` in lines KEY=VALUE, without the quotes of an environment file; empty when absent."""
    for line in lines:
        name, separator, value = line.partition("=")
        if separator and name.strip() == key:
            return value.strip().strip("'\"")
    return ""


def started_environment(pid):
    """The environment that a process was started with, as lines KEY=VALUE."""
    return read_bytes("/proc/%d/environ" % pid).decode("utf-8", "replace").split("\0")


def interpreter_of(pid):
    """First word of a process's command line."""
    return read_bytes("/proc/%d/cmdline" % pid).decode("utf-8", "replace").split("\0")[0]


def processes_of(control_group):
    """Process ids of a unit and of the groups below it (set of int)."""
    found = set()
    if not control_group.strip("/"):
        return found
    for root in CGROUP_ROOTS:
        for folder, _folders, files in os.walk(root + control_group):
            if "cgroup.procs" in files:
                found.update(int(word) for word in read_bytes(os.path.join(folder, "cgroup.procs")).split())
    return found


def drain_of(path):
    """First line of the drain file, `asked` when it is empty, an empty string when there is none."""
    if not os.path.exists(path):
        return ""
    lines = read_bytes(path).decode("utf-8", "replace").splitlines()
    return (lines[0].strip() if lines else "") or "asked"


def describe(name, unit, properties, configured, enabled, drain):
    """One instance as the module returns it.

    :param properties: dict of the properties of `systemctl show`
    :param configured: the environment file's lines, None when there is no file
    """
    pid = int(properties.get("MainPID") or 0)
    ready = properties.get("ActiveState") == "active"
    active = properties.get("ActiveState") in ("active", "activating", "reloading", "deactivating")
    status = properties.get("StatusText", "") if active else ""
    processes = len(processes_of(properties.get("ControlGroup", "")) - {pid}) if active else 0
    task = status[len("running ") :] if status.startswith("running ") else ""
    started_hash = value_of(started_environment(pid), HASH) if active and pid else ""
    configured_hash = value_of(configured or [], HASH)
    return {
        "name": name,
        "unit": unit,
        "configured": configured is not None,
        "gpus": [gpu for gpu in value_of(configured or [], GPUS).split(",") if gpu],
        "enabled": enabled,
        "active": active,
        "ready": ready,
        "status": status,
        "task": task,
        "processes": processes,
        "busy": bool(task) or processes > 0,
        "drain": drain,
        "drained": not active or (bool(drain) and processes == 0 and (not ready or status == "drained")),
        "started_hash": started_hash,
        "configured_hash": configured_hash,
        "in_step": bool(started_hash) and started_hash == configured_hash,
        "interpreter": interpreter_of(pid) if active and pid else "",
    }


class Systemd:
    """The two questions to systemctl."""

    def __init__(self, module):
        self._module = module
        self._systemctl = module.get_bin_path("systemctl", required=True)

    def loaded(self, pattern):
        """Names of the units in memory that match a pattern."""
        _rc, out, _err = self._module.run_command(
            [self._systemctl, "list-units", "--all", "--plain", "--no-legend", "--full", pattern], check_rc=True
        )
        return [line.split()[0] for line in out.splitlines() if line.split()]

    def properties(self, unit):
        """The properties of a unit, as a dict of strings; also for a unit that does not exist."""
        _rc, out, _err = self._module.run_command([self._systemctl, "show", unit, "--property", ",".join(PROPERTIES)], check_rc=True)
        return dict(line.split("=", 1) for line in out.splitlines() if "=" in line)


def main():
    module = AnsibleModule(
        argument_spec={
            "config_dir": {"type": "path", "default": "/etc/clearml-agent"},
            "drain_dir": {"type": "path", "default": "/run/clearml-agent"},
            "unit": {"type": "str", "default": "clearml-agent"},
        },
        supports_check_mode=True,
    )
    config_dir, drain_dir, prefix = module.params["config_dir"], module.params["drain_dir"], module.params["unit"] + "@"
    systemd = Systemd(module)
    configured = names_in(listing(config_dir), "", ".env")
    enabled = set()
    for folder in WANTS:
        enabled |= names_in(listing(folder), prefix, ".service")
    instances = []
    try:
        for name in sorted(configured | enabled | names_in(systemd.loaded(prefix + "*"), prefix, ".service")):
            unit = prefix + name + ".service"
            lines = None
            if name in configured:
                lines = read_bytes(os.path.join(config_dir, name + ".env")).decode("utf-8", "replace").splitlines()
            instances.append(
                describe(name, unit, systemd.properties(unit), lines, name in enabled, drain_of(os.path.join(drain_dir, name + ".drain")))
            )
    except PermissionError as error:
        module.fail_json(msg="cannot read %s: run with become: true" % error.filename)
    module.exit_json(changed=False, instances=instances)


if __name__ == "__main__":
    main()
