// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package cliargs

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func configured(t *testing.T, files map[string]string) string {
	t.Helper()
	base := filepath.Join(t.TempDir(), "config.yaml")
	for name, content := range files {
		path := base
		if name != "" {
			path = filepath.Join(base+".d", name)
		}
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return base
}

func TestFilesMerge(t *testing.T) {
	base := configured(t, map[string]string{
		"":              "node-name: one\ndisable: [traefik]\nnode-label:\n  - a=1\n",
		"10-more.yaml":  "node-name: two\ndisable+: metrics-server\n",
		"20-more.yml":   "node-label+: [b=2]\n",
		"30-other.yaml": "kubelet-arg: [\"max-pods=50\"]\n",
		"40-unread.txt": "node-name: three\n",
	})
	got, err := ReadFiles(base)
	want := []string{"--node-name=two", "--disable=traefik", "--disable=metrics-server", "--node-label=a=1", "--node-label=b=2", "--kubelet-arg=max-pods=50"}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Fatalf("got %q, %v, want %q", got, err, want)
	}
}

func TestCommandLineWinsAndAdds(t *testing.T) {
	base := configured(t, map[string]string{"": "node-name: file\nnode-label: a=1\ncluster-init: true\n"})
	values, _, err := Parse("server", []string{"--config", base, "--node-name=line", "--node-label", "b=2"})
	if err != nil {
		t.Fatal(err)
	}
	if values.Get("node-name") != "line" || !values.Bool("cluster-init") {
		t.Errorf("node-name %q, cluster-init %v", values.Get("node-name"), values.Bool("cluster-init"))
	}
	if got := values.List("node-label"); !reflect.DeepEqual(got, []string{"a=1", "b=2"}) {
		t.Errorf("node-label %q", got)
	}
}

func TestDropInsAlone(t *testing.T) {
	base := configured(t, map[string]string{"10.yaml": "v: 3\n"})
	values, _, err := Parse("agent", []string{"-c=" + base})
	if err != nil || values.Get("v") != "3" {
		t.Fatalf("v %q, %v", values.Get("v"), err)
	}
}

func TestRefusals(t *testing.T) {
	for want, args := range map[string][]string{
		"flag provided but not defined: -nonsense":              {"--nonsense=1"},
		"flag provided but not defined: -tls-san":               {"--tls-san=a"},
		"flag needs an argument: -node-name":                    {"--node-name"},
		`invalid boolean value "maybe" for -debug: parse error`: {"--debug=maybe"},
		`invalid value "many" for -lb-server-port: parse error`: {"--lb-server-port=many"},
	} {
		if _, _, err := Parse("agent", args); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want %q", args, err, want)
		}
	}
	base := configured(t, map[string]string{"": "tls-sann: a\n"})
	if _, _, err := Parse("server", []string{"--config", base}); err == nil || err.Error() != "flag provided but not defined: -tls-sann" {
		t.Errorf("unknown key of the file: %v", err)
	}
}

func TestEnvironmentIsLast(t *testing.T) {
	t.Setenv("K3S_TOKEN", "from-environment")
	t.Setenv("K3S_URL", "https://elsewhere:6443")
	values, _, err := Parse("agent", []string{"--token=from-line"})
	if err != nil {
		t.Fatal(err)
	}
	if values.Get("token") != "from-line" || values.Get("server") != "https://elsewhere:6443" {
		t.Errorf("token %q, server %q", values.Get("token"), values.Get("server"))
	}
}

func TestOctalModeIsReadAsYAMLReadsIt(t *testing.T) {
	base := configured(t, map[string]string{"": "write-kubeconfig-mode: \"0644\"\n"})
	quoted, _, _ := Parse("server", []string{"-c", base})
	base = configured(t, map[string]string{"": "write-kubeconfig-mode: 0644\n"})
	bare, _, _ := Parse("server", []string{"-c", base})
	if quoted.Get("write-kubeconfig-mode") != "0644" || bare.Get("write-kubeconfig-mode") != "420" {
		t.Errorf("quoted %q, bare %q", quoted.Get("write-kubeconfig-mode"), bare.Get("write-kubeconfig-mode"))
	}
}

func TestSecretsAreHidden(t *testing.T) {
	got := strings.Join(Given("server", []string{"--token=abc", "--agent-token=def", "--node-name=n"}), " ")
	if got != "server --token ******** --agent-token ******** --node-name n" {
		t.Error(got)
	}
}

func TestListsSplitAtCommas(t *testing.T) {
	values, _, err := Parse("server", []string{"--disable=traefik,servicelb", "--disable", "metrics-server", "--kubelet-arg=a=1,b=2"})
	if err != nil {
		t.Fatal(err)
	}
	if got := values.List("disable"); !reflect.DeepEqual(got, []string{"traefik", "servicelb", "metrics-server"}) {
		t.Errorf("disable %q", got)
	}
	if got := values.List("kubelet-arg"); !reflect.DeepEqual(got, []string{"a=1,b=2"}) {
		t.Errorf("kubelet-arg %q", got)
	}
}
