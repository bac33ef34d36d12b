# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Settings of ClearML's exposure by ingress that cannot work. The role clearml_server asks the same when it works alone."""

from __future__ import annotations

from urllib.parse import urlsplit

from ansible_collections.homelab.mlops.plugins.plugin_utils.certificates import certificate_faults, pem_certificates
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.certificates import time_findings
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.findings import finding, host_fault, is_address

OURS = ("clearml_server_tls_certificate", "clearml_server_tls_private_key")


def ingress_findings(host, provided, settings):
    """Findings of one host.

    ``provided`` maps variables to values of their type; of it count the given certificate, its key and ``k3s_disable``. ``settings`` holds
    what is in effect: ``exposure``, ``domain``, ``hosts`` and ``urls`` (by part: web, api, files), ``ingress_class``, ``tls``,
    ``tls_secret``, ``ca_bundle``, ``ca_days``, ``days`` and ``renew_days``.
    """
    if settings["exposure"] != "ingress":
        if settings["tls"] == "none":
            return []
        fix = "set homelab_clearml_exposure to ingress, or remove homelab_clearml_tls: the other ways speak plain HTTP"
        return [finding(host, "ClearML has TLS by ingress only", f"homelab_clearml_tls: {settings['tls']}", fix)]
    found = _domain_findings(host, settings["domain"])
    if not found:
        found += _url_findings(host, settings)
    if settings["ingress_class"] == "traefik" and "traefik" in (provided.get("k3s_disable") or []):
        fix = "remove traefik from k3s_disable, or set homelab_clearml_ingress_class to the class of another controller"
        found.append(finding(host, "the ingress controller is switched off", "traefik in k3s_disable", fix))
    return found + _tls_findings(host, provided, settings)


def name_findings(host, node, settings, address):
    """Names of ClearML that a machine does not resolve. ``address``: one of the cluster, empty while none is known."""
    known = node["network"].get("names", {})
    unknown = [name for name in settings["names"] if known.get(name) == []]
    if not unknown:
        return []
    where = address if address and settings["ingress_class"] == "traefik" else "ADDRESS"
    fix = f"have it in your DNS, or write into its /etc/hosts: {where} {' '.join(settings['names'])}"
    rest = " (ADDRESS: the ingress controller's)" if where == "ADDRESS" else ""
    return [finding(host, "names of ClearML lead nowhere from this host", ", ".join(unknown), fix + rest)]


def _domain_findings(host, domain):
    name = "homelab_clearml_domain"
    example = "write a domain such as clearml.home.example; app., api. and files. below it lead to the ingress controller"
    if not domain:
        return [finding(host, f"exposure by ingress needs {name}", "empty", example)]
    if is_address(domain):
        return [finding(host, f"{name} is an address, and nothing can be below one", domain, example)]
    fault = host_fault(domain)
    if fault:
        return [finding(host, f"{name} is no domain: {fault}", domain, example)]
    if "." not in domain:
        return [finding(host, f"{name} has no dot: browsers keep no login for a whole top-level domain", domain, example)]
    if len(domain) > 240:
        return [finding(host, f"{name} is too long", f"{len(domain)} characters", example)]
    return []


def _url_findings(host, settings):
    """URLs of the inventory that no Ingress answers. Another scheme or port may be a proxy's before the cluster."""
    found = []
    for part, url in settings["urls"].items():
        wanted = settings["hosts"][part]
        if (urlsplit(url).hostname or "") != wanted.lower():
            fix = f"remove homelab_clearml_{part}_url, or write {wanted} as its host"
            found.append(finding(host, f"homelab_clearml_{part}_url names a host that no Ingress answers", url, fix))
    return found


def _readable(text):
    try:
        return bool(pem_certificates(text))
    except ValueError:
        return False


def _tls_findings(host, provided, settings):
    tls, found = settings["tls"], []
    bundle = settings["ca_bundle"]
    if bundle.strip() and not _readable(bundle):
        fix = "give it as lookup('file', ...) of the certificate in PEM, or leave it empty for a public authority"
        found.append(finding(host, "homelab_clearml_ca_bundle is no certificate in PEM", "text, not shown", fix))
    if tls == "own_ca":
        found += time_findings(host, settings)
    if tls == "secret" and not settings["tls_secret"]:
        fix = "set it to the name of the TLS Secret in the namespace of ClearML"
        found.append(finding(host, "homelab_clearml_tls is secret and homelab_clearml_tls_secret names none", "empty", fix))
    if tls != "secret" and settings["tls_secret"]:
        fix = "set homelab_clearml_tls to secret, or remove homelab_clearml_tls_secret"
        found.append(finding(host, "homelab_clearml_tls_secret is not used", f"homelab_clearml_tls: {tls}", fix))
    given = [name for name in OURS if (provided.get(name) or "").strip()]
    if tls != "given":
        if given:
            fix = f"set homelab_clearml_tls to given, or remove {' and '.join(given)}"
            found.append(finding(host, "a certificate is given and not used", f"homelab_clearml_tls: {tls}", fix))
        return found
    missing = [name for name in OURS if name not in given]
    if missing:
        fix = "set both, from files or a vault, or set homelab_clearml_tls to own_ca"
        return found + [finding(host, "the certificate is to be given and is not", " and ".join(missing), fix)]
    faults = certificate_faults(
        provided["clearml_server_tls_certificate"],
        key=provided["clearml_server_tls_private_key"],
        names=list(settings["hosts"].values()),
        authorities=bundle if _readable(bundle) else None,
    )
    fix = "give a certificate for the three names (a star for the first label is enough), those behind it, and its key"
    return found + [finding(host, "clearml_server_tls_certificate cannot serve", fault, fix) for fault in faults]
