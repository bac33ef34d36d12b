// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command k3s is the lab's stand-in for K3s: K3s's command line, files and ports over the real Kubernetes components, kine,
// etcd and containerd, because K3s itself is in no package registry. Comments name the file of k3s-io/k3s that each
// imitated behaviour was read in.
//
// # What is imitated of clusters
//
//   - The datastore is chosen as in pkg/cluster/managed.go: etcd data on disk first, then cluster-init or server with a token,
//     else kine over datastore-endpoint or db/state.db. SQLite becomes etcd at the first start with cluster-init; state.db
//     is renamed to state.db.migrated (pkg/etcd/etcd.go, migrateFromSQLite). db/etcd/name is there without etcd too: data of
//     etcd are there when db/etcd/member/wal is (same file, SetControlConfig and IsInitialized).
//   - Authorities, service key and encryption keys lie in the datastore under /bootstrap/HASH, encrypted with the token
//     (pkg/cluster/storage.go, encrypt.go). Another token: "bootstrap data already found and encrypted with different token".
//     Files on disk that are others and newer: "... newer than datastore and could cause a cluster outage."
//     (pkg/cluster/bootstrap.go). A joining server gets them from /v1-k3s/server-bootstrap, one over a database from there.
//   - Settings that must be the same: "critical configuration value mismatch between servers" (pkg/cluster/bootstrap.go).
//   - Members join as learners, one at a time; "duplicate node name found, please use a unique name for this node" while the
//     node of an earlier life is there; the leader promotes, drops learners that stall for five minutes, and sets the node
//     condition EtcdIsVoter (pkg/etcd/etcd.go). A stopped member's becomes False within 15 seconds.
//   - A deleted node keeps finalizers until its member is out of etcd and its password forgotten; the annotation
//     etcd.k3s.cattle.io/remove=true takes the member out alone (pkg/etcd/member_controller.go, pkg/node/controller.go).
//     The removed member's K3s ends, and ends again at every start with etcd's own words "the member has been permanently
//     removed from the cluster" until server/db is gone (k3s#13498).
//   - token rotate (pkg/server/handlers/token.go), secrets-encrypt status (pkg/server/secrets-encrypt.go), registries.yaml
//     (pkg/agent/containerd/config.go), CONTAINERD_* for containerd alone, NO_PROXY (pkg/cli/server/server.go).
//
// # What differs from K3s
//
//   - The components are child processes of the one service, not goroutines. The API server listens on 127.0.0.2:6443; the
//     supervisor on every other address passes on to it as an authenticating front proxy. K3s uses 127.0.0.1:6444 and
//     handlers inside one process.
//   - An unknown key in config.yaml is refused by the server too; K3s's server warns and skips it, its agent refuses it.
//   - Host routes stand for flannel, addresses set by a controller for ServiceLB's pods, direct connections from the API
//     server to kubelets for K3s's tunnel. No network policies, no Helm controller, no Addon resource, no cloud controller.
//   - Packaged components: coredns, local-storage, runtimes (NVIDIA's classes), servicelb, and traefik where an archive with
//     its image lies in agent/images: plain objects without Traefik's own resources, no chart. metrics-server is known to
//     `disable` and absent.
//   - crictl has ps, pods, images, info and rmi; etcd-snapshot has save, ls and delete of local files and asks etcd itself
//     where K3s asks its server; secrets-encrypt has status.
//   - Images of the images folder are imported at every start, and not while running. config.toml.tmpl is not read.
//     cluster-reset is refused with one line.
//   - A joining server's API and node start when its etcd member votes; in K3s its supervisor and containerd are up before.
//     The leader looks for learners every 2 seconds, K3s's every 15. Servers clean up behind nodes without electing one.
//   - cred/passwd is not shared through the datastore: each server writes it from its own settings. The token of an etcd
//     member is checked when etcd votes, K3s's with a copy of its data before. No tombstone file, as in the K3s of these
//     versions; later ones set the data aside at the next start by themselves (k3s#13623).
//
// # For the lab's hosts
//
// They have cgroup v1, swap, no CAP_SYS_RESOURCE and an overlay as root: enforceNodeAllocatable is empty, containerd restricts
// oom_score_adj, /var/lib/kubelet is bound to the data folder, and the machine's inotify instances are raised.
//
// # Flags that are accepted without effect
//
// The service logs those that are given. The list is the `inert` entries of internal/cliargs/flags.go:
//
//	logging           vmodule log alsologtostderr
//	kubelet           image-credential-provider-bin-dir image-credential-provider-config selinux disable-selinux
//	runtime           container-runtime-endpoint default-runtime image-service-endpoint docker nonroot-devices
//	registries        airgap-extra-registry system-default-registry embedded-registry
//	names             node-internal-dns node-external-dns
//	network           flannel-conf flannel-cni-conf flannel-backend flannel-ipv6-masq flannel-external-ip no-flannel vpn-auth
//	                  vpn-auth-file egress-selector-mode servicelb-namespace multi-cluster-cidr advertise-port supervisor-port
//	                  tls-san-security disable-apiserver-lb disable-network-policy
//	components        kube-cloud-controller-manager-arg disable-cloud-controller disable-helm-controller helm-job-image
//	                  disable-apiserver disable-etcd supervisor-metrics enable-pprof
//	datastore         kine-tls etcd-expose-metrics etcd-disable-snapshots
//	                  etcd-snapshot-name etcd-snapshot-dir etcd-snapshot-schedule-cron etcd-snapshot-retention
//	                  etcd-snapshot-compress etcd-s3*
//	secrets           secrets-encryption-provider cluster-secret
//	other             rootless prefer-bundled-bin write-kubeconfig-group
//
// node-external-ip goes into the server's certificate only.
package main
