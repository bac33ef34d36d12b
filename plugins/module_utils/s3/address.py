# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an address where no S3 server answers as expected, found out by asking it once more by hand."""

from __future__ import annotations

import socket
import ssl
from urllib.parse import urlsplit

PORTS = {"http": 80, "https": 443}
# The whole answer of MinIO's console to what is signed for S3, seen with RELEASE.2025-09-07 and the module of 2026-02-12.
CONSOLE = "S3 API Requests must be made to API port"
CONSOLE_REMEDY = "set endpoint_url to the address of its API (port 9000 unless it was changed) and not of its console"
LONGEST_WAIT = 5.0  # seconds; the request before has waited as long as the user wants


def remedy(url, reason, timeout=LONGEST_WAIT):
    """What a person does when there is no answer, or none that makes sense.

    :param url: endpoint_url
    :param reason: exception or text of the HTTP library
    :param timeout: how long to wait for the server, in seconds
    """
    text = str(reason)
    if CONSOLE in text:
        return CONSOLE_REMEDY
    parts = urlsplit(url)
    port = parts.port or PORTS[parts.scheme]
    timeout = min(timeout, LONGEST_WAIT)
    if parts.scheme == "http" and _speaks_tls(parts.hostname, port, timeout):
        return "the server speaks https: set endpoint_url to https://%s" % parts.netloc
    if "certificate" in text or "doesn't match" in text:
        return "check ca_bundle, the host name in endpoint_url and the server's clock"
    if parts.scheme == "https" and "SSL" in text and _speaks_http(parts.hostname, port, timeout):
        return "the server speaks http: set endpoint_url to http://%s" % parts.netloc
    return "check endpoint_url, and that the server is up"


def _speaks_tls(host, port, timeout):
    # Whoever answers is only asked whether it is TLS that it speaks; nothing is sent and nothing believed.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    try:
        with socket.create_connection((host, port), timeout=timeout) as plain:
            with context.wrap_socket(plain, server_hostname=host):
                return True
    except (OSError, ValueError):
        return False


def _speaks_http(host, port, timeout):
    try:
        with socket.create_connection((host, port), timeout=timeout) as plain:
            plain.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
            return plain.recv(5) == b"HTTP/"
    except OSError:
        return False
