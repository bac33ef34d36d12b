// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	apiserver "k8s.io/apiserver/pkg/apis/apiserver/v1"

	"homelab.test/lab/internal/pki"
)

const (
	encryptionConfig = "cred/encryption-config.json"
	encryptionState  = "cred/encryption-state.json"
	// encryptionAnnotation tells which configuration a server has (k3s-io/k3s pkg/secretsencrypt/config.go).
	encryptionAnnotation = "k3s.io/encryption-config-hash"
)

// EncryptionStatus is the answer of /v1-k3s/encrypt/status (k3s-io/k3s pkg/server/secrets-encrypt.go, EncryptionState).
type EncryptionStatus struct {
	Stage        string   `json:"stage"`
	ActiveKey    string   `json:"activekey"`
	Enable       *bool    `json:"enable,omitempty"`
	HashMatch    bool     `json:"hashmatch,omitempty"`
	HashError    string   `json:"hasherror,omitempty"`
	InactiveKeys []string `json:"inactivekeys,omitempty"`
}

// encryption writes the API server's encryption configuration where secrets-encryption asks for it and there is none: one
// AES-CBC key, and beside it the state that nodes are annotated with (k3s-io/k3s pkg/daemons/control/deps/deps.go,
// genEncryptionConfigAndState).
func (s *Server) encryption() error {
	path := filepath.Join(s.dir, encryptionConfig)
	if !s.Values.Bool("secrets-encryption") {
		return nil
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	key := make([]byte, 32)
	if _, err := rand.Read(key); err != nil {
		return err
	}
	data, err := json.Marshal(apiserver.EncryptionConfiguration{
		TypeMeta: meta.TypeMeta{Kind: "EncryptionConfiguration", APIVersion: "apiserver.config.k8s.io/v1"},
		Resources: []apiserver.ResourceConfiguration{{
			Resources: []string{"secrets"},
			Providers: []apiserver.ProviderConfiguration{
				{AESCBC: &apiserver.AESConfiguration{Keys: []apiserver.Key{{Name: "aescbckey", Secret: base64.StdEncoding.EncodeToString(key)}}}},
				{Identity: &apiserver.IdentityConfiguration{}},
			},
		}},
	})
	if err != nil {
		return err
	}
	sum := sha256.Sum256(data)
	if err := pki.Write(filepath.Join(s.dir, encryptionState), []byte("start-"+hex.EncodeToString(sum[:])), 0o600); err != nil {
		return err
	}
	return pki.Write(path, data, 0o600)
}

// serveEncryption answers `k3s secrets-encrypt status`.
func (s *Server) serveEncryption(w http.ResponseWriter, r *http.Request) {
	status := EncryptionStatus{}
	data, err := os.ReadFile(filepath.Join(s.dir, encryptionConfig))
	if err == nil {
		status, err = s.encryptionStatus(r, data)
	} else if errors.Is(err, os.ErrNotExist) {
		err = nil
	}
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(status)
}

func (s *Server) encryptionStatus(r *http.Request, data []byte) (EncryptionStatus, error) {
	var status EncryptionStatus
	var config apiserver.EncryptionConfiguration
	if err := json.Unmarshal(data, &config); err != nil {
		return status, err
	}
	enabled := s.Values.Bool("secrets-encryption")
	status.Enable = &enabled
	for _, provider := range config.Resources[0].Providers {
		if provider.AESCBC != nil {
			for _, key := range provider.AESCBC.Keys {
				if status.ActiveKey == "" {
					status.ActiveKey = key.Name
				} else {
					status.InactiveKeys = append(status.InactiveKeys, key.Name)
				}
			}
		}
	}
	if !s.ready.Load() {
		return status, errors.New("runtime core not ready")
	}
	nodes, err := s.client.CoreV1().Nodes().List(r.Context(), meta.ListOptions{LabelSelector: controlPlaneLabel + "=true"})
	if err != nil {
		return status, err
	}
	status.HashMatch = true
	firstName, firstHash := "", ""
	for _, n := range nodes.Items {
		hash, found := n.Annotations[encryptionAnnotation]
		if found && firstName == "" {
			firstName, firstHash = n.Name, hash
		} else if found && hash != firstHash {
			status.HashMatch = false
			status.HashError = fmt.Sprintf("hash does not match between %s and %s", firstName, n.Name)
		}
		if n.Name == s.id.Name {
			status.Stage, _, _ = strings.Cut(hash, "-")
		}
	}
	if status.Stage == "" {
		return status, fmt.Errorf("missing annotation on node %s", s.id.Name)
	}
	return status, nil
}
