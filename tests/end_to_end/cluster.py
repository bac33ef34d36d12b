# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A K3s cluster as its owner handles it: lines in an inventory, and what the cluster says about itself."""

from __future__ import annotations

import contextlib
import dataclasses
import http.client
import json
import pathlib
import threading
import time
from collections.abc import Iterator

import yaml
from session import Run, Session

WEB_PORT = 30123
# Two replicas on two nodes, which answer for some seconds after they were asked to end, as an owner's services should.
WEB = f"""
apiVersion: apps/v1
kind: Deployment
metadata: {{name: web}}
spec:
  replicas: 2
  selector: {{matchLabels: {{app: web}}}}
  template:
    metadata: {{labels: {{app: web}}}}
    spec:
      terminationGracePeriodSeconds: 20
      topologySpreadConstraints:
        - maxSkew: 1
          topologyKey: kubernetes.io/hostname
          whenUnsatisfiable: ScheduleAnyway
          labelSelector: {{matchLabels: {{app: web}}}}
      containers:
        - name: web
          image: docker.io/rancher/mirrored-library-busybox:1.36.1
          command: [busybox, httpd, -f, -p, "8080", -h, /etc]
          readinessProbe: {{httpGet: {{path: /hostname, port: 8080}}, periodSeconds: 1}}
          lifecycle: {{preStop: {{exec: {{command: [busybox, sleep, "6"]}}}}}}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {{name: web}}
spec: {{minAvailable: 1, selector: {{matchLabels: {{app: web}}}}}}
---
apiVersion: v1
kind: Service
metadata: {{name: web}}
spec: {{type: NodePort, selector: {{app: web}}, ports: [{{port: 80, targetPort: 8080, nodePort: {WEB_PORT}}}]}}
"""


@dataclasses.dataclass
class Cluster:
    """The lab's hosts with an inventory that a person edits.

    Attributes:
        session: the lab.
        folder: where the inventory lies.
        servers, workers: hosts beyond those that the lab's own inventory puts into the groups.
        variables: variables for all hosts.
    """

    session: Session
    folder: pathlib.Path
    servers: list[str] = dataclasses.field(default_factory=list)
    workers: list[str] = dataclasses.field(default_factory=list)
    variables: dict = dataclasses.field(default_factory=dict)

    def playbook(self, name: str, *arguments: str, **options) -> Run:
        """Run a playbook over the inventory as it is now; of site.yml only the phase k3s."""
        self.folder.mkdir(exist_ok=True)
        link = self.folder / "lab.yml"
        if not link.is_symlink():
            link.symlink_to(self.session.folder / "inventory.yml")
        own = {
            "all": {"vars": self.variables},
            "k3s_servers": {"hosts": dict.fromkeys(self.servers)},
            "k3s_workers": {"hosts": dict.fromkeys(self.workers)},
        }
        (self.folder / "own.yml").write_text(yaml.safe_dump(own), encoding="utf-8")
        phase = ("--tags", "k3s") if name == "site" else ()
        return self.session.playbook(name, *phase, *arguments, inventory=self.folder, **options)

    def address(self, host: str) -> str:
        """Address of a host."""
        return json.loads((self.session.folder / "lab.json").read_text(encoding="utf-8"))["hosts"][host]["address"]

    def apply(self, server: str, manifest: str) -> None:
        """``kubectl apply`` of a text."""
        self.session.ssh(server, f"sudo k3s kubectl apply -f - <<'END'\n{manifest}\nEND")

    def nodes(self, server: str) -> dict[str, dict]:
        """Node name to ``ready``, ``version``, ``voter``, ``schedulable``, as the API of this server says."""
        found = {}
        for item in json.loads(self.session.kubectl(server, "get", "nodes", "--output", "json"))["items"]:
            conditions = {one["type"]: one["status"] for one in item["status"]["conditions"]}
            found[item["metadata"]["name"]] = {
                "ready": conditions.get("Ready") == "True",
                "voter": conditions.get("EtcdIsVoter") == "True",
                "version": item["status"]["nodeInfo"]["kubeletVersion"],
                "schedulable": not item["spec"].get("unschedulable", False),
            }
        return found

    def processes(self, *hosts: str) -> dict[str, str]:
        """Host to the process and start of its K3s: equal before and after means that it was not restarted."""
        return {
            host: self.session.ssh(
                host, "systemctl", "show", "k3s", "k3s-agent", "--property=MainPID,ExecMainStartTimestampMonotonic,ActiveState"
            )
            for host in hosts
        }

    def write(self, server: str, name: str) -> None:
        """Something of the owner in the cluster, to be found again later."""
        self.apply(server, f"{{apiVersion: v1, kind: ConfigMap, metadata: {{name: {name}}}, data: {{kept: '{name}'}}}}")

    def kept(self, server: str, name: str) -> str:
        """What ``write`` put there; empty when it is gone."""
        return self.session.kubectl(server, "get", "configmap", name, "--ignore-not-found", "--output", "jsonpath={.data.kept}")


@dataclasses.dataclass
class Count:
    """Requests that were answered, and what went wrong with the others."""

    answered: int = 0
    lost: list[str] = dataclasses.field(default_factory=list)


@contextlib.contextmanager
def requests(addresses: list[str], port: int = WEB_PORT) -> Iterator[Count]:
    """Send a request each tenth of a second, each over a connection of its own and to the next of the addresses."""
    count, ended = Count(), threading.Event()

    def send() -> None:
        number = 0
        while not ended.is_set():
            address = addresses[number % len(addresses)]
            number += 1
            connection = http.client.HTTPConnection(address, port, timeout=15)
            try:
                connection.request("GET", "/hostname")
                answer = connection.getresponse()
                answer.read()
                if answer.status != http.client.OK:
                    count.lost.append(f"{time.strftime('%X')} {address}: {answer.status}")
                count.answered += 1
            except OSError as error:
                count.lost.append(f"{time.strftime('%X')} {address}: {error}")
            finally:
                connection.close()
            ended.wait(0.1)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        yield count
    finally:
        ended.set()
        sender.join()
