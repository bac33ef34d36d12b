# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the artifact server serves: files under the paths that their publishers use."""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import io
import os
import pathlib
import shutil
import tarfile
from collections.abc import Mapping

import yaml

from . import binaries, cache, images
from .podman import LabError
from .topology import LAB

CHART = LAB / "chart" / "clearml"
AIRGAP_ARCHIVE = "k3s-airgap-images-amd64.tar.zst"
INGRESS_ARCHIVE = "homelab-mlops-traefik-images-amd64.tar.zst"
PODS_ARCHIVE = "homelab-mlops-images-amd64.tar.zst"


def sha256(path: pathlib.Path) -> str:
    """SHA-256 of a file, hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checksum_lines(files: Mapping[str, pathlib.Path]) -> str:
    """Lines as sha256sum prints them, sorted by name as in K3s's releases."""
    return "".join(f"{sha256(path)}  {name}\n" for name, path in sorted(files.items()))


def variables(root: pathlib.Path, url: str, ingress: bool = False) -> dict:
    """Role variables that point every download to a server of ``root`` at ``url``; with ``ingress``, Traefik's image too."""
    archives = [PODS_ARCHIVE, *([INGRESS_ARCHIVE] if ingress else [])]
    return {
        "k3s_base_url": f"{url}/k3s/releases/download",
        "k3s_airgap_images": True,
        "k3s_extra_image_archives": [
            {"url": f"{url}/images/{name}", "checksum": f"sha256:{sha256(root / 'images' / name)}"} for name in archives
        ],
        "admin_tools_helm_base_url": f"{url}/helm",
        "minio_base_url": f"{url}/minio/releases/download",
        "minio_version": binaries.MINIO_RELEASES[0],
        "clearml_server_chart_repository_url": f"{url}/charts",
    }


def fill(root: pathlib.Path, ingress: bool = False) -> None:
    """Make or renew the folder that a lab's server serves. What is big is linked from the cache, built first when absent.

    Traefik takes longest, so only a lab with ``ingress`` waits for it.
    """
    unfinished = root.with_name(f".{root.name}.new")
    old = root.with_name(f".{root.name}.old")
    for leftover in (unfinished, old):
        shutil.rmtree(leftover, ignore_errors=True)
    built = binaries.ensure_binaries(name for name in binaries.programs() if ingress or name != "traefik")
    _k3s(unfinished / "k3s" / "releases" / "download", built)
    _helm(unfinished / "helm", built["helm"])
    _minio(unfinished / "minio" / "releases" / "download", built)
    _link(unfinished / "images" / PODS_ARCHIVE, images.archive("pods"))
    if ingress:
        _link(unfinished / "images" / INGRESS_ARCHIVE, images.archive("ingress"))
    charts(unfinished / "charts", CHART)
    with contextlib.suppress(FileNotFoundError):
        os.rename(root, old)
    os.rename(unfinished, root)
    shutil.rmtree(old, ignore_errors=True)


def _link(path: pathlib.Path, target: pathlib.Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(target)


def _k3s(root: pathlib.Path, built: Mapping[str, pathlib.Path]) -> None:
    """One folder for each version, with the names of K3s's release assets."""
    airgap = images.archive("system")
    names = "".join(f"{name}\n" for recipe in images.recipes()[1] if recipe["archive"] == "system" for name in recipe["names"])
    for name, binary in built.items():
        if not name.startswith("k3s@"):
            continue
        folder = root / name.removeprefix("k3s@")
        files = {"k3s": binary, AIRGAP_ARCHIVE: airgap}
        for file, path in files.items():
            _link(folder / file, path)
        key = cache.key_of([pathlib.Path(__file__)], [str(path) for path in files.values()])
        sums = cache.ensure("images", f"sha256sum-{key}.txt", lambda new, files=files: _write(new, checksum_lines(files)))
        _link(folder / "sha256sum-amd64.txt", sums)
        (folder / "k3s-images.txt").write_text(names, encoding="utf-8")


def _minio(root: pathlib.Path, built: Mapping[str, pathlib.Path]) -> None:
    """One folder for each release, with the names of MinIO's release assets."""
    for name, binary in built.items():
        if not name.startswith("minio@"):
            continue
        release = name.removeprefix("minio@")
        file = f"minio.linux-amd64.{release}"
        _link(root / release / file, binary)
        key = cache.key_of([pathlib.Path(__file__)], (release, str(binary)))
        sums = cache.ensure("images", f"minio-sha256sum-{key}.txt", lambda new, files={file: binary}: _write(new, checksum_lines(files)))
        _link(root / release / f"{file}.sha256sum", sums)


def _write(path: pathlib.Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")


def _helm(root: pathlib.Path, helm: pathlib.Path) -> None:
    """Helm's tarball and its checksum file, as on Helm's download server."""
    name = f"helm-{binaries.HELM_VERSION}-linux-amd64.tar.gz"

    def build(unfinished: pathlib.Path) -> None:
        unfinished.mkdir()
        archive = unfinished / name
        with archive.open("wb") as file, gzip.GzipFile("", "wb", 5, file, mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as tar:
            member = tarfile.TarInfo("linux-amd64/helm")
            member.size, member.mode = helm.stat().st_size, 0o755
            with helm.open("rb") as content:
                tar.addfile(member, content)
        _write(unfinished / f"{name}.sha256sum", checksum_lines({name: archive}))

    folder = cache.ensure("images", f"helm-{cache.key_of([pathlib.Path(__file__)], str(helm))}", build, "Helm's tarball")
    for path in folder.iterdir():
        _link(root / path.name, path)


def charts(root: pathlib.Path, chart: pathlib.Path) -> None:
    """A chart repository with one chart: what ``helm package`` and ``helm repo index`` make, the same for the same content.

    Raises:
        LabError: the chart has no Chart.yaml.
    """
    try:
        about = yaml.safe_load((chart / "Chart.yaml").read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise LabError(f"no chart in {chart}") from error
    root.mkdir(parents=True)
    name = f"{about['name']}-{about['version']}.tgz"
    with (
        (root / name).open("wb") as file,
        gzip.GzipFile("", "wb", 9, file, mtime=0) as packed,
        tarfile.open(fileobj=packed, mode="w") as tar,
    ):
        for path in sorted(path for path in chart.rglob("*") if path.is_file()):
            content = path.read_bytes()
            member = tarfile.TarInfo(f"{about['name']}/{path.relative_to(chart)}")
            member.size, member.mode = len(content), 0o644
            tar.addfile(member, io.BytesIO(content))
    entry = {**about, "urls": [name], "digest": sha256(root / name), "created": "1970-01-01T00:00:00Z"}
    index = {"apiVersion": "v1", "entries": {about["name"]: [entry]}, "generated": "1970-01-01T00:00:00Z"}
    _write(root / "index.yaml", yaml.safe_dump(index, sort_keys=False))
