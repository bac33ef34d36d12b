// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package node holds what server and agent share about the machine they run on.
package node

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"sort"
	"strings"

	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"

	"homelab.test/lab/internal/cliargs"
	"homelab.test/lab/internal/pki"
)

// PasswordFile and idFile are where K3s keeps them, outside the data folder (k3s-io/k3s pkg/agent/config/config.go).
const (
	PasswordFile = "/etc/rancher/node/password"
	idFile       = "/etc/rancher/node/id"
)

// Identity is a node's name and addresses; the first address is the primary one.
type Identity struct {
	Name string
	IPs  []string
}

// Identify reads them from the flags, the host's name and its default route (k3s-io/k3s pkg/util/net.go, GetHostnameAndIPs).
func Identify(v *cliargs.Values) (Identity, error) {
	id := Identity{Name: v.Get("node-name"), IPs: v.List("node-ip")}
	if id.Name == "" {
		name, err := os.Hostname()
		if err != nil {
			return id, err
		}
		id.Name = name
	}
	id.Name = strings.ToLower(id.Name)
	if v.Bool("with-node-id") {
		unique, err := secret(idFile, 4)
		if err != nil {
			return id, err
		}
		id.Name += "-" + unique
	}
	if len(id.IPs) > 0 {
		return id, nil
	}
	if name := v.Get("flannel-iface"); name != "" {
		iface, err := net.InterfaceByName(name)
		if err != nil {
			return id, fmt.Errorf("unable to find interface: %w", err)
		}
		addresses, err := iface.Addrs()
		if err != nil {
			return id, err
		}
		for _, address := range addresses {
			if network, ok := address.(*net.IPNet); ok && network.IP.To4() != nil {
				id.IPs = []string{network.IP.String()}
				return id, nil
			}
		}
	}
	ip, err := utilnet.ChooseHostInterface()
	if err != nil {
		return id, fmt.Errorf("failed to get node name and addresses: %w", err)
	}
	id.IPs = []string{ip.String()}
	return id, nil
}

// Password is the node's own secret, made once; a server refuses another node that comes with the same name.
func Password() (string, error) { return secret(PasswordFile, 16) }

func secret(path string, size int) (string, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return strings.TrimSpace(string(data)), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	value := Random(size)
	return value, pki.Write(path, []byte(value+"\n"), 0o600)
}

// Random is hexadecimal text over that many random bytes.
func Random(size int) string {
	data := make([]byte, size)
	_, _ = rand.Read(data)
	return hex.EncodeToString(data)
}

// WriteKubeconfig writes a kubeconfig with certificates by path, or inside it when embed is true.
func WriteKubeconfig(path, server, ca, base string, embed bool, mode os.FileMode) error {
	config := clientcmdapi.NewConfig()
	cluster := &clientcmdapi.Cluster{Server: server, CertificateAuthority: ca}
	user := &clientcmdapi.AuthInfo{ClientCertificate: base + ".crt", ClientKey: base + ".key"}
	if embed {
		var err error
		if cluster.CertificateAuthorityData, err = os.ReadFile(ca); err != nil {
			return err
		}
		if user.ClientCertificateData, err = os.ReadFile(base + ".crt"); err != nil {
			return err
		}
		if user.ClientKeyData, err = os.ReadFile(base + ".key"); err != nil {
			return err
		}
		cluster.CertificateAuthority, user.ClientCertificate, user.ClientKey = "", "", ""
	}
	config.Clusters["default"] = cluster
	config.AuthInfos["default"] = user
	config.Contexts["default"] = &clientcmdapi.Context{Cluster: "default", AuthInfo: "default"}
	config.CurrentContext = "default"
	data, err := clientcmd.Write(*config)
	if err != nil {
		return err
	}
	return pki.Write(path, data, mode)
}

// Client reads a kubeconfig.
func Client(path string) (*rest.Config, error) { return clientcmd.BuildConfigFromFlags("", path) }

// Args merges a component's own arguments with the user's "name=value", which win (k3s-io/k3s pkg/util/args.go, GetArgs).
func Args(own map[string]string, extra []string) []string {
	merged := map[string][]string{}
	for name, value := range own {
		merged[name] = []string{value}
	}
	replaced := map[string]bool{}
	for _, one := range extra {
		name, value, found := strings.Cut(strings.TrimLeft(one, "-"), "=")
		if !found {
			value = "true"
		}
		if !replaced[name] {
			merged[name] = nil
			replaced[name] = true
		}
		merged[name] = append(merged[name], value)
	}
	var args []string
	for name, values := range merged {
		for _, value := range values {
			args = append(args, "--"+name+"="+value)
		}
	}
	sort.Strings(args)
	return args
}
