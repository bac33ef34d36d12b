# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The API server: store, settings and the listener for one process."""

from . import auth, company, events, models, projects, queues, tasks, users, workers
from .calls import handle
from .config import Config
from .httpd import Handler, Server
from .store import Store

SERVICES = (auth, company, events, models, projects, queues, tasks, users, workers)


class ApiServer:
    """What endpoints see as `call.server`. Starting it brings the state in line with the settings."""

    def __init__(self, tree, backend):
        self.config = Config(tree)
        self.store = Store(backend)
        queues.set_up(self.store)
        auth.set_up(self.store, self.config)

    def close(self):
        self.store.close()


def _cookie_line(name, value):
    """Without a value the cookie is removed."""
    return f"{name}={value or ''}; Path=/; HttpOnly" + ("" if value else "; Max-Age=0")


def listener(address, api):
    """A server for `api` at (host, port). Raises OSError when the port is taken."""

    class ApiHandler(Handler):
        def answer(self):
            body = self.body()
            if body is None:
                return
            headers = self.lower_headers()
            ip = headers.get("x-forwarded-for") or headers.get("x-real-ip") or self.client_address[0]
            status, kind, data, cookies = handle(api, self.command, self.path, headers, body, ip)
            extra = [("Set-Cookie", _cookie_line(name, value)) for name, value in cookies.items()]
            origin = headers.get("origin")
            if origin:
                extra += [("Access-Control-Allow-Origin", origin), ("Access-Control-Allow-Credentials", "true"), ("Vary", "Origin")]
                if self.command == "OPTIONS":
                    wanted = headers.get("access-control-request-headers", "content-type, authorization")
                    extra += [("Access-Control-Allow-Methods", "GET, POST, PUT, OPTIONS"), ("Access-Control-Allow-Headers", wanted)]
            self.reply(status, kind, data, extra)

    return Server(address, ApiHandler)
