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
	"os"
	"path/filepath"
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

const (
	controlPlaneLabel = "node-role.kubernetes.io/control-plane"
	etcdLabel         = "node-role.kubernetes.io/etcd"
	// A node with these finalizers is gone only after a server has cleaned up behind it; the names are those of K3s's handlers
	// (k3s-io/k3s pkg/node/controller.go, pkg/etcd/member_controller.go) behind the prefix of its controller library.
	nodeFinalizer   = "wrangler.cattle.io/node"
	memberFinalizer = "wrangler.cattle.io/managed-etcd-controller"
)

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

// followNodes labels this server's own node, keeps the names of all nodes in cluster DNS, and cleans up behind nodes that are
// deleted (k3s-io/k3s pkg/server/server.go, setNodeLabelsAndAnnotations; pkg/node/controller.go).
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
		AddFunc: func(any) { nudge() }, UpdateFunc: func(any, any) { nudge() }, DeleteFunc: func(any) { nudge() },
	})
	if err != nil {
		logrus.Errorf("nodes: %v", err)
		return
	}
	factory.Start(ctx.Done())
	factory.WaitForCacheSync(ctx.Done())
	s.nodes.Store(&lister)
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
		for _, n := range nodes {
			if failed := s.attend(ctx, n); failed != nil {
				logrus.Debugf("node %s: %v", n.Name, failed)
				time.AfterFunc(time.Second, nudge)
			}
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
	wanted, notes := map[string]string{controlPlaneLabel: "true"}, map[string]string{}
	if own, isMember := s.store.(member); isMember {
		wanted[etcdLabel] = "true"
		notes[memberAnnotation], notes[memberAddressAnnotation] = own.name, own.IP
	}
	if hash, err := os.ReadFile(filepath.Join(s.dir, encryptionState)); err == nil && s.Values.Bool("secrets-encryption") {
		notes[encryptionAnnotation] = string(hash)
	}
	for _, n := range nodes {
		if n.Name != s.id.Name {
			continue
		}
		missing := func(wanted, have map[string]string) {
			for name, value := range wanted {
				if have[name] == value {
					delete(wanted, name)
				}
			}
		}
		missing(wanted, n.Labels)
		missing(notes, n.Annotations)
		if len(wanted)+len(notes) == 0 || n.DeletionTimestamp != nil {
			return nil
		}
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": wanted, "annotations": notes}})
		if err != nil {
			return err
		}
		_, err = s.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, meta.PatchOptions{})
		return err
	}
	return nil
}

// attend gives a node the finalizers and, when it is deleted, cleans up behind it and takes them off. Every server does so
// for all nodes; it is the same for all, and a change by another one in between is told by the object's version.
func (s *Server) attend(ctx context.Context, n *core.Node) error {
	own, isMember := s.store.(member)
	var kept []string
	for _, name := range n.Finalizers {
		if name != nodeFinalizer && name != memberFinalizer {
			kept = append(kept, name)
		}
	}
	if n.DeletionTimestamp == nil {
		if isMember {
			if err := s.removeOnRequest(ctx, own, n); err != nil {
				return err
			}
		}
		kept = append(kept, nodeFinalizer)
		if isMember {
			kept = append(kept, memberFinalizer)
		}
		if len(kept) == len(n.Finalizers) {
			return nil
		}
		return s.setFinalizers(ctx, n, kept)
	}
	if len(kept) == len(n.Finalizers) {
		return nil
	}
	if isMember && n.Labels[etcdLabel] != "" {
		done, err := s.removeMember(ctx, own, n)
		if err != nil || !done {
			return err
		}
	}
	err := s.client.CoreV1().Secrets(meta.NamespaceSystem).Delete(ctx, passwordSecret(n.Name), meta.DeleteOptions{})
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return s.setFinalizers(ctx, n, kept)
}

func (s *Server) setFinalizers(ctx context.Context, n *core.Node, names []string) error {
	if names == nil {
		names = []string{}
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"finalizers": names, "resourceVersion": n.ResourceVersion}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, meta.PatchOptions{})
	if apierrors.IsNotFound(err) || apierrors.IsConflict(err) {
		return nil
	}
	return err
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
