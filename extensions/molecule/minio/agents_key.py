# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Uses the agents' key as an agent would, and then as a thief would. Arguments: endpoint, and without a cluster the file of secrets."""

import base64
import json
import pathlib
import sys

import boto3
import kubernetes
from botocore.exceptions import ClientError
from minio import MinioAdmin
from minio.credentials import StaticProvider
from minio.error import MinioAdminException

if len(sys.argv) > 2:
    data = json.loads(pathlib.Path(sys.argv[2]).read_text())
else:
    kubernetes.config.load_kube_config("/etc/rancher/k3s/k3s.yaml")
    data = kubernetes.client.CoreV1Api().read_namespaced_secret("homelab-mlops", "minio").data
key, secret = (base64.b64decode(data[name]).decode() for name in ("s3_agents_access_key", "s3_agents_secret_key"))
endpoint = sys.argv[1]
s3 = boto3.client("s3", endpoint_url=endpoint, aws_access_key_id=key, aws_secret_access_key=secret, region_name="us-east-1")

s3.put_object(Bucket="clearml", Key="molecule/hello", Body=b"hello")
if s3.get_object(Bucket="clearml", Key="molecule/hello")["Body"].read() == b"hello":
    print("read back")
s3.delete_object(Bucket="clearml", Key="molecule/hello")
try:
    s3.create_bucket(Bucket="another")
except ClientError as error:
    if error.response["Error"]["Code"] == "AccessDenied":
        print("other bucket refused")
try:
    scheme, address = endpoint.split("://")
    MinioAdmin(endpoint=address, credentials=StaticProvider(key, secret), secure=scheme == "https").user_list()
except MinioAdminException as error:
    if "AccessDenied" in str(error):
        print("new user refused")
