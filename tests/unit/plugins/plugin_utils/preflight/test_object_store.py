# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the object store: each rule once broken, and settings that nothing is said against."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.filter.preflight import minio_findings

EXTERNAL = {"homelab_s3_provider": "external", "homelab_s3_endpoint_url": "http://s3.home:8333"}
ROOT = {"minio_root_user": "maker-of-buckets", "minio_root_password": "hunter2-of-root"}
AGENTS = {"minio_access_key": "of-the-agents", "minio_secret_key": "hunter2-of-agents"}


def rule(**given):
    return {"minio_bucket_settings": {"lifecycle": [{"id": "old", "prefix": "", **given}]}}


@pytest.mark.parametrize(
    ("provided", "text"),
    [
        ({**ROOT, "homelab_s3_provider": "external"}, "an external object store has no address: homelab_s3_endpoint_url is not set"),
        ({**EXTERNAL}, "no pair for the external object store: nothing"),
        ({**EXTERNAL, "minio_root_user": "maker"}, "half a pair for the external object store: minio_root_password is not set"),
        ({**EXTERNAL, "minio_secret_key": "hunter2-of-agents"}, "half a pair for the external object store: minio_access_key is not set"),
        ({**EXTERNAL, **ROOT, "homelab_s3_tls": "own_ca"}, "an external object store has a certificate of its own: homelab_s3_tls: own_ca"),
        ({**EXTERNAL, **ROOT, "homelab_s3_endpoint_url": "http://s3.home:8333/clearml"}, "is more than an address: /clearml"),
        ({**EXTERNAL, **ROOT, "homelab_s3_endpoint_url": "http://me:hunter2@s3.home"}, "is more than an address: a user in it"),
        ({**EXTERNAL, **ROOT, "minio_access_key": ROOT["minio_root_user"]}, "the agents' access key is root's"),
        ({"homelab_s3_endpoint_url": "https://s3.home:9000"}, "say different things: https, tls none: begin it with http://"),
        ({"homelab_s3_endpoint_url": "http://s3.home", "homelab_s3_tls": "own_ca"}, "say different things: http, tls own_ca"),
        ({"homelab_s3_region": "us east"}, "homelab_s3_region is no name of a region: us east"),
        ({"homelab_s3_ca_bundle": "/etc/ssl/ca.pem"}, "homelab_s3_ca_bundle holds no certificate: 15 characters"),
        ({"minio_access_key": "a,b=c"}, "MinIO takes no such key: minio_access_key"),
        ({"minio_access_key": "x" * 21, "minio_secret_key": "short"}, "MinIO takes no such key: minio_access_key, minio_secret_key"),
        ({"minio_root_user": "me", "minio_root_password": "two\nlines"}, "MinIO takes no such key: minio_root_user, minio_root_password"),
        ({"minio_root_user": "the-same-key", "minio_access_key": "the-same-key"}, "the agents' access key is root's: minio_access_key"),
        ({"minio_image_digest": "sha256:abc"}, "minio_image_digest is no digest: sha256:abc"),
        ({"minio_image": "quay.io/minio/minio:latest"}, "minio_image names no release: quay.io/minio/minio:latest"),
        ({"minio_image": "registry.home:5000/minio"}, "minio_image names no release: registry.home:5000/minio"),
        ({"minio_source_ranges": ["192.168.20.5/24"]}, "minio_source_ranges has what is no network: 192.168.20.5/24 has host bits set"),
        (
            {"minio_source_ranges": ["10.0.0.0/8"], "homelab_clearml_exposure": "node_port"},
            "holds for load balancers only: exposure node_port",
        ),
        ({"minio_incomplete_uploads_hours": 0}, "minio_incomplete_uploads_hours is no time: 0"),
        ({"minio_bucket_settings": {"quota": "lots"}}, "quota of minio_bucket_settings is no size: lots"),
        (rule(), "lifecycle rule old of minio_bucket_settings does nothing: no days"),
        (rule(expire_days=0, noncurrent_versions_days=3), "lifecycle rule old of minio_bucket_settings has no time: expire_days: 0"),
        (rule(incomplete_uploads_days=7), "asks for what MinIO does by itself: incomplete_uploads_days"),
        (
            {"minio_bucket_settings": {"lifecycle": [{"id": "a", "prefix": "", "expire_days": 1}] * 2}},
            "two lifecycle rules of minio_bucket_settings have one id: a",
        ),
        (
            {"minio_bucket_settings": {"object_lock": True, "versioning": "suspended"}},
            "object_lock of minio_bucket_settings needs versions",
        ),
        (
            {"minio_bucket_settings": {"object_lock": False, "retention": {"mode": "governance", "days": 9}}},
            "retention of minio_bucket_settings needs a lock",
        ),
        (
            {"minio_bucket_settings": {"object_lock": True, "retention": {"mode": "governance"}}},
            "retention of minio_bucket_settings has no time: nothing",
        ),
    ],
)
def test_what_cannot_work_is_one_line_with_the_fix(provided, text):
    lines = minio_findings(provided, "node-01")
    assert len(lines) == 1 and text in lines[0]
    assert "hunter2" not in lines[0]
    assert "\n" not in lines[0]


@pytest.mark.parametrize(
    "provided",
    [
        {},
        {**ROOT, **AGENTS},
        {**EXTERNAL, **ROOT},
        {**EXTERNAL, **AGENTS, **rule(incomplete_uploads_days=7)},
        {**EXTERNAL, **ROOT, "minio_access_key": "made-here"},
        {**EXTERNAL, "homelab_s3_endpoint_url": "https://s3.home/", **AGENTS},
        {"homelab_s3_endpoint_url": "https://s3.home:9000", "homelab_s3_tls": "given"},
        {"minio_image": "registry.home:5000/minio:RELEASE.2025-09-07T16-13-09Z", "minio_source_ranges": ["192.168.20.0/24", "fd00::/8"]},
        {"minio_image": "registry.home:5000/minio", "minio_image_digest": "sha256:" + "0" * 64},
        {"minio_bucket_settings": {"quota": "500Gi", "lifecycle": [], "object_lock": True, "retention": {"mode": "compliance", "days": 1}}},
        rule(expire_delete_markers=True),
    ],
)
def test_nothing_is_said_against_what_works(provided):
    assert minio_findings(provided, "node-01") == []
