# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The Kubernetes API by way of the `kubectl` that is part of K3s, on a machine that runs a K3s server."""

from __future__ import annotations

import json
import re
import time

K3S = "/usr/local/bin/k3s"
API_SECONDS = 20
ATTEMPTS = 5
PAUSE_SECONDS = 3

# What a server says that is only just starting, or that has just lost another one: the same call may succeed in a moment.
PASSING = re.compile(
    r"connection refused|connection reset|was refused - did you specify|i/o timeout|TLS handshake timeout|unexpected EOF|deadline exceeded"
    r"|leader changed|ServiceUnavailable|currently unable to handle|Client\.Timeout|apiserver not ready|[Tt]oo many requests|no leader"
)


class KubectlError(Exception):
    """kubectl failed; the text is what it said, on one line."""


class NotFound(KubectlError):
    """The object is not there."""


class Kubectl(object):
    """Calls of `k3s kubectl`.

    :param run_command: `AnsibleModule.run_command` or a function that takes and returns the same
    :param sleep: called with the seconds to wait before a call is tried again
    """

    def __init__(self, run_command, sleep=time.sleep):
        self._run_command = run_command
        self._sleep = sleep

    def once(self, *words, **how):
        """One call, whatever becomes of it: exit status, standard output, standard error."""
        return self._run_command([K3S, "kubectl"] + list(words), **how)

    def run(self, *words, **how):
        """Standard output of a call. It is tried again while the API passes through a restart.

        :raises NotFound: the object is not there
        :raises KubectlError: the call failed
        """
        said = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                self._sleep(PAUSE_SECONDS)
            rc, out, err = self.once("--request-timeout=%ds" % API_SECONDS, *words, **how)
            if rc == 0:
                return out
            said = " ".join((err or out).split())
            if not PASSING.search(said):
                break
        raise (NotFound if "(NotFound)" in said else KubectlError)("kubectl %s: %s" % (words[0], said or "exit status %s" % rc))

    def read(self, *words):
        """The answer of `kubectl get` as JSON."""
        return json.loads(self.run("get", *(list(words) + ["--output=json"])))

    def node(self, name):
        """A Node; NotFound when the cluster has none of that name."""
        return self.read("node", name)

    def patch_node(self, name, patch):
        """Lays `patch` over a Node (JSON merge patch: None removes a key), in one step."""
        self.run("patch", "node", name, "--type=merge", "--patch", json.dumps(patch, sort_keys=True))
