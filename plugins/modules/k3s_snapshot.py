#!/usr/bin/python
# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: k3s_snapshot
short_description: Keep the data of a K3s cluster before it is upgraded
version_added: 0.1.0
description:
  - Saves a snapshot of the embedded etcd, or a consistent copy of the SQLite database while K3s runs.
  - The servers' token is kept beside it, because neither can be restored without. So the folder is readable for root only.
  - A snapshot is either whole or not there. What an interrupted run left is removed by the next.
  - It runs on a K3s server.
author:
  - homelab.mlops contributors (@homelab-mlops)
extends_documentation_fragment:
  - homelab.mlops.attributes
  - homelab.mlops.attributes.writes
attributes:
  idempotent:
    support: partial
    details:
      - With O(reuse) only.
options:
  folder:
    description: Folder on the server in which each snapshot gets a folder of its own.
    type: path
    default: /var/lib/homelab-mlops/k3s-snapshots
  release:
    description: Release of K3s that the cluster will get. It becomes part of the snapshot's name.
    type: str
    required: true
  keep:
    description: How many snapshots are kept; older ones are removed.
    type: int
    default: 5
  reuse:
    description: Whether the latest snapshot that was taken before the same release is enough. For an upgrade that is resumed.
    type: bool
    default: false
  data_folder:
    description: Folder of K3s's data.
    type: path
    default: /var/lib/rancher/k3s
"""

EXAMPLES = r"""
- name: Keep the data of the cluster
  homelab.mlops.k3s_snapshot:
    release: v1.34.2+k3s1
"""

RETURN = r"""
path:
  description: Folder of the snapshot. In check mode the folder it would be in.
  returned: success
  type: str
  sample: /var/lib/homelab-mlops/k3s-snapshots/20261121T104500Z-before-v1.34.2+k3s1
kind:
  description: What was kept. V(external) stands for a datastore of the user's own, of which only the token is kept.
  returned: success
  type: str
  choices: [etcd, sqlite, external]
  sample: etcd
size_bytes:
  description: Size of the snapshot.
  returned: success
  type: int
removed:
  description: Folders of older snapshots that were removed.
  returned: success
  type: list
  elements: str
"""

import contextlib
import json
import os
import re
import shutil
import sqlite3
import time

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.homelab.mlops.plugins.module_utils.difference import difference
from ansible_collections.homelab.mlops.plugins.module_utils.k3s.kubectl import K3S

PARTIAL = ".partial-"
NAME = re.compile(r"\d{8}T\d{6}Z-before-(.+)")


class SnapshotError(Exception):
    """The data could not be kept."""


def kind_of(data):
    """Where a server keeps the cluster's data: K3s decides by these files too. It makes server/db/etcd over SQLite as well."""
    if os.path.isdir(os.path.join(data, "server/db/etcd/member/wal")):
        return "etcd"
    return "sqlite" if os.path.isfile(os.path.join(data, "server/db/state.db")) else "external"


def whole(folder):
    """Names of the finished snapshots, oldest first: they begin with their time."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return sorted(name for name in names if NAME.fullmatch(name) and os.path.isdir(os.path.join(folder, name)))


def size_of(folder):
    """Bytes of all files below a folder."""
    return sum(os.path.getsize(os.path.join(parent, name)) for parent, _folders, names in os.walk(folder) for name in names)


def copy_sqlite(source, target):
    """A consistent copy of a database that is in use (SQLite: Online Backup API), checked afterwards."""
    try:
        with contextlib.closing(sqlite3.connect("file:%s?mode=ro" % source, uri=True, timeout=60)) as old:
            with contextlib.closing(sqlite3.connect(target)) as new:
                old.backup(new)
                found = new.execute("PRAGMA integrity_check").fetchone()[0]
    except sqlite3.Error as error:
        raise SnapshotError("SQLite could not copy %s: %s" % (source, error)) from error
    if found != "ok":
        raise SnapshotError("the copy of %s is damaged: %s" % (source, found))


def copy_etcd(run_command, data, target):
    """A snapshot of the embedded etcd. K3s keeps notes about it beside the folder that it is told, so it gets one of its own."""
    os.mkdir(target)
    command = [K3S, "etcd-snapshot", "save", "--data-dir", data, "--etcd-snapshot-dir", target, "--name", "before-upgrade"]
    rc, out, err = run_command(command)
    if rc != 0:
        said = [line for line in (err + "\n" + out).splitlines() if line.strip()]
        raise SnapshotError("k3s etcd-snapshot: %s" % (said[-1].strip() if said else "exit status %d" % rc))
    if not any(os.path.getsize(os.path.join(target, name)) for name in os.listdir(target)):
        raise SnapshotError("k3s etcd-snapshot succeeded, but %s is empty: perhaps etcd-snapshot-restrictions are set" % target)


def save(run_command, data, kind, release, target):
    """Fills the folder `target` with the data, the token and a note of what they are."""
    os.mkdir(target)
    if kind == "sqlite":
        copy_sqlite(os.path.join(data, "server/db/state.db"), os.path.join(target, "state.db"))
    elif kind == "etcd":
        copy_etcd(run_command, data, os.path.join(target, "etcd"))
    try:
        shutil.copyfile(os.path.join(data, "server/token"), os.path.join(target, "token"))
    except OSError as error:
        raise SnapshotError("the servers' token cannot be kept: %s" % error) from error
    with open(os.path.join(target, "about.json"), "w", encoding="utf-8") as stream:
        json.dump({"kind": kind, "before": release, "data_folder": data}, stream, indent=2, sort_keys=True)
        stream.write("\n")
    for parent, folders, names in os.walk(target):
        for name in folders:
            os.chmod(os.path.join(parent, name), 0o700)
        for name in names:
            os.chmod(os.path.join(parent, name), 0o600)


def take(module, folder, name, kind):
    """Takes the snapshot and gives it its name once it is whole."""
    data, release = module.params["data_folder"], module.params["release"]
    partial = os.path.join(folder, PARTIAL + name)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.chmod(folder, 0o700)
        os.umask(0o077)
        for left in os.listdir(folder):
            if left.startswith(PARTIAL):
                shutil.rmtree(os.path.join(folder, left))
        save(module.run_command, data, kind, release, partial)
        os.rename(partial, os.path.join(folder, name))
    except (OSError, SnapshotError) as error:
        shutil.rmtree(partial, ignore_errors=True)
        module.fail_json(msg="no snapshot was taken, nothing else was changed: %s. Free space or mend K3s, then run again" % error)


def main():
    module = AnsibleModule(
        argument_spec={
            "folder": {"type": "path", "default": "/var/lib/homelab-mlops/k3s-snapshots"},
            "release": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 5},
            "reuse": {"type": "bool", "default": False},
            "data_folder": {"type": "path", "default": "/var/lib/rancher/k3s"},
        },
        supports_check_mode=True,
    )
    folder, release, keep = (module.params[name] for name in ("folder", "release", "keep"))
    if keep < 1:
        module.fail_json(msg="keep must be above 0: the snapshot of this upgrade is one of them")
    kind = kind_of(module.params["data_folder"])
    there = whole(folder)
    same = [name for name in there if NAME.fullmatch(name).group(1) == release]
    if module.params["reuse"] and same:
        path = os.path.join(folder, same[-1])
        module.exit_json(path=path, kind=kind, size_bytes=size_of(path), removed=[], **difference(there, there))
    name = "%s-before-%s" % (time.strftime("%Y%m%dT%H%M%SZ", time.gmtime()), release)
    path = os.path.join(folder, name)
    after = [*there, name]
    removed = [os.path.join(folder, old) for old in after[:-keep]]
    if not module.check_mode:
        take(module, folder, name, kind)
        for old in removed:
            shutil.rmtree(old)
    size = 0 if module.check_mode else size_of(path)
    module.exit_json(path=path, kind=kind, size_bytes=size, removed=removed, **difference(there, after[-keep:]))


if __name__ == "__main__":
    main()
