# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a ClearML module costs, against the double on this machine.

One `clearml_queue` that changes nothing is compared with `ansible.builtin.ping`, task by task in turn in one play. 100 queues
that are as they should be are compared with a loop over the SDK's APIClient: as a playbook would do it, one process for each
queue (some are measured, and their mean is taken times 100), and inside a single process. Requests are counted in a run of
their own. The figures go to the terminal and to ``.build/bench/clearml_modules.json``; nothing here passes or fails by time.
"""

from __future__ import annotations

import http.client
import http.server
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "contract"), str(ROOT / "tests" / "lab")]

from clearml_api import config
from server import Double

STAGED = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(ROOT / ".build/collections")
PAIR = config.DEFAULTS["secure"]["credentials"]["tests"]
PAIRS_OF_TASKS = 15
QUEUES = [f"bench-{number:03}" for number in range(100)]
SDK_PROCESSES = 10
SDK = """
import sys
from clearml.backend_api.session.client import APIClient

client = APIClient()
for name in sys.argv[1:]:
    found = [queue for queue in client.queues.get_all(name="^%s$" % name) if queue.name == name]
    assert found and not found[0].tags
"""


class Counter:
    """A proxy on the loopback that counts the requests to a server."""

    def __init__(self, target: str) -> None:
        counter, self.count = self, 0

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                counter.count += 1
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                connection = http.client.HTTPConnection(target.partition("//")[2], timeout=30)
                connection.request(self.command, self.path, body, dict(self.headers))
                answer = connection.getresponse()
                content = answer.read()
                connection.close()
                self.send_response(answer.status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def play(folder: Path, url: str, tasks: list[dict]) -> list[dict]:
    """Runs tasks on localhost with the connection to `url`; the JSON callback's tasks. RuntimeError when one fails."""
    connection = {"api_url": url, "access_key": PAIR["user_key"], "secret_key": PAIR["user_secret"]}
    defaults = {"group/homelab.mlops.clearml": connection}
    book = folder / "book.yml"
    book.write_text(yaml.safe_dump([{"hosts": "localhost", "gather_facts": False, "module_defaults": defaults, "tasks": tasks}]))
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE", "CLEARML"))},
        "ANSIBLE_COLLECTIONS_PATH": STAGED,
        "ANSIBLE_HOME": str(folder / "ansible"),
        "ANSIBLE_STDOUT_CALLBACK": "ansible.posix.json",
        "ANSIBLE_PYTHON_INTERPRETER": sys.executable,
    }
    program = str(Path(sys.executable).parent / "ansible-playbook")
    done = subprocess.run([program, str(book)], env=environment, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stdout[-3000:] + done.stderr[-1000:])
    return json.loads(done.stdout)["plays"][0]["tasks"]


def seconds(task: dict) -> float:
    """How long a task of the JSON callback took."""
    start, end = (datetime.fromisoformat(task["task"]["duration"][key].replace("Z", "+00:00")) for key in ("start", "end"))
    return (end - start).total_seconds()


def sdk(folder: Path, url: str, names: list[str]) -> float:
    """Seconds of one process that looks at queues through the SDK's APIClient."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CLEARML")} | {
        "HOME": str(folder),
        "CLEARML_API_HOST": url,
        "CLEARML_API_ACCESS_KEY": PAIR["user_key"],
        "CLEARML_API_SECRET_KEY": PAIR["user_secret"],
    }
    start = time.monotonic()
    subprocess.run([sys.executable, "-c", SDK, *names], env=environment, cwd=folder, check=True, capture_output=True)
    return time.monotonic() - start


def measure(folder: Path, url: str) -> dict[str, float]:
    """All figures; times in seconds."""
    listed = {"name": "List", "homelab.mlops.clearml_queue": {"queues": [{"name": name, "tags": []} for name in QUEUES]}}
    play(folder, url, [listed])
    one = {"name": "One", "homelab.mlops.clearml_queue": {"name": QUEUES[0], "tags": []}}
    tasks = play(folder, url, [{"name": "Ping", "ansible.builtin.ping": {}}, one] * (PAIRS_OF_TASKS + 1))[2:]
    if any(result.get("changed") for task in tasks for result in task["hosts"].values()):
        raise RuntimeError("a queue that was as it should be was changed")
    ping, queue = (statistics.median(seconds(task) for task in tasks[first::2]) for first in (0, 1))
    many = statistics.median(seconds(task) for task in play(folder, url, [listed] * 5))
    each = statistics.mean(sdk(folder, url, [name]) for name in QUEUES[:SDK_PROCESSES])
    together = statistics.median(sdk(folder, url, QUEUES) for _ in range(3))
    counter = Counter(url)
    play(folder, counter.url, [listed])
    return {
        "ping_seconds": round(ping, 3),
        "queue_seconds": round(queue, 3),
        "queue_to_ping": round(queue / ping, 2),
        "list_of_100_seconds": round(many, 3),
        "list_of_100_requests": counter.count,
        "sdk_loop_of_processes_seconds": round(each * len(QUEUES), 1),
        "list_to_sdk_loop_of_processes": round(many / (each * len(QUEUES)), 4),
        "sdk_loop_in_one_process_seconds": round(together, 2),
        "list_to_sdk_loop_in_one_process": round(many / together, 3),
    }


def main() -> int:
    """Entry point."""
    with tempfile.TemporaryDirectory() as folder, Double("open") as double:
        figures = measure(Path(folder), double.urls[0])
    target = ROOT / ".build" / "bench"
    target.mkdir(parents=True, exist_ok=True)
    (target / "clearml_modules.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, value in figures.items():
        print(f"{name:<34} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
