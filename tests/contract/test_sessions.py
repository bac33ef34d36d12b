# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The calls that SDK and agent made in whole sessions with the real server, in order, get the same answers."""

import json

import replay
from clearml_api.config import DEFAULTS
from server import Double, basic

ALICE = basic("alice", "alice-pw-1")
SESSIONS = replay.RECORDINGS / "agent-and-sdk-sessions.json"


def test_sessions():
    sessions = json.loads(SESSIONS.read_text(encoding="utf-8"))["sessions"]
    recorded, problems, played = replay.load(), [], 0
    with Double("fixed") as double:
        player = replay.Player(double, "fixed", recorded)
        files = DEFAULTS["secure"]["credentials"]["fileserver"]
        system = basic(files["user_key"], files["user_secret"])
        own = {
            "Basic": {"user(curl)": ALICE, "fileserver": system},
            "Bearer": {"fileserver": "Bearer " + double.call("auth.login", {}, system)["data"]["token"]},
        }
        token = "Bearer " + double.call("auth.login", {}, ALICE)["data"]["token"]
        for session in sessions:
            for call in session["calls"]:
                headers = dict(call["headers"])
                if call["auth"] == "Bearer":
                    headers["Authorization"] = own["Bearer"].get(call["caller"], token)
                elif call["auth"]:
                    headers["Authorization"] = own["Basic"].get(call["caller"]) or next(iter(player.pairs.values()))
                problem = player.play_call(call, headers, token.partition(" ")[2])
                played += 1
                if problem:
                    problems.append(f"{session['session'][:40]} {call['n']} {call['path']}: {problem}")
    assert not problems, f"{len(problems)} of {played}\n" + "\n".join(problems)
    assert played == 310
