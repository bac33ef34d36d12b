# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine, settings and argument_specs that preflight has nothing against."""

from __future__ import annotations

import copy

NODE = {
    "hostname": "node-01",
    "machine_id": "a" * 32,
    "architecture": "x86_64",
    "python": "3.11.2",
    "os": {"id": "debian", "version": "12", "name": "Debian GNU/Linux 12 (bookworm)"},
    "systemd": True,
    "root": True,
    "cgroup": 2,
    "memory_bytes": 4 << 30,
    "swap_bytes": 0,
    "address": "10.0.0.1",
    "epoch": 1000.0,
    "disks": {"/": {"folder": "/", "free_bytes": 20 << 30, "total_bytes": 40 << 30, "mount": "/", "readonly": False, "noexec": False}},
    "listening": [],
    "listeners": {},
    "network": {
        "addresses": [{"address": "10.0.0.1", "interface": "eth0"}],
        "routes": [{"destination": "10.0.0.0/24", "interface": "eth0"}],
        "udp": [],
        "firewall": "",
        "names": {},
    },
    "k3s": {
        "version": "",
        "server": "",
        "agent": "",
        "data": False,
        "etcd": False,
        "sqlite": False,
        "authority": "",
        "images": [],
        "ready": False,
        "nodes": [],
    },
    "clearml_agents": False,
    "minio": False,
}
SETTINGS = {
    "clock_seconds": 60,
    "free_gib": {"/": 4},
    "server_memory_mib": 1900,
    "worker_memory_mib": 480,
    "cluster_alive": False,
    "etcd_servers": [],
    "upgrade": False,
    "k3s_version": "v1.34.1+k3s1",
    "release": {"status": 0, "url": ""},
    "node_name": "node-01",
    "token_differs": False,
    "address": "10.0.0.1",
    "servers": ["node-01"],
    "workers": ["node-02"],
    "storage_class": "local-path",
    "secret_keys": ["apiserver_key", "salt"],
    "bucket": "clearml",
    "workspace": {"queues": [{"name": "default"}], "users": [], "server_users": [{"name": "homelab"}]},
    "s3": {
        "provider": "minio",
        "tls": "none",
        "endpoint_url": "http://10.0.0.1:9000",
        "ca_bundle": "",
        "ca_days": 3650,
        "days": 397,
        "renew_days": 30,
    },
    "s3_host": "",
    "minio": {"data_dir": "/var/lib/minio", "data_mount": "", "free_gib": 10, "address": "", "ports": {"s3": 9000, "s3_console": 9001}},
    "k3s_gpus": [],
    "gpus": None,
    "device_plugin": {"wanted": False, "admin": "node-01", "nodes": ["node-01"]},
    "exposure": "load_balancer",
    "clearml": {
        "exposure": "load_balancer",
        "domain": "",
        "hosts": {"web": "", "api": "", "files": ""},
        "names": [],
        "urls": {"web": "http://10.0.0.1:8080", "api": "http://10.0.0.1:8008", "files": "http://10.0.0.1:8081"},
        "ingress_class": "traefik",
        "tls": "none",
        "tls_secret": "",
        "ca_bundle": "",
        "ca_days": 3650,
        "days": 397,
        "renew_days": 30,
    },
    "endpoints": {"clearml_web": ["", 8080], "clearml_api": ["", 8008], "s3": ["", 9000]},
}
SPECS = {
    "k3s": {
        "argument_specs": {
            "main": {
                "options": {
                    "k3s_version": {"type": "str", "description": "Release of K3s. More."},
                    "k3s_ready_timeout_seconds": {"type": "int", "default": "{{ nothing }}", "description": "How long."},
                    "k3s_token": {"type": "dict", "description": "Token."},
                    "k3s_archives": {
                        "type": "list",
                        "elements": "dict",
                        "description": "Archives.",
                        "options": {"url": {"type": "str", "required": True, "description": "Where."}},
                    },
                    "k3s_mode": {"type": "str", "choices": ["one", "two"], "description": "Mode."},
                }
            }
        }
    }
}


def changed(base, **changes):
    """A copy of `base` in which `os__id=x` sets base["os"]["id"]."""
    result = copy.deepcopy(base)
    for path, value in changes.items():
        *folders, name = path.split("__")
        target = result
        for folder in folders:
            target = target[folder]
        target[name] = value
    return result


def facts(found):
    """What of findings the tests compare."""
    return [(one["level"], one["finding"], one["measured"]) for one in found]
