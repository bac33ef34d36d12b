// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"bytes"
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	kine "github.com/k3s-io/kine/pkg/client"
	"github.com/sirupsen/logrus"

	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/pki"
)

// shared are the files that every server of a cluster has the same (k3s-io/k3s pkg/daemons/config/types.go,
// ControlRuntimeBootstrap). A joining server gets them from /v1-k3s/server-bootstrap, one over an external datastore from
// there. K3s adds cred/passwd, which each server writes from its own settings here.
var shared = []string{
	"tls/client-ca.crt", "tls/client-ca.key", "tls/server-ca.crt", "tls/server-ca.key", "tls/request-header-ca.crt", "tls/request-header-ca.key",
	"tls/service.key", "tls/etcd/server-ca.crt", "tls/etcd/server-ca.key", "tls/etcd/peer-ca.crt", "tls/etcd/peer-ca.key",
	encryptionConfig, encryptionState,
}

// sharedFile is one of them as it travels: with the time of its last change, which tells who has the newer one.
type sharedFile struct {
	Timestamp time.Time
	Content   []byte
}

const (
	bootstrapPrefix = "/bootstrap"
	// clockSkew is how many seconds a file on disk may be newer than the datastore's (k3s-io/k3s pkg/cluster/bootstrap.go).
	clockSkew = 3
	// lockAttempts is how many seconds a server waits for another one that has locked the bootstrap data without writing it.
	lockAttempts = 5
)

// errOtherToken is K3s's word for a token that is not the cluster's (k3s-io/k3s pkg/cluster/storage.go).
var errOtherToken = errors.New("bootstrap data already found and encrypted with different token")

// bootstrapKey is where the datastore keeps the shared files, encrypted with a token (k3s-io/k3s pkg/cluster/encrypt.go).
func bootstrapKey(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return bootstrapPrefix + "/" + hex.EncodeToString(sum[:])[:12]
}

func gcm(secret, salt string) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha1.New, secret, []byte(salt), 4096, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

// seal encrypts with a token in K3s's form: salt, colon, base64 of nonce and ciphertext (k3s-io/k3s pkg/cluster/encrypt.go).
func seal(secret string, plain []byte) ([]byte, error) {
	salt := node.Random(8)
	aead, err := gcm(secret, salt)
	if err != nil {
		return nil, err
	}
	nonce := make([]byte, aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return []byte(salt + ":" + base64.StdEncoding.EncodeToString(aead.Seal(nonce, nonce, plain, nil))), nil
}

// unseal decrypts what seal made.
func unseal(secret string, sealed []byte) ([]byte, error) {
	salt, text, found := strings.Cut(string(sealed), ":")
	if !found {
		return nil, errors.New("bootstrap data has an unknown form")
	}
	data, err := base64.StdEncoding.DecodeString(text)
	if err != nil {
		return nil, err
	}
	aead, err := gcm(secret, salt)
	if err != nil {
		return nil, err
	}
	if len(data) < aead.NonceSize() {
		return nil, errors.New("bootstrap data is too short")
	}
	return aead.Open(nil, data[:aead.NonceSize()], data[aead.NonceSize():], nil)
}

// readShared collects the shared files that this server has.
func (s *Server) readShared() (map[string]sharedFile, error) {
	files := map[string]sharedFile{}
	for _, name := range shared {
		path := filepath.Join(s.dir, name)
		content, err := os.ReadFile(path)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		files[name] = sharedFile{info.ModTime(), content}
	}
	return files, nil
}

// reconcile writes the cluster's shared files to this server's disk. Files there that are others and newer stop the start:
// they are of another cluster (k3s-io/k3s pkg/cluster/bootstrap.go, ReconcileBootstrapData).
func (s *Server) reconcile(data []byte) error {
	var files map[string]sharedFile
	if err := json.Unmarshal(data, &files); err != nil {
		return err
	}
	empty := false
	for _, folder := range []string{"cred", "tls", "tls/etcd"} {
		entries, err := os.ReadDir(filepath.Join(s.dir, folder))
		empty = empty || err != nil || len(entries) == 0
	}
	var newer []string
	for _, name := range shared {
		file, sent := files[name]
		path := filepath.Join(s.dir, name)
		have, err := os.ReadFile(path)
		if !sent || (err == nil && bytes.Equal(have, file.Content)) {
			continue
		}
		if info, err := os.Stat(path); !empty && err == nil && info.ModTime().Unix()-file.Timestamp.Unix() >= clockSkew {
			newer = append(newer, path)
		}
	}
	if len(newer) > 0 {
		return errors.New(strings.Join(newer, ", ") + " newer than datastore and could cause a cluster outage. " +
			"Remove the file(s) from disk and restart to be recreated from datastore.")
	}
	for _, name := range shared {
		file, sent := files[name]
		path := filepath.Join(s.dir, name)
		if have, err := os.ReadFile(path); !sent || (err == nil && bytes.Equal(have, file.Content)) {
			continue
		}
		if err := pki.Write(path, file.Content, 0o600); err != nil {
			return err
		}
		if err := os.Chtimes(path, file.Timestamp, file.Timestamp); err != nil {
			return err
		}
	}
	return nil
}

// loadBootstrap takes the shared files from the datastore. Where there are none it locks their place, so that of several
// servers that start at once over an empty datastore one makes them (k3s-io/k3s pkg/cluster/storage.go, storageBootstrap).
// secret is empty at the first start of a server that was given no token.
func (s *Server) loadBootstrap(ctx context.Context, secret string) error {
	client, err := kine.New(s.store.access())
	if err != nil {
		return err
	}
	defer client.Close()
	for attempt := 1; ; attempt++ {
		found, err := s.bootstrapData(ctx, client, secret)
		if err != nil {
			return err
		}
		switch {
		case found == nil && secret == "":
			return nil
		case found == nil:
			if err := client.Create(ctx, bootstrapKey(secret), nil); err == nil {
				return nil
			} else if err.Error() != "key exists" {
				return err
			}
		case len(found.Data) > 0:
			data, err := unseal(secret, found.Data)
			if err != nil {
				return err
			}
			return s.reconcile(data)
		case attempt%lockAttempts == 0:
			logrus.Info("Bootstrap key lock timed out - deleting lock and retrying")
			if err := client.Delete(ctx, string(found.Key), found.Modified); err != nil {
				return err
			}
			continue
		}
		logrus.Info("Bootstrap key is locked - waiting for data to be populated by another server")
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Second):
		}
	}
}

// bootstrapData is what the datastore has under a token's key, nil when it has none for any token.
func (s *Server) bootstrapData(ctx context.Context, client kine.Client, secret string) (*kine.Value, error) {
	limited, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	all, err := client.List(limited, bootstrapPrefix, 0)
	if err != nil {
		return nil, fmt.Errorf("bootstrap data: %w", err)
	}
	at := slices.IndexFunc(all, func(value kine.Value) bool { return string(value.Key) == bootstrapKey(secret) })
	switch {
	case len(all) == 0:
		return nil, nil
	case at < 0:
		return nil, errOtherToken
	}
	return &all[at], nil
}

// saveBootstrap puts the shared files into the datastore, unless they are there (k3s-io/k3s pkg/cluster/storage.go, Save).
func (s *Server) saveBootstrap(ctx context.Context, secret string) error {
	client, err := kine.New(s.store.access())
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := s.bootstrapData(ctx, client, secret)
	if err != nil || (found != nil && len(found.Data) > 0) {
		return err
	}
	files, err := s.readShared()
	if err != nil {
		return err
	}
	plain, err := json.Marshal(files)
	if err != nil {
		return err
	}
	data, err := seal(secret, plain)
	if err != nil {
		return err
	}
	logrus.Info("Saving cluster bootstrap data to datastore")
	if found == nil {
		return client.Create(ctx, bootstrapKey(secret), data)
	}
	return client.Update(ctx, bootstrapKey(secret), found.Modified, data)
}

// rekeyBootstrap encrypts the datastore's shared files with a new token (k3s-io/k3s pkg/cluster/storage.go, doMigrateToken).
func (s *Server) rekeyBootstrap(ctx context.Context, old, fresh string) error {
	if old == fresh {
		return nil
	}
	client, err := kine.New(s.store.access())
	if err != nil {
		return err
	}
	defer client.Close()
	found, err := s.bootstrapData(ctx, client, old)
	if err != nil {
		return err
	}
	if found == nil {
		return errors.New("no bootstrap data found")
	}
	plain, err := unseal(old, found.Data)
	if err != nil {
		return err
	}
	data, err := seal(fresh, plain)
	if err != nil {
		return err
	}
	if err := client.Create(ctx, bootstrapKey(fresh), data); err != nil {
		return err
	}
	return client.Delete(ctx, string(found.Key), found.Modified)
}
