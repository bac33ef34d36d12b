# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""S3 servers in this process, over real HTTP: moto's whole bucket API, and one that answers what a test says."""

from __future__ import annotations

import http.server
import logging
import threading
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

KEYS = {"access_key": "testing", "secret_key": "testing-secret"}
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>'


class MotoServer(object):
    """Use as a context manager; empty at the start of each use."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self):
        self.server.start()
        self.url = "http://%s:%d" % self.server.get_host_and_port()
        urllib.request.urlopen(urllib.request.Request(self.url + "/moto-api/reset", method="POST"), timeout=10).close()
        self.boto = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing-secret"
        )
        return self

    def __exit__(self, *exc_info):
        self.server.stop()

    @property
    def connection(self):
        """Options of a module that connect to this server."""
        return dict(KEYS, endpoint_url=self.url, timeout_seconds=5)

    def names(self):
        """Names of the buckets."""
        return sorted(bucket["Name"] for bucket in self.boto.list_buckets()["Buckets"])


class ScriptedServer(object):
    """Answers with the first entry of `answers` that fits: (method, part of the address, status, error code, message).

    An entry without an error code answers with an empty body. Use as a context manager.

    :ivar calls: list of (method, path with query) in the order of arrival
    """

    def __init__(self, answers):
        self.answers = answers
        self.calls = []
        scripted = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                scripted.calls.append((self.command, self.path))
                fitting = [answer for answer in scripted.answers if answer[0] == self.command and answer[1] in self.path]
                assert fitting, "unexpected request %s %s" % (self.command, self.path)
                status, code, message = fitting[0][2:]
                body = (ERROR % (code, message)).encode() if code and self.command != "HEAD" else b""
                self.send_response(status)
                self.send_header("Content-Type", "application/xml")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

            def log_message(self, format, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.connection = dict(KEYS, endpoint_url="http://127.0.0.1:%d" % self.http.server_address[1], timeout_seconds=5)
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(5)
