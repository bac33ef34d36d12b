# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts of a lab: systemd containers that look like bare Debian servers to whoever logs in by ssh."""

from __future__ import annotations

import concurrent.futures
import io
import os
import pathlib
import socket
import subprocess
import sys
import tarfile
import time
import uuid

from . import settings
from .podman import LabError, as_root, own_limits, podman, podman_json
from .topology import Host

USER = "lab"
LABEL_LAB = "homelab.mlops.lab"
LABEL_CHECKOUT = "homelab.mlops.checkout"
LABEL_HOST = "homelab.mlops.host"

BOOT_SECONDS = 60

# A host's systemd, dbus and logind use 8 inotify instances, a Kubernetes node 25 more; the kernel counts those of all hosts
# together, as they are all root's. Its default is 128.
INOTIFY = pathlib.Path("/proc/sys/fs/inotify/max_user_instances")
INOTIFY_INSTANCES = 8192


def raise_inotify_limit() -> None:
    """Let root have enough inotify instances for several labs, until the machine's next boot; says so when it changes it.

    Raises:
        LabError: the machine does not let us; systemd would hang in one host or another.
    """
    before = int(INOTIFY.read_text(encoding="ascii"))
    if before >= INOTIFY_INSTANCES:
        return
    setting = f"fs.inotify.max_user_instances={INOTIFY_INSTANCES}"
    done = subprocess.run([*as_root(), "sysctl", "--quiet", "--write", setting], check=False, capture_output=True, text=True)
    if done.returncode:
        raise LabError(f"fs.inotify.max_user_instances is {before}, too low for several systemds: run `sysctl -w {setting}` as root")
    print(f"   fs.inotify.max_user_instances of this machine raised from {before} to {INOTIFY_INSTANCES}", file=sys.stderr, flush=True)


def new_key(path: pathlib.Path, comment: str) -> str:
    """Make an ed25519 key pair at ``path`` (0600, public part beside it) and return the public line."""
    path.unlink(missing_ok=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", comment, "-f", path], check=True)
    return path.with_suffix(".pub").read_text(encoding="utf-8").strip()


class Files:
    """A tar archive in memory that is unpacked over a host's root file system before it boots."""

    def __init__(self) -> None:
        self._buffer = io.BytesIO()
        self._tar = tarfile.open(fileobj=self._buffer, mode="w")  # noqa: SIM115 - closed by content()

    def add(self, path: str, content: str | bytes, mode: int = 0o644, owner: int = 0) -> None:
        """Add one file; folders on the way must exist or are made with podman's defaults."""
        data = content.encode() if isinstance(content, str) else content
        member = tarfile.TarInfo(path.lstrip("/"))
        member.size, member.mode, member.uid, member.gid, member.mtime = len(data), mode, owner, owner, int(time.time())
        self._tar.addfile(member, io.BytesIO(data))

    def content(self) -> bytes:
        """The finished archive."""
        self._tar.close()
        return self._buffer.getvalue()


def _quoted(assignment: str) -> str:
    """An assignment as systemd's ``DefaultEnvironment`` takes it (systemd.exec(5), Environment=)."""
    return '"' + assignment.replace("\\", "\\\\").replace('"', '\\"').replace("%", "%%") + '"'


def shared_files(files: Files, known_certificates: str, inside: list[str]) -> None:
    """Add what every host takes over from this machine.

    Args:
        files: the archive to add to.
        known_certificates: PEM text of the authorities that Debian brings itself.
        inside: addresses and networks that no proxy may serve.
    """
    bundle = settings.ca_bundle()
    if bundle:
        files.add(settings.BUNDLE, bundle)
        for number, block in enumerate(settings.extra_certificates(bundle, known_certificates)):
            files.add(f"/usr/local/share/ca-certificates/lab-{number:03}.crt", block)
    environment = settings.environment(dict(os.environ), inside)
    files.add("/etc/environment", "".join(f'{name}="{value}"\n' for name, value in environment.items()))
    defaults = " ".join(_quoted(f"{name}={value}") for name, value in environment.items())
    files.add("/etc/systemd/system.conf.d/lab.conf", f"[Manager]\nDefaultEnvironment={defaults}\n")
    if pip := settings.pip_configuration():
        files.add("/etc/pip.conf", pip)
    if uv := settings.uv_configuration():
        files.add("/etc/uv/uv.toml", uv)
    if sources := settings.apt_sources():
        files.add("/etc/apt/sources.list", "\n".join([*sources, ""]))
        for path, content in settings.apt_keyrings(sources).items():
            files.add(path, content)
    if options := settings.apt_options():
        files.add("/etc/apt/apt.conf.d/90lab", "\n".join([*options, ""]))
    if credentials := settings.apt_credentials():
        files.add("/etc/apt/auth.conf", credentials, mode=0o600)


def container_name(prefix: str, host: str) -> str:
    """Name of a host's container and of its disk."""
    return f"{prefix}-{host}"


def create(
    host: Host,
    *,
    image: str,
    prefix: str,
    address: str,
    labels: dict[str, str],
    files: bytes,
) -> str:
    """Create a host's disk and container, put its files in place and start it; returns the container's id.

    Args:
        host: what the topology says about it.
        image: podman's image of the hosts.
        prefix: what the names of this lab's podman objects begin with; the network has exactly this name.
        address: the host's fixed IPv4 address.
        labels: labels of the lab.
        files: archive from ``Files.content``.
    """
    name = container_name(prefix, host.name)
    labelled = [argument for key, value in {**labels, LABEL_HOST: host.name}.items() for argument in ("--label", f"{key}={value}")]
    podman("volume", "create", *labelled, name)
    # The disk is no overlay file system: containerd's overlayfs snapshotter cannot use one below it.
    mounts = ["--volume", f"{name}:/var/lib/rancher"]
    if os.path.isdir("/lib/modules"):
        mounts += ["--volume", "/lib/modules:/lib/modules:ro"]
    if host.pci:
        mounts += ["--volume", f"{host.pci}:/sys/bus/pci/devices:ro"]
    identifier = podman(
        "create",
        "--name",
        name,
        "--hostname",
        host.name,
        *labelled,
        # podman's own mode for systemd shows a cgroup v1 host the whole machine's tree instead of its own part
        # (libpod setupSystemd binds /sys/fs/cgroup/systemd), so what systemd needs is given one by one.
        "--systemd=false",
        "--env=container=podman",
        "--tmpfs=/run:rw,mode=755,nosuid,nodev",
        "--tmpfs=/run/lock:rw,mode=1777,nosuid,nodev,noexec",
        "--stop-signal=SIGRTMIN+3",
        "--privileged",
        "--cgroupns=private",
        "--pids-limit=-1",
        "--stop-timeout=20",
        *(argument for key, value in own_limits().items() for argument in ("--ulimit", f"{key}={value}:{value}")),
        "--network",
        prefix,
        "--ip",
        address,
        "--no-hosts",
        # A host that reboots ends its container with a signal; switched off is a host that podman stops.
        "--restart=on-failure",
        *mounts,
        image,
        "/sbin/init",
    ).strip()
    podman("cp", "--archive=false", "-", f"{identifier}:/", stdin=files)
    podman("start", identifier)
    return identifier


def own_files(files: Files, name: str, known: dict[str, str], folder: pathlib.Path, public_key: str) -> str:
    """Add what one host has alone (host key, machine id, names, login key) and return its host key for ``known_hosts``.

    Args:
        files: the archive to add to.
        name: host name.
        known: name to address of every host of the lab, and of what else it resolves.
        folder: where the key is made; nothing stays there.
        public_key: who may log in as ``lab``.
    """
    key = folder / f"ssh_host_{name}"
    try:
        public = new_key(key, f"root@{name}")
        files.add("/etc/ssh/ssh_host_ed25519_key", key.read_bytes(), mode=0o600)
        files.add("/etc/ssh/ssh_host_ed25519_key.pub", public + "\n")
    finally:
        key.unlink(missing_ok=True)
        key.with_suffix(".pub").unlink(missing_ok=True)
    names = "".join(f"{address} {other}\n" for other, address in known.items())
    files.add("/etc/hosts", f"127.0.0.1 localhost\n::1 localhost ip6-localhost ip6-loopback\n{names}")
    files.add("/etc/machine-id", uuid.uuid4().hex + "\n", mode=0o444)
    files.add("/home/lab/.ssh/authorized_keys", public_key + "\n", mode=0o600, owner=1000)
    return " ".join(public.split()[:2])


def wait_for_ssh(addresses: dict[str, str], ssh: dict[str, list[str]]) -> None:
    """Wait until every host lets the lab's user in.

    Args:
        addresses: host name to address.
        ssh: host name to the ssh command up to and with the destination.

    Raises:
        LabError: a host does not within ``BOOT_SECONDS``.
    """

    def wait(name: str) -> None:
        deadline = time.monotonic() + BOOT_SECONDS
        said = "no answer"
        while time.monotonic() < deadline:
            try:
                with socket.create_connection((addresses[name], 22), timeout=2) as connection:
                    connection.settimeout(5)
                    ready = connection.recv(4) == b"SSH-"
            except OSError as error:
                ready, said = False, str(error)
            if ready:
                done = subprocess.run([*ssh[name], "true"], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
                if done.returncode == 0:
                    return
                said = (done.stderr.strip().splitlines() or [said])[-1]
            time.sleep(0.3)
        raise LabError(f"{name} ({addresses[name]}) lets nobody in after {BOOT_SECONDS} s: {said}; see `lab logs {name}`")

    with concurrent.futures.ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(wait, addresses))


def containers(labels: dict[str, str]) -> list[dict]:
    """podman's entries of the containers with these labels, stopped ones too."""
    arguments = [argument for key, value in labels.items() for argument in ("--filter", f"label={key}={value}")]
    return podman_json("ps", "--all", "--format", "json", *arguments)
