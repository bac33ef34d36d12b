// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package token reads, checks and writes K3s's join tokens (k3s-io/k3s pkg/clientaccess/token.go).
package token

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"
)

const prefix = "K10"

// bootstrap is the form of kubeadm's tokens (k8s.io/cluster-bootstrap/token/api, BootstrapTokenPattern).
var bootstrap = regexp.MustCompile(`^([a-z0-9]{6})\.([a-z0-9]{16})$`)

// Token is a parsed join token: user and secret, or a bootstrap token, and the hash of the CA when the token carries it.
type Token struct {
	CAHash    string
	User      string
	Secret    string
	Bootstrap string
}

// Parse reads a full token (K10<hash>::<user>:<secret> or K10<hash>::<id>.<secret>) or a short one (the secret alone).
func Parse(text string) (Token, error) {
	var t Token
	if text == "" {
		return t, errors.New("token must not be empty")
	}
	if !strings.HasPrefix(text, prefix) {
		if bootstrap.MatchString(text) {
			return Token{Bootstrap: text}, nil
		}
		return Token{Secret: text}, nil
	}
	rest := strings.TrimPrefix(text, prefix)
	if hash, creds, found := strings.Cut(rest, "::"); found {
		if hash != "" && len(hash) != 2*sha256.Size {
			return t, errors.New("invalid token CA hash length")
		}
		t.CAHash, rest = hash, creds
	}
	if bootstrap.MatchString(rest) {
		t.Bootstrap = rest
		return t, nil
	}
	user, secret, found := strings.Cut(rest, ":")
	if !found || secret == "" {
		return t, errors.New("invalid token format")
	}
	t.User, t.Secret = user, secret
	return t, nil
}

// Format writes a full token for a user and the PEM of the cluster's CA.
func Format(user, secret string, ca []byte) string {
	return prefix + HashCA(ca) + "::" + user + ":" + secret
}

// HashCA is the hash that a full token carries: of the file for a single certificate, of the root's DER for a bundle.
func HashCA(ca []byte) string {
	hashed := ca
	var certs []*x509.Certificate
	for rest := ca; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		if cert, err := x509.ParseCertificate(block.Bytes); err == nil {
			certs = append(certs, cert)
		}
	}
	if len(certs) > 1 {
		hashed = certs[len(certs)-1].Raw
	}
	sum := sha256.Sum256(hashed)
	return hex.EncodeToString(sum[:])
}

// Access is a server that a token was checked against.
type Access struct {
	URL    string
	CA     []byte
	Token  Token
	client *http.Client
}

// Connect downloads the server's CA, checks it against the token's hash, and prepares authenticated requests.
//
// user replaces the token's user when not empty: agents always come as "node" (k3s-io/k3s pkg/agent/run.go).
// certificate, when not nil, is shown to the server, so that a node stays welcome after its token was rotated.
func Connect(server string, t Token, user string, certificate *tls.Certificate) (*Access, error) {
	parsed, err := url.Parse(server)
	if err != nil {
		return nil, fmt.Errorf("Invalid server url, failed to parse: %s: %w", server, err)
	}
	if parsed.Scheme != "https" {
		return nil, fmt.Errorf("only https:// URLs are supported, invalid scheme: %s", server)
	}
	if user != "" {
		t.User = user
	}
	base := strings.TrimRight(parsed.String(), "/")
	blind := &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	a := &Access{URL: base, Token: t, client: blind}
	ca, err := a.plain("/cacerts")
	if err != nil {
		return nil, fmt.Errorf("failed to get CA certs: %w", err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(ca)
	config := &tls.Config{RootCAs: roots}
	if certificate != nil {
		config.Certificates = []tls.Certificate{*certificate}
	}
	a.CA = ca
	a.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: config}}
	if _, err := a.plain("/cacerts"); err != nil {
		return nil, fmt.Errorf("CA cert validation failed: %w", err)
	}
	if t.CAHash != "" {
		if got := HashCA(ca); got != t.CAHash {
			return nil, fmt.Errorf("token CA hash does not match the Cluster CA certificate hash: %s != %s", t.CAHash, got)
		}
	}
	return a, nil
}

func (a *Access) plain(path string) ([]byte, error) {
	return a.do(http.MethodGet, path, nil, nil, false)
}

// Get fetches a path with the token's credentials. The error of a refusal is "<url>: <status>".
func (a *Access) Get(path string, header http.Header) ([]byte, error) {
	return a.do(http.MethodGet, path, nil, header, true)
}

// Send sends a body to a path with the token's credentials.
func (a *Access) Send(method, path string, body []byte, header http.Header) ([]byte, error) {
	return a.do(method, path, body, header, true)
}

func (a *Access) do(method, path string, body []byte, header http.Header, authenticated bool) ([]byte, error) {
	request, err := http.NewRequest(method, a.URL+path, strings.NewReader(string(body)))
	if err != nil {
		return nil, err
	}
	for name, values := range header {
		request.Header[name] = values
	}
	if authenticated && a.Token.Bootstrap != "" {
		request.Header.Set("Authorization", "Bearer "+a.Token.Bootstrap)
	} else if authenticated && a.Token.Secret != "" {
		request.SetBasicAuth(a.Token.User, a.Token.Secret)
	}
	response, err := a.client.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	if response.StatusCode < 200 || response.StatusCode > 299 {
		detail := ""
		if method != http.MethodGet {
			detail = " " + string(answer)
		}
		return nil, &Refused{Status: response.StatusCode, text: fmt.Sprintf("%s: %s%s", a.URL+path, response.Status, detail)}
	}
	return answer, err
}

// Refused is an answer of the server other than 2xx.
type Refused struct {
	Status int
	text   string
}

func (r *Refused) Error() string { return r.text }
