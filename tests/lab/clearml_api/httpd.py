# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The HTTP side: threads with kept-alive connections, bounded in number, in size and in time."""

import logging
import socket
import socketserver
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

MAX_BODY = 32 * 1024 * 1024
MAX_CONNECTIONS = 100
IDLE_SECONDS = 65

log = logging.getLogger(__name__)


class Handler(BaseHTTPRequestHandler):
    """Reads requests; `answer` of the subclass replies."""

    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    server_version = "clearml"
    sys_version = ""

    def log_message(self, format, *args):
        log.debug(format, *args)

    def lower_headers(self):
        return {name.lower(): value for name, value in self.headers.items()}

    def length(self):
        try:
            return max(0, int(self.headers.get("Content-Length") or 0))
        except ValueError:
            return 0

    def body(self):
        """The whole body, or None after an answer of 413 when it is too long."""
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            return self._chunks()
        size = self.length()
        if size > MAX_BODY:
            self.refuse_body()
            return None
        return self.rfile.read(size)

    def _chunks(self):
        parts, total = [], 0
        while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
            total += size
            if total > MAX_BODY:
                self.refuse_body()
                return None
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def refuse_body(self):
        self.close_connection = True
        self.reply(413, "text/plain; charset=utf-8", b"The request is too large")

    def reply(self, status, content_type, data, headers=()):
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(data)))
        for name, value in headers:
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(data)

    def _any(self):
        try:
            self.answer()
        except (ConnectionError, TimeoutError):
            self.close_connection = True

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = do_OPTIONS = do_PATCH = _any


class Server(ThreadingHTTPServer):
    """A listener whose threads end with the process; more than MAX_CONNECTIONS wait for their turn."""

    daemon_threads = True
    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address, handler):
        self.address_family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
        self._slots = threading.BoundedSemaphore(MAX_CONNECTIONS)
        super().__init__(address, handler)

    def server_bind(self):
        socketserver.TCPServer.server_bind(self)  # without the look-up of the host's name
        self.server_name, self.server_port = self.server_address[:2]

    def process_request(self, request, client_address):
        self._slots.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request, client_address):
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._slots.release()

    def handle_error(self, request, client_address):
        log.exception("connection of %s", client_address[0])
