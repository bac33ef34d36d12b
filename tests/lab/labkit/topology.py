# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which hosts a lab has and what stands in its inventory about them."""

from __future__ import annotations

import dataclasses
import pathlib
import re

import yaml

LAB = pathlib.Path(__file__).resolve().parents[1]
TOPOLOGIES = LAB / "topologies"
PCI_FIXTURES = LAB / "fixtures" / "pci"
GROUPS = ("k3s_servers", "k3s_workers", "clearml_agents", "minio_servers")

_HOST_NAME = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
_DNS_NAME = re.compile(rf"{_HOST_NAME.pattern}(\.{_HOST_NAME.pattern})*")


class TopologyError(Exception):
    """A topology that cannot be built; the message is one line and names the file."""


@dataclasses.dataclass(frozen=True)
class Host:
    """One machine.

    Attributes:
        name: host name, also its name in the inventory.
        groups: inventory groups; empty for a spare machine.
        vars: host variables of the inventory.
        pci: folder that takes the place of ``/sys/bus/pci/devices``, or None for the machine's own.
        names: further names by which the hosts of the lab know it, as a DNS server's entries would make them.
    """

    name: str
    groups: tuple[str, ...] = ()
    vars: dict = dataclasses.field(default_factory=dict)
    pci: pathlib.Path | None = None
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Topology:
    """The hosts of a lab, in the order of the file, variables for all of them, and whether K3s deploys its ingress controller."""

    hosts: tuple[Host, ...]
    vars: dict
    ingress: bool = False

    def host(self, name: str) -> Host:
        """The host of that name.

        Raises:
            TopologyError: there is none.
        """
        for host in self.hosts:
            if host.name == name:
                return host
        raise TopologyError(f"no host {name} in this lab; it has {', '.join(host.name for host in self.hosts)}")


def find(name: str) -> pathlib.Path:
    """The file of a topology given by name (``demo``) or by path (``my/lab.yml``).

    Raises:
        TopologyError: no such file.
    """
    path = pathlib.Path(name) if name.endswith((".yml", ".yaml")) else TOPOLOGIES / f"{name}.yml"
    if not path.is_file():
        known = ", ".join(sorted(file.stem for file in TOPOLOGIES.glob("*.yml")))
        raise TopologyError(f"no topology {name}: give the path of a YAML file or one of {known}")
    return path


def read(path: pathlib.Path) -> Topology:
    """Read and check a topology file.

    Raises:
        TopologyError: not YAML, or a key, group or name that has no meaning here.
    """
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise TopologyError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    _keys(path, "the file", document, {"hosts", "vars", "ingress"})
    hosts = document.get("hosts") or {}
    if not isinstance(hosts, dict) or not hosts:
        raise TopologyError(f"{path}: hosts must map at least one host name to its settings")
    if len(hosts) > 200:
        raise TopologyError(f"{path}: {len(hosts)} hosts do not fit in the lab's /24 network; at most 200")
    return Topology(
        hosts=tuple(_host(path, name, settings or {}) for name, settings in hosts.items()),
        vars=_mapping(path, "vars", document.get("vars")),
        ingress=bool(document.get("ingress")),
    )


def _host(path: pathlib.Path, name: object, settings: object) -> Host:
    if not isinstance(name, str) or not _HOST_NAME.fullmatch(name):
        raise TopologyError(f"{path}: {name!r} is no host name: lower-case letters, digits and dashes only")
    _keys(path, f"host {name}", settings, {"groups", "vars", "pci", "names"})
    groups = settings.get("groups") or []
    unknown = [group for group in groups if group not in GROUPS] if isinstance(groups, list) else [groups]
    if unknown:
        raise TopologyError(f"{path}: host {name}: unknown group {unknown[0]!r}; the groups are {', '.join(GROUPS)}")
    pci = PCI_FIXTURES / str(settings["pci"]) if settings.get("pci") else None
    if pci is not None and not pci.is_dir():
        raise TopologyError(f"{path}: host {name}: no PCI fixture {settings['pci']} in tests/lab/fixtures/pci")
    names = settings.get("names") or []
    if not isinstance(names, list) or not all(isinstance(one, str) and _DNS_NAME.fullmatch(one) for one in names):
        raise TopologyError(f"{path}: host {name}: names must be a list of DNS names")
    return Host(name, tuple(groups), _mapping(path, f"host {name}: vars", settings.get("vars")), pci, tuple(names))


def _keys(path: pathlib.Path, where: str, value: object, allowed: set[str]) -> None:
    if not isinstance(value, dict):
        raise TopologyError(f"{path}: {where} must be a mapping with the keys {', '.join(sorted(allowed))}")
    unknown = [str(key) for key in value if key not in allowed]
    if unknown:
        raise TopologyError(f"{path}: {where}: unknown key {unknown[0]}; allowed are {', '.join(sorted(allowed))}")


def _mapping(path: pathlib.Path, where: str, value: object) -> dict:
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise TopologyError(f"{path}: {where} must be a mapping of variables")
    return value
