# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Endpoints and the way of one call: path, endpoint, authentication, role, impersonation, body, fields, answer.

The order of these steps decides which error a caller sees who makes two mistakes (clearml-api/_paths-and-versions.jsonl,
auth.login.jsonl "malformed body, good credentials").
"""

import email
import json
import logging
import re
import urllib.parse
import uuid
from dataclasses import dataclass, field
from datetime import datetime, UTC
from types import SimpleNamespace

from . import schema
from .errors import ApiError, fail

API_VERSION = "2.34"
SERVER_VERSION = "2.3.0"
ANY_ROLE = ("*",)

log = logging.getLogger(__name__)
_PATH = re.compile(r"^/?(?:v(\d+\.?\d+)/)?([A-Za-z_]\w+\.[A-Za-z_]\w+)/?$")
_BAD_BODY = "The browser (or proxy) sent a request that this server could not understand."


def new_id():
    return uuid.uuid4().hex


def now():
    return datetime.now(UTC)


def iso(moment):
    """A moment as the API writes it: six digits and offset."""
    return moment.isoformat(timespec="microseconds")


def stored(moment):
    """A moment as it reads after it went through the database, which keeps milliseconds."""
    return iso(moment.replace(microsecond=moment.microsecond // 1000 * 1000))


def version_key(text):
    major, _, minor = str(text).partition(".")
    return int(major), int(minor or 0)


@dataclass
class Endpoint:
    name: str
    since: str
    function: object
    fields: dict
    roles: tuple
    authorize: bool | None
    required: tuple


@dataclass
class Identity:
    user: str
    company: str
    role: str
    user_name: str
    company_name: str


@dataclass
class Call:
    """One request on its way. `req` are the checked fields, `data` the raw body with the query's values."""

    server: object
    name: str
    version: str
    method: str
    headers: dict
    raw_body: bytes
    query: list
    ip: str
    endpoint: Endpoint = None
    identity: Identity = None
    token: dict = None
    data: dict = field(default_factory=dict)
    batch: list = None
    req: SimpleNamespace = None
    cookies: dict = field(default_factory=dict)

    @property
    def header_names(self):
        """As they were sent, apart from hyphenated words beginning with capitals as WSGI makes them."""
        return ["-".join(word.capitalize() for word in name.split("-")) for name in self.headers]

    @property
    def store(self):
        return self.server.store

    @property
    def company(self):
        return self.identity.company

    @property
    def user(self):
        return self.identity.user

    def older_than(self, version):
        return version_key(self.version) < version_key(version)

    def sent(self, *names):
        """The checked values of those fields that the caller sent and that are not null."""
        return {name: getattr(self.req, name) for name in names if name in self.data and getattr(self.req, name) is not None}


_endpoints = {}


def endpoint(name, since="1.0", fields=None, roles=ANY_ROLE, authorize=True, required=()):
    """Register a function of a call as endpoint from API version `since` on.

    `authorize` is None where credentials are tried but not demanded; `required` fields are checked before all others.
    """

    def register(function):
        versions = _endpoints.setdefault(name, [])
        versions.append(Endpoint(name, since, function, fields or {}, roles, authorize, required))
        versions.sort(key=lambda item: version_key(item.since), reverse=True)
        return function

    return register


def names():
    return sorted(_endpoints)


def _find(name, version):
    for item in _endpoints.get(name, ()):
        if version_key(item.since) <= version_key(version):
            return item
    raise ApiError(404, 0, f"Unable to find endpoint for name {name} and version {version}")


def _query_value(text):
    if text.replace(".", "", 1).isdigit():
        return float(text) if "." in text else int(text)
    return {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}.get(text, text)


def _apply_query(data, pairs):
    """Query or form values: numbers and booleans are read as such, `a.b=1` nests, a repeated or `[]` name is a list."""
    values = {}
    for key, text in pairs:
        values.setdefault(key, []).append(_query_value(text))
    for key, items in values.items():
        value = items if len(items) > 1 or key.endswith("[]") else items[0]
        target = data
        *path, last = key.rstrip("[]").split(".")
        for step in path:
            target = target.setdefault(step, {})
        target[last] = value


def _form_fields(call):
    """The fields of a multipart form; files in it are of no use here."""
    head = f"Content-Type: {call.headers['content-type']}\r\n\r\n".encode()
    parts = email.message_from_bytes(head + call.raw_body).walk()
    named = [(part.get_param("name", header="content-disposition"), part) for part in parts if not part.get_filename()]
    return [(name, part.get_payload(decode=True).decode("utf-8", "replace")) for name, part in named if name]


def _load_body(call):
    kind = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json-lines":
        call.batch = []
        for line in call.raw_body.splitlines():
            try:
                item = json.loads(line)
            except ValueError:
                raise ApiError(400, 0, _BAD_BODY) from None
            if not isinstance(item, dict):
                raise ApiError(400, 0, f"json lines must contain objects, found: {type(item).__name__}")
            call.batch.append(item)
        return
    body, form = {}, []
    if kind == "application/x-www-form-urlencoded":
        form = urllib.parse.parse_qsl(call.raw_body.decode("utf-8", "replace"), keep_blank_values=True)
    elif kind == "multipart/form-data":
        form = _form_fields(call)
    elif call.raw_body:
        try:
            body = json.loads(call.raw_body) or {}
        except ValueError:
            raise ApiError(400, 0, _BAD_BODY) from None
    if not isinstance(body, dict):
        raise ApiError(500, 0, "Data should be a dict")
    _apply_query(body, call.query)
    _apply_query(body, form)
    call.data = body


def _answer(call):
    from . import auth  # the services register themselves through this module

    call.endpoint = _find(call.name, call.version)
    with call.store:
        auth.authenticate(call)
        auth.check_role(call)
        auth.impersonate(call)
        _load_body(call)
        if call.endpoint.required:
            missing = [name for name in call.endpoint.required if name not in call.data]
            if missing:
                raise fail("missing_fields", missing=missing)
        call.req = schema.read(call.endpoint.fields, call.data)
        return call.endpoint.function(call) or {}


def handle(server, method, target, headers, body, ip):
    """Answer one request: (status, content type, bytes, cookies). `headers` have lower-case names."""
    if method == "OPTIONS":
        return 200, "text/html; charset=utf-8", b"", {}
    if headers.get("content-encoding"):
        return 415, "text/html; charset=utf-8", f"Content encoding is not supported ({headers['content-encoding']})".encode(), {}
    path, _, query = target.partition("?")
    path = urllib.parse.unquote(path)
    match = _PATH.match(path)
    call = Call(
        server,
        match[2] if match else "",
        (match[1] or API_VERSION) if match else "1.0",
        method,
        headers,
        body,
        urllib.parse.parse_qsl(query, keep_blank_values=True),
        ip,
    )
    data, code, subcode, message, details = {}, 200, 0, "OK", {}
    try:
        if not match:
            raise ApiError(400, 0, f"Invalid request path {path}")
        data = _answer(call)
    except ApiError as error:
        code, subcode, message, details = error.code, error.subcode, error.msg, error.data
    except Exception as error:  # whatever went wrong, the caller gets an envelope
        log.exception("%s failed", call.name)
        code, subcode, message = 500, 0, str(error)
    meta = {
        "id": new_id(),
        "trx": headers.get("x-clearml-trx") or headers.get("x-trains-trx") or new_id(),
        "endpoint": {
            "name": call.name,
            "requested_version": _shown(call.version, call.version),
            "actual_version": _shown(call.endpoint.since, call.version) if call.endpoint else None,
        },
        "result_code": code,
        "result_subcode": subcode,
        "result_msg": message,
        "error_stack": None,
        "error_data": details,
    }
    return code, "application/json", json.dumps({"meta": meta, "data": data}).encode(), call.cookies


def _shown(version, requested):
    """Below API 2.1 versions are written as numbers (clearml-api/_paths-and-versions.jsonl)."""
    return float(version) if version_key(requested) < (2, 1) else version
