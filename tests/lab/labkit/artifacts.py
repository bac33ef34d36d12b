# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The artifact server: what the roles download, in the layout of its publishers, on the lab network's gateway."""

from __future__ import annotations

import argparse
import contextlib
import functools
import http.server
import io
import json
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from .podman import LabError

# Requests below this path get the same files, but the binaries of K3s and MinIO have one byte changed.
TAMPERED = "/tampered"


class Handler(http.server.SimpleHTTPRequestHandler):
    """Static files; nothing is listed, every request is logged as one JSON line."""

    protocol_version = "HTTP/1.1"
    timeout = 60
    log: pathlib.Path

    def list_directory(self, path):
        self.send_error(404)

    def send_head(self):
        if self.path.startswith(f"{TAMPERED}/"):
            self.path = self.path.removeprefix(TAMPERED)
            name = pathlib.Path(self.translate_path(self.path)).name
            if name == "k3s" or (name.startswith("minio.linux-") and not name.endswith(".sha256sum")):
                return self._tampered(self.translate_path(self.path))
        return super().send_head()

    def _tampered(self, path: str):
        """The file with its last byte changed, from memory: its checksum is wrong, its size right."""
        try:
            data = bytearray(pathlib.Path(path).read_bytes())
        except OSError:
            self.send_error(404)
            return None
        data[-1] ^= 1
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        return io.BytesIO(data)

    def log_request(self, code="-", size="-"):
        line = {
            "time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "client": self.client_address[0],
            "method": self.command,
            "path": self.requestline.split(" ")[1] if " " in self.requestline else self.requestline,
            "status": int(code),
        }
        with self.log.open("a", encoding="utf-8") as handle:
            handle.write(json.dumps(line) + "\n")

    def log_message(self, format, *args):
        """Nothing besides the request log."""


def serve(folder: pathlib.Path, address: str, port: int) -> None:
    """Serve ``folder/www`` until SIGTERM or until the folder is gone; writes ``folder/artifacts.port`` once it listens."""
    handler = type("LabHandler", (Handler,), {"log": folder / "access.log"})
    bound = functools.partial(handler, directory=str(folder / "www"))
    try:
        server = http.server.ThreadingHTTPServer((address, port), bound)
    except OSError:
        server = http.server.ThreadingHTTPServer((address, 0), bound)
    server.daemon_threads = True

    def watch() -> None:
        while folder.is_dir():
            time.sleep(5)
        server.shutdown()

    threading.Thread(target=watch, daemon=True).start()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    (folder / "artifacts.port").write_text(f"{server.server_address[1]}\n", encoding="utf-8")
    server.serve_forever(poll_interval=1)


def start(folder: pathlib.Path, address: str, port: int) -> dict:
    """Start the server of a lab in the background.

    Args:
        folder: the lab's state folder.
        address: where to listen.
        port: a wish, 0 for none; another one is taken when it is not free.

    Returns:
        address, port, pid and start time (clock ticks since boot) of the server.

    Raises:
        LabError: it does not listen within ten seconds.
    """
    mark = folder / "artifacts.port"
    mark.unlink(missing_ok=True)
    with (folder / "artifacts.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "labkit.artifacts", folder, address, str(port)],
            cwd=pathlib.Path(__file__).resolve().parents[1],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(FileNotFoundError, ValueError):
            return {
                "address": address,
                "port": int(mark.read_text(encoding="utf-8")),
                "pid": process.pid,
                "started": _start_time(process.pid),
            }
        time.sleep(0.05)
    raise LabError(f"the artifact server did not start: see {folder / 'artifacts.log'}")


def _start_time(pid: int) -> int | None:
    """Field 22 of /proc/PID/stat (proc_pid_stat(5)): tells a process from a later one with the same number; None when it ended."""
    try:
        fields = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else int(fields[19])


def alive(server: dict | None) -> bool:
    """Whether the server that ``start`` described still runs."""
    started = _start_time(server["pid"]) if server else None
    return started is not None and started == server["started"]


def stop(server: dict | None) -> None:
    """End the server that ``start`` described, if it still runs."""
    if alive(server):
        os.kill(server["pid"], signal.SIGTERM)
        deadline = time.monotonic() + 5
        while alive(server) and time.monotonic() < deadline:
            time.sleep(0.05)


def url(server: dict) -> str:
    """Base URL of the server."""
    return f"http://{server['address']}:{server['port']}"


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("address")
    parser.add_argument("port", type=int)
    options = parser.parse_args()
    serve(options.folder, options.address, options.port)
