# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands in for a database that pods only wait for: `tcp PORT` accepts connections, `http PORT` answers 200 to every GET."""

import http.server
import signal
import socketserver
import sys


class Mute(socketserver.BaseRequestHandler):
    """Takes what comes until the other side hangs up."""

    def handle(self):
        while self.request.recv(4096):
            pass


class Green(http.server.BaseHTTPRequestHandler):
    """What Elasticsearch says of a healthy cluster, as far as anybody here reads it."""

    def do_GET(self):
        body = b'{"cluster_name": "clearml", "status": "green", "timed_out": false}'
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format, *args):
        """Probes are not worth a line each."""


socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer.daemon_threads = True
# The first process of a container ignores signals that it does not handle.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
kind, port = sys.argv[1:]
print(f"stand-in listens: {kind} {port}", flush=True)
socketserver.ThreadingTCPServer(("0.0.0.0", int(port)), {"tcp": Mute, "http": Green}[kind]).serve_forever()
