# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Lists a bucket with a scoped key and proves that the key sees no other bucket; reads its settings as JSON from stdin."""

import json
import sys

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError


def main():
    """Prints one line; exit status 1 and a line on stderr when something is not as it should be."""
    given = json.load(sys.stdin)
    client = boto3.client(
        "s3",
        endpoint_url=given["endpoint_url"],
        region_name=given["region"],
        aws_access_key_id=given["access_key"],
        aws_secret_access_key=given["secret_key"],
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": "path"},
            retries={"max_attempts": 3, "mode": "standard"},
            connect_timeout=5,
            read_timeout=20,
        ),
    )
    bucket = given["bucket"]
    try:
        client.list_objects_v2(Bucket=bucket, MaxKeys=1)
        others = [entry["Name"] for entry in client.list_buckets()["Buckets"] if entry["Name"] != bucket]
    except (BotoCoreError, ClientError) as error:
        sys.exit("bucket %s at %s with the agents' key: %s" % (bucket, given["endpoint_url"], error))
    if others:
        sys.exit("the agents' key reaches other buckets than %s: %s" % (bucket, ", ".join(others)))
    print("Bucket %s at %s answers the agents' key, which reaches no other bucket." % (bucket, given["endpoint_url"]))


main()
