# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What speaks against a server's certificate. On the controller, with the ``cryptography`` that ansible-core brings."""

from __future__ import annotations

import datetime
import ipaddress
import re

from ansible.errors import AnsibleError

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
except ImportError as error:
    MISSING = str(error)
else:
    MISSING = ""

_BLOCK = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def pem_certificates(text):
    """The certificates of a PEM text, in its order; others of its blocks are left out.

    Raises:
        ValueError: one of them cannot be read.
        AnsibleError: the controller's Python has no ``cryptography``.
    """
    if MISSING:
        raise AnsibleError(f"Ansible's Python on the controller cannot read certificates: {MISSING}")
    return [x509.load_pem_x509_certificate(block.encode()) for block in _BLOCK.findall(text)]


def certificate_faults(text, key=None, names=(), authorities=None, days=0, exact=False, now=None):
    """What speaks against the certificate of a server, as a list of lines; empty when nothing.

    Args:
        text: PEM of the certificate, followed by those between it and its authority.
        key: PEM of its private key, or None when it is not looked at.
        names: host names and IP addresses that it must hold for.
        authorities: PEM of the authorities that clients know, or None when they know it otherwise.
        days: how long it must still be valid.
        exact: whether it may hold for no other names.
        now: aware datetime of the judgement; None for the present.
    """
    try:
        chain = pem_certificates(text)
    except ValueError:
        chain = []
    if not chain:
        return ["it is no certificate in PEM"]
    now = now or datetime.datetime.now(datetime.timezone.utc)
    faults = _time_faults(chain, now, datetime.timedelta(days=int(days)))
    uncovered = [str(name) for name in names if not _covers(chain[0], str(name))]
    if uncovered:
        faults.append(f"it is not for {', '.join(uncovered)} but for {', '.join(_names(chain[0])) or 'no name at all'}")
    others = [name for name in _names(chain[0]) if name not in map(_plain, map(str, names))] if exact else []
    if others:
        faults.append(f"it is also for {', '.join(others)}")
    if key is not None:
        faults += _key_faults(chain[0], key)
    if authorities is not None:
        faults += _authority_faults(chain, authorities, now)
    return faults


def _end(certificate):
    # Without the zone before cryptography 42.
    try:
        return certificate.not_valid_after_utc
    except AttributeError:
        return certificate.not_valid_after.replace(tzinfo=datetime.timezone.utc)


def _begin(certificate):
    try:
        return certificate.not_valid_before_utc
    except AttributeError:
        return certificate.not_valid_before.replace(tzinfo=datetime.timezone.utc)


def _time_faults(chain, now, rest):
    """Of all that a client gets: one that has ended spoils the others."""
    faults = []
    for place, one in enumerate(chain):
        what = "it" if place == 0 else f"the certificate of {one.subject.rfc4514_string()} behind it"
        if _end(one) < now:
            faults.append(f"{what} ended on {_end(one):%Y-%m-%d}")
        elif _end(one) < now + rest:
            faults.append(f"{what} ends on {_end(one):%Y-%m-%d}, in less than {rest.days} days")
        if _begin(one) > now:
            faults.append(f"{what} is valid from {_begin(one):%Y-%m-%d} only")
    return faults


def _names(certificate):
    """Its alternative names as text; clients look at nothing else (RFC 6125, and Go, Python and browsers today)."""
    try:
        held = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return []
    return [_plain(str(name.value)) for name in held if isinstance(name, (x509.DNSName, x509.IPAddress))]


def _plain(name):
    """A name or address in the one spelling that is compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower().rstrip(".")


def _covers(certificate, name):
    wanted, held = _plain(name), _names(certificate)
    address = wanted.replace(".", "").isdigit() or ":" in wanted
    # A star stands for one label, the first.
    return wanted in held or (not address and "." in wanted and f"*.{wanted.partition('.')[2]}" in held)


def _public(key):
    return key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _key_faults(certificate, key):
    try:
        loaded = serialization.load_pem_private_key(key.encode(), password=None)
    except TypeError:
        return ["its private key has a passphrase"]
    except (ValueError, UnsupportedAlgorithm):
        return ["its private key is none in PEM"]
    return [] if _public(loaded.public_key()) == _public(certificate.public_key()) else ["the private key belongs to another certificate"]


def _signed_by(certificate, issuer):
    try:
        certificate.verify_directly_issued_by(issuer)
    except (ValueError, TypeError, InvalidSignature):
        return False
    return True


def _authority_faults(chain, authorities, now):
    """Whether the chain leads to one of the authorities, as a client would follow it."""
    try:
        known = pem_certificates(authorities)
    except ValueError:
        known = []
    if not known:
        return ["the authority's certificate is none in PEM"]
    current, between = chain[0], chain[1:]
    while True:
        roots = [one for one in known if one == current or _signed_by(current, one)]
        if roots:
            ended = all(_end(one) < now for one in roots)
            return [f"the authority's certificate ended on {max(map(_end, roots)):%Y-%m-%d}"] if ended else []
        above = next((one for one in between if _signed_by(current, one)), None)
        if above is None:
            return ["it is signed by none of the authorities that are given for clients"]
        current, between = above, [one for one in between if one != above]
