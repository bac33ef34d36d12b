# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""roles/homelab/files/venv_faults.py on a package that lies in a folder as pip leaves it."""

from __future__ import annotations

import importlib.util
import pathlib

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[3]


@pytest.fixture
def faults():
    spec = importlib.util.spec_from_file_location("venv_faults", ROOT / "roles/homelab/files/venv_faults.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.main


@pytest.fixture
def installed(tmp_path, monkeypatch):
    """A folder on the path with package ``some-thing`` 1.2 in it."""
    folder = tmp_path / "site"
    (folder / "some_thing").mkdir(parents=True)
    (folder / "some_thing/__init__.py").write_text("one = 1\n")
    info = folder / "some_thing-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-thing\nVersion: 1.2\n")
    (info / "RECORD").write_text(
        "some_thing/__init__.py,sha256=x,8\nsome_thing/__pycache__/__init__.cpython-311.pyc,,\nsome_thing-1.2.dist-info/RECORD,,\n"
    )
    monkeypatch.syspath_prepend(folder)
    return folder


def pins(tmp_path, text):
    path = tmp_path / "requirements.txt"
    path.write_text(text)
    return str(path)


def test_a_whole_environment_has_no_faults(faults, installed, tmp_path, capsys):
    text = 'some-thing==1.2 \\\n    --hash=sha256:00\nother==3.0 ; python_version < "3.0" \\\n    --hash=sha256:00\n'
    assert faults(pins(tmp_path, text)) == 0
    assert capsys.readouterr().out == "\n"


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (lambda folder: (folder / "some_thing/__init__.py").unlink(), "some-thing lacks some_thing/__init__.py"),
        (lambda folder: (folder / "some_thing/__init__.py").write_text(""), "some-thing has another some_thing/__init__.py"),
        (lambda folder: (folder / "some_thing-1.2.dist-info/RECORD").unlink(), "some-thing has no list of its files"),
        (lambda folder: (folder / "some_thing-1.2.dist-info").rename(folder / "gone"), "some-thing is not installed"),
    ],
)
def test_each_damage_is_named(faults, installed, tmp_path, capsys, damage, said):
    damage(installed)
    assert faults(pins(tmp_path, "some-thing==1.2\n")) == 1
    assert capsys.readouterr().out == said + "\n"


def test_another_version_and_an_empty_list_are_faults(faults, installed, tmp_path, capsys):
    assert faults(pins(tmp_path, "some-thing==1.3\n")) == 1
    assert "some-thing is 1.2 instead of 1.3" in capsys.readouterr().out
    assert faults(pins(tmp_path, "# nothing\n")) == 1
