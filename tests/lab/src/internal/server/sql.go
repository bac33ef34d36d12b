// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	kine "github.com/k3s-io/kine/pkg/endpoint"
	"github.com/k3s-io/kine/pkg/tls"
)

// sql is kine: etcd's protocol over SQLite, or over the database that datastore-endpoint names.
type sql struct{ config kine.ETCDConfig }

func (d sql) arguments() map[string]string {
	arguments := map[string]string{"etcd-servers": d.config.Endpoints[0]}
	for name, file := range map[string]string{
		"etcd-cafile": d.config.TLSConfig.CAFile, "etcd-certfile": d.config.TLSConfig.CertFile, "etcd-keyfile": d.config.TLSConfig.KeyFile,
	} {
		if file != "" {
			arguments[name] = file
		}
	}
	return arguments
}

func (d sql) access() kine.ETCDConfig { return d.config }

func (d sql) elects() bool { return d.config.LeaderElect }

// startSQL runs kine in this process, as K3s does (k3s-io/k3s pkg/cluster/cluster.go, startStorage), over the configured
// endpoint or over ./db/state.db under the server's folder.
func (s *Server) startSQL(ctx context.Context) (datastore, error) {
	// The API server says goodbye to the datastore after the signal: it ends with the process, not with the context.
	config, err := s.listenKine(context.WithoutCancel(ctx), s.Values.Get("datastore-endpoint"))
	if err != nil {
		return nil, err
	}
	return sql{config}, nil
}

// listenKine serves a database as etcd on the server's socket until the context ends.
func (s *Server) listenKine(ctx context.Context, endpoint string) (kine.ETCDConfig, error) {
	if err := os.MkdirAll(filepath.Join(s.dir, "db"), 0o700); err != nil {
		return kine.ETCDConfig{}, err
	}
	config, err := kine.Listen(ctx, kine.Config{
		Listener: "unix://" + filepath.Join(s.dir, "kine.sock"),
		Endpoint: endpoint,
		BackendTLSConfig: tls.Config{
			CAFile: s.Values.Get("datastore-cafile"), CertFile: s.Values.Get("datastore-certfile"), KeyFile: s.Values.Get("datastore-keyfile"),
		},
		NotifyInterval: 5 * time.Second,
		// The API server asks whether progress of watches is told, which etcd tells since 3.5.13 (kine's own default).
		EmulatedETCDVersion: "3.6.11",
		CompactInterval:     5 * time.Minute,
		CompactTimeout:      5 * time.Second,
		CompactMinRetain:    1000,
		CompactBatchSize:    1000,
		PollBatchSize:       500,
	})
	if err != nil {
		return config, fmt.Errorf("creating storage endpoint: %w", err)
	}
	return config, nil
}
