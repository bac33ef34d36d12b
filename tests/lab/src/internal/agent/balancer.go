// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/sirupsen/logrus"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"homelab.test/lab/internal/pki"
)

// balancer passes connections to the servers of a cluster, remembered over restarts in K3s's file
// (k3s-io/k3s pkg/agent/loadbalancer/config.go).
type balancer struct {
	file  string
	first string

	mu      sync.Mutex
	servers []string
}

type balancerFile struct {
	ServerURL       string
	ServerAddresses []string
}

func (b *balancer) load() {
	var saved balancerFile
	if data, err := os.ReadFile(b.file); err == nil && json.Unmarshal(data, &saved) == nil && saved.ServerURL == b.first {
		b.servers = saved.ServerAddresses
	}
}

func (b *balancer) targets() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	targets := append([]string{}, b.servers...)
	if !slices.Contains(targets, b.first) {
		targets = append(targets, b.first)
	}
	return targets
}

func (b *balancer) update(servers []string) {
	slices.Sort(servers)
	b.mu.Lock()
	same := slices.Equal(b.servers, servers)
	b.servers = servers
	b.mu.Unlock()
	if same || len(servers) == 0 {
		return
	}
	logrus.Infof("Updated load balancer k3s-agent-load-balancer server addresses -> %v", servers)
	data, err := json.Marshal(balancerFile{ServerURL: b.first, ServerAddresses: servers})
	if err == nil {
		err = pki.Write(b.file, data, 0o600)
	}
	if err != nil {
		logrus.Errorf("load balancer: %v", err)
	}
}

func (b *balancer) serve(ctx context.Context, listener net.Listener) {
	go func() {
		<-ctx.Done()
		listener.Close()
	}()
	for {
		connection, err := listener.Accept()
		if err != nil {
			return
		}
		go b.pass(connection)
	}
}

func (b *balancer) pass(client net.Conn) {
	defer client.Close()
	for _, target := range b.targets() {
		server, err := net.DialTimeout("tcp", target, 3*time.Second)
		if err != nil {
			continue
		}
		defer server.Close()
		done := make(chan struct{}, 2)
		for _, pair := range [][2]net.Conn{{client, server}, {server, client}} {
			go func() {
				_, _ = io.Copy(pair[0], pair[1])
				done <- struct{}{}
			}()
		}
		<-done
		return
	}
}

// follow keeps the list of servers that of the kubernetes Service's endpoints (k3s-io/k3s pkg/agent/tunnel/tunnel.go).
func (b *balancer) follow(ctx context.Context, a *Agent) {
	for pause := time.Second; sleep(ctx, pause, false) == nil; {
		client, err := a.client("kubelet")
		if err != nil {
			continue
		}
		endpoints, err := client.CoreV1().Endpoints(meta.NamespaceDefault).Get(ctx, "kubernetes", meta.GetOptions{})
		if err != nil {
			continue
		}
		var servers []string
		for _, subset := range endpoints.Subsets {
			for _, address := range subset.Addresses {
				for _, port := range subset.Ports {
					servers = append(servers, net.JoinHostPort(address.IP, strconv.Itoa(int(port.Port))))
				}
			}
		}
		b.update(servers)
		pause = 10 * time.Second
	}
}
