# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between a module and an S3 server."""

from __future__ import annotations


class S3Error(Exception):
    """Base of all errors of this package; its text is one line for a person and holds no secret.

    :ivar code: the server's error code (str), or an empty text
    """

    def __init__(self, message, code=""):
        super().__init__(" ".join(message.split()))
        self.code = code

    def details(self):
        """Fields that a module adds to its failure, as a dict."""
        return {"error_code": self.code} if self.code else {}

    def about(self, option):
        """The same error, beginning with the name of the option that it is about."""
        return type(self)("%s: %s" % (option, self), code=self.code)


class InvalidInput(S3Error):
    """A value that must not reach the server."""


class MissingLibrary(S3Error):
    """A Python package is not there."""


class Unusable(S3Error):
    """The connection itself does not do, whatever is asked for."""


class Unreachable(Unusable):
    """No answer, or none that makes sense."""


class WrongKey(Unusable):
    """The server does not know the access key, or the signature is not that of its secret."""


class ClockSkew(Unusable):
    """The clocks of this host and the server differ so much that signatures are refused."""


class WrongRegion(Unusable):
    """The bucket or the server belongs to another region."""


class AccessDenied(S3Error):
    """The key is known and may not do this."""


class BucketTaken(S3Error):
    """The name belongs to somebody else."""


class NotImplementedByServer(S3Error):
    """The server does not have this part of the S3 API."""


class NotKept(S3Error):
    """The server does not keep a setting in the way that is wanted."""


class NotFound(S3Error):
    """The bucket, policy, user or service account is not there."""
