# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""MinIO's own users and policies, through the Python package `minio`.

Seen with MinIO RELEASE.2025-09-07: answers are JSON texts; a missing user is XMinioAdminNoSuchUser, a missing policy
XMinioAdminNoSuchPolicy; attaching what is attached is XMinioAdminPolicyChangeAlreadyApplied; adding a user who exists
sets its secret and enables it; policies of a disabled user cannot be changed (the server says that there is no such
user); a secret cannot be read back. Refusals that come before a request is looked at are XML instead of JSON.
"""

from __future__ import annotations

import html
import json
import re
import secrets
import string
import traceback

from ansible_collections.homelab.mlops.plugins.module_utils.s3 import address
from ansible_collections.homelab.mlops.plugins.module_utils.s3 import policy as policies
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import (
    AccessDenied,
    ClockSkew,
    InvalidInput,
    MissingLibrary,
    NotFound,
    S3Error,
    Unreachable,
    WrongKey,
    WrongRegion,
)

try:
    import certifi
    import urllib3
    from minio import Minio
    from minio.credentials import StaticProvider
    from minio.error import MinioAdminException
    from minio.error import S3Error as MinioS3Error
    from minio.error import ServerError
    from minio.minioadmin import MinioAdmin
except ImportError:
    MINIO_TRACEBACK = traceback.format_exc()
else:
    MINIO_TRACEBACK = None

ALREADY_APPLIED = "XMinioAdminPolicyChangeAlreadyApplied"
BY_CODE = {
    "SignatureDoesNotMatch": WrongKey,
    "InvalidAccessKeyId": WrongKey,
    "RequestTimeTooSkewed": ClockSkew,
    "AuthorizationHeaderMalformed": WrongRegion,
    "AccessDenied": AccessDenied,
    "NoSuchBucket": NotFound,
    "XMinioAdminNoSuchUser": NotFound,
    "XMinioAdminNoSuchPolicy": NotFound,
    "XMinioInvalidIAMCredentials": NotFound,
}
REMEDY = {
    WrongKey: "check access_key and secret_key of the connection",
    AccessDenied: "connect with the root pair or a user with the policy consoleAdmin",
    ClockSkew: "set the clocks of this host and the server right (chrony)",
    WrongRegion: "set region to that of the server",
}
XML_ERROR = re.compile(r"<Code>(.*?)</Code>.*?<Message>(.*?)</Message>", re.DOTALL)


def check_pair(what, name, secret):
    """Refuses what MinIO would refuse in the middle of the work.

    :param what: the owner of the pair as a word for the message, such as "user"
    :param name: access key
    :param secret: secret key, or None for one that is not given
    :raises InvalidInput: MinIO takes no such pair
    """
    if not 3 <= len(name) <= 20 or any(character in "=," or character.isspace() for character in name):
        raise InvalidInput("%s name %r must have 3 to 20 characters, without spaces, commas and equals signs" % (what, name))
    if secret is not None and not 8 <= len(secret) <= 40:
        raise InvalidInput("secret of %s %r has %d characters: use 8 to 40" % (what, name, len(secret)))


def new_access_key():
    """A random access key of 20 characters."""
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for unused in range(20))


def new_secret():
    """A random secret key of 40 characters."""
    return "".join(secrets.choice(string.ascii_letters + string.digits) for unused in range(40))


class Admin(object):
    """The administration API of one MinIO server.

    :param connection: arguments.Connection
    :raises MissingLibrary: the package minio is not there
    :raises InvalidInput: it refuses an option
    """

    def __init__(self, connection):
        if MINIO_TRACEBACK:
            raise MissingLibrary(
                "the Python package minio is missing for the interpreter that runs this module: run it on the admin host, "
                "with ansible_python_interpreter set to the Python that has minio"
            )
        self.url = connection.endpoint_url
        self._connection = connection
        self._http = urllib3.PoolManager(
            timeout=urllib3.Timeout(connect=connection.timeout_seconds, read=connection.timeout_seconds),
            cert_reqs="CERT_REQUIRED" if connection.validate_certs else "CERT_NONE",
            ca_certs=connection.ca_bundle or certifi.where(),
            retries=urllib3.Retry(total=4, other=0, backoff_factor=0.5, status_forcelist=[502, 503, 504]),
        )
        try:
            self._admin = MinioAdmin(
                endpoint=connection.host,
                credentials=StaticProvider(connection.access_key, connection.secret_key),
                region=connection.region,
                secure=connection.secure,
                cert_check=connection.validate_certs,
                http_client=self._http,
            )
        except ValueError as error:
            raise InvalidInput("a client for %s cannot be made: %s" % (connection.endpoint_url, error)) from error

    def call(self, method, *arguments, **named):
        """One method of MinioAdmin; its JSON answer as Python values, None for an empty one.

        :raises S3Error: typed by the server's code
        """
        try:
            text = getattr(self._admin, method)(*arguments, **named)
            return json.loads(text) if text.strip() else None
        except MinioAdminException as error:
            raise self._refusal(method, error) from error
        except urllib3.exceptions.HTTPError as error:
            raise self._unreachable(method, error) from error
        except ValueError as error:
            raise Unreachable("what answers at %s for %s is not MinIO: %s" % (self.url, method, error)) from error

    def user(self, name):
        """A user as dict(enabled, policies), or None."""
        try:
            found = self.call("user_info", name)
        except NotFound:
            return None
        attached = [policy for policy in (found.get("policyName") or "").split(",") if policy]
        return {"enabled": found.get("status") == "enabled", "policies": sorted(attached)}

    def policy(self, name):
        """A policy in the common form, or None."""
        try:
            return policies.parse(json.dumps(self.call("policy_info", name)), "policy %r" % name)
        except NotFound:
            return None

    def service_account(self, name):
        """A service account as dict(user, label, description, enabled, policy), or None.

        `policy` is None for one that may do what its user may.
        """
        try:
            found = self.call("get_service_account", name)
        except NotFound:
            return None
        own = None if found.get("impliedPolicy") else policies.parse(found.get("policy"), "the policy of service account %r" % name)
        return {
            "user": found.get("parentUser", ""),
            "label": found.get("name", ""),
            "description": found.get("description", ""),
            "enabled": found.get("accountStatus") == "on",
            "policy": own,
        }

    def service_accounts_of(self, user):
        """Access keys of a user's service accounts by label, as a dict of lists."""
        found = {}
        for account in (self.call("list_service_account", user) or {}).get("accounts") or []:
            found.setdefault(account.get("name", ""), []).append(account["accessKey"])
        return found

    def change_policies(self, method, user, names):
        """Attaches or detaches policies of a user; what is in effect already is right too."""
        try:
            self.call(method, names, user=user)
        except S3Error as error:
            if error.code != ALREADY_APPLIED:
                raise

    def secret_works(self, user, secret):
        """Whether a request that is signed with this pair is taken; the user or service account must be enabled.

        :raises S3Error: any trouble but a signature or key that is not accepted
        """
        client = Minio(
            endpoint=self._connection.host,
            access_key=user,
            secret_key=secret,
            secure=self._connection.secure,
            region=self._connection.region,
            http_client=self._http,
        )
        try:
            client.list_buckets()
        except MinioS3Error as error:
            kind = BY_CODE.get(error.code)
            if kind is WrongKey:
                return False
            if kind is not AccessDenied:  # which comes only after the signature was right
                raise self._typed("list_buckets", error.code, error.message) from error
        except (ServerError, urllib3.exceptions.HTTPError) as error:
            raise self._unreachable("list_buckets", error) from error
        return True

    def check_secret(self, what, user, secret):
        """Fails when a pair that was just set is not taken; raises S3Error."""
        if not self.secret_works(user, secret):
            raise S3Error("MinIO at %s took the secret of %s %r, and refuses what is signed with it" % (self.url, what, user))

    def _unreachable(self, method, error):
        reason = getattr(error, "reason", None) or error
        advice = address.remedy(self.url, reason, self._connection.timeout_seconds)
        return Unreachable("cannot reach MinIO at %s for %s: %s; %s" % (self.url, method, reason, advice))

    def _refusal(self, method, error):
        body = error._body or ""
        try:
            answer = json.loads(body)
            return self._typed(method, answer["Code"], answer["Message"])
        except (ValueError, TypeError, KeyError):
            found = XML_ERROR.search(body)
        if found and address.CONSOLE not in body and found.group(1) != "NoSuchBucket":  # to others the path is an object's
            return self._typed(method, found.group(1), html.unescape(found.group(2)))
        advice = address.remedy(self.url, body, self._connection.timeout_seconds)
        return Unreachable("what answers at %s (HTTP status %s) is not MinIO: %s" % (self.url, error._code, advice))

    def _typed(self, method, code, message):
        kind = BY_CODE.get(code, S3Error)
        text = "MinIO at %s refused %s: %s (%s)" % (self.url, method, message, code)
        if code == "XMinioIAMPolicyInUse":
            text += "; detach it from its users and groups first"
        elif kind in REMEDY:
            text = "%s; %s" % (text, REMEDY[kind])
        return kind(text, code=code)
