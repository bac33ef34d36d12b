# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The runner of the checks: its table, its verdicts, and what it leaves behind."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import run_parts


def test_the_table_gives_budget_and_labs():
    table = run_parts.read_table("| part | budget |\n|---|---|\n| `unit` | 1.5 | - | x |\n| `e2e` | 15 | `e2e`, `more` | y |\n")
    assert table == {"unit": run_parts.Part("unit", 90.0, ()), "e2e": run_parts.Part("e2e", 900.0, ("e2e", "more"))}


def test_a_part_named_twice_is_refused():
    with pytest.raises(run_parts.TableError, match="two rows for unit"):
        run_parts.read_table("| `unit` | 1 | - | x |\n| `unit` | 2 | - | y |\n")


def test_every_part_of_make_test_has_a_budget():
    makefile = (run_parts.ROOT / "Makefile").read_text(encoding="utf-8")
    parts = next(line for line in makefile.splitlines() if line.startswith("PARTS :=")).split()[2:]
    table = run_parts.read_table(run_parts.TABLE.read_text(encoding="utf-8"))
    assert set(parts) <= set(table)
    assert sum(table[part].budget for part in parts) <= 90 * 60


@pytest.mark.parametrize(("program", "outcome"), [("raise SystemExit(0)", "passed"), ("raise SystemExit(3)", "failed")])
def test_the_exit_status_decides(tmp_path, program, outcome):
    seconds, got = run_parts.Runner().run("try", [sys.executable, "-c", program], tmp_path / "log", limit=30)
    assert got == outcome
    assert seconds < 30


def test_what_a_part_says_is_kept_in_its_log(tmp_path, capfd):
    run_parts.Runner().run("try", [sys.executable, "-c", "print('hello')"], tmp_path / "log", limit=30)
    assert (tmp_path / "log").read_text() == "hello\n"
    assert "hello\n" in capfd.readouterr().out


def test_a_part_over_its_limit_is_ended_with_its_children(tmp_path):
    program = f"""
import pathlib, subprocess, sys, time
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
pathlib.Path({str(tmp_path / "pid")!r}).write_text(str(child.pid))
time.sleep(600)
"""
    started = time.monotonic()
    _seconds, outcome = run_parts.Runner(grace=5).run("try", [sys.executable, "-c", program], tmp_path / "log", limit=1)
    assert outcome == "timed out"
    assert time.monotonic() - started < 60
    child = int((tmp_path / "pid").read_text())
    with pytest.raises(ProcessLookupError):
        for _attempt in range(50):
            os.kill(child, 0)
            if Path(f"/proc/{child}/stat").read_text(encoding="utf-8").split()[2] == "Z":
                raise ProcessLookupError
            time.sleep(0.1)


def test_the_last_line_counts_a_part_that_was_not_run_as_failed():
    part = run_parts.Part("unit", 60, None)
    text = run_parts.summary([run_parts.Result(part, 90, "passed")], [run_parts.Part("e2e", 60, "e2e")])
    assert text.splitlines()[-1] == "1 passed, 1 failed"
    assert "(over budget)" in text
    assert "not run" in text


def test_an_unknown_part_is_one_line_with_the_fix():
    done = subprocess.run([sys.executable, run_parts.__file__, "nosuch"], capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert done.stderr.strip() == "TESTING.md: no row in the table of parts for nosuch: add one with its budget in minutes"
