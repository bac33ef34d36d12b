# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The tests' own modules are imported by name, the collection's by its full name from the staged copy, as Ansible does."""

import ipaddress
import os
import sys
from pathlib import Path
from unittest import mock

import boto3
import pytest
from ansible.utils.collection_loader._collection_finder import _AnsibleCollectionFinder
from cryptography import x509

HERE = Path(__file__).resolve().parent
STAGED = os.environ.get("ANSIBLE_COLLECTIONS_PATH") or str(HERE.parents[1] / ".build/collections")
sys.path[:0] = [str(HERE), str(HERE.parent / "lab")]
_AnsibleCollectionFinder(paths=STAGED.split(os.pathsep), scan_sys_paths=False)._install()

import s3_servers  # noqa: E402
from ansible_collections.homelab.mlops.tests.unit.plugins.support import certificates  # noqa: E402


@pytest.fixture(scope="module")
def one_boto_session():
    """boto3 reads its description of S3 once, instead of half a second for each run of a module."""
    session = boto3.session.Session()
    with mock.patch.object(boto3.session, "Session", lambda: session):
        yield


@pytest.fixture(scope="session")
def minio(tmp_path_factory):
    """A real MinIO, over http."""
    with s3_servers.MinIO(tmp_path_factory.mktemp("minio") / "server") as running:
        yield running


@pytest.fixture(scope="session")
def secure_minio(tmp_path_factory):
    """A real MinIO, over https, in the region eu-central-1."""
    folder = tmp_path_factory.mktemp("secure-minio")
    names = [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
    with s3_servers.SecureMinIO(folder / "server", certificates.Authority(folder), names) as running:
        yield running


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory):
    """A real SeaweedFS, over http."""
    with s3_servers.SeaweedFS(tmp_path_factory.mktemp("seaweedfs") / "server") as running:
        yield running


@pytest.fixture(scope="session")
def s3rver(tmp_path_factory):
    """A server with little of the S3 API."""
    with s3_servers.S3rver(tmp_path_factory.mktemp("s3rver") / "server") as running:
        yield running
