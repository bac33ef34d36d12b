# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An APT repository of NVIDIA's container toolkit: flat, signed, four packages in two versions, as the publisher lays it out.

The programs are the real ones, built from their Go module, and so are the units; both versions are one code that calls itself by two
versions. The two packages of libnvidia-container, which is C and in no registry here, are empty but for their names, versions and
dependencies.
"""

from __future__ import annotations

import hashlib
import json
import os
import pathlib
import shutil
import subprocess
import tempfile

from . import binaries, cache
from .podman import LabError

MODULE = "github.com/NVIDIA/nvidia-container-toolkit"
MODULE_VERSION = "v1.20.1"
VERSIONS = ("1.19.1", "1.20.1")
PROGRAMS = ("nvidia-ctk", "nvidia-cdi-hook", "nvidia-container-runtime", "nvidia-container-runtime-hook")
# packaging/debian/control of the toolkit, mk/docker.mk and debian/control of libnvidia-container: names, and what depends on what.
DEPENDS = {
    "libnvidia-container1": "",
    "libnvidia-container-tools": "libnvidia-container1 (>= {version}-1)",
    "nvidia-container-toolkit-base": "",
    "nvidia-container-toolkit": "nvidia-container-toolkit-base (= {version}-1), libnvidia-container-tools (= {version}-1)",
}
CONTENT = {
    "nvidia-container-toolkit-base": ("nvidia-ctk", "nvidia-cdi-hook", "nvidia-container-runtime"),
    "nvidia-container-toolkit": ("nvidia-container-runtime-hook",),
}
# packaging/debian/nvidia-container-toolkit-base.install: files of the module's folder deployments, and where they are put.
DEPLOYMENTS = {
    "systemd/nvidia-cdi-refresh.service": "lib/systemd/system",
    "systemd/nvidia-cdi-refresh.path": "lib/systemd/system",
    "systemd/10-container-engines.conf": "lib/systemd/system/nvidia-cdi-refresh.service.d",
    "systemd/nvidia-cdi-refresh.env": "etc/nvidia-container-toolkit",
    "udev/99-nvidia-cdi-refresh.rules": "lib/udev/rules.d",
}
# What debhelper puts into a package with units.
POSTINST = """#!/bin/sh
set -e
deb-systemd-helper enable nvidia-cdi-refresh.service nvidia-cdi-refresh.path
systemctl --system daemon-reload
deb-systemd-invoke start nvidia-cdi-refresh.path nvidia-cdi-refresh.service
"""
# Of the repository below /nvidia-incomplete, as of a mirror that broke off.
LEFT_OUT = f"libnvidia-container1_{VERSIONS[-1]}-1_amd64.deb"


def variables(url: str) -> dict:
    """Role variables that point to the repository on the server at ``url``."""
    return {
        "nvidia_container_toolkit_repository_url": f"{url}/nvidia/stable/deb/$(ARCH)",
        "nvidia_container_toolkit_key_url": f"{url}/nvidia/gpgkey",
    }


def fill(root: pathlib.Path) -> None:
    """Link the repository into the folder that a lab's server serves; built first when absent."""
    for path in repository().iterdir():
        (root / path.name).symlink_to(path)


def programs(version: str) -> dict[str, pathlib.Path]:
    """Paths of the toolkit's programs, which call themselves by a version."""
    return {
        name: binaries.ensure_program(
            f"{name}@{version}",
            binaries.Program(
                f"{MODULE}/cmd/{name}@{MODULE_VERSION}",
                folder=None,
                variables=((f"{MODULE}/internal/info.version", version),),
                dynamic=True,
            ),
        )
        for name in PROGRAMS
    }


def repository() -> pathlib.Path:
    """The cached folder with ``nvidia``, ``nvidia-incomplete`` (the same without one package) and ``nvidia-other`` (another key)."""
    built = {version: programs(version) for version in VERSIONS}
    key = cache.key_of([pathlib.Path(__file__)], sorted(str(path) for paths in built.values() for path in paths.values()))

    def build(unfinished: pathlib.Path) -> None:
        units = deployments()
        debs = unfinished / "nvidia" / "stable" / "deb" / "amd64"
        debs.mkdir(parents=True)
        for version, paths in built.items():
            for package in DEPENDS:
                _package(debs, package, version, paths, units if package == "nvidia-container-toolkit-base" else None)
        incomplete = unfinished / "nvidia-incomplete" / "stable" / "deb" / "amd64"
        shutil.copytree(debs, incomplete)
        (incomplete / LEFT_OUT).unlink()
        with tempfile.TemporaryDirectory() as home:
            _sign(pathlib.Path(home), [debs, incomplete], unfinished / "nvidia" / "gpgkey")
        with tempfile.TemporaryDirectory() as home:
            _sign(pathlib.Path(home), [], unfinished / "nvidia-other" / "gpgkey")

    return cache.ensure("images", f"nvidia-{key}", build, "the APT repository of NVIDIA's container toolkit")


def deployments() -> pathlib.Path:
    """The module's folder with its units, downloaded first when absent."""
    go, _version = binaries.compiler()
    said = _run([go, "mod", "download", "-json", f"{MODULE}@{MODULE_VERSION}"], {"GOFLAGS": ""})
    return pathlib.Path(json.loads(said)["Dir"], "deployments")


def _package(folder: pathlib.Path, package: str, version: str, paths: dict[str, pathlib.Path], units: pathlib.Path | None) -> None:
    """One Debian package in ``folder``; with the units of systemd in that folder."""
    fields = {
        "Package": package,
        "Version": f"{version}-1",
        "Architecture": "amd64",
        "Maintainer": "homelab.mlops contributors <nobody@lab.invalid>",
        "Section": "utils",
        "Priority": "optional",
        "Depends": DEPENDS[package].format(version=version),
        "Description": "part of NVIDIA's container toolkit, packed for the lab",
    }
    with tempfile.TemporaryDirectory() as work:
        tree = pathlib.Path(work, "tree")
        (tree / "DEBIAN").mkdir(parents=True)
        control = "".join(f"{name}: {value}\n" for name, value in fields.items() if value)
        (tree / "DEBIAN" / "control").write_text(control, encoding="utf-8")
        for program in CONTENT.get(package, ()):
            (tree / "usr" / "bin").mkdir(parents=True, exist_ok=True)
            shutil.copy(paths[program], tree / "usr" / "bin" / program)
        if units:
            (tree / "DEBIAN" / "postinst").write_text(POSTINST, encoding="utf-8")
            for name, target in DEPLOYMENTS.items():
                (tree / target).mkdir(parents=True, exist_ok=True)
                shutil.copyfile(units / name, tree / target / pathlib.PurePath(name).name)
        for path in (tree, *tree.rglob("*")):
            path.chmod(0o755 if path.is_dir() or path.parent.name == "bin" or path.name == "postinst" else 0o644)
        target = folder / f"{package}_{version}-1_amd64.deb"
        _run(["dpkg-deb", "--root-owner-group", "-Zgzip", "-z1", "--build", str(tree), str(target)])


def _sign(home: pathlib.Path, folders: list[pathlib.Path], key: pathlib.Path) -> None:
    """Make a key, write it armored, and give each folder an index that it signs; the secret half is gone with ``home``."""
    home.chmod(0o700)
    gpg = ["gpg", "--homedir", str(home), "--batch", "--quiet", "--pinentry-mode", "loopback", "--passphrase", ""]
    try:
        _run([*gpg, "--quick-generate-key", "lab <nobody@lab.invalid>", "rsa3072", "sign", "never"])
        key.parent.mkdir(parents=True, exist_ok=True)
        _run([*gpg, "--armor", "--output", str(key), "--export"])
        for folder in folders:
            index(folder)
            _run([*gpg, "--clearsign", "--digest-algo", "SHA512", "--output", str(folder / "InRelease"), str(folder / "Release")])
    finally:
        subprocess.run(["gpgconf", "--homedir", str(home), "--kill", "all"], check=False, capture_output=True)


def index(folder: pathlib.Path) -> None:
    """Write ``Packages`` and ``Release`` of a flat repository over the packages in ``folder``."""
    stanzas = []
    for deb in sorted(folder.glob("*.deb")):
        content = deb.read_bytes()
        control = _run(["dpkg-deb", "--field", str(deb)])
        stanzas.append(f"{control}Filename: ./{deb.name}\nSize: {len(content)}\nSHA256: {hashlib.sha256(content).hexdigest()}\n")
    packages = "\n".join(stanzas).encode()
    (folder / "Packages").write_bytes(packages)
    release = {
        "Origin": "lab",
        "Label": "lab",
        "Architectures": "amd64",
        "Date": "Thu, 01 Jan 2026 00:00:00 UTC",
        "SHA256": f"\n {hashlib.sha256(packages).hexdigest()} {len(packages)} Packages",
    }
    (folder / "Release").write_text("".join(f"{name}: {value}\n" for name, value in release.items()), encoding="utf-8")


def _run(command: list[str], environment: dict[str, str] | None = None) -> str:
    """Standard output of a command, with variables beside its environment.

    Raises:
        LabError: it failed, or is not there.
    """
    try:
        done = subprocess.run(command, check=False, capture_output=True, text=True, env=os.environ | (environment or {}))
    except FileNotFoundError as error:
        raise LabError(f"{command[0]} is missing: run `make venv`") from error
    if done.returncode:
        raise LabError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout
