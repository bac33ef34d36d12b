# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's container images: K3s's own archive, the one with what ClearML and MinIO need, and the ingress controller's."""

from __future__ import annotations

import contextlib
import pathlib
import subprocess
import tempfile
from collections.abc import Iterator

import yaml

from . import binaries, cache, rootfs
from .docker_archive import Image, Layer, LayerWriter, write
from .podman import LabError
from .topology import LAB

RECIPES = LAB / "images" / "recipes.yml"
ARCHIVES = ("system", "pods", "ingress")
PATH = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_KEYS = {
    "names",
    "archive",
    "base",
    "packages",
    "binaries",
    "files",
    "folders",
    "entrypoint",
    "command",
    "environment",
    "user",
    "workdir",
}

# Of unpacked Debian packages: documentation, translations, the package manager's state and what only a booted system uses.
_LEAVE_OUT = (
    "dev/",
    "etc/apt",
    "etc/init.d",
    "etc/systemd",
    "lib/systemd",
    "lib/udev",
    "lib/x86_64-linux-gnu/security",
    "usr/bin/perl",
    "usr/include",
    "usr/lib/systemd",
    "usr/lib/udev",
    "usr/lib/x86_64-linux-gnu/libperl",
    "usr/lib/x86_64-linux-gnu/perl",
    "usr/lib/x86_64-linux-gnu/gconv",
    "usr/share/bash-completion",
    "usr/share/doc",
    "usr/share/i18n",
    "usr/share/info",
    "usr/share/lintian",
    "usr/share/locale",
    "usr/share/man",
    "usr/share/perl",
    "usr/share/zoneinfo",
    "var/cache",
    "var/lib/apt",
    "var/lib/dpkg",
    "var/log",
)


def recipes(path: pathlib.Path = RECIPES) -> tuple[dict[str, list[str]], list[dict]]:
    """Bases (name to packages) and images of a recipe file.

    Raises:
        LabError: an image has an unknown key or archive, or no base of that name.
    """
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    bases = {name: base["packages"] for name, base in document["bases"].items()}
    for image in document["images"]:
        name = image.get("names", ["an image without names"])[0]
        if unknown := sorted(set(image) - _KEYS):
            raise LabError(f"{path.name}: {name}: unknown key {unknown[0]}")
        if image.get("archive") not in ARCHIVES:
            raise LabError(f"{path.name}: {name}: archive must be one of {', '.join(ARCHIVES)}")
        if image.get("base") not in (None, *bases):
            raise LabError(f"{path.name}: {name}: no base {image['base']}; there are {', '.join(bases)}")
        if image.get("packages") and not image.get("base"):
            raise LabError(f"{path.name}: {name}: packages need a base")
    return bases, document["images"]


def unpacked(name: str, packages: list[str]) -> pathlib.Path:
    """A tar file of unpacked Debian packages and what they depend on; cached."""
    return rootfs.ensure(name, tuple(packages), variant="extract") / "root.tar"


def _base_layer(path: pathlib.Path, root: pathlib.Path) -> tuple[Layer, frozenset[str]]:
    """A layer of unpacked packages that also has the folders and users every program expects."""
    with LayerWriter(path) as layer:
        layer.archive(root, _LEAVE_OUT)
        for folder, mode in (("tmp", 0o1777), ("var/tmp", 0o1777), ("root", 0o700), ("run", 0o755), ("etc", 0o755)):
            layer.folder(folder, mode)
        layer.data("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n")
        layer.data("etc/group", b"root:x:0:\nnogroup:x:65534:\n")
        layer.data("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files dns\n")
        layer.link("bin/sh", "busybox")
        commands = layer.names
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run(["tar", "-xf", root, "-C", folder, "./bin/busybox"], check=True)
            applets = subprocess.run([f"{folder}/bin/busybox", "--list"], check=True, capture_output=True, text=True).stdout.split()
        for applet in applets:
            if not any(f"{where}/{applet}" in commands for where in ("bin", "sbin", "usr/bin", "usr/sbin")):
                layer.link(f"bin/{applet}", "busybox")
    return layer.layer, layer.names


@contextlib.contextmanager
def _images(archive: str, built: dict[str, pathlib.Path]) -> Iterator[list[Image]]:
    """The images of an archive; their layers exist while the context lasts."""
    bases, all_images = recipes()
    with tempfile.TemporaryDirectory(dir=cache.cache_dir()) as name:
        folder = pathlib.Path(name)
        base_layers: dict[str, tuple[Layer, frozenset[str]]] = {}
        result = []
        for number, recipe in enumerate(image for image in all_images if image["archive"] == archive):
            layers, below = [], frozenset()
            base = recipe.get("base")
            if base:
                if base not in base_layers:
                    base_layers[base] = _base_layer(folder / f"base-{base}.tar", unpacked(f"base-{base}", bases[base]))
                layer, below = base_layers[base]
                layers.append(layer)
            with LayerWriter(folder / f"image-{number}.tar") as own:
                if recipe.get("packages"):
                    packages = [*bases[base], *recipe["packages"]]
                    own.archive(unpacked(f"base-{base}-{recipe['packages'][0]}", packages), _LEAVE_OUT, below)
                for path, binary in recipe.get("binaries", {}).items():
                    own.file(path, built[binary], 0o755)
                for path, source in recipe.get("files", {}).items():
                    source = LAB / source
                    if source.is_dir():
                        own.tree(path, source)
                    else:
                        own.file(path, source, 0o755 if source.stat().st_mode & 0o100 else 0o644)
                for path, (mode, owner) in recipe.get("folders", {}).items():
                    own.folder(path, int(mode, 8), owner)
            if own.names:
                layers.append(own.layer)
            config = {
                "Env": [PATH, *(f"{key}={value}" for key, value in recipe.get("environment", {}).items())],
                "Entrypoint": recipe.get("entrypoint"),
                "Cmd": recipe.get("command"),
                "User": recipe.get("user", ""),
                "WorkingDir": recipe.get("workdir", "/"),
            }
            result.append(Image(tuple(recipe["names"]), tuple(layers), config))
        yield result


def archive(name: str) -> pathlib.Path:
    """One image archive, compressed with zstd; cached by the content of everything in it.

    Args:
        name: ``system``, ``pods`` or ``ingress``.
    """
    bases, all_images = recipes()
    chosen = [image for image in all_images if image["archive"] == name]
    wanted = sorted({binary for image in chosen for binary in image.get("binaries", {}).values()})
    built = binaries.ensure_binaries(wanted)
    sources = sorted({LAB / source for image in chosen for source in image.get("files", {}).values()})
    code = [pathlib.Path(__file__), pathlib.Path(__file__).with_name("docker_archive.py")]
    key = cache.key_of([*code, *sources, *(built[binary] for binary in wanted)], (chosen, bases))

    def build(unfinished: pathlib.Path) -> None:
        with _images(name, built) as images, unfinished.open("wb") as target:
            compressor = subprocess.Popen(["zstd", "--quiet", "-3", "-T0", "--stdout"], stdin=subprocess.PIPE, stdout=target)
            with compressor.stdin:
                write(images, compressor.stdin)
            if compressor.wait():
                raise LabError("zstd failed")

    return cache.ensure("images", f"{name}-{key}.tar.zst", build, f"image archive {name}")
