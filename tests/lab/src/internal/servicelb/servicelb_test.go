// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package servicelb

import (
	"reflect"
	"testing"
	"time"

	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func service(name string, age time.Duration, ports ...int32) *core.Service {
	s := &core.Service{ObjectMeta: meta.ObjectMeta{Namespace: "default", Name: name, CreationTimestamp: meta.NewTime(time.Unix(1e9, 0).Add(-age))}}
	s.Spec.Type = core.ServiceTypeLoadBalancer
	for _, port := range ports {
		s.Spec.Ports = append(s.Spec.Ports, core.ServicePort{Port: port, Protocol: core.ProtocolTCP})
	}
	return s
}

func node(name, ip string, ready core.ConditionStatus, labels map[string]string) *core.Node {
	return &core.Node{
		ObjectMeta: meta.ObjectMeta{Name: name, Labels: labels},
		Status: core.NodeStatus{
			Addresses:  []core.NodeAddress{{Type: core.NodeInternalIP, Address: ip}},
			Conditions: []core.NodeCondition{{Type: core.NodeReady, Status: ready}},
		},
	}
}

func two() []*core.Node {
	return []*core.Node{node("b", "10.0.0.2", core.ConditionTrue, nil), node("a", "10.0.0.1", core.ConditionTrue, nil)}
}

func TestAllReadyNodesServe(t *testing.T) {
	nodes := append(two(), node("c", "10.0.0.3", core.ConditionFalse, nil))
	got := Assign([]*core.Service{service("web", 0, 80)}, nodes, nil)
	if !reflect.DeepEqual(got["default/web"], []string{"10.0.0.1", "10.0.0.2"}) {
		t.Error(got)
	}
}

func TestSecondServiceOnAPortStaysPendingUntilTheFirstIsGone(t *testing.T) {
	older, younger := service("z-older", time.Hour, 80), service("a-younger", 0, 443, 80)
	got := Assign([]*core.Service{younger, older}, two(), nil)
	if len(got["default/z-older"]) != 2 || len(got["default/a-younger"]) != 0 {
		t.Error(got)
	}
	now := meta.Now()
	older.DeletionTimestamp = &now
	if got := Assign([]*core.Service{younger, older}, two(), nil); len(got["default/a-younger"]) != 2 {
		t.Error(got)
	}
}

func TestSamePortOfAnotherProtocolIsFree(t *testing.T) {
	udp := service("udp", 0, 53)
	udp.Spec.Ports[0].Protocol = core.ProtocolUDP
	if got := Assign([]*core.Service{service("tcp", time.Hour, 53), udp}, two(), nil); len(got["default/udp"]) != 2 {
		t.Error(got)
	}
}

func TestForeignServicesAreLeftAlone(t *testing.T) {
	class := "metallb.example/l2"
	foreign, plain := service("foreign", 0, 80), service("plain", 0, 80)
	foreign.Spec.LoadBalancerClass = &class
	plain.Spec.Type = core.ServiceTypeClusterIP
	if got := Assign([]*core.Service{foreign, plain}, two(), nil); len(got) != 0 {
		t.Error(got)
	}
}

func TestLabelRestrictsNodes(t *testing.T) {
	nodes := append(two(), node("c", "10.0.0.3", core.ConditionTrue, map[string]string{enableLabel: "true"}))
	if got := Assign([]*core.Service{service("web", 0, 80)}, nodes, nil); !reflect.DeepEqual(got["default/web"], []string{"10.0.0.3"}) {
		t.Error(got)
	}
}

func TestLocalPolicyNeedsAnEndpointOnTheNode(t *testing.T) {
	local := service("web", 0, 80)
	local.Spec.ExternalTrafficPolicy = core.ServiceExternalTrafficPolicyLocal
	got := Assign([]*core.Service{local}, two(), map[string]map[string]bool{"default/web": {"a": true}})
	if !reflect.DeepEqual(got["default/web"], []string{"10.0.0.1"}) {
		t.Error(got)
	}
}

func TestExternalAddressIsPreferred(t *testing.T) {
	n := node("a", "10.0.0.1", core.ConditionTrue, nil)
	n.Status.Addresses = append(n.Status.Addresses, core.NodeAddress{Type: core.NodeExternalIP, Address: "192.0.2.1"})
	if got := Assign([]*core.Service{service("web", 0, 80)}, []*core.Node{n}, nil); !reflect.DeepEqual(got["default/web"], []string{"192.0.2.1"}) {
		t.Error(got)
	}
}
