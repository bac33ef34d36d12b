# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's package repository of NVIDIA's container toolkit, read as APT reads it."""

import hashlib
import pathlib
import subprocess

import pytest
from labkit import nvidia
from labkit.podman import LabError


@pytest.fixture
def programs(tmp_path):
    """Scripts in place of the toolkit's programs, for each version."""
    found = {}
    for version in nvidia.VERSIONS:
        folder = tmp_path / version
        folder.mkdir()
        for name in nvidia.PROGRAMS:
            (folder / name).write_text(f"#!/bin/sh\necho {name} {version}\n")
        found[version] = {name: folder / name for name in nvidia.PROGRAMS}
    return found


@pytest.fixture
def units(tmp_path):
    """The module's folder with files that name themselves."""
    folder = tmp_path / "deployments"
    for name in nvidia.DEPLOYMENTS:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(name)
    return folder


@pytest.fixture
def repository(tmp_path, programs, units, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(nvidia, "programs", programs.__getitem__)
    monkeypatch.setattr(nvidia, "deployments", lambda: units)
    return nvidia.repository()


def stanzas(folder):
    """The index as APT reads it: (package, version) to fields."""
    found = {}
    for block in (folder / "Packages").read_text().strip().split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if not line.startswith(" "))
        found[fields["Package"], fields["Version"]] = fields
    return found


def verified(folder, key):
    keyring = pathlib.Path(f"{key}.gpg")
    subprocess.run(["gpg", "--dearmor", "--yes", "--output", str(keyring), str(key)], check=True, capture_output=True)
    done = subprocess.run(["gpgv", "--keyring", str(keyring), "--output", "-", str(folder / "InRelease")], check=False, capture_output=True)
    return done.stdout.decode() if done.returncode == 0 else None


def test_four_packages_in_two_versions(repository):
    folder = repository / "nvidia" / "stable" / "deb" / "amd64"
    found = stanzas(folder)
    assert sorted(found) == sorted((name, f"{version}-1") for name in nvidia.DEPENDS for version in nvidia.VERSIONS)
    depends = found["nvidia-container-toolkit", "1.20.1-1"]["Depends"]
    assert depends == "nvidia-container-toolkit-base (= 1.20.1-1), libnvidia-container-tools (= 1.20.1-1)"
    for fields in found.values():
        content = (folder / fields["Filename"]).read_bytes()
        assert (int(fields["Size"]), fields["SHA256"]) == (len(content), hashlib.sha256(content).hexdigest())


def test_the_index_is_signed_and_covers_the_packages(repository):
    folder = repository / "nvidia" / "stable" / "deb" / "amd64"
    release = verified(folder, repository / "nvidia" / "gpgkey")
    assert hashlib.sha256((folder / "Packages").read_bytes()).hexdigest() in release
    assert verified(folder, repository / "nvidia-other" / "gpgkey") is None
    assert (repository / "nvidia" / "gpgkey").read_text().startswith("-----BEGIN PGP PUBLIC KEY BLOCK-----")


def test_one_package_is_missing_from_the_broken_mirror(repository):
    whole = set(stanzas(repository / "nvidia" / "stable" / "deb" / "amd64"))
    broken = repository / "nvidia-incomplete" / "stable" / "deb" / "amd64"
    assert whole - set(stanzas(broken)) == {("libnvidia-container1", "1.20.1-1")}
    assert verified(broken, repository / "nvidia" / "gpgkey") is not None


def test_programs_are_in_their_packages(repository, tmp_path):
    folder = repository / "nvidia" / "stable" / "deb" / "amd64"
    for package in nvidia.DEPENDS:
        subprocess.run(["dpkg-deb", "--extract", str(folder / f"{package}_1.20.1-1_amd64.deb"), str(tmp_path / "root")], check=True)
    installed = sorted((tmp_path / "root" / "usr" / "bin").iterdir())
    assert [path.name for path in installed] == sorted(nvidia.PROGRAMS)
    assert subprocess.run([str(installed[1])], check=True, capture_output=True, text=True).stdout == "nvidia-container-runtime 1.20.1\n"


def test_units_are_in_the_package_of_the_programs_that_they_run(repository, tmp_path):
    deb = repository / "nvidia" / "stable" / "deb" / "amd64" / "nvidia-container-toolkit-base_1.20.1-1_amd64.deb"
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(tmp_path / "root")], check=True)
    assert (tmp_path / "root/lib/systemd/system/nvidia-cdi-refresh.service").read_text() == "systemd/nvidia-cdi-refresh.service"
    assert (tmp_path / "root/lib/systemd/system/nvidia-cdi-refresh.service.d/10-container-engines.conf").exists()
    assert (tmp_path / "root/DEBIAN/postinst").stat().st_mode & 0o111


def test_a_command_that_fails_says_why(tmp_path):
    (tmp_path / "a.deb").write_text("no package")
    with pytest.raises(LabError, match="dpkg-deb failed: .*archive"):
        nvidia.index(tmp_path)
