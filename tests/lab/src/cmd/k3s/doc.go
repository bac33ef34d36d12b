// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Command k3s is the lab's stand-in for K3s: K3s's command line, files and ports over the real Kubernetes components, kine,
// etcd and containerd, because K3s itself is in no package registry. Comments name the file of k3s-io/k3s that each
// imitated behaviour was read in.
//
// # What differs from K3s
//
//   - The components are child processes of the one service, not goroutines. The API server listens on 127.0.0.2:6443; the
//     supervisor on every other address passes on to it as an authenticating front proxy. K3s uses 127.0.0.1:6444 and
//     handlers inside one process.
//   - An unknown key in config.yaml is refused by the server too; K3s's server warns and skips it, its agent refuses it.
//   - Host routes stand for flannel, addresses set by a controller for ServiceLB's pods, direct connections from the API
//     server to kubelets for K3s's tunnel. No network policies, no Helm controller, no Addon resource, no cloud controller.
//   - Packaged components: coredns, local-storage, runtimes (NVIDIA's classes), servicelb. traefik and metrics-server are
//     known to `disable` and absent.
//   - crictl has ps, pods, images, info and rmi; etcd-snapshot has save, ls and delete of local files.
//   - Images of the images folder are imported at every start, and not while running. config.toml.tmpl and registries.yaml
//     are not read. cluster-reset and the change from SQLite to etcd are refused with one line.
//   - An etcd learner that never catches up keeps its place until its host comes back or its node is deleted; K3s drops it
//     after five minutes.
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
//	registries        private-registry airgap-extra-registry disable-default-registry-endpoint system-default-registry embedded-registry
//	names             node-internal-dns node-external-dns
//	network           flannel-conf flannel-cni-conf flannel-backend flannel-ipv6-masq flannel-external-ip no-flannel vpn-auth
//	                  vpn-auth-file egress-selector-mode servicelb-namespace multi-cluster-cidr advertise-port supervisor-port
//	                  tls-san-security disable-apiserver-lb disable-network-policy
//	components        kube-cloud-controller-manager-arg disable-cloud-controller disable-helm-controller helm-job-image
//	                  disable-apiserver disable-etcd supervisor-metrics enable-pprof
//	datastore         datastore-cafile datastore-certfile datastore-keyfile kine-tls etcd-expose-metrics etcd-disable-snapshots
//	                  etcd-snapshot-name etcd-snapshot-dir etcd-snapshot-schedule-cron etcd-snapshot-retention
//	                  etcd-snapshot-compress etcd-s3*
//	secrets           secrets-encryption secrets-encryption-provider cluster-secret
//	other             rootless prefer-bundled-bin write-kubeconfig-group
//
// node-external-ip goes into the server's certificate only.
package main
