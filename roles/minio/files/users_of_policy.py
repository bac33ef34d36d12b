# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prints as JSON the names of a MinIO server's users that have one policy and no other; reads its settings as JSON from stdin."""

import json
import sys
from urllib.parse import urlsplit

import certifi
import urllib3
from minio.credentials import StaticProvider
from minio.error import MinioAdminException
from minio.minioadmin import MinioAdmin

given = json.load(sys.stdin)
address = urlsplit(given["endpoint_url"])
client = MinioAdmin(
    endpoint=address.netloc,
    credentials=StaticProvider(given["access_key"], given["secret_key"]),
    region=given["region"],
    secure=address.scheme == "https",
    http_client=urllib3.PoolManager(timeout=30, cert_reqs="CERT_REQUIRED", ca_certs=given["ca_bundle"] or certifi.where()),
)
try:
    users = json.loads(client.user_list())
except (MinioAdminException, urllib3.exceptions.HTTPError, ValueError) as error:
    sys.exit(" ".join(str(error).split()))
print(json.dumps([name for name, user in users.items() if user.get("policyName") == given["policy"]]))
