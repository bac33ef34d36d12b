# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person at the keyboard does, as functions: run a playbook, log in to a host, read a Secret.

Everything here drives the same commands that the README names; nothing reaches into the roles.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import pathlib
import re
import signal
import subprocess
import sys
import threading
import time

import yaml

REPOSITORY = pathlib.Path(__file__).resolve().parents[2]
STAGED = REPOSITORY / ".build" / "collections"
LAB = REPOSITORY / "tests" / "lab" / "bin" / "lab"

_RECAP = re.compile(
    r"^(?P<host>\S+)\s+: ok=(?P<ok>\d+)\s+changed=(?P<changed>\d+)\s+unreachable=(?P<unreachable>\d+)\s+failed=(?P<failed>\d+)",
    re.MULTILINE,
)


@dataclasses.dataclass(frozen=True)
class Run:
    """One finished ansible-playbook run.

    Attributes:
        rc: exit status; negative when a signal ended it.
        output: stdout and stderr together, as printed.
        seconds: wall time.
    """

    rc: int
    output: str
    seconds: float

    @property
    def recap(self) -> dict[str, dict[str, int]]:
        """Host name to the counts of its PLAY RECAP line; empty when the run was killed before it."""
        return {
            match["host"]: {key: int(match[key]) for key in ("ok", "changed", "unreachable", "failed")}
            for match in _RECAP.finditer(self.output)
        }

    @property
    def changed(self) -> int:
        """Changed tasks over all hosts."""
        return sum(counts["changed"] for counts in self.recap.values())

    def changed_tasks(self) -> list[str]:
        """The summary's lines of changed hosts and tasks, for a failure message."""
        return self.output.rpartition("\nSUMMARY ")[2].splitlines()[1:]


@dataclasses.dataclass(frozen=True)
class Session:
    """A lab by name and what a person does with it."""

    name: str

    @property
    def folder(self) -> pathlib.Path:
        """Where ``lab up`` wrote this lab's inventory and key."""
        return REPOSITORY / ".build" / "lab" / self.name

    def lab(self, *arguments: str) -> None:
        """Run the lab command for as long as a first build takes here; its output goes to this process's own.

        Raises:
            subprocess.CalledProcessError: the command failed.
        """
        subprocess.run([sys.executable, LAB, *arguments, "--name", self.name], check=True)

    def playbook(
        self,
        playbook: str,
        *arguments: str,
        kill_after_changes: int | None = None,
        kill_in_task: str | None = None,
        quiet: bool = False,
        timeout: float = 1800,
        inventory: pathlib.Path | None = None,
    ) -> Run:
        """Run ``homelab.mlops.<playbook>`` over the lab's hosts and keep what it printed.

        Args:
            playbook: name without suffix, for example ``site``, or a path of a playbook.
            arguments: further arguments of ansible-playbook.
            kill_after_changes: SIGKILL the whole process group in the middle of the task that follows this many changes.
            kill_in_task: SIGKILL it in the middle of the first task with these words in its name.
            quiet: keep the output off the terminal.
            timeout: seconds until the run is ended by force.
            inventory: another inventory than the lab's own.
        """
        command = [
            pathlib.Path(sys.executable).with_name("ansible-playbook"),
            "-i",
            inventory or self.folder / "inventory.yml",
            playbook if playbook.endswith(".yml") else f"homelab.mlops.{playbook}",
            *arguments,
        ]
        environment = os.environ | {
            "ANSIBLE_CONFIG": str(REPOSITORY / "ansible.cfg"),
            "ANSIBLE_COLLECTIONS_PATH": str(STAGED),
            "ANSIBLE_FORCE_COLOR": "0",
            "ANSIBLE_NOCOLOR": "1",
            "PYTHONUNBUFFERED": "1",
        }
        started = time.monotonic()
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=environment,
            cwd=REPOSITORY,
            start_new_session=True,
        )
        lines = []
        changes = 0

        def end() -> None:
            lines.append(f"ended by force after {timeout:.0f} s\n")
            os.killpg(process.pid, signal.SIGKILL)

        watchdog = threading.Timer(timeout, end)
        watchdog.start()
        try:
            for line in process.stdout:
                lines.append(line)
                if not quiet:
                    sys.stdout.write(line)
                    sys.stdout.flush()
                changes += line.startswith("changed:")
                enough = kill_after_changes is not None and changes >= kill_after_changes
                named = kill_in_task is not None and kill_in_task in line
                if (enough or named) and line.startswith("TASK ["):
                    time.sleep(1.0)
                    os.killpg(process.pid, signal.SIGKILL)
                    break
            rc = process.wait()
        finally:
            watchdog.cancel()
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return Run(rc, "".join(lines), time.monotonic() - started)

    def ssh(self, host: str, *command: str, check: bool = True, timeout: float = 120) -> str:
        """Run one command on a host as the person would, by ssh, and return its stdout.

        Raises:
            subprocess.CalledProcessError: it exited non-zero and ``check`` is set.
        """
        done = subprocess.run(
            [sys.executable, LAB, "ssh", "--name", self.name, host, "--", *command],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
        )
        if check and done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            done.check_returncode()
        return done.stdout

    def kubectl(self, server: str, *arguments: str) -> str:
        """``k3s kubectl`` on a server, as root."""
        return self.ssh(server, "sudo", "k3s", "kubectl", *arguments)

    def secret(self, server: str, namespace: str, name: str = "homelab-mlops") -> dict[str, str]:
        """The decoded data of a Kubernetes Secret."""
        document = json.loads(self.kubectl(server, "get", "secret", name, "--namespace", namespace, "--output", "json"))
        return {key: base64.b64decode(value).decode() for key, value in document["data"].items()}

    def variables(self) -> dict:
        """The variables that the lab's inventory gives to the roles."""
        return yaml.safe_load((self.folder / "inventory.yml").read_text(encoding="utf-8"))["all"]["vars"]

    def login(self, server: str) -> dict[str, str]:
        """How a person reaches the ClearML API: URLs, and the pair of the user ``homelab``.

        The password comes from the cluster's Secret, as the README tells a person to read it. ClearML's API takes a fixed
        user's name and password as a key pair (seen in the recordings of the real server, ``fixed`` mode).
        """
        urls = self.urls(server)
        return {
            "api_url": urls["api"],
            "web_url": urls["web"],
            "files_url": urls["files"],
            "access_key": "homelab",
            "secret_key": self.secret(server, "clearml")["user_homelab_password"],
        }

    def urls(self, server: str) -> dict[str, str]:
        """URLs of ``web``, ``api``, ``files``, ``s3`` and ``console``, from the Services of the cluster."""
        services = {
            (item["metadata"]["namespace"], item["metadata"]["name"]): item
            for item in json.loads(self.kubectl(server, "get", "services", "--all-namespaces", "--output", "json"))["items"]
        }
        named = {
            "web": ("clearml", "clearml-webserver"),
            "api": ("clearml", "clearml-apiserver"),
            "files": ("clearml", "clearml-fileserver"),
            "s3": ("minio", "minio"),
            "console": ("minio", "minio-console"),
        }
        return {
            key: f"http://{services[name]['status']['loadBalancer']['ingress'][0]['ip']}:{services[name]['spec']['ports'][0]['port']}"
            for key, name in named.items()
        }
