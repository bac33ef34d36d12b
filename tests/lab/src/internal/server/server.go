// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package server is the control plane side of K3s: datastore, API server, controllers, and in front of them the supervisor
// that nodes join through (k3s-io/k3s pkg/server/server.go, pkg/daemons/control/server.go).
package server

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	kine "github.com/k3s-io/kine/pkg/endpoint"
	"github.com/sirupsen/logrus"
	"k8s.io/client-go/kubernetes"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/rest"

	"homelab.test/lab/internal/agent"
	"homelab.test/lab/internal/cliargs"
	"homelab.test/lab/internal/deploy"
	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/pki"
	"homelab.test/lab/internal/proc"
	"homelab.test/lab/internal/servicelb"
	"homelab.test/lab/internal/token"
)

// apiAddress is where the API server listens: on the supervisor's own port, because the port of the kubernetes Service's
// endpoints is the one it listens on (K3s patches a flag advertise-port into it), and on an address that no client uses.
const apiAddress = "127.0.0.2"

// Server is one server of a cluster.
type Server struct {
	Values   *cliargs.Values
	Args     []string
	Children *proc.Group
	// Listening is called when nodes can ask for certificates, before the API answers.
	Listening func()

	id        node.Identity
	dir       string
	port      string // of the supervisor and of the API as clients see it
	api       string // host and port of the API server itself
	serviceIP string
	dns       string

	clientCA, serverCA, headerCA *pki.Pair
	passwords                    *passwords
	joining                      *token.Access // server of the cluster that this one joins; nil for a member and for a founder
	store                        datastore
	rest                         *rest.Config
	client                       kubernetes.Interface
	nodes                        atomic.Pointer[corelisters.NodeLister]
	ready                        atomic.Bool
}

// datastore is what the API server stores in.
type datastore interface {
	// arguments are what the API server needs to reach it.
	arguments() map[string]string
	// access is how this server itself reaches it.
	access() kine.ETCDConfig
	// elects says whether controllers of several servers must agree on a leader.
	elects() bool
}

// Run starts the server and returns when its API answers.
func (s *Server) Run(ctx context.Context) error {
	s.dir = filepath.Join(s.Values.Get("data-dir"), "server")
	if err := s.prepare(ctx); err != nil {
		return fmt.Errorf("starting kubernetes: preparing server: %w", err)
	}
	if err := s.listen(ctx); err != nil {
		return fmt.Errorf("starting tls server: %w", err)
	}
	s.Listening()
	if err := s.startAPIServer(); err != nil {
		return fmt.Errorf("starting kubernetes: %w", err)
	}
	if err := s.waitForAPIServer(ctx); err != nil {
		return err
	}
	logrus.Info("Kube API server is now running")
	if err := s.startControllers(); err != nil {
		return fmt.Errorf("starting kubernetes: %w", err)
	}
	if err := s.writeKubeconfig(); err != nil {
		return err
	}
	if err := s.startOwnControllers(ctx); err != nil {
		return err
	}
	s.ready.Store(true)
	logrus.Info("k3s is up and running")
	return nil
}

// AgentToken is the full token with which this server's own node joins.
func (s *Server) AgentToken() string {
	return "K10" + s.passwords.caHash + "::node:" + s.passwords.secretOf("node")
}

// URL is the supervisor as seen from this host.
func (s *Server) URL() string { return "https://127.0.0.1:" + s.port }

func (s *Server) prepare(ctx context.Context) error {
	v := s.Values
	if err := os.MkdirAll(s.dir, 0o700); err != nil {
		return err
	}
	if err := os.Chdir(s.dir); err != nil {
		return err
	}
	var err error
	if s.id, err = node.Identify(v); err != nil {
		return err
	}
	if address := v.Get("advertise-address"); address == "" {
		v.Set("advertise-address", s.id.IPs[0])
	}
	s.port = v.Get("https-listen-port")
	s.api = net.JoinHostPort(apiAddress, s.port)
	if s.serviceIP, err = addressIn(v.List("service-cidr")[0], 1); err != nil {
		return fmt.Errorf("invalid service-cidr: %w", err)
	}
	if s.dns, err = addressIn(v.List("service-cidr")[0], 10); err != nil {
		return fmt.Errorf("invalid service-cidr: %w", err)
	}
	if given := v.List("cluster-dns"); len(given) > 0 {
		s.dns = given[0]
	}
	for _, name := range v.List("disable") {
		if !contains(deploy.Items, name) {
			logrus.Warnf("disable: %s is no packaged component of this stand-in", name)
		}
	}
	if err := setNoProxy(v); err != nil {
		return err
	}
	return s.bootstrap(ctx)
}

// setNoProxy keeps the cluster's own traffic off a proxy of the environment (k3s-io/k3s pkg/cli/server/server.go, setNoProxyEnv).
func setNoProxy(v *cliargs.Values) error {
	var all []string
	for _, list := range []string{os.Getenv("NO_PROXY"), os.Getenv("no_proxy"), ".svc", "." + v.Get("cluster-domain"),
		strings.Join(v.List("cluster-cidr"), ","), strings.Join(v.List("service-cidr"), ",")} {
		if list = strings.Trim(list, ","); list != "" {
			all = append(all, list)
		}
	}
	return errors.Join(os.Unsetenv("no_proxy"), os.Setenv("NO_PROXY", strings.Join(all, ",")))
}

func contains(list []string, one string) bool {
	for _, item := range list {
		if item == one {
			return true
		}
	}
	return false
}

// addressIn is the n-th address of a network.
func addressIn(network string, n byte) (string, error) {
	ip, _, err := net.ParseCIDR(network)
	if err != nil {
		return "", err
	}
	four := ip.To4()
	if four == nil {
		return "", errors.New("the stand-in has IPv4 only")
	}
	return net.IPv4(four[0], four[1], four[2], four[3]+n).String(), nil
}

// certificates makes what K3s makes under tls and cred (k3s-io/k3s pkg/daemons/control/deps/deps.go, GenServerDeps).
func (s *Server) certificates() error {
	tls := filepath.Join(s.dir, "tls")
	var err error
	if s.clientCA, err = pki.EnsureCA(filepath.Join(tls, "client-ca"), "k3s-client-ca"); err != nil {
		return err
	}
	if s.serverCA, err = pki.EnsureCA(filepath.Join(tls, "server-ca"), "k3s-server-ca"); err != nil {
		return err
	}
	if s.headerCA, err = pki.EnsureCA(filepath.Join(tls, "request-header-ca"), "k3s-request-header-ca"); err != nil {
		return err
	}
	if _, err := pki.EnsureKey(filepath.Join(tls, "service.key")); err != nil {
		return err
	}
	hosts := []string{
		"kubernetes", "kubernetes.default", "kubernetes.default.svc", "kubernetes.default.svc." + s.Values.Get("cluster-domain"),
		"localhost", "127.0.0.1", apiAddress, s.serviceIP, s.id.Name, s.Values.Get("advertise-address"),
	}
	hosts = append(append(hosts, s.id.IPs...), s.Values.List("tls-san")...)
	hosts = append(hosts, s.Values.List("node-external-ip")...)
	leaves := []struct {
		name    string
		subject pki.Subject
		ca      *pki.Pair
	}{
		{"client-admin", pki.Subject{Name: "system:admin", Groups: []string{"system:masters"}, Client: true}, s.clientCA},
		{"client-supervisor", pki.Subject{Name: "system:k3s-supervisor", Groups: []string{"system:masters"}, Client: true}, s.clientCA},
		{"client-controller", pki.Subject{Name: "system:kube-controller-manager", Client: true}, s.clientCA},
		{"client-scheduler", pki.Subject{Name: "system:kube-scheduler", Client: true}, s.clientCA},
		{"client-kube-apiserver", pki.Subject{Name: "kube-apiserver", Client: true}, s.clientCA},
		{"client-auth-proxy", pki.Subject{Name: "system:auth-proxy", Client: true}, s.headerCA},
		{"serving-kube-apiserver", pki.Subject{Name: "kube-apiserver", Hosts: hosts, Server: true}, s.serverCA},
	}
	for _, leaf := range leaves {
		if err := pki.EnsureLeaf(filepath.Join(tls, leaf.name), leaf.subject, leaf.ca); err != nil {
			return err
		}
	}
	for file, certificate := range map[string]string{
		"admin": "client-admin", "supervisor": "client-supervisor", "controller": "client-controller", "scheduler": "client-scheduler",
	} {
		err := node.WriteKubeconfig(filepath.Join(s.dir, "cred", file+".kubeconfig"), "https://"+s.api,
			filepath.Join(tls, "server-ca.crt"), filepath.Join(tls, certificate), false, 0o600)
		if err != nil {
			return err
		}
	}
	return nil
}

func (s *Server) startAPIServer() error {
	tls := func(name string) string { return filepath.Join(s.dir, "tls", name) }
	issuer := "https://kubernetes.default.svc." + s.Values.Get("cluster-domain")
	own := map[string]string{
		"advertise-address":                  s.Values.Get("advertise-address"),
		"allow-privileged":                   "true",
		"anonymous-auth":                     "false",
		"api-audiences":                      issuer + ",k3s",
		"authorization-mode":                 "Node,RBAC",
		"bind-address":                       apiAddress,
		"cert-dir":                           tls("temporary-certs"),
		"client-ca-file":                     tls("client-ca.crt"),
		"enable-admission-plugins":           "NodeRestriction",
		"enable-bootstrap-token-auth":        "true",
		"kubelet-certificate-authority":      tls("server-ca.crt"),
		"kubelet-client-certificate":         tls("client-kube-apiserver.crt"),
		"kubelet-client-key":                 tls("client-kube-apiserver.key"),
		"kubelet-preferred-address-types":    "InternalIP,ExternalIP,Hostname",
		"permit-port-sharing":                "true",
		"profiling":                          "false",
		"proxy-client-cert-file":             tls("client-auth-proxy.crt"),
		"proxy-client-key-file":              tls("client-auth-proxy.key"),
		"requestheader-allowed-names":        "system:auth-proxy",
		"requestheader-client-ca-file":       tls("request-header-ca.crt"),
		"requestheader-extra-headers-prefix": "X-Remote-Extra-",
		"requestheader-group-headers":        "X-Remote-Group",
		"requestheader-username-headers":     "X-Remote-User",
		"secure-port":                        s.port,
		"service-account-issuer":             issuer,
		"service-account-key-file":           tls("service.key"),
		"service-account-signing-key-file":   tls("service.key"),
		"service-cluster-ip-range":           strings.Join(s.Values.List("service-cidr"), ","),
		"service-node-port-range":            s.Values.Get("service-node-port-range"),
		"storage-backend":                    "etcd3",
		"tls-cert-file":                      tls("serving-kube-apiserver.crt"),
		"tls-private-key-file":               tls("serving-kube-apiserver.key"),
		"v":                                  s.Values.Get("v"),
	}
	for name, value := range s.store.arguments() {
		own[name] = value
	}
	if path := filepath.Join(s.dir, encryptionConfig); s.Values.Bool("secrets-encryption") {
		own["encryption-provider-config"], own["encryption-provider-config-automatic-reload"] = path, "true"
	}
	args := node.Args(own, s.Values.List("kube-apiserver-arg"))
	logrus.Infof("Running kube-apiserver %s", strings.Join(args, " "))
	return s.Children.Start("kube-apiserver", args, nil)
}

func (s *Server) startControllers() error {
	tls := func(name string) string { return filepath.Join(s.dir, "tls", name) }
	elect := strconv.FormatBool(s.store.elects())
	controllers := map[string]string{
		"allocate-node-cidrs": "true",
		"bind-address":        "127.0.0.1",
		"cluster-cidr":        strings.Join(s.Values.List("cluster-cidr"), ","),
		"cluster-signing-kube-apiserver-client-cert-file": tls("client-ca.crt"),
		"cluster-signing-kube-apiserver-client-key-file":  tls("client-ca.key"),
		"cluster-signing-kubelet-client-cert-file":        tls("client-ca.crt"),
		"cluster-signing-kubelet-client-key-file":         tls("client-ca.key"),
		"cluster-signing-kubelet-serving-cert-file":       tls("server-ca.crt"),
		"cluster-signing-kubelet-serving-key-file":        tls("server-ca.key"),
		"cluster-signing-legacy-unknown-cert-file":        tls("client-ca.crt"),
		"cluster-signing-legacy-unknown-key-file":         tls("client-ca.key"),
		"controllers":                      "*,tokencleaner",
		"kubeconfig":                       filepath.Join(s.dir, "cred", "controller.kubeconfig"),
		"leader-elect":                     elect,
		"profiling":                        "false",
		"root-ca-file":                     tls("server-ca.crt"),
		"service-account-private-key-file": tls("service.key"),
		"service-cluster-ip-range":         strings.Join(s.Values.List("service-cidr"), ","),
		"use-service-account-credentials":  "true",
		"v":                                s.Values.Get("v"),
	}
	if !s.Values.Bool("disable-controller-manager") {
		args := node.Args(controllers, s.Values.List("kube-controller-manager-arg"))
		logrus.Infof("Running kube-controller-manager %s", strings.Join(args, " "))
		if err := s.Children.Start("kube-controller-manager", args, nil); err != nil {
			return err
		}
	}
	if s.Values.Bool("disable-scheduler") {
		return nil
	}
	scheduler := map[string]string{
		"bind-address": "127.0.0.1", "kubeconfig": filepath.Join(s.dir, "cred", "scheduler.kubeconfig"), "leader-elect": elect,
		"profiling": "false", "v": s.Values.Get("v"),
	}
	args := node.Args(scheduler, s.Values.List("kube-scheduler-arg"))
	logrus.Infof("Running kube-scheduler %s", strings.Join(args, " "))
	return s.Children.Start("kube-scheduler", args, nil)
}

func (s *Server) waitForAPIServer(ctx context.Context) error {
	var err error
	if s.rest, err = node.Client(filepath.Join(s.dir, "cred", "supervisor.kubeconfig")); err != nil {
		return err
	}
	s.rest.QPS, s.rest.Burst = 50, 100
	if s.client, err = kubernetes.NewForConfig(s.rest); err != nil {
		return err
	}
	for started := time.Now(); ; {
		probe, cancel := context.WithTimeout(ctx, 5*time.Second)
		err := s.client.Discovery().RESTClient().Get().AbsPath("/readyz").Do(probe).Error()
		cancel()
		if err == nil {
			return nil
		}
		if time.Since(started) > 30*time.Second {
			logrus.Infof("Waiting for API server to become available: %v", err)
			started = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case err := <-s.Children.Failed():
			return err
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// writeKubeconfig writes the administrator's kubeconfig with the mode asked for, 0600 without (pkg/server/server.go).
func (s *Server) writeKubeconfig() error {
	mode := os.FileMode(0o600)
	if text := s.Values.Get("write-kubeconfig-mode"); text != "" {
		parsed, err := strconv.ParseUint(text, 8, 32)
		if err != nil {
			logrus.Errorf("failed to set %s to mode %s: %v", s.Values.Get("write-kubeconfig"), text, err)
		} else {
			mode = os.FileMode(parsed) & os.ModePerm
		}
	}
	host := s.Values.Get("bind-address")
	if host == "" || host == "0.0.0.0" {
		host = "127.0.0.1"
	}
	path := s.Values.Get("write-kubeconfig")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	tls := filepath.Join(s.dir, "tls")
	err := node.WriteKubeconfig(path, "https://"+net.JoinHostPort(host, s.port), filepath.Join(tls, "server-ca.crt"),
		filepath.Join(tls, "client-admin"), true, mode)
	if err != nil {
		return err
	}
	logrus.Infof("Wrote kubeconfig %s", path)
	logrus.Info("Run: k3s kubectl")
	return nil
}

// startOwnControllers starts what K3s's own controllers do: manifests, roles of nodes, names of nodes in cluster DNS,
// node passwords, and addresses of load balancers (k3s-io/k3s pkg/server/server.go, coreControllers and stageFiles).
func (s *Server) startOwnControllers(ctx context.Context) error {
	disabled := map[string]bool{}
	for _, name := range s.Values.List("disable") {
		disabled[name] = true
	}
	images := filepath.Join(filepath.Dir(s.dir), "agent", "images")
	deployer, err := deploy.New(s.rest, filepath.Join(s.dir, "manifests"), images, disabled, map[string]string{
		"CLUSTER_DNS": s.dns, "CLUSTER_DOMAIN": s.Values.Get("cluster-domain"),
		"DEFAULT_LOCAL_STORAGE_PATH": s.Values.Get("default-local-storage-path"),
	})
	if err != nil {
		return err
	}
	if err := deployer.Stage(); err != nil {
		return err
	}
	go deployer.Watch(ctx)
	go s.followNodes(ctx, !disabled["coredns"])
	if !disabled["servicelb"] {
		go servicelb.Run(ctx, s.client)
	}
	return nil
}

// clusterConfig is what agents are told.
func (s *Server) clusterConfig() agent.ClusterConfig {
	port, _ := strconv.Atoi(s.port)
	return agent.ClusterConfig{
		ClusterIPRange:   strings.Join(s.Values.List("cluster-cidr"), ","),
		ServiceIPRange:   strings.Join(s.Values.List("service-cidr"), ","),
		ClusterDNS:       s.dns,
		ClusterDomain:    s.Values.Get("cluster-domain"),
		HTTPSPort:        port,
		DisableKubeProxy: s.Values.Bool("disable-kube-proxy"),
		Critical: agent.Critical{
			DisableCCM:            s.Values.Bool("disable-cloud-controller"),
			DisableHelmController: s.Values.Bool("disable-helm-controller"),
			DisableNPC:            s.Values.Bool("disable-network-policy"),
			DisableServiceLB:      contains(s.Values.List("disable"), "servicelb"),
			EmbeddedRegistry:      s.Values.Bool("embedded-registry"),
			EncryptSecrets:        s.Values.Bool("secrets-encryption"),
			FlannelBackend:        s.Values.Get("flannel-backend"),
			FlannelExternalIP:     s.Values.Bool("flannel-external-ip"),
			FlannelIPv6Masq:       s.Values.Bool("flannel-ipv6-masq"),
			EgressSelectorMode:    s.Values.Get("egress-selector-mode"),
			SupervisorMetrics:     s.Values.Bool("supervisor-metrics"),
		},
	}
}
