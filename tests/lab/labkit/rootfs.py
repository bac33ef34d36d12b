# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Debian 12 root file systems, made by mmdebstrap and kept in the cache."""

from __future__ import annotations

import pathlib
import shlex
import subprocess

from . import cache, settings
from .podman import LabError, as_root, podman, podman_json

HOST_IMAGE = "localhost/homelab-mlops-host"

# What a minimal Debian server has; the roles install the rest. python3-apt is part of Debian's standard task.
HOST_PACKAGES = (
    "ca-certificates",
    "curl",
    "dbus",
    "iproute2",
    "iptables",
    "iputils-ping",
    "kmod",
    "openssh-server",
    "procps",
    "python3",
    "python3-apt",
    "sudo",
    "systemd",
    "systemd-sysv",
)

# Units that would act on the machine below the container, or wait for devices that a container has not.
MASKED_UNITS = (
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "console-getty.service",
    "dev-hugepages.mount",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
    "getty.target",
    "getty@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "sys-fs-fuse-connections.mount",
    "sys-kernel-config.mount",
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    "systemd-binfmt.service",
    "systemd-modules-load.service",
    "systemd-networkd-wait-online.service",
    "systemd-pstore.service",
    "systemd-sysctl.service",
    "systemd-timesyncd.service",
    "systemd-udevd.service",
)

# The kubelet needs a shared root for the mounts of pods. A boot has an id of its own, as systemd-nspawn gives it;
# Ansible tells by it that a host came back from a reboot. The machine's virtual consoles are none of a host's business.
_BOOT_UNIT = """[Unit]
Description=What a kernel of its own would give this host
DefaultDependencies=no
Before=sysinit.target systemd-journald.service

[Service]
Type=oneshot
ExecStart=/bin/mount --make-rshared /
ExecStart=/bin/sh -c 'rm -f /dev/tty[0-9]*'
ExecStart=/bin/sh -c 'cat /proc/sys/kernel/random/uuid >/run/boot_id && mount --bind /run/boot_id /proc/sys/kernel/random/boot_id'
RemainAfterExit=yes

[Install]
WantedBy=sysinit.target
"""

_HOST_SCRIPT = f"""
set -eu
useradd --create-home --shell /bin/bash --uid 1000 lab
install -d -m 0700 -o lab -g lab /home/lab/.ssh
printf 'lab ALL=(ALL:ALL) NOPASSWD: ALL\\nDefaults env_file=/etc/environment\\n' >/etc/sudoers.d/lab
chmod 0440 /etc/sudoers.d/lab
for unit in {" ".join(MASKED_UNITS)}; do ln -sf /dev/null "/etc/systemd/system/$unit"; done
cat >/etc/systemd/system/lab-boot.service <<'UNIT'
{_BOOT_UNIT}UNIT
systemctl enable lab-boot.service ssh.service
install -d /etc/systemd/logind.conf.d
printf '[Login]\\nNAutoVTs=0\\nReserveVT=0\\nHandlePowerKey=ignore\\nHandleLidSwitch=ignore\\n' >/etc/systemd/logind.conf.d/lab.conf
systemctl set-default multi-user.target
echo 'L /dev/kmsg - - - - /dev/null' >/etc/tmpfiles.d/lab.conf
printf 'PasswordAuthentication no\\nUseDNS no\\n' >/etc/ssh/sshd_config.d/lab.conf
install -d /etc/systemd/journald.conf.d
printf '[Journal]\\nReadKMsg=no\\n' >/etc/systemd/journald.conf.d/lab.conf
rm -f /etc/ssh/ssh_host_*
: >/etc/machine-id
rm -f /var/lib/dbus/machine-id
"""


def build(unfinished: pathlib.Path, packages: tuple[str, ...], script: str, variant: str) -> None:
    """Make a folder with ``root.tar`` and ``ca-certificates.crt``, Debian's own certificates (empty when it has none).

    Args:
        unfinished: path of the folder.
        packages: what to install besides the essential ones.
        script: shell commands that run inside the root file system at the end.
        variant: of mmdebstrap: ``minbase``, or ``extract`` for packages that are unpacked and not configured.

    Raises:
        LabError: mmdebstrap failed; the message holds its last lines.
    """
    unfinished.mkdir()
    command = [
        *as_root(),
        "mmdebstrap",
        "--quiet",
        f"--variant={variant}",
        f"--include={','.join(packages)}",
        '--aptopt=APT::Install-Recommends "false"',
        '--aptopt=Acquire::Languages "none"',
        *(f"--aptopt={line.rstrip(';')}" for line in settings.apt_options()),
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        f'--customize-hook=chroot "$1" sh -c {shlex.quote(script)}' if script else "--customize-hook=true",
        # The machine's transport settings go into a host when it is created. Package sources stay: a machine of another
        # release has none to give, and mmdebstrap's own are right then.
        '--customize-hook=rm -rf "$1/etc/apt/apt.conf.d/99mmdebstrap" "$1"/var/log/apt/* "$1/var/log/dpkg.log" "$1/var/log/bootstrap.log"',
        f'--customize-hook=cp "$1{settings.BUNDLE}" {shlex.quote(str(unfinished))}/ 2>/dev/null || true',
        settings.SUITE,
        str(unfinished / "root.tar"),
    ]
    sources = settings.apt_sources()
    done = subprocess.run(
        [*command, *(["-"] if sources else [])],
        input="\n".join([*sources, ""]),
        check=False,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    if done.returncode:
        raise LabError("mmdebstrap failed:\n" + "\n".join(done.stdout.splitlines()[-15:]))
    bundle = unfinished / "ca-certificates.crt"
    if not bundle.exists():
        bundle.touch()


def ensure(name: str, packages: tuple[str, ...], script: str = "", variant: str = "minbase") -> pathlib.Path:
    """The cached root file system of these packages; a folder as ``build`` makes it."""
    key = cache.key_of([], ("rootfs 1", settings.SUITE, sorted(packages), script, variant))
    return cache.ensure("rootfs", f"{name}-{key}", lambda path: build(path, packages, script, variant), f"root file system {name}")


def host_rootfs() -> pathlib.Path:
    """The root file system of the lab's hosts."""
    return ensure("host", HOST_PACKAGES, _HOST_SCRIPT)


def host_image() -> str:
    """Name of podman's image of the hosts, imported first when podman lacks it."""
    folder = host_rootfs()
    image = f"{HOST_IMAGE}:{folder.name.removeprefix('host-')}"
    with cache.locked("host-image"):
        if not podman_json("image", "ls", "--format", "json", "--filter", f"reference={image}"):
            podman("import", "--quiet", "--change", 'CMD ["/sbin/init"]', str(folder / "root.tar"), image)
    return image
