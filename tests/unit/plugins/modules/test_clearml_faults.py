# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a broken network does to the ClearML modules: a bounded time, one clear line, nothing half done."""

from __future__ import annotations

import ipaddress
import ssl
import time

import pytest
from cryptography import x509

from ansible_collections.homelab.mlops.plugins.module_utils.clearml import transport
from ansible_collections.homelab.mlops.tests.unit.plugins.support.certificates import Authority
from ansible_collections.homelab.mlops.tests.unit.plugins.support.clearml_server import ADMIN, ClearMLServer
from ansible_collections.homelab.mlops.tests.unit.plugins.support.fault_proxy import Fault, FaultProxy, free_url
from ansible_collections.homelab.mlops.tests.unit.plugins.support.modules import run

SLOW = ("slow_first_byte", "slow_body")
PATIENT, IMPATIENT = 15, 3  # seconds; the second where the time itself runs out, as long as a busy machine needs for the other calls

# Each makes one thing: module, its options, the call that makes it, and the things there are.
MAKERS = {
    "queue": ("clearml_queue", {"name": "new-queue"}, "queues.create", lambda server: [queue["name"] for queue in server.queues]),
    "credentials": ("clearml_credentials", {"label": "new-label"}, "auth.create_credentials", lambda server: server.keys("new-label")),
    "user": ("clearml_user", {"name": "Carol", "email": "c@example.com"}, "auth.create_user", lambda server: list(server.emails)),
    "project": ("clearml_project", {"name": "vision"}, "projects.create", lambda server: [entry["name"] for entry in server.projects]),
    "task": ("clearml_task", {"name": "smoke", "project": "old-project", "code": "1"}, "tasks.create", lambda server: list(server.tasks)),
}
LOOKS = {"queues.get_all", "auth.get_credentials", "users.get_all", "projects.get_all", "tasks.get_all"}

# No answer that says what became of the request; it may have reached the server or not.
SILENT = [Fault(name, reaches) for name in ("reset", "reset_in_the_middle", "garbage") for reaches in (False, True)]
SILENT += [Fault("status", reaches, code=code) for code in (502, 504) for reaches in (False, True)]
LATE = [Fault(name, reaches) for name in SLOW for reaches in (False, True)]
# Answers, though not those of a ClearML server.
LYING = [Fault("truncated_json")] + [Fault("redirect", code=code) for code in (301, 302, 307)]
LYING += [Fault("status", code=code) for code in (200, 400, 401, 403, 404, 500)]
# "Not now", said before anything was done.
LATER = [Fault("status", code=code) for code in (429, 503)] + [Fault("status", code=code, retry_after="60") for code in (429, 503)]

LOST = [(maker, fault) for maker in sorted(MAKERS) for fault in SILENT + (LATE if maker in ("queue", "credentials") else [])]
ANSWERED = [(maker, fault) for maker in sorted(MAKERS) for fault in (LYING + LATER if maker == "queue" else LYING[::3] + LATER[::3])]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch):
    """The pauses themselves are those of test_transport.py."""
    monkeypatch.setattr(transport, "FIRST_PAUSE_SECONDS", 0.01)


@pytest.fixture
def server():
    with ClearMLServer() as running:
        running.projects_create({"name": "old-project"}, "u-admin")
        yield running


@pytest.fixture
def proxy(server):
    with FaultProxy(server) as running:
        yield running


def timed(module, url, fault=None, **options):
    """Runs a module through the proxy; looks at time and words."""
    limit = IMPATIENT if fault and fault.name in SLOW else PATIENT
    options = dict({"access_key": ADMIN[0], "secret_key": ADMIN[1], "timeout_seconds": limit}, **options)
    start = time.monotonic()
    result = run(module, api_url=url, **options)
    spent = time.monotonic() - start
    assert ADMIN[1] not in result.text
    if result["failed"]:
        assert spent < 3 * limit + 3  # three times the timeout, as the documentation says, and what a busy machine adds
        assert result["msg"].strip()
        assert "\n" not in result["msg"]
        assert len(result["msg"]) < 400
        assert "exception" not in result
        assert "<h1>" not in result["msg"]
    return result


@pytest.mark.parametrize("fault", [fault for fault in SILENT + LATE if not fault.reaches] + LYING + LATER, ids=repr)
def test_nothing_but_this_fault(server, proxy, fault):
    proxy.choose = lambda endpoint: fault
    failed = timed("clearml_queue", proxy.url, fault, name="new-queue")
    assert failed["failed"] is True
    assert proxy.url in failed["msg"] or "ClearML refused" in failed["msg"]
    assert server.queues == []
    assert "queues.create" not in proxy.seen


def test_nobody_listens():
    failed = timed("clearml_queue", free_url(), name="new-queue")
    assert "connection refused; check api_url" in failed["msg"]


@pytest.mark.parametrize("maker, fault", LOST, ids=repr)
def test_the_answer_to_the_creation_is_lost(server, proxy, maker, fault):
    """Whether the request arrived or not: afterwards there is one of them, and nothing was sent twice without a look."""
    module, options, creation, things = MAKERS[maker]
    before = len(things(server))
    left = [fault]
    proxy.choose = lambda endpoint: left.pop() if endpoint == creation and left else None
    done = timed(module, proxy.url, fault, **options)
    assert done["failed"] is False, done["msg"]
    assert done["changed"] is True
    assert len(things(server)) == before + 1
    creations = [number for number, endpoint in enumerate(proxy.seen) if endpoint == creation]
    for first, second in zip(creations, creations[1:]):
        assert LOOKS & set(proxy.seen[first + 1 : second])


@pytest.mark.parametrize("maker, fault", ANSWERED, ids=repr)
def test_the_creation_is_answered_by_something_else(server, proxy, maker, fault):
    module, options, creation, things = MAKERS[maker]
    before = len(things(server))
    proxy.choose = lambda endpoint: fault if endpoint == creation else None
    failed = timed(module, proxy.url, **options)
    assert failed["failed"] is True
    assert len(things(server)) == before
    assert proxy.seen.count(creation) == 1 or fault in LATER
    proxy.choose = lambda endpoint: None
    assert timed(module, proxy.url, **options)["changed"] is True
    assert len(things(server)) == before + 1


@pytest.mark.parametrize("code", [429, 503])
def test_retry_after_is_waited_for(server, proxy, code):
    left = [Fault("status", code=code, retry_after="1")]
    proxy.choose = lambda endpoint: left.pop() if left else None
    start = time.monotonic()
    assert timed("clearml_queue", proxy.url, name="new-queue")["changed"] is True
    assert time.monotonic() - start >= 1


def served(server, path, context=None):
    """Turns a server into one with TLS; returns its address."""
    context = context or ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(str(path))
    server.http.socket = context.wrap_socket(server.http.socket, server_side=True)
    return server.url.replace("http:", "https:")


LOOPBACK = x509.IPAddress(ipaddress.ip_address("127.0.0.1"))


def test_a_certificate_for_another_name(server, tmp_path):
    authority = Authority(tmp_path)
    url = served(server, authority.issue("clearml", x509.DNSName("clearml.example")))
    failed = timed("clearml_queue", url, name="new-queue", ca_path=str(authority.path))
    assert "TLS: " in failed["msg"]
    assert "host name in api_url" in failed["msg"]
    assert (server.calls, server.queues) == ([], [])


def test_an_authority_that_is_expired(server, tmp_path):
    authority = Authority(tmp_path, expired=True)
    url = served(server, authority.issue("clearml", LOOPBACK))
    failed = timed("clearml_queue", url, name="new-queue", ca_path=str(authority.path))
    assert "expired" in failed["msg"]
    assert "the server's clock" in failed["msg"]
    assert server.calls == []


def test_an_authority_that_is_not_known(server, tmp_path):
    url = served(server, Authority(tmp_path).issue("clearml", LOOPBACK))
    other = Authority(tmp_path, "Another authority")
    for options in ({}, {"ca_path": str(other.path)}):
        assert "check ca_path" in timed("clearml_queue", url, name="new-queue", **options)["msg"]
    assert server.calls == []


def test_a_certificate_of_this_side(server, tmp_path):
    authority = Authority(tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_verify_locations(str(authority.path))
    url = served(server, authority.issue("clearml", LOOPBACK), context)
    options = {"name": "new-queue", "ca_path": str(authority.path)}
    assert timed("clearml_queue", url, **options)["failed"] is True
    assert server.calls == []
    mine = authority.issue("mine")
    assert timed("clearml_queue", url, client_cert=str(mine), client_key=str(mine), **options)["changed"] is True
    assert "client_key needs client_cert" in timed("clearml_queue", url, client_key=str(mine), **options)["msg"]
    assert "is not a file that can be read" in timed("clearml_queue", url, client_cert="/nosuch", **options)["msg"]
