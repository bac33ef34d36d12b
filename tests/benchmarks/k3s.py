# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``make bench-k3s``: the K3s part of site.yml side by side with k3s-io/k3s-ansible, and the price of one more worker.

``K3S_ANSIBLE`` names a checkout of https://github.com/k3s-io/k3s-ansible; without it only the second figure is taken.
Both work on hosts of one topology in labs of their own, in turn. What the peer would download (the binary, the images and
K3s's install script) is put in place before, so that its runs are compared without any download.
"""

from __future__ import annotations

import datetime
import json
import os
import shutil
import statistics
import subprocess
import sys
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "end_to_end"))

from session import Session

ROUNDS = 3
TOPOLOGY = "cluster"
VERSION = yaml.safe_load((ROOT / "roles/k3s/defaults/main.yml").read_text(encoding="utf-8"))["k3s_version"]


def peer_inventory(session: Session, folder: Path) -> Path:
    """The lab's hosts in the groups and variables of k3s-ansible's sample inventory."""
    common = yaml.safe_load((session.folder / "inventory.yml").read_text(encoding="utf-8"))["all"]["vars"]
    hosts = json.loads((session.folder / "lab.json").read_text(encoding="utf-8"))["hosts"]
    groups = {
        group: {"hosts": {name: {"ansible_host": hosts[name]["address"]}}} for group, name in (("server", "node-01"), ("agent", "node-04"))
    }
    own = {"k3s_version": VERSION, "api_endpoint": hosts["node-01"]["address"], "kubeconfig": str(folder / "peer-kubeconfig")}
    document = {
        "all": {
            "vars": {key: value for key, value in common.items() if key.startswith("ansible_")},
            "children": {"k3s_cluster": {"children": groups, "vars": own}},
        }
    }
    path = folder / "inventory.yml"
    path.write_text(yaml.safe_dump(document), encoding="utf-8")
    return path


def peer_library(folder: Path) -> Path:
    """A folder with what the peer's filters import beside Ansible.

    Raises:
        subprocess.CalledProcessError: it cannot be had.
    """
    target = folder / "peer-python"
    tool = Path(sys.executable).with_name("uv")
    subprocess.run([tool, "pip", "install", "--quiet", "--python", sys.executable, "--target", target, "netaddr==1.3.0"], check=True)
    return target


def peer_run(checkout: Path, inventory: Path, library: Path) -> float:
    """Seconds of one run of the peer's site.yml.

    Raises:
        RuntimeError: it failed; with the end of its output.
    """
    started = time.monotonic()
    done = subprocess.run(
        [Path(sys.executable).with_name("ansible-playbook"), "-i", inventory, "playbooks/site.yml"],
        cwd=checkout,
        env={key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        | {"ANSIBLE_PIPELINING": "true", "ANSIBLE_FORKS": "20", "PYTHONPATH": str(library)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise RuntimeError(f"k3s-ansible failed:\n{(done.stdout + done.stderr)[-4000:]}")
    return time.monotonic() - started


def put_in_place(session: Session) -> None:
    """The binary, its images and the install script on the peer's hosts, as if downloaded by an earlier run."""
    lab = session.variables()
    release = f"{lab['k3s_base_url']}/{VERSION.replace('+', '%2B')}"
    script = Path(__file__).with_name("k3s_peer_install.sh").read_text(encoding="utf-8")
    images = "/var/lib/rancher/k3s/agent/images"
    for host in ("node-01", "node-04"):
        for url, path in (
            (f"{release}/k3s", "/usr/local/bin/k3s"),
            (f"{release}/k3s-airgap-images-amd64.tar.zst", f"{images}/k3s-airgap-images-amd64.tar.zst"),
        ):
            session.ssh(host, "sudo", "curl", "-fsS", "--create-dirs", "-o", path, url)
        session.ssh(host, f"sudo tee /usr/local/bin/k3s-install.sh >/dev/null <<'END'\n{script}END")
        session.ssh(host, "sudo", "chmod", "755", "/usr/local/bin/k3s", "/usr/local/bin/k3s-install.sh")


def no_change(ours: Session, theirs: Session, checkout: Path, folder: Path) -> dict[str, float]:
    """Medians of runs that have nothing to change, and their ratio.

    Raises:
        RuntimeError: a run failed, or ours changed something.
    """
    put_in_place(theirs)
    inventory, library = peer_inventory(theirs, folder), peer_library(folder)
    first = ours.playbook("site", "--tags", "k3s", quiet=True)
    if first.rc:
        raise RuntimeError(f"the installation failed:\n{first.output[-4000:]}")
    peer_run(checkout, inventory, library)
    mine, peer = [], []
    for number in range(ROUNDS):
        run = ours.playbook("site", "--tags", "k3s", quiet=True)
        if run.rc or run.changed:
            raise RuntimeError(f"run {number + 1} was to change nothing:\n{run.output[-4000:]}")
        mine.append(run.seconds)
        peer.append(peer_run(checkout, inventory, library))
        print(f"round {number + 1} of {ROUNDS}: homelab.mlops {mine[-1]:.1f} s, k3s-ansible {peer[-1]:.1f} s", flush=True)
    return {
        "k3s_no_change_seconds": round(statistics.median(mine), 1),
        "k3s_ansible_no_change_seconds": round(statistics.median(peer), 1),
        "k3s_no_change_to_k3s_ansible": round(statistics.median(mine) / statistics.median(peer), 2),
    }


def one_more_worker(session: Session, folder: Path) -> dict[str, float]:
    """Seconds of ``--limit NEW`` with one worker there, and with four.

    Raises:
        RuntimeError: a run failed.
    """
    inventory = folder / "inventory"
    inventory.mkdir()
    (inventory / "lab.yml").symlink_to(session.folder / "inventory.yml")

    def add(*names: str) -> float:
        lines = "".join(f"    {name}:\n" for name in added + list(names))
        (inventory / "new.yml").write_text(f"k3s_workers:\n  hosts:\n{lines}", encoding="utf-8")
        added.extend(names)
        run = session.playbook("site", "--tags", "k3s", "--limit", ",".join(names), quiet=True, inventory=inventory)
        if run.rc:
            raise RuntimeError(f"{names} were not added:\n{run.output[-4000:]}")
        return run.seconds

    added: list[str] = []
    session.playbook("site", "--tags", "k3s", quiet=True)
    with_one = add("node-02")
    add("node-03", "node-05")
    with_four = add("node-06")
    return {
        "worker_added_to_one_seconds": round(with_one, 1),
        "worker_added_to_four_seconds": round(with_four, 1),
        "worker_added_four_to_one": round(with_four / with_one, 2),
    }


def main() -> int:
    """Entry point; figures go to the terminal and to ``.build/bench/k3s.json``."""
    checkout = os.environ.get("K3S_ANSIBLE", "")
    folder = ROOT / ".build" / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    ours, theirs = Session("bench-k3s"), Session("bench-peer")
    work = folder / f"work-{os.getpid()}"
    work.mkdir()
    figures: dict[str, object] = {"date": datetime.date.today().isoformat(), "cores": os.cpu_count()}
    try:
        for session in (ours, theirs) if checkout else (ours,):
            session.lab("down")
            session.lab("up", "--topology", TOPOLOGY)
        if checkout:
            figures |= no_change(ours, theirs, Path(checkout).resolve(), work)
            theirs.lab("down")
        figures |= one_more_worker(ours, work)
    finally:
        for session in (ours, theirs):
            session.lab("down")
        shutil.rmtree(work)
    (folder / "k3s.json").write_text(json.dumps(figures, indent=2) + "\n", encoding="utf-8")
    for name, value in figures.items():
        print(f"{name:<32} {value}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
