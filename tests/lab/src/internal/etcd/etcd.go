// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package etcd is the part of K3s that looks after embedded etcd: members, certificates, snapshots
// (k3s-io/k3s pkg/etcd/etcd.go).
package etcd

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.uber.org/zap"

	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/pki"
)

// LocalURL is where a server's own member answers clients.
const LocalURL = "https://127.0.0.1:2379"

// Member is one member as servers tell each other at /db/info.
type Member struct {
	ID         uint64   `json:"ID"`
	Name       string   `json:"name,omitempty"`
	PeerURLs   []string `json:"peerURLs"`
	ClientURLs []string `json:"clientURLs"`
	IsLearner  bool     `json:"isLearner,omitempty"`
}

// Local is this server's member.
type Local struct {
	Dir string // of the server
	IP  string
}

// DataDir is where the member keeps its data.
func (l *Local) DataDir() string { return filepath.Join(l.Dir, "db", "etcd") }

// Exists says whether the member has joined a cluster once.
func (l *Local) Exists() bool {
	_, err := os.Stat(filepath.Join(l.DataDir(), "member", "wal"))
	return err == nil
}

func (l *Local) file(name string) string { return filepath.Join(l.Dir, "tls", "etcd", name) }

// Name is the member's name, the host's with a random end, kept over restarts.
func (l *Local) Name(host string) (string, error) {
	path := filepath.Join(l.DataDir(), "name")
	data, err := os.ReadFile(path)
	if err == nil {
		return string(data), nil
	}
	if !errors.Is(err, os.ErrNotExist) {
		return "", err
	}
	name := host + "-" + node.Random(4)
	return name, pki.Write(path, []byte(name), 0o600)
}

// Certificates makes the member's and its clients' certificates.
func (l *Local) Certificates(host string) error {
	server, err := pki.EnsureCA(l.file("server-ca"), "etcd-server-ca")
	if err != nil {
		return err
	}
	peer, err := pki.EnsureCA(l.file("peer-ca"), "etcd-peer-ca")
	if err != nil {
		return err
	}
	hosts := []string{"localhost", host, "127.0.0.1", l.IP}
	if err := pki.EnsureLeaf(l.file("server-client"), pki.Subject{Name: "etcd-server", Hosts: hosts, Client: true, Server: true}, server); err != nil {
		return err
	}
	if err := pki.EnsureLeaf(l.file("peer-server-client"), pki.Subject{Name: "etcd-peer", Hosts: hosts, Client: true, Server: true}, peer); err != nil {
		return err
	}
	return pki.EnsureLeaf(l.file("client"), pki.Subject{Name: "etcd-client", Client: true}, server)
}

// Arguments are those of the etcd process; cluster lists members as name=URL, state is "new" or "existing".
func (l *Local) Arguments(name, state string, cluster []string) map[string]string {
	return map[string]string{
		"name":                        name,
		"data-dir":                    l.DataDir(),
		"listen-client-urls":          LocalURL + ",https://" + l.IP + ":2379",
		"advertise-client-urls":       "https://" + l.IP + ":2379",
		"listen-peer-urls":            "https://127.0.0.1:2380,https://" + l.IP + ":2380",
		"initial-advertise-peer-urls": l.PeerURL(),
		"initial-cluster":             strings.Join(cluster, ","),
		"initial-cluster-state":       state,
		"cert-file":                   l.file("server-client.crt"),
		"key-file":                    l.file("server-client.key"),
		"trusted-ca-file":             l.file("server-ca.crt"),
		"client-cert-auth":            "true",
		"peer-cert-file":              l.file("peer-server-client.crt"),
		"peer-key-file":               l.file("peer-server-client.key"),
		"peer-trusted-ca-file":        l.file("peer-ca.crt"),
		"peer-client-cert-auth":       "true",
		"heartbeat-interval":          "500",
		"election-timeout":            "5000",
		"snapshot-count":              "10000",
		"log-level":                   "warn",
	}
}

// PeerURL is where other members reach this one.
func (l *Local) PeerURL() string { return "https://" + l.IP + ":2380" }

// Storage are the API server's arguments.
func (l *Local) Storage() map[string]string {
	return map[string]string{
		"etcd-servers": LocalURL, "etcd-cafile": l.file("server-ca.crt"), "etcd-certfile": l.file("client.crt"), "etcd-keyfile": l.file("client.key"),
	}
}

// Client connects to members with this server's certificate.
func (l *Local) Client(urls ...string) (*clientv3.Client, error) {
	certificate, err := tls.LoadX509KeyPair(l.file("client.crt"), l.file("client.key"))
	if err != nil {
		return nil, err
	}
	ca, err := os.ReadFile(l.file("server-ca.crt"))
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	return clientv3.New(clientv3.Config{
		Endpoints: urls, DialTimeout: 5 * time.Second, Logger: zap.NewNop(),
		TLS: &tls.Config{Certificates: []tls.Certificate{certificate}, RootCAs: roots},
	})
}

// Members lists the cluster as the local member sees it.
func (l *Local) Members(ctx context.Context) ([]Member, error) {
	client, err := l.Client(LocalURL)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	return members(ctx, client)
}

func members(ctx context.Context, client *clientv3.Client) ([]Member, error) {
	limited, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	answer, err := client.MemberList(limited)
	if err != nil {
		return nil, err
	}
	var result []Member
	for _, m := range answer.Members {
		result = append(result, Member{m.ID, m.Name, m.PeerURLs, m.ClientURLs, m.IsLearner})
	}
	return result, nil
}

// Join adds this member to a cluster as a learner and returns the list for its first start. A member with the same address,
// left by an interrupted join or an earlier life of this host, is removed first (same file, join).
func (l *Local) Join(ctx context.Context, known []Member, name string) ([]string, error) {
	var urls []string
	for _, m := range known {
		if !m.IsLearner {
			urls = append(urls, m.ClientURLs...)
		}
	}
	if len(urls) == 0 {
		return nil, errors.New("the server to join has no etcd members")
	}
	client, err := l.Client(urls...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	now, err := members(ctx, client)
	if err != nil {
		return nil, fmt.Errorf("failed to list etcd members: %w", err)
	}
	limited, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for _, m := range now {
		if slices.Contains(m.PeerURLs, l.PeerURL()) {
			logrus.Infof("Removing the etcd member %s that had this host's address", m.Name)
			if _, err := client.MemberRemove(limited, m.ID); err != nil {
				return nil, err
			}
		}
	}
	logrus.Infof("Adding member %s=%s to etcd cluster", name, l.PeerURL())
	added, err := client.MemberAddAsLearner(limited, []string{l.PeerURL()})
	if err != nil {
		return nil, fmt.Errorf("failed to add etcd learner: %w", err)
	}
	cluster := []string{name + "=" + l.PeerURL()}
	for _, m := range added.Members {
		if m.ID != added.Member.ID {
			for _, url := range m.PeerURLs {
				cluster = append(cluster, m.Name+"="+url)
			}
		}
	}
	return cluster, nil
}

// WaitVoting waits until this member votes; the servers that do already promote it when it has caught up.
func (l *Local) WaitVoting(ctx context.Context) error {
	client, err := l.Client(LocalURL)
	if err != nil {
		return err
	}
	defer client.Close()
	said := time.Now()
	for {
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		status, err := client.Status(limited, LocalURL)
		cancel()
		if err == nil && !status.IsLearner && status.Leader != 0 {
			return nil
		}
		if time.Since(said) > 10*time.Second {
			logrus.Infof("Waiting for this server's etcd member to vote: %v", err)
			said = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(300 * time.Millisecond):
		}
	}
}

// PromoteLearners makes voters of the learners that have caught up, again and again (same file, manageLearners).
func (l *Local) PromoteLearners(ctx context.Context) {
	client, err := l.Client(LocalURL)
	if err != nil {
		logrus.Errorf("etcd: %v", err)
		return
	}
	defer client.Close()
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(2 * time.Second):
		}
		now, err := members(ctx, client)
		if err != nil {
			continue
		}
		for _, m := range now {
			if !m.IsLearner || m.Name == "" {
				continue
			}
			limited, cancel := context.WithTimeout(ctx, 5*time.Second)
			if _, err := client.MemberPromote(limited, m.ID); err == nil {
				logrus.Infof("Promoted etcd member %s to a voter", m.Name)
			}
			cancel()
		}
	}
}

// Remove takes a member out of the cluster; one that is not there is no error.
func (l *Local) Remove(ctx context.Context, name string) error {
	client, err := l.Client(LocalURL)
	if err != nil {
		return err
	}
	defer client.Close()
	now, err := members(ctx, client)
	if err != nil {
		return err
	}
	for _, m := range now {
		if m.Name == name {
			limited, cancel := context.WithTimeout(ctx, 10*time.Second)
			defer cancel()
			_, err := client.MemberRemove(limited, m.ID)
			return err
		}
	}
	return nil
}

// Save writes a snapshot of the datastore to a file, whole or not at all.
func (l *Local) Save(ctx context.Context, path string) error {
	client, err := l.Client(LocalURL)
	if err != nil {
		return err
	}
	defer client.Close()
	stream, err := client.Snapshot(ctx)
	if err != nil {
		return err
	}
	defer stream.Close()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.OpenFile(path+".part", os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, stream)
	if err := errors.Join(err, file.Sync(), file.Close()); err != nil {
		os.Remove(path + ".part")
		return err
	}
	return os.Rename(path+".part", path)
}
