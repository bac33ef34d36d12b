# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How unit_info tells what a unit started with from what is on disk, and what it shows of a journal."""

from __future__ import annotations

import hashlib

import pytest
from ansible_collections.homelab.mlops.plugins.modules import unit_info


def record(*paths):
    return {str(path): hashlib.sha256(path.read_bytes()).hexdigest() for path in paths}


def test_the_record_is_what_sha256sum_writes(tmp_path):
    file = tmp_path / "config"
    file.write_text("one")
    digest = hashlib.sha256(b"one").hexdigest()
    assert unit_info.record_of(f"{digest}  {file}\nsha256sum: /none: No such file\n") == {str(file): digest}
    assert unit_info.checksum_of(str(file)) == digest


@pytest.mark.parametrize(
    ("now", "known", "reason"),
    [
        (b"one", True, None),
        (b"two", True, "changed since it started"),
        (None, True, "is gone since it started"),
        (b"one", False, "is new since it started"),
        (None, False, None),
    ],
)
def test_differences(tmp_path, now, known, reason):
    file = tmp_path / "config"
    file.write_bytes(b"one")
    then = record(file) if known else {}
    if now is None:
        file.unlink()
    else:
        file.write_bytes(now)
    assert unit_info.differences(then, [str(file)]) == ([f"{file} {reason}"] if reason else [])


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("token K10abcdef0123456789::server:s3cret refused", "token K10abcdef01**** refused"),
        ('level=info msg="x" token=abc other=1', 'level=info msg="x" token=**** other=1'),
        ('{"password": "abc"}', '{"password": "****"}'),
        ("token CA hash does not match", "token CA hash does not match"),
        ("/etc/token: No such file", "/etc/token: No such file"),
    ],
)
def test_tokens_in_journals_are_masked(line, shown):
    assert unit_info.masked(line) == shown
