# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Certificates for tests: an authority, good or expired, and what it signs."""

from __future__ import annotations

import datetime

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

NOW = datetime.datetime.now(datetime.timezone.utc)
DAY = datetime.timedelta(days=1)


class Authority(object):
    """An authority of our own.

    :param folder: where files are written (pathlib.Path)
    :param expired: whether its own certificate ended yesterday
    :ivar path: file with its certificate
    """

    def __init__(self, folder, name="Test authority", expired=False):
        self.folder = folder
        self.name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self.key = ec.generate_private_key(ec.SECP256R1())
        end = NOW - DAY if expired else NOW + 30 * DAY
        certificate = self._signed(self.name, self.key, end, x509.BasicConstraints(ca=True, path_length=0), [])
        self.path = folder / ("%s.pem" % name.replace(" ", "-"))
        self.path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))

    def issue(self, common_name, *names):
        """A certificate with its key; returns the one file that holds both."""
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])
        certificate = self._signed(subject, key, NOW + 30 * DAY, x509.BasicConstraints(ca=False, path_length=None), names)
        path = self.folder / ("%s.pem" % common_name)
        plain = serialization.NoEncryption()
        private = key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, plain)
        path.write_bytes(certificate.public_bytes(serialization.Encoding.PEM) + private)
        return path

    def _signed(self, subject, key, end, constraints, names):
        builder = x509.CertificateBuilder().subject_name(subject).issuer_name(self.name).public_key(key.public_key())
        builder = builder.serial_number(x509.random_serial_number()).not_valid_before(NOW - 60 * DAY).not_valid_after(end)
        builder = builder.add_extension(constraints, critical=True)
        if names:
            builder = builder.add_extension(x509.SubjectAlternativeName(list(names)), critical=False)
        return builder.sign(self.key, hashes.SHA256())
