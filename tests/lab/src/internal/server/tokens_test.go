// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later
package server

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"homelab.test/lab/internal/agent"
	"homelab.test/lab/internal/cliargs"
	"homelab.test/lab/internal/node"
)

// started settles the tokens of one start of a server in a folder, over a real SQLite datastore.
func started(t *testing.T, folder string, args ...string) (*Server, error) {
	t.Helper()
	values, _, err := cliargs.Parse("server", append([]string{"--config", filepath.Join(folder, "absent.yaml")}, args...))
	if err != nil {
		t.Fatal(err)
	}
	s := &Server{Values: values, dir: folder, id: node.Identity{Name: "one", IPs: []string{"192.0.2.1"}}, serviceIP: "10.43.0.1"}
	values.Set("advertise-address", "192.0.2.1")
	if values.Get("datastore-endpoint") == "" {
		values.Set("datastore-endpoint", "sqlite://"+filepath.Join(folder, "state.db")+"?_journal=WAL&cache=shared&_busy_timeout=50&_txlock=immediate")
	}
	return s, s.bootstrap(context.Background())
}

func read(t *testing.T, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(data))
}

func TestTokenIsMadeOnceAndKept(t *testing.T) {
	folder := t.TempDir()
	if _, err := started(t, folder); err != nil {
		t.Fatal(err)
	}
	first := read(t, filepath.Join(folder, "token"))
	s, err := started(t, folder)
	if err != nil {
		t.Fatal(err)
	}
	if again := read(t, filepath.Join(folder, "node-token")); again != first || !strings.HasPrefix(first, "K10"+s.passwords.caHash+"::server:") {
		t.Errorf("%s, then %s", first, again)
	}
	if read(t, filepath.Join(folder, "agent-token")) != first {
		t.Error("agent-token is another without being asked for")
	}
	for _, name := range []string{"token", "cred/passwd"} {
		if info, err := os.Stat(filepath.Join(folder, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
}

func TestAnotherTokenIsRefused(t *testing.T) {
	folder := t.TempDir()
	if _, err := started(t, folder, "--token=first"); err != nil {
		t.Fatal(err)
	}
	if _, err := started(t, folder, "--token=second"); err == nil || err.Error() != "bootstrap data already found and encrypted with different token" {
		t.Fatal(err)
	}
	full := read(t, filepath.Join(folder, "token"))
	if _, err := started(t, folder, "--token="+full); err != nil {
		t.Errorf("the full form of the same token: %v", err)
	}
	foreign := "K10" + strings.Repeat("00", 32) + "::server:first"
	if _, err := started(t, folder, "--token="+foreign); err == nil || !strings.Contains(err.Error(), "token CA hash does not match the Cluster CA certificate hash") {
		t.Errorf("foreign hash: %v", err)
	}
}

func TestSeparateAgentToken(t *testing.T) {
	folder := t.TempDir()
	s, err := started(t, folder, "--token=servers", "--agent-token=agents")
	if err != nil {
		t.Fatal(err)
	}
	if s.passwords.secretOf("server") != "servers" || s.passwords.secretOf("node") != "agents" {
		t.Error("users have other secrets")
	}
	if got := read(t, filepath.Join(folder, "agent-token")); got != "K10"+s.passwords.caHash+"::node:agents" {
		t.Error(got)
	}
	if _, err := started(t, folder, "--token=servers"); err != nil {
		t.Fatal(err)
	}
	if got := read(t, filepath.Join(folder, "agent-token")); !strings.HasSuffix(got, "::server:servers") {
		t.Errorf("agent token outlives its setting: %s", got)
	}
}

func TestRotatedTokenIsTheNewOne(t *testing.T) {
	folder := t.TempDir()
	s, err := started(t, folder, "--token=old")
	if err != nil {
		t.Fatal(err)
	}
	if err := s.rotate(context.Background(), "new"); err != nil {
		t.Fatal(err)
	}
	if _, err := started(t, folder, "--token=old"); err == nil {
		t.Error("the old token is still taken")
	}
	if _, err := started(t, folder, "--token=new"); err != nil {
		t.Error(err)
	}
}

func TestServersOverOneDatabaseShareTheirAuthority(t *testing.T) {
	database := "--datastore-endpoint=sqlite://" + filepath.Join(t.TempDir(), "shared.db") + "?_journal=WAL&cache=shared&_busy_timeout=50&_txlock=immediate"
	one, two := t.TempDir(), t.TempDir()
	if _, err := started(t, one, database, "--token=same", "--secrets-encryption"); err != nil {
		t.Fatal(err)
	}
	if _, err := started(t, two, database, "--token=same", "--secrets-encryption"); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"token", "tls/server-ca.key", "tls/service.key", encryptionConfig, encryptionState} {
		if read(t, filepath.Join(one, name)) != read(t, filepath.Join(two, name)) {
			t.Errorf("%s differs", name)
		}
	}
	for _, args := range [][]string{{"--token=other"}, {}} {
		if _, err := started(t, t.TempDir(), append(args, database)...); err != errOtherToken {
			t.Errorf("%v: %v", args, err)
		}
	}
	alien := t.TempDir()
	if _, err := started(t, alien, "--token=same"); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Minute)
	if err := os.Chtimes(filepath.Join(alien, "tls", "server-ca.key"), later, later); err != nil {
		t.Fatal(err)
	}
	if _, err := started(t, alien, database, "--token=same"); err == nil || !strings.Contains(err.Error(), "newer than datastore and could cause a cluster outage") {
		t.Errorf("authority of another cluster: %v", err)
	}
}

func TestSealedWithTheTokenOnly(t *testing.T) {
	sealed, err := seal("secret", []byte("content"))
	if err != nil {
		t.Fatal(err)
	}
	if plain, err := unseal("secret", sealed); err != nil || !bytes.Equal(plain, []byte("content")) {
		t.Error(plain, err)
	}
	for _, bad := range [][]byte{append([]byte("x"), sealed...), []byte("nonsense"), []byte("salt:AAAA")} {
		if _, err := unseal("secret", bad); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
	if _, err := unseal("Secret", sealed); err == nil {
		t.Error("another token opens it")
	}
}

func TestDifferingSettingsAreNamedAsOnTheCommandLine(t *testing.T) {
	ours := agent.ClusterConfig{ClusterIPRange: "10.42.0.0/16", HTTPSPort: 6443}
	theirs := agent.ClusterConfig{ClusterIPRange: "10.52.0.0/16", HTTPSPort: 7443, Critical: agent.Critical{EncryptSecrets: true}}
	got := differing(reflect.ValueOf(ours), reflect.ValueOf(theirs))
	if strings.Join(got, " ") != "cluster-cidr secrets-encryption" {
		t.Error(got)
	}
}

func TestPasswordHash(t *testing.T) {
	hash, err := createHash("secret")
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(hash, "$1:") || strings.Count(hash, ":") != 5 {
		t.Error(hash)
	}
	if err := verifyHash(hash, "secret"); err != nil {
		t.Error(err)
	}
	if verifyHash(hash, "Secret") == nil || verifyHash("nonsense", "secret") == nil {
		t.Error("a wrong password passes")
	}
}

func TestAddressIn(t *testing.T) {
	if got, err := addressIn("10.43.0.0/16", 10); err != nil || got != "10.43.0.10" {
		t.Error(got, err)
	}
	for _, bad := range []string{"10.43.0.0", "fd00::/108"} {
		if _, err := addressIn(bad, 1); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
