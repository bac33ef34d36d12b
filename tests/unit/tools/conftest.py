# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The programs of tests/tools are scripts beside each other, not a package."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))


@pytest.fixture(scope="session")
def play(tmp_path_factory):
    """Runs tasks on this machine, as several hosts of k3s_servers with variables of their own, without becoming anybody.

    The collection is a copy of its own. Returns a function that takes hosts, tasks and further arguments, and returns what was printed.
    """
    import stage

    folder = tmp_path_factory.mktemp("play")
    stage.stage(target=folder / "ansible_collections" / "homelab" / "mlops")

    def run(hosts, tasks, *arguments):
        here = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": sys.executable}
        inventory = {"all": {"vars": here, "children": {"k3s_servers": {"hosts": hosts}}}}
        (folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
        (folder / "play.yml").write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": tasks}]))
        done = subprocess.run(
            [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.yml", "play.yml", *arguments],
            cwd=folder,
            env=os.environ | {"ANSIBLE_COLLECTIONS_PATH": str(folder)},
            capture_output=True,
            text=True,
            check=False,
            timeout=300,
        )
        return done.stdout + done.stderr

    return run
