# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench``: what a run costs, as a ratio to the least that Ansible can do over the same hosts in the same minutes.

Pairs are run in turn (A B A B ...), so that a slow moment of the machine falls on both. The figures go to the terminal
and to ``.build/bench/results.json``; nothing here passes or fails by time.
"""

from __future__ import annotations

import datetime
import json
import os
import statistics
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "end_to_end"))

from session import Session

ROUNDS = 3


def measure(session: Session) -> dict[str, float]:
    """Seconds of the first installation, and the medians of the paired runs with their ratio.

    Raises:
        RuntimeError: a run failed, or the run that should change nothing changed something.
    """
    install = session.playbook("site", quiet=True)
    if install.rc:
        raise RuntimeError(f"the installation failed:\n{install.output[-4000:]}")
    again, floor = [], []
    for number in range(ROUNDS):
        run = session.playbook("site", quiet=True)
        if run.rc or run.changed:
            raise RuntimeError(f"run {number + 1} was to change nothing:\n{run.output[-4000:]}")
        again.append(run.seconds)
        floor.append(session.playbook(str(Path(__file__).with_name("floor.yml")), quiet=True).seconds)
        print(f"round {number + 1} of {ROUNDS}: site.yml without changes {again[-1]:.1f} s, floor {floor[-1]:.1f} s", flush=True)
    return {
        "install_seconds": round(install.seconds, 1),
        "no_change_seconds": round(statistics.median(again), 1),
        "floor_seconds": round(statistics.median(floor), 1),
        "no_change_to_floor": round(statistics.median(again) / statistics.median(floor), 2),
    }


def main() -> int:
    """Entry point; keeps the lab when ``BENCH_KEEP`` is set."""
    session = Session("bench")
    session.lab("down")
    session.lab("up", "--topology", "demo")
    try:
        figures = measure(session)
    finally:
        if not os.environ.get("BENCH_KEEP"):
            session.lab("down")
    result = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count(), "hosts": 4, **figures}
    folder = ROOT / ".build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "results.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    for name, value in result.items():
        print(f"{name:<20} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
