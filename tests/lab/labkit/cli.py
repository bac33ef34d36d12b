# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command ``lab``."""

from __future__ import annotations

import argparse
import os
import pathlib
import re
import shlex
import sys
import time

from . import binaries, hosts, images, nvidia, rootfs, topology
from .lab import CHECKOUT, Lab, everywhere, phase, unfinished
from .podman import LabError, as_root, podman

_NAME = re.compile(r"[a-z0-9][a-z0-9-]{0,30}")


def main(arguments: list[str] | None = None) -> int:
    """Entry point; exit status 1 with one line on stderr when something is wrong."""
    options = _parser().parse_args(arguments)
    try:
        return options.run(options)
    except (LabError, topology.TopologyError) as error:
        print(f"lab: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("lab: interrupted; the next `lab up` of this name cleans up", file=sys.stderr)
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="lab", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="up|list|ssh|logs|stop|down|build")

    def command(name: str, run, text: str) -> argparse.ArgumentParser:
        child = commands.add_parser(name, help=text, description=text)
        child.set_defaults(run=run)
        if name not in ("list", "build"):
            child.add_argument("--name", type=_name, default="demo", help="name of the lab (default: demo)")
        return child

    up = command("up", _up, "make a lab, or mend it; changes nothing when it is up")
    up.add_argument("--topology", default="demo", metavar="NAME|FILE.yml", help="which hosts (default: demo)")
    command("list", _list, "labs of this machine, those of other checkouts too")
    ssh = command("ssh", _ssh, "log in to a host, or run a command there: one argument is a shell line, several are taken as they are")
    ssh.add_argument("host")
    ssh.add_argument("command", nargs=argparse.REMAINDER)
    logs = command("logs", _logs, "journal of a host or of one unit on it")
    logs.add_argument("host")
    logs.add_argument("unit", nargs="?")
    logs.add_argument("--follow", "-f", action="store_true", help="go on until interrupted")
    stop = command("stop", _stop, "cut the power of one host; `lab up` with the lab's topology boots it again")
    stop.add_argument("host")
    down = command("down", _down, "remove a lab")
    down.add_argument("--all", action="store_true", help="all labs of this checkout")
    down.add_argument("--checkout", type=pathlib.Path, default=CHECKOUT, help="of another checkout, as `lab list` shows it")
    build = command("build", _build, "build what labs are made of into the cache")
    build.add_argument("--ingress", action="store_true", help="also Traefik, which takes longest and which few labs have")
    return parser


def _name(text: str) -> str:
    if not _NAME.fullmatch(text):
        raise argparse.ArgumentTypeError("lower-case letters, digits and dashes only, at most 31")
    return text


def _up(options: argparse.Namespace) -> int:
    started = time.monotonic()
    lab = Lab(options.name)
    lab.up(topology.find(options.topology))
    print(f"lab {lab.name} is up after {time.monotonic() - started:.0f} s; inventory: {_short(lab.folder / 'inventory.yml')}")
    return 0


def _list(options: argparse.Namespace) -> int:
    labs = everywhere()
    known = {(lab["checkout"], lab["name"]) for lab in labs}
    for name in unfinished():
        if (str(CHECKOUT), name) not in known:
            labs.append({"checkout": str(CHECKOUT), "name": name, "hosts": {}})
    for entry in labs:
        lab = Lab(entry["name"], pathlib.Path(entry["checkout"]))
        state = lab.state
        where = "" if lab.checkout == CHECKOUT else f"  (checkout {lab.checkout})"
        print(f"{lab.name}{where}  {state.get('subnet', 'unfinished')}")
        for host, status in entry["hosts"].items():
            address = state.get("hosts", {}).get(host, {}).get("address", "-")
            print(f"  {host:<16} {address:<15} {status}")
    if not labs:
        print("no labs on this machine")
    return 0


def _ssh(options: argparse.Namespace) -> int:
    lab, address = _address(options)
    words = options.command[1:] if options.command[:1] == ["--"] else options.command
    line = words if len(words) == 1 else [shlex.join(words)] if words else []
    command = lab.ssh(options.host, address)
    if sys.stdin.isatty() and sys.stdout.isatty():
        command.insert(1, "-t")
    os.execvp(command[0], [*command, *line])


def _logs(options: argparse.Namespace) -> int:
    lab, _ = _address(options)
    command = ["podman", "exec", hosts.container_name(lab.prefix, options.host), "journalctl", "--no-pager"]
    command += [f"--unit={options.unit}"] if options.unit else []
    command += ["--follow"] if options.follow else []
    command = [*as_root(), *command]
    os.execvp(command[0], command)


def _stop(options: argparse.Namespace) -> int:
    lab, _ = _address(options)
    podman("stop", "--time", "0", hosts.container_name(lab.prefix, options.host))
    print(f"{options.host} of lab {lab.name} has no power")
    return 0


def _address(options: argparse.Namespace) -> tuple[Lab, str]:
    lab = Lab(options.name)
    known = lab.state.get("hosts", {})
    if not known:
        raise LabError(f"lab {lab.name} is not up: `lab up --name {lab.name}`")
    if options.host not in known:
        raise LabError(f"no host {options.host} in lab {lab.name}; it has {', '.join(known)}")
    return lab, known[options.host]["address"]


def _down(options: argparse.Namespace) -> int:
    checkout = options.checkout.resolve()
    names = [options.name]
    if options.all:
        names = [entry["name"] for entry in everywhere() if entry["checkout"] == str(checkout)]
        names += [name for name in unfinished() if checkout == CHECKOUT and name not in names]
    for name in names:
        removed = Lab(name, checkout).down()
        print(f"lab {name} is gone" if removed else f"lab {name} was not there")
    return 0


def _build(options: argparse.Namespace) -> int:
    with phase("image of the hosts"):
        rootfs.host_image()
    with phase("binaries"):
        binaries.ensure_binaries(name for name in binaries.programs() if options.ingress or name != "traefik")
        nvidia.repository()
    for name in images.ARCHIVES if options.ingress else [name for name in images.ARCHIVES if name != "ingress"]:
        with phase(f"image archive {name}"):
            print(f"   {images.archive(name)}")
    return 0


def _short(path: pathlib.Path) -> pathlib.Path:
    return path.relative_to(CHECKOUT) if path.is_relative_to(CHECKOUT) else path
