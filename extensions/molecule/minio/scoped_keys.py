# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tries with each pair what its owner needs, and what none of them may, and reads the bucket's settings. Argument: the S3 endpoint."""

import base64
import sys

import boto3
import kubernetes
from botocore.config import Config
from botocore.exceptions import ClientError

BUCKET = "clearml"
PART = b"x" * (5 * 2**20)

kubernetes.config.load_kube_config("/etc/rancher/k3s/k3s.yaml")
data = kubernetes.client.CoreV1Api().read_namespaced_secret("homelab-mlops", "minio").data


def client(user, password):
    """A client with two values of the Secret."""
    key, secret = (base64.b64decode(data[name]).decode() for name in (user, password))
    return boto3.client(
        "s3",
        endpoint_url=sys.argv[1],
        aws_access_key_id=key,
        aws_secret_access_key=secret,
        region_name="us-east-1",
        config=Config(s3={"addressing_style": "path"}),
    )


def refused(call, **arguments):
    """Whether a call is answered with AccessDenied, and with nothing else."""
    try:
        call(**arguments)
    except ClientError as error:
        return error.response["Error"]["Code"] == "AccessDenied"
    return False


def works(s3):
    """Stores in parts and in one, lists, reads, gives an upload up, and deletes."""
    upload = s3.create_multipart_upload(Bucket=BUCKET, Key="molecule/big")["UploadId"]
    parts = [
        {
            "PartNumber": number,
            "ETag": s3.upload_part(Bucket=BUCKET, Key="molecule/big", UploadId=upload, PartNumber=number, Body=PART)["ETag"],
        }
        for number in (1, 2)
    ]
    s3.complete_multipart_upload(Bucket=BUCKET, Key="molecule/big", UploadId=upload, MultipartUpload={"Parts": parts})
    s3.put_object(Bucket=BUCKET, Key="molecule/small", Body=b"hello")
    given_up = s3.create_multipart_upload(Bucket=BUCKET, Key="molecule/given-up")["UploadId"]
    s3.abort_multipart_upload(Bucket=BUCKET, Key="molecule/given-up", UploadId=given_up)
    listed = {entry["Key"]: entry["Size"] for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="molecule/")["Contents"]}
    same = s3.get_object(Bucket=BUCKET, Key="molecule/small")["Body"].read() == b"hello"
    return same and listed == {"molecule/big": 2 * len(PART), "molecule/small": 5}


def stays_inside(s3):
    """Sees one bucket, and changes neither it nor another."""
    policy = '{"Version": "2012-10-17", "Statement": []}'
    return (
        [entry["Name"] for entry in s3.list_buckets()["Buckets"]] == [BUCKET]
        and refused(s3.create_bucket, Bucket="another")
        and refused(s3.delete_bucket, Bucket=BUCKET)
        and refused(s3.put_bucket_policy, Bucket=BUCKET, Policy=policy)
        and refused(s3.put_bucket_versioning, Bucket=BUCKET, VersioningConfiguration={"Status": "Suspended"})
        and refused(s3.list_objects_v2, Bucket="molecule-other")
        and refused(s3.get_object, Bucket="molecule-other", Key="a")
        and refused(s3.put_object, Bucket="molecule-other", Key="b", Body=b"x")
    )


def deletes_only(s3):
    """Lists and deletes, and neither reads nor writes."""
    keys = [{"Key": entry["Key"]} for entry in s3.list_objects_v2(Bucket=BUCKET, Prefix="molecule/")["Contents"]]
    return (
        refused(s3.get_object, Bucket=BUCKET, Key=keys[0]["Key"])
        and refused(s3.put_object, Bucket=BUCKET, Key="molecule/new", Body=b"x")
        and not s3.delete_objects(Bucket=BUCKET, Delete={"Objects": keys}).get("Errors")
        and "Contents" not in s3.list_objects_v2(Bucket=BUCKET, Prefix="molecule/")
    )


root = client("root_user", "root_password")
rules = root.get_bucket_lifecycle_configuration(Bucket=BUCKET)["Rules"]
print("bucket", [(rule["ID"], rule["Filter"]["Prefix"], rule["Expiration"]["Days"]) for rule in rules])
root.create_bucket(Bucket="molecule-other")
root.put_object(Bucket="molecule-other", Key="a", Body=b"of somebody else")
try:
    for owner in ("agents", "people", "delete"):
        s3 = client(f"s3_{owner}_access_key", f"s3_{owner}_secret_key")
        print(owner, "does its work" if (deletes_only if owner == "delete" else works)(s3) else "does not do its work")
        print(owner, "stays inside" if stays_inside(s3) else "gets out")
finally:
    root.delete_object(Bucket="molecule-other", Key="a")
    root.delete_bucket(Bucket="molecule-other")
