# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of the object store that fit their type and still cannot work. The role minio asks the same when it works alone."""

from __future__ import annotations

import ipaddress
import re
from urllib.parse import urlsplit

from ansible.errors import AnsibleFilterError
from ansible_collections.homelab.mlops.plugins.filter.quantity_bytes import quantity_bytes
from ansible_collections.homelab.mlops.plugins.filter.s3_keys import ACCESS_KEY, SECRET_KEY
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.minio_host import setting_findings

DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
REGION = re.compile(r"[A-Za-z0-9_-]+")
# What MinIO takes of users, and of root, whose keys have no greatest length.
PATTERNS = {
    "minio_access_key": ACCESS_KEY["pattern"],
    "minio_secret_key": SECRET_KEY["pattern"],
    "minio_root_user": r"[!-+.-<>-~-]{3,}",
    "minio_root_password": r"[^\x00-\x1f\x7f]{8,}",
}
CERTIFICATE = "-----BEGIN CERTIFICATE-----"
# What a rule of the bucket can do, by the module s3_bucket.
ACTIONS = ("expire_days", "expire_delete_markers", "noncurrent_versions_days", "incomplete_uploads_days")
DAYS = ("expire_days", "noncurrent_versions_days", "noncurrent_versions_kept", "incomplete_uploads_days")


def store_findings(host, provided):
    """Findings of one host. ``provided`` maps variables to values of their type."""
    external = provided.get("homelab_s3_provider") == "external"
    found = _url_findings(host, provided, external) + _pair_findings(host, provided, external)
    if not external:
        found += _server_findings(host, provided) + setting_findings(host, provided)
    settings = provided.get("minio_bucket_settings") or {}
    found += _quota_findings(host, settings)
    found += _rule_findings(host, settings.get("lifecycle") or [], external)
    found += _lock_findings(host, settings)
    return found


def _url_findings(host, provided, external):
    """Where the server is, and how it is spoken to."""
    found = []
    url, tls = provided.get("homelab_s3_endpoint_url", ""), provided.get("homelab_s3_tls", "none")
    if external and not url:
        fix = "set homelab_s3_endpoint_url to its address, such as http://192.0.2.20:9000, or homelab_s3_provider to minio"
        found.append(finding(host, "an external object store has no address", "homelab_s3_endpoint_url is not set", fix))
    if external and tls != "none":
        fix = "leave homelab_s3_tls out: https in homelab_s3_endpoint_url says it, and homelab_s3_ca_bundle names its authority"
        found.append(finding(host, "an external object store has a certificate of its own", f"homelab_s3_tls: {tls}", fix))
    try:
        parts = urlsplit(url)
    except ValueError:  # the rules for all addresses say so
        return found
    if url and (parts.path.strip("/") or parts.username is not None):
        fix = "write scheme, host and port alone; the bucket is homelab_s3_bucket"
        found.append(finding(host, "homelab_s3_endpoint_url is more than an address", parts.path or "a user in it", fix))
    if url and not external and (parts.scheme == "https") != (tls != "none"):
        fix = f"begin it with {'http' if tls == 'none' else 'https'}://, or set homelab_s3_tls to {'own_ca' if tls == 'none' else 'none'}"
        found.append(finding(host, "homelab_s3_endpoint_url and homelab_s3_tls say different things", f"{parts.scheme}, tls {tls}", fix))
    region = provided.get("homelab_s3_region", "us-east-1")
    if not REGION.fullmatch(region):
        fix = "write letters, digits, - and _, such as us-east-1"
        found.append(finding(host, "homelab_s3_region is no name of a region", region, fix))
    bundle = provided.get("homelab_s3_ca_bundle", "")
    if bundle.strip() and CERTIFICATE not in bundle:
        fix = "give the text of a PEM file, with its line BEGIN CERTIFICATE, not its path"
        found.append(finding(host, "homelab_s3_ca_bundle holds no certificate", f"{len(bundle)} characters", fix))
    return found


def _pair_findings(host, provided, external):
    """Pairs of the inventory; their values are not shown."""
    found = []
    root = provided.get("minio_root_user", ""), provided.get("minio_root_password", "")
    agents = provided.get("minio_access_key", ""), provided.get("minio_secret_key", "")
    if external:
        for names, pair in ((("minio_root_user", "minio_root_password"), root), (("minio_access_key", "minio_secret_key"), agents)):
            if bool(pair[0]) != bool(pair[1]) and not (pair == agents and root[0]):
                missing = names[0] if pair[1] else names[1]
                found.append(finding(host, "half a pair for the external object store", f"{missing} is not set", f"set {missing} too"))
        if not any(root + agents):
            fix = "set minio_root_user and minio_root_password to a pair that may make buckets, or minio_access_key and minio_secret_key"
            found.append(finding(host, "no pair for the external object store", "nothing", fix))
    else:
        unfit = [name for name, rule in PATTERNS.items() if provided.get(name) and not re.fullmatch(rule, provided[name])]
        if unfit:
            fix = (
                "access keys have 3 to 20 characters of ASCII without spaces, commas and equals signs, secret keys 8 to 40 on one line; "
                "root's may be longer"
            )
            found.append(finding(host, "MinIO takes no such key", ", ".join(unfit), fix))
    if agents[0] and agents[0] == root[0]:
        fix = "give the agents another one: with root's, every experiment may do everything"
        found.append(finding(host, "the agents' access key is root's", "minio_access_key", fix))
    return found


def _server_findings(host, provided):
    """The server that the role itself runs."""
    found = []
    image, digest = provided.get("minio_image", ""), provided.get("minio_image_digest", "")
    if digest and not DIGEST.fullmatch(digest):
        found.append(finding(host, "minio_image_digest is no digest", digest, "write sha256: and 64 hexadecimal digits, or nothing"))
    tag = image.rpartition("/")[2].partition(":")[2]
    if image and not digest and tag in ("", "latest"):
        fix = "name a release, such as quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z, or set minio_image_digest"
        found.append(finding(host, "minio_image names no release", image, fix))
    for network in provided.get("minio_source_ranges") or []:
        try:
            ipaddress.ip_network(network)
        except ValueError as error:
            fix = "write networks such as 192.168.20.0/24"
            found.append(finding(host, "minio_source_ranges has what is no network", error, fix))
    if provided.get("minio_source_ranges") and provided.get("homelab_clearml_exposure") == "node_port":
        fix = "set homelab_clearml_exposure to load_balancer, or remove it and use the nodes' firewall"
        found.append(finding(host, "minio_source_ranges holds for load balancers only", "exposure node_port", fix))
    hours = provided.get("minio_incomplete_uploads_hours", 24)
    if hours < 1:
        found.append(finding(host, "minio_incomplete_uploads_hours is no time", hours, "write a number of hours from 1"))
    return found


def _quota_findings(host, settings):
    quota = settings.get("quota")
    if quota is None:
        return []
    try:
        quantity_bytes(quota)
    except AnsibleFilterError:
        fix = "write a number and a unit, such as 500Gi, or 0 for no limit"
        return [finding(host, "quota of minio_bucket_settings is no size", quota, fix)]
    return []


def _rule_findings(host, rules, external):
    """Lifecycle rules; a rule whose keys are wrong is another judge's affair."""
    found = []
    names = [str(rule.get("id", "")) for rule in rules]
    for name in sorted({name for name in names if names.count(name) > 1}):
        found.append(finding(host, "two lifecycle rules of minio_bucket_settings have one id", name, "rename one"))
    for rule in rules:
        what = f"lifecycle rule {rule.get('id', '')} of minio_bucket_settings"
        if not any(rule.get(action) for action in ACTIONS):
            found.append(finding(host, f"{what} does nothing", "no days", f"give it one of {', '.join(ACTIONS)}"))
        for name in DAYS:
            if rule.get(name) is not None and rule[name] < 1:
                found.append(finding(host, f"{what} has no time", f"{name}: {rule[name]}", "write a number from 1"))
        if rule.get("incomplete_uploads_days") and not external:
            fix = "leave it out and set minio_incomplete_uploads_hours"
            found.append(finding(host, f"{what} asks for what MinIO does by itself", "incomplete_uploads_days", fix))
    return found


def _lock_findings(host, settings):
    found = []
    retention = settings.get("retention") or {}
    mode = retention.get("mode", "none")
    if settings.get("object_lock") and settings.get("versioning") == "suspended":
        fix = "remove versioning, or set it to enabled"
        found.append(finding(host, "object_lock of minio_bucket_settings needs versions", "versioning: suspended", fix))
    if mode != "none" and settings.get("object_lock") is False:
        found.append(finding(host, "retention of minio_bucket_settings needs a lock", "object_lock: false", "set object_lock to true"))
    if mode != "none" and (retention.get("days") or 0) < 1:
        found.append(
            finding(host, "retention of minio_bucket_settings has no time", retention.get("days", "nothing"), "set its days from 1")
        )
    return found
