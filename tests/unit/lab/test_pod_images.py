# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Each image that the roles and the fixture chart name is built for the lab, else its pod would wait for a registry."""

from __future__ import annotations

import pathlib

import pytest
import yaml

ROOT = pathlib.Path(__file__).resolve().parents[3]
CHART = ROOT / "tests/lab/chart"


def load(path: str):
    return yaml.safe_load((ROOT / path).read_text(encoding="utf-8"))


def named() -> set[str]:
    """References as the chart's templates and the roles put them together from their defaults."""
    values = load("tests/lab/chart/clearml/values.yaml")
    server, store = load("roles/clearml_server/defaults/main.yml"), load("roles/minio/defaults/main.yml")
    parts = [values[part]["image"] for part in ("apiserver", "fileserver", "webserver", "redis", "mongodb")]
    return {
        *(f"{values['global']['imageRegistry']}/{image['repository']}:{image['tag']}" for image in parts),
        f"{values['elasticsearch']['image']}:{server['clearml_server_elasticsearch_image_tag']}",
        store["minio_image"],
    }


def listed() -> set[str]:
    lines = (CHART / "images.txt").read_text(encoding="utf-8").splitlines()
    return {line.split()[0] for line in lines if line and not line.startswith("#")}


def built() -> set[str]:
    images = load("tests/lab/images/recipes.yml")["images"]
    return {name for image in images if image["archive"] == "pods" for name in image["names"]}


@pytest.mark.parametrize("place", [listed, built], ids=["images.txt", "recipes.yml"])
def test_every_named_image_is_there(place):
    assert named() - place() == set()


def test_chart_version_is_the_one_the_role_asks_for():
    wanted = load("roles/clearml_server/defaults/main.yml")["clearml_server_chart_version"]
    assert load("tests/lab/chart/clearml/Chart.yaml")["version"] == wanted
