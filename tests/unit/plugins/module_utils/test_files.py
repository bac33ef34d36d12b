# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a module may replace by a file."""

from __future__ import annotations

import os
import socket

import pytest
from ansible_collections.homelab.mlops.plugins.module_utils.files import NotAnOrdinaryFile, ordinary


@pytest.fixture
def path(tmp_path, monkeypatch):
    """A path that is free; short, as a socket's has to be."""
    monkeypatch.chdir(tmp_path)
    return "file"


def test_a_file_and_a_link_to_one(path):
    assert ordinary(path) is False
    with open(path, "w", encoding="utf-8"):
        assert ordinary(path) is True
    os.symlink(path, "link")
    assert ordinary("link") is True
    os.unlink(path)
    assert ordinary("link") is False


def bound(path):
    with socket.socket(socket.AF_UNIX) as one:
        one.bind(path)


@pytest.mark.parametrize(("make", "kind"), [(os.mkdir, "a directory"), (os.mkfifo, "a named pipe"), (bound, "a socket")])
def test_anything_else(path, make, kind):
    make(path)
    os.symlink(path, "link")
    for name in (path, "link"):
        with pytest.raises(NotAnOrdinaryFile, match="^%s is %s, not an ordinary file, and is left alone" % (name, kind)):
            ordinary(name)


def test_a_path_that_cannot_be_looked_at(path):
    with open(path, "w", encoding="utf-8"), pytest.raises(NotADirectoryError):
        ordinary(path + "/below")
