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
from email.utils import parsedate_to_datetime
from xml.etree.ElementTree import ParseError

from ansible_collections.homelab.mlops.plugins.module_utils.s3 import address
from ansible_collections.homelab.mlops.plugins.module_utils.s3.errors import (
    AccessDenied,
    BucketTaken,
    ClockSkew,
    InvalidInput,
    MissingLibrary,
    NotFound,
    NotImplementedByServer,
    S3Error,
    Unreachable,
    WrongKey,
    WrongRegion,
)

try:
    import boto3
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError
except ImportError:
    BOTO3_TRACEBACK = traceback.format_exc()
else:
    BOTO3_TRACEBACK = None

BY_CODE = {
    "InvalidAccessKeyId": WrongKey,
    "SignatureDoesNotMatch": WrongKey,
    "RequestTimeTooSkewed": ClockSkew,
    "AccessDenied": AccessDenied,
    "AllAccessDisabled": AccessDenied,
    "403": AccessDenied,
    "AuthorizationHeaderMalformed": WrongRegion,
    "PermanentRedirect": WrongRegion,
    "IllegalLocationConstraintException": WrongRegion,
    "InvalidRegion": WrongRegion,
    "301": WrongRegion,
    "BucketAlreadyExists": BucketTaken,
    "NotImplemented": NotImplementedByServer,
    "MethodNotAllowed": NotImplementedByServer,
    "405": NotImplementedByServer,
    "501": NotImplementedByServer,
    "NoSuchBucket": NotFound,
    "404": NotFound,
}
REMEDY = {
    WrongKey: "check access_key and secret_key",
    AccessDenied: "use a key whose policy allows it",
    BucketTaken: "choose another name",
}
BUSY = ("OperationAborted", "SlowDown", "ServiceUnavailable")
ATTEMPTS = 5


def skew(headers):
    """By how much the clocks differ, as words for the remedy.

    :param headers: headers of the server's answer (mapping with `date`)
    """
    try:
        seconds = parsedate_to_datetime(headers.get("date") or headers.get("Date")).timestamp() - time.time()
    except (TypeError, ValueError):
        return "set the clocks of this host and the server right"
    direction = "ahead of" if seconds > 0 else "behind"
    return "the server's clock is %d minutes %s this host's: set both right (chrony)" % (round(abs(seconds) / 60), direction)


class Client(object):
    """S3 calls by name: ``client.call("head_bucket", Bucket="b")``.

    :param connection: arguments.Connection
    :param sleep: function that waits for a number of seconds
    :ivar url: address of the server
    :ivar region: the region that requests are signed for
    :ivar connection: as given
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
        self.connection = connection
        self.sleep = sleep
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
                    self.sleep(0.5 * 2 ** (attempt - 1))
                    continue
                raise self._refusal(operation, arguments, code, error) from error
            except (BotoCoreError, ResponseParserError, ParseError) as error:
                raise self._trouble(operation, error) from error

    def pages(self, operation, **arguments):
        """The pages of a listing, as a generator of dicts; raises S3Error."""
        try:
            yield from self._boto.get_paginator(operation).paginate(**arguments)
        except ClientError as error:
            code = str(error.response.get("Error", {}).get("Code", ""))
            raise self._refusal(operation, arguments, code, error) from error
        except (BotoCoreError, ResponseParserError, ParseError) as error:
            raise self._trouble(operation, error) from error

    def optional(self, operation, not_set, **arguments):
        """As `call`, and None when the server says with one of the codes `not_set` that nothing is configured."""
        try:
            return self.call(operation, **arguments)
        except S3Error as error:
            if error.code in not_set:
                return None
            raise

    def no_s3(self, why):
        """The error for a server that answers, but not as an S3 server does; `why` says what it did."""
        return Unreachable(
            "what answers at %s is no S3 server: %s; %s" % (self.url, why, address.remedy(self.url, why, self.connection.timeout_seconds))
        )

    def _trouble(self, operation, error):
        if isinstance(error, (ResponseParserError, ParseError)):
            return self.no_s3("its answer to %s cannot be read" % operation)
        advice = address.remedy(self.url, error, self.connection.timeout_seconds)
        return Unreachable("cannot reach the S3 server at %s for %s: %s; %s" % (self.url, operation, error, advice))

    def _refusal(self, operation, arguments, code, error):
        answer = error.response.get("Error", {})
        message = answer.get("Message") or "no reason given"
        if address.CONSOLE in message:
            return Unreachable("what answers at %s is MinIO's console: %s" % (self.url, address.CONSOLE_REMEDY), code=code)
        kind = BY_CODE.get(code, S3Error)
        if kind is BucketTaken and operation != "create_bucket":
            kind = NotImplementedByServer  # it knows nothing of the setting, and sees one more try to make the bucket
        region = answer.get("Region")
        # Some answer to a request that was signed for another region, and only mention theirs.
        if region and region != self.region and kind in (WrongRegion, NotFound):
            kind = WrongRegion
        bucket = " of bucket %r" % arguments["Bucket"] if "Bucket" in arguments else ""
        text = "the S3 server at %s refused %s%s: %s (%s)" % (self.url, operation, bucket, message, code or "no code")
        if kind is WrongRegion:
            text += "; set region to %s" % (region or "that of the server")
        elif kind is ClockSkew:
            text = "%s; %s" % (text, skew(error.response.get("ResponseMetadata", {}).get("HTTPHeaders", {})))
        elif kind in REMEDY:
            text = "%s; %s" % (text, REMEDY[kind])
        return kind(text, code=code)
