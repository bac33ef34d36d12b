# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""S3 servers in this process, over real HTTP: moto's whole bucket API, and one that answers what a test says."""

from __future__ import annotations

import logging
import urllib.request

import boto3
from moto.server import ThreadedMotoServer

from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import LocalServer, send

KEYS = {"access_key": "testing", "secret_key": "testing-secret"}
LISTED = '<?xml version="1.0" encoding="UTF-8"?><ListBucketResult><Name>data-1</Name></ListBucketResult>'
ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>%s</Message></Error>'


class MotoServer(object):
    """Use as a context manager; empty at the start of each use."""

    def __init__(self):
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        self.server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)

    def __enter__(self):
        self.server.start()
        self.url = "http://%s:%d" % self.server.get_host_and_port()
        urllib.request.urlopen(urllib.request.Request(self.url + "/moto-api/reset", method="POST"), timeout=10).close()
        self.boto = boto3.client(
            "s3", endpoint_url=self.url, region_name="us-east-1", aws_access_key_id="testing", aws_secret_access_key="testing-secret"
        )
        return self

    def __exit__(self, *exc_info):
        self.server.stop()

    @property
    def connection(self):
        """Options of a module that connect to this server."""
        return dict(KEYS, endpoint_url=self.url, timeout_seconds=5)

    def names(self):
        """Names of the buckets."""
        return sorted(bucket["Name"] for bucket in self.boto.list_buckets()["Buckets"])


class ScriptedServer(LocalServer):
    """Answers with the first entry of `answers` that fits: (method, part of the address, status, error code, message).

    An entry without an error code answers with an empty body, one whose code begins with `<` with that text.
    Use as a context manager.

    :ivar calls: list of (method, path with query) in the order of arrival
    """

    def __init__(self, answers):
        super().__init__()
        self.answers = answers
        self.calls = []
        self.connection = dict(KEYS, endpoint_url=self.url, timeout_seconds=5)

    def handle(self, handler, body):
        self.calls.append((handler.command, handler.path))
        fitting = [answer for answer in self.answers if answer[0] == handler.command and answer[1] in handler.path]
        assert fitting, "unexpected request %s %s" % (handler.command, handler.path)
        status, code, message = fitting[0][2:]
        content = code if code.startswith("<") else ERROR % (code, message)
        send(handler, status, content.encode() if code and handler.command != "HEAD" else b"", "application/xml")
