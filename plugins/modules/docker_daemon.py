#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: docker_daemon
short_description: Settings in docker's daemon.json
version_added: 0.1.0
description:
  - Merges settings into the configuration file of docker's daemon. Whatever else is in it stays, such as other runtimes, features and
    log options.
  - A file that the daemon would not take is never put into place, as far as the installed C(dockerd) can tell; a file that is no JSON is
    left alone.
  - The daemon is not restarted.
options:
  path:
    description: The file. It is made, with its folder, when it is missing.
    type: path
    default: /etc/docker/daemon.json
  settings:
    description: Settings as the file has them. Objects are merged key by key, anything else is replaced; a key with null is taken away.
    type: dict
    required: true
  dockerd:
    description:
      - Program that validates the new file. By default it is looked for in the search path.
      - Versions before 23 cannot validate.
    type: path
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: full
notes:
  - The difference shows nothing of the file but what O(settings) names.
author:
  - homelab.mlops contributors (@homelab-mlops)
"""

EXAMPLES = r"""
- name: Tell docker of NVIDIA's runtime
  homelab.mlops.docker_daemon:
    path: /etc/docker/daemon.json
    settings:
      runtimes:
        nvidia:
          path: nvidia-container-runtime
          args: []
"""

RETURN = r"""
validated:
  description: Whether dockerd took the file; false when there is none that can say so.
  type: bool
  returned: success
  sample: true
"""

import os
import tempfile

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils import docker_daemon
from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.files import NotAnOrdinaryFile, ordinary


def read(path):
    """Content of the file, None when it is not there.

    :raises DaemonConfigError: it cannot be read
    """
    try:
        if not ordinary(path):
            return None
        with open(path, encoding="utf-8") as source:
            return source.read()
    except NotAnOrdinaryFile as problem:
        raise docker_daemon.DaemonConfigError(str(problem)) from problem
    except (OSError, UnicodeDecodeError) as problem:
        raise docker_daemon.DaemonConfigError("%s cannot be read: %s" % (path, problem)) from problem


def validate(module, path):
    """Whether dockerd says that a file is right; False when there is none that can say so.

    :raises DaemonConfigError: it refuses the file
    """
    program = module.params["dockerd"] or module.get_bin_path("dockerd", opt_dirs=["/usr/sbin", "/usr/local/bin"])
    if not program:
        return False
    rc, out, err = module.run_command([program, "--validate", "--config-file", path])
    if rc != 0 and "unknown flag: --validate" in err:
        return False
    if rc != 0:
        lines = (err or out).strip().splitlines() or ["exit status %d" % rc]
        raise docker_daemon.DaemonConfigError("dockerd refuses the new %s: %s" % (module.params["path"], lines[-1].replace(path, "file")))
    return True


def work(module):
    """Compares, and writes what differs; returns the module's result.

    :raises DaemonConfigError: the file is not to be taken, before or after
    """
    path, settings = os.path.realpath(module.params["path"]), module.params["settings"]
    current = docker_daemon.parse(read(path), path)
    wanted = docker_daemon.merged(current, settings)
    result = difference(docker_daemon.named(current, settings), docker_daemon.named(wanted, settings))
    result["changed"] = current != wanted
    handle, unfinished = tempfile.mkstemp(dir=module.tmpdir)
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as target:
            target.write(docker_daemon.rendered(wanted))
        result["validated"] = validate(module, unfinished)
        if result["changed"] and not module.check_mode:
            new = not os.path.exists(path)
            if new:
                os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
            module.atomic_move(unfinished, path)
            if new:
                os.chmod(path, 0o644)
    finally:
        module.cleanup(unfinished)
    return result


def main():
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "default": "/etc/docker/daemon.json"},
            "settings": {"type": "dict", "required": True},
            "dockerd": {"type": "path"},
        },
        supports_check_mode=True,
    )
    try:
        result = work(module)
    except docker_daemon.DaemonConfigError as problem:
        module.fail_json(msg=str(problem))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
