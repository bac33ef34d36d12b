# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The file server: POST / stores the parts of a form, GET and DELETE by path, POST /delete_many.

Parts go to disk as they arrive, under another name until they are whole, so an upload of any size needs little memory.
"""

import base64
import json
import mimetypes
import os
import re
import secrets
import shutil
import time
import urllib.error
import urllib.parse
import urllib.request
from collections import OrderedDict
from pathlib import Path

from .httpd import Handler, Server

_CHUNK = 256 * 1024
_TOKEN_SECONDS = 12 * 3600
_MAX_TOKENS = 1000


class Refused(Exception):
    """An answer other than 200: (status, text)."""


class TokenCheck:
    """Asks the API server whether a token is good, with the file server's own key; remembers good ones for 12 hours."""

    def __init__(self, api_url, key, secret, cookie_names):
        self.cookie_names = cookie_names
        self._url, self._pair = api_url.rstrip("/") + "/auth.validate_token", f"{key}:{secret}"
        self._known = OrderedDict()

    def __call__(self, token):
        moment = time.monotonic()
        if self._known.get(token, 0) > moment:
            return
        headers = {"Authorization": "Basic " + base64.b64encode(self._pair.encode()).decode(), "Content-Type": "application/json"}
        request = urllib.request.Request(self._url, json.dumps({"token": token}).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                data = json.load(response)["data"]
        except urllib.error.HTTPError as error:
            raise Refused(500 if error.code == 500 else error.code, "Error validating token") from None
        except (OSError, ValueError) as error:
            raise Refused(500, f"The API server cannot be asked: {error}") from None
        if not data["valid"]:
            raise Refused(401, data.get("msg", "Invalid token"))
        self._known[token] = moment + _TOKEN_SECONDS
        while len(self._known) > _MAX_TOKENS:
            self._known.popitem(last=False)


class Parts:
    """Reads a multipart form from a stream of known length, part after part."""

    def __init__(self, stream, length, boundary):
        self._stream, self._left = stream, length
        self._mark = b"\r\n--" + boundary
        self._buffer = b"\r\n"
        self._skip_to_mark(None)

    def _fill(self):
        data = self._stream.read(min(_CHUNK, self._left)) if self._left else b""
        self._left -= len(data)
        self._buffer += data
        return bool(data)

    def _skip_to_mark(self, target):
        """Write everything up to the next boundary to `target`."""
        while True:
            at = self._buffer.find(self._mark)
            end = at if at >= 0 else max(0, len(self._buffer) - len(self._mark))
            if target:
                target.write(self._buffer[:end])
            self._buffer = self._buffer[end:]
            if at >= 0:
                self._buffer = self._buffer[len(self._mark) :]
                return
            if not self._fill():
                raise Refused(400, "The form ends in the middle of a part")

    def next(self):
        """The headers of the next part as text, or None behind the last. Its content must be read with `save`."""
        while len(self._buffer) < 2 or (b"\r\n\r\n" not in self._buffer and not self._buffer.startswith(b"--")):
            if not self._fill():
                raise Refused(400, "The form ends in the middle of a part")
        if self._buffer.startswith(b"--"):
            return None
        head, _, rest = self._buffer.partition(b"\r\n\r\n")
        self._buffer = b"\r\n" + rest if rest.startswith(self._mark[2:]) else rest
        return head.decode("utf-8", "replace")

    def save(self, target):
        self._skip_to_mark(target)

    def drain(self):
        while self._left and self._fill():
            self._buffer = b""


def _disposition(head):
    """(field name, whether it is a file) of a part."""
    match = re.search(r"(?im)^content-disposition:\s*form-data;(.*)$", head)
    line = match[1] if match else ""
    name = re.search(r'(?:^|;)\s*name="((?:[^"\\]|\\.)*)"', line)
    return (re.sub(r"\\(.)", r"\1", name[1]) if name else ""), "filename" in line


def listener(address, folder, check=None):
    """A server for the files below `folder`; `check` (a TokenCheck) refuses strangers. Raises OSError."""
    root = Path(folder).resolve()
    root.mkdir(parents=True, exist_ok=True)

    def place(path):
        target = (root / path.lstrip("/")).resolve()
        if target == root or root not in target.parents:
            raise Refused(404, "Not Found")
        return target

    class FileHandler(Handler):
        def answer(self):
            try:
                status, kind, data = 200, "text/html; charset=utf-8", self._route()
            except Refused as refusal:
                status, text = refusal.args
                kind, data = "text/plain; charset=utf-8", text.encode()
                self.close_connection = True
            if data is not None:
                self.reply(status, kind, data, [("Access-Control-Allow-Origin", "*")])

        def _route(self):
            path = urllib.parse.unquote(self.path.partition("?")[0])
            if self.headers.get("Content-Encoding"):
                raise Refused(415, f"Content encoding is not supported ({self.headers['Content-Encoding']})")
            if self.command in ("GET", "HEAD") and path == "/":
                return b"OK"
            if self.command == "OPTIONS":
                return b""
            self._authorize()
            if self.command == "POST" and path == "/":
                return self._upload()
            if self.command == "POST" and path == "/delete_many":
                return self._delete_many()
            if self.command in ("GET", "HEAD"):
                return self._download(place(path))
            if self.command == "DELETE":
                target = place(path)
                if not target.is_file():
                    raise Refused(404, f"File {path.lstrip('/')} not found")
                target.unlink()
                return json.dumps(path.lstrip("/")).encode()
            raise Refused(405, "Method Not Allowed")

        def _authorize(self):
            if check is None:
                return
            header = self.headers.get("Authorization")
            if header and not header.startswith("Bearer "):
                raise Refused(401, "Only bearer token authorization is supported")
            token = header[7:] if header else None
            for part in self.headers.get("Cookie", "").split(";"):
                name, _, value = part.strip().partition("=")
                if not token and name in check.cookie_names:
                    token = value
            if not token:
                raise Refused(401, "Unauthorized")
            check(token)

        def _upload(self):
            boundary = re.search(r'boundary="?([^";]+)', self.headers.get("Content-Type", ""))
            if not boundary:
                raise Refused(400, "A multipart form was expected")
            if self.headers.get("Transfer-Encoding"):
                raise Refused(411, "Length Required")
            parts, saved = Parts(self.rfile, self.length(), boundary[1].encode()), []
            while (head := parts.next()) is not None:
                name, is_file = _disposition(head)
                if not (name and is_file):
                    parts.save(None)
                    continue
                target = place(name)
                target.parent.mkdir(parents=True, exist_ok=True)
                partial = target.with_name(f".{target.name[:200]}.{secrets.token_hex(4)}.part")
                try:
                    with partial.open("wb") as stream:
                        parts.save(stream)
                    partial.replace(target)
                finally:
                    partial.unlink(missing_ok=True)
                saved.append(name.lstrip("/"))
            parts.drain()
            return json.dumps(saved).encode()

        def _delete_many(self):
            body = self.body()
            try:
                files = json.loads(body or b"null")
                files = files.get("files") if files else None
            except (ValueError, AttributeError):
                raise Refused(400, "Json payload is missing") from None
            if not files:
                raise Refused(400, "files are missing")
            deleted, errors = {}, {}
            for name in files:
                path = urllib.parse.unquote_plus(name)
                try:
                    target = place(path) if path.strip("/") else None
                except Refused:
                    target = None
                if not path.strip("/"):
                    errors.setdefault("Empty path not allowed", []).append(name)
                elif target is None or not target.exists():
                    errors.setdefault("Not found", []).append(name)
                else:
                    shutil.rmtree(target) if target.is_dir() else target.unlink()
                    deleted[name] = path
            return json.dumps({"deleted": deleted, "errors": errors}).encode()

        def _download(self, target):
            """Sends the file, or the part that a Range header asks for, and answers None."""
            try:
                stream = target.open("rb")
            except OSError:
                raise Refused(404, "Not Found") from None
            with stream:
                size = os.fstat(stream.fileno()).st_size
                start, end, status = 0, size, 200
                wanted = re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", ""))
                if wanted and (wanted[1] or wanted[2]):
                    start = int(wanted[1]) if wanted[1] else max(0, size - int(wanted[2]))
                    end = min(size, int(wanted[2]) + 1) if wanted[1] and wanted[2] else size
                    status = 206
                    if start >= end:
                        raise Refused(416, "Requested Range Not Satisfiable")
                kind, encoding = mimetypes.guess_type(target.name)
                self.send_response(status)
                self.send_header("Content-Type", "application/octet-stream" if encoding else kind or "application/octet-stream")
                self.send_header("Content-Length", str(end - start))
                self.send_header("Access-Control-Allow-Origin", "*")
                if status == 206:
                    self.send_header("Content-Range", f"bytes {start}-{end - 1}/{size}")
                self.end_headers()
                stream.seek(start)
                left = end - start if self.command == "GET" else 0
                while left and (data := stream.read(min(_CHUNK, left))):
                    self.wfile.write(data)
                    left -= len(data)

    return Server(address, FileHandler)
