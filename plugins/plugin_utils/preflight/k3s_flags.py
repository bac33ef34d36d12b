# Copyright (c) 2026, homelab.mlops contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of K3s's flags, which are the keys of its config.yaml (k3s-io/k3s pkg/cli/cmds: agent.go, server.go, log.go, root.go)."""

from __future__ import annotations

# The release of K3s, as major and minor, that the lists are of. A newer one may know more flags.
LISTED = (1, 35)

BOTH = frozenset(
    """
    airgap-extra-registry alsologtostderr bind-address config container-runtime-endpoint data-dir debug default-runtime
    disable-default-registry-endpoint docker enable-pprof flannel-cni-conf flannel-conf flannel-iface
    image-credential-provider-bin-dir image-credential-provider-config image-service-endpoint kube-proxy-arg kubelet-arg
    lb-server-port log node-external-dns node-external-ip node-internal-dns node-ip node-label node-name node-taint
    nonroot-devices pause-image prefer-bundled-bin private-registry protect-kernel-defaults resolv-conf rootless selinux server
    snapshotter token token-file v vmodule vpn-auth vpn-auth-file with-node-id
    """.split()
)
AGENT_ONLY = frozenset(["disable-apiserver-lb"])
SERVER_ONLY = frozenset(
    """
    advertise-address advertise-port agent-token agent-token-file apiserver-bind-address apiserver-port cluster-cidr cluster-dns
    cluster-domain cluster-init cluster-reset cluster-reset-restore-path datastore-cafile datastore-certfile datastore-endpoint
    datastore-keyfile default-local-storage-path disable disable-agent disable-apiserver disable-cloud-controller
    disable-controller-manager disable-etcd disable-helm-controller disable-kube-proxy disable-network-policy disable-scheduler
    egress-selector-mode embedded-registry etcd-arg etcd-disable-snapshots etcd-expose-metrics etcd-s3 etcd-s3-access-key
    etcd-s3-bucket etcd-s3-bucket-lookup-type etcd-s3-config-secret etcd-s3-endpoint etcd-s3-endpoint-ca etcd-s3-folder
    etcd-s3-insecure etcd-s3-proxy etcd-s3-region etcd-s3-retention etcd-s3-secret-key etcd-s3-session-token
    etcd-s3-skip-ssl-verify etcd-s3-timeout etcd-snapshot-compress etcd-snapshot-dir etcd-snapshot-name
    etcd-snapshot-reconcile-interval etcd-snapshot-retention etcd-snapshot-schedule-cron flannel-backend flannel-external-ip
    flannel-ipv6-masq helm-controller-arg helm-job-image https-listen-port kine-tls kube-apiserver-arg kube-cloud-controller-arg
    kube-cloud-controller-manager-arg kube-controller-arg kube-controller-manager-arg kube-scheduler-arg secrets-encryption
    secrets-encryption-provider service-cidr service-node-port-range servicelb-namespace supervisor-metrics supervisor-port
    system-default-registry tls-san tls-san-security write-kubeconfig write-kubeconfig-group write-kubeconfig-mode
    """.split()
)
SHORT = {"c": "config", "d": "data-dir", "i": "node-ip", "l": "log", "o": "write-kubeconfig", "s": "server", "t": "token"}

# Flags that a variable of the role stands for: a second way to set them would win or lose in silence.
VARIABLES = {
    "agent-token": "k3s_agent_token",
    "agent-token-file": "k3s_agent_token",
    "datastore-endpoint": "k3s_datastore_endpoint",
    "node-ip": "k3s_node_ip",
    "node-name": "k3s_node_name",
    "server": "k3s_registration_address",
    "token": "k3s_token",
    "token-file": "k3s_token",
}
# Flags that count when a node registers and never again, and the variables that are kept in step.
REGISTRATION = {"node-label": "k3s_node_labels", "node-taint": "k3s_node_taints"}
# Variables that say the same as a flag: lists are joined, and of anything else one alone can count.
LISTS = {"disable": "k3s_disable", "tls-san": "k3s_tls_sans"}
SINGLES = {
    "embedded-registry": "k3s_embedded_registry",
    "private-registry": "k3s_registries",
    "secrets-encryption": "k3s_secrets_encryption",
}
# Flags that do not go with the roles, and what to do instead.
REFUSED = {
    "cluster-reset": "remove it: with it in the file each start would forget the other servers",
    "cluster-reset-restore-path": "remove it: with it in the file each start would restore again",
    "config": "remove it: the role writes /etc/rancher/k3s/config.yaml",
    "data-dir": "remove it and mount the other disk at /var/lib/rancher",
    "disable-agent": "remove it: servers are nodes of the cluster, k3s_servers_schedulable keeps pods away",
    "disable-apiserver": "remove it: each server runs all parts of a server",
    "disable-etcd": "remove it: each server runs all parts of a server",
    "https-listen-port": "remove it: the API is reached on port 6443",
    "rootless": "remove it: the unit runs K3s as root",
    "with-node-id": "remove it: the node is found by k3s_node_name",
}
# Values of flags that take one of a few.
CHOICES = {
    "egress-selector-mode": ("agent", "cluster", "pod", "disabled"),
    "flannel-backend": ("none", "vxlan", "host-gw", "wireguard-native"),
    "secrets-encryption-provider": ("aescbc", "secretbox"),
}
# Flags that must be the same on all servers, and what they are without the key (pkg/daemons/config/types.go, CriticalControlArgs).
SAME_ON_SERVERS = {
    "cluster-cidr": "10.42.0.0/16",
    "cluster-dns": "",
    "cluster-domain": "cluster.local",
    "disable-cloud-controller": "false",
    "disable-helm-controller": "false",
    "disable-network-policy": "false",
    "egress-selector-mode": "agent",
    "embedded-registry": "false",
    "flannel-backend": "vxlan",
    "flannel-external-ip": "false",
    "flannel-ipv6-masq": "false",
    "secrets-encryption": "false",
    "secrets-encryption-provider": "aescbc",
    "service-cidr": "10.43.0.0/16",
    "supervisor-metrics": "false",
}
# Parts of K3s that `disable` takes (k3s-io/k3s pkg/cli/cmds/stage.go, DisableItems); names of own manifests are allowed too.
COMPONENTS = ("ccm", "coredns", "local-storage", "metrics-server", "runtimes", "servicelb", "traefik")


def flag(key):
    """The flag that a key of config.yaml means: a trailing plus appends to earlier values, one letter is a short name."""
    name = str(key).removesuffix("+")
    return SHORT.get(name, name)


def flags(server):
    """All flags of a server or of a worker."""
    return BOTH | (SERVER_ONLY if server else AGENT_ONLY)
