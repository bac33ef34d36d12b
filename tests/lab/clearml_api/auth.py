# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who calls (Basic, Bearer, cookie, impersonation) and the auth.* endpoints."""

import base64
import hmac
import re
import secrets
import string
import time

from . import tokens
from .calls import API_VERSION, SERVER_VERSION, Identity, endpoint, new_id, now, stored
from .errors import ApiError, fail
from .schema import Int, Str

COMPANY = "d1bd92a3b039400cbafc60a7a5b1e52b"
COMPANY_NAME = "clearml"
SYSTEM_ROLES = ("system", "root")
ROLES = ("system", "root", "admin", "superuser", "user", "annotator")
COMPANY_ROLES = ("admin", "superuser", "user", "annotator")
THIRTY_DAYS = 30 * 24 * 3600
ONE_YEAR = 365 * 24 * 3600
_EMAIL = re.compile(r"^[^@\s]+@[^@\s]+\.[^@\s]+$")


def identity_of(account):
    return Identity(account["id"], account["company"], account["role"], account["name"], COMPANY_NAME)


# --- the steps of a call ----------------------------------------------------------------------------------------------


def _cookie(call):
    for part in call.headers.get("cookie", "").split(";"):
        name, _, value = part.strip().partition("=")
        if name == call.server.config.cookie_name:
            return value
    return None


def authenticate(call):
    """Set the caller's identity from the Authorization header or, without one, from the cookie."""
    wanted = call.endpoint.authorize
    if wanted is False:
        return
    header = call.headers.get("authorization")
    if header is None and _cookie(call):
        header = f"Bearer {_cookie(call)}"
    if not header:
        if wanted:
            raise fail("no_credentials")
        return
    scheme, _, value = header.partition(" ")
    try:
        if scheme == "Bearer":
            _by_token(call, value)
        elif scheme == "Basic":
            _by_key(call, value)
        else:
            raise fail("auth_type")
    except ApiError:
        if wanted:
            raise


def _revoked(call, claims):
    session = claims.get("session_id")
    return bool(session) and call.store.get("revoked_sessions", session) is not None


def _by_token(call, value):
    try:
        claims = tokens.read(value, call.server.config.token_secret)
    except tokens.KeyNotWanted as error:
        raise fail("token", "jwt invalid key error", reason=error) from None
    except tokens.TokenError as error:
        raise fail("token", "invalid jwt token", reason=error) from None
    if not claims.get("identity"):
        raise fail("token", "token missing identity")
    if _revoked(call, claims):
        raise fail("token", "revoked token")
    person = claims["identity"]
    call.token = claims
    call.identity = Identity(*(person.get(key) for key in ("user", "company", "role", "user_name", "company_name")))


def _by_key(call, value):
    try:
        text = base64.b64decode(value.encode()).decode("latin-1")
    except ValueError as error:
        raise fail("bad_credentials", str(error)) from None
    key, _, secret = text.partition(":")
    fixed = call.server.config.fixed_user(key)
    if fixed:
        if not _password_fits(call.server.config, fixed, secret):
            raise fail("invalid_credentials", "bad username or password")
        account = call.store.get("accounts", fixed["id"])
    else:
        account, pair = _account_of_key(call.store, key, secret)
        if account:
            pair["last_used"] = stored(now()).partition("+")[0]
            pair["last_used_from"] = call.headers.get("x-clearml-worker") or call.headers.get("x-trains-worker") or call.ip
            call.store.put("accounts", account)
    if not account:
        raise fail("invalid_credentials", "failed to locate provided credentials")
    call.identity = identity_of(account)


def _password_fits(config, fixed, password):
    if not config.passwords_hashed:
        return hmac.compare_digest(password.encode(), fixed["password"].encode())
    import crypt  # the C library's bcrypt; here because its import warns of its end with Python 3.13

    hashed = base64.b64decode(fixed["password"]).decode()
    return hmac.compare_digest(crypt.crypt(password, hashed) or "", hashed)


def _account_of_key(store, key, secret):
    for account in store.all("accounts"):
        for pair in account["credentials"]:
            if pair["key"] == key and hmac.compare_digest(pair["secret"].encode(), secret.encode()):
                return account, pair
    return None, None


def check_role(call):
    allowed = call.endpoint.roles
    if call.endpoint.authorize and "*" not in allowed and call.identity.role not in allowed:
        raise fail("role", role=call.identity.role, allowed=allowed)


def _sent_names(call):
    wanted = ("x-clearml-impersonate-as", "x-trains-impersonate-as", "x-clearml-act-as", "x-trains-act-as")
    return [name for name in call.header_names if name.lower() in wanted]


def impersonate(call):
    """X-ClearML-Impersonate-As: the user with the user's role; X-ClearML-Act-As: the user with the caller's role."""
    headers = call.headers
    as_user = headers.get("x-clearml-impersonate-as") or headers.get("x-trains-impersonate-as")
    act_as = headers.get("x-clearml-act-as") or headers.get("x-trains-act-as")
    if call.identity is None or not (as_user or act_as):
        return
    if as_user and act_as:
        raise fail("invalid_headers", "only one allowed", headers=_sent_names(call))
    caller = call.identity
    if caller.role not in (*SYSTEM_ROLES, "admin"):
        raise fail("impersonation", "impersonation not allowed", role=caller.role)
    account = call.store.get("accounts", act_as or as_user)
    if not account:
        raise fail("impersonation", "unknown user", id=act_as or as_user, company=caller.company)
    call.identity = identity_of(account)
    if act_as:
        call.identity.role = caller.role
        call.identity.user_name = f"{account['name']} (acting as {caller.user_name})"
    else:
        call.identity.user_name = f"{account['name']} (impersonated by {caller.user_name})"
        check_role(call)


# --- accounts ---------------------------------------------------------------------------------------------------------


def new_token(call, user, company, seconds):
    account = call.store.get("accounts", user)
    if not account or (company and account["company"] != company):
        raise fail("user_id", id=user, **({"company": company} if company else {}))
    identity = identity_of(account)
    if identity.role != "system":
        seconds = seconds or THIRTY_DAYS
    moment = int(time.time())
    claims = {
        "auth_type": "Bearer",
        "identity": vars(identity),
        "entities": {},
        "iat": moment,
        "session_id": new_id(),
        "env": "<unknown>",
        "api_version": API_VERSION,
        "server_version": SERVER_VERSION,
        "server_build": "",
        "feature_set": "basic",
    }
    if seconds:
        claims["exp"] = moment + seconds
    return tokens.create(claims, call.server.config.token_secret)


def _protect(call):
    """Users of secure.credentials have exactly the pair of the configuration."""
    if call.user.strip("_") in call.server.config.internal_users:
        raise fail("user_id", "protected identity")


def _own_account(call):
    account = call.store.get("accounts", call.user)
    if not account:
        raise fail("user_id", id=call.user, company=call.company)
    return account


@endpoint("auth.login", fields={"expiration_sec": Int(maximum=ONE_YEAR)})
def login(call):
    token = new_token(call, call.user, call.company, call.req.expiration_sec)
    call.cookies[call.server.config.cookie_name] = token
    return {"token": token}


@endpoint("auth.logout", "2.2")
def logout(call):
    session = (call.token or {}).get("session_id")
    if session:
        moment = time.time()
        for old in call.store.all("revoked_sessions"):
            if old["until"] <= moment:
                call.store.delete("revoked_sessions", old["id"])
        call.store.put("revoked_sessions", {"id": session, "until": call.token.get("exp") or moment + THIRTY_DAYS})
    call.cookies[call.server.config.cookie_name] = None


@endpoint(
    "auth.get_token_for_user",
    roles=SYSTEM_ROLES,
    fields={"user": Str(required=True), "company": Str(), "expiration_sec": Int(maximum=ONE_YEAR)},
)
def get_token_for_user(call):
    return {"token": new_token(call, call.req.user, call.req.company, call.req.expiration_sec)}


@endpoint("auth.validate_token", roles=SYSTEM_ROLES, fields={"token": Str(required=True)})
def validate_token(call):
    try:
        claims = tokens.read(call.req.token, call.server.config.token_secret)
        person = claims["identity"]
    except tokens.TokenError as error:
        return {"msg": str(error), "valid": False}
    return {"company": person["company"], "user": person["user"], "valid": not _revoked(call, claims)}


@endpoint(
    "auth.create_user",
    roles=SYSTEM_ROLES,
    fields={
        "name": Str(required=True),
        "company": Str(required=True),
        "email": Str(required=True),
        "role": Str(choices=ROLES, default="user"),
        "family_name": Str(),
        "given_name": Str(),
        "avatar": Str(),
    },
)
def create_user(call):
    req = call.req
    if req.company != COMPANY:
        raise fail("invalid_id", company=req.company)
    if not _EMAIL.match(req.email):
        raise fail("data", email=f"Invalid email address: {req.email}")
    if any(account["email"] == req.email for account in call.store.all("accounts")):
        raise fail("unique", email=req.email)
    account = new_account(req.name, req.role or "user", req.email)
    call.store.put("accounts", account)
    put_user(call.store, account["id"], **call.sent("name", "family_name", "given_name", "avatar"), created_in_version=SERVER_VERSION)
    return {"id": account["id"]}


def new_account(name, role, email, key=None):
    return {"id": key or new_id(), "company": COMPANY, "name": name, "role": role, "email": email, "credentials": []}


def put_user(store, key, **values):
    """The person behind an account, which users.* shows."""
    store.put("users", {"id": key, "company": COMPANY, **values, "created": stored(now())})


def _random_key():
    return "".join(secrets.choice(string.ascii_uppercase + string.digits) for _ in range(30))


def _random_secret():
    """67 characters, as the recordings have it."""
    return secrets.token_urlsafe(51)[:67]


@endpoint("auth.create_credentials", fields={"label": Str()})
def create_credentials(call):
    _protect(call)
    account = _own_account(call)
    pair = {"key": _random_key(), "secret": _random_secret()}
    shown = {"access_key": pair["key"], "secret_key": pair["secret"]}
    if call.req.label is not None:
        pair["label"] = shown["label"] = call.req.label
    account["credentials"].append(pair)
    call.store.put("accounts", account)
    return {"credentials": shown}


@endpoint("auth.get_credentials")
def get_credentials(call):
    shown = []
    for pair in _own_account(call)["credentials"]:
        extra = {key: pair[key] for key in ("label", "last_used", "last_used_from") if pair.get(key) is not None}
        shown.append({"access_key": pair["key"], **extra})
    return {"credentials": shown}


@endpoint("auth.edit_credentials", "1.0", fields={"access_key": Str(required=True), "label": Str()})
def edit_credentials(call):
    account = _own_account(call)
    for pair in account["credentials"]:
        if pair["key"] == call.req.access_key:
            pair["label"] = call.req.label
            call.store.put("accounts", account)
            return {"updated": 1}
    raise fail("access_key", "invalid user or invalid access key", user=call.user, access_key=call.req.access_key, company=call.company)


@endpoint("auth.revoke_credentials", fields={"access_key": Str(required=True)})
def revoke_credentials(call):
    _protect(call)
    account, key = _own_account(call), call.req.access_key
    left = [pair for pair in account["credentials"] if pair["key"] != key]
    if len(left) == len(account["credentials"]):
        raise fail("user", "invalid user or invalid access key", id=call.user, company=call.company, credentials__key=key)
    account["credentials"] = left
    call.store.put("accounts", account)
    return {"revoked": 1}


@endpoint("auth.edit_user", roles=(*SYSTEM_ROLES, "admin"), fields={"user": Str(required=True), "role": Str(choices=COMPANY_ROLES)})
def edit_user(call):
    account, fields = call.store.get("accounts", call.req.user), call.sent("role")
    if not account:
        raise fail("user_id")
    changed = any(account[key] != value for key, value in fields.items())
    account.update(fields)
    call.store.put("accounts", account)
    return {"fields": fields, "updated": int(changed)}


@endpoint("auth.fixed_users_mode", authorize=False)
def fixed_users_mode(call):
    return {"enabled": call.server.config.fixed, "guest": {"enabled": False}, "server_errors": {}}


# --- the users of the configuration -----------------------------------------------------------------------------------


def set_up(store, config):
    """Bring the accounts of the configuration into the state, as the real server does at every start.

    Users of secure.credentials get exactly one pair; with fixed users some of them get none. A fixed user that is no
    longer configured loses access, because its name and password are not known any more.
    """
    with store:
        for name, wanted in config.internal_users.items():
            key = f"__{name}__"
            account = store.get("accounts", key) or new_account(name, wanted["role"], f"{name}@example.com", key)
            account["role"] = wanted["role"]
            revoked = config.fixed and wanted.get("revoke_in_fixed_mode")
            if not (wanted["key"] and wanted["secret"]) or revoked:
                account["credentials"] = []
            elif [(pair["key"], pair["secret"]) for pair in account["credentials"]] != [(wanted["key"], wanted["secret"])]:
                account["credentials"] = [{"key": wanted["key"], "secret": wanted["secret"]}]
            store.put("accounts", account)
            if wanted["role"] == "user" and not store.get("users", key):
                put_user(store, key, name=wanted["display_name"])
        for fixed in config.fixed_users:
            if not store.get("accounts", fixed["id"]):
                store.put("accounts", new_account(fixed["name"], "user", fixed["id"], fixed["id"]))
            if not store.get("users", fixed["id"]):
                given, _, family = fixed["name"].partition(" ")
                put_user(store, fixed["id"], name=fixed["name"], family_name=family, given_name=given, created_in_version=SERVER_VERSION)
