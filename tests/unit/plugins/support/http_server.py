# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The frame of the small HTTP servers that tests start in their own process."""

from __future__ import annotations

import http.server
import threading


class LocalServer(object):
    """An HTTP server on a free port of the loopback; use as a context manager. A subclass answers in `handle`.

    :ivar url: its address
    :ivar http: the server of the standard library
    """

    def __init__(self):
        server = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                server.handle(self, self.rfile.read(int(self.headers.get("Content-Length") or 0)))

            do_GET = do_PUT = do_POST = do_DELETE = do_HEAD = answer

            def log_message(self, format, *args):
                pass

        self.http = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.http.daemon_threads = True
        self.url = "http://127.0.0.1:%d" % self.http.server_address[1]
        self.thread = threading.Thread(target=self.http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def handle(self, handler, body):
        """Answers one request.

        :param handler: the BaseHTTPRequestHandler of the request
        :param body: its body (bytes)
        """
        raise NotImplementedError

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *exc_info):
        self.http.shutdown()
        self.http.server_close()
        self.thread.join(5)


def send(handler, status, content, kind, headers=()):
    """One whole HTTP answer."""
    handler.send_response(status)
    handler.send_header("Content-Type", kind)
    handler.send_header("Content-Length", str(len(content)))
    for name, value in headers:
        handler.send_header(name, value)
    handler.end_headers()
    handler.wfile.write(content)


def break_off(handler):
    """Closes the connection without an answer."""
    handler.close_connection = True
    handler.connection.close()
