// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package pki

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"testing"
)

func TestLeafIsMadeOnceAndAgainForAnotherName(t *testing.T) {
	folder := t.TempDir()
	ca, err := EnsureCA(filepath.Join(folder, "ca"), "test-ca")
	if err != nil {
		t.Fatal(err)
	}
	base := filepath.Join(folder, "leaf")
	subject := Subject{Name: "api", Hosts: []string{"localhost", "127.0.0.1"}, Server: true}
	read := func() string {
		if err := EnsureLeaf(base, subject, ca); err != nil {
			t.Fatal(err)
		}
		data, err := os.ReadFile(base + ".crt")
		if err != nil {
			t.Fatal(err)
		}
		return string(data)
	}
	first, second := read(), read()
	if first != second {
		t.Error("made anew without a reason")
	}
	subject.Hosts = append(subject.Hosts, "lab.example")
	if read() == first {
		t.Error("kept although it lacks a name")
	}
	pair, err := Load(base)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(ca.Cert)
	if _, err := pair.Cert.Verify(x509.VerifyOptions{Roots: roots, DNSName: "lab.example"}); err != nil {
		t.Error(err)
	}
	if info, _ := os.Stat(base + ".key"); info.Mode().Perm() != 0o600 {
		t.Errorf("key has mode %v", info.Mode())
	}
	again, err := EnsureCA(filepath.Join(folder, "ca"), "test-ca")
	if err != nil || !again.Cert.Equal(ca.Cert) {
		t.Error("authority was made twice")
	}
}
