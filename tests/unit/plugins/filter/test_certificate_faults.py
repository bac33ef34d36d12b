# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a certificate."""

from __future__ import annotations

import datetime
import ipaddress

import pytest
from ansible_collections.homelab.mlops.plugins.filter.certificate_faults import FilterModule
from ansible_collections.homelab.mlops.tests.unit.plugins.support.certificates import NOW, Authority
from cryptography import x509
from cryptography.hazmat.primitives import serialization

faults = FilterModule().filters()["certificate_faults"]
NAMES = (x509.DNSName("s3.home"), x509.DNSName("*.lab.home"), x509.IPAddress(ipaddress.ip_address("10.0.0.7")))


@pytest.fixture
def authority(tmp_path):
    return Authority(tmp_path)


@pytest.fixture
def held(authority):
    """A good certificate of the authority and its key, both as text."""
    text = authority.issue("s3", *NAMES).read_text()
    certificate, begin, rest = text.partition("-----BEGIN PRIVATE KEY")
    return certificate, begin + rest


def test_a_good_one(authority, held):
    certificate, key = held
    names = ["S3.home", "10.0.0.7", "one.lab.home"]
    assert faults(certificate, key=key, names=names, authorities=authority.path.read_text(), days=29) == []


@pytest.mark.parametrize(
    ("names", "told"),
    [
        (["10.0.0.8"], "it is not for 10.0.0.8 but for s3.home, *.lab.home, 10.0.0.7"),
        (["s3.home", "s4.home"], "it is not for s4.home but for s3.home, *.lab.home, 10.0.0.7"),
        (["two.one.lab.home"], "it is not for two.one.lab.home but for"),
        (["lab.home"], "it is not for lab.home but for"),
    ],
)
def test_other_names(held, names, told):
    (fault,) = faults(held[0], names=names)
    assert fault.startswith(told)


def test_names_that_it_no_longer_needs(held):
    names = ["s3.home", "*.lab.home", "10.0.0.7"]
    assert faults(held[0], names=names, exact=True) == []
    assert faults(held[0], names=names[:2], exact=True) == ["it is also for 10.0.0.7"]


def test_an_ipv6_address_in_another_spelling(authority):
    certificate = authority.issue("six", x509.IPAddress(ipaddress.ip_address("fd00::1"))).read_text()
    assert faults(certificate, names=["fd00:0:0::1"]) == []


def test_one_with_a_common_name_alone_is_for_nobody(authority):
    assert faults(authority.issue("s3.home").read_text(), names=["s3.home"]) == ["it is not for s3.home but for no name at all"]


def test_its_time(held):
    end = f"{NOW + datetime.timedelta(days=30):%Y-%m-%d}"
    assert faults(held[0], days=31) == [f"it ends on {end}, in less than 31 days"]
    assert faults(held[0], now=NOW + datetime.timedelta(days=31)) == [f"it ended on {end}"]
    assert faults(held[0], now=NOW - datetime.timedelta(days=90))[0].startswith("it is valid from ")


def test_its_key(authority, held):
    other = authority.issue("other").read_text().partition("-----BEGIN PRIVATE KEY")
    assert faults(held[0], key=other[1] + other[2]) == ["the private key belongs to another certificate"]
    assert faults(held[0], key="") == ["its private key is none in PEM"]
    secret = serialization.load_pem_private_key(held[1].encode(), None).private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"hunter22")
    )
    assert faults(held[0], key=secret.decode()) == ["its private key has a passphrase"]


def test_its_authority(tmp_path, held):
    stranger = Authority(tmp_path, name="Test authority").path.read_text()  # of the same name, but with another key
    assert faults(held[0], authorities=stranger) == ["it is signed by none of the authorities that are given for clients"]
    assert faults(held[0], authorities="no PEM") == ["the authority's certificate is none in PEM"]


def test_an_authority_that_has_ended(tmp_path):
    ended = Authority(tmp_path, expired=True)
    certificate = ended.issue("s3", *NAMES).read_text()
    assert faults(certificate, authorities=ended.path.read_text()) == [
        f"the authority's certificate ended on {NOW - datetime.timedelta(days=1):%Y-%m-%d}"
    ]


def test_a_chain_by_way_of_another_authority(tmp_path, authority, held):
    """As most authorities sign: with a certificate of their own in between, which the server has to send."""
    root = Authority(tmp_path, name="Root")
    between = root._signed(authority.name, authority.key, NOW + datetime.timedelta(days=10), x509.BasicConstraints(True, None), [])
    between = between.public_bytes(serialization.Encoding.PEM).decode()
    known = root.path.read_text()
    assert faults(held[0] + between, authorities=known) == []
    assert faults(held[0], authorities=known) == ["it is signed by none of the authorities that are given for clients"]
    (fault,) = faults(held[0] + between, authorities=known, days=20)
    assert fault.startswith("the certificate of CN=Test authority behind it ends on")


@pytest.mark.parametrize("text", ["", "hello", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"])
def test_no_certificate(text):
    assert faults(text, key="x", names=["s3.home"]) == ["it is no certificate in PEM"]
