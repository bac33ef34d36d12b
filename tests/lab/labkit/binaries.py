# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's Go programs, built from their modules into the cache, keyed by sources, versions, flags and compiler.

Everything that shares modules with Kubernetes is built from the one go.mod of ``tests/lab/src`` with the same flags, so that
Go compiles each package once; another version string only links anew.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterable

from . import cache
from .podman import LabError
from .topology import LAB

SOURCES = LAB / "src"
K3S_VERSIONS = ("v1.33.5+k3s1", "v1.34.1+k3s1", "v1.34.2+k3s1")
HELM_VERSION = "v3.19.0"
# The last module version of the community's MinIO; it names itself by the date in its version.
MINIO = "github.com/minio/minio@v0.0.0-20260212201848-7aac2a2c5b7c"
# What it calls itself as a release: its module's date, and a later one for upgrades. One code, linked with two names.
MINIO_RELEASES = ("RELEASE.2026-02-12T20-18-48Z", "RELEASE.2026-02-13T00-00-00Z")
# What Traefik is built without, since no lab has it and most of the download and of the compiler's time would be its: the SDKs of
# two hundred DNS providers, by which it could ask certificate authorities, and Amazon's. Versions are those of src/traefik/go.mod,
# which takes the modules from folders beside it; there a folder of the module is left out, and a file stands in its place.
_NO_DNS = """package dns

import (
	"errors"

	"github.com/go-acme/lego/v4/challenge"
)

// NewDNSChallengeProviderByName knows no provider.
func NewDNSChallengeProviderByName(name string) (challenge.Provider, error) {
	return nil, errors.New("unrecognized DNS provider: " + name)
}
"""
_NO_ECS = """package ecs

import (
	"errors"

	"github.com/traefik/traefik/v3/pkg/config/dynamic"
	"github.com/traefik/traefik/v3/pkg/safe"
)

// Provider provides nothing.
type Provider struct{}

// Init refuses to serve.
func (p *Provider) Init() error { return errors.New("built without Amazon ECS") }

// Provide is not reached.
func (p *Provider) Provide(chan<- dynamic.Message, *safe.Pool) error { return p.Init() }
"""
TRAEFIK_WITHOUT = (
    ("lego", "github.com/go-acme/lego/v4@v4.33.0", "providers", "dns/dns.go", _NO_DNS),
    ("traefik", "github.com/traefik/traefik/v3@v3.6.12", "pkg/provider/ecs", "ecs.go", _NO_ECS),
)
RUNC = "github.com/opencontainers/runc@v1.3.1"
# What the stand-in answers to `k3s --version` in the place of K3s's commit.
COMMIT = "0123abcd"

TAGS = "providerless netgo osusergo static_build no_btrfs"
CNI_PLUGINS = ("main/bridge", "main/loopback", "ipam/host-local", "meta/portmap")
HEARTBEAT_SECONDS = 20.0


@dataclasses.dataclass(frozen=True)
class Program:
    """How to build one program.

    Attributes:
        package: Go package, or ``module@version`` for one with a module graph of its own.
        folder: folder of the go.mod that the package is built in; None for ``module@version``.
        variables: values set at link time, by their Go name.
        payload: whether K3s's payload (runc, shim, CNI plugins) is appended as a zip archive.
        cgo: whether it has C sources (runc's, with libseccomp); linked statically all the same.
        without: modules that its go.mod takes from folders beside it, and what is left out of them there: folder, ``module@version``,
            folder in the module, and the file in its place with its text.
        dynamic: whether it has C sources and loads libraries when it runs, so that it cannot be linked statically.
    """

    package: str
    folder: pathlib.Path | None = SOURCES
    variables: tuple[tuple[str, str], ...] = ()
    payload: bool = False
    cgo: bool = False
    without: tuple[tuple[str, str, str, str, str], ...] = ()
    dynamic: bool = False


def programs() -> dict[str, Program]:
    """All programs by name."""
    found = {
        f"k3s@{version}": Program(
            "./cmd/k3s",
            variables=(("k8s.io/component-base/version.gitVersion", version), ("main.gitCommit", COMMIT)),
            payload=True,
        )
        for version in K3S_VERSIONS
    }
    found |= {f"minio@{release}": Program(MINIO, folder=None, variables=_minio_variables(release)) for release in MINIO_RELEASES}
    return found | {
        "helm": Program("helm.sh/helm/v3/cmd/helm", variables=(("helm.sh/helm/v3/internal/version.version", HELM_VERSION),)),
        "local-path-provisioner": Program("github.com/rancher/local-path-provisioner"),
        "pause": Program("./cmd/pause"),
        "coredns": Program(".", folder=SOURCES / "coredns"),
        "minio": Program(MINIO, folder=None),
        "traefik": Program("github.com/traefik/traefik/v3/cmd/traefik", folder=SOURCES / "traefik", without=TRAEFIK_WITHOUT),
    }


def _minio_variables(release: str) -> tuple[tuple[str, str], ...]:
    """What MinIO's own builds set at link time (buildscripts/gen-ldflags.go)."""
    date, _sep, time_of_day = release.removeprefix("RELEASE.").partition("T")
    package = "github.com/minio/minio/cmd"
    return (
        (f"{package}.Version", f"{date}T{time_of_day.replace('-', ':')}"),
        (f"{package}.ReleaseTag", release),
        (f"{package}.CommitID", MINIO.rpartition("-")[2]),
        (f"{package}.ShortCommitID", MINIO.rpartition("-")[2]),
        (f"{package}.CopyrightYear", date[:4]),
    )


@functools.cache
def compiler() -> tuple[str, str]:
    """Path and version of Go: the one beside this Python (PyPI's, where the machine's is too old), or the machine's.

    Raises:
        LabError: there is none.
    """
    beside = pathlib.Path(sys.executable).with_name("go")
    go = str(beside) if beside.exists() else shutil.which("go")
    if not go:
        raise LabError("no Go compiler: run `make venv`, which installs one")
    version = subprocess.run([go, "env", "GOVERSION"], env=_environment(), check=True, capture_output=True, text=True).stdout.strip()
    return go, version


def _environment() -> dict[str, str]:
    """Go's environment: one set of flags for all, no other toolchain than the one that is there, no C."""
    return os.environ | {"GOFLAGS": "-buildvcs=false -mod=mod", "GOTOOLCHAIN": "local", "CGO_ENABLED": "0"}


def _key(name: str, program: Program) -> str:
    sources: list[pathlib.Path] = []
    if program.folder:
        sources = [program.folder / "go.mod", program.folder / "go.sum"]
        if program.package.startswith("."):
            own = program.folder / program.package
            sources += [own, *([program.folder / "internal"] if program.payload else [])]
    also = ((CNI_PLUGINS, RUNC, "seccomp") if program.payload else ()) + program.without
    extra = (name, program.package, program.variables, TAGS, compiler()[1], also)
    return f"{name.replace('@', '-').replace('+', '-')}-{cache.key_of(sources, extra)}"


def ensure_binaries(names: Iterable[str] | None = None) -> dict[str, pathlib.Path]:
    """Paths of programs by name, built first when absent.

    Args:
        names: names out of ``programs()``; all of them by default.

    Raises:
        LabError: a name is unknown, or a build failed; its last lines are in the message.
    """
    known = programs()
    chosen = list(known if names is None else names)
    if unknown := [name for name in chosen if name not in known]:
        raise LabError(f"no program {unknown[0]}; there are {', '.join(known)}")
    return {name: ensure_program(name, known[name]) for name in chosen}


def ensure_program(name: str, program: Program) -> pathlib.Path:
    """Path of a program, built first when absent.

    Raises:
        LabError: the build failed; its last lines are in the message.
    """

    def build(unfinished: pathlib.Path) -> None:
        _build(program, unfinished, name)
        if program.payload:
            append_payload(unfinished, _payload())
        unfinished.chmod(0o755)

    return cache.ensure("bin", _key(name, program), build, name)


def _build(program: Program, target: pathlib.Path, label: str) -> None:
    """Compile a program to ``target``."""
    go, _version = compiler()
    settings = " ".join(f"-X {key}={value}" for key, value in program.variables)
    linking = "-s -w -linkmode external -extldflags -static" if program.cgo else "-s -w"
    if program.dynamic:  # symbols of the libraries are looked for when they are called
        linking = "-s -w -extldflags=-Wl,-z,lazy"
    flags = ["-tags", f"{TAGS} seccomp" if program.cgo else TAGS, "-trimpath", "-ldflags", f"{linking} {settings}".strip()]
    environment = {"CGO_ENABLED": "1"} if program.cgo or program.dynamic else {}
    if program.without:
        with tempfile.TemporaryDirectory(dir=cache.cache_dir()) as name:
            folder = pathlib.Path(name) / "module"
            shutil.copytree(program.folder, folder)
            for beside, module, left_out, file, text in program.without:
                _module_without(module, left_out, folder / beside)
                instead = folder / beside / left_out / file
                instead.parent.mkdir(parents=True)
                instead.write_text(text, encoding="utf-8")
            _run([go, "build", *flags, "-o", str(target), program.package], folder, label, environment)
        return
    if program.folder:
        _run([go, "build", *flags, "-o", str(target), program.package], program.folder, label, environment)
        return
    # `go install` of a module at a version has no -o: it goes to a folder of its own first.
    folder = target.with_name(f"{target.name}.bin")
    try:
        _run(
            [go, "install", *flags, program.package],
            target.parent,
            label,
            environment | {"GOBIN": str(folder), "GOFLAGS": "-buildvcs=false"},
        )
        (built,) = folder.iterdir()
        os.replace(built, target)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _module_without(module: str, left_out: str, target: pathlib.Path) -> None:
    """Copy a module of Go's module cache to ``target``, except one of its folders."""
    go, _version = compiler()
    # Outside of all modules, where nothing is replaced.
    environment = _environment() | {"GOFLAGS": "", "GOWORK": "off"}
    said = subprocess.run(
        [go, "mod", "download", "-json", module], cwd=cache.cache_dir(), env=environment, stdout=subprocess.PIPE, text=True, check=False
    )
    if said.returncode:
        raise LabError(f"downloading {module} failed:\n{said.stdout}")
    source = pathlib.Path(json.loads(said.stdout)["Dir"])
    # The module cache is read-only, and so would be what copies its modes.
    for path in sorted(source.rglob("*")):
        inside = path.relative_to(source)
        if inside.is_relative_to(left_out):
            continue
        if path.is_dir():
            (target / inside).mkdir(parents=True)
        else:
            (target / inside).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target / inside)


def _payload() -> dict[str, pathlib.Path]:
    """The files that the k3s executable carries, by the name they are unpacked to."""
    key = cache.key_of([SOURCES / "go.mod", SOURCES / "go.sum"], (TAGS, CNI_PLUGINS, RUNC, "seccomp", compiler()[1]))

    def build(unfinished: pathlib.Path) -> None:
        unfinished.mkdir()
        for plugin in CNI_PLUGINS:
            package = f"github.com/containernetworking/plugins/plugins/{plugin}"
            _build(Program(package), unfinished / plugin.rpartition("/")[2], plugin)
        _build(
            Program("github.com/containerd/containerd/v2/cmd/containerd-shim-runc-v2"),
            unfinished / "containerd-shim-runc-v2",
            "containerd-shim-runc-v2",
        )

        _build(Program(RUNC, folder=None, cgo=True), unfinished / "runc", "runc")

    folder = cache.ensure("bin", f"payload-{key}", build, "runc, containerd's shim and the CNI plugins")
    return {path.name: path for path in folder.iterdir()}


def append_payload(executable: pathlib.Path, files: dict[str, pathlib.Path]) -> None:
    """Append files to an executable as a zip archive, the same bytes for the same files."""
    with zipfile.ZipFile(executable, "a", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, path in sorted(files.items()):
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.external_attr = 0o755 << 16
            entry.compress_type = zipfile.ZIP_DEFLATED
            archive.writestr(entry, path.read_bytes())


def _run(command: list[str], folder: pathlib.Path, label: str, environment: dict[str, str]) -> None:
    """Run Go; says every so often that it still does.

    Raises:
        LabError: it failed.
    """
    done = threading.Event()
    beat = threading.Thread(target=_heartbeat, args=(label, done.wait), daemon=True)
    beat.start()
    try:
        finished = subprocess.run(
            command,
            cwd=folder,
            env=_environment() | environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
    finally:
        done.set()
        beat.join()
    if finished.returncode:
        last = "\n".join(finished.stdout.splitlines()[-15:])
        raise LabError(f"building {label} failed:\n{last}")


def _heartbeat(label: str, ended: Callable[[float], bool]) -> None:
    started = time.monotonic()
    while not ended(HEARTBEAT_SECONDS):
        print(f"   compiling {label}: {time.monotonic() - started:.0f} s so far", file=sys.stderr, flush=True)
