# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the journal of K3s says of a node that does not come: refused for good, or on its way. The lines are K3s's own."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.filter.k3s_refusal import k3s_refusal

HEAD = ['level=info msg="Starting k3s agent v1.34.1+k3s1"', 'level=info msg="Adding server to load balancer k3s-agent-load-balancer"']
WORKS = [
    'level=info msg="Running load balancer"',
    "containerd started",
    "kubelet started",
    'level=info msg="Node is ready"',
    "flannel started",
]
WAITS = 'level=info msg="Waiting to retrieve agent configuration; server is not ready: '
UNAUTHORIZED = WAITS + 'failed to retrieve configuration from server: https://127.0.0.1:6444/v1-k3s/config: 401 Unauthorized"'
PASSWORD = (
    WAITS
    + "Node password rejected, duplicate hostname or contents of '/etc/rancher/node/password' may not match server node-passwd entry\""
)
CERTIFICATE = (
    'level=error msg="Failed to validate connection to cluster at https://10.0.0.1:6443: CA cert validation failed: '
    'Get \\"https://127.0.0.1:6444/cacerts\\": tls: failed to verify certificate: x509: certificate has expired or is not yet valid"'
)
STARTING = WAITS + 'Get \\"https://127.0.0.1:6444/v1-k3s/config\\": dial tcp 127.0.0.1:6444: connect: connection refused"'
FATAL = (
    'level=fatal msg="Error: preparing server: failed to bootstrap cluster data: '
    'https://10.0.0.1:6443/v1-k3s/server-bootstrap: 401 Unauthorized"'
)


@pytest.mark.parametrize(
    "line",
    [
        'level=error msg="Failed to validate connection to cluster at https://10.0.0.1:6443: token CA hash does not match the Cluster CA '
        'certificate hash: f0 != 8e"',
        'level=fatal msg="Error: preparing server: invalid token CA hash length"',
        'level=fatal msg="Error: preparing server: failed to bootstrap cluster data: failed to normalize server token; must be in format"',
        'level=fatal msg="starting kubernetes: preparing server: bootstrap data already found and encrypted with different token"',
    ],
)
def test_a_wrong_token_is_known_at_once(line):
    assert k3s_refusal([*HEAD, line]) == line


@pytest.mark.parametrize("line", [UNAUTHORIZED, PASSWORD, CERTIFICATE])
def test_what_may_pass_counts_when_it_goes_on(line):
    retry = 'level=info msg="Node authorization rejected, retrying without client certificate authentication"'
    assert k3s_refusal([*HEAD, line]) == ""
    assert k3s_refusal([*HEAD, line, retry, line]) == ""
    assert k3s_refusal([*HEAD, line, retry, line, retry, line]) == line
    assert k3s_refusal([*HEAD, line, line, line, retry]) == line


@pytest.mark.parametrize("line", [UNAUTHORIZED, PASSWORD, CERTIFICATE])
def test_what_has_passed_is_no_refusal(line):
    assert k3s_refusal([*HEAD, line, line, line, *WORKS]) == ""


def test_three_times_in_a_long_journal_is_no_refusal():
    assert k3s_refusal([CERTIFICATE, *WORKS, *WORKS, CERTIFICATE, *WORKS, *WORKS, CERTIFICATE]) == ""


def test_a_server_that_ends_with_it_has_to_end_with_it_again():
    assert k3s_refusal([*HEAD, FATAL]) == ""
    assert k3s_refusal([*HEAD, FATAL, "k3s.service: Main process exited, code=exited, status=1/FAILURE"], restarts=1) == FATAL
    assert k3s_refusal([*HEAD, CERTIFICATE, *WORKS], restarts=4) == ""
    assert k3s_refusal([*HEAD, CERTIFICATE], restarts=4) == ""


@pytest.mark.parametrize("lines", [[], HEAD, [*HEAD, STARTING, STARTING, STARTING, STARTING]])
def test_a_server_that_starts_is_no_refusal(lines):
    assert k3s_refusal(lines) == ""
