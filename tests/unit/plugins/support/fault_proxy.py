# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A proxy in front of a local server that spoils connections: it refuses, resets, delays, cuts and lies."""

from __future__ import annotations

import http.client
import socket
import struct
import threading

from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import LocalServer, send

HTML = b"<html><head><title>Error</title></head><body>\n<h1>Something went wrong</h1>\n</body></html>"
GARBAGE = b"\x16\x03\x01\x00\xff\x00 no protocol at all\r\n\r\n"


def reset(handler):
    """Ends the connection with a reset, as a router or a killed process does."""
    handler.close_connection = True
    handler.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    handler.connection.close()
    handler.wfile = handler.rfile = open("/dev/null", "r+b", buffering=0)


class Fault(object):
    """What happens to a request.

    :param name: of one of the methods
    :param reaches: whether the request is handed on first, so that the server acts on it
    :param values: what the method needs
    """

    def __init__(self, name, reaches=False, **values):
        self.name = name
        self.reaches = reaches
        self.values = values

    def __repr__(self):
        return "-".join([self.name] + [str(value) for value in self.values.values()] + (["after"] if self.reaches else []))


class FaultProxy(LocalServer):
    """Hands requests on to a server, but for those that a fault is for. Use as a context manager.

    :param target: LocalServer
    :ivar choose: function of the endpoint that gives a Fault or None
    :ivar seen: endpoints in the order of arrival
    """

    def __init__(self, target):
        super().__init__()
        self.target = target
        self.choose = lambda endpoint: None
        self.seen = []
        self.ended = threading.Event()

    def __exit__(self, *exc_info):
        self.ended.set()
        super().__exit__(*exc_info)

    def handle(self, handler, body):
        endpoint = handler.path.lstrip("/")
        self.seen.append(endpoint)
        fault = self.choose(endpoint)
        answer = self.handed_on(handler, body) if fault is None or fault.reaches else None
        if fault is None:
            return send(handler, answer[0], answer[1], "application/json")
        getattr(self, "do_" + fault.name)(handler, **fault.values)

    def handed_on(self, handler, body):
        """(status, content) of the server's own answer."""
        connection = http.client.HTTPConnection("127.0.0.1", self.target.http.server_address[1], timeout=10)
        try:
            connection.request(handler.command, handler.path, body, dict(handler.headers))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def do_reset(self, handler):
        reset(handler)

    def do_reset_in_the_middle(self, handler):
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 500\r\n\r\n{"meta": {"result_code"')
        reset(handler)

    def do_slow_first_byte(self, handler):
        self.ended.wait(30)
        handler.close_connection = True

    def do_slow_body(self, handler):
        handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 5000\r\n\r\n")
        while not self.ended.wait(0.1):
            try:
                handler.wfile.write(b" ")
            except OSError:
                break
        handler.close_connection = True

    def do_garbage(self, handler):
        handler.wfile.write(GARBAGE)
        handler.close_connection = True

    def do_truncated_json(self, handler):
        send(handler, 200, b'{"meta": {"result_code": 200, "result_subcode": 0, "resu', "application/json")

    def do_status(self, handler, code, retry_after=None):
        send(handler, code, HTML, "text/html", [("Retry-After", retry_after)] if retry_after else [])

    def do_redirect(self, handler, code):
        send(handler, code, HTML, "text/html", [("Location", "https://elsewhere.example/login")])


def free_url():
    """An address of the loopback where nobody listens."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return "http://127.0.0.1:%d" % probe.getsockname()[1]
