// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	systemd "github.com/coreos/go-systemd/v22/daemon"
	"github.com/sirupsen/logrus"

	"homelab.test/lab/internal/agent"
	"homelab.test/lab/internal/cliargs"
	"homelab.test/lab/internal/payload"
	"homelab.test/lab/internal/proc"
	"homelab.test/lab/internal/server"
)

// patience is how long a component may take to end before it is killed.
const patience = 15 * time.Second

// service is one run of `k3s server` or `k3s agent`.
type service struct {
	command  string
	values   *cliargs.Values
	args     []string
	bin      string
	children *proc.Group
}

func runService(command string, args []string) error {
	values, merged, err := cliargs.Parse(command, args)
	if err != nil {
		fmt.Fprintf(os.Stderr, "Incorrect Usage: %v\n\n", err)
		return err
	}
	if values.Bool("debug") {
		logrus.SetLevel(logrus.DebugLevel)
	}
	if os.Getuid() != 0 {
		return errors.New("must run as root unless --rootless is specified")
	}
	logrus.Infof("Starting k3s %s (%s)", version(), gitCommit)
	if ignored := values.Inert(); len(ignored) > 0 {
		logrus.Infof("Accepted without effect in this stand-in: %s", strings.Join(ignored, ", "))
	}
	bin, err := payload.Unpack(values.Get("data-dir"))
	if err != nil {
		return err
	}
	if err := os.Setenv("PATH", bin+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	s := &service{command: command, values: values, args: merged, bin: bin, children: proc.New()}

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	failed := make(chan error, 2)
	if command == "server" {
		go func() { failed <- s.server(ctx, failed) }()
	} else {
		go func() { failed <- s.agent(ctx) }()
	}
	for {
		select {
		case err = <-failed:
		case err = <-s.children.Failed():
		case <-ctx.Done():
			err = ctx.Err()
		}
		if err != nil {
			break
		}
	}
	if ctx.Err() != nil {
		logrus.Info("Stopping: signal received")
		err = nil
	}
	stop()
	s.children.Stop(patience)
	return err
}

// server starts the control plane and, beside it, the node; it tells systemd when the API answers
// (k3s-io/k3s pkg/cli/server/server.go).
func (s *service) server(ctx context.Context, failed chan<- error) error {
	control := &server.Server{Values: s.values, Args: s.args, Children: s.children}
	control.Listening = func() {
		if s.values.Bool("disable-agent") {
			return
		}
		node := &agent.Agent{Values: s.values, Server: control.URL(), Token: control.AgentToken(), Local: true, Bin: s.bin, Args: s.args, Children: s.children}
		go func() { failed <- node.Run(ctx) }()
	}
	if err := control.Run(ctx); err != nil {
		return err
	}
	return notify()
}

// agent joins and runs the node; it tells systemd when the container runtime and the kubelet run (k3s-io/k3s pkg/agent/run.go).
func (s *service) agent(ctx context.Context) error {
	token := s.values.Get("token")
	if path := s.values.Get("token-file"); token == "" && path != "" {
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		token = strings.TrimSpace(string(data))
	}
	if token == "" {
		return errors.New("--token is required")
	}
	if s.values.Get("server") == "" {
		return errors.New("--server is required")
	}
	node := &agent.Agent{Values: s.values, Server: strings.TrimRight(s.values.Get("server"), "/"), Token: token, Bin: s.bin, Args: s.args, Children: s.children}
	if err := node.Run(ctx); err != nil {
		return err
	}
	logrus.Info("k3s agent is up and running")
	return notify()
}

func notify() error {
	_, err := systemd.SdNotify(false, "READY=1\n")
	return err
}

// kubeconfig lets kubectl find the administrator's kubeconfig (k3s-io/k3s pkg/kubectl/main.go).
func kubeconfig() {
	const path = "/etc/rancher/k3s/k3s.yaml"
	if os.Getenv("KUBECONFIG") != "" {
		return
	}
	if home, err := os.UserHomeDir(); err == nil {
		if _, err := os.Stat(filepath.Join(home, ".kube", "config")); err == nil {
			if _, err := os.Stat(path); err != nil {
				return
			}
		}
	}
	if file, err := os.Open(path); err == nil {
		file.Close()
		_ = os.Setenv("KUBECONFIG", path)
	} else if errors.Is(err, os.ErrPermission) {
		logrus.Warnf("Unable to read %s, please start server with --write-kubeconfig-mode or --write-kubeconfig-group to modify kube config permissions", path)
	}
}
