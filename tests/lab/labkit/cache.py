# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Things that take long to build, kept outside the checkout under a name made of what they are built from."""

from __future__ import annotations

import contextlib
import fcntl
import glob
import hashlib
import os
import pathlib
import shutil
import sys
import time
from collections.abc import Callable, Iterable, Iterator

KEPT_DAYS = 14


def cache_dir() -> pathlib.Path:
    """``$XDG_CACHE_HOME/homelab-mlops`` (default ``~/.cache/homelab-mlops``), made when absent."""
    base = os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache"
    folder = pathlib.Path(base) / "homelab-mlops"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def key_of(paths: Iterable[pathlib.Path], extra: object = "") -> str:
    """Twelve hexadecimal digits over the content of files, the files of folders, and ``extra`` (by its ``repr``).

    Raises:
        FileNotFoundError: a path does not exist.
    """
    digest = hashlib.sha256(repr(extra).encode())
    for path in paths:
        path = pathlib.Path(path)
        files = sorted(path.rglob("*")) if path.is_dir() else [path]
        for file in files:
            if "__pycache__" in file.parts or file.is_dir():
                continue
            name = file.relative_to(path) if path.is_dir() else path.name
            digest.update(f"\0{name}\0{file.stat().st_mode & 0o111:o}\0".encode())
            digest.update(file.read_bytes())
    return digest.hexdigest()[:12]


@contextlib.contextmanager
def locked(name: str) -> Iterator[None]:
    """Hold the machine-wide lock ``name``; waits for whoever holds it and says so."""
    folder = cache_dir() / "locks"
    folder.mkdir(exist_ok=True)
    with open(folder / name, "w", encoding="utf-8") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            print(f"   waiting for another process that holds {name}", file=sys.stderr, flush=True)
            fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def ensure(kind: str, key: str, build: Callable[[pathlib.Path], None], label: str = "") -> pathlib.Path:
    """The cached file or folder ``kind/key``, built first when absent.

    Args:
        kind: folder in the cache: ``bin``, ``images`` or ``rootfs``.
        key: name of the entry; must change with everything the entry is made of.
        build: makes the entry at the path it is given, as a file or as a folder.
        label: what the progress lines call it; default ``kind/key``.
    """
    path = cache_dir() / kind / key
    if path.exists():
        os.utime(path)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    with locked(f"{kind}-{key}"):
        if path.exists():
            return path
        unfinished = path.with_name(f".{key}.{os.getpid()}")
        print(f"   building {label or f'{kind}/{key}'} …", file=sys.stderr, flush=True)
        started = time.monotonic()
        try:
            build(unfinished)
            os.replace(unfinished, path)
        finally:
            if unfinished.is_dir():
                shutil.rmtree(unfinished)
            else:
                unfinished.unlink(missing_ok=True)
        print(f"   built {label or f'{kind}/{key}'} in {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    _prune(path)
    return path


def _prune(newest: pathlib.Path) -> None:
    """Remove older builds of the same thing that nobody used for KEPT_DAYS. Labs hold links of their own to what they serve."""
    stem = newest.name.rpartition("-")[0]
    for other in newest.parent.glob(f"{glob.escape(stem)}-*") if stem else ():
        same = other != newest and other.name.rpartition("-")[0] == stem
        if same and time.time() - other.stat().st_mtime > KEPT_DAYS * 86400:
            print(f"   removing {other.name} from the cache, unused for {KEPT_DAYS} days", file=sys.stderr, flush=True)
            if other.is_dir():
                shutil.rmtree(other)
            else:
                other.unlink()
