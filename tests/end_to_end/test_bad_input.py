# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a person gets wrong on the first evening: refused before any change, by one line that says what to do.

All findings of a run come in one table, so that a few runs, each with an inventory and machines of its own, show many of them.
"""

from __future__ import annotations

import contextlib

import pytest
import yaml
from session import Session

HOSTS = ("node-01", "node-02", "gpu-01")
BARE = ("/etc/rancher", "/usr/local/bin/k3s", "/opt/homelab-mlops", "/etc/clearml-agent", "/var/lib/clearml-agent")

# Runs the machine's own Python with a clock that is wrong by some seconds.
SKEWED = """
sudo mkdir -p /run/skewed
printf 'import time\\nright = time.time\\ntime.time = lambda: right() + {seconds}\\n' | sudo tee /run/skewed/sitecustomize.py
printf '#!/bin/sh\\nPYTHONPATH=/run/skewed exec /usr/bin/python3 "$@"\\n' | sudo tee /run/skewed/python3
sudo chmod 0755 /run/skewed/python3
"""
LISTEN = (
    "sudo systemd-run --quiet --unit bad-input-{name} "
    "python3 -c 'import socket, time; one = socket.socket(socket.AF_INET, socket.{kind}); {use}; time.sleep(900)'"
)


def inventory(lab: Session, path, groups, variables):
    """The lab's inventory with other hosts in its groups and with further variables of groups and hosts.

    ``groups`` maps a group to its hosts, or to None for a group that is not there.
    """
    content = yaml.safe_load((lab.folder / "inventory.yml").read_text(encoding="utf-8"))
    known = {host: values for group in content.values() for host, values in group.get("hosts", {}).items() if values}
    content["ungrouped"] = {"hosts": known}
    for group, hosts in groups.items():
        if hosts is None:
            del content[group]
        else:
            content[group] = {"hosts": dict.fromkeys(hosts)}
    for name, values in variables.items():
        if name in content:
            content[name].setdefault("vars", {}).update(values)
        else:
            known.setdefault(name, {}).update(values)
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def address(lab: Session, host: str) -> str:
    """The address by which the lab reaches a host."""
    content = yaml.safe_load((lab.folder / "inventory.yml").read_text(encoding="utf-8"))
    return next(group["hosts"][host]["ansible_host"] for group in content.values() if (group.get("hosts") or {}).get(host))


@contextlib.contextmanager
def changed(lab: Session, host: str, there: str, back: str):
    """A machine that is different for a while: one shell line makes it so, another undoes it."""
    lab.ssh(host, there)
    try:
        yield
    finally:
        lab.ssh(host, back)


def mounted(lab: Session, host: str, target: str, *command: str):
    """Something mounted over a path of a host, and gone again at the end."""
    return changed(lab, host, f"sudo mount {' '.join(command)} {target}", f"sudo umount {target}")


def listening(lab: Session, host: str, port: int, kind: str):
    """A program on a port of a host."""
    use = f'one.bind(("", {port}))' + ("; one.listen()" if kind == "SOCK_STREAM" else "")
    line = LISTEN.format(name=port, kind=kind, use=use)
    return changed(lab, host, line, f"sudo systemctl stop bad-input-{port}")


def skewed(lab: Session, host: str, seconds: int):
    """Another clock of a host, for what runs with the interpreter /run/skewed/python3."""
    return changed(lab, host, SKEWED.format(seconds=seconds), "sudo rm -r /run/skewed")


def values_of_a_server(lab: Session):
    """One server with about everything wrong that a variable can say."""
    yield {}
    yield {
        "k3s_servers": {
            "homelab_s3_bucket": "My_Bucket",
            "homelab_clearml_exposure": "ingress",
            "homelab_clearml_domain": "192.0.2.7",
            "minio_storage_size": "20 gigs",
            "clearml_server_secrets": {"pepper": "abcdefgh1"},
            "k3s_server_config": {
                "cluster_domain": "home.arpa",
                "token": "hunter2",
                "data-dir": "/mnt/big",
                "flannel-backend": "wireguard",
                "kubelet-arg": {"max-pods": 50},
                "cluster-cidr": "10.43.0.0/17",
                "cluster-dns": "10.53.0.10",
                "secrets-encryption": False,
            },
            "k3s_secrets_encryption": True,
            "k3s_disable": ["traefk", "local-storage"],
            "k3s_token": "K10abc::server:hunter2",
            "k3s_agent_token": "hunter2",
            "k3s_registration_address": "https://k3s.home:6443",
            "k3s_tls_sans": ["k3s.home:6443"],
            "k3s_node_ip": "203.0.113.9",
            "k3s_node_name": "Node_1",
            "k3s_node_labels": {"my disk": "ssd"},
            "k3s_node_taints": ["gpu=true:NoShedule", "gpu"],
            "k3s_registries": {"mirror": {"docker.io": {}}},
            "k3s_environment": {"HTTP-PROXY": "http://proxy", "K3S_URL": "https://k3s.home"},
            "k3s_datastore_endpoint": "mongodb://user:hunter2@db/k3s",
            "k3s_release_folder": "/nowhere/releases",
            "k3s_binary_checksum": "abc",
        }
    }


def two_servers(lab: Session):
    """Servers that are even in number, twins by name, and not agreed on anything."""
    yield {"k3s_servers": ["node-01", "node-02"], "k3s_workers": []}
    yield {
        "k3s_servers": {
            "k3s_version": "v1.35.0+k3s1",
            "k3s_node_name": "twin",
            "k3s_node_ip": address(lab, "node-01"),
            "k3s_token": "abc",
            "k3s_agent_token": "abc",
            "k3s_servers_schedulable": False,
            "k3s_node_taints": ["gpu=true:NoExecute", "gpu=false:NoExecute"],
            "k3s_registration_address": "k3s.nowhere.invalid",
            "ansible_python_interpreter": "/run/skewed/python3",
        },
        "node-01": {"k3s_server_config": {"cluster-cidr": "10.42.0.0/16,fd00:42::/56"}},
        "node-02": {"k3s_server_config": {"cluster-cidr": "10.42.0/16"}},
        "gpu-01": {"clearml_agent_busy_policy": "kill"},
    }
    yield skewed(lab, "node-01", 50)
    yield skewed(lab, "node-02", -50)
    yield listening(lab, "node-02", 2379, "SOCK_STREAM")


def server_and_worker(lab: Session):
    """A server in the network of its own pods, a worker that is told what servers are told, and people and queues that nobody makes."""
    network = address(lab, "node-01").rpartition(".")[0] + ".0/24"
    yield {"clearml_clients": ["gpu-01"]}
    yield {
        "k3s_servers": {
            "k3s_version": "1.34",
            "k3s_server_config": {"cluster-cidr": network, "disable-apiserver-lb": True},
            "k3s_node_ip": "10.0.0.1:6443",
            "k3s_token": "with a blank in between",
            "k3s_datastore_endpoint": "mysql://user:hunter2@tcp(db:3306)/k3s",
            "k3s_registries": {"mirrors": {"docker.io": {"endpoints": ["https://mirror"]}}},
        },
        "k3s_workers": {"k3s_agent_config": {"cluster-cidr": "10.42.0.0/16", "frobnicate": True}},
        "gpu-01": {
            "clearml_agent_queues": ["gpus", "default"],
            "clearml_client_people": [{"user": "lab", "clearml_user": "zoe"}, {"user": "ci", "clearml_user": "homelab", "path": "ci.conf"}],
        },
    }


def machines(lab: Session):
    """Inventories are right here, machines are not."""
    yield {}
    yield {
        "gpu-01": {"ansible_python_interpreter": "/run/skewed/python3"},
        "node-02": {"ansible_python_interpreter": "/run/old-machine/python3"},
    }
    # The kernel answers programs below it as it would on a machine of 32 bits.
    wrapper = (
        "printf '#!/bin/sh\\nexec setarch i686 /usr/bin/python3 \"$@\"\\n' | sudo install -D -m 755 /dev/stdin /run/old-machine/python3"
    )
    yield changed(lab, "node-02", wrapper, "sudo rm -r /run/old-machine")
    yield listening(lab, "node-01", 6443, "SOCK_STREAM")
    yield listening(lab, "node-02", 8472, "SOCK_DGRAM")
    yield mounted(lab, "node-01", "/var/lib/rancher", "-t tmpfs -o size=20g,noexec tmpfs")
    yield mounted(lab, "node-02", "/var/lib/rancher", "-t tmpfs -o size=512m,ro tmpfs")
    yield changed(lab, "node-02", "sudo hostname node-01", "sudo hostname node-02")
    for host in ("node-01", "node-02"):
        yield changed(
            lab, host, "echo 0123456789abcdef0123456789abcdef | sudo tee /run/machine-id-of-all", "sudo rm /run/machine-id-of-all"
        )
        yield mounted(lab, host, "/etc/machine-id", "--bind /run/machine-id-of-all")
    yield skewed(lab, "gpu-01", 300)
    fedora = "printf 'ID=fedora\\nVERSION_ID=43\\nPRETTY_NAME=\"Fedora 43\"\\n' | sudo tee /run/os-release"
    yield changed(lab, "gpu-01", fedora, "sudo rm /run/os-release")
    yield mounted(lab, "gpu-01", "/etc/os-release", "--bind /run/os-release")
    route = lab.ssh("gpu-01", "ip route show default").strip()
    yield changed(lab, "gpu-01", "sudo ip route del default", f"sudo ip route add {route}")


def unreachable(lab: Session):
    """The only server is switched off."""
    yield {"k3s_servers": ["node-09"]}
    yield {"node-09": {"ansible_host": "127.0.0.9", "ansible_port": 9}}


def no_server(lab: Session):
    yield {"k3s_servers": None}
    yield {}


def empty_server(lab: Session):
    yield {"k3s_servers": []}
    yield {}


def both_server_and_worker(lab: Session):
    yield {"k3s_workers": ["node-01", "node-02"]}
    yield {}


# For each story the words that stand together in one line of what the person reads: the host, what is wrong, and what to do.
FINDINGS = {
    values_of_a_server: [
        ("node-01", "My_Bucket", "small letters", "set homelab_s3_bucket"),
        ("node-01", "homelab_clearml_domain is an address", "192.0.2.7", "such as clearml.home.example"),
        ("node-01", "minio_storage_size", "20 gigs", "such as 20Gi"),
        ("node-01", "clearml_server_secrets", "pepper", "for the keys", "salt"),
        ("node-01", "cluster_domain, which K3s does not know", "perhaps cluster-domain is meant"),
        ("node-01", "token, which the role sets", "set k3s_token"),
        ("node-01", "data-dir", "mount the other disk at /var/lib/rancher"),
        ("node-01", "flannel-backend", "wireguard", "wireguard-native"),
        ("node-01", "kubelet-arg with something nested", "a list"),
        ("node-01", "cluster-cidr and service-cidr overlap", "10.43.0.0/17 and 10.43.0.0/16", "network of its own"),
        ("node-01", "cluster-dns is outside of service-cidr", "10.53.0.10", "an address of service-cidr"),
        ("node-01", "secrets-encryption and k3s_secrets_encryption", "keep k3s_secrets_encryption"),
        ("node-01", "no part of K3s", "traefk", "perhaps traefik is meant"),
        ("node-01", "the storage class", "local-storage in k3s_disable", "keep local-storage"),
        ("node-01", "k3s_token is no token", "begins with K10", "letters and digits"),
        ("node-01", "k3s_agent_token is too short", "7 characters", "16 or more"),
        ("node-01", "k3s_registration_address", "it is a URL", "https:// and :6443 are added"),
        ("node-01", "k3s_tls_sans", "it has a port", "names and IP addresses alone"),
        ("node-01", "k3s_node_ip is no address of this machine", "203.0.113.9", "set k3s_node_ip to one of"),
        ("node-01", "no valid name for a node", "Node_1", "set k3s_node_name"),
        ("node-01", "label my disk", "mend it in k3s_node_labels"),
        ("node-01", "the effect NoShedule", "perhaps NoSchedule is meant"),
        ("node-01", "a taint is not of the form key=value:Effect", "gpu", "k3s_node_taints"),
        ("node-01", "k3s_registries has mirror", "perhaps mirrors is meant"),
        ("node-01", "no name of a variable", "HTTP-PROXY", "letters, digits and underscores"),
        ("node-01", "K3S_URL, which would work against the role", "remove it"),
        ("node-01", "k3s_datastore_endpoint", "mongodb://", "begin with postgres://"),
        ("node-01", "k3s_release_folder", "/nowhere/releases/v1.", "set k3s_release_folder to where it lies"),
        ("node-01", "k3s_binary_checksum is no SHA-256", "3 characters", "64 hexadecimal digits"),
    ],
    two_servers: [
        ("node-01, node-02", "an even number of servers", "2 in k3s_servers", "add a server or move node-02 to k3s_workers"),
        ("node-01, node-02", "there is no K3s v1.35.0+k3s1 to download", "404 from", "set k3s_version to a release that is there"),
        ("node-01, node-02", "share one node name", "twin", "set k3s_node_name of one"),
        ("node-01, node-02", "share one node address", "give each its own"),
        ("node-01, node-02", "k3s_agent_token is the same as k3s_token", "give workers another one"),
        ("node-01, node-02", "no node would take pods", "set k3s_servers_schedulable to true"),
        ("node-01, node-02", "two taints have one key and effect", "gpu=false:NoExecute", "keep one of them"),
        ("node-01, node-02 (note)", "not known here", "k3s.nowhere.invalid", "write the IP address"),
        ("node-01", "cluster-cidr and service-cidr are of different kinds", "fd00:42::/56", "IPv4, IPv6 or both"),
        ("node-02", "cluster-cidr is no network", "10.42.0/16", "ADDRESS/BITS"),
        ("node-01, node-02", "cluster-cidr of k3s_server_config differs between servers", "set it once"),
        ("node-01, node-02", "the clocks of servers differ", "synchronise both"),
        ("node-02", "port 2379 is taken by another program", "stop it"),
        ("gpu-01", "clearml_agent_busy_policy", "kill", "wait"),
    ],
    server_and_worker: [
        ("node-01", "k3s_version is no release of K3s", "1.34", "v1.34.1+k3s1"),
        ("node-01", "is in use on this machine", "on eth0", "free here"),
        ("node-02", "is in use on this machine", "on eth0", "free here"),
        ("node-01", "disable-apiserver-lb, which only workers know", "move it to k3s_agent_config"),
        ("node-01", "k3s_node_ip is no IP address", "10.0.0.1:6443", "IP address alone"),
        ("node-01", "k3s_token is no token", "a blank", "letters and digits"),
        ("node-01", "docker.io below mirrors", "endpoints", "perhaps endpoint is meant"),
        ("node-02", "cluster-cidr, which only servers know", "move it to k3s_server_config"),
        ("node-02", "frobnicate, which K3s does not know", "remove it"),
        ("gpu-01", "agents listen to a queue that the workspace does not make", "gpus", "add it to clearml_workspace_queues"),
        ("gpu-01", "a user whom the settings do not make", "zoe", "clearml_server_users or clearml_workspace_users"),
        ("gpu-01", "an entry that cannot be", "ci", "begins with ~/"),
    ],
    machines: [
        ("node-01", "port 6443 is taken by another program", "stop it", "ss -ltnp"),
        ("node-02", "UDP port 8472 is taken by another program", "stop it", "ss -lunp"),
        ("node-01", "programs cannot run from /var/lib/rancher", "noexec", "remount,exec"),
        ("node-02", "/var/lib/rancher cannot be written", "read-only", "remount,rw"),
        ("node-02", "too little space for /var/lib/rancher", "GiB needed", "free space on /var/lib/rancher"),
        ("node-01, node-02", "share one host name", "node-01", "hostnamectl set-hostname"),
        ("node-01, node-02", "share one machine-id", "0123456789abcdef", "systemd-machine-id-setup"),
        ("gpu-01", "the clock differs from the controller's", "synchronise both"),
        ("gpu-01", "operating system is not supported", "Fedora 43", "use Debian"),
        ("node-02", "architecture is not supported", "i686", "x86_64 or aarch64"),
        ("gpu-01", "there is no default route", "set one"),
    ],
    unreachable: [("node-09", "cannot be reached", "check name, address, key and network")],
    no_server: [("group k3s_servers is missing", "add one host below k3s_servers")],
    empty_server: [("group k3s_servers is empty", "add one host below k3s_servers")],
    both_server_and_worker: [("node-01", "is both server and worker", "remove it from k3s_workers")],
}


@pytest.fixture(scope="module")
def refusals(lab, tmp_path_factory):
    """Plays a story once: what was printed. Each is refused, and leaves the hosts as bare as they were."""
    printed = {}

    def play(story) -> str:
        if story not in printed:
            with contextlib.ExitStack() as stack:
                parts = story(lab)
                groups, variables = next(parts), next(parts)
                for part in parts:
                    stack.enter_context(part)
                path = inventory(lab, tmp_path_factory.mktemp(story.__name__) / "inventory.yml", groups, variables)
                run = lab.playbook("site", inventory=path, quiet=True)
            assert run.rc != 0, run.output[-3000:]
            assert run.changed == 0, run.output[-3000:]
            assert "hunter2" not in run.output
            for host in HOSTS:
                assert lab.ssh(host, f"for path in {' '.join(BARE)}; do if [ -e $path ]; then echo $path; fi; done") == ""
            printed[story] = run.output
        return printed[story]

    return play


@pytest.mark.parametrize(
    ("story", "words"),
    [pytest.param(story, words, id=f"{story.__name__}-{' '.join(words[:2])}") for story, found in FINDINGS.items() for words in found],
)
def test_it_is_refused_with_its_fix(refusals, story, words):
    output = refusals(story)
    assert [line for line in output.splitlines() if all(word in line for word in words)], output[-9000:]


def test_control_groups_that_kubernetes_gave_up(lab, refusals):
    if "2" in lab.ssh("node-01", "test -e /sys/fs/cgroup/cgroup.controllers && echo 2 || echo 1"):
        pytest.skip("the hosts have control groups v2")
    output = refusals(two_servers)
    assert "Kubernetes 1.35 and newer need control groups v2" in output and "set k3s_version below v1.35" in output
