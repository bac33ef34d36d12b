# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Asks a MinIO server for its health, its metrics and its console; reads its settings as JSON from stdin.

Metrics are asked for with a token as `mc admin prometheus generate` makes one: a JWT (RFC 7519) of issuer "prometheus", signed by
HS512 with the secret key of its subject. Where they are not public, they must be refused without it.
"""

import base64
import hashlib
import hmac
import json
import re
import ssl
import sys
import time
import urllib.error
import urllib.request

METRICS = "/minio/v2/metrics/cluster"


def part(data):
    """Base64url without padding, as parts of a JWT are written."""
    return base64.urlsafe_b64encode(data).rstrip(b"=")


def token(access_key, secret_key):
    """A token for metrics that holds for a minute."""
    claims = {"exp": int(time.time()) + 60, "iss": "prometheus", "sub": access_key}
    signed = b".".join(part(json.dumps(one).encode()) for one in ({"alg": "HS512", "typ": "JWT"}, claims))
    return (signed + b"." + part(hmac.new(secret_key.encode(), signed, hashlib.sha512).digest())).decode()


def ask(url, context, bearer=""):
    """Status and text of an answer; 0 and the reason when there is none."""
    request = urllib.request.Request(url, headers={"Authorization": "Bearer " + bearer} if bearer else {})
    # Without a proxy of the environment: the server is of this network.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context))
    try:
        with opener.open(request, timeout=20) as answer:
            return answer.status, answer.read().decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        return error.code, ""
    except (OSError, ValueError) as error:
        return 0, str(getattr(error, "reason", error))


def number(metrics, name):
    """The sum of a metric over its labels, or None where there is none."""
    found = re.findall(r"^%s(?:\{.*\})? (\S+)$" % re.escape(name), metrics, re.MULTILINE)
    return sum(map(float, found)) if found else None


def main():
    """Prints one line; exit status 1 and a line on stderr for the first thing that is not as it should be."""
    given = json.load(sys.stdin)
    context = ssl.create_default_context(cafile=given["ca_bundle"] or None)
    for path in ("/minio/health/live", "/minio/health/ready", "/minio/health/cluster"):
        status, text = ask(given["endpoint_url"] + path, context)
        if status != 200:
            sys.exit("%s%s answers %s" % (given["endpoint_url"], path, status or text))
    if given["console_url"]:
        status, text = ask(given["console_url"], context)
        if status != 200:
            sys.exit("the console at %s answers %s" % (given["console_url"], status or text))
    status, text = ask(given["endpoint_url"] + METRICS, context)
    if given["metrics_auth"] == "jwt" and status == 200:
        sys.exit("%s%s answers without a token" % (given["endpoint_url"], METRICS))
    status, text = ask(given["endpoint_url"] + METRICS, context, token(given["access_key"], given["secret_key"]))
    free = number(text, "minio_cluster_capacity_usable_free_bytes")
    if status != 200 or free is None:
        sys.exit("%s%s answers %s, and no free space" % (given["endpoint_url"], METRICS, status or text))
    offline = number(text, "minio_cluster_drive_offline_total")
    if offline:
        sys.exit("%s misses %d of its drives" % (given["endpoint_url"], offline))
    print(
        "MinIO at %s is healthy and has %.1f GiB free; its console is at %s."
        % (given["endpoint_url"], free / 2**30, given["console_url"] or "no address")
    )


main()
