# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""ClearML behind an ingress controller: each rule once broken, once kept."""

from __future__ import annotations

import pytest
from ansible_collections.homelab.mlops.plugins.filter.preflight import clearml_server_findings, preflight_host
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.ingress import name_findings
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.values import value_findings
from ansible_collections.homelab.mlops.tests.unit.plugins.support.certificates import Authority
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import NODE, SETTINGS, changed
from cryptography import x509

DOMAIN = "clearml.home.example"


def settings(domain=DOMAIN, **changes):
    """What is in effect for a domain, as the role homelab puts it together."""
    scheme = "http" if changes.get("tls", "none") == "none" else "https"
    hosts = {part: f"{name}.{domain}" for part, name in (("web", "app"), ("api", "api"), ("files", "files"))}
    urls = {part: f"{scheme}://{name}" for part, name in hosts.items()}
    return {**SETTINGS["clearml"], "exposure": "ingress", "domain": domain, "hosts": hosts, "urls": urls, **changes}


def lines(exposure, **provided):
    return clearml_server_findings(provided, "node-01", [], exposure)


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def given(authority):
    """Variables of a certificate that serves, for all names below the domain."""
    text = authority.issue("clearml", x509.DNSName(f"*.{DOMAIN}")).read_text()
    certificate, begin, rest = text.partition("-----BEGIN PRIVATE KEY")
    return {"clearml_server_tls_certificate": certificate, "clearml_server_tls_private_key": begin + rest}


@pytest.mark.parametrize(
    "kept",
    [
        SETTINGS["clearml"],
        settings(),
        settings(tls="own_ca"),
        settings(tls="secret", tls_secret="from-cert-manager"),
        settings(ingress_class="nginx"),
        # A proxy before the cluster that has TLS, or another port.
        settings(urls={"web": f"https://app.{DOMAIN}", "api": f"https://API.{DOMAIN}:8443", "files": f"https://files.{DOMAIN}"}),
    ],
)
def test_what_can_work(kept):
    assert lines(kept, k3s_disable=["servicelb"]) == []


@pytest.mark.parametrize(
    ("exposure", "provided", "text"),
    [
        (settings(""), {}, "exposure by ingress needs homelab_clearml_domain: empty: write a domain such as"),
        (settings("192.0.2.7"), {}, "homelab_clearml_domain is an address, and nothing can be below one: 192.0.2.7"),
        (settings("fd00::7"), {}, "homelab_clearml_domain is an address, and nothing can be below one: fd00::7"),
        (settings("https://clearml.home"), {}, "homelab_clearml_domain is no domain: it is a URL: https://clearml.home"),
        (settings("clearml.home:8443"), {}, "homelab_clearml_domain is no domain: it has a port"),
        (settings("clear_ml.home"), {}, "homelab_clearml_domain is no domain: it is neither name nor address"),
        (settings("home"), {}, "homelab_clearml_domain has no dot"),
        (settings(".".join(["a" * 60] * 4)), {}, "homelab_clearml_domain is too long: 243 characters"),
        (
            settings(urls={"web": f"http://app.{DOMAIN}", "api": "http://10.0.0.1:8008", "files": f"http://files.{DOMAIN}"}),
            {},
            "homelab_clearml_api_url names a host that no Ingress answers: http://10.0.0.1:8008: remove homelab_clearml_api_url",
        ),
        (settings(), {"k3s_disable": ["traefik"]}, "the ingress controller is switched off: traefik in k3s_disable"),
        (settings(tls="secret"), {}, "homelab_clearml_tls is secret and homelab_clearml_tls_secret names none"),
        (settings(tls="own_ca", tls_secret="mine"), {}, "homelab_clearml_tls_secret is not used: homelab_clearml_tls: own_ca"),
        (settings(tls="given"), {}, "the certificate is to be given and is not: clearml_server_tls_certificate and"),
        (settings(tls="own_ca"), {"clearml_server_tls_private_key": "KEY"}, "a certificate is given and not used: homelab_clearml_tls"),
        (settings(tls="own_ca", renew_days=397), {}, "certificates would be renewed in every run: 397 of 397 days"),
        (settings(ca_bundle="/etc/ssl/ca.pem"), {}, "homelab_clearml_ca_bundle is no certificate in PEM: text, not shown"),
        ({**SETTINGS["clearml"], "tls": "own_ca"}, {}, "ClearML has TLS by ingress only: homelab_clearml_tls: own_ca"),
    ],
)
def test_what_cannot_work_is_one_line(exposure, provided, text):
    (line,) = lines(exposure, **provided)
    assert line.startswith(text)
    assert "KEY" not in line


def test_a_switched_off_traefik_is_no_matter_of_another_controller():
    assert lines(settings(ingress_class="nginx"), k3s_disable=["traefik"]) == []


def test_a_given_certificate_that_serves(given, authority):
    assert lines(settings(tls="given"), **given) == []
    assert lines(settings(tls="given", ca_bundle=authority.path.read_text()), **given) == []


def test_a_given_certificate_for_other_names(given):
    (line,) = lines(settings("clearml.other.example", tls="given"), **given)
    assert "it is not for app.clearml.other.example, api.clearml.other.example, files.clearml.other.example but for *.clearml.home" in line


def test_a_given_key_of_another_certificate_is_not_shown(given, authority):
    other = "-----BEGIN PRIVATE KEY" + authority.issue("other").read_text().partition("-----BEGIN PRIVATE KEY")[2]
    (line,) = lines(settings(tls="given"), **{**given, "clearml_server_tls_private_key": other})
    assert line.startswith("clearml_server_tls_certificate cannot serve: the private key belongs to another certificate: ")
    assert other.split("\n")[1] not in line


def test_an_authority_that_did_not_sign_it(given, tmp_path):
    (line,) = lines(settings(tls="given", ca_bundle=Authority(tmp_path, name="Stranger").path.read_text()), **given)
    assert "it is signed by none of the authorities that are given for clients" in line


def test_the_three_share_the_port_of_the_controller():
    endpoints = {"clearml_web": ["", 443], "clearml_api": ["", 443], "clearml_files": ["", 443], "s3": ["", 9000]}
    found = value_findings("node-01", {}, {**SETTINGS, "exposure": "ingress", "clearml": settings(tls="own_ca"), "endpoints": endpoints})
    assert [one["finding"] for one in found] == []


NAMES = [f"app.{DOMAIN}", f"api.{DOMAIN}", f"files.{DOMAIN}"]


@pytest.mark.parametrize(
    ("ingress_class", "line"),
    [("traefik", f"/etc/hosts: 10.0.0.1 {' '.join(NAMES)}"), ("nginx", f"/etc/hosts: ADDRESS {' '.join(NAMES)} (ADDRESS: the")],
)
def test_names_that_lead_nowhere_are_told_with_the_line_to_write(ingress_class, line):
    node = changed(NODE, network__names={NAMES[0]: ["10.0.0.1"], NAMES[1]: [], NAMES[2]: []})
    (found,) = name_findings("gpu-01", node, settings(names=NAMES, ingress_class=ingress_class), "10.0.0.1")
    assert (found["level"], found["measured"]) == ("refuse", f"{NAMES[1]}, {NAMES[2]}")
    assert line in found["fix"]


@pytest.mark.parametrize("known", [dict.fromkeys(NAMES, ["10.0.0.1"]), {}])
def test_names_that_lead_somewhere_or_were_not_asked_for(known):
    assert name_findings("gpu-01", changed(NODE, network__names=known), settings(names=NAMES), "10.0.0.1") == []


def test_preflight_asks():
    found = preflight_host({"node": None}, "node-01", ["clearml_agents"], 0, {**SETTINGS, "clearml": settings("")}, {}, {}, [])
    assert "exposure by ingress needs homelab_clearml_domain" in [one["finding"] for one in found]
