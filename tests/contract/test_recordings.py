# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The double answers as the real server did: every recorded exchange, in order, in both server modes."""

import sys
from pathlib import Path

import order
import pytest
import replay
import yaml
from server import Double

UNANSWERED = Path(__file__).resolve().parent / "unanswered.yml"


@pytest.fixture(scope="module")
def played():
    """{mode: Player} after everything has been played."""
    recorded, players = replay.load(), {}
    for mode in ("fixed", "open"):
        with Double(mode) as double:
            players[mode] = replay.Player(double, mode, recorded)
            order.play_all(players[mode])
    return players


def test_every_exchange_is_played_once(played):
    for player in played.values():
        assert player.left() == []
    assert sum(len(player.results) for player in played.values()) == 624


def test_answers(played, capsys):
    """Only what unanswered.yml lists, with its reason, may differ; and what it lists must differ."""
    listed = {(item["file"], item["number"]) for item in yaml.safe_load(UNANSWERED.read_text(encoding="utf-8")) or ()}
    wrong = {}
    total = 0
    for player in played.values():
        for file, number, note, problem in player.results:
            total += 1
            if problem:
                wrong[file, number] = f"{file}.jsonl:{number + 1} ({player.mode}, {note}): {problem}"
    with capsys.disabled():
        print(f"\n{total - len(wrong)} of {total} recorded exchanges answered", file=sys.stderr)  # a worker of xdist has no other output
    surprising = [text for key, text in sorted(wrong.items()) if key not in listed]
    assert not surprising, "\n" + "\n".join(surprising)
    assert set(wrong) == listed, f"answered although listed: {sorted(listed - set(wrong))}"
