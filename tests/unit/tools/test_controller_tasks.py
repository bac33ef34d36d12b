# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What roles do on the controller is done there as the person who runs Ansible, whatever an inventory says of all hosts."""

import http.server
import json
import pathlib
import subprocess
import sys
import threading

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
HERE = {"ansible_connection": "local", "ansible_become": False, "ansible_python_interpreter": "{{ ansible_playbook_python }}"}
# Of machines that are reached as somebody who becomes root with another Python than the controller's.
MACHINES = {
    "ansible_connection": "ssh",
    "ansible_user": "somebody",
    "ansible_port": 1,
    "ansible_become": True,
    "ansible_become_method": "su",
    "ansible_become_user": "nobody-of-that-name",
    "ansible_python_interpreter": "/nowhere/python",
}
CHANNELS = {"data": [{"name": "stable", "latest": "v1.34.2+k3s1"}]}


def tasks(node):
    """All tasks in what a file of tasks or plays holds."""
    if isinstance(node, list):
        for one in node:
            yield from tasks(one)
    elif isinstance(node, dict):
        yield node
        for part in ("block", "rescue", "always", "tasks", "pre_tasks", "post_tasks"):
            yield from tasks(node.get(part, []))


def test_all_of_them_say_so_in_the_same_way():
    files = [*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml")]
    found = [task for file in files for task in tasks(yaml.safe_load(file.read_text())) if task.get("delegate_to") == "localhost"]
    assert found
    for task in found:
        assert HERE.items() <= task.get("vars", {}).items(), task["name"]


@pytest.fixture
def channels():
    """URL of a server that lists the channels of K3s."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            body = json.dumps(CHANNELS).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_words):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.mark.parametrize("named", [False, True], ids=["localhost is not in the inventory", "localhost is in the inventory"])
def test_a_channel_is_asked_from_the_controller(tmp_path, channels, named):
    hosts = {"node-01": {"ansible_host": "127.0.0.1"}, **({"localhost": {}} if named else {})}
    inventory = {"all": {"vars": MACHINES, "children": {"k3s_servers": {"hosts": hosts}}}}
    (tmp_path / "inventory.yml").write_text(yaml.safe_dump(inventory))
    play = {
        "hosts": "node-01",
        "gather_facts": False,
        "become": True,
        "vars": {"k3s_channel": "stable", "k3s_channel_url": channels},
        "tasks": [{"ansible.builtin.import_tasks": str(ROOT / "roles/k3s/tasks/upgrade_release.yml")}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
    command = [sys.executable, "-m", "ansible", "playbook", "-i", "inventory.yml", "play.yml"]
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "channel stable is v1.34.2+k3s1 today" in run.stdout
