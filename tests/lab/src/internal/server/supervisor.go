// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httputil"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/sys/unix"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"

	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/pki"
)

// user is who a request comes from.
type user struct {
	name   string
	groups []string
}

// listen serves the supervisor on the port that clients know: its own paths, and everything else from the API server, which
// is a process behind it here and a handler in the same process in K3s (k3s-io/k3s pkg/server/handlers/router.go).
func (s *Server) listen(ctx context.Context) error {
	base := filepath.Join(s.dir, "tls", "serving-kube-apiserver")
	certificate, err := tls.LoadX509KeyPair(base+".crt", base+".key")
	if err != nil {
		return err
	}
	api, err := s.proxy()
	if err != nil {
		return err
	}
	shared := net.ListenConfig{Control: func(_, _ string, connection syscall.RawConn) error {
		var failed error
		err := connection.Control(func(fd uintptr) { failed = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1) })
		return errors.Join(err, failed)
	}}
	listener, err := shared.Listen(ctx, "tcp4", net.JoinHostPort(s.Values.Get("bind-address"), s.port))
	if err != nil {
		return err
	}
	server := &http.Server{
		Handler:   s.router(api),
		ErrorLog:  log.New(io.Discard, "", 0),
		TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert, MinVersion: tls.VersionTLS12},
	}
	go func() {
		if err := server.ServeTLS(notForAPI{listener}, "", ""); err != nil && !errors.Is(err, http.ErrServerClosed) {
			logrus.Fatalf("supervisor: %v", err)
		}
	}()
	go func() {
		<-ctx.Done()
		time.Sleep(time.Second) // the components say goodbye through it
		server.Close()
	}()
	return nil
}

// notForAPI closes connections to the API server's own address: they come here while it does not listen yet.
type notForAPI struct{ net.Listener }

func (l notForAPI) Accept() (net.Conn, error) {
	for {
		connection, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		if local, ok := connection.LocalAddr().(*net.TCPAddr); !ok || local.IP.String() != apiAddress {
			return connection, nil
		}
		connection.Close()
	}
}

func (s *Server) router(api http.Handler) http.Handler {
	agents := []string{"k3s:agent", "k3s:server", "system:nodes", "system:bootstrappers:k3s:default-node-token"}
	mux := http.NewServeMux()
	mux.HandleFunc("/ping", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		fmt.Fprint(w, "pong")
	})
	mux.HandleFunc("/cacerts", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain")
		w.Write(s.serverCA.PEM)
	})
	mux.Handle("/v1-k3s/config", s.need(agents, s.serveConfig))
	mux.Handle("/v1-k3s/readyz", s.need(agents, s.serveReady))
	mux.Handle("/v1-k3s/apiservers", s.need(agents, s.serveAPIServers))
	mux.Handle("/v1-k3s/client-ca.crt", s.need(agents, func(w http.ResponseWriter, _ *http.Request) { w.Write(s.clientCA.PEM) }))
	mux.Handle("/v1-k3s/server-ca.crt", s.need(agents, func(w http.ResponseWriter, _ *http.Request) { w.Write(s.serverCA.PEM) }))
	mux.Handle("/v1-k3s/serving-kubelet.crt", s.need(agents, s.asNode(func(r *http.Request, name string) (pki.Subject, *pki.Pair) {
		hosts := []string{name, "localhost", "127.0.0.1"}
		for _, ip := range strings.Split(r.Header.Get("K3s-Node-Ip"), ",") {
			if net.ParseIP(ip) != nil {
				hosts = append(hosts, ip)
			}
		}
		return pki.Subject{Name: name, Hosts: hosts, Server: true}, s.serverCA
	})))
	mux.Handle("/v1-k3s/client-kubelet.crt", s.need(agents, s.asNode(func(_ *http.Request, name string) (pki.Subject, *pki.Pair) {
		return pki.Subject{Name: "system:node:" + name, Groups: []string{"system:nodes"}, Client: true}, s.clientCA
	})))
	mux.Handle("/v1-k3s/client-kube-proxy.crt", s.need(agents, func(w http.ResponseWriter, r *http.Request) {
		s.sign(w, r, pki.Subject{Name: "system:kube-proxy", Client: true}, s.clientCA)
	}))
	mux.Handle("/v1-k3s/client-k3s-controller.crt", s.need(agents, func(w http.ResponseWriter, r *http.Request) {
		s.sign(w, r, pki.Subject{Name: "system:k3s-controller", Client: true}, s.clientCA)
	}))
	mux.Handle("/v1-k3s/server-bootstrap", s.need([]string{"k3s:server"}, s.serveBootstrap))
	mux.Handle("/db/info", s.need([]string{"k3s:server"}, s.serveMembers))
	mux.Handle("/v1-k3s/token", s.need([]string{"k3s:server"}, s.serveToken))
	mux.Handle("/v1-k3s/encrypt/status", s.need([]string{"k3s:server"}, s.serveEncryption))
	mux.Handle("/", api)
	return mux
}

// proxy passes requests to the API server. A caller with a client certificate is named in the request headers that the API
// server trusts from the front proxy's own certificate; every other credential goes through untouched.
func (s *Server) proxy() (http.Handler, error) {
	base := filepath.Join(s.dir, "tls", "client-auth-proxy")
	certificate, err := tls.LoadX509KeyPair(base+".crt", base+".key")
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.serverCA.Cert)
	transport := func(certificates ...tls.Certificate) *http.Transport {
		return &http.Transport{
			TLSClientConfig:     &tls.Config{RootCAs: roots, ServerName: "localhost", Certificates: certificates},
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     time.Minute,
		}
	}
	forward := func(transport *http.Transport) *httputil.ReverseProxy {
		return &httputil.ReverseProxy{
			Transport:     transport,
			FlushInterval: -1,
			ErrorLog:      log.New(io.Discard, "", 0),
			Rewrite: func(r *httputil.ProxyRequest) {
				r.Out.URL.Scheme, r.Out.URL.Host = "https", s.api
				for name := range r.Out.Header {
					if strings.HasPrefix(name, "X-Remote-") {
						r.Out.Header.Del(name)
					}
				}
				if who := s.fromCertificate(r.In); who != nil {
					r.Out.Header.Set("X-Remote-User", who.name)
					r.Out.Header["X-Remote-Group"] = who.groups
				}
			},
			ErrorHandler: func(w http.ResponseWriter, _ *http.Request, _ error) {
				fail(w, http.StatusServiceUnavailable, "apiserver not ready")
			},
		}
	}
	named, plain := forward(transport(certificate)), forward(transport())
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.fromCertificate(r) != nil {
			named.ServeHTTP(w, r)
		} else {
			plain.ServeHTTP(w, r)
		}
	}), nil
}

func (s *Server) fromCertificate(r *http.Request) *user {
	if r.TLS == nil || len(r.TLS.PeerCertificates) == 0 {
		return nil
	}
	roots := x509.NewCertPool()
	roots.AddCert(s.clientCA.Cert)
	leaf := r.TLS.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return nil
	}
	return &user{leaf.Subject.CommonName, leaf.Subject.Organization}
}

// identify knows a caller by certificate, by one of the two users with their secrets, or by a bootstrap token.
func (s *Server) identify(r *http.Request) *user {
	if who := s.fromCertificate(r); who != nil {
		return who
	}
	if name, secret, ok := r.BasicAuth(); ok {
		if want := s.passwords.secretOf(name); want != "" && equal(want, secret) {
			return &user{name, []string{groupsOf[name]}}
		}
		return nil
	}
	if bearer, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer "); ok && s.ready.Load() {
		return s.bootstrapUser(r.Context(), bearer)
	}
	return nil
}

func (s *Server) need(groups []string, handler http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		who := s.identify(r)
		if who == nil {
			fail(w, http.StatusUnauthorized, "Unauthorized")
			return
		}
		for _, group := range who.groups {
			if slices.Contains(groups, group) {
				handler(w, r)
				return
			}
		}
		fail(w, http.StatusForbidden, "Forbidden")
	})
}

// fail answers with a Status object, as K3s does (k3s-io/k3s pkg/util/apierrors.go, SendError).
func fail(w http.ResponseWriter, code int, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	reason := strings.ReplaceAll(http.StatusText(code), " ", "")
	_ = json.NewEncoder(w).Encode(map[string]any{
		"kind": "Status", "apiVersion": "v1", "metadata": map[string]any{}, "status": "Failure", "message": message, "reason": reason, "code": code,
	})
}

func (s *Server) serveConfig(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(s.clusterConfig())
}

func (s *Server) serveReady(w http.ResponseWriter, _ *http.Request) {
	if !s.ready.Load() {
		fail(w, http.StatusServiceUnavailable, "runtime core not ready")
		return
	}
	w.Header().Set("Content-Type", "text/plain")
	fmt.Fprint(w, "ok")
}

func (s *Server) serveAPIServers(w http.ResponseWriter, r *http.Request) {
	addresses := []string{}
	if s.ready.Load() {
		slices, err := s.client.DiscoveryV1().EndpointSlices(meta.NamespaceDefault).List(r.Context(), meta.ListOptions{LabelSelector: "kubernetes.io/service-name=kubernetes"})
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		for _, slice := range slices.Items {
			for _, endpoint := range slice.Endpoints {
				for _, port := range slice.Ports {
					for _, address := range endpoint.Addresses {
						addresses = append(addresses, fmt.Sprintf("%s:%d", address, *port.Port))
					}
				}
			}
		}
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(addresses)
}

// asNode lets a caller have the certificate of the node whose password it knows. The server's own node is checked against
// the file while the API is not up yet (k3s-io/k3s pkg/nodepassword/validate.go).
func (s *Server) asNode(subject func(*http.Request, string) (pki.Subject, *pki.Pair)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		name, password := strings.ToLower(r.Header.Get("K3s-Node-Name")), r.Header.Get("K3s-Node-Password")
		if name == "" || password == "" {
			fail(w, http.StatusBadRequest, "node name or password not set")
			return
		}
		if who := s.identify(r); who != nil && strings.HasPrefix(who.name, "system:node:") && who.name != "system:node:"+name {
			fail(w, http.StatusBadRequest, "header node name does not match auth node name")
			return
		}
		if !s.ready.Load() {
			own, err := node.Password()
			if name != s.id.Name || err != nil || !equal(own, password) {
				fail(w, http.StatusServiceUnavailable, "runtime core not ready")
				return
			}
		} else if err := s.ensureNodePassword(r.Context(), name, password); err != nil {
			code := http.StatusForbidden
			if apierrors.IsServerTimeout(err) || apierrors.IsTimeout(err) || apierrors.IsServiceUnavailable(err) {
				code = http.StatusServiceUnavailable
			}
			logrus.Errorf("%s: %v", r.URL.Path, err)
			fail(w, code, err.Error())
			return
		}
		sub, ca := subject(r, name)
		s.sign(w, r, sub, ca)
	}
}

// sign answers a signing request of the caller's key; the certificate's content is the server's choice.
func (s *Server) sign(w http.ResponseWriter, r *http.Request, subject pki.Subject, ca *pki.Pair) {
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<16))
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	request, err := x509.ParseCertificateRequest(body)
	if err == nil {
		err = request.CheckSignature()
	}
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	data, err := pki.Sign(subject, request.PublicKey, ca)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Write(data)
}

// serveToken changes the cluster's token (k3s-io/k3s pkg/server/handlers/token.go): PUT {"newToken": secret}.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	var body struct {
		NewToken *string `json:"newToken"`
	}
	if r.Method != http.MethodPut {
		fail(w, http.StatusMethodNotAllowed, "method not allowed")
		return
	}
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil || body.NewToken == nil || *body.NewToken == "" {
		fail(w, http.StatusBadRequest, "newToken must be set")
		return
	}
	if err := s.rotate(r.Context(), *body.NewToken); err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.WriteHeader(http.StatusOK)
}

func (s *Server) rotate(ctx context.Context, secret string) error {
	old := s.passwords.secretOf("server")
	agentSecret := s.passwords.secretOf("node")
	if agentSecret == old {
		agentSecret = secret
	}
	if err := s.rekeyBootstrap(ctx, old, secret); err != nil {
		return err
	}
	if err := s.passwords.set(secret, agentSecret); err != nil {
		return err
	}
	return s.writeTokens(secret, agentSecret)
}
