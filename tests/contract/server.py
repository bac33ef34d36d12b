# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The double as a process of its own, for the tests."""

import base64
import http.client
import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parent.parent / "lab" / "bin" / "clearml-api"
SYSTEM_KEY = "62T8CP7HGBC6647XF9314C2VY67RJO"


def basic(name, password):
    """The header of HTTP Basic; other clients than ours send UTF-8."""
    return "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()


class Double:
    """A running double. `pairs` are the public keys of `secure.conf` by user; urls are None for parts that do not run."""

    def __init__(self, mode, *arguments, environment=None, port=0):
        variables = {name: value for name, value in os.environ.items() if not name.startswith(("CLEARML", "TRAINS"))}
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAM), "--mode", mode, "--listen", f"127.0.0.1:{port}", *map(str, arguments)],
            stdout=subprocess.PIPE,
            text=True,
            env={**variables, **(environment or {})},
        )
        self.urls = []
        for _ in range(1 + ("--files" in arguments) + ("--web" in arguments)):
            line = self.process.stdout.readline()
            match = re.search(r"http://\S+", line)
            assert match, f"the double did not start: {line!r}, exit status {self.process.poll()}"
            self.urls.append(match[0])
        self.host, _, self.port = self.urls[0][7:].partition(":")

    def raw(self, method, path, headers, body):
        """(status, headers, bytes) of one request on a connection of its own."""
        connection = http.client.HTTPConnection(self.host, int(self.port), timeout=30)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, dict(response.getheaders()), response.read()
        finally:
            connection.close()

    def call(self, endpoint, body=None, authorization=None):
        """The whole envelope of a POST."""
        headers = {"Content-Type": "application/json"}
        if authorization:
            headers["Authorization"] = authorization
        return json.loads(self.raw("POST", "/" + endpoint, headers, json.dumps(body or {}))[2])

    def stop(self, number=signal.SIGTERM):
        """End the process; returns its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(number)
        try:
            return self.process.wait(10)
        finally:
            self.process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.stop()
