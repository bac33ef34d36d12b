# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

import json
import socket
import ssl
import subprocess
import threading
import time
from email.utils import formatdate

import pytest

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import errors
from ansible_collections.homelab.mlops.plugins.module_utils.clearml.transport import ATTEMPTS, Transport, check_url
from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import (
    ADMIN,
    RECORDED,
    ClearMLServer,
    on_endpoint,
    times,
)
from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import break_off, send

RECORDED_CLASSES = {
    "queues.create: duplicate": errors.AlreadyExists,
    "queues.create: no auth": errors.AuthenticationFailed,
    "queues.create: 2 chars": errors.ApiError,
    "queues.update: unknown queue": errors.QueueMissing,
    "queues.delete: not empty, no force": errors.QueueNotEmpty,
    "auth.revoke_credentials: again": errors.CredentialMissing,
    "auth.create_credentials: with a label": errors.ProtectedIdentity,
    "auth.login: revoked API key": errors.AuthenticationFailed,
    "_impersonation: user tries to impersonate": errors.PermissionDenied,
    "_paths-and-versions: unknown endpoint": errors.EndpointMissing,
}


class Waiting(object):
    """A sleep that only takes notes."""

    def __init__(self):
        self.pauses = []

    def __call__(self, seconds):
        self.pauses.append(seconds)


@pytest.fixture
def server():
    with ClearMLServer() as running:
        yield running


def transport(server, **options):
    return Transport(
        server.url, **dict({"access_key": ADMIN[0], "secret_key": ADMIN[1], "timeout_seconds": 5, "sleep": Waiting()}, **options)
    )


def answering(status, content=b"<html>busy</html>", headers=()):
    def fault(handler, endpoint):
        send(handler, status, content, "text/html", headers)
        return True

    return fault


def one_line(error):
    text = str(error.value)
    assert text
    assert "\n" not in text
    assert ADMIN[1] not in text
    return text


@pytest.mark.parametrize("name", sorted(RECORDED_CLASSES))
def test_recorded_refusals_become_typed_errors(server, name):
    recorded = RECORDED[name]

    def refuse(handler, endpoint):
        send(handler, recorded["status"], json.dumps(recorded["body"]).encode(), "application/json")
        return True

    on_endpoint(server, "queues.get_all", refuse)
    with pytest.raises(errors.ApiError) as error:
        transport(server).call("queues.get_all")
    assert error.type is RECORDED_CLASSES[name]
    meta = recorded["body"]["meta"]
    assert (error.value.code, error.value.subcode) == (meta["result_code"], meta["result_subcode"])
    assert meta["result_msg"] in one_line(error)
    assert len(server.calls) == 1  # a refusal is never repeated


def test_what_is_sent(server):
    seen = {}

    def look(handler, endpoint):
        seen.update(command=handler.command, path=handler.path, headers=handler.headers)
        return False

    on_endpoint(server, "queues.get_all", look)
    transport(server).call("queues.get_all", {"name": "^a$"})
    assert (seen["command"], seen["path"]) == ("POST", "/queues.get_all")
    assert seen["headers"]["Content-Type"] == "application/json"
    assert seen["headers"]["Authorization"].startswith("Basic ")
    assert server.calls == [("queues.get_all", {"name": "^a$"}, ADMIN[0], None)]


def test_a_bearer_token(server):
    seen = []

    def look(handler, endpoint):
        seen.append(handler.headers["Authorization"])
        send(handler, 200, json.dumps(RECORDED["auth.login: API key ok"]["body"]).encode(), "application/json")
        return True

    on_endpoint(server, "auth.login", look)
    Transport(server.url, token="a-token").call("auth.login")
    assert seen == ["Bearer a-token"]


@pytest.mark.parametrize("status", [429, 502, 503, 504])
def test_temporary_answers_are_tried_again_with_growing_pauses(server, status):
    times(server, 3, answering(status))
    waiting = Waiting()
    assert transport(server, sleep=waiting).call("queues.get_all") == {"queues": []}
    assert waiting.pauses == [0.5, 1, 2]
    assert len(server.calls) == 4


def test_retry_after_is_obeyed_within_the_limit(server):
    times(server, 1, answering(503, headers=[("Retry-After", "3")]))
    waiting = Waiting()
    transport(server, sleep=waiting).call("queues.get_all")
    assert waiting.pauses == [3]
    times(server, 1, answering(503, headers=[("Retry-After", "3600")]))
    with pytest.raises(errors.Unreachable) as error:
        transport(server, sleep=waiting).call("queues.get_all")
    assert "HTTP status 503" in one_line(error)
    assert waiting.pauses == [3]


def test_retry_after_as_a_date(server):
    times(server, 1, answering(503, headers=[("Retry-After", formatdate(time.time() + 4, usegmt=True))]))
    waiting = Waiting()
    transport(server, sleep=waiting).call("queues.get_all")
    assert 1 < waiting.pauses[0] <= 4


@pytest.mark.parametrize("ahead, shown", [(0, 0), (1, 0), (3600, 3600), (-90, -90)])
def test_the_clock_of_the_server(server, ahead, shown):
    mine = transport(server)
    assert abs(mine.server_time() - time.time()) < 1
    server.http.RequestHandlerClass.date_time_string = lambda handler: formatdate(time.time() + ahead, usegmt=True)
    mine.call("queues.get_all")
    assert abs(mine.server_time() - time.time() - shown) < 2.5


def test_temporary_answers_have_an_end(server):
    times(server, 99, answering(503))
    with pytest.raises(errors.Unreachable) as error:
        transport(server).call("queues.get_all")
    assert len(server.calls) == ATTEMPTS
    assert one_line(error) == (
        "cannot reach the ClearML API at %s for queues.get_all (5 attempts): it answers with HTTP status 503; "
        "is the server still starting?" % server.url
    )


def test_what_must_not_happen_twice_is_not_repeated_when_it_may_have_arrived(server):
    for fault in (answering(502), answering(504), lambda handler, endpoint: break_off(handler) or True):
        del server.calls[:]
        times(server, 1, fault)
        with pytest.raises(errors.OutcomeUnknown):
            transport(server).call("queues.create", {"name": "abc"}, repeatable=False)
        assert server.called() == ["queues.create"]
    times(server, 1, answering(503))  # this says that it was not taken
    transport(server).call("queues.create", {"name": "abc"}, repeatable=False)
    assert len(server.queues) == 1


def test_a_broken_connection_is_tried_again(server):
    times(server, 1, lambda handler, endpoint: break_off(handler) or True)
    assert transport(server).call("queues.get_all") == {"queues": []}
    assert len(server.calls) == 2


def test_nobody_listens():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        url = "http://127.0.0.1:%d" % probe.getsockname()[1]
    waiting = Waiting()
    with pytest.raises(errors.Unreachable) as error:
        Transport(url, access_key="a", secret_key=ADMIN[1], timeout_seconds=5, sleep=waiting).call("queues.create", repeatable=False)
    assert "connection refused; check api_url, and that the API server is up" in one_line(error)
    assert len(waiting.pauses) == ATTEMPTS - 1


def test_a_name_that_does_not_exist():
    with pytest.raises(errors.Unreachable) as error:
        Transport("http://nosuch.invalid:8008", sleep=Waiting()).call("debug.ping")
    assert "cannot be resolved; check api_url" in one_line(error)


@pytest.mark.parametrize("drip", [False, True])
def test_a_slow_server_costs_a_bounded_time(server, drip):
    release = threading.Event()

    def slow(handler, endpoint):
        if drip:
            handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
            while not release.wait(0.05):
                try:
                    handler.wfile.write(b" ")
                    handler.wfile.flush()
                except OSError:
                    break
        else:
            release.wait(10)
        handler.close_connection = True
        return True

    server.lock = threading.Semaphore(100)  # the slow call must not hold the others back
    times(server, 99, slow)
    start = time.monotonic()
    with pytest.raises(errors.Unreachable) as error:
        transport(server, timeout_seconds=0.4, sleep=time.sleep).call("queues.get_all")
    spent = time.monotonic() - start
    release.set()
    assert spent < 3
    assert "no answer in time" in one_line(error)


@pytest.mark.parametrize(
    "content",
    [b"<html>It works</html>", b"", b"{", b"[]", b'{"meta": {}}', b'{"meta": {"result_code": 200}, "data": []}', b"\xff\xfe"]
    + [b"[" * 100000, b'{"meta": {"result_code": 1e999}, "data": {}}'],
    ids=lambda content: repr(content[:20]),
)
def test_what_is_not_clearml(server, content):
    times(server, 1, answering(200, content))
    with pytest.raises(errors.BadAnswer) as error:
        transport(server).call("queues.get_all")
    assert server.url in one_line(error)
    assert len(server.calls) == 1


def test_a_truncated_answer(server):
    def truncated(handler, endpoint):
        handler.wfile.write(b'HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{"meta"')
        break_off(handler)
        return True

    times(server, 99, truncated)
    with pytest.raises(errors.Unreachable) as error:
        transport(server).call("queues.get_all")
    assert "the connection broke" in one_line(error)


def test_garbage_instead_of_http(server):
    def garbage(handler, endpoint):
        handler.wfile.write(b"\x00\x01\x02 hello\r\n\r\n")
        handler.close_connection = True
        return True

    times(server, 99, garbage)
    with pytest.raises(errors.Unreachable) as error:
        transport(server).call("queues.get_all")
    one_line(error)


def test_a_redirect_is_not_followed(server):
    times(server, 1, answering(301, headers=[("Location", "https://elsewhere.example/queues.get_all")]))
    with pytest.raises(errors.BadAnswer) as error:
        transport(server).call("queues.get_all")
    assert "redirects to https://elsewhere.example/queues.get_all: set api_url" in one_line(error)


def test_tls_name_and_authority(server, tmp_path):
    key, certificate = tmp_path / "key.pem", tmp_path / "cert.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=clearml.example"]
    subject = ["-addext", "subjectAltName=DNS:clearml.example"]
    subprocess.run(command + subject + ["-keyout", str(key), "-out", str(certificate)], check=True, capture_output=True)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(certificate), str(key))
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    url = server.url.replace("http:", "https:")
    options = {"access_key": ADMIN[0], "secret_key": ADMIN[1], "timeout_seconds": 5, "sleep": Waiting()}
    for more in ({}, {"ca_path": str(certificate)}):  # unknown authority; known authority and another host name
        with pytest.raises(errors.Unreachable) as error:
            Transport(url, **dict(options, **more)).call("queues.get_all")
        assert "TLS: " in one_line(error)
        assert "check ca_path, the host name in api_url" in one_line(error)
    assert options["sleep"].pauses == []
    assert server.calls == []
    assert Transport(url, validate_certs=False, **options).call("queues.get_all") == {"queues": []}


def test_login_works(server):
    assert transport(server).login_works() is True
    assert transport(server, secret_key="wrong").login_works() is False
    times(server, 99, answering(503))
    with pytest.raises(errors.Unreachable):
        transport(server).login_works()


def test_another_pair_and_impersonation(server):
    mine = transport(server)
    mine.impersonating("u-alice").call("auth.get_credentials")
    mine.as_other("a", "b").login_works()
    mine.call("auth.get_credentials")
    assert [call[2:] for call in server.calls] == [(ADMIN[0], "u-alice"), ("a", None), (ADMIN[0], None)]
    assert mine.impersonating("u-alice").access_key == ADMIN[0]


@pytest.mark.parametrize("version, works", [("2.30", False), ("2.31", True), ("2.9", False), ("3.0", True)])
def test_api_versions_are_compared_as_numbers(version, works):
    with ClearMLServer(api_version=version) as server:
        mine = transport(server)
        mine.need_api_version("2.31", "display_name")  # not known before the first answer
        mine.call("queues.get_all")
        if works:
            mine.need_api_version("2.31", "display_name")
        else:
            with pytest.raises(errors.Unsupported) as error:
                mine.need_api_version("2.31", "display_name")
            assert "display_name needs ClearML API 2.31" in one_line(error)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "192.0.2.1:8008",
        "ftp://192.0.2.1",
        "http://",
        "http://192.0.2.1:x",
        "http://a b",
        "http://192.0.2.1?x=1",
        "http://u:p@192.0.2.1",
        "http://b\u00fccher.example:8008",
    ],
)
def test_addresses_that_cannot_be_meant(url):
    with pytest.raises(errors.InvalidInput) as error:
        check_url(url)
    assert "u:p" not in str(error.value)


def test_a_path_before_the_endpoint_stays():
    assert check_url("https://clearml.example/api/") == "https://clearml.example/api"


def test_options_that_cannot_be_meant(tmp_path):
    for seconds in (0, 10**12):
        with pytest.raises(errors.InvalidInput, match="timeout_seconds must be above 0 and at most 86400"):
            Transport("http://192.0.2.1", timeout_seconds=seconds)
    for path in (tmp_path, tmp_path / "nosuch"):
        with pytest.raises(errors.InvalidInput, match="is not a file that can be read"):
            Transport("http://192.0.2.1", ca_path=str(path))
    for token in ("my-token\n", "my-t\u00f6ken"):
        with pytest.raises(errors.InvalidInput, match="token holds characters") as error:
            Transport("http://192.0.2.1", token=token)
        assert "my-t" not in str(error.value)
