// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
package agent

import (
	"reflect"
	"testing"

	"homelab.test/lab/internal/node"
)

func TestNameserverThatPodsReach(t *testing.T) {
	for text, want := range map[string]bool{
		"nameserver 10.0.0.2\nsearch lab\n":           true,
		"nameserver 127.0.0.53\n":                     false,
		"nameserver 10.0.0.2\nnameserver 127.0.0.1\n": false,
		"# nothing\n":                             false,
		"nameserver fe80::1\n":                    false,
		"options edns0\nnameserver 2001:db8::1\n": true,
	} {
		if got := usableNameserver([]byte(text)); got != want {
			t.Errorf("%q: %v", text, got)
		}
	}
}

func TestTaints(t *testing.T) {
	got := registrationTaints([]string{"gpu=true:NoSchedule", "CriticalAddonsOnly=:NoExecute"})
	want := []map[string]string{
		{"key": "gpu", "value": "true", "effect": "NoSchedule"},
		{"key": "CriticalAddonsOnly", "value": "", "effect": "NoExecute"},
	}
	if !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}

func TestUsersArgumentsWin(t *testing.T) {
	got := node.Args(map[string]string{"v": "0", "node-ip": "10.0.0.1"}, []string{"v=4", "max-pods=50", "--feature-gates=A=true", "fail-swap-on"})
	want := []string{"--fail-swap-on=true", "--feature-gates=A=true", "--max-pods=50", "--node-ip=10.0.0.1", "--v=4"}
	if !reflect.DeepEqual(got, want) {
		t.Error(got)
	}
}

func TestLoadBalancerKeepsItsFirstServer(t *testing.T) {
	b := &balancer{file: t.TempDir() + "/lb.json", first: "10.0.0.1:6443"}
	b.update([]string{"10.0.0.3:6443", "10.0.0.2:6443"})
	again := &balancer{file: b.file, first: b.first}
	again.load()
	if got := again.targets(); !reflect.DeepEqual(got, []string{"10.0.0.2:6443", "10.0.0.3:6443", "10.0.0.1:6443"}) {
		t.Error(got)
	}
	other := &balancer{file: b.file, first: "10.9.9.9:6443"}
	other.load()
	if got := other.targets(); !reflect.DeepEqual(got, []string{"10.9.9.9:6443"}) {
		t.Errorf("servers of another cluster: %v", got)
	}
}
