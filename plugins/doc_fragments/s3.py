# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations


class ModuleDocFragment(object):
    """Options of the connection to an S3 server."""

    DOCUMENTATION = r"""
options:
  endpoint_url:
    description: Address of the S3 server, without a bucket.
    type: str
    required: true
  access_key:
    description: Access key that signs the requests.
    type: str
    required: true
  secret_key:
    description: Secret key that belongs to it.
    type: str
    required: true
  region:
    description: Region that the requests are signed for, and in which a bucket is made.
    type: str
    default: us-east-1
  timeout_seconds:
    description:
      - How long to wait for a connection, and how long for each part of an answer, in seconds.
      - Refused connections, timeouts and answers that say that the server is busy are tried again, up to 5 times in all.
    type: int
    default: 30
  validate_certs:
    description: Whether the certificate of an https address is checked.
    type: bool
    default: true
  ca_bundle:
    description: File on the target with the certificate of the authority that signed the server's, in PEM form.
    type: path
"""

    # Also needs boto3.
    BOTO3 = r"""
requirements:
  - boto3 >= 1.36
options: {}
"""

    # Also needs the client of MinIO.
    MINIO = r"""
requirements:
  - minio >= 7.2
options: {}
"""
