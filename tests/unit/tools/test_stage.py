# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The staged copy holds what git tracks or would track, and nothing that is gone."""

import subprocess

import pytest
import stage


@pytest.fixture
def tree(tmp_path):
    root = tmp_path / "tree"
    (root / "roles").mkdir(parents=True)
    (root / "roles" / "a.yml").write_text("a")
    (root / "script").write_text("#!/bin/sh\n")
    (root / "script").chmod(0o755)
    (root / ".gitignore").write_text("ignored\n")
    (root / "ignored").write_text("x")
    subprocess.run(["git", "init", "-q", root], check=True)
    return root


def test_untracked_files_travel_and_ignored_ones_do_not(tree, tmp_path):
    target = tmp_path / "stage"
    assert stage.stage(tree, target) == (3, 3, 0)
    assert sorted(str(path.relative_to(target)) for path in target.rglob("*") if path.is_file()) == [".gitignore", "roles/a.yml", "script"]
    assert (target / "script").stat().st_mode & 0o111


def test_a_second_run_copies_nothing_and_a_removed_file_goes(tree, tmp_path):
    target = tmp_path / "stage"
    stage.stage(tree, target)
    before = (target / "script").stat().st_mtime_ns
    (tree / "roles" / "a.yml").unlink()
    assert stage.stage(tree, target) == (2, 0, 1)
    assert not (target / "roles").exists()
    assert (target / "script").stat().st_mtime_ns == before


def test_what_tools_made_in_the_copy_stays(tree, tmp_path):
    target = tmp_path / "stage"
    stage.stage(tree, target)
    (target / "tests" / "output").mkdir(parents=True)
    (target / "tests" / "output" / "junit.xml").write_text("x")
    stage.stage(tree, target)
    assert (target / "tests" / "output" / "junit.xml").exists()
