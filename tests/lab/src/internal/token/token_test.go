// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package token

import (
	"encoding/pem"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	hash := strings.Repeat("ab", 32)
	for text, want := range map[string]Token{
		"secret":                                   {Secret: "secret"},
		"abcdef.0123456789abcdef":                  {Bootstrap: "abcdef.0123456789abcdef"},
		"K10" + hash + "::server:a:b":              {CAHash: hash, User: "server", Secret: "a:b"},
		"K10" + hash + "::abcdef.0123456789abcdef": {CAHash: hash, Bootstrap: "abcdef.0123456789abcdef"},
		"K10::node:secret":                         {User: "node", Secret: "secret"},
		"K10node:secret":                           {User: "node", Secret: "secret"},
	} {
		got, err := Parse(text)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v", text, got, err)
		}
	}
	for text, want := range map[string]string{
		"":                         "token must not be empty",
		"K10abc::server:secret":    "invalid token CA hash length",
		"K10" + hash + "::server":  "invalid token format",
		"K10" + hash + "::server:": "invalid token format",
	} {
		if _, err := Parse(text); err == nil || err.Error() != want {
			t.Errorf("%q: got %v, want %s", text, err, want)
		}
	}
}

// authority starts a TLS server that answers as a supervisor does: its CA to everyone, readyz to one secret.
func authority(t *testing.T) (*httptest.Server, []byte) {
	t.Helper()
	var ca []byte
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/cacerts" {
			w.Write(ca)
			return
		}
		if _, secret, _ := r.BasicAuth(); secret != "right" {
			http.Error(w, "Unauthorized", http.StatusUnauthorized)
			return
		}
		w.Write([]byte("ok"))
	}))
	t.Cleanup(server.Close)
	ca = pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: server.Certificate().Raw})
	return server, ca
}

func TestConnectChecksTheAuthority(t *testing.T) {
	server, ca := authority(t)
	good, _ := Parse(Format("server", "right", ca))
	access, err := Connect(server.URL, good, "node", nil)
	if err != nil {
		t.Fatal(err)
	}
	if answer, err := access.Get("/v1-k3s/readyz", nil); err != nil || string(answer) != "ok" {
		t.Fatalf("%s, %v", answer, err)
	}
	other := Token{CAHash: strings.Repeat("00", 32), User: "node", Secret: "right"}
	if _, err := Connect(server.URL, other, "", nil); err == nil || !strings.HasPrefix(err.Error(), "token CA hash does not match the Cluster CA certificate hash: 00") {
		t.Fatalf("foreign hash: %v", err)
	}
}

func TestWrongSecretIsUnauthorized(t *testing.T) {
	server, _ := authority(t)
	access, err := Connect(server.URL, Token{Secret: "wrong"}, "node", nil)
	if err != nil {
		t.Fatal(err)
	}
	_, err = access.Get("/v1-k3s/config", nil)
	if err == nil || err.Error() != server.URL+"/v1-k3s/config: 401 Unauthorized" {
		t.Fatal(err)
	}
}

func TestOnlyHTTPS(t *testing.T) {
	_, err := Connect("http://server:6443", Token{Secret: "x"}, "", nil)
	if err == nil || err.Error() != "only https:// URLs are supported, invalid scheme: http://server:6443" {
		t.Fatal(err)
	}
}
