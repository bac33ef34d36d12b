#!/usr/bin/env python3
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs parts of the checks one after another, each under its budget, and sums them up.

A part NAME is the make target ``part-NAME``; its budget in minutes and the labs it owns stand in the table of TESTING.md.
A part that goes over its budget is marked; one that takes LIMIT_FACTOR times as long is ended and has failed. All parts
run, also after one failed. Exit status: 0 when every part passed, 1 when one failed, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import queue
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
TABLE = ROOT / "TESTING.md"
LOGS = ROOT / ".build" / "logs"
LAB = ROOT / "tests" / "lab" / "bin" / "lab"

LIMIT_FACTOR = 2.0
HEARTBEAT_SECONDS = 30.0
# What an interrupted part gets to take its lab down before it is ended for good.
GRACE_SECONDS = 90.0

_ROW = re.compile(r"^\| `(?P<name>[a-z0-9_-]+)` \| (?P<minutes>[0-9.]+) \| (?P<labs>`[a-z0-9-]+`(?:, `[a-z0-9-]+`)*|-) \|")


class TableError(Exception):
    """TESTING.md holds no usable row for a part."""


@dataclasses.dataclass(frozen=True)
class Part:
    """One row of the table: name, budget in seconds, names of the labs that it owns."""

    name: str
    budget: float
    labs: tuple[str, ...]


@dataclasses.dataclass
class Result:
    """How a part went: seconds used and one of passed, failed, timed out, interrupted."""

    part: Part
    seconds: float
    outcome: str

    @property
    def passed(self) -> bool:
        return self.outcome == "passed"


def read_table(text: str) -> dict[str, Part]:
    """The parts by name from the rows ``| `name` | minutes | `lab`, `lab` or - | ...``; TableError for a name that is there twice."""
    parts: dict[str, Part] = {}
    for line in text.splitlines():
        match = _ROW.match(line)
        if match:
            name = match["name"]
            if name in parts:
                raise TableError(f"TESTING.md: two rows for {name}: keep one")
            parts[name] = Part(name, float(match["minutes"]) * 60, tuple(re.findall("`(.*?)`", match["labs"])))
    return parts


def span(seconds: float) -> str:
    """``7 s``, ``3 min 05 s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest:02d} s" if minutes else f"{rest} s"


class Runner:
    """Runs commands in their own process groups, so that Ctrl-C reaches them once and in order."""

    def __init__(self, heartbeat: float = HEARTBEAT_SECONDS, grace: float = GRACE_SECONDS) -> None:
        self.heartbeat = heartbeat
        self.grace = grace
        self.interrupted = False

    def run(self, name: str, argv: list[str], log: Path, limit: float | None) -> tuple[float, str]:
        """Runs `argv` with its output on ours and in `log`; returns (seconds, outcome). `limit` is in seconds."""
        log.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        lines: queue.Queue[str | None] = queue.Queue()
        with open(log, "w", encoding="utf-8") as record:
            process = subprocess.Popen(
                argv,
                cwd=ROOT,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
                start_new_session=True,
            )
            threading.Thread(target=self._read, args=(process, lines), daemon=True).start()
            outcome = self._follow(name, process, lines, record, started, limit)
        return time.monotonic() - started, outcome

    @staticmethod
    def _read(process: subprocess.Popen, lines: queue.Queue) -> None:
        for line in process.stdout:
            lines.put(line)
        lines.put(None)

    def _follow(self, name, process, lines, record, started, limit) -> str:
        last, spoke = "", time.monotonic()
        verdict = None
        asked_at = killed = None
        while True:
            try:
                line = lines.get(timeout=0.5)
            except queue.Empty:
                line = ""
                # Something that the part left behind may hold the pipe open; the part itself is over.
                if process.poll() is not None and time.monotonic() - spoke > 5:
                    line = None
            except KeyboardInterrupt:
                self.interrupted, verdict, line = True, "interrupted", ""
            if line is None:
                break
            now = time.monotonic()
            if line:
                sys.stdout.write(line)
                sys.stdout.flush()
                record.write(line)
                record.flush()
                last, spoke = line.strip() or last, now
            elif now - spoke >= self.heartbeat:
                print(f"[{name}] {span(now - started)} so far; last said: {last[:100] or 'nothing yet'}", flush=True)
                spoke = now
            if limit is not None and verdict is None and now - started > limit:
                verdict = "timed out"
                print(f"[{name}] over its limit of {span(limit)}: ending it", flush=True)
            if verdict and asked_at is None:
                asked_at = now
                self._signal(process, signal.SIGINT)
            if asked_at is not None and not killed and now - asked_at > self.grace:
                killed = True
                self._signal(process, signal.SIGKILL)
        try:
            code = process.wait(timeout=self.grace)
        except (KeyboardInterrupt, subprocess.TimeoutExpired):
            self._signal(process, signal.SIGKILL)
            code = process.wait()
        return verdict or ("passed" if code == 0 else "failed")

    @staticmethod
    def _signal(process: subprocess.Popen, number: int) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)


def labs_down(names: list[str]) -> bool:
    """Takes the named labs down, whatever state they are in; returns whether all of them are gone."""
    fine = True
    if LAB.exists():
        for name in names:
            fine = subprocess.run([str(LAB), "down", "--name", name], cwd=ROOT, stdin=subprocess.DEVNULL).returncode == 0 and fine
    return fine


def labs_of_checkout() -> list[str]:
    """Names of the labs that this checkout keeps state of."""
    folder = ROOT / ".build" / "lab"
    return sorted(path.name for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []


def summary(results: list[Result], skipped: list[Part]) -> str:
    """The table at the end, and the one line that CI reads: ``N passed, N failed``."""
    rows = [("part", "budget min", "used min", "result")]
    for result in results:
        late = " (over budget)" if result.passed and result.seconds > result.part.budget else ""
        rows.append((result.part.name, f"{result.part.budget / 60:g}", f"{result.seconds / 60:.1f}", result.outcome + late))
    rows += [(part.name, f"{part.budget / 60:g}", "-", "not run") for part in skipped]
    budget = sum(result.part.budget for result in results) / 60
    rows.append(("all", f"{budget:g}", f"{sum(result.seconds for result in results) / 60:.1f}", ""))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "  ".join("-" * width for width in widths))
    failed = sum(not result.passed for result in results) + len(skipped)
    return "\n".join([*lines, "", f"{sum(result.passed for result in results)} passed, {failed} failed"])


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", help="part to run; with none and --clean-up, only the labs of this checkout are taken down")
    parser.add_argument("--clean-up", action="store_true", help="take the parts' labs down before and after")
    parser.add_argument("--no-limit", action="store_true", help="never end a part for taking long")
    options = parser.parse_args(argv)

    if not options.part:
        return 0 if not options.clean_up or labs_down(labs_of_checkout()) else 1
    table = read_table(TABLE.read_text(encoding="utf-8"))
    absent = [name for name in options.part if name not in table]
    if absent:
        raise TableError(f"TESTING.md: no row in the table of parts for {', '.join(absent)}: add one with its budget in minutes")
    parts = [table[name] for name in options.part]
    labs = sorted({lab for part in parts for lab in part.labs})

    signal.signal(signal.SIGTERM, signal.default_int_handler)
    runner = Runner()
    results: list[Result] = []
    try:
        if options.clean_up:
            labs_down(labs)
        for part in parts:
            print(f"\n=== {part.name} (budget {part.budget / 60:g} min) ===", flush=True)
            limit = None if options.no_limit else part.budget * LIMIT_FACTOR
            seconds, outcome = runner.run(part.name, ["make", f"part-{part.name}"], LOGS / f"{part.name}.log", limit)
            results.append(Result(part, seconds, outcome))
            print(f"=== {part.name}: {outcome} in {span(seconds)} ===", flush=True)
            if runner.interrupted:
                break
    except KeyboardInterrupt:
        runner.interrupted = True
    finally:
        if options.clean_up:
            labs_down(labs)
    if len(parts) > 1 or not all(result.passed for result in results) or runner.interrupted:
        print(f"\n{summary(results, parts[len(results) :])}", flush=True)
    else:
        print(f"\n1 passed, 0 failed ({part.name}: {results[0].seconds / 60:.1f} of {part.budget / 60:g} min)", flush=True)
    if runner.interrupted:
        return 130
    return 0 if len(results) == len(parts) and all(result.passed for result in results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except TableError as error:
        sys.exit(str(error))
