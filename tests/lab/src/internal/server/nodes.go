// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"context"
	"crypto/rand"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	"golang.org/x/crypto/scrypt"
	core "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/tools/cache"
)

// Parameters of K3s's password hash, written "$1:<salt>:<log2 N>:<r>:<p>:<hash>" (k3s-io/k3s pkg/authenticator/hash/scrypt.go).
const (
	hashVersion = 1
	hashN       = 15
	hashR       = 8
	hashP       = 1
	hashLength  = 64
)

func equal(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }

func createHash(password string) (string, error) {
	salt := make([]byte, 8)
	if _, err := rand.Read(salt); err != nil {
		return "", err
	}
	return hashWith(password, salt)
}

func hashWith(password string, salt []byte) (string, error) {
	hash, err := scrypt.Key([]byte(password), salt, 1<<hashN, hashR, hashP, hashLength)
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("$%d:%x:%d:%d:%d:%s", hashVersion, salt, hashN, hashR, hashP, base64.RawStdEncoding.EncodeToString(hash)), nil
}

func verifyHash(hash, password string) error {
	fields := strings.Split(hash, ":")
	if len(fields) != 6 {
		return errors.New("hash has an unknown form")
	}
	salt, err := hex.DecodeString(fields[1])
	if err != nil {
		return err
	}
	again, err := hashWith(password, salt)
	if err != nil {
		return err
	}
	if !equal(again, hash) {
		return errors.New("hash does not match")
	}
	return nil
}

func passwordSecret(name string) string { return name + ".node-password.k3s" }

// ensureNodePassword checks a node's password against its Secret, made when absent (k3s-io/k3s pkg/nodepassword/nodepassword.go).
func (s *Server) ensureNodePassword(ctx context.Context, name, password string) error {
	secrets := s.client.CoreV1().Secrets(meta.NamespaceSystem)
	secret, err := secrets.Get(ctx, passwordSecret(name), meta.GetOptions{})
	if err == nil {
		if err := verifyHash(string(secret.Data["hash"]), password); err != nil {
			return fmt.Errorf("unable to verify password for node %s: %w", name, err)
		}
		return nil
	}
	if !apierrors.IsNotFound(err) {
		return err
	}
	hash, err := createHash(password)
	if err != nil {
		return err
	}
	immutable := true
	_, err = secrets.Create(ctx, &core.Secret{
		ObjectMeta: meta.ObjectMeta{Name: passwordSecret(name), Namespace: meta.NamespaceSystem},
		Immutable:  &immutable,
		Data:       map[string][]byte{"hash": []byte(hash)},
	}, meta.CreateOptions{})
	if apierrors.IsAlreadyExists(err) {
		return s.ensureNodePassword(ctx, name, password)
	}
	return err
}

// bootstrapUser knows the tokens that `k3s token create` makes: Secrets of kubeadm's form in kube-system.
func (s *Server) bootstrapUser(ctx context.Context, bearer string) *user {
	id, secretPart, found := strings.Cut(bearer, ".")
	if !found {
		return nil
	}
	secret, err := s.client.CoreV1().Secrets(meta.NamespaceSystem).Get(ctx, "bootstrap-token-"+id, meta.GetOptions{})
	if err != nil || secret.Type != core.SecretTypeBootstrapToken || !equal(string(secret.Data["token-secret"]), secretPart) {
		return nil
	}
	if text := string(secret.Data["expiration"]); text != "" {
		if end, err := time.Parse(time.RFC3339, text); err != nil || time.Now().After(end) {
			return nil
		}
	}
	return &user{"system:bootstrap:" + id, strings.Split(string(secret.Data["auth-extra-groups"]), ",")}
}

// followNodes labels this server's own node, keeps the names of all nodes in cluster DNS, and forgets the password of a
// deleted node (k3s-io/k3s pkg/server/server.go, setNodeLabelsAndAnnotations; pkg/node/controller.go).
func (s *Server) followNodes(ctx context.Context, dns bool) {
	factory := informers.NewSharedInformerFactory(s.client, 0)
	lister := factory.Core().V1().Nodes().Lister()
	wake := make(chan struct{}, 1)
	nudge := func() {
		select {
		case wake <- struct{}{}:
		default:
		}
	}
	_, err := factory.Core().V1().Nodes().Informer().AddEventHandler(cache.ResourceEventHandlerFuncs{
		AddFunc: func(any) { nudge() }, UpdateFunc: func(any, any) { nudge() },
		DeleteFunc: func(object any) {
			if tombstone, ok := object.(cache.DeletedFinalStateUnknown); ok {
				object = tombstone.Obj
			}
			if gone, ok := object.(*core.Node); ok {
				err := s.client.CoreV1().Secrets(meta.NamespaceSystem).Delete(ctx, passwordSecret(gone.Name), meta.DeleteOptions{})
				if err != nil && !apierrors.IsNotFound(err) {
					logrus.Errorf("node password of %s: %v", gone.Name, err)
				}
				s.nodeGone(ctx, gone)
			}
			nudge()
		},
	})
	if err != nil {
		logrus.Errorf("nodes: %v", err)
		return
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	hosts := "unknown"
	for {
		select {
		case <-ctx.Done():
			return
		case <-wake:
		}
		nodes, err := lister.List(labels.Everything())
		if err == nil {
			err = s.labelOwn(ctx, nodes)
		}
		if now := nodeHosts(nodes); err == nil && dns && now != hosts {
			if err = s.publishHosts(ctx, now); err == nil {
				hosts = now
			}
		}
		if err != nil {
			logrus.Debugf("nodes: %v", err)
			time.AfterFunc(time.Second, nudge)
		}
	}
}

func (s *Server) labelOwn(ctx context.Context, nodes []*core.Node) error {
	wanted := map[string]string{"node-role.kubernetes.io/control-plane": "true"}
	if s.usesEtcd() {
		wanted["node-role.kubernetes.io/etcd"] = "true"
	}
	for _, n := range nodes {
		if n.Name != s.id.Name {
			continue
		}
		if err := s.markVoter(ctx, n); err != nil {
			return err
		}
		for name, value := range wanted {
			if n.Labels[name] == value {
				delete(wanted, name)
			}
		}
		if len(wanted) == 0 {
			return nil
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": wanted}})
		if err != nil {
			return err
		}
		_, err = s.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, meta.PatchOptions{})
		return err
	}
	return nil
}

// nodeHosts are lines for /etc/hosts in cluster DNS, one address and name each.
func nodeHosts(nodes []*core.Node) string {
	var lines []string
	for _, n := range nodes {
		for _, address := range n.Status.Addresses {
			if address.Type == core.NodeInternalIP {
				lines = append(lines, address.Address+" "+n.Name+"\n")
			}
		}
	}
	sort.Strings(lines)
	return strings.Join(lines, "")
}

func (s *Server) publishHosts(ctx context.Context, hosts string) error {
	patch, err := json.Marshal(map[string]any{"data": map[string]string{"NodeHosts": hosts}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().ConfigMaps(meta.NamespaceSystem).Patch(ctx, "coredns", types.MergePatchType, patch, meta.PatchOptions{})
	return err
}
