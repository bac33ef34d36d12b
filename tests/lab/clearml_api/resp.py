# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The few commands of the Redis protocol that the store needs, so that the pod image needs no client library."""

import socket


class RedisConnection:
    """One connection, opened again once when it turns out to be closed. Raises OSError, also for error replies."""

    def __init__(self, host, port, timeout=10):
        self._address, self._timeout = (host, port), timeout
        self._socket = self._reader = None

    def _open(self):
        self._socket = socket.create_connection(self._address, timeout=self._timeout)
        self._reader = self._socket.makefile("rb")

    def close(self):
        if self._socket:
            self._reader.close()
            self._socket.close()
            self._socket = None

    def _run(self, commands):
        """Send commands at once and read one reply for each."""
        message = b"".join(_encode(command) for command in commands)
        for last_try in (False, True):
            try:
                if not self._socket:
                    self._open()
                self._socket.sendall(message)
                return [self._read() for _ in commands]
            except OSError:
                self.close()
                if last_try:
                    raise

    def command(self, *words):
        return self._checked(self._run([words]))[0]

    def transaction(self, commands):
        """All commands or none (MULTI ... EXEC); a repeat after a lost connection is harmless except for list appends."""
        self._checked(self._run([("MULTI",), *commands, ("EXEC",)]))

    @staticmethod
    def _checked(replies):
        for reply in replies:
            if isinstance(reply, OSError):
                raise reply
            if isinstance(reply, list):  # an EXEC's replies
                RedisConnection._checked(reply)
        return replies

    def _read(self):
        line = self._reader.readline()
        if not line.endswith(b"\r\n"):
            raise ConnectionError("Redis closed the connection")
        kind, rest = line[:1], line[1:-2]
        if kind == b"+":
            return rest.decode()
        if kind == b"-":
            return OSError(f"Redis: {rest.decode()}")
        if kind == b":":
            return int(rest)
        size = int(rest)
        if size < 0:
            return None
        if kind == b"$":
            data = self._reader.read(size + 2)
            if len(data) < size + 2:
                raise ConnectionError("Redis closed the connection")
            return data[:-2].decode()
        return [self._read() for _ in range(size)]


def _encode(words):
    parts = [b"*%d\r\n" % len(words)]
    for word in words:
        data = str(word).encode("utf-8", "surrogatepass")
        parts.append(b"$%d\r\n%s\r\n" % (len(data), data))
    return b"".join(parts)
