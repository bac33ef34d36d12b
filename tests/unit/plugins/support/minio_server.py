# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The part of MinIO's administration API that the modules use, in this process, over real HTTP.

Answers and error codes are those that MinIO RELEASE.2025-09-07 was seen to give. Signatures are verified, and bodies
decrypted, with the functions of the package `minio`.
"""

from __future__ import annotations

import io
import json
import re
from datetime import datetime, timezone
from urllib.parse import parse_qs, urlsplit

from minio.credentials import Credentials
from minio.crypto import decrypt, encrypt
from minio.signer import sign_v4_s3

from ansible_collections.homelab.mlops.tests.unit.plugins.support.http_server import LocalServer, send

ROOT = ("rootkey123", "rootsecret123")
S3_ERROR = '<?xml version="1.0" encoding="UTF-8"?><Error><Code>%s</Code><Message>No.</Message></Error>'
NO_BUCKETS = b'<?xml version="1.0" encoding="UTF-8"?><ListAllMyBucketsResult><Owner></Owner><Buckets></Buckets></ListAllMyBucketsResult>'


class Refusal(Exception):
    """An HTTP status and an error code."""


class Body(io.BytesIO):
    """What `decrypt` reads from."""

    def release_conn(self):
        pass


class MinioServer(LocalServer):
    """Use as a context manager.

    :ivar users: dict name -> dict(secret, enabled, policies)
    :ivar policies: dict name -> document
    :ivar accounts: dict access key -> dict(user, secret, name, description, status, policy), the service accounts
    :ivar forgetful: whether a secret that is set is another one in the end
    :ivar calls: list of (method, last part of the path) of administration requests that change something
    """

    def __init__(self):
        super().__init__()
        self.users = {}
        self.policies = {"readonly": {"Version": "2012-10-17", "Statement": []}}
        self.accounts = {}
        self.forgetful = False
        self.calls = []

    @property
    def connection(self):
        """Options of a module that connect to this server."""
        return {"endpoint_url": self.url, "access_key": ROOT[0], "secret_key": ROOT[1], "timeout_seconds": 5}

    def handle(self, handler, body):
        url = urlsplit(handler.path)
        admin = url.path.startswith("/minio/admin/v3/")
        try:
            user = self.signed_by(handler)
            content = self.admin(handler.command, url, body, user) if admin else self.list_buckets(user)
            status = 204 if content is None else 200
        except Refusal as refusal:
            status, code = refusal.args
            content = json.dumps({"Code": code, "Message": "No."}) if admin else S3_ERROR % code
        data = content.encode() if isinstance(content, str) else content or b""
        send(handler, status, data, "application/json" if admin else "application/xml")

    def signed_by(self, handler):
        """The access key whose secret made the signature of the request."""
        authorization = handler.headers["Authorization"]
        key = re.search("Credential=([^/]+)/", authorization).group(1)
        secret = self.secret_of(key)
        if secret is None:
            raise Refusal(403, "InvalidAccessKeyId")
        names = re.search("SignedHeaders=([^,]+),", authorization).group(1).split(";")
        date = datetime.strptime(handler.headers["x-amz-date"], "%Y%m%dT%H%M%SZ").replace(tzinfo=timezone.utc)
        signed = sign_v4_s3(
            method=handler.command,
            url=urlsplit(self.url + handler.path),
            region="us-east-1",
            headers={name: handler.headers[name] for name in names},
            credentials=Credentials(key, secret),
            content_sha256=handler.headers["x-amz-content-sha256"],
            date=date,
        )
        if signed["Authorization"] != authorization:
            raise Refusal(403, "SignatureDoesNotMatch")
        return key

    def secret_of(self, key):
        """The secret of who may sign in, or None."""
        if key == ROOT[0]:
            return ROOT[1]
        if key in self.users and self.users[key]["enabled"]:
            return self.users[key]["secret"]
        if key in self.accounts and self.accounts[key]["status"] == "on":
            return self.accounts[key]["secret"]
        return None

    def list_buckets(self, user):
        if user != ROOT[0] and not self.users.get(user, {"policies": True})["policies"]:
            raise Refusal(403, "AccessDenied")
        return NO_BUCKETS

    def admin(self, method, url, body, user):
        action = url.path[len("/minio/admin/v3/") :]
        self.asking = user
        if user != ROOT[0] and action != "add-service-account":
            raise Refusal(403, "AccessDenied")
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        if method != "GET":
            self.calls.append((method, action))
        return getattr(self, action.replace("/", "_").replace("-", "_"))(query, body)

    def found(self, name):
        if name not in self.users:
            raise Refusal(404, "XMinioAdminNoSuchUser")
        return self.users[name]

    def user_info(self, query, body):
        user = self.found(query["accessKey"])
        answer = {"status": "enabled" if user["enabled"] else "disabled"}
        if user["policies"]:
            answer["policyName"] = ",".join(sorted(user["policies"]))
        return json.dumps(answer)

    def add_user(self, query, body):
        asked = json.loads(decrypt(Body(body), ROOT[1]))
        user = self.users.setdefault(query["accessKey"], {"policies": set()})
        user.update(secret=asked["secretKey"], enabled=asked["status"] == "enabled")
        return ""

    def set_user_status(self, query, body):
        self.found(query["accessKey"])["enabled"] = query["status"] == "enabled"
        return ""

    def remove_user(self, query, body):
        self.found(query["accessKey"])
        del self.users[query["accessKey"]]
        return ""

    def change_policies(self, body, change):
        asked = json.loads(decrypt(Body(body), ROOT[1]))
        user = self.found(asked["user"])
        if not user["enabled"]:
            raise Refusal(404, "XMinioAdminNoSuchUser")
        if any(name not in self.policies for name in asked["policies"]):
            raise Refusal(404, "XMinioAdminNoSuchPolicy")
        after = change(user["policies"], set(asked["policies"]))
        if after == user["policies"]:
            raise Refusal(400, "XMinioAdminPolicyChangeAlreadyApplied")
        user["policies"] = after

    def idp_builtin_policy_attach(self, query, body):
        self.change_policies(body, set.union)

    def idp_builtin_policy_detach(self, query, body):
        self.change_policies(body, set.difference)

    def info_canned_policy(self, query, body):
        if query["name"] not in self.policies:
            raise Refusal(404, "XMinioAdminNoSuchPolicy")
        return json.dumps(self.policies[query["name"]])

    def add_canned_policy(self, query, body):
        self.policies[query["name"]] = json.loads(body)
        return ""

    def remove_canned_policy(self, query, body):
        if any(query["name"] in user["policies"] for user in self.users.values()):
            raise Refusal(400, "XMinioIAMPolicyInUse")
        self.policies.pop(query["name"], None)
        return ""

    def add_service_account(self, query, body):
        secret = self.secret_of(self.asking)
        asked = json.loads(decrypt(Body(body), secret))
        key = asked["accessKey"]
        if key in self.accounts or key in self.users:
            raise Refusal(400, "XMinioIAMServiceAccountNotAllowed")
        kept = {field: asked.get(field) for field in ("name", "description", "policy")}
        stored = asked["secretKey"] + ("x" if self.forgetful else "")
        self.accounts[key] = dict(kept, user=self.asking, secret=stored, status="on")
        return encrypt(json.dumps({"credentials": {"accessKey": key, "secretKey": asked["secretKey"]}}).encode(), secret)

    def account(self, query):
        if query["accessKey"] not in self.accounts:
            raise Refusal(404, "XMinioInvalidIAMCredentials")
        return self.accounts[query["accessKey"]]

    def list_service_accounts(self, query, body):
        found = [dict(account, accessKey=key) for key, account in self.accounts.items() if account["user"] == query["user"]]
        fields = [{"accessKey": account["accessKey"], "name": account["name"]} for account in found]
        return encrypt(json.dumps({"accounts": fields or None}).encode(), ROOT[1])

    def info_service_account(self, query, body):
        account = self.account(query)
        told = {"parentUser": account["user"], "accountStatus": account["status"], "impliedPolicy": account["policy"] is None}
        told.update({field: account[field] for field in ("name", "description") if account[field]})
        if account["policy"] is not None:
            told["policy"] = json.dumps(account["policy"], indent=1)
        return encrypt(json.dumps(told).encode(), ROOT[1])

    def update_service_account(self, query, body):
        account = self.account(query)
        asked = json.loads(decrypt(Body(body), ROOT[1]))
        for field, name in (
            ("newSecretKey", "secret"),
            ("newStatus", "status"),
            ("newDescription", "description"),
            ("newPolicy", "policy"),
        ):
            if field in asked:
                account[name] = asked[field]

    def delete_service_account(self, query, body):
        self.account(query)
        del self.accounts[query["accessKey"]]
