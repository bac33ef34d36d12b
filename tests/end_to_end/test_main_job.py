# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The homelab's first day: look, install under interruptions, run an experiment, run again, add a machine."""

from __future__ import annotations

import pytest
from demo import ANCHOR, run_experiment
from session import Session

HOSTS = ("node-01", "node-02", "node-03", "gpu-01")
MEMBERS = ("node-01", "node-02", "gpu-01")
UNITS = {"node-01": ["k3s"], "node-02": ["k3s-agent", "clearml-agent@cpu"], "gpu-01": ["clearml-agent@cpu"]}

# What a run may write to, and what running services must not touch by themselves.
WATCHED = ("/etc", "/opt", "/usr/local", "/root", "/home", "/var/lib/clearml-agent/.ssh")


def started(lab: Session, hosts: dict[str, list[str]]) -> dict[str, str]:
    """Main process and start time of each unit: equal before and after means nothing was restarted."""
    return {
        f"{host} {unit}": lab.ssh(host, "systemctl", "show", unit, "--property=MainPID,ExecMainStartTimestampMonotonic,ActiveState")
        for host, units in hosts.items()
        for unit in units
    }


def written_since_mark(lab: Session, host: str) -> list[str]:
    """Files and folders under the watched places whose content or metadata changed after ``mark``."""
    found = lab.ssh(host, "sudo", "find", *WATCHED, "-cnewer", "/var/tmp/mark", "-not", "-path", "*/__pycache__*", check=False)
    return sorted(found.split())


def mark(lab: Session, *hosts: str) -> None:
    """Set the point in time that ``written_since_mark`` compares with."""
    for host in hosts:
        lab.ssh(host, "sudo", "touch", "/var/tmp/mark")


def test_check_mode_on_bare_hosts_announces_and_writes_nothing(lab):
    mark(lab, *HOSTS)
    run = lab.playbook("site", "--check", "--diff")
    assert run.rc == 0
    assert run.changed > 0
    for host in HOSTS:
        assert written_since_mark(lab, host) == []
        assert lab.ssh(host, "systemctl", "is-enabled", "k3s", "k3s-agent", check=False).split() == []


def test_an_install_killed_ten_times_converges(lab):
    """SIGKILL in the middle of the task that follows the n-th change, ten times in a row."""
    for changes in (1, 2, 3, 4, 3, 5, 3, 6, 4, 8):
        run = lab.playbook("site", kill_after_changes=changes)
        if run.rc == 0:
            pytest.fail(f"the run was over before {changes} changes: there was nothing left to interrupt")
    run = lab.playbook("site")
    assert run.rc == 0
    nodes = lab.kubectl(ANCHOR, "get", "nodes", "--no-headers")
    assert [line.split()[1] for line in nodes.splitlines()] == ["Ready", "Ready"]


def test_an_experiment_runs_through_the_queue(lab):
    outcome = run_experiment(lab)
    assert outcome.status == "completed"
    assert outcome.artifact_matches


def test_a_second_run_changes_nothing_and_restarts_nothing(lab):
    before = started(lab, UNITS)
    mark(lab, *MEMBERS)
    run = lab.playbook("site")
    assert run.rc == 0
    assert run.changed == 0, run.changed_tasks()
    assert started(lab, UNITS) == before
    for host in MEMBERS:
        assert written_since_mark(lab, host) == []
    print(f"no-change site.yml: {run.seconds:.0f} s")


def test_one_line_and_limit_add_a_worker_and_touch_nothing_else(lab, tmp_path):
    before = started(lab, UNITS)
    mark(lab, *MEMBERS)
    line = tmp_path / "inventory"
    line.mkdir()
    (line / "lab.yml").symlink_to(lab.folder / "inventory.yml")
    (line / "new.yml").write_text("k3s_workers: {hosts: {node-03: }}\nclearml_agents: {hosts: {node-03: }}\n")
    run = lab.playbook("site", "--limit", "node-03", inventory=line)
    assert run.rc == 0
    assert {host for host, counts in run.recap.items() if counts["changed"]} == {"node-03"}
    assert started(lab, UNITS) == before
    for host in MEMBERS:
        assert written_since_mark(lab, host) == []
    nodes = lab.kubectl(ANCHOR, "get", "nodes", "--no-headers", "--output", "custom-columns=NAME:.metadata.name")
    assert nodes.split() == ["node-01", "node-02", "node-03"]
    assert lab.ssh("node-03", "systemctl", "is-active", "k3s-agent", "clearml-agent@cpu").split() == ["active", "active"]
