// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/sirupsen/logrus"
	"k8s.io/component-base/cli"

	"homelab.test/lab/internal/agent"
)

const usage = `NAME:
   k3s - Kubernetes, but small and simple

USAGE:
   k3s [global options] command [command options]

VERSION:
   %s (%s)

COMMANDS:
   server           Run management server
   agent            Run node agent
   kubectl          Run kubectl
   crictl           Run crictl
   ctr              Run ctr
   token            Manage tokens
   etcd-snapshot    Manage etcd snapshots
   secrets-encrypt  Control secrets encryption and keys rotation

This is the stand-in of the lab of homelab.mlops, made of the real Kubernetes components.
`

func main() {
	name := filepath.Base(os.Args[0])
	args := os.Args[1:]
	// As K3s does, the name under which the executable was called chooses the command (k3s-io/k3s cmd/server/main.go).
	switch name {
	case "kubectl", "crictl", "ctr", "containerd", "etcd", "kubelet", "kube-proxy", "kube-apiserver", "kube-controller-manager", "kube-scheduler":
	case "k3s-server", "k3s-agent", "k3s-token", "k3s-etcd-snapshot", "k3s-secrets-encrypt":
		name = name[len("k3s-"):]
	default:
		if len(args) == 0 {
			fmt.Printf(usage, version(), gitCommit)
			return
		}
		name, args = args[0], args[1:]
	}
	if err := run(name, args); err != nil {
		logrus.Fatalf("Error: %v", err)
	}
}

func run(name string, args []string) error {
	switch name {
	case "server", "agent":
		return runService(name, args)
	case "token":
		return runToken(args)
	case "etcd-snapshot":
		return runSnapshot(args)
	case "secrets-encrypt":
		return runEncryption(args)
	case "kubectl":
		kubeconfig()
	case "crictl":
		return runCrictl(args)
	case "ctr":
		setDefault("CONTAINERD_ADDRESS", agent.Socket)
		setDefault("CONTAINERD_NAMESPACE", "k8s.io")
		return runCtr(append([]string{"ctr"}, args...))
	case "containerd":
		return runContainerd(append([]string{"containerd"}, args...))
	case "etcd":
		runEtcd(append([]string{"etcd"}, args...))
		return nil
	case "--version", "-v", "-version":
		fmt.Printf("k3s version %s (%s)\ngo version %s\n", version(), gitCommit, runtime.Version())
		return nil
	case "--help", "-h", "help":
		fmt.Printf(usage, version(), gitCommit)
		return nil
	}
	command := kubernetes(name)
	if command == nil {
		return fmt.Errorf("No help topic for '%s'", name)
	}
	os.Args = append([]string{name}, args...)
	command.SetArgs(args)
	os.Exit(cli.Run(command))
	return nil
}

func setDefault(name, value string) {
	if os.Getenv(name) == "" {
		_ = os.Setenv(name, value)
	}
}
