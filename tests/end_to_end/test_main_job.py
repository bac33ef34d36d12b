# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The homelab's first day: look, install under interruptions, run an experiment, run again, add a machine."""

from __future__ import annotations

import json
import threading

import pytest
from demo import ANCHOR, run_experiment
from session import Session

from experiment import submit

HOSTS = ("node-01", "node-02", "node-03", "gpu-01")
MEMBERS = ("node-01", "node-02", "gpu-01")
UNITS = {"node-01": ["k3s"], "node-02": ["k3s-agent", "clearml-agent@cpu"], "gpu-01": ["clearml-agent@cpu"]}

# What a run may write to, and what running services must not touch by themselves. Ansible's own temporary folders are in /home.
WATCHED = ("/etc", "/opt", "/usr/local", "/var/lib/dpkg")
# Tasks in whose middle an installation is killed, one run each.
INTERRUPTED = (
    "fetch | Download K3s",
    "images_one | Download",
    "Restart k3s.service",
    "Restart k3s-agent.service",
    "venv | Install the packages into it",
    "helm | Download Helm",
    "install | Apply volume claim, server, services",
    "users | Have a user for each pair",
    "helm | Hand the chart to Helm",
    "venv | Install clearml-agent",
)


def started(lab: Session, hosts: dict[str, list[str]]) -> dict[str, str]:
    """Main process and start time of each unit: equal before and after means nothing was restarted."""
    return {
        f"{host} {unit}": lab.ssh(host, "systemctl", "show", unit, "--property=MainPID,ExecMainStartTimestampMonotonic,ActiveState")
        for host, units in hosts.items()
        for unit in units
    }


def written_since_mark(lab: Session, host: str) -> list[str]:
    """Files and folders under the watched places whose content or metadata changed after ``mark``."""
    found = lab.ssh(host, "sudo", "find", *WATCHED, "-cnewer", "/var/tmp/mark", "-not", "-path", "*/__pycache__*")
    return sorted(found.split())


def mark(lab: Session, *hosts: str) -> None:
    """Set the point in time that ``written_since_mark`` compares with."""
    for host in hosts:
        lab.ssh(host, "sudo", "touch", "/var/tmp/mark")


def cluster_objects(lab: Session) -> dict[str, str]:
    """What the roles keep in the cluster, by name with what a change would alter."""
    kinds = "secrets,configmaps,deployments.apps,statefulsets.apps,services,persistentvolumeclaims"
    found = {}
    for namespace in ("minio", "clearml"):
        items = json.loads(lab.kubectl(ANCHOR, "get", kinds, "--namespace", namespace, "--output", "json"))["items"]
        for item in items:
            # The status moves by itself (a load balancer gets the addresses of new nodes), the rest only when somebody changes it.
            about = item["metadata"]
            content = item.get("spec", about["resourceVersion"])
            found[f"{namespace} {item['kind']} {about['name']}"] = json.dumps([about.get("generation"), about.get("labels"), content])
    return found


def secrets_of(lab: Session) -> list[str]:
    """Every value of the Secrets that the roles generated."""
    return [value for namespace in ("minio", "clearml") for value in lab.secret(ANCHOR, namespace).values() if len(value) >= 12]


def test_check_mode_on_bare_hosts_announces_and_writes_nothing(lab):
    mark(lab, *HOSTS)
    run = lab.playbook("site", "--check", "--diff")
    assert run.rc == 0
    assert run.changed > 0
    for host in HOSTS:
        assert written_since_mark(lab, host) == []
        assert lab.ssh(host, "find", "/etc/systemd/system", "-name", "k3s*", "-o", "-name", "clearml*") == ""


def test_a_binary_that_is_not_the_one_promised(lab):
    base = lab.variables()["k3s_base_url"].replace("/k3s/", "/tampered/k3s/")
    run = lab.playbook("site", "--tags", "k3s", "--limit", "node-01", "--extra-vars", f"k3s_base_url={base}", quiet=True)
    assert run.rc != 0
    assert [line for line in run.output.splitlines() if "was not installed, what was there is untouched" in line], run.output[-3000:]
    assert lab.ssh("node-01", "ls", "/usr/local/bin") == ""
    assert lab.ssh("node-01", "sudo", "ls", "/etc/systemd/system").count("k3s") == 0


@pytest.mark.timeout(1500)
def test_an_install_killed_ten_times_converges(lab):
    """SIGKILL in the middle of ten tasks, one run after another, from the first download to the agents."""
    for task in INTERRUPTED:
        print(f"\n--- a run that is killed in: {task}", flush=True)
        run = lab.playbook("site", kill_in_task=task, quiet=True)
        assert run.rc < 0, f"the run ended with status {run.rc} before the task {task!r}:\n{run.output[-3000:]}"
    run = lab.playbook("site")
    assert run.rc == 0
    nodes = lab.kubectl(ANCHOR, "get", "nodes", "--no-headers")
    assert [line.split()[1] for line in nodes.splitlines()] == ["Ready", "Ready"]


def test_an_experiment_runs_through_the_queue(lab):
    outcome = run_experiment(lab)
    print("\n".join(["", *outcome.lines()]))
    assert outcome.status == "completed"
    assert outcome.artifact_matches
    assert len(outcome.scalars["accuracy"]) == 10


def test_a_second_run_changes_nothing_and_restarts_nothing(lab):
    before, objects = started(lab, UNITS), cluster_objects(lab)
    mark(lab, *MEMBERS)
    run = lab.playbook("site", "--diff")
    assert run.rc == 0
    assert run.changed == 0, run.changed_tasks()
    assert started(lab, UNITS) == before
    assert cluster_objects(lab) == objects
    for host in MEMBERS:
        assert written_since_mark(lab, host) == []
    print(f"no-change site.yml: {run.seconds:.0f} s")


def test_check_mode_on_finished_hosts_announces_nothing_and_shows_no_secret(lab):
    run = lab.playbook("site", "--check", "--diff", "-vv", quiet=True)
    assert run.rc == 0
    assert run.changed == 0, run.changed_tasks()
    secrets = secrets_of(lab)
    assert len(secrets) > 5
    assert [secret[:3] for secret in secrets if secret in run.output] == []


def test_a_rerun_with_new_settings_lets_the_experiment_finish(lab):
    """The daemons' settings change while one of them works: it finishes, then takes the new settings."""
    login = lab.login(ANCHOR)
    before = started(lab, {host: ["clearml-agent@cpu"] for host in ("node-02", "gpu-01")})
    task = submit.send(**login, parameters={"epochs": 10, "pause_seconds": 6})
    submit.wait_until_running(**login, task_id=task)
    answer = {}
    reader = threading.Thread(target=lambda: answer.update(submit.read(**login, task_id=task, timeout_seconds=500)))
    reader.start()
    settings = json.dumps({"clearml_agent_environment": {"HOMELAB_EXAMPLE": "new"}})
    run = lab.playbook("site", "--tags", "agents", "--extra-vars", settings)
    reader.join()
    assert run.rc == 0
    assert answer["status"] == "completed"
    assert len(answer["scalars"]["accuracy"]) == 10
    after = started(lab, {host: ["clearml-agent@cpu"] for host in ("node-02", "gpu-01")})
    assert all(after[unit] != before[unit] for unit in before)
    assert lab.playbook("site", "--tags", "agents", quiet=True).rc == 0


def test_a_token_of_another_cluster_is_refused_before_any_change(lab):
    before = started(lab, UNITS)
    run = lab.playbook("site", "--extra-vars", "k3s_token=not-the-token-of-this-cluster", quiet=True)
    assert run.rc != 0
    assert [line for line in run.output.splitlines() if "k3s_token is not this cluster's token" in line]
    assert "not-the-token-of-this-cluster" not in run.output
    assert run.changed == 0
    assert started(lab, UNITS) == before


def test_an_api_that_does_not_answer_stops_the_agents_before_any_change(lab):
    before = started(lab, UNITS)
    run = lab.playbook("site", "--tags", "agents", "--extra-vars", "homelab_clearml_api_url=http://127.0.0.1:9", quiet=True)
    assert run.rc != 0
    assert [line for line in run.output.splitlines() if "http://127.0.0.1:9" in line], run.output[-3000:]
    assert run.changed == 0
    assert started(lab, UNITS) == before


def test_one_line_and_limit_add_a_worker_and_touch_nothing_else(lab, tmp_path):
    before, objects = started(lab, UNITS), cluster_objects(lab)
    mark(lab, *MEMBERS)
    line = tmp_path / "inventory"
    line.mkdir()
    (line / "lab.yml").symlink_to(lab.folder / "inventory.yml")
    (line / "new.yml").write_text("k3s_workers: {hosts: {node-03: }}\nclearml_agents: {hosts: {node-03: }}\n")
    run = lab.playbook("site", "--limit", "node-03", inventory=line)
    assert run.rc == 0
    assert {host for host, counts in run.recap.items() if counts["changed"]} == {"node-03"}
    assert started(lab, UNITS) == before
    assert cluster_objects(lab) == objects
    for host in MEMBERS:
        assert written_since_mark(lab, host) == []
    nodes = lab.kubectl(ANCHOR, "get", "nodes", "--no-headers", "--output", "custom-columns=NAME:.metadata.name")
    assert nodes.split() == ["node-01", "node-02", "node-03"]
    assert lab.ssh("node-03", "systemctl", "is-active", "k3s-agent", "clearml-agent@cpu").split() == ["active", "active"]


@pytest.mark.soak
@pytest.mark.timeout(10800)
def test_an_install_killed_after_every_change_converges():
    """Each run is killed in the task after its first change, until one has nothing left to change."""
    lab = Session("soak")
    lab.lab("down")
    lab.lab("up", "--topology", "demo")
    try:
        runs = 1
        while (run := lab.playbook("site", kill_after_changes=1, quiet=True)).rc != 0:
            assert run.rc < 0, run.output[-3000:]
            runs += 1
            assert runs < 200
            print(f"killed {runs - 1} times", flush=True)
        assert run.changed == 0
        assert run_experiment(lab).artifact_matches
    finally:
        lab.lab("down")
