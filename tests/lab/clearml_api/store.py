# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where the state lives: documents by collection, and append-only lists of events; in SQLite or in Redis.

A call works on documents in memory and what it changed is written in one transaction before it is answered, so that a
process which is killed at any point comes back with every answered change. Event lists stay in the backend.
"""

import json
import sqlite3
import threading
import time

from .resp import RedisConnection


class SqliteBackend:
    """One file (":memory:" for none). Commits are durable against the death of the process."""

    def __init__(self, path):
        self._db = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._db.execute("PRAGMA journal_mode=WAL")
        self._db.execute("PRAGMA synchronous=NORMAL")
        self._db.execute(
            "CREATE TABLE IF NOT EXISTS documents (collection TEXT, id TEXT, seq INTEGER, body TEXT, PRIMARY KEY (collection, id))"
        )
        self._db.execute("CREATE TABLE IF NOT EXISTS events (n INTEGER PRIMARY KEY, list TEXT, body TEXT)")
        self._db.execute("CREATE INDEX IF NOT EXISTS events_of_list ON events (list, n)")

    def load(self):
        """All documents as (collection, id, seq, body)."""
        return self._db.execute("SELECT collection, id, seq, body FROM documents").fetchall()

    def write(self, puts, deletes, appends, drops):
        """Apply documents to put and to delete, events to append, and event lists to drop, all or nothing."""
        self._db.execute("BEGIN IMMEDIATE")
        try:
            self._db.executemany("INSERT OR REPLACE INTO documents VALUES (?, ?, ?, ?)", puts)
            self._db.executemany("DELETE FROM documents WHERE collection = ? AND id = ?", deletes)
            self._db.executemany("DELETE FROM events WHERE list = ?", [(name,) for name in drops])
            self._db.executemany("INSERT INTO events (list, body) VALUES (?, ?)", appends)
        except BaseException:
            self._db.execute("ROLLBACK")
            raise
        self._db.execute("COMMIT")

    def count(self, name):
        return self._db.execute("SELECT count(*) FROM events WHERE list = ?", (name,)).fetchone()[0]

    def events(self, name, start, size):
        """`size` events of a list from position `start` on, oldest first."""
        query = "SELECT body FROM events WHERE list = ? ORDER BY n LIMIT ? OFFSET ?"
        return [row[0] for row in self._db.execute(query, (name, size, start))]

    def close(self):
        self._db.close()


class RedisBackend:
    """The chart's Redis: hash `clearml-double:<collection>` of [seq, body], list `clearml-double:events:<name>`."""

    prefix = "clearml-double:"

    def __init__(self, host, port):
        self._redis = RedisConnection(host, port)

    def load(self):
        rows = []
        for collection in self._redis.command("SMEMBERS", self.prefix + "collections"):
            flat = self._redis.command("HGETALL", self.prefix + collection)
            for key, value in zip(flat[::2], flat[1::2], strict=True):
                seq, _, body = value.partition(" ")
                rows.append((collection, key, int(seq), body))
        return rows

    def write(self, puts, deletes, appends, drops):
        commands = []
        for collection, key, seq, body in puts:
            commands.append(("SADD", self.prefix + "collections", collection))
            commands.append(("HSET", self.prefix + collection, key, f"{seq} {body}"))
        commands += [("HDEL", self.prefix + collection, key) for collection, key in deletes]
        commands += [("DEL", f"{self.prefix}events:{name}") for name in drops]
        commands += [("RPUSH", f"{self.prefix}events:{name}", body) for name, body in appends]
        if commands:
            self._redis.transaction(commands)

    def count(self, name):
        return self._redis.command("LLEN", f"{self.prefix}events:{name}")

    def events(self, name, start, size):
        return self._redis.command("LRANGE", f"{self.prefix}events:{name}", str(start), str(start + size - 1))

    def close(self):
        self._redis.close()


def open_backend(path=None, redis_address=None, patience=60):
    """The backend at a file or at a Redis (host, port); waits `patience` seconds for the latter. Raises OSError."""
    if not redis_address:
        return SqliteBackend(path or ":memory:")
    deadline = time.monotonic() + patience
    while True:
        try:
            backend = RedisBackend(*redis_address)
            backend.load()
            return backend
        except OSError as error:
            if time.monotonic() > deadline:
                raise OSError(f"Redis at {redis_address[0]}:{redis_address[1]} cannot be used: {error}") from error
            time.sleep(1)


class Store:
    """Collections of documents (dict with `id`) in the order of their creation. Use inside `with store:` only."""

    def __init__(self, backend):
        self._backend = backend
        self._lock = threading.RLock()
        self._load()

    def _load(self):
        self._collections, self._seq = {}, {}
        for collection, key, seq, body in sorted(self._backend.load(), key=lambda row: row[2]):
            self._collections.setdefault(collection, {})[key] = json.loads(body)
            self._seq[collection, key] = seq
        self._next = max(self._seq.values(), default=0) + 1
        self._stale = False
        self._forget()

    def _forget(self):
        self._dirty, self._appends, self._drops = {}, [], []

    def __enter__(self):
        self._lock.acquire()
        if self._stale:
            try:
                self._load()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(self, *error):
        try:
            self._commit()
        finally:
            self._lock.release()

    def _commit(self):
        puts, deletes = [], []
        for collection, key in self._dirty:
            document = self._collections.get(collection, {}).get(key)
            if document is None:
                deletes.append((collection, key))
            else:
                puts.append((collection, key, self._seq[collection, key], json.dumps(document)))
        if puts or deletes or self._appends or self._drops:
            try:
                self._backend.write(puts, deletes, self._appends, self._drops)
            except BaseException:
                self._stale = True  # the backend's documents count, not those of this call
                raise
        self._forget()

    def all(self, collection):
        return list(self._collections.get(collection, {}).values())

    def get(self, collection, key):
        """The document, or None. Who changes it calls put afterwards."""
        return self._collections.get(collection, {}).get(key)

    def put(self, collection, document):
        key = document["id"]
        if (collection, key) not in self._seq:
            self._seq[collection, key] = self._next
            self._next += 1
        self._collections.setdefault(collection, {})[key] = document
        self._dirty[collection, key] = True

    def delete(self, collection, key):
        if self._collections.get(collection, {}).pop(key, None) is not None:
            self._seq.pop((collection, key))
            self._dirty[collection, key] = True

    def append(self, name, event):
        self._appends.append((name, json.dumps(event)))

    def drop(self, name):
        """Forget a list of events."""
        self._drops.append(name)

    def count(self, name):
        return self._backend.count(name)

    def events(self, name, start, size):
        return [json.loads(body) for body in self._backend.events(name, start, size)]

    def close(self):
        with self._lock:
            self._backend.close()
