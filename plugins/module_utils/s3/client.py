# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A boto3 client whose failures are typed, one-line errors.

The error codes are those of the Amazon S3 API reference ("error responses"); HeadBucket has no body, so that its codes
are the texts "403" and "404".
"""

from __future__ import annotations

import time
import traceback

from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import (
    AccessDenied,
    BucketTaken,
    InvalidInput,
    MissingLibrary,
    NotFound,
    NotImplementedByServer,
    S3Error,
    Unreachable,
    WrongKey,
    WrongRegion,
    remedy,
)

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
except ImportError:
    BOTO3_TRACEBACK = traceback.format_exc()
else:
    BOTO3_TRACEBACK = None

BY_CODE = {
    "InvalidAccessKeyId": WrongKey,
    "SignatureDoesNotMatch": WrongKey,
    "AccessDenied": AccessDenied,
    "AllAccessDisabled": AccessDenied,
    "403": AccessDenied,
    "AuthorizationHeaderMalformed": WrongRegion,
    "PermanentRedirect": WrongRegion,
    "IllegalLocationConstraintException": WrongRegion,
    "301": WrongRegion,
    "BucketAlreadyExists": BucketTaken,
    "NotImplemented": NotImplementedByServer,
    "MethodNotAllowed": NotImplementedByServer,
    "501": NotImplementedByServer,
    "NoSuchBucket": NotFound,
    "404": NotFound,
}
REMEDY = {
    WrongKey: "check access_key and secret_key",
    AccessDenied: "use a key whose policy allows it",
    WrongRegion: "set region to the one that the server names",
    BucketTaken: "choose another name",
}
BUSY = ("OperationAborted", "SlowDown", "ServiceUnavailable")
ATTEMPTS = 5


class Client(object):
    """S3 calls by name: ``client.call("head_bucket", Bucket="b")``.

    :param connection: arguments.Connection
    :param sleep: function that waits for a number of seconds
    :raises MissingLibrary: boto3 is not there
    :raises InvalidInput: boto3 refuses an option, or the environment of the host (such as AWS_PROFILE)
    """

    def __init__(self, connection, sleep=time.sleep):
        if BOTO3_TRACEBACK:
            raise MissingLibrary(
                "the Python package boto3 is missing for the interpreter that runs this module: run it on the admin host, "
                "with ansible_python_interpreter set to the Python that has boto3"
            )
        self.url = connection.endpoint_url
        self.region = connection.region
        self._sleep = sleep
        verify = (connection.ca_bundle or True) if connection.validate_certs else False
        try:
            self._boto = boto3.session.Session().client(
                "s3",
                endpoint_url=connection.endpoint_url,
                aws_access_key_id=connection.access_key,
                aws_secret_access_key=connection.secret_key,
                region_name=connection.region,
                verify=verify,
                config=Config(
                    signature_version="s3v4",
                    s3={"addressing_style": "path"},
                    request_checksum_calculation="when_required",
                    response_checksum_validation="when_required",
                    connect_timeout=connection.timeout_seconds,
                    read_timeout=connection.timeout_seconds,
                    retries={"mode": "standard", "max_attempts": ATTEMPTS},
                    user_agent_extra="homelab.mlops",
                ),
            )
        except (BotoCoreError, ValueError) as error:
            raise InvalidInput("a client for %s cannot be made: %s" % (connection.endpoint_url, error)) from error

    def call(self, operation, **arguments):
        """One operation of the S3 client (its Python name), repeated while the server is busy; returns boto's dict.

        :raises S3Error: typed by the server's code, which is in the `code` of the error
        """
        for attempt in range(1, ATTEMPTS + 1):
            try:
                return getattr(self._boto, operation)(**arguments)
            except ClientError as error:
                code = str(error.response.get("Error", {}).get("Code", ""))
                if code in BUSY and attempt < ATTEMPTS:
                    self._sleep(0.5 * 2 ** (attempt - 1))
                    continue
                raise self._refusal(operation, arguments, code, error) from error
            except BotoCoreError as error:
                raise Unreachable(
                    "cannot reach the S3 server at %s for %s: %s; %s" % (self.url, operation, error, remedy(error))
                ) from error

    def pages(self, operation, **arguments):
        """The pages of a listing, as a generator of dicts; raises S3Error."""
        try:
            yield from self._boto.get_paginator(operation).paginate(**arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise self._refusal(operation, arguments, code, error) from error
        except BotoCoreError as error:
            raise Unreachable("cannot reach the S3 server at %s for %s: %s; %s" % (self.url, operation, error, remedy(error))) from error

    def optional(self, operation, not_set, **arguments):
        """As `call`, and None when the server says with one of the codes `not_set` that nothing is configured."""
        try:
            return self.call(operation, **arguments)
        except S3Error as error:
            if error.code in not_set:
                return None
            raise

    def _refusal(self, operation, arguments, code, error):
        kind = BY_CODE.get(code, S3Error)
        message = error.response.get("Error", {}).get("Message") or "no reason given"
        bucket = " of bucket %r" % arguments["Bucket"] if "Bucket" in arguments else ""
        text = "the S3 server at %s refused %s%s: %s (%s)" % (self.url, operation, bucket, message, code or "no code")
        region = error.response.get("Error", {}).get("Region")
        if region:
            text = "%s; it names the region %s" % (text, region)
        if kind in REMEDY:
            text = "%s; %s" % (text, REMEDY[kind])
        return kind(text, code=code)
