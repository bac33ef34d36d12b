# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A real Redis for the tests: Debian's packages, unpacked into the cache and run from there."""

import os
import shutil
import socket
import subprocess
import time
from pathlib import Path

from labkit import cache

PACKAGES = ("redis-tools", "liblua5.1-0", "lua-bitop", "lua-cjson", "libjemalloc2", "liblzf1")


def _unpack(folder):
    packages = folder.with_name(folder.name + ".packages")
    packages.mkdir()
    try:
        subprocess.run(["apt-get", "download", "-q", *PACKAGES], cwd=packages, check=True, capture_output=True)
        for package in packages.glob("*.deb"):
            subprocess.run(["dpkg-deb", "-x", str(package), str(folder)], check=True)
    finally:
        shutil.rmtree(packages)


class Redis:
    """A server with an append-only file in `folder`; `stop` and `start` as often as wanted."""

    def __init__(self, folder):
        self._root = cache.ensure("rootfs", f"redis-{cache.key_of((), PACKAGES)}", _unpack, "Redis for the contract test")
        self._folder, self._process = Path(folder), None
        self._folder.mkdir(exist_ok=True)
        with socket.create_server(("127.0.0.1", 0)) as probe:
            self.port = probe.getsockname()[1]

    def start(self):
        libraries = ":".join(str(path) for path in (self._root / "usr/lib").glob("*-linux-gnu*"))
        program = self._root / "usr/bin/redis-check-rdb"  # the same program as redis-server, by its name
        server = self._folder / "redis-server"
        if not server.exists():
            server.symlink_to(program)
        arguments = [
            "--port",
            str(self.port),
            "--bind",
            "127.0.0.1",
            "--dir",
            str(self._folder),
            "--appendonly",
            "yes",
            "--appendfsync",
            "always",
        ]
        self._process = subprocess.Popen(
            [str(server), *arguments], env={**os.environ, "LD_LIBRARY_PATH": libraries}, stdout=subprocess.DEVNULL
        )
        deadline = time.monotonic() + 10
        while True:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
                return
            except OSError:
                assert time.monotonic() < deadline and self._process.poll() is None, "Redis did not start"
                time.sleep(0.05)

    def stop(self):
        self._process.terminate()
        self._process.wait(10)
