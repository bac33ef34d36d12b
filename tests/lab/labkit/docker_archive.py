# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Container images without a container tool: layers, configuration and the archive format of ``docker save``.

The format is described in moby's image specification v1.2 (``image/spec/v1.2.md``); containerd's importer reads
``manifest.json`` of it (containerd ``images/archive/importer.go``).
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import os
import pathlib
import tarfile
from collections.abc import Iterable, Mapping

# Everything gets this time, so that the same content gives the same digests.
EPOCH = 0
CREATED = "1970-01-01T00:00:00Z"


@dataclasses.dataclass(frozen=True)
class Layer:
    """An uncompressed layer on disk.

    Attributes:
        path: the tar file.
        diff_id: SHA-256 of it, hexadecimal.
    """

    path: pathlib.Path
    diff_id: str


@dataclasses.dataclass(frozen=True)
class Image:
    """One image.

    Attributes:
        names: full names with tag, for example ``docker.io/library/busybox:1.37.0``.
        layers: from the lowest to the highest.
        config: the ``config`` object of the image: Entrypoint, Cmd, Env, User, WorkingDir.
    """

    names: tuple[str, ...]
    layers: tuple[Layer, ...]
    config: dict

    def config_bytes(self) -> bytes:
        """The image's configuration document; its SHA-256 is the image's id."""
        document = {
            "architecture": "amd64",
            "os": "linux",
            "created": CREATED,
            "config": self.config,
            "rootfs": {"type": "layers", "diff_ids": [f"sha256:{layer.diff_id}" for layer in self.layers]},
            "history": [{"created": CREATED, "created_by": "homelab.mlops lab"} for _ in self.layers],
        }
        return json.dumps(document, sort_keys=True, separators=(",", ":")).encode()


class LayerWriter:
    """Writes a layer as a tar file, entry by entry; use it as a context manager, then ``layer`` is set.

    Folders on the way are added by themselves. An entry that is added twice counts once, the first time.
    """

    def __init__(self, path: pathlib.Path) -> None:
        self._path = path
        self._names: set[str] = set()
        self.layer: Layer | None = None

    def __enter__(self) -> LayerWriter:
        self._file = self._path.open("wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w", format=tarfile.PAX_FORMAT)
        return self

    def __exit__(self, kind, error, trace) -> None:
        self._tar.close()
        self._file.close()
        if kind is None:
            with self._path.open("rb") as file:
                self.layer = Layer(self._path, hashlib.file_digest(file, "sha256").hexdigest())

    @property
    def names(self) -> frozenset[str]:
        """Paths of all entries, without a leading slash."""
        return frozenset(self._names)

    def _put(self, member: tarfile.TarInfo, file: io.BufferedIOBase | None = None) -> None:
        if member.name in self._names:
            return
        parent = os.path.dirname(member.name)
        if parent and parent not in self._names:
            self.folder(parent)
        member.mtime = EPOCH
        member.uname = member.gname = ""
        member.pax_headers = {}
        self._names.add(member.name)
        self._tar.addfile(member, file)

    def folder(self, name: str, mode: int = 0o755, owner: int = 0) -> None:
        """Add an empty folder."""
        member = tarfile.TarInfo(name.strip("/"))
        member.type, member.mode, member.uid, member.gid = tarfile.DIRTYPE, mode, owner, owner
        self._put(member)

    def link(self, name: str, target: str) -> None:
        """Add a symbolic link."""
        member = tarfile.TarInfo(name.strip("/"))
        member.type, member.mode, member.linkname = tarfile.SYMTYPE, 0o777, target
        self._put(member)

    def data(self, name: str, content: bytes, mode: int = 0o644) -> None:
        """Add a file from memory."""
        member = tarfile.TarInfo(name.strip("/"))
        member.size, member.mode = len(content), mode
        self._put(member, io.BytesIO(content))

    def file(self, name: str, source: pathlib.Path, mode: int) -> None:
        """Add a file from disk."""
        member = tarfile.TarInfo(name.strip("/"))
        member.size, member.mode = source.stat().st_size, mode
        with source.open("rb") as content:
            self._put(member, content)

    def tree(self, name: str, source: pathlib.Path) -> None:
        """Add the files below a folder, sorted, without Python's caches."""
        for path in sorted(source.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                self.file(f"{name}/{path.relative_to(source)}", path, 0o755 if os.access(path, os.X_OK) else 0o644)

    def archive(self, source: pathlib.Path, leave_out: Iterable[str], already: frozenset[str] = frozenset()) -> None:
        """Add the files, folders and links of a tar file, sorted.

        Args:
            source: an uncompressed tar file.
            leave_out: prefixes of paths that are not taken.
            already: paths that a lower layer has.
        """
        prefixes = tuple(leave_out)
        with tarfile.open(source) as tar:
            members = {}
            for member in tar:
                member.name = os.path.normpath(member.name).lstrip("/")
                if member.name not in (".", *already) and not member.isdev() and not member.name.startswith(prefixes):
                    members[member.name] = member
            # A hard link needs its target before it, so links come last.
            for member in sorted(members.values(), key=lambda each: (each.islnk(), each.name)):
                if member.islnk():
                    member.linkname = os.path.normpath(member.linkname).lstrip("/")
                self._put(member, tar.extractfile(member) if member.isfile() else None)


def write(images: Iterable[Image], target: io.BufferedIOBase) -> None:
    """Write images as one archive in the format of ``docker save``; a layer that several share is written once."""
    images = list(images)
    with tarfile.open(fileobj=target, mode="w|", format=tarfile.PAX_FORMAT) as tar:

        def add(name: str, content: bytes) -> None:
            member = tarfile.TarInfo(name)
            member.size, member.mode, member.mtime = len(content), 0o644, EPOCH
            tar.addfile(member, io.BytesIO(content))

        manifest: list[Mapping] = []
        written: set[str] = set()
        for image in images:
            for layer in image.layers:
                if layer.diff_id in written:
                    continue
                written.add(layer.diff_id)
                member = tarfile.TarInfo(f"{layer.diff_id}/layer.tar")
                member.size, member.mode, member.mtime = layer.path.stat().st_size, 0o644, EPOCH
                with layer.path.open("rb") as content:
                    tar.addfile(member, content)
            config = image.config_bytes()
            name = f"{hashlib.sha256(config).hexdigest()}.json"
            if name not in written:
                written.add(name)
                add(name, config)
            manifest.append(
                {
                    "Config": name,
                    "RepoTags": list(image.names),
                    "Layers": [f"{layer.diff_id}/layer.tar" for layer in image.layers],
                }
            )
        add("manifest.json", json.dumps(manifest).encode())
