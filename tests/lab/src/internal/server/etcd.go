// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package server

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	"homelab.test/lab/internal/etcd"
	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/pki"
	"homelab.test/lab/internal/token"
)

// shared are the files that every server of a cluster has the same (k3s-io/k3s pkg/daemons/config/types.go,
// ControlRuntimeBootstrap); a joining server gets them from /v1-k3s/server-bootstrap.
var shared = []string{
	"tls/client-ca.crt", "tls/client-ca.key", "tls/server-ca.crt", "tls/server-ca.key", "tls/request-header-ca.crt", "tls/request-header-ca.key",
	"tls/service.key", "tls/etcd/server-ca.crt", "tls/etcd/server-ca.key", "tls/etcd/peer-ca.crt", "tls/etcd/peer-ca.key",
}

// members is the answer of /db/info (k3s-io/k3s pkg/etcd/etcd.go, Members).
type members struct {
	Members []etcd.Member `json:"members"`
}

// memberAnnotation names a node's etcd member (k3s-io/k3s pkg/etcd/etcd.go, NodeNameAnnotation).
const memberAnnotation = "etcd.k3s.cattle.io/node-name"

// member is embedded etcd as datastore.
type member struct {
	*etcd.Local
	name string
}

func (m member) arguments() map[string]string { return m.Storage() }

func (m member) elects() bool { return true }

func (s *Server) local() *etcd.Local { return &etcd.Local{Dir: s.dir, IP: s.id.IPs[0]} }

// usesEtcd decides as K3s does: data on disk come first, so that cluster-init and server may stay in the configuration
// (k3s-io/k3s pkg/cluster/managed.go, assignManagedDriver).
func (s *Server) usesEtcd() bool {
	return s.local().Exists() || s.Values.Bool("cluster-init") || (s.Values.Get("server") != "" && s.Values.Get("datastore-endpoint") == "")
}

// joinServer fetches what the servers of a cluster share, unless this one is a member already.
func (s *Server) joinServer(text string) error {
	if s.Values.Bool("cluster-reset") || s.Values.Get("cluster-reset-restore-path") != "" {
		return errors.New("cluster-reset is not part of this stand-in")
	}
	if s.usesEtcd() {
		if _, err := os.Stat(filepath.Join(s.dir, "db", "state.db")); err == nil {
			return errors.New("this stand-in does not turn an SQLite datastore into etcd as K3s does")
		}
	}
	url := s.Values.Get("server")
	if url == "" || s.local().Exists() || !s.usesEtcd() {
		return nil
	}
	if text == "" {
		return errors.New("--token is required to join a cluster")
	}
	parsed, err := token.Parse(text)
	if err != nil {
		return err
	}
	access, err := token.Connect(strings.TrimRight(url, "/"), parsed, "server", nil)
	if err != nil {
		return err
	}
	if err := s.sameSettings(access); err != nil {
		return err
	}
	data, err := access.Get("/v1-k3s/server-bootstrap", nil)
	if err != nil {
		return err
	}
	var files map[string][]byte
	if err := json.Unmarshal(data, &files); err != nil {
		return err
	}
	for _, name := range shared {
		content, ok := files[name]
		if !ok {
			return fmt.Errorf("the server to join did not send %s", name)
		}
		if err := pki.Write(filepath.Join(s.dir, name), content, 0o600); err != nil {
			return err
		}
	}
	if data, err = access.Get("/db/info", nil); err != nil {
		return err
	}
	var answer members
	if err := json.Unmarshal(data, &answer); err != nil {
		return err
	}
	s.others = answer.Members
	return nil
}

// sameSettings refuses a server whose settings differ where they must not (k3s-io/k3s pkg/cluster/bootstrap.go).
func (s *Server) sameSettings(access *token.Access) error {
	data, err := access.Get("/v1-k3s/config", nil)
	if err != nil {
		return err
	}
	theirs := s.clusterConfig()
	if err := json.Unmarshal(data, &theirs); err != nil {
		return err
	}
	ours := s.clusterConfig()
	theirs.HTTPSPort = ours.HTTPSPort
	if theirs != ours {
		return fmt.Errorf("critical configuration value mismatch between servers: %+v here, %+v there", ours, theirs)
	}
	return nil
}

// startDatastore starts etcd or kine. Of a joining server it returns when its member votes.
func (s *Server) startDatastore(ctx context.Context) (datastore, error) {
	if !s.usesEtcd() {
		return s.startSQL(ctx)
	}
	local := s.local()
	if err := local.Certificates(s.id.Name); err != nil {
		return nil, err
	}
	exists := local.Exists()
	name, err := local.Name(s.id.Name)
	if err != nil {
		return nil, err
	}
	state, cluster := "new", []string{name + "=" + local.PeerURL()}
	if !exists && len(s.others) > 0 {
		state = "existing"
		if cluster, err = local.Join(ctx, s.others, name); err != nil {
			return nil, err
		}
	}
	args := node.Args(local.Arguments(name, state, cluster), s.Values.List("etcd-arg"))
	logrus.Infof("Running etcd %s", strings.Join(args, " "))
	if err := s.Children.Start("etcd", args, nil); err != nil {
		return nil, err
	}
	voting := make(chan error, 1)
	go func() { voting <- local.WaitVoting(ctx) }()
	select {
	case err := <-voting:
		if err != nil {
			return nil, err
		}
	case err := <-s.Children.Failed():
		return nil, err
	}
	logrus.Info("ETCD server is now running")
	go local.PromoteLearners(ctx)
	return member{local, name}, nil
}

func (s *Server) serveBootstrap(w http.ResponseWriter, _ *http.Request) {
	if !s.usesEtcd() {
		fail(w, http.StatusBadRequest, "etcd disabled")
		return
	}
	files := map[string][]byte{}
	for _, name := range shared {
		content, err := os.ReadFile(filepath.Join(s.dir, name))
		if err != nil {
			fail(w, http.StatusInternalServerError, err.Error())
			return
		}
		files[name] = content
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(files)
}

func (s *Server) serveMembers(w http.ResponseWriter, r *http.Request) {
	if !s.usesEtcd() {
		fail(w, http.StatusBadRequest, "etcd disabled")
		return
	}
	list, err := s.local().Members(r.Context())
	if err != nil {
		fail(w, http.StatusServiceUnavailable, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(members{list})
}

// nodeGone removes the etcd member of a deleted node (k3s-io/k3s pkg/etcd/member_controller.go).
func (s *Server) nodeGone(ctx context.Context, gone *core.Node) {
	name := gone.Annotations[memberAnnotation]
	own, isMember := s.store.(member)
	if name == "" || !isMember || own.name == name {
		return
	}
	logrus.Infof("Removing etcd member %s of the deleted node %s", name, gone.Name)
	if err := own.Remove(ctx, name); err != nil {
		logrus.Errorf("etcd member %s: %v", name, err)
	}
}

// markVoter tells on the node object which member it is and that it votes (k3s-io/k3s pkg/etcd/etcd.go, setEtcdStatusCondition).
func (s *Server) markVoter(ctx context.Context, n *core.Node) error {
	own, isMember := s.store.(member)
	if !isMember {
		return nil
	}
	nodes := s.client.CoreV1().Nodes()
	if n.Annotations[memberAnnotation] != own.name {
		patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]string{
			memberAnnotation: own.name, "etcd.k3s.cattle.io/node-address": own.IP,
		}}})
		if err != nil {
			return err
		}
		if _, err := nodes.Patch(ctx, n.Name, types.MergePatchType, patch, meta.PatchOptions{}); err != nil {
			return err
		}
	}
	for _, condition := range n.Status.Conditions {
		if condition.Type == "EtcdIsVoter" && condition.Status == core.ConditionTrue {
			return nil
		}
	}
	now := meta.NewTime(time.Now().UTC().Truncate(time.Second))
	patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []core.NodeCondition{{
		Type: "EtcdIsVoter", Status: core.ConditionTrue, Reason: "MemberNotLearner", Message: "Node is a voting member of the etcd cluster",
		LastHeartbeatTime: now, LastTransitionTime: now,
	}}}})
	if err != nil {
		return err
	}
	_, err = nodes.Patch(ctx, n.Name, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status")
	return err
}
