// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package pki makes the keys and certificates that K3s makes (k3s-io/k3s pkg/daemons/control/deps/deps.go).
package pki

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"errors"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	caYears = 10
	days    = 365
	// Renew is how long before its end a certificate is made anew at start (docs.k3s.io/cli/certificate).
	Renew = 90 * 24 * time.Hour
)

// Pair is a certificate (PEM, with its chain) and its key.
type Pair struct {
	Cert *x509.Certificate
	Key  crypto.Signer
	PEM  []byte
}

// Subject is what a leaf certificate says.
type Subject struct {
	Name   string
	Groups []string
	Hosts  []string // names and addresses; none for a client
	Client bool
	Server bool
}

// EnsureCA loads the authority base.crt and base.key, made when absent.
func EnsureCA(base, name string) (*Pair, error) {
	pair, err := Load(base)
	if err == nil || !errors.Is(err, os.ErrNotExist) {
		return pair, err
	}
	key, err := EnsureKey(base + ".key")
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	template := &x509.Certificate{
		SerialNumber:          big.NewInt(0),
		Subject:               pkix.Name{CommonName: fmt.Sprintf("%s@%d", name, now.Unix())},
		NotBefore:             now.Add(-time.Minute),
		NotAfter:              now.AddDate(caYears, 0, 0),
		KeyUsage:              x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		BasicConstraintsValid: true,
		IsCA:                  true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	if err := Write(base+".crt", pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644); err != nil {
		return nil, err
	}
	return Load(base)
}

// EnsureKey loads an EC key, made when absent.
func EnsureKey(path string) (crypto.Signer, error) {
	data, err := os.ReadFile(path)
	if err == nil {
		return ParseKey(data)
	}
	if !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	return key, Write(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}

// ParseKey reads a private key from PEM.
func ParseKey(data []byte) (crypto.Signer, error) {
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, errors.New("no PEM block in the key")
	}
	return x509.ParseECPrivateKey(block.Bytes)
}

// Load reads base.crt and base.key.
func Load(base string) (*Pair, error) {
	data, err := os.ReadFile(base + ".crt")
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(data)
	if block == nil {
		return nil, fmt.Errorf("%s.crt: no certificate", base)
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, fmt.Errorf("%s.crt: %w", base, err)
	}
	data2, err := os.ReadFile(base + ".key")
	if err != nil {
		return nil, err
	}
	key, err := ParseKey(data2)
	if err != nil {
		return nil, fmt.Errorf("%s.key: %w", base, err)
	}
	return &Pair{Cert: cert, Key: key, PEM: data}, nil
}

// EnsureLeaf writes base.crt and base.key signed by the authority, unless what is there is the same and good for long.
func EnsureLeaf(base string, subject Subject, ca *Pair) error {
	if pair, err := Load(base); err == nil && pair.Cert.CheckSignatureFrom(ca.Cert) == nil &&
		time.Until(pair.Cert.NotAfter) > Renew && sameHosts(pair.Cert, subject.Hosts) {
		return nil
	}
	key, err := EnsureKey(base + ".key")
	if err != nil {
		return err
	}
	data, err := Sign(subject, key.Public(), ca)
	if err != nil {
		return err
	}
	return Write(base+".crt", data, 0o644)
}

func sameHosts(cert *x509.Certificate, hosts []string) bool {
	var have []string
	have = append(have, cert.DNSNames...)
	for _, ip := range cert.IPAddresses {
		have = append(have, ip.String())
	}
	for _, host := range hosts {
		if !slices.Contains(have, host) {
			return false
		}
	}
	return true
}

// Sign makes a leaf certificate for a public key; the result is its PEM followed by the authority's.
func Sign(subject Subject, public crypto.PublicKey, ca *Pair) ([]byte, error) {
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 62))
	if err != nil {
		return nil, err
	}
	now := time.Now().UTC()
	template := &x509.Certificate{
		SerialNumber: serial,
		Subject:      pkix.Name{CommonName: subject.Name, Organization: subject.Groups},
		NotBefore:    now.Add(-time.Minute),
		NotAfter:     now.AddDate(0, 0, days),
		KeyUsage:     x509.KeyUsageKeyEncipherment | x509.KeyUsageDigitalSignature,
	}
	if subject.Client {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageClientAuth)
	}
	if subject.Server {
		template.ExtKeyUsage = append(template.ExtKeyUsage, x509.ExtKeyUsageServerAuth)
	}
	for _, host := range subject.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			template.IPAddresses = append(template.IPAddresses, ip)
		} else {
			template.DNSNames = append(template.DNSNames, host)
		}
	}
	der, err := x509.CreateCertificate(rand.Reader, template, ca.Cert, public, ca.Key)
	if err != nil {
		return nil, err
	}
	return append(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), ca.PEM...), nil
}

// Write puts a file in place whole, so that a kill at any moment leaves the old content or the new.
func Write(path string, data []byte, mode os.FileMode) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	file, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if _, err := file.Write(data); err != nil {
		file.Close()
		return err
	}
	if err := file.Close(); err != nil {
		return err
	}
	if err := os.Chmod(file.Name(), mode); err != nil {
		return err
	}
	return os.Rename(file.Name(), path)
}
