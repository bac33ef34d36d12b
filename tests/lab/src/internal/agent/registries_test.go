// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package agent

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const registriesFile = `
mirrors:
  docker.io:
    endpoint: ["https://mirror.lan:5000", "http://other.lan/prefix/v2"]
    rewrite: {"^library/(.*)": "hub/$1"}
  quay.io:
configs:
  mirror.lan:5000:
    auth: {username: me, password: "se\"cret"}
    tls: {ca_file: /etc/ssl/mirror.pem}
`

func TestRegistriesBecomeHostsFiles(t *testing.T) {
	folder := t.TempDir()
	path := filepath.Join(folder, "registries.yaml")
	if err := os.WriteFile(path, []byte(registriesFile), 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := readRegistries(path)
	if err != nil {
		t.Fatal(err)
	}
	certs := filepath.Join(folder, "certs.d")
	for name, content := range map[string]string{"mine.lan": "server = \"x\"\n", "gone.lan": hostsHeader} {
		if err := os.MkdirAll(filepath.Join(certs, name), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(certs, name, "hosts.toml"), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := r.writeHosts(certs, false); err != nil {
		t.Fatal(err)
	}
	entries, _ := os.ReadDir(certs)
	var names []string
	for _, entry := range entries {
		names = append(names, entry.Name())
	}
	if got := strings.Join(names, " "); got != "docker.io mine.lan mirror.lan:5000" {
		t.Errorf("folders: %s", got)
	}
	data, err := os.ReadFile(filepath.Join(certs, "docker.io", "hosts.toml"))
	if err != nil {
		t.Fatal(err)
	}
	wanted := hostsHeader + `
server = "https://registry-1.docker.io/v2"
capabilities = ["pull", "resolve", "push"]

[host]
[host."https://mirror.lan:5000/v2"]
  capabilities = ["pull", "resolve"]
  ca = ["/etc/ssl/mirror.pem"]
  [host."https://mirror.lan:5000/v2".rewrite]
    "^library/(.*)" = "hub/$1"
[host."http://other.lan/prefix/v2"]
  capabilities = ["pull", "resolve"]
  override_path = true
  [host."http://other.lan/prefix/v2".rewrite]
    "^library/(.*)" = "hub/$1"
`
	if string(data) != wanted {
		t.Errorf("docker.io:\n%s", data)
	}
	if got := r.auths(); !strings.Contains(got, `registry.configs."mirror.lan:5000".auth]`) || !strings.Contains(got, `password = "se\"cret"`) {
		t.Error(got)
	}
	if without := r.hosts(true)["docker.io"]; strings.Contains(without, "server =") {
		t.Error("the registry itself is still asked")
	}
}
