# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A lab as a whole: made, found again, described for Ansible, taken down."""

from __future__ import annotations

import concurrent.futures
import contextlib
import dataclasses
import hashlib
import json
import os
import pathlib
import shlex
import shutil
import sys
import time
from collections.abc import Iterator

import yaml

from . import artifacts, cache, hosts, network, nvidia, releases, rootfs, topology
from .podman import LabError, podman, podman_json

CHECKOUT = pathlib.Path(__file__).resolve().parents[3]
STATES = CHECKOUT / ".build" / "lab"


@contextlib.contextmanager
def phase(what: str) -> Iterator[None]:
    """Say what goes on, and afterwards how long it took."""
    started = time.monotonic()
    print(f"-- {what} …", file=sys.stderr, flush=True)
    yield
    print(f"   {what}: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)


@dataclasses.dataclass(frozen=True)
class Lab:
    """One lab of one checkout, up or not."""

    name: str
    checkout: pathlib.Path = CHECKOUT

    @property
    def folder(self) -> pathlib.Path:
        """Where its key, inventory and state are."""
        return self.checkout / ".build" / "lab" / self.name

    @property
    def labels(self) -> dict[str, str]:
        """Labels of everything that podman keeps for it."""
        return {hosts.LABEL_LAB: self.name, hosts.LABEL_CHECKOUT: str(self.checkout)}

    @property
    def prefix(self) -> str:
        """Beginning of the names of its podman objects; two checkouts may have labs of one name."""
        return f"lab-{hashlib.sha256(str(self.checkout).encode()).hexdigest()[:6]}-{self.name}"

    @property
    def state(self) -> dict:
        """What ``up`` wrote at its end; empty when it never got there."""
        try:
            return json.loads((self.folder / "lab.json").read_text(encoding="utf-8"))
        except FileNotFoundError:
            return {}

    def ssh(self, host: str, address: str) -> list[str]:
        """The ssh command that logs in to a host; append what to run there."""
        return ["ssh", *self._ssh_options(), "-i", str(self.folder / "id_ed25519"), "-o", f"HostKeyAlias={host}", f"{hosts.USER}@{address}"]

    def _ssh_options(self) -> list[str]:
        settings = {
            "UserKnownHostsFile": f'"{self.folder / "known_hosts"}"',
            "GlobalKnownHostsFile": "/dev/null",
            "StrictHostKeyChecking": "yes",
            "IdentitiesOnly": "yes",
            "ConnectTimeout": "10",
            "ServerAliveInterval": "15",
            "LogLevel": "ERROR",
        }
        return ["-F", "/dev/null", *(word for name, value in settings.items() for word in ("-o", f"{name}={value}"))]

    @contextlib.contextmanager
    def changing(self) -> Iterator[None]:
        """Keep other processes from making or removing this lab meanwhile."""
        with cache.locked(f"lab-{self.prefix}"):
            yield

    def up(self, source: pathlib.Path) -> None:
        """Make the lab of a topology file, or finish and mend what is there of it.

        Raises:
            TopologyError: the file is wrong.
            LabError: the lab is up with another topology, or something failed.
        """
        plan = topology.read(source)
        with self.changing():
            hosts.raise_inotify_limit()
            image = _image()
            drawn = hashlib.sha256(f"{image}\n{source.read_text(encoding='utf-8')}".encode()).hexdigest()
            state = self.state
            there = hosts.containers(self.labels)
            if state and len(there) == len(state["hosts"]):
                if state["drawn"] != drawn:
                    raise LabError(f"lab {self.name} is up with another topology or older hosts: `lab down --name {self.name}` first")
                self._wake(there)
            else:
                if there or state or self.folder.exists():
                    with phase(f"remove what is left of lab {self.name}"):
                        self._remove()
                state = self._create(plan, image) | {"drawn": drawn}
            self._serve(plan, state)

    def _create(self, plan: topology.Topology, image: str) -> dict:
        self.folder.mkdir(parents=True)
        public_key = hosts.new_key(self.folder / "id_ed25519", f"lab-{self.name}")
        with phase("network"), cache.locked("network"):
            subnet = network.create(self.prefix, self.labels, self.prefix)
        addresses = {host.name: str(network.address(subnet, index)) for index, host in enumerate(plan.hosts)}
        inside = [
            "localhost",
            "127.0.0.1",
            str(subnet),
            str(network.gateway(subnet)),
            *addresses.values(),
            "10.42.0.0/16",
            "10.43.0.0/16",
            ".svc",
        ]
        known = (rootfs.host_rootfs() / "ca-certificates.crt").read_text(encoding="utf-8")
        names = addresses | {other: addresses[host.name] for host in plan.hosts for other in host.names}
        known_hosts, archives = [], {}
        for host in plan.hosts:
            files = hosts.Files()
            hosts.shared_files(files, known, inside)
            known_hosts.append(f"{host.name},{addresses[host.name]} {hosts.own_files(files, host.name, names, self.folder, public_key)}\n")
            archives[host.name] = files.content()
        (self.folder / "known_hosts").write_text("".join(known_hosts), encoding="utf-8")

        def make(host: topology.Host) -> str:
            return hosts.create(
                host,
                image=image,
                prefix=self.prefix,
                address=addresses[host.name],
                labels=self.labels,
                files=archives[host.name],
            )

        with phase(f"{len(plan.hosts)} hosts: {', '.join(addresses)}"):
            with concurrent.futures.ThreadPoolExecutor(max_workers=os.cpu_count() or 2) as pool:
                containers = dict(zip(addresses, pool.map(make, plan.hosts), strict=True))
            hosts.wait_for_ssh(addresses, {name: self.ssh(name, address) for name, address in addresses.items()})
        return {
            "name": self.name,
            "subnet": str(subnet),
            "gateway": str(network.gateway(subnet)),
            "network": self.prefix,
            "hosts": {name: {"address": address, "container": containers[name]} for name, address in addresses.items()},
        }

    def _wake(self, there: list[dict]) -> None:
        stopped = [container["Id"] for container in there if container["State"] != "running"]
        addresses = {name: host["address"] for name, host in self.state["hosts"].items()}
        if stopped:
            with phase(f"start {len(stopped)} stopped hosts"):
                podman("start", *stopped)
                hosts.wait_for_ssh(addresses, {name: self.ssh(name, address) for name, address in addresses.items()})

    def _serve(self, plan: topology.Topology, state: dict) -> None:
        variables: dict = {}
        gpus = any(host.pci for host in plan.hosts)
        if os.environ.get("LAB_ARTIFACTS") == "official":
            artifacts.stop(state.pop("artifacts", None))
        else:
            with phase("artifacts"):
                releases.fill(self.folder / "www", plan.ingress)
                if gpus:
                    nvidia.fill(self.folder / "www")
            running = self.state.get("artifacts")
            if not artifacts.alive(running):
                with phase("artifact server"):
                    running = artifacts.start(self.folder, state["gateway"], (running or {}).get("port", 0))
            state["artifacts"] = running
            variables = releases.variables(self.folder / "www", artifacts.url(running), plan.ingress)
            variables |= nvidia.variables(artifacts.url(running)) if gpus else {}
        self._write("inventory.yml", inventory_text(self, plan, state, variables))
        self._write("lab.json", json.dumps(state, indent=2) + "\n")

    def _write(self, name: str, text: str) -> None:
        path = self.folder / name
        path.with_suffix(".new").write_text(text, encoding="utf-8")
        path.with_suffix(".new").replace(path)

    def down(self) -> bool:
        """Remove everything of the lab; says whether there was anything."""
        with self.changing():
            there = bool(self.folder.exists() or hosts.containers(self.labels) or self._networks() or self._volumes())
            if there:
                with phase(f"remove lab {self.name}"):
                    self._remove()
            return there

    def _networks(self) -> list[str]:
        return [entry["name"] for entry in podman_json("network", "ls", "--format", "json", *self._filters())]

    def _volumes(self) -> list[str]:
        return [entry["Name"] for entry in podman_json("volume", "ls", "--format", "json", *self._filters())]

    def _filters(self) -> list[str]:
        # podman joins several label filters of networks with "or" in some versions; the prefix is in every name as well.
        return ["--filter", f"name={self.prefix}", "--filter", f"label={hosts.LABEL_LAB}={self.name}"]

    def _remove(self) -> None:
        artifacts.stop(self.state.get("artifacts"))
        containers = [container["Id"] for container in hosts.containers(self.labels)]
        if containers:
            with concurrent.futures.ThreadPoolExecutor(max_workers=4) as pool:
                list(pool.map(lambda container: podman("rm", "--force", "--time", "0", "--ignore", container), containers))
        volumes = [name for name in self._volumes() if name.startswith(f"{self.prefix}-")]
        if volumes:
            podman("volume", "rm", "--force", *volumes)
        for name in self._networks():
            if name == self.prefix:
                podman("network", "rm", name)
        if self.folder.exists():
            shutil.rmtree(self.folder)


def _image() -> str:
    started = time.monotonic()
    image = rootfs.host_image()
    if time.monotonic() - started > 2:
        print(f"   image of the hosts: {time.monotonic() - started:.1f} s", file=sys.stderr, flush=True)
    return image


def inventory_text(lab: Lab, plan: topology.Topology, state: dict, variables: dict) -> str:
    """The inventory of a lab as YAML: where hosts are, how to log in, their groups, and where downloads come from."""
    common = shlex.join(lab._ssh_options())
    groups: dict[str, dict] = {
        "all": {
            "vars": {
                "ansible_user": hosts.USER,
                "ansible_ssh_private_key_file": str(lab.folder / "id_ed25519"),
                "ansible_ssh_common_args": common,
                "ansible_python_interpreter": "/usr/bin/python3",
                **variables,
                **plan.vars,
            }
        }
    }
    for host in plan.hosts:
        entry = {"ansible_host": state["hosts"][host.name]["address"], **host.vars}
        first, *others = host.groups or ("ungrouped",)
        groups.setdefault(first, {"hosts": {}})["hosts"][host.name] = entry
        for group in others:
            groups.setdefault(group, {"hosts": {}})["hosts"][host.name] = None
    head = f"# Written by `lab up --name {lab.name}`; gone with `lab down`.\n---\n"
    return head + yaml.safe_dump(groups, sort_keys=False, width=4096)


def everywhere() -> list[dict]:
    """The labs of this machine with at least one container, of all checkouts: name, checkout, hosts with state and address."""
    found: dict[tuple[str, str], dict] = {}
    for container in podman_json("ps", "--all", "--format", "json", "--filter", f"label={hosts.LABEL_LAB}"):
        labels = container["Labels"]
        key = labels[hosts.LABEL_CHECKOUT], labels[hosts.LABEL_LAB]
        entry = found.setdefault(key, {"checkout": key[0], "name": key[1], "hosts": {}})
        entry["hosts"][labels[hosts.LABEL_HOST]] = container["State"]
    return [found[key] for key in sorted(found)]


def unfinished() -> list[str]:
    """Names of this checkout's labs that have a state folder but no container."""
    return sorted(path.name for path in STATES.glob("*") if path.is_dir())
