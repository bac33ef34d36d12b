// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package agent is the node side of K3s: it joins with a token, then runs containerd, kubelet, kube-proxy and the pod network
// (k3s-io/k3s pkg/agent/run.go, pkg/agent/config/config.go).
package agent

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"k8s.io/client-go/kubernetes"

	"homelab.test/lab/internal/cliargs"
	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/pki"
	"homelab.test/lab/internal/proc"
	"homelab.test/lab/internal/token"
)

// ClusterConfig is what a server tells its agents at /v1-k3s/config (k3s-io/k3s pkg/daemons/config/types.go, Control). Fields
// with a cli tag must be the same on all servers; the tag names the setting (same file, CriticalControlArgs).
type ClusterConfig struct {
	ClusterIPRange   string `cli:"cluster-cidr"`
	ServiceIPRange   string `cli:"service-cidr"`
	ClusterDNS       string `cli:"cluster-dns"`
	ClusterDomain    string `cli:"cluster-domain"`
	HTTPSPort        int
	DisableKubeProxy bool
	Critical
}

// Critical are further settings of that kind; most of them have no other effect in the stand-in.
type Critical struct {
	DisableCCM            bool   `cli:"disable-cloud-controller"`
	DisableHelmController bool   `cli:"disable-helm-controller"`
	DisableNPC            bool   `cli:"disable-network-policy"`
	DisableServiceLB      bool   `cli:"disable-service-lb"`
	EmbeddedRegistry      bool   `cli:"embedded-registry"`
	EncryptSecrets        bool   `cli:"secrets-encryption"`
	FlannelBackend        string `cli:"flannel-backend"`
	FlannelExternalIP     bool   `cli:"flannel-external-ip"`
	FlannelIPv6Masq       bool   `cli:"flannel-ipv6-masq"`
	EgressSelectorMode    string `cli:"egress-selector-mode"`
	SupervisorMetrics     bool   `cli:"supervisor-metrics"`
}

// Agent is one node.
type Agent struct {
	Values   *cliargs.Values
	Server   string // URL of the supervisor
	Token    string
	Local    bool // the server runs in this process
	Bin      string
	Args     []string // merged arguments, for the node's annotation
	Children *proc.Group

	id      node.Identity
	dir     string
	cluster ClusterConfig
}

// Run starts the node and returns when its container runtime and kubelet run; network and labels follow by themselves.
func (a *Agent) Run(ctx context.Context) error {
	a.dir = filepath.Join(a.Values.Get("data-dir"), "agent")
	if err := os.MkdirAll(a.dir, 0o700); err != nil {
		return err
	}
	var err error
	if a.id, err = node.Identify(a.Values); err != nil {
		return err
	}
	access, err := a.join(ctx)
	if err != nil {
		return err
	}
	if err := a.configure(ctx, access); err != nil {
		return err
	}
	if err := a.writeKubeconfigs(); err != nil {
		return err
	}
	if err := prepareHost(a.dir); err != nil {
		return err
	}
	if err := a.startContainerd(ctx); err != nil {
		return fmt.Errorf("failed to start container runtime: %w", err)
	}
	if err := a.waitForAPI(ctx, access); err != nil {
		return err
	}
	if err := a.startKubelet(); err != nil {
		return err
	}
	if !a.cluster.DisableKubeProxy {
		if err := a.startProxy(); err != nil {
			return err
		}
	}
	go a.network(ctx)
	return nil
}

// join checks the server against the token until it answers (k3s-io/k3s pkg/agent/run.go, createProxyAndValidateToken).
func (a *Agent) join(ctx context.Context) (*token.Access, error) {
	parsed, err := token.Parse(a.Token)
	if err != nil {
		return nil, err
	}
	address := a.Server
	if !a.Local {
		if address, err = a.balance(ctx); err != nil {
			return nil, err
		}
	}
	var certificate *tls.Certificate
	if pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, "client-kubelet.crt"), filepath.Join(a.dir, "client-kubelet.key")); err == nil {
		certificate = &pair
	}
	if parsed.CAHash == "" && !a.Local {
		logrus.Warn("Cluster CA certificate is not trusted by the host CA bundle, but the token does not include a CA hash. " +
			"Use the full token from the server's node-token file to enable Cluster CA validation.")
	}
	for {
		access, err := token.Connect(address, parsed, "node", certificate)
		if err == nil {
			return access, nil
		}
		if strings.HasPrefix(err.Error(), "only https://") || strings.HasPrefix(err.Error(), "Invalid server url") {
			return nil, err
		}
		if !a.Local {
			logrus.Errorf("Failed to validate connection to cluster at %s: %v", a.Server, err)
		}
		if err := sleep(ctx, 2*time.Second, a.Local); err != nil {
			return nil, err
		}
	}
}

func sleep(ctx context.Context, long time.Duration, local bool) error {
	if local {
		long = 200 * time.Millisecond
	}
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(long):
		return nil
	}
}

// balance listens where K3s's client load balancer listens and passes connections on to a living server
// (k3s-io/k3s pkg/agent/loadbalancer). It returns the local URL of the supervisor.
func (a *Agent) balance(ctx context.Context) (string, error) {
	server, err := url.Parse(a.Server)
	if err != nil {
		return "", fmt.Errorf("Invalid server url, failed to parse: %s: %w", a.Server, err)
	}
	if server.Scheme != "https" {
		return "", fmt.Errorf("only https:// URLs are supported, invalid scheme: %s", a.Server)
	}
	first := server.Host
	if server.Port() == "" {
		first = net.JoinHostPort(server.Hostname(), "443")
	}
	b := &balancer{file: filepath.Join(a.dir, "etc", "k3s-agent-load-balancer.json"), first: first}
	b.load()
	listener, err := net.Listen("tcp", "127.0.0.1:"+a.Values.Get("lb-server-port"))
	if err != nil {
		return "", err
	}
	go b.serve(ctx, listener)
	go b.follow(ctx, a)
	return "https://" + listener.Addr().String(), nil
}

// configure fetches certificates and the cluster's settings until the server gives them (pkg/agent/config/config.go, Get).
func (a *Agent) configure(ctx context.Context, access *token.Access) error {
	for {
		err := a.fetch(access)
		if err == nil {
			return nil
		}
		var refused *token.Refused
		if !a.Local || !errors.As(err, &refused) || refused.Status != http.StatusServiceUnavailable {
			logrus.Infof("Waiting to retrieve agent configuration; server is not ready: %v", err)
		}
		if err := sleep(ctx, 5*time.Second, a.Local); err != nil {
			return err
		}
	}
}

func (a *Agent) fetch(access *token.Access) error {
	config, err := access.Get("/v1-k3s/config", nil)
	if err != nil {
		return fmt.Errorf("failed to retrieve configuration from server: %w", err)
	}
	if err := json.Unmarshal(config, &a.cluster); err != nil {
		return err
	}
	for _, name := range []string{"client-ca.crt", "server-ca.crt"} {
		data, err := access.Get("/v1-k3s/"+name, nil)
		if err != nil {
			return err
		}
		if err := pki.Write(filepath.Join(a.dir, name), data, 0o644); err != nil {
			return err
		}
	}
	password, err := node.Password()
	if err != nil {
		return err
	}
	header := http.Header{"K3s-Node-Name": {a.id.Name}, "K3s-Node-Password": {password}, "K3s-Node-Ip": {strings.Join(a.id.IPs, ",")}}
	for _, name := range []string{"serving-kubelet", "client-kubelet", "client-kube-proxy", "client-k3s-controller"} {
		key, err := pki.EnsureKey(filepath.Join(a.dir, name+".key"))
		if err != nil {
			return err
		}
		request, err := x509.CreateCertificateRequest(nil, &x509.CertificateRequest{Subject: pkix.Name{CommonName: a.id.Name}}, key)
		if err != nil {
			return err
		}
		data, err := access.Send(http.MethodPost, "/v1-k3s/"+name+".crt", request, header)
		if refused := (*token.Refused)(nil); errors.As(err, &refused) && refused.Status == http.StatusForbidden {
			return errors.New("Node password rejected, duplicate hostname or contents of '" + node.PasswordFile +
				"' may not match server node-passwd entry, try enabling a unique node name with the --with-node-id flag")
		}
		if err != nil {
			return err
		}
		if err := pki.Write(filepath.Join(a.dir, name+".crt"), data, 0o644); err != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) writeKubeconfigs() error {
	server := a.Server
	if !a.Local {
		server = "https://127.0.0.1:" + a.Values.Get("lb-server-port")
	}
	for file, certificate := range map[string]string{"kubelet": "client-kubelet", "kubeproxy": "client-kube-proxy", "k3scontroller": "client-k3s-controller"} {
		err := node.WriteKubeconfig(filepath.Join(a.dir, file+".kubeconfig"), server, filepath.Join(a.dir, "server-ca.crt"),
			filepath.Join(a.dir, certificate), false, 0o600)
		if err != nil {
			return err
		}
	}
	return nil
}

func (a *Agent) waitForAPI(ctx context.Context, access *token.Access) error {
	for {
		_, err := access.Get("/v1-k3s/readyz", nil)
		if err == nil {
			return nil
		}
		if !a.Local {
			logrus.Infof("Waiting for API server: %v", err)
		}
		if err := sleep(ctx, 2*time.Second, a.Local); err != nil {
			return err
		}
	}
}

// startKubelet runs the kubelet with K3s's settings (k3s-io/k3s pkg/daemons/agent/agent_linux.go) and the lab's: its hosts
// have swap, cgroup v1 and no CAP_SYS_RESOURCE, so nothing is enforced on the node itself.
func (a *Agent) startKubelet() error {
	confDir := filepath.Join(a.dir, "etc", "kubelet.conf.d")
	manifests := filepath.Join(a.dir, "pod-manifests")
	for _, folder := range []string{confDir, manifests} {
		if err := os.MkdirAll(folder, 0o700); err != nil {
			return err
		}
	}
	config := map[string]any{
		"apiVersion": "kubelet.config.k8s.io/v1beta1",
		"kind":       "KubeletConfiguration",
		"authentication": map[string]any{
			"anonymous": map[string]any{"enabled": false},
			"webhook":   map[string]any{"enabled": true, "cacheTTL": "2m0s"},
			"x509":      map[string]any{"clientCAFile": filepath.Join(a.dir, "client-ca.crt")},
		},
		"authorization":            map[string]any{"mode": "Webhook"},
		"cgroupDriver":             "cgroupfs",
		"clusterDNS":               []string{a.cluster.ClusterDNS},
		"clusterDomain":            a.cluster.ClusterDomain,
		"containerRuntimeEndpoint": "unix://" + Socket,
		"enforceNodeAllocatable":   []string{},
		"evictionHard":             map[string]string{"imagefs.available": "5%", "nodefs.available": "5%"},
		"evictionMinimumReclaim":   map[string]string{"imagefs.available": "10%", "nodefs.available": "10%"},
		"failSwapOn":               false,
		"healthzBindAddress":       "127.0.0.1",
		"protectKernelDefaults":    a.Values.Bool("protect-kernel-defaults"),
		"serializeImagePulls":      false,
		"staticPodPath":            manifests,
		"tlsCertFile":              filepath.Join(a.dir, "serving-kubelet.crt"),
		"tlsPrivateKeyFile":        filepath.Join(a.dir, "serving-kubelet.key"),
		"volumePluginDir":          "/usr/libexec/kubernetes/kubelet-plugins/volume/exec",
	}
	if taints := registrationTaints(a.Values.List("node-taint")); len(taints) > 0 {
		config["registerWithTaints"] = taints
	}
	if path := a.resolvConf(); path != "" {
		config["resolvConf"] = path
	}
	data, err := json.MarshalIndent(config, "", "  ")
	if err != nil {
		return err
	}
	if err := pki.Write(filepath.Join(confDir, "00-k3s-defaults.conf"), data, 0o600); err != nil {
		return err
	}
	own := map[string]string{
		"config-dir":        confDir,
		"kubeconfig":        filepath.Join(a.dir, "kubelet.kubeconfig"),
		"hostname-override": a.id.Name,
		"node-ip":           strings.Join(a.id.IPs, ","),
		"node-labels":       strings.Join(a.Values.List("node-label"), ","),
		"read-only-port":    "0",
		"v":                 a.Values.Get("v"),
	}
	args := node.Args(own, a.Values.List("kubelet-arg"))
	logrus.Infof("Running kubelet %s", strings.Join(args, " "))
	return a.Children.Start("kubelet", args, nil)
}

// resolvConf is the flag's file, or the one behind systemd-resolved's stub, whose address pods cannot reach
// (k3s-io/k3s pkg/agent/config/config.go, locateOrGenerateResolvConf).
func (a *Agent) resolvConf() string {
	if path := a.Values.Get("resolv-conf"); path != "" {
		return path
	}
	for _, path := range []string{"/etc/resolv.conf", "/run/systemd/resolve/resolv.conf"} {
		data, err := os.ReadFile(path)
		if err == nil && usableNameserver(data) {
			return path
		}
	}
	path := filepath.Join(a.dir, "etc", "resolv.conf")
	if err := pki.Write(path, []byte("nameserver 8.8.8.8\n"), 0o644); err != nil {
		return ""
	}
	return path
}

func usableNameserver(data []byte) bool {
	found := false
	for _, line := range bytes.Split(data, []byte("\n")) {
		fields := strings.Fields(string(line))
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		ip := net.ParseIP(fields[1])
		if ip == nil || ip.IsLoopback() || !ip.IsGlobalUnicast() {
			return false
		}
		found = true
	}
	return found
}

func registrationTaints(flags []string) []map[string]string {
	var taints []map[string]string
	for _, text := range flags {
		pair, effect, _ := strings.Cut(text, ":")
		key, value, _ := strings.Cut(pair, "=")
		taints = append(taints, map[string]string{"key": key, "value": value, "effect": effect})
	}
	return taints
}

// startProxy runs kube-proxy as K3s does; conntrack limits stay the host's (same file, kubeProxyArgs).
func (a *Agent) startProxy() error {
	own := map[string]string{
		"proxy-mode":                        "iptables",
		"healthz-bind-address":              "127.0.0.1",
		"kubeconfig":                        filepath.Join(a.dir, "kubeproxy.kubeconfig"),
		"cluster-cidr":                      a.cluster.ClusterIPRange,
		"conntrack-max-per-core":            "0",
		"conntrack-tcp-timeout-established": "0s",
		"conntrack-tcp-timeout-close-wait":  "0s",
		"hostname-override":                 a.id.Name,
		"v":                                 a.Values.Get("v"),
	}
	args := node.Args(own, a.Values.List("kube-proxy-arg"))
	logrus.Infof("Running kube-proxy %s", strings.Join(args, " "))
	return a.Children.Start("kube-proxy", args, nil)
}

func (a *Agent) client(file string) (kubernetes.Interface, error) {
	config, err := node.Client(filepath.Join(a.dir, file+".kubeconfig"))
	if err != nil {
		return nil, err
	}
	return kubernetes.NewForConfig(config)
}
