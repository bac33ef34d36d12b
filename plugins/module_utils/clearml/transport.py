# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One way to call a ClearML API server: JSON by POST, a bounded time, typed errors.

Only `ansible.module_utils.urls` is needed. The facts about envelope, versions and authentication are those of ClearML's
apiserver 2.3.0, as recorded.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import ssl
import time
from email.utils import parsedate_to_datetime
from http.client import HTTPException
from urllib.error import HTTPError, URLError
from urllib.parse import urlsplit

from ansible.module_utils.urls import ConnectionError as UrlsConnectionError
from ansible.module_utils.urls import basic_auth_header, open_url

from ansible_collections.homelab.mlops.plugins.module_utils.clearml.errors import (
    AuthenticationFailed,
    BadAnswer,
    InvalidInput,
    OutcomeUnknown,
    Unreachable,
    Unsupported,
    api_error,
)

ATTEMPTS = 5
FIRST_PAUSE_SECONDS = 0.5
LONGEST_PAUSE_SECONDS = 30
LONGEST_TIMEOUT_SECONDS = 24 * 3600
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024

# The proxy or the server says "not now". With 502 and 504 the request may have reached the server behind the proxy.
NOT_PROCESSED = (429, 503)
PERHAPS_PROCESSED = (502, 504)


class _NoAnswer(Exception):
    """One attempt that ended without an answer; `sent` says whether the server may have seen the request."""

    def __init__(self, reason, sent, temporary=True, pause=None):
        super().__init__(reason)
        self.reason = reason
        self.sent = sent
        self.temporary = temporary
        self.pause = pause


def check_url(url, option="api_url"):
    """The address without a trailing slash.

    :param url: what the user gave (str)
    :param option: name of the option, for the message
    :raises InvalidInput: it is no plain http or https address
    """
    text = (url or "").strip()
    try:
        parts = urlsplit(text)
        valid = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        valid = False
    if not valid or any(character.isspace() for character in text):
        raise InvalidInput("%s must be an address such as http://192.0.2.10:8008" % option)
    if not text.isascii():
        raise InvalidInput("%s must be ASCII: write a name with other letters in its xn-- form" % option)
    if parts.username is not None or parts.password is not None:
        raise InvalidInput("%s must not hold a user or a password: use access_key and secret_key" % option)
    if parts.query or parts.fragment:
        raise InvalidInput("%s must not have a query or a fragment" % option)
    return text.rstrip("/")


class Transport(object):
    """Calls of one user to one server.

    :param api_url: address of the API server, without version
    :param access_key: and
    :param secret_key: the pair for HTTP Basic
    :param token: bearer token, instead of the pair
    :param timeout_seconds: for one attempt, from the first byte sent to the last byte read (int or float)
    :param validate_certs: whether the server's certificate is checked (bool)
    :param ca_path: file with the certificates of the authority, or None
    :param client_cert: file with the certificate that this side shows, or None
    :param client_key: file with its key, None where it is in the same file
    :param use_proxy: whether the proxy variables of the environment count (bool)
    :param opener: function with the signature of `open_url`
    :param sleep: function that waits for a number of seconds
    :param clock: function that gives seconds of a monotonic clock
    """

    def __init__(
        self,
        api_url,
        access_key=None,
        secret_key=None,
        token=None,
        timeout_seconds=30,
        validate_certs=True,
        ca_path=None,
        client_cert=None,
        client_key=None,
        use_proxy=True,
        opener=open_url,
        sleep=time.sleep,
        clock=time.monotonic,
    ):
        self.api_url = check_url(api_url)
        if not 0 < timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
            raise InvalidInput("timeout_seconds must be above 0 and at most %d" % LONGEST_TIMEOUT_SECONDS)
        if token and not (token.isascii() and token.isprintable()):
            raise InvalidInput("token holds characters that no token has, such as a line break")
        for option, path in (("ca_path", ca_path), ("client_cert", client_cert), ("client_key", client_key)):
            if path and not (os.path.isfile(path) and os.access(path, os.R_OK)):
                raise InvalidInput("%s %s is not a file that can be read on this host" % (option, path))
        if client_key and not client_cert:
            raise InvalidInput("client_key needs client_cert")
        self.timeout_seconds = timeout_seconds
        self.access_key = access_key
        self.server_api_version = None
        self._clock_ahead = 0.0
        self._settings = {
            "validate_certs": validate_certs,
            "ca_path": ca_path,
            "client_cert": client_cert,
            "client_key": client_key,
            "use_proxy": use_proxy,
        }
        self._opener = opener
        self._sleep = sleep
        self._clock = clock
        self._headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if token:
            self._headers["Authorization"] = "Bearer %s" % token
        elif access_key:
            self._headers["Authorization"] = basic_auth_header(access_key, secret_key or "")

    def as_other(self, access_key=None, secret_key=None):
        """The same server for another pair, with the same limits."""
        return Transport(
            self.api_url,
            access_key=access_key,
            secret_key=secret_key,
            timeout_seconds=self.timeout_seconds,
            opener=self._opener,
            sleep=self._sleep,
            clock=self._clock,
            **self._settings,
        )

    def impersonating(self, user_id):
        """The same server and pair, acting for the user with this id (roles admin, system and root may)."""
        other = self.as_other()
        other._headers = dict(self._headers)
        other._headers["X-Clearml-Impersonate-As"] = user_id
        other.access_key = self.access_key
        return other

    def need_api_version(self, version, what):
        """Checks the newest API version that the server named in its last answer.

        :param version: such as "2.31"
        :param what: the option that needs it, for the message
        :raises Unsupported: the server named an older one
        """
        if self.server_api_version and _version(self.server_api_version) < _version(version):
            raise Unsupported(
                "%s needs ClearML API %s, and the server at %s has %s: upgrade the server or leave the option out"
                % (what, version, self.api_url, self.server_api_version)
            )

    def server_time(self):
        """Now by the clock of the server (seconds since 1970), as far as its last answer's Date tells; else by this host's."""
        return time.time() + self._clock_ahead

    def call(self, endpoint, body=None, repeatable=True):
        """One call, repeated while the trouble is temporary and time is left.

        :param endpoint: service and action, such as ``queues.get_all``
        :param body: dict that is sent as JSON
        :param repeatable: False for a call that must not happen twice; it is then repeated only when it surely did not
            reach the server
        :returns: the `data` of the envelope (dict)
        :raises ApiError: the server refused
        :raises OutcomeUnknown: a call that is not repeatable was sent and not answered
        :raises Unreachable: no answer in time
        :raises BadAnswer: the answer does not come from a ClearML API server
        """
        content = json.dumps(body or {}).encode("utf-8")
        start = self._clock()
        limit = 2 * self.timeout_seconds
        pause = FIRST_PAUSE_SECONDS
        attempt = 0
        while True:
            attempt += 1
            try:
                status, text = self._attempt(endpoint, content)
                return self._parse(endpoint, status, text)
            except _NoAnswer as trouble:
                if trouble.sent and not repeatable:
                    raise OutcomeUnknown(self._trouble_text(endpoint, trouble, attempt)) from trouble
                wait = pause if trouble.pause is None else trouble.pause
                left = limit - (self._clock() - start)
                if not trouble.temporary or attempt >= ATTEMPTS or wait > left:
                    raise Unreachable(self._trouble_text(endpoint, trouble, attempt)) from trouble
                self._sleep(wait)
                pause = min(pause * 2, LONGEST_PAUSE_SECONDS)

    def login_works(self):
        """Whether this transport's own pair is accepted.

        :returns: True, or False when the server says that it does not know the pair
        :raises ClearMLError: any other trouble, so that an outage never looks like a wrong pair
        """
        try:
            self.call("auth.login")
        except AuthenticationFailed:
            return False
        return True

    def _trouble_text(self, endpoint, trouble, attempts):
        tried = "" if attempts == 1 else " (%d attempts)" % attempts
        return "cannot reach the ClearML API at %s for %s%s: %s" % (self.api_url, endpoint, tried, trouble.reason)

    def _attempt(self, endpoint, content):
        """One HTTP exchange; returns (status, text) or raises _NoAnswer."""
        deadline = self._clock() + self.timeout_seconds
        url = "%s/%s" % (self.api_url, endpoint)
        try:
            try:
                response = self._opener(
                    url,
                    data=content,
                    headers=self._headers,
                    method="POST",
                    timeout=self.timeout_seconds,
                    follow_redirects="none",
                    use_netrc=False,
                    decompress=False,
                    http_agent="homelab.mlops",
                    **self._settings,
                )
                status = response.code
            except HTTPError as refusal:
                response, status = refusal, refusal.code
            if 300 <= status < 400:
                target = response.headers.get("Location") or "nowhere"
                raise BadAnswer("%s redirects to %s: set api_url to the address of the API server itself" % (url, target))
            self._clock_ahead = _clock_ahead(response.headers.get("Date"))
            text = self._read(response, deadline)
        except (URLError, UrlsConnectionError, HTTPException, OSError, ValueError) as trouble:
            raise _no_answer(trouble) from trouble
        if status in NOT_PROCESSED or status in PERHAPS_PROCESSED:
            raise _NoAnswer(
                "it answers with HTTP status %d; is the server still starting?" % status,
                sent=status in PERHAPS_PROCESSED,
                pause=_retry_after(response.headers.get("Retry-After")),
            )
        return status, text

    def _read(self, response, deadline):
        """The whole body as bytes, within the deadline even when it comes drop by drop."""
        read = getattr(response, "read1", None) or response.read
        parts = []
        size = 0
        while True:
            part = read(65536)
            if not part:
                break
            parts.append(part)
            size += len(part)
            if size > LARGEST_ANSWER_BYTES:
                raise BadAnswer("the answer of %s is longer than %d bytes" % (self.api_url, LARGEST_ANSWER_BYTES))
            if self._clock() > deadline:
                raise socket.timeout("timed out")
        expected = response.headers.get("Content-Length")
        if expected is not None and expected.isdigit() and int(expected) != size:
            raise OSError("the answer broke off after %d of %s bytes" % (size, expected))
        return b"".join(parts)

    def _parse(self, endpoint, status, text):
        try:
            answer = json.loads(text.decode("utf-8"))
            meta = answer["meta"]
            code = int(meta["result_code"])
            subcode = int(meta.get("result_subcode") or 0)
        except (ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError) as trouble:
            raise BadAnswer(
                "what answers at %s (HTTP status %d) is not a ClearML API server: is api_url the address of the API "
                "(port 8008 or 30008) and not of the web page or the file server?" % (self.api_url, status)
            ) from trouble
        requested = (meta.get("endpoint") or {}).get("requested_version")
        if requested is not None:
            self.server_api_version = str(requested)
        if code != 200:
            raise api_error(endpoint, code, subcode, str(meta.get("result_msg") or ""))
        data = answer.get("data")
        if not isinstance(data, dict):
            raise BadAnswer("the ClearML API at %s answered %s without data" % (self.api_url, endpoint))
        return data


def _version(text):
    return tuple(int(part) for part in str(text).split(".") if part.isdigit())


def _date(value):
    """Seconds since 1970 of a date in a header, or None."""
    try:
        return parsedate_to_datetime(value).timestamp()
    except (TypeError, ValueError, IndexError, OverflowError):
        return None


def _clock_ahead(value):
    """Seconds by which the clock behind a Date header is ahead of this host's; 0 within its resolution and without one."""
    moment = _date(value)
    ahead = 0.0 if moment is None else moment - time.time()
    return ahead if abs(ahead) > 2 else 0.0


def _retry_after(value):
    """Seconds of a Retry-After header in either of its forms, or None."""
    text = (value or "").strip()
    if text.isdigit():
        return int(text)
    moment = _date(text)
    return None if moment is None else max(0.0, moment - time.time())


def _no_answer(trouble):
    """The _NoAnswer for what open_url, http.client or a socket raised."""
    reason = getattr(trouble, "reason", None)
    cause = reason if isinstance(reason, Exception) else trouble
    if isinstance(cause, ssl.SSLError) and not isinstance(cause, socket.timeout):
        text = getattr(cause, "verify_message", None) or getattr(cause, "reason", None) or str(cause)
        return _NoAnswer("TLS: %s; check ca_path, the host name in api_url and the server's clock" % text, sent=False, temporary=False)
    if isinstance(cause, socket.gaierror):
        return _NoAnswer("its name cannot be resolved; check api_url", sent=False, temporary=cause.errno == socket.EAI_AGAIN)
    if isinstance(cause, ConnectionRefusedError):
        return _NoAnswer("connection refused; check api_url, and that the API server is up", sent=False)
    if isinstance(cause, socket.timeout) or getattr(cause, "errno", None) == errno.ETIMEDOUT:
        return _NoAnswer("no answer in time; check that the API server is up and timeout_seconds long enough", sent=True)
    if getattr(cause, "errno", None) in (errno.EHOSTUNREACH, errno.ENETUNREACH):
        return _NoAnswer("no route to it; check api_url and this host's network", sent=False)
    if isinstance(cause, (OSError, HTTPException)):
        return _NoAnswer("the connection broke (%s)" % (" ".join(str(cause).split()) or type(cause).__name__), sent=True)
    return _NoAnswer(" ".join(str(cause).split()) or type(cause).__name__, sent=False, temporary=False)
