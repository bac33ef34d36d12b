# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Years of a K3s cluster in one story: it grows, is upgraded, loses machines and gets them back, and ends."""

from __future__ import annotations

import re

import pytest
import yaml
from cluster import WEB, Cluster, requests
from kubernetes import client, config
from session import Session

OLD, NEW = "v1.33.5+k3s1", "v1.34.1+k3s1"
SERVERS = ["node-01", "node-02", "node-03"]
OF_K3S = "/etc/rancher /var/lib/rancher/k3s /var/lib/kubelet /run/k3s /usr/local/bin/k3s* /etc/systemd/system/k3s*"


@pytest.fixture(scope="module")
def cluster(tmp_path_factory) -> Cluster:
    """One server, one worker, four machines without a role."""
    session = Session("cluster")
    session.lab("down")
    session.lab("up", "--topology", "cluster")
    yield Cluster(session, tmp_path_factory.mktemp("inventory") / "inventory", variables={"k3s_version": OLD})
    session.lab("down")


def test_one_server_and_one_worker(cluster):
    run = cluster.playbook("site")
    assert run.rc == 0
    assert {name: node["ready"] for name, node in cluster.nodes("node-01").items()} == {"node-01": True, "node-04": True}
    cluster.write("node-01", "before-growth")
    cluster.apply("node-01", WEB)


def test_one_server_grows_to_three_and_keeps_what_it_held(cluster):
    worker = cluster.processes("node-04")
    cluster.servers = SERVERS[1:]
    run = cluster.playbook("site")
    assert run.rc == 0
    nodes = cluster.nodes("node-03")
    assert {name for name, node in nodes.items() if node["voter"]} == set(SERVERS)
    assert all(node["ready"] for node in nodes.values())
    for server in SERVERS:
        assert cluster.kept(server, "before-growth") == "before-growth"
    assert cluster.processes("node-04") == worker


def test_a_second_run_changes_and_restarts_nothing(cluster):
    before = cluster.processes(*SERVERS, "node-04")
    run = cluster.playbook("site", "--diff")
    assert run.rc == 0
    assert run.changed == 0, run.changed_tasks()
    assert cluster.processes(*SERVERS, "node-04") == before
    print(f"no-change run over three servers and a worker: {run.seconds:.0f} s")


def test_a_worker_is_added_while_the_first_server_has_no_power(cluster):
    others = ("node-02", "node-03", "node-04")
    before = cluster.processes(*others)
    cluster.workers = ["node-05"]
    cluster.session.lab("stop", "node-01")
    run = cluster.playbook("site", "--limit", "node-05")
    assert run.rc == 0
    assert {host for host, counts in run.recap.items() if counts["changed"]} == {"node-05"}
    assert cluster.nodes("node-02")["node-05"]["ready"]
    refused = cluster.playbook("site", "--limit", "node-02", "--extra-vars", '{"k3s_tls_sans": ["k3s.example"]}', quiet=True)
    assert refused.rc != 0
    assert [line for line in refused.output.splitlines() if "not restarted while node-01 is away" in line], refused.output[-3000:]
    assert cluster.playbook("site", "--limit", "node-02", quiet=True).rc == 0
    assert cluster.processes(*others) == before
    cluster.session.lab("up", "--topology", "cluster")
    cluster.session.ssh("node-01", "timeout 180 sh -c 'until systemctl is-active --quiet k3s; do sleep 1; done'", timeout=200)
    cluster.session.kubectl("node-02", "wait", "node/node-01", "--for=condition=Ready", "--timeout=180s")
    assert cluster.nodes("node-02")["node-01"]["voter"]


@pytest.mark.timeout(1500)
def test_an_upgrade_that_was_killed_goes_on_where_it_stopped_and_loses_no_request(cluster):
    cluster.variables = {"k3s_version": NEW}
    cluster.session.kubectl("node-01", "rollout", "status", "deployment/web", "--timeout=120s")
    with requests([cluster.address(host) for host in ("node-04", "node-05")]) as count:
        killed = cluster.playbook("upgrade", kill_in_task="Restart k3s.service", quiet=True)
        assert killed.rc < 0, killed.output[-3000:]
        run = cluster.playbook("upgrade")
    assert run.rc == 0
    nodes = cluster.nodes("node-01")
    assert {node["version"] for node in nodes.values()} == {NEW}
    assert all(node["ready"] and node["schedulable"] for node in nodes.values())
    assert count.lost == []
    assert count.answered > 300
    assert cluster.session.ssh("node-01", "sudo", "ls", "/var/lib/homelab-mlops/k3s-snapshots") != ""
    before = cluster.processes(*SERVERS, "node-04", "node-05")
    again = cluster.playbook("upgrade", quiet=True)
    assert again.rc == 0
    assert again.changed == 0, again.changed_tasks()
    assert cluster.processes(*SERVERS, "node-04", "node-05") == before


def test_a_downgrade_is_refused_before_any_change(cluster):
    for playbook in ("upgrade", "site"):
        run = cluster.playbook(playbook, "--extra-vars", f"k3s_version={OLD}", quiet=True)
        assert run.rc != 0
        assert run.changed == 0
        assert [line for line in run.output.splitlines() if NEW in line and OLD in line], run.output[-3000:]


def test_a_worker_is_removed_and_comes_back(cluster):
    others = (*SERVERS, "node-04")
    before = cluster.processes(*others)
    assert cluster.playbook("remove_host", "--extra-vars", "remove_host=node-05").rc == 0
    assert "node-05" not in cluster.nodes("node-01")
    assert cluster.session.ssh("node-05", f"ls -d {OF_K3S}", check=False) == ""
    again = cluster.playbook("site", "--limit", "node-05")
    assert again.rc == 0
    assert cluster.nodes("node-01")["node-05"]["ready"]
    assert cluster.processes(*others) == before


def test_a_removal_that_was_killed_and_given_up_leaves_no_node_without_pods(cluster):
    cluster.session.kubectl("node-01", "cordon", "node-04")
    killed = cluster.playbook("remove_host", "--extra-vars", "remove_host=node-05", kill_in_task="Bring the scripts", quiet=True)
    assert killed.rc < 0, killed.output[-3000:]
    assert not cluster.nodes("node-01")["node-05"]["schedulable"]
    assert cluster.playbook("site", quiet=True).rc == 0
    nodes = cluster.nodes("node-01")
    assert nodes["node-05"]["ready"] and nodes["node-05"]["schedulable"]
    assert not nodes["node-04"]["schedulable"]  # a person's
    cluster.session.kubectl("node-01", "uncordon", "node-04")


def test_a_worker_whose_node_was_deleted_registers_again(cluster):
    cluster.session.kubectl("node-01", "delete", "node", "node-05")
    assert cluster.playbook("site", "--limit", "node-05").rc == 0
    assert cluster.nodes("node-01")["node-05"]["ready"]


def test_two_servers_go_on_until_a_third_is_back(cluster):
    assert cluster.playbook("remove_host", "--extra-vars", "remove_host=node-03").rc == 0
    nodes = cluster.nodes("node-01")
    assert {name for name, node in nodes.items() if node["voter"]} == {"node-01", "node-02"}
    cluster.servers = ["node-02"]
    meanwhile = cluster.playbook("site", quiet=True)
    assert meanwhile.rc == 0, meanwhile.output[-3000:]
    assert meanwhile.changed == 0, meanwhile.changed_tasks()
    assert "an even number of servers" in meanwhile.output
    cluster.servers = SERVERS[1:]
    assert cluster.playbook("site").rc == 0
    assert {name for name, node in cluster.nodes("node-01").items() if node["voter"]} == set(SERVERS)


def test_a_rebuilt_first_server_joins_the_living_cluster(cluster):
    """Its disk was replaced: nothing of K3s is left on it, and nobody told the cluster."""
    folders = "/etc/rancher /var/lib/rancher /var/lib/kubelet /usr/local/lib/homelab-mlops /usr/local/bin/k3s* /etc/systemd/system/k3s*"
    wipe = f"systemctl stop k3s; k3s-killall.sh; umount --quiet /var/lib/kubelet; rm -rf {folders}; systemctl daemon-reload"
    cluster.session.ssh("node-01", f"sudo sh -c '{wipe}'")
    others = ("node-02", "node-03", "node-04")
    before = cluster.processes(*others)
    run = cluster.playbook("site")
    assert run.rc == 0
    nodes = cluster.nodes("node-01")
    assert {name for name, node in nodes.items() if node["voter"]} == set(SERVERS)
    assert cluster.kept("node-01", "before-growth") == "before-growth"
    assert cluster.processes(*others) == before


def test_a_worker_without_any_download(cluster, tmp_path):
    """Air gap: the release lies in a folder of the controller, and every URL leads nowhere."""
    release = tmp_path / NEW
    release.mkdir()
    served = cluster.session.folder / "www" / "k3s" / "releases" / "download" / NEW
    for name in ("k3s", "sha256sum-amd64.txt", "k3s-airgap-images-amd64.tar.zst"):
        (release / name).symlink_to(served / name)
    cluster.workers = ["node-05", "node-06"]
    nowhere = {"k3s_release_folder": str(tmp_path), "k3s_base_url": "http://127.0.0.1:9", "k3s_extra_image_archives": []}
    before = cluster.variables
    cluster.variables = before | nowhere
    run = cluster.playbook("site", "--limit", "node-06")
    cluster.variables = before
    assert run.rc == 0
    assert cluster.nodes("node-01")["node-06"]["ready"]
    # With the network it gets what the others have.
    assert cluster.playbook("site", "--limit", "node-06", quiet=True).rc == 0


def test_the_kubeconfig_of_a_person_keeps_its_other_clusters(cluster, tmp_path):
    path = tmp_path / "config"
    path.write_text(
        yaml.safe_dump(
            {
                "apiVersion": "v1",
                "kind": "Config",
                "clusters": [{"name": "work", "cluster": {"server": "https://192.0.2.1:6443"}}],
                "users": [{"name": "work", "user": {"token": "kept"}}],
                "contexts": [{"name": "work", "context": {"cluster": "work", "user": "work"}}],
                "current-context": "work",
            }
        )
    )
    path.chmod(0o600)
    assert cluster.playbook("kubeconfig", "--extra-vars", f"kubeconfig_path={path}").rc == 0
    merged = yaml.safe_load(path.read_text())
    assert {"name": "work", "user": {"token": "kept"}} in merged["users"]
    assert merged["current-context"] == "work"
    assert path.stat().st_mode & 0o777 == 0o600
    context = next(one["name"] for one in merged["contexts"] if one["name"] != "work")
    api = client.CoreV1Api(config.new_client_from_config(str(path), context=context))
    assert {node.metadata.name for node in api.list_node().items} >= set(SERVERS)
    again = cluster.playbook("kubeconfig", "--extra-vars", f"kubeconfig_path={path}", quiet=True)
    assert again.rc == 0
    assert again.changed == 0, again.changed_tasks()


def test_a_new_token_for_everybody(cluster):
    old = cluster.session.ssh("node-01", "sudo", "cat", "/var/lib/rancher/k3s/server/token")
    run = cluster.playbook("rotate_token")
    assert run.rc == 0
    new = cluster.session.ssh("node-02", "sudo", "cat", "/var/lib/rancher/k3s/server/token")
    assert new != old
    assert new.strip().rpartition(":")[2] not in run.output
    assert all(node["ready"] for node in cluster.nodes("node-01").values())
    again = cluster.playbook("site", quiet=True)
    assert again.rc == 0
    assert again.changed == 0, again.changed_tasks()


def test_the_end_is_asked_for_twice_and_leaves_nothing(cluster):
    asked = cluster.playbook("uninstall", quiet=True)
    assert asked.rc != 0
    assert all(node["ready"] for node in cluster.nodes("node-01").values())
    confirm = re.search(r"uninstall_confirm=(\S+)", asked.output)[1]
    assert cluster.playbook("uninstall", "--extra-vars", f"uninstall_confirm={confirm} uninstall_delete_data=true").rc == 0
    for host in (*SERVERS, "node-04", "node-05", "node-06"):
        assert cluster.session.ssh(host, f"ls -d {OF_K3S}", check=False) == ""
        assert "cni0" not in cluster.session.ssh(host, "ip", "-brief", "link")
        assert "KUBE-" not in cluster.session.ssh(host, "sudo", "iptables-save")
