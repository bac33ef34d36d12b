# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is said of a download that failed."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.filter.download_fault import download_fault


@pytest.mark.parametrize(
    ("result", "said"),
    [
        ({"status": 404, "msg": "Status code was 404 and not [200]: HTTP Error 404: Not Found"}, "URL answers 404: there is no such file."),
        ({"status_code": 410, "msg": "Request failed", "response": "HTTP Error 410: Gone"}, "URL answers 410: there is no such file."),
        ({"status_code": 503, "msg": "Request failed", "response": "HTTP Error 503: Busy"}, "URL: Request failed, HTTP Error 503: Busy."),
        ({"status": -1, "msg": "Status code was -1 and not [200]: Request failed: no route"}, "URL: Request failed: no route."),
        ({"msg": "The checksum for /tmp/x did not match a1; it was b2."}, "The checksum of URL did not match a1; it was b2."),
        ({"msg": "cannot reach\nhttps://me:hunter2@mirror.home/k3s"}, "cannot reach URL."),
        ({}, "no answer."),
    ],
)
def test_why_nothing_was_downloaded(result, said):
    url = "https://me:hunter2@mirror.home/k3s"
    assert download_fault(result, url) == said.replace("URL", "https://mirror.home/k3s")
