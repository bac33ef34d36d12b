// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package servicelb gives Services of type LoadBalancer the addresses of nodes, by the rules that K3s's ServiceLB has.
//
// K3s runs a pod of klipper-lb with host ports on every node and publishes the nodes where it is ready
// (k3s-io/k3s pkg/cloudprovider/servicelb.go, getStatus). A host port is free on a node or it is not, so the rules are those
// of the scheduler. Here no pod runs: kube-proxy serves an ingress address that is a node's own without help.
package servicelb

import (
	"context"
	"fmt"
	"reflect"
	"sort"
	"time"

	"github.com/sirupsen/logrus"
	core "k8s.io/api/core/v1"
	discovery "k8s.io/api/discovery/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/tools/cache"
)

// Class is the load balancer class of ServiceLB; Services without a class are its own too (same file, Class).
const Class = "io.cattle/klipper-lb"

// enableLabel restricts ServiceLB to the nodes that carry it with the value true, once any node does
// (docs.k3s.io/networking/networking-services, "Controlling ServiceLB Node Selection").
const enableLabel = "svccontroller.k3s.cattle.io/enablelb"

// Assign decides which nodes' addresses each Service publishes. Endpoints is the set of nodes with a ready endpoint for a
// Service ("namespace/name"), looked at for externalTrafficPolicy Local only.
//
// A Service whose port is taken on a node by an older Service does not get that node; without any node it stays pending
// (docs.k3s.io/networking/networking-services: "if the port is not available ... the LB will remain Pending").
func Assign(services []*core.Service, nodes []*core.Node, endpoints map[string]map[string]bool) map[string][]string {
	services = append([]*core.Service{}, services...)
	sort.Slice(services, func(i, j int) bool {
		a, b := services[i], services[j]
		if !a.CreationTimestamp.Equal(&b.CreationTimestamp) {
			return a.CreationTimestamp.Before(&b.CreationTimestamp)
		}
		return key(a) < key(b)
	})
	eligible := candidates(nodes)
	taken := map[string]bool{}
	result := map[string][]string{}
	for _, service := range services {
		if !Ours(service) {
			continue
		}
		var addresses []string
		for _, node := range eligible {
			if service.Spec.ExternalTrafficPolicy == core.ServiceExternalTrafficPolicyLocal && !endpoints[key(service)][node.Name] {
				continue
			}
			var ports []string
			free := true
			for _, port := range service.Spec.Ports {
				slot := fmt.Sprintf("%s %s %d", node.Name, port.Protocol, port.Port)
				free = free && !taken[slot]
				ports = append(ports, slot)
			}
			if !free {
				continue
			}
			for _, slot := range ports {
				taken[slot] = true
			}
			addresses = append(addresses, address(node)...)
		}
		sort.Strings(addresses)
		result[key(service)] = addresses
	}
	return result
}

// Ours says whether ServiceLB looks after a Service.
func Ours(service *core.Service) bool {
	class := service.Spec.LoadBalancerClass
	return service.Spec.Type == core.ServiceTypeLoadBalancer && service.DeletionTimestamp == nil &&
		(class == nil || *class == Class)
}

func key(service *core.Service) string { return service.Namespace + "/" + service.Name }

func candidates(nodes []*core.Node) []*core.Node {
	var ready, enabled []*core.Node
	restricted := false
	for _, node := range nodes {
		restricted = restricted || node.Labels[enableLabel] == "true"
		for _, condition := range node.Status.Conditions {
			if condition.Type == core.NodeReady && condition.Status == core.ConditionTrue {
				ready = append(ready, node)
			}
		}
	}
	for _, node := range ready {
		if !restricted || node.Labels[enableLabel] == "true" {
			enabled = append(enabled, node)
		}
	}
	return enabled
}

// address is a node's external addresses, or its internal ones when it has none (same file, getStatus).
func address(node *core.Node) []string {
	var external, internal []string
	for _, a := range node.Status.Addresses {
		switch a.Type {
		case core.NodeExternalIP:
			external = append(external, a.Address)
		case core.NodeInternalIP:
			internal = append(internal, a.Address)
		}
	}
	if len(external) > 0 {
		return external
	}
	return internal
}

// Run keeps the status of all Services right until the context ends.
func Run(ctx context.Context, client kubernetes.Interface) {
	factory := informers.NewSharedInformerFactory(client, 0)
	serviceLister := factory.Core().V1().Services().Lister()
	nodeLister := factory.Core().V1().Nodes().Lister()
	sliceLister := factory.Discovery().V1().EndpointSlices().Lister()
	wake := make(chan struct{}, 1)
	handler := cache.ResourceEventHandlerFuncs{
		AddFunc:    func(any) { signal(wake) },
		UpdateFunc: func(any, any) { signal(wake) },
		DeleteFunc: func(any) { signal(wake) },
	}
	for _, informer := range []cache.SharedIndexInformer{
		factory.Core().V1().Services().Informer(), factory.Core().V1().Nodes().Informer(), factory.Discovery().V1().EndpointSlices().Informer(),
	} {
		if _, err := informer.AddEventHandler(handler); err != nil {
			logrus.Errorf("servicelb: %v", err)
			return
		}
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		services, _ := serviceLister.List(labels.Everything())
		nodes, _ := nodeLister.List(labels.Everything())
		slices, _ := sliceLister.List(labels.Everything())
		wanted := Assign(services, nodes, byService(slices))
		for _, service := range services {
			addresses, ours := wanted[key(service)]
			if !ours {
				continue
			}
			if err := publish(ctx, client, service, addresses); err != nil {
				logrus.Debugf("servicelb: %s: %v", key(service), err)
				time.AfterFunc(time.Second, func() { signal(wake) })
			}
		}
	}
}

func signal(wake chan<- struct{}) {
	select {
	case wake <- struct{}{}:
	default:
	}
}

func byService(slices []*discovery.EndpointSlice) map[string]map[string]bool {
	result := map[string]map[string]bool{}
	for _, slice := range slices {
		name := slice.Namespace + "/" + slice.Labels[discovery.LabelServiceName]
		for _, endpoint := range slice.Endpoints {
			if endpoint.NodeName != nil && (endpoint.Conditions.Ready == nil || *endpoint.Conditions.Ready) {
				if result[name] == nil {
					result[name] = map[string]bool{}
				}
				result[name][*endpoint.NodeName] = true
			}
		}
	}
	return result
}

func publish(ctx context.Context, client kubernetes.Interface, service *core.Service, addresses []string) error {
	mode := core.LoadBalancerIPModeVIP
	var ingress []core.LoadBalancerIngress
	for _, ip := range addresses {
		ingress = append(ingress, core.LoadBalancerIngress{IP: ip, IPMode: &mode})
	}
	if reflect.DeepEqual(ingress, service.Status.LoadBalancer.Ingress) || len(ingress)+len(service.Status.LoadBalancer.Ingress) == 0 {
		return nil
	}
	updated := service.DeepCopy()
	updated.Status.LoadBalancer.Ingress = ingress
	_, err := client.CoreV1().Services(service.Namespace).UpdateStatus(ctx, updated, meta.UpdateOptions{})
	return err
}
