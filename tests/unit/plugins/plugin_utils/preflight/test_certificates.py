# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates of the object store: each rule once broken, once kept."""

from __future__ import annotations

import ipaddress

import pytest
from ansible_collections.homelab.mlops.plugins.filter.preflight import preflight_host
from ansible_collections.homelab.mlops.plugins.plugin_utils.preflight.certificates import tls_findings, tls_refusals
from ansible_collections.homelab.mlops.tests.unit.plugins.support.certificates import Authority
from ansible_collections.homelab.mlops.tests.unit.plugins.support.preflight import SETTINGS
from cryptography import x509

GIVEN = {**SETTINGS["s3"], "tls": "given", "endpoint_url": "https://10.0.0.1:9000"}


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def given(authority):
    """What the inventory sets for a certificate that serves."""
    text = authority.issue("s3", x509.IPAddress(ipaddress.ip_address("10.0.0.1"))).read_text()
    certificate, begin, rest = text.partition("-----BEGIN PRIVATE KEY")
    return {"minio_tls_certificate": certificate, "minio_tls_private_key": begin + rest}


def test_a_certificate_that_serves(given, authority):
    assert tls_refusals(given, "node-01", {**GIVEN, "ca_bundle": authority.path.read_text()}) == []
    assert tls_refusals(given, "node-01", GIVEN) == []


def test_a_host_that_is_not_known_yet(given):
    assert tls_refusals(given, "node-01", {**GIVEN, "endpoint_url": ""}) == []


@pytest.mark.parametrize(
    "missing", [["minio_tls_certificate"], ["minio_tls_private_key"], ["minio_tls_certificate", "minio_tls_private_key"]]
)
def test_nothing_is_given(given, missing):
    kept = {name: value for name, value in given.items() if name not in missing}
    (line,) = tls_refusals(kept, "node-01", GIVEN)
    assert line.startswith("the certificate is to be given and is not: " + " and ".join(missing))


def test_a_certificate_of_another_address(given):
    (line,) = tls_refusals(given, "node-01", {**GIVEN, "endpoint_url": "https://s3.home:9000"})
    assert line.startswith("minio_tls_certificate cannot serve: it is not for s3.home but for 10.0.0.1: ")


def test_a_key_of_another_certificate_is_not_shown(given, authority):
    other = "-----BEGIN PRIVATE KEY" + authority.issue("other").read_text().partition("-----BEGIN PRIVATE KEY")[2]
    (line,) = tls_refusals({**given, "minio_tls_private_key": other}, "node-01", GIVEN)
    assert line.startswith("minio_tls_certificate cannot serve: the private key belongs to another certificate: ")
    assert other.split("\n")[1] not in line


def test_an_authority_that_did_not_sign_it(tmp_path, given):
    bundle = Authority(tmp_path, name="Stranger").path.read_text()
    (line,) = tls_refusals(given, "node-01", {**GIVEN, "ca_bundle": bundle})
    assert "it is signed by none of the authorities that are given for clients" in line


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"renew_days": 397}, "certificates would be renewed in every run: 397 of 397 days"),
        ({"renew_days": 0}, "certificates would be renewed in every run: 0 of 397 days"),
        ({"ca_days": "400"}, "the own authority would end before what it signs: 400 days"),
    ],
)
def test_times_of_the_own_authority(changed, told):
    own = {**SETTINGS["s3"], "tls": "own_ca", "endpoint_url": "https://10.0.0.1:9000"}
    assert tls_refusals({}, "node-01", own) == []
    assert [line.rpartition(": ")[0] for line in tls_refusals({}, "node-01", {**own, **changed})] == [told]


def test_a_certificate_that_is_given_and_not_used_is_noted(given):
    (found,) = tls_findings("node-01", given, SETTINGS["s3"])
    assert (found["level"], found["finding"]) == ("note", "a certificate is given and not used")


def test_preflight_asks():
    spec = {"minio": {"argument_specs": {"main": {"options": {"minio_tls_certificate": {"type": "str"}}}}}}
    found = preflight_host({"node": None}, "node-01", ["clearml_agents"], 0, {**SETTINGS, "s3": GIVEN}, spec, {}, [])
    assert "the certificate is to be given and is not" in [one["finding"] for one in found]
