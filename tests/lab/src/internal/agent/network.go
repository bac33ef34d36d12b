// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"

	"homelab.test/lab/internal/cliargs"
	"homelab.test/lab/internal/pki"
)

// prepareHost sets the kernel settings that K3s sets (k3s-io/k3s pkg/agent/syssetup/setup.go) and, for a host whose root is
// an overlay as a container's is, gives the kubelet a folder on the data disk, where its statistics find a device.
func prepareHost(dir string) error {
	for name, value := range map[string]string{
		"net/ipv4/ip_forward": "1", "net/ipv4/conf/all/forwarding": "1", "net/ipv4/conf/default/forwarding": "1",
		"net/bridge/bridge-nf-call-iptables": "1", "net/bridge/bridge-nf-call-ip6tables": "1",
	} {
		path := "/proc/sys/" + name
		if old, err := os.ReadFile(path); err == nil && strings.TrimSpace(string(old)) != value {
			logrus.Infof("Set sysctl '%s' to %s", name, value)
			if err := os.WriteFile(path, []byte(value), 0o644); err != nil {
				logrus.Errorf("Failed to set sysctl: %v", err)
			}
		}
	}
	raiseInotify()
	const kubelet = "/var/lib/kubelet"
	if err := os.MkdirAll(kubelet, 0o750); err != nil {
		return err
	}
	var fs unix.Statfs_t
	if err := unix.Statfs(kubelet, &fs); err != nil || fs.Type != unix.OVERLAYFS_SUPER_MAGIC {
		return err
	}
	real := filepath.Join(dir, "kubelet")
	if err := os.MkdirAll(real, 0o750); err != nil {
		return err
	}
	if err := unix.Mount(real, kubelet, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s: %w", kubelet, err)
	}
	return unix.Mount("", kubelet, "", unix.MS_SHARED|unix.MS_REC, "")
}

// raiseInotify is the lab's: its hosts share the machine's 128 inotify instances, of which a node takes some twenty.
func raiseInotify() {
	const path, enough = "/proc/sys/fs/inotify/max_user_instances", 8192
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	if have, err := strconv.Atoi(strings.TrimSpace(string(data))); err == nil && have < enough {
		if err := os.WriteFile(path, []byte(strconv.Itoa(enough)), 0o644); err != nil {
			logrus.Warnf("inotify instances stay at %d: %v", have, err)
		}
	}
}

func (a *Agent) cniConfig() string {
	return filepath.Join(a.dir, "etc", "cni", "net.d", "10-flannel.conflist")
}

// network gives the node its labels, its pod subnet and routes to the other nodes' subnets. In K3s flannel does the latter
// two (k3s-io/k3s pkg/agent/flannel); its backend host-gw sets the same routes.
func (a *Agent) network(ctx context.Context) {
	for ctx.Err() == nil {
		err := a.followNodes(ctx)
		if err != nil && ctx.Err() == nil {
			logrus.Errorf("pod network: %v", err)
			time.Sleep(2 * time.Second)
		}
	}
}

func (a *Agent) followNodes(ctx context.Context) error {
	kubelet, err := a.client("kubelet")
	if err != nil {
		return err
	}
	if err := a.annotate(ctx, kubelet); err != nil {
		return err
	}
	controller, err := a.client("k3scontroller")
	if err != nil {
		return err
	}
	if err := masquerade(a.cluster.ClusterIPRange); err != nil {
		return err
	}
	factory := informers.NewSharedInformerFactory(controller, 0)
	lister := factory.Core().V1().Nodes().Lister()
	wake := make(chan struct{}, 1)
	nudge := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	_, err = factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { nudge() }, DeleteFunc: func(any) { nudge() },
		UpdateFunc: func(old, new any) {
			if old.(*core.Node).Spec.PodCIDR != new.(*core.Node).Spec.PodCIDR || address(old.(*core.Node)) != address(new.(*core.Node)) {
				nudge()
			}
		},
	})
	if err != nil {
		return err
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	routes := map[string]string{}
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-wake:
		}
		nodes, err := lister.List(labels.Everything())
		if err != nil {
			return err
		}
		wanted := map[string]string{}
		for _, n := range nodes {
			if n.Spec.PodCIDR == "" {
				continue
			}
			if n.Name == a.id.Name {
				if err := a.writeCNI(n.Spec.PodCIDR); err != nil {
					return err
				}
			} else if via := address(n); via != "" {
				wanted[n.Spec.PodCIDR] = via
			}
		}
		if !route(routes, wanted) {
			time.AfterFunc(2*time.Second, nudge)
		}
	}
}

// route makes the kernel's routes to pod subnets what is wanted and notes them in have; false when some could not be set.
func route(have, wanted map[string]string) bool {
	complete := true
	for subnet, via := range wanted {
		if have[subnet] == via {
			continue
		}
		if out, err := exec.Command("ip", "route", "replace", subnet, "via", via).CombinedOutput(); err != nil {
			logrus.Errorf("route to %s via %s: %v: %s", subnet, via, err, out)
			complete = false
			continue
		}
		logrus.Infof("Pods in %s are reached through %s", subnet, via)
		have[subnet] = via
	}
	for subnet := range have {
		if _, keep := wanted[subnet]; !keep {
			if out, err := exec.Command("ip", "route", "del", subnet).CombinedOutput(); err != nil {
				logrus.Warnf("route to %s: %v: %s", subnet, err, out)
			}
			delete(have, subnet)
		}
	}
	return complete
}

func address(n *core.Node) string {
	for _, a := range n.Status.Addresses {
		if a.Type == core.NodeInternalIP && net.ParseIP(a.Address).To4() != nil {
			return a.Address
		}
	}
	return ""
}

// writeCNI is K3s's network list with the bridge plugin that flannel delegates to (k3s-io/k3s pkg/agent/flannel/setup.go).
func (a *Agent) writeCNI(subnet string) error {
	config := map[string]any{
		"name": "cbr0", "cniVersion": "1.0.0",
		"plugins": []any{
			map[string]any{
				"type": "bridge", "bridge": "cni0", "isDefaultGateway": true, "hairpinMode": true, "forceAddress": true,
				"ipam": map[string]any{"type": "host-local", "ranges": [][]map[string]string{{{"subnet": subnet}}}},
			},
			map[string]any{"type": "portmap", "capabilities": map[string]bool{"portMappings": true}},
		},
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	if old, err := os.ReadFile(a.cniConfig()); err == nil && string(old) == string(data) {
		return nil
	}
	return pki.Write(a.cniConfig(), data, 0o600)
}

// masquerade hides pod addresses from the world outside the cluster, in flannel's chain of the same name.
func masquerade(cluster string) error {
	const chain = "FLANNEL-POSTRTG"
	_ = exec.Command("iptables", "-w", "-t", "nat", "-N", chain).Run()
	for _, rule := range [][]string{
		{chain, "-s", cluster, "-d", cluster, "-j", "RETURN"},
		{chain, "-s", cluster, "!", "-d", "224.0.0.0/4", "-j", "MASQUERADE"},
		{"POSTROUTING", "-j", chain},
	} {
		if exec.Command("iptables", append([]string{"-w", "-t", "nat", "-C"}, rule...)...).Run() == nil {
			continue
		}
		if out, err := exec.Command("iptables", append([]string{"-w", "-t", "nat", "-A"}, rule...)...).CombinedOutput(); err != nil {
			return fmt.Errorf("iptables: %w: %s", err, out)
		}
	}
	return nil
}

// annotate waits for the node object and gives it K3s's annotations and the labels of the flags, also those added since it
// registered (k3s-io/k3s pkg/agent/run.go, configureNode; pkg/nodeconfig/nodeconfig.go).
func (a *Agent) annotate(ctx context.Context, client kubernetes.Interface) error {
	for {
		_, err := client.CoreV1().Nodes().Get(ctx, a.id.Name, meta.GetOptions{})
		if err == nil {
			break
		}
		if err := sleep(ctx, time.Second, a.Local); err != nil {
			return err
		}
	}
	command := "agent"
	if a.Local {
		command = "server"
	}
	args, err := json.Marshal(cliargs.Given(command, a.Args))
	if err != nil {
		return err
	}
	wanted := map[string]string{}
	for _, label := range a.Values.List("node-label") {
		name, value, _ := strings.Cut(label, "=")
		wanted[name] = value
	}
	annotations := map[string]string{
		"k3s.io/hostname": a.id.Name, "k3s.io/internal-ip": strings.Join(a.id.IPs, ","), "k3s.io/node-args": string(args),
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": annotations, "labels": wanted}})
	if err != nil {
		return err
	}
	_, err = client.CoreV1().Nodes().Patch(ctx, a.id.Name, types.MergePatchType, patch, meta.PatchOptions{})
	if err != nil {
		return fmt.Errorf("failed to set annotations and labels on node %s: %w", a.id.Name, err)
	}
	return nil
}
