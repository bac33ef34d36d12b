# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates that could not serve the object store. The role minio asks the same when it works alone."""

from __future__ import annotations

from urllib.parse import urlsplit

from ansible_collections.homelab.mlops.plugins.plugin_utils.certificates import certificate_faults
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding

OURS = ("minio_tls_certificate", "minio_tls_private_key")


def tls_findings(host, provided, settings):
    """Findings of one host.

    ``provided`` maps the variables that the inventory sets to values of their type. ``settings`` holds what is in effect: ``provider``,
    ``tls``, ``endpoint_url`` (empty while its host is not known), ``ca_bundle``, ``ca_days``, ``days`` and ``renew_days``.
    """
    if settings["provider"] == "external":
        return []
    found = time_findings(host, settings) if settings["tls"] == "own_ca" else []
    if settings["tls"] == "given":
        found += _given_findings(host, provided, settings)
    elif any(provided.get(name) for name in OURS):
        fix = "set homelab_s3_tls to given, or remove minio_tls_certificate and minio_tls_private_key"
        found.append(finding(host, "a certificate is given and not used", f"homelab_s3_tls: {settings['tls']}", fix, "note"))
    return found


def tls_refusals(provided, host, settings):
    """What speaks against a run of the role minio alone, a line for each."""
    refused = [one for one in tls_findings(host, provided, settings) if one["level"] == "refuse"]
    return [f"{one['finding']}: {one['measured']}: {one['fix']}" for one in refused]


def _given_findings(host, provided, settings):
    missing = [name for name in OURS if not (provided.get(name) or "").strip()]
    if missing:
        fix = "set both, from files or a vault, or set homelab_s3_tls to own_ca"
        return [finding(host, "the certificate is to be given and is not", " and ".join(missing), fix)]
    faults = certificate_faults(
        provided["minio_tls_certificate"],
        key=provided["minio_tls_private_key"],
        names=[name for name in [urlsplit(settings["endpoint_url"]).hostname] if name],
        authorities=settings["ca_bundle"] if settings["ca_bundle"].strip() else None,
    )
    fix = "give the server's certificate, those behind it and its key, as clients of homelab_s3_endpoint_url need them"
    return [finding(host, "minio_tls_certificate cannot serve", fault, fix) for fault in faults]


def time_findings(host, settings):
    """Times of the own authority that cannot be; of ``settings`` its ``ca_days``, ``days`` and ``renew_days``."""
    days, renew, authority = (int(settings[name]) for name in ("days", "renew_days", "ca_days"))
    found = []
    if not 0 < renew < days:
        fix = "give homelab_certificate_renew_days at least 1 and less than homelab_certificate_days"
        found.append(finding(host, "certificates would be renewed in every run", f"{renew} of {days} days", fix))
    if authority <= days + renew:
        fix = "give homelab_certificate_ca_days more than homelab_certificate_days and homelab_certificate_renew_days together"
        found.append(finding(host, "the own authority would end before what it signs", f"{authority} days", fix))
    return found
