# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists a bucket with a scoped key and looks whether the key sees other buckets; reads its settings as JSON from stdin.

With ``store`` it also stores, reads and removes a small object. A key that sees other buckets is an error when it is to see
``only`` this one, and told otherwise.
"""

import json
import sys
import uuid

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def others_of(client, bucket):
    """The names of other buckets that the key sees; a server that refuses the list shows none."""
    try:
        return [entry["Name"] for entry in client.list_buckets()["Buckets"] if entry["Name"] != bucket]
    except ClientError as error:
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") != 403:
            raise
    return []


def store(client, bucket):
    """Stores, reads and removes an object of a name of its own; a text that says what is wrong, or an empty one."""
    key, body = "homelab-mlops-%s" % uuid.uuid4(), b"whether this pair may store\n"
    client.put_object(Bucket=bucket, Key=key, Body=body)
    same = client.get_object(Bucket=bucket, Key=key)["Body"].read() == body
    client.delete_object(Bucket=bucket, Key=key)
    return "" if same else "what was stored was read back differently"


def main():
    """Prints one line; exit status 1 and a line on stderr when something is not as it should be."""
    given = json.load(sys.stdin)
    client = boto3.client(
        "s3",
        endpoint_url=given["endpoint_url"],
        region_name=given["region"],
        aws_access_key_id=given["access_key"],
        aws_secret_access_key=given["secret_key"],
        verify=given["ca_bundle"] or None,
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            retries={"max_attempts": 3, "mode": "standard"},
            connect_timeout=5,
            read_timeout=20,
        ),
    )
    bucket = given["bucket"]
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        fault = store(client, bucket) if given.get("store") else ""
        others = others_of(client, bucket)
    except (BotoCoreError, ClientError) as error:
        fault = str(error)
    if fault:
        sys.exit("bucket %s at %s with the agents' key: %s" % (bucket, given["endpoint_url"], " ".join(fault.split())))
    if others and given["only"]:
        sys.exit("the agents' key reaches other buckets than %s: %s" % (bucket, ", ".join(others)))
    reach = "also sees %s" % ", ".join(others) if others else "reaches no other bucket"
    print("Bucket %s at %s answers the agents' key, which %s." % (bucket, given["endpoint_url"], reach))


main()
