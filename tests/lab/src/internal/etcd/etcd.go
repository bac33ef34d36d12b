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

	kine "github.com/k3s-io/kine/pkg/endpoint"
	tlsconfig "github.com/k3s-io/kine/pkg/tls"
	"github.com/sirupsen/logrus"
	"go.etcd.io/etcd/api/v3/v3rpc/rpctypes"
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

// Access is how this server's own clients reach its member.
func (l *Local) Access() kine.ETCDConfig {
	return kine.ETCDConfig{Endpoints: []string{LocalURL}, LeaderElect: true, TLSConfig: tlsconfig.Config{
		CAFile: l.file("server-ca.crt"), CertFile: l.file("client.crt"), KeyFile: l.file("client.key"),
	}}
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

// Join adds this member to a cluster as a learner and returns the list for its first start; ask tells the members. It waits
// while another one is joining, and refuses a node's name that another member has: its node must be deleted first
// (k3s-io/k3s pkg/etcd/etcd.go, join).
func (l *Local) Join(ctx context.Context, ask func() ([]Member, error), name, host string) ([]string, error) {
	for {
		known, err := ask()
		if err != nil {
			logrus.Infof("Waiting to retrieve etcd cluster member list: %v", err)
		} else {
			cluster, err := l.joinOnce(ctx, known, name, host)
			if !errors.Is(err, rpctypes.ErrTooManyLearners) && !errors.Is(err, rpctypes.ErrUnhealthy) {
				return cluster, err
			}
			logrus.Infof("Waiting for other members to finish joining etcd cluster: %v", err)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

func (l *Local) joinOnce(ctx context.Context, known []Member, name, host string) ([]string, error) {
	var urls, cluster []string
	add := true
	for _, m := range known {
		for _, peer := range m.PeerURLs {
			// A member that was added and never started has no name; the address tells that it is this one.
			if m.Name == "" && peer == l.PeerURL() {
				m.Name = name
			}
			if m.Name == name && peer == l.PeerURL() {
				add = false
			}
			cluster = append(cluster, m.Name+"="+peer)
		}
		if !m.IsLearner && m.Name != name {
			urls = append(urls, m.ClientURLs...)
		}
		if m.Name != name && nodeOf(m.Name) == host {
			if err := os.Remove(filepath.Join(l.DataDir(), "name")); err != nil {
				logrus.Errorf("Failed to remove etcd name file: %v", err)
			}
			return nil, errors.New("duplicate node name found, please use a unique name for this node")
		}
	}
	if !add {
		return cluster, nil
	}
	client, err := l.Client(urls...)
	if err != nil {
		return nil, err
	}
	defer client.Close()
	logrus.Infof("Adding member %s=%s to etcd cluster %v", name, l.PeerURL(), cluster)
	limited, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	if _, err := client.MemberAddAsLearner(limited, []string{l.PeerURL()}); err != nil {
		return nil, err
	}
	return append(cluster, name+"="+l.PeerURL()), nil
}

// nodeOf is the node that a member's name was made from.
func nodeOf(name string) string {
	if at := strings.LastIndex(name, "-"); at > 0 {
		return name[:at]
	}
	return name
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

// Led lists the members when the member that the client talks to leads them; false when another one does or none.
func Led(ctx context.Context, client *clientv3.Client) ([]Member, bool) {
	limited, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	status, err := client.Status(limited, LocalURL)
	if err != nil || status.Header.MemberId != status.Leader {
		return nil, false
	}
	all, err := members(ctx, client)
	return all, err == nil
}

// Healthy asks a member how it is.
func (m Member) Healthy(ctx context.Context, client *clientv3.Client) error {
	_, err := m.status(ctx, client)
	return err
}

func (m Member) status(ctx context.Context, client *clientv3.Client) (*clientv3.StatusResponse, error) {
	if len(m.ClientURLs) == 0 {
		return nil, errors.New("etcd member was not started yet")
	}
	limited, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	status, err := client.Status(limited, m.ClientURLs[0])
	if err != nil {
		return nil, fmt.Errorf("failed to check etcd member status: %w", err)
	}
	if len(status.Errors) > 0 {
		return nil, errors.New("etcd member has status errors: " + strings.Join(status.Errors, ","))
	}
	return status, nil
}

// Learners follows members on their way to voting.
type Learners struct {
	client  *clientv3.Client
	patient time.Duration
	seen    map[uint64]progress
}

type progress struct {
	applied uint64
	at      time.Time
}

// NewLearners follows learners that must make progress within a time.
func NewLearners(client *clientv3.Client, patient time.Duration) *Learners {
	return &Learners{client: client, patient: patient, seen: map[uint64]progress{}}
}

// Manage makes voters of the learners that have caught up and removes those that stall (k3s-io/k3s pkg/etcd/etcd.go,
// trackLearnerProgress).
func (l *Learners) Manage(ctx context.Context, members []Member) {
	for i, m := range members {
		if !m.IsLearner {
			delete(l.seen, m.ID)
			continue
		}
		limited, cancel := context.WithTimeout(ctx, 5*time.Second)
		_, err := l.client.MemberPromote(limited, m.ID)
		cancel()
		if err == nil {
			logrus.Infof("Promoted learner %s", m.Name)
			members[i].IsLearner = false
			continue
		}
		now, known := l.seen[m.ID]
		status, err := m.status(ctx, l.client)
		if !known || (err == nil && status.RaftAppliedIndex > now.applied) {
			now.at = time.Now()
			if err == nil {
				now.applied = status.RaftAppliedIndex
			}
		}
		l.seen[m.ID] = now
		if time.Since(now.at) > l.patient {
			limited, cancel := context.WithTimeout(ctx, 5*time.Second)
			if _, err := l.client.MemberRemove(limited, m.ID); err == nil {
				logrus.Warnf("Removed learner %s from etcd cluster", m.Name)
			}
			cancel()
		}
	}
}

// Remove takes the member with that name and address out of the cluster; one that is not there is no error (same file,
// RemovePeer).
func (l *Local) Remove(ctx context.Context, name, address string) error {
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
		if m.Name != name || !slices.Contains(m.PeerURLs, "https://"+address+":2380") {
			continue
		}
		logrus.Infof("Removing name=%s id=%d address=%s from etcd", name, m.ID, address)
		limited, cancel := context.WithTimeout(ctx, time.Minute)
		defer cancel()
		if _, err := client.MemberRemove(limited, m.ID); err != nil && !errors.Is(err, rpctypes.ErrMemberNotFound) {
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
