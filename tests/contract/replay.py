# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Plays recorded exchanges against the double and compares the answers.

Ids, keys and dates differ from run to run: an id of a recording stands for the one that the double gave in the same
place, everywhere afterwards; dates must be dates of the same form. All else must be equal: status, result_code,
result_subcode, message, endpoint and versions, and the data, apart from the order of keys.
"""

import base64
import json
import re
import sys
import time
from collections import defaultdict
from pathlib import Path

from server import SYSTEM_KEY, basic

RECORDINGS = Path(__file__).resolve().parent / "recordings"
sys.path.insert(0, str(Path(__file__).resolve().parent.parent / "lab"))

from clearml_api.config import DEFAULTS  # noqa: E402

_ID = re.compile(r"\b(?:[0-9a-f]{32}|[0-9A-Z]{30})\b")
_DATE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.(?P<fraction>\d+))?(?P<zone>\+00:00|Z)?")
_CUT = re.compile(r"^(?P<start>(?:.|\n)*)\.\.\.<(?P<length>\d+) chars>$")
_CUT_LIST = re.compile(r"^\.\.\.<\d+ items>$")
_PASSWORDS = {"alice": "alice-pw-1", "bob": "bob-pw-2"}
_FIXED_IDS = {
    "d1bd92a3b039400cbafc60a7a5b1e52b",  # the company
    "ebd9c614fe1dfb0bcb4618861bd238fd",  # alice, bob, carol: made of their names
    "1c44282c289e4ad9bb1a55cb9c0e5a56",
    "fd7c34095ce300fb39dfef713571e0fe",
}
# what depends on how long something took
_MEASURED = (".active_duration", ".running_time")
# the key that alice makes first, and uses
OWN_KEY = "5YAMECMNA9KSAKR174XJ54UX0D3JPA"
# here every recorded API key is the system's
_SYSTEM_ONLY = {"auth.create_user", "auth.edit_user", "auth.get_token_for_user", "auth.validate_token"}
# answers whose lists have no order: they come from Redis keys and from sets
_UNORDERED = {"workers.get_all"}


def load():
    """{mode: {file: [(number in the file, exchange)]}}"""
    recorded = defaultdict(lambda: defaultdict(list))
    for path in sorted(RECORDINGS.glob("*.jsonl")):
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines()):
            exchange = json.loads(line)
            recorded[exchange["server"]][path.stem].append((number, exchange))
    return recorded


def _pair(user):
    wanted = DEFAULTS["secure"]["credentials"][user]
    return basic(wanted["user_key"], wanted["user_secret"])


class Player:
    """One server mode against one double. `results` has (file, number, note, problem or None) of all that was played."""

    def __init__(self, double, mode, recorded):
        self.double, self.mode = double, mode
        self._all, self._files = recorded, recorded[mode]
        self._next = defaultdict(int)
        self.results, self._ids = [], {key: key for key in (*_FIXED_IDS, SYSTEM_KEY)}
        for user in DEFAULTS["secure"]["credentials"].values():
            if user["user_key"]:
                self._ids[user["user_key"]] = user["user_key"]
        self._basic = basic("alice", _PASSWORDS["alice"]) if mode == "fixed" else _pair("tests")
        self.user = "ebd9c614fe1dfb0bcb4618861bd238fd" if mode == "fixed" else "__tests__"
        self._token = self._login()
        self._to_log_out = self._login()
        self._expired = double.call("auth.login", {"expiration_sec": 1}, self._basic)["data"]["token"]
        self._expires = time.monotonic() + 2
        self.pairs, self._key_token, self._new_token = {}, None, None

    def _login(self):
        return self.double.call("auth.login", {}, self._basic)["data"]["token"]

    # --- the recordings ---

    def recorded(self, file, note):
        return next(exchange for _, exchange in self._files[file] if exchange["note"] == note)

    def any_recorded(self, file, note):
        """That exchange of whichever mode has it."""
        return next(item for mode in self._all.values() for _, item in mode[file] if item["note"] == note)

    def is_recorded_answer(self, file, key):
        return any((exchange["data"] or {}).get("id") == key for _, exchange in self._files[file])

    @property
    def project(self):
        return self.recorded("projects.create", "ok")["data"]["id"]

    def left(self):
        """What has not been played."""
        return [(file, number) for file, items in self._files.items() for number, _ in items[self._next[file] :]]

    # --- playing ---

    def play(self, file, *last):
        """All exchanges of a file from where it stands, up to the last one with one of these notes; or all."""
        items, start = self._files[file], self._next[file]
        end = len(items)
        if last:
            end = max((n + 1 for n in range(start, len(items)) if items[n][1]["note"] in last), default=start)
        self._play_to(file, end)

    def play_to_answer(self, file, key):
        """Up to the exchange that answered with this id."""
        items = self._files[file]
        self._play_to(file, next(n for n, (_, item) in enumerate(items) if (item["data"] or {}).get("id") == key) + 1)

    def _play_to(self, file, end):
        while self._next[file] < end:
            number, exchange = self._files[file][self._next[file]]
            self._next[file] += 1
            self.results.append((file, number, exchange["note"], self._play(file, exchange)))

    def missing(self, file, note, body, creates=None):
        """The call that must have been made and is not recorded for this mode; nothing where it is."""
        if any(exchange["note"] == note for _, exchange in self._files[file]):
            return
        self.call(file, body, creates)

    def missing_events(self, file, note, task, shown):
        """Send the log lines that a recorded answer shows."""
        if any(exchange["note"] == note for _, exchange in self._files[file]):
            return
        names = ("type", "task", "level", "timestamp", "msg")
        lines = [json.dumps({name: self._mapped(event[name]) for name in names}) for event in shown["data"]["events"]]
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json-lines"}
        status, _, data = self.double.raw("POST", "/" + file, headers, "\n".join(lines))
        assert status == 200, data

    def call(self, endpoint, body, creates=None, who=None, refused=False):
        """A call that is not recorded. `creates` is the recorded id of what it makes, also as {mode: id}."""
        body = self._mapped(
            {key: value[self.mode] if isinstance(value, dict) and self.mode in value else value for key, value in body.items()}
        )
        envelope = self.double.call(endpoint, body, _pair("apiserver") if who == "system" else f"Bearer {self._token}")
        assert (envelope["meta"]["result_code"] == 200) is not refused, (endpoint, body, envelope["meta"])
        creates = creates.get(self.mode) if isinstance(creates, dict) else creates
        if creates:
            data = envelope["data"]
            pair = data.get("credentials")
            if pair:
                self.pairs[creates] = basic(pair["access_key"], pair["secret_key"])
            self._ids[creates] = pair["access_key"] if pair else data.get("id") or data["scroll_id"]

    def keep_token_of_key(self):
        """A token got by the key that is revoked later."""
        if self.pairs.get(OWN_KEY):
            self._key_token = self.double.call("auth.login", {}, self.pairs[OWN_KEY])["data"]["token"]

    def log_out(self):
        self.double.call("auth.logout", {}, f"Bearer {self._to_log_out}")

    # --- one exchange ---

    def _authorization(self, file, exchange):
        who, note = exchange["as"], exchange["note"]
        if who == "nobody":
            return None
        if who.startswith("raw "):
            return who[4:]
        if who.startswith("token of New"):
            return f"Bearer {self._token_of_new()}"
        if who.startswith("token of "):
            return f"Bearer {self._token_for(note)}"
        name = who.removeprefix("basic ")
        if name == "<api key>":
            return self._key_for(file, note)
        key, colon, password = name.partition(":")
        return basic(self._ids.get(key, key), password) if colon else "Basic " + base64.b64encode(name.encode()).decode()

    def _token_for(self, note):
        lower = note.lower()
        if "expired" in lower:
            self._wait_for_expiry()
            return self._expired
        if "tampered" in lower:  # two characters too many: the signature is no base64 any more
            return self._token + "xx"
        if "signature removed" in lower:
            return self._token.rpartition(".")[0] + "."
        if "logout" in lower:
            return self._to_log_out
        if "revoked since" in lower:
            return self._key_token
        return self._token

    def _wait_for_expiry(self):
        time.sleep(max(0, self._expires - time.monotonic()))

    def _token_of_new(self):
        if not self._new_token:
            key = next(exchange["data"]["id"] for _, exchange in self._files["auth.create_user"] if exchange["status"] == 200)
            envelope = self.double.call("auth.get_token_for_user", {"user": self._ids[key]}, _pair("apiserver"))
            self._new_token = envelope["data"]["token"]
        return self._new_token

    def _key_for(self, file, note):
        for user in ("webserver", "fileserver", "apiserver", "tests"):
            if f"'{user}'" in note:
                return _pair(user)
        if note == "user role":
            return _pair("tests")
        if "system" in note or "protected identity" in note or file in _SYSTEM_ONLY:
            return _pair("apiserver")
        return _pair("tests") if self.mode == "open" else self.pairs[OWN_KEY]

    def _body(self, exchange):
        request = exchange["request"]
        body, note = request["body"], exchange["note"].lower()
        if body is None:
            return None
        if isinstance(body, str):
            return self._mapped(_whole(body))
        body = self._mapped(body)
        if body.get("token") == "<jwt>":
            if "expired" in note:
                self._wait_for_expiry()
            body["token"] = self._expired if "expired" in note else self._to_log_out if "revoked" in note else self._token
        return json.dumps(body, ensure_ascii=False)

    def _play(self, file, exchange):
        """None, or what is wrong with the answer."""
        request = exchange["request"]
        headers = dict(request["headers"])
        authorization = self._authorization(file, exchange)
        if authorization is not None:
            headers["Authorization"] = authorization
        if "<jwt>" in headers.get("Cookie", ""):
            token = self._token_for(exchange["note"])
            headers["Cookie"] = headers["Cookie"].replace("<jwt>", token)
        if "X-ClearML-Impersonate-As" in headers:
            headers["X-ClearML-Impersonate-As"] = self._mapped(headers["X-ClearML-Impersonate-As"])
        body = self._body(exchange)
        path = request["path"]
        status, _, data = self.double.raw(request["method"], path, headers, body.encode() if body is not None else None)
        if status != exchange["status"]:
            return f"status {status}, not {exchange['status']}: {data[:300]!r}"
        if exchange["data"] is None:
            return None
        envelope = json.loads(data)
        meta, wanted = envelope["meta"], exchange["result"]
        for name in ("result_code", "result_subcode", "endpoint"):
            if meta[name] != wanted[name]:
                return f"{name} {meta[name]!r}, not {wanted[name]!r} ({meta['result_msg']})"
        if "x-clearml-trx" in {name.lower() for name in headers} and meta["trx"] != headers["X-ClearML-Trx"]:
            return f"trx {meta['trx']!r}"
        problem = self._differs(wanted["result_msg"], meta["result_msg"], "result_msg")
        if problem is None and file in _UNORDERED:
            self._sort_workers(exchange["data"], envelope["data"])
        problem = problem or self._differs(exchange["data"], envelope["data"], "data")
        if problem is None:
            self._learn_pair(exchange, envelope)
        return problem

    def play_call(self, call, headers, token):
        """One call of a recorded session; None, or what is wrong with the answer."""
        body = self._mapped(call["body"])
        if isinstance(body, dict) and "only_fields" in body:
            body["only_fields"] = [name for name in body["only_fields"] if not _CUT_LIST.match(name)]
        if isinstance(body, dict) and str(body.get("token", "")).startswith("<jwt>"):
            body["token"] = token
        text = None
        if call["body_kind"] == "json-lines":
            headers = {**headers, "Content-Type": "application/json-lines"}
            text = "\n".join(map(json.dumps, body))
        elif call["body_kind"]:
            headers = {**headers, "Content-Type": "application/json"}
            text = json.dumps(body)
        status, _, data = self.double.raw(call["method"], call["path"], headers, text)
        envelope = json.loads(data)
        got = (status, envelope["meta"]["result_subcode"])
        if got != (call["status"], call["result_subcode"]):
            return f"{got}, not {call['status']}/{call['result_subcode']}: {envelope['meta']['result_msg']}"
        problem = self._differs(call["result_msg"], envelope["meta"]["result_msg"], "result_msg")
        problem = problem or self._differs(call["data"], envelope["data"], "data")
        if problem is None:
            self._learn_pair(call, envelope)
        return problem

    @staticmethod
    def _sort_workers(*answers):
        for answer in answers:
            answer.get("workers", []).sort(key=lambda worker: (worker["user"]["name"], worker["id"]))

    def _learn_pair(self, exchange, envelope):
        credentials = (exchange["data"] or {}).get("credentials")
        if isinstance(credentials, dict):
            own = envelope["data"]["credentials"]
            self.pairs[credentials["access_key"]] = basic(own["access_key"], own["secret_key"])

    # --- comparing ---

    def _mapped(self, value):
        """A recorded value with the double's ids."""
        if isinstance(value, str):
            return _ID.sub(lambda match: self._ids.get(match[0], match[0]), _whole(value))
        if isinstance(value, list):
            return [self._mapped(item[self.mode] if isinstance(item, dict) and set(item) == {"fixed", "open"} else item) for item in value]
        if isinstance(value, dict):
            return {key: self._mapped(item) for key, item in value.items()}
        return value

    def _differs(self, wanted, got, where):
        if isinstance(wanted, dict) and isinstance(got, dict):
            if ".last_metrics." in where:  # the recorded server had no aggregations to make the rest of it
                got = {key: got[key] for key in wanted if key in got}
            if set(wanted) != set(got):
                return f"{where}: lacks {sorted(set(wanted) - set(got))}, has also {sorted(set(got) - set(wanted))}"
            return next((found for key in wanted if (found := self._differs(wanted[key], got[key], f"{where}.{key}"))), None)
        if where.endswith(".unique_metrics") and wanted == []:  # made by those aggregations as well
            return None
        if isinstance(wanted, list) and isinstance(got, list):
            if len(wanted) != len(got):
                return f"{where}: {len(got)} items, not {len(wanted)}: {json.dumps(got)[:300]}"
            pairs = enumerate(zip(wanted, got, strict=True))
            return next((found for n, (one, other) in pairs if (found := self._differs(one, other, f"{where}[{n}]"))), None)
        if isinstance(wanted, str) and isinstance(got, str):
            return self._text_differs(wanted, got, where)
        if where.endswith(_MEASURED):
            return None if isinstance(got, int) else f"{where}: {got!r}"
        if wanted != got or type(wanted) is not type(got):
            return f"{where}: {got!r}, not {wanted!r}"
        return None

    def _text_differs(self, wanted, got, where):
        if wanted.startswith("<jwt>"):
            return None if got.count(".") == 2 else f"{where}: no token: {got!r}"
        if where.endswith(".secret_key") and "<" not in wanted:
            wanted = f"<secret of {len(wanted)} characters>"
        secret = re.fullmatch(r"<secret of (\d+) characters>", wanted)
        if secret:
            return None if len(got) == int(secret[1]) else f"{where}: {len(got)} characters, not {secret[1]}"
        cut = _CUT.match(wanted)
        if cut:
            fits = got.startswith(cut["start"]) and len(got) == int(cut["length"])
            return None if fits else f"{where}: {got[:120]!r} of {len(got)} characters, not {wanted[:120]!r}"
        for theirs, ours in zip(_ID.findall(wanted), _ID.findall(got), strict=False):
            if theirs not in self._ids and ours not in self._ids.values():
                self._ids[theirs] = ours
        plain = _ID.sub(lambda match: self._ids.get(match[0], match[0]), wanted)
        if _DATE.sub(_form_of_date, plain) != _DATE.sub(_form_of_date, got):
            return f"{where}: {got[:300]!r}, not {plain[:300]!r}"
        for theirs, ours in zip(_DATE.finditer(wanted), _DATE.finditer(got), strict=True):
            if (theirs["fraction"] or "").endswith("000") and not ours["fraction"].endswith("000"):
                return f"{where}: {ours[0]} has microseconds, not milliseconds"
        return None


def _form_of_date(match):
    """Dates are equal when they are written alike."""
    return f"<date {len(match['fraction'] or '')} {match['zone']}>"


def _whole(text):
    """A text that the recorder cut, at its full length."""
    cut = _CUT.match(text)
    if not cut:
        return text
    start = cut["start"]
    return start + start[-1] * (int(cut["length"]) - len(start))
