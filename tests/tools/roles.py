# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Reads the roles of the collection: their defaults, argument_specs and task files."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]


class _Loader(yaml.SafeLoader):
    """Reads Ansible's own tags (!vault, !unsafe) as plain values."""


_Loader.add_multi_constructor("!", lambda loader, suffix, node: loader.construct_scalar(node))


@dataclasses.dataclass(frozen=True)
class Role:
    """A folder below roles/."""

    path: Path

    @property
    def name(self) -> str:
        return self.path.name

    def read(self, relative: str) -> Any:
        """The YAML file at `relative`; None when it is absent or empty. yaml.YAMLError when it is no YAML."""
        path = self.path / relative
        return yaml.load(path.read_text(encoding="utf-8"), _Loader) if path.is_file() else None

    @property
    def defaults(self) -> dict[str, Any]:
        return self.read("defaults/main.yml") or {}

    @property
    def entry_points(self) -> dict[str, Any]:
        return (self.read("meta/argument_specs.yml") or {}).get("argument_specs") or {}


def roles(root: Path = ROOT) -> list[Role]:
    """All roles of the collection at `root`, by name. A folder without files that could be run is no role yet."""
    folder = root / "roles"
    return [
        Role(path)
        for path in sorted(folder.iterdir() if folder.is_dir() else [])
        if any(next((path / part).glob("*.yml"), None) for part in ("tasks", "defaults", "meta"))
    ]
