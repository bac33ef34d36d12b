// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/sirupsen/logrus"

	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/pki"
	"homelab.test/lab/internal/token"
)

// passwords are the users of the supervisor: "server" with the server token's secret, "node" with the agent token's
// (k3s-io/k3s pkg/daemons/control/deps/deps.go, genUsers), kept in cred/passwd as password,user,uid,groups.
type passwords struct {
	mu      sync.Mutex
	file    string
	caHash  string
	secrets map[string]string
}

var groupsOf = map[string]string{"server": "k3s:server", "node": "k3s:agent"}

func loadPasswords(file string) (*passwords, error) {
	p := &passwords{file: file, secrets: map[string]string{}}
	handle, err := os.Open(file)
	if errors.Is(err, os.ErrNotExist) {
		return p, nil
	}
	if err != nil {
		return nil, err
	}
	defer handle.Close()
	reader := csv.NewReader(handle)
	reader.FieldsPerRecord = -1
	records, err := reader.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	for _, record := range records {
		if len(record) >= 2 {
			p.secrets[record[1]] = record[0]
		}
	}
	return p, nil
}

func (p *passwords) secretOf(user string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.secrets[user]
}

func (p *passwords) set(server, agent string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.secrets = map[string]string{"server": server, "node": agent}
	var b strings.Builder
	writer := csv.NewWriter(&b)
	for _, user := range []string{"node", "server"} {
		_ = writer.Write([]string{p.secrets[user], user, user, groupsOf[user]})
	}
	writer.Flush()
	return pki.Write(p.file, []byte(b.String()), 0o600)
}

// readToken is a flag's token, or the content of the file that another flag names.
func (s *Server) readToken(flag string) (string, error) {
	if value := s.Values.Get(flag); value != "" {
		return value, nil
	}
	path := s.Values.Get(flag + "-file")
	if path == "" {
		return "", nil
	}
	data, err := os.ReadFile(path)
	return strings.TrimSpace(string(data)), err
}

// bootstrap starts the datastore, gets the cluster's authorities from it or from the server to join, and settles the tokens
// of this start: the configured one, the one on disk, or a new one; one that the datastore was not made with is refused. It
// writes server/token, node-token and agent-token (k3s-io/k3s pkg/cluster/bootstrap.go, pkg/server/server.go, printTokens).
func (s *Server) bootstrap(ctx context.Context) error {
	wanted, err := s.readToken("token")
	if err != nil {
		return err
	}
	agentWanted, err := s.readToken("agent-token")
	if err != nil {
		return err
	}
	if s.passwords, err = loadPasswords(filepath.Join(s.dir, "cred", "passwd")); err != nil {
		return err
	}
	// Every server names its member, that over SQLite too (k3s-io/k3s pkg/etcd/etcd.go, SetControlConfig).
	if _, err := s.local().Name(s.id.Name); err != nil {
		return err
	}
	if s.usesEtcd() {
		err = s.joinServer(wanted)
	} else if s.store, err = s.startSQL(ctx); err == nil {
		err = s.loadBootstrap(ctx, s.knownSecret(wanted))
	}
	if err != nil {
		return err
	}
	ca, err := pki.EnsureCA(filepath.Join(s.dir, "tls", "server-ca"), "k3s-server-ca")
	if err != nil {
		return err
	}
	s.passwords.caHash = token.HashCA(ca.PEM)
	secret, err := s.secretFrom(wanted)
	if err != nil {
		return fmt.Errorf("failed to normalize server token; must be in format K10<CA-HASH>::<USERNAME>:<PASSWORD> or <PASSWORD>: %w", err)
	}
	if secret == "" {
		if secret, err = s.secretOnDisk(); err != nil {
			return err
		}
	}
	if secret == "" {
		secret = node.Random(16)
	}
	// As in K3s they are there without etcd too (k3s-io/k3s pkg/daemons/control/deps/deps.go, genETCDCerts).
	if err := s.local().Certificates(s.id.Name); err != nil {
		return err
	}
	if s.usesEtcd() {
		if s.store, err = s.startEtcd(ctx); err != nil {
			return err
		}
		if err := s.loadBootstrap(ctx, secret); err != nil {
			return err
		}
	}
	agentSecret, err := s.secretFrom(agentWanted)
	if err != nil {
		return fmt.Errorf("failed to normalize agent token: %w", err)
	}
	if agentSecret == "" {
		agentSecret = secret
	}
	if err := s.passwords.set(secret, agentSecret); err != nil {
		return err
	}
	if err := s.writeTokens(secret, agentSecret); err != nil {
		return err
	}
	if err := s.encryption(); err != nil {
		return err
	}
	if err := s.certificates(); err != nil {
		return err
	}
	return s.saveBootstrap(ctx, secret)
}

// knownSecret is the secret of the configured token or of the one on disk, whatever authority they name; empty for none.
func (s *Server) knownSecret(wanted string) string {
	if wanted == "" {
		data, err := os.ReadFile(filepath.Join(s.dir, "token"))
		if err != nil {
			return ""
		}
		wanted = strings.TrimSpace(string(data))
	}
	parsed, err := token.Parse(wanted)
	if err != nil {
		return ""
	}
	return parsed.Secret
}

func (s *Server) secretFrom(text string) (string, error) {
	if text == "" {
		return "", nil
	}
	parsed, err := token.Parse(text)
	if err != nil {
		return "", err
	}
	if parsed.Bootstrap != "" {
		return "", errors.New("a bootstrap token cannot be the cluster's own")
	}
	if parsed.CAHash != "" && parsed.CAHash != s.passwords.caHash {
		return "", fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", parsed.CAHash, s.passwords.caHash)
	}
	return parsed.Secret, nil
}

func (s *Server) secretOnDisk() (string, error) {
	data, err := os.ReadFile(filepath.Join(s.dir, "token"))
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	return s.secretFrom(strings.TrimSpace(string(data)))
}

func (s *Server) writeTokens(secret, agentSecret string) error {
	full := "K10" + s.passwords.caHash + "::server:" + secret
	path := filepath.Join(s.dir, "token")
	if err := pki.Write(path, []byte(full+"\n"), 0o600); err != nil {
		return err
	}
	logrus.Infof("Server node token is available at %s", path)
	if err := linkTo(path, filepath.Join(s.dir, "node-token")); err != nil {
		return err
	}
	agentPath := filepath.Join(s.dir, "agent-token")
	if agentSecret == secret {
		return linkTo(path, agentPath)
	}
	if info, err := os.Lstat(agentPath); err == nil && info.Mode()&os.ModeSymlink != 0 {
		if err := os.Remove(agentPath); err != nil {
			return err
		}
	}
	logrus.Infof("Agent node token is available at %s", agentPath)
	return pki.Write(agentPath, []byte("K10"+s.passwords.caHash+"::node:"+agentSecret+"\n"), 0o600)
}

func linkTo(target, path string) error {
	if have, err := os.Readlink(path); err == nil && have == target {
		return nil
	}
	if err := os.RemoveAll(path); err != nil {
		return err
	}
	return os.Symlink(target, path)
}
