// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package cliargs reads what K3s reads its settings from: command line, environment, config.yaml and config.yaml.d.
package cliargs

// Kind says how a flag takes its value.
type Kind int

// Kinds of flags. A List splits each value at commas, a Slice takes it as it is: K3s splits addresses, networks and
// components itself (k3s-io/k3s pkg/util/net.go, SplitStringSlice) but not labels and arguments of components.
const (
	Bool Kind = iota
	String
	Int
	Duration
	Slice
	List
)

// Flag is one option of `k3s server` or `k3s agent`.
type Flag struct {
	Names   []string // the first is the name, the rest are aliases
	Kind    Kind
	Env     string
	Default string
	Inert   bool // accepted as K3s accepts it, without effect in the stand-in
}

func flag(kind Kind, def, env string, names ...string) Flag {
	return Flag{Names: names, Kind: kind, Default: def, Env: env}
}

func inert(kind Kind, names ...string) Flag {
	return Flag{Names: names, Kind: kind, Inert: true}
}

// common are the options of both commands (k3s-io/k3s pkg/cli/cmds/agent.go and log.go).
var common = []Flag{
	flag(String, "/etc/rancher/k3s/config.yaml", "K3S_CONFIG_FILE", "config", "c"),
	flag(Bool, "", "K3S_DEBUG", "debug"),
	flag(Int, "0", "", "v"),
	inert(String, "vmodule"),
	inert(String, "log", "l"),
	inert(Bool, "alsologtostderr"),
	flag(String, "", "K3S_TOKEN", "token", "t"),
	flag(String, "", "K3S_TOKEN_FILE", "token-file"),
	flag(String, "", "K3S_URL", "server", "s"),
	flag(String, "/var/lib/rancher/k3s", "K3S_DATA_DIR", "data-dir", "d"),
	flag(String, "", "K3S_NODE_NAME", "node-name"),
	flag(Bool, "", "", "with-node-id"),
	flag(Slice, "", "", "node-label"),
	flag(Slice, "", "", "node-taint"),
	inert(String, "image-credential-provider-bin-dir"),
	inert(String, "image-credential-provider-config"),
	inert(Bool, "selinux"),
	flag(Int, "6444", "K3S_LB_SERVER_PORT", "lb-server-port"),
	flag(Bool, "", "", "protect-kernel-defaults"),
	inert(String, "container-runtime-endpoint"),
	inert(String, "default-runtime"),
	inert(String, "image-service-endpoint"),
	flag(Bool, "", "", "disable-default-registry-endpoint"),
	inert(Bool, "nonroot-devices"),
	flag(String, "rancher/mirrored-pause:3.6", "", "pause-image"),
	flag(String, "overlayfs", "", "snapshotter"),
	flag(String, "/etc/rancher/k3s/registries.yaml", "", "private-registry"),
	inert(Slice, "airgap-extra-registry"),
	flag(List, "", "", "node-ip", "i"),
	flag(List, "", "", "node-external-ip"),
	inert(List, "node-internal-dns"),
	inert(List, "node-external-dns"),
	flag(String, "", "K3S_RESOLV_CONF", "resolv-conf"),
	flag(String, "", "", "flannel-iface"),
	inert(String, "flannel-conf"),
	inert(String, "flannel-cni-conf"),
	inert(String, "vpn-auth"),
	inert(String, "vpn-auth-file"),
	flag(Slice, "", "", "kubelet-arg"),
	flag(Slice, "", "", "kube-proxy-arg"),
	inert(Bool, "enable-pprof"),
	inert(Bool, "rootless"),
	inert(Bool, "prefer-bundled-bin"),
	inert(Bool, "docker"),
	inert(Bool, "disable-selinux"),
}

var agentOnly = []Flag{
	inert(Bool, "no-flannel"),
	inert(String, "cluster-secret"),
	inert(Bool, "disable-apiserver-lb"),
}

// serverOnly are the further options of the server (k3s-io/k3s pkg/cli/cmds/server.go).
var serverOnly = []Flag{
	flag(String, "", "", "bind-address"),
	flag(Int, "6443", "", "https-listen-port"),
	inert(Int, "supervisor-port"),
	flag(String, "", "", "advertise-address"),
	inert(Int, "advertise-port"),
	flag(List, "", "", "tls-san"),
	inert(Bool, "tls-san-security"),
	flag(List, "10.42.0.0/16", "", "cluster-cidr"),
	flag(List, "10.43.0.0/16", "", "service-cidr"),
	flag(String, "30000-32767", "", "service-node-port-range"),
	flag(List, "", "", "cluster-dns"),
	flag(String, "cluster.local", "", "cluster-domain"),
	inert(String, "flannel-backend"),
	inert(Bool, "flannel-ipv6-masq"),
	inert(Bool, "flannel-external-ip"),
	inert(String, "egress-selector-mode"),
	inert(String, "servicelb-namespace"),
	flag(String, "/etc/rancher/k3s/k3s.yaml", "K3S_KUBECONFIG_OUTPUT", "write-kubeconfig", "o"),
	flag(String, "", "K3S_KUBECONFIG_MODE", "write-kubeconfig-mode"),
	inert(String, "write-kubeconfig-group"),
	inert(String, "helm-job-image"),
	flag(String, "", "K3S_AGENT_TOKEN", "agent-token"),
	flag(String, "", "K3S_AGENT_TOKEN_FILE", "agent-token-file"),
	flag(Bool, "", "K3S_CLUSTER_INIT", "cluster-init"),
	flag(Bool, "", "K3S_CLUSTER_RESET", "cluster-reset"),
	flag(String, "", "", "cluster-reset-restore-path"),
	flag(Slice, "", "", "kube-apiserver-arg"),
	flag(Slice, "", "", "etcd-arg"),
	flag(Slice, "", "", "kube-controller-manager-arg", "kube-controller-arg"),
	flag(Slice, "", "", "kube-scheduler-arg"),
	inert(Slice, "kube-cloud-controller-manager-arg", "kube-cloud-controller-arg"),
	inert(Bool, "kine-tls"),
	flag(String, "", "K3S_DATASTORE_ENDPOINT", "datastore-endpoint"),
	flag(String, "", "K3S_DATASTORE_CAFILE", "datastore-cafile"),
	flag(String, "", "K3S_DATASTORE_CERTFILE", "datastore-certfile"),
	flag(String, "", "K3S_DATASTORE_KEYFILE", "datastore-keyfile"),
	inert(Bool, "etcd-expose-metrics"),
	inert(Bool, "etcd-disable-snapshots"),
	inert(String, "etcd-snapshot-name"),
	inert(String, "etcd-snapshot-schedule-cron"),
	inert(Int, "etcd-snapshot-retention"),
	inert(String, "etcd-snapshot-dir"),
	inert(Bool, "etcd-snapshot-compress"),
	inert(Bool, "etcd-s3"),
	inert(String, "etcd-s3-endpoint"),
	inert(String, "etcd-s3-endpoint-ca"),
	inert(Bool, "etcd-s3-skip-ssl-verify"),
	inert(String, "etcd-s3-access-key"),
	inert(String, "etcd-s3-secret-key"),
	inert(String, "etcd-s3-session-token"),
	inert(String, "etcd-s3-bucket"),
	inert(String, "etcd-s3-bucket-lookup-type"),
	inert(String, "etcd-s3-region"),
	inert(String, "etcd-s3-folder"),
	inert(String, "etcd-s3-proxy"),
	inert(String, "etcd-s3-config-secret"),
	inert(Int, "etcd-s3-retention"),
	inert(Bool, "etcd-s3-insecure"),
	inert(Duration, "etcd-s3-timeout"),
	flag(String, "/var/lib/rancher/k3s/storage", "", "default-local-storage-path"),
	flag(List, "", "", "disable"),
	flag(Bool, "", "", "disable-scheduler"),
	inert(Bool, "disable-cloud-controller"),
	flag(Bool, "", "", "disable-kube-proxy"),
	inert(Bool, "disable-network-policy"),
	inert(Bool, "disable-helm-controller"),
	inert(Bool, "disable-apiserver"),
	flag(Bool, "", "", "disable-controller-manager"),
	inert(Bool, "disable-etcd"),
	inert(Bool, "embedded-registry"),
	inert(Bool, "supervisor-metrics"),
	inert(String, "system-default-registry"),
	flag(Bool, "", "", "secrets-encryption"),
	inert(String, "secrets-encryption-provider"),
	inert(Bool, "multi-cluster-cidr"),
	flag(Bool, "", "", "disable-agent"),
}

// Flags are the options of a command, "server" or "agent".
func Flags(command string) []Flag {
	if command == "server" {
		return append(append([]Flag{}, common...), serverOnly...)
	}
	return append(append([]Flag{}, common...), agentOnly...)
}
