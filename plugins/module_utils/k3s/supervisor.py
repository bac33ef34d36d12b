# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor of a K3s server on this machine: what K3s serves beside the Kubernetes API, to holders of the server's token."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import ssl
import urllib.error
import urllib.request

DATA = "/var/lib/rancher/k3s"
URL = "https://127.0.0.1:6443"
SECONDS = 30
# How much of an answer is shown, in characters: a proxy's page would fill the screen.
SAID = 300
# K10, the SHA-256 of the authority's certificate, a user, the secret (k3s-io/k3s pkg/clientaccess/token.go).
FULL = re.compile(r"^K10[0-9a-fA-F]{64}::(?:[^:]+:)?(.+)$")


class SupervisorError(Exception):
    """The supervisor cannot be asked or refuses; the text never has a token in it."""


def secret_of(token):
    """The secret in a token, which is either the secret alone or K10HASH::USER:SECRET."""
    found = FULL.match(token.strip())
    return found.group(1) if found else token.strip()


class Supervisor(object):
    """Calls of the supervisor on this machine, with the rights of the server's own token.

    :param data: K3s's folder of data
    :param url: where the supervisor listens
    """

    def __init__(self, data=DATA, url=URL):
        self._folder = os.path.join(data, "server")
        self._url = url

    @property
    def token_file(self):
        return os.path.join(self._folder, "token")

    def secret(self):
        """The secret of the server's token as it stands on disk.

        :raises SupervisorError: when there is none
        """
        try:
            with open(self.token_file, encoding="utf-8") as file:
                secret = secret_of(file.read())
        except OSError as error:
            raise SupervisorError("%s cannot be read: %s" % (self.token_file, error.strerror)) from None
        if not secret:
            raise SupervisorError("%s is empty" % self.token_file)
        return secret

    def call(self, method, path, body=None):
        """One call; status and body of the answer, of errors also.

        :param body: sent as JSON unless None
        :returns: (int, str)
        :raises SupervisorError: when nothing answers, or nothing that speaks HTTP
        """
        request = urllib.request.Request(self._url + path, method=method, data=None if body is None else json.dumps(body).encode())
        basic = base64.b64encode(b"server:" + self.secret().encode()).decode()
        request.add_header("Authorization", "Basic " + basic)
        request.add_header("Content-Type", "application/json")
        handlers = [urllib.request.ProxyHandler({})]
        if self._url.startswith("https:"):
            authority = os.path.join(self._folder, "tls", "server-ca.crt")
            try:
                handlers.append(urllib.request.HTTPSHandler(context=ssl.create_default_context(cafile=authority)))
            except OSError as error:
                raise SupervisorError("%s cannot be read: %s" % (authority, error.strerror)) from None
        try:
            with urllib.request.build_opener(*handlers).open(request, timeout=SECONDS) as answer:
                return answer.status, answer.read().decode("utf-8", "replace")
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode("utf-8", "replace")
        except (OSError, http.client.HTTPException) as error:
            raise SupervisorError(
                "the supervisor of K3s does not answer at %s: %s" % (self._url, getattr(error, "reason", error))
            ) from None

    def members(self):
        """The members of the embedded etcd (k3s-io/k3s pkg/etcd/etcd.go, infoHandler); None where there is none.

        :returns: list of dict with name, peerURLs and isLearner
        :raises SupervisorError: when the answer cannot be had
        """
        status, text = self.call("GET", "/db/info")
        if status in (400, 404):
            return None
        if status != 200:
            raise SupervisorError("the supervisor of K3s does not tell its etcd members: %s" % said(status, text))
        try:
            members = json.loads(text).get("members") or []
        except (ValueError, AttributeError):
            members = None
        if not isinstance(members, list) or not all(isinstance(one, dict) for one in members):
            raise SupervisorError("the supervisor of K3s tells its etcd members in a form that is not known: %s" % said(status, text))
        return members

    def rotate(self, secret):
        """Gives the cluster a new server token, as `k3s token rotate` does (k3s-io/k3s pkg/server/handlers/token.go).

        :raises SupervisorError: when it is refused
        """
        status, text = self.call("PUT", "/v1-k3s/token", {"newToken": secret})
        if status != 200:
            raise SupervisorError("K3s refuses the new token: %s" % said(status, text).replace(secret, "****"))


def said(status, text):
    """An answer that is no success as words on one line."""
    try:
        text = json.loads(text).get("message", text)
    except (ValueError, AttributeError):
        pass
    return ("%d %s" % (status, " ".join(str(text).split())))[:SAID]
