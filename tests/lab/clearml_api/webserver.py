# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The web port: a page, the browser's settings, and /api and /files handed on as the real image's nginx does."""

import http.client
import json
import os
import urllib.parse

from .calls import SERVER_VERSION
from .httpd import Handler, Server

_PAGE = b"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>ClearML (test double)</title></head>
<body><h1>ClearML (test double)</h1><p>The API is at <a href="/api/debug.ping">/api</a>.</p></body></html>
"""
_CHUNK = 256 * 1024
_HOP = {"connection", "keep-alive", "transfer-encoding", "upgrade", "host", "te", "trailer"}


def settings(environment):
    """What the browser is told: `WEBSERVER__fileBaseUrl=...` becomes {"fileBaseUrl": ...}."""
    result = {}
    for name, value in environment.items():
        if name.startswith("WEBSERVER__"):
            try:
                result[name[11:]] = json.loads(value)
            except ValueError:
                result[name[11:]] = value
    return result


def listener(address, api_url, files_url, environment=os.environ):
    """A server that hands /api to `api_url` and /files to `files_url`. Raises OSError."""
    targets = {"api": urllib.parse.urlsplit(api_url), "files": urllib.parse.urlsplit(files_url)}

    class WebHandler(Handler):
        def answer(self):
            path = self.path.partition("?")[0]
            first = path.lstrip("/").partition("/")[0]
            if first in targets and path.startswith(f"/{first}/"):
                return self._hand_on(targets[first], self.path[len(first) + 1 :])
            if path == "/configuration.json":
                return self.reply(200, "application/json", json.dumps(settings(environment)).encode())
            if path == "/version.json":
                return self.reply(200, "application/json", json.dumps({"version": SERVER_VERSION}).encode())
            if self.command not in ("GET", "HEAD"):
                self.close_connection = True
                return self.reply(405, "text/plain; charset=utf-8", b"Method Not Allowed")
            return self.reply(200, "text/html; charset=utf-8", _PAGE)

        def _hand_on(self, target, path):
            if self.headers.get("Transfer-Encoding"):
                self.close_connection = True
                return self.reply(411, "text/plain; charset=utf-8", b"Length Required")
            headers = {name: value for name, value in self.headers.items() if name.lower() not in _HOP}
            headers["X-Real-IP"] = self.client_address[0]
            headers["Host"] = self.headers.get("Host", target.netloc)
            connection = http.client.HTTPConnection(target.hostname, target.port or 80, timeout=60)
            sent = False
            try:
                connection.request(self.command, path, self._pieces() if self.length() else None, headers)
                response = connection.getresponse()
                self.send_response(response.status)
                sent = True
                for name, value in response.getheaders():
                    if name.lower() not in _HOP | {"server", "date"}:
                        self.send_header(name, value)
                if response.getheader("Content-Length") is None:
                    self.send_header("Connection", "close")
                    self.close_connection = True
                self.end_headers()
                while data := response.read(_CHUNK):
                    self.wfile.write(data)
            except (OSError, http.client.HTTPException) as error:
                self.close_connection = True
                if not sent:
                    self.reply(502, "text/plain; charset=utf-8", f"Bad Gateway: {error}".encode())
            finally:
                connection.close()

        def _pieces(self):
            left = self.length()
            while left and (data := self.rfile.read(min(_CHUNK, left))):
                left -= len(data)
                yield data

    return Server(address, WebHandler)
