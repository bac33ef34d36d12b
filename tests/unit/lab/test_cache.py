# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is built once stays, and what nobody uses any more goes."""

import os
import time

import pytest
from labkit import cache

OLD = time.time() - (cache.KEPT_DAYS + 1) * 86400


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    return tmp_path / "homelab-mlops" / "bin"


def built(key):
    return cache.ensure("bin", key, lambda path: path.write_text(key))


def test_a_thing_is_built_once():
    first = built("helm-0123456789ab")
    first.write_text("kept")
    assert built("helm-0123456789ab").read_text() == "kept"


def test_a_build_that_fails_leaves_nothing(folder):
    def fail(path):
        path.mkdir()
        raise OSError("no space")

    with pytest.raises(OSError, match="no space"):
        cache.ensure("bin", "helm-0123456789ab", fail)
    assert list(folder.iterdir()) == []


def test_a_new_build_removes_old_ones_of_the_same_thing_only(folder):
    for key in ("helm-000000000001", "helm-000000000002", "helm-extra-000000000003", "k3s-000000000004"):
        os.utime(built(key), (OLD, OLD))
    built("helm-000000000002")  # used again
    built("helm-000000000005")
    assert sorted(path.name for path in folder.iterdir()) == [
        "helm-000000000002",
        "helm-000000000005",
        "helm-extra-000000000003",
        "k3s-000000000004",
    ]
