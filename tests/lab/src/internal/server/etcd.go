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
	"reflect"
	"slices"
	"strings"
	"time"

	kineclient "github.com/k3s-io/kine/pkg/client"
	kine "github.com/k3s-io/kine/pkg/endpoint"
	"github.com/sirupsen/logrus"
	clientv3 "go.etcd.io/etcd/client/v3"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"

	"homelab.test/lab/internal/agent"
	"homelab.test/lab/internal/etcd"
	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/token"
)

// Annotations of a node: its etcd member (k3s-io/k3s pkg/etcd/etcd.go, NodeNameAnnotation and NodeAddressAnnotation), the wish
// to take the member out of the cluster, and that it was done (pkg/etcd/member_controller.go).
const (
	memberAnnotation        = "etcd.k3s.cattle.io/node-name"
	memberAddressAnnotation = "etcd.k3s.cattle.io/node-address"
	removalAnnotation       = "etcd.k3s.cattle.io/remove"
	removedAnnotation       = "etcd.k3s.cattle.io/removed-node-name"
)

// members is the answer of /db/info (k3s-io/k3s pkg/etcd/etcd.go, Members).
type members struct {
	Members []etcd.Member `json:"members"`
}

const (
	manageInterval = 2 * time.Second
	// publishWait is how long a new member may take until it votes. One whose first words to the cluster came back to it inside
	// the leader's snapshot waits 15 seconds for an answer that does not come, with the timeouts that K3s gives etcd; here it is
	// started anew.
	publishWait = 5 * time.Second
	// conditionInterval is how often members are asked how they are (k3s-io/k3s pkg/etcd/etcd.go, manageTickerTime).
	conditionInterval = 15 * time.Second
	// stallTime is how long a learner may make no progress before it is removed (same file, learnerMaxStallTime).
	stallTime = 5 * time.Minute
)

// member is embedded etcd as datastore.
type member struct {
	*etcd.Local
	name string
}

func (m member) arguments() map[string]string { return m.Storage() }

func (m member) access() kine.ETCDConfig { return m.Access() }

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
	url := s.Values.Get("server")
	if url == "" || s.local().Exists() {
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
		return fmt.Errorf("failed to validate token: %w", err)
	}
	if err := s.sameSettings(access); err != nil {
		return fmt.Errorf("failed to validate server configuration: %w", err)
	}
	data, err := access.Get("/v1-k3s/server-bootstrap", nil)
	if err != nil {
		return err
	}
	if err := s.reconcile(data); err != nil {
		return err
	}
	s.joining = access
	return nil
}

// clusterMembers asks the server to join for its etcd members.
func (s *Server) clusterMembers() ([]etcd.Member, error) {
	data, err := s.joining.Get("/db/info", nil)
	if err != nil {
		return nil, fmt.Errorf("failed to get MemberList from server: %w", err)
	}
	var answer members
	err = json.Unmarshal(data, &answer)
	return answer.Members, err
}

// sameSettings refuses a server whose settings differ where they must not (k3s-io/k3s pkg/cluster/bootstrap.go, compareConfig).
func (s *Server) sameSettings(access *token.Access) error {
	data, err := access.Get("/v1-k3s/config", nil)
	if err != nil {
		logrus.Warnf("Skipping cluster configuration validation: %v", err)
		return nil
	}
	var theirs agent.ClusterConfig
	if err := json.Unmarshal(data, &theirs); err != nil {
		return err
	}
	different := differing(reflect.ValueOf(s.clusterConfig()), reflect.ValueOf(theirs))
	for _, setting := range different {
		logrus.Warnf("critical configuration mismatched: %s", setting)
	}
	if len(different) > 0 {
		return errors.New("critical configuration value mismatch between servers")
	}
	return nil
}

// differing are the settings, by their name on the command line, in which two configurations differ though they must not.
func differing(ours, theirs reflect.Value) []string {
	var names []string
	for i := range ours.NumField() {
		field := ours.Type().Field(i)
		if field.Anonymous {
			names = append(names, differing(ours.Field(i), theirs.Field(i))...)
		} else if name := field.Tag.Get("cli"); name != "" && ours.Field(i).Interface() != theirs.Field(i).Interface() {
			names = append(names, name)
		}
	}
	return names
}

// startEtcd starts this server's member and returns when it votes: of a new cluster, with what an SQLite datastore holds, or
// of the cluster to join.
func (s *Server) startEtcd(ctx context.Context) (datastore, error) {
	local := s.local()
	founds := !local.Exists() && s.joining == nil
	name, err := local.Name(s.id.Name)
	if err != nil {
		return nil, err
	}
	state, cluster := "new", []string{name + "=" + local.PeerURL()}
	if s.joining != nil {
		state = "existing"
		if cluster, err = local.Join(ctx, s.clusterMembers, name, s.id.Name); err != nil {
			return nil, fmt.Errorf("etcd cluster join failed: %w", err)
		}
	}
	args := node.Args(local.Arguments(name, state, cluster), s.Values.List("etcd-arg"))
	logrus.Infof("Running etcd %s", strings.Join(args, " "))
	if err := s.Children.Start("etcd", args, nil); err != nil {
		return nil, err
	}
	voting := make(chan error, 1)
	go func() { voting <- local.WaitVoting(ctx) }()
	var impatient <-chan time.Time
	if s.joining != nil {
		impatient = time.After(publishWait)
	}
	for waiting := true; waiting; {
		select {
		case err := <-voting:
			if err != nil {
				return nil, err
			}
			waiting = false
		case err := <-s.Children.Failed():
			return nil, err
		case <-impatient:
			impatient = nil
			if err := s.Children.Restart("etcd", publishWait); err != nil {
				return nil, err
			}
		}
	}
	logrus.Info("etcd data store connection OK")
	if founds {
		if err := s.migrate(ctx, local); err != nil {
			return nil, fmt.Errorf("failed to migrate content from sqlite to etcd: %w", err)
		}
	}
	own := member{local, name}
	go s.manageMembers(ctx, own)
	return own, nil
}

// migrate moves the objects of an SQLite datastore to etcd and renames its file. As in K3s it is done at the first start of
// the member only: one that was killed meanwhile starts with what it has got (k3s-io/k3s pkg/etcd/etcd.go, migrateFromSQLite).
func (s *Server) migrate(ctx context.Context, local *etcd.Local) error {
	file := filepath.Join(s.dir, "db", "state.db")
	if _, err := os.Stat(file); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return err
	}
	logrus.Info("Migrating content from sqlite to etcd")
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	config, err := s.listenKine(ctx, "sqlite://")
	if err != nil {
		return err
	}
	source, err := kineclient.New(config)
	if err != nil {
		return err
	}
	defer source.Close()
	target, err := local.Client(etcd.LocalURL)
	if err != nil {
		return err
	}
	defer target.Close()
	values, err := source.List(ctx, "/registry/", 0)
	if err != nil {
		return err
	}
	for _, value := range values {
		logrus.Debugf("Migrating etcd key %s", value.Key)
		if _, err := target.Put(ctx, string(value.Key), string(value.Data)); err != nil {
			return err
		}
	}
	logrus.Infof("Migrated %d keys from sqlite to etcd", len(values))
	return os.Rename(file, file+".migrated")
}

func (s *Server) serveBootstrap(w http.ResponseWriter, _ *http.Request) {
	if !s.usesEtcd() {
		fail(w, http.StatusBadRequest, "etcd disabled")
		return
	}
	files, err := s.readShared()
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
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

// removeMember takes the etcd member of a deleted node out of the cluster; false when that is left to another server, because
// the member is this server's own and there are others (k3s-io/k3s pkg/etcd/member_controller.go, onRemove).
func (s *Server) removeMember(ctx context.Context, own member, n *core.Node) (bool, error) {
	name, address := n.Annotations[memberAnnotation], n.Annotations[memberAddressAnnotation]
	if name == own.name {
		members, err := own.Members(ctx)
		return err == nil && len(members) == 1, err
	}
	if name == "" || n.Annotations[removedAnnotation] == name {
		return true, nil
	}
	logrus.Infof("Removing etcd member %s from cluster", n.Name)
	return true, own.Remove(ctx, name, address)
}

// removeOnRequest does the same for a node that asks for it by its annotation, and notes that it is done (same file, sync).
func (s *Server) removeOnRequest(ctx context.Context, own member, n *core.Node) error {
	name := n.Annotations[memberAnnotation]
	if !strings.EqualFold(n.Annotations[removalAnnotation], "true") || n.Annotations[removedAnnotation] != "" || name == "" || name == own.name {
		return nil
	}
	if err := own.Remove(ctx, name, n.Annotations[memberAddressAnnotation]); err != nil {
		return err
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"annotations": map[string]any{
		removedAnnotation: name, memberAnnotation: nil, memberAddressAnnotation: nil,
	}}})
	if err != nil {
		return err
	}
	_, err = s.client.CoreV1().Nodes().Patch(ctx, n.Name, types.MergePatchType, patch, meta.PatchOptions{})
	return err
}

// manageMembers runs on every server and acts on the one whose member leads: it makes voters of learners, drops those that
// stall, and tells on the nodes how their members are (k3s-io/k3s pkg/etcd/etcd.go, manageLearners).
func (s *Server) manageMembers(ctx context.Context, own member) {
	client, err := own.Client(etcd.LocalURL)
	if err != nil {
		logrus.Errorf("etcd: %v", err)
		return
	}
	defer client.Close()
	learners := etcd.NewLearners(client, stallTime)
	told := time.Time{}
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(manageInterval):
		}
		members, leads := etcd.Led(ctx, client)
		if !leads {
			continue
		}
		learners.Manage(ctx, members)
		if lister := s.nodes.Load(); lister != nil {
			nodes, err := (*lister).List(labels.SelectorFromSet(labels.Set{etcdLabel: "true"}))
			if err == nil && (time.Since(told) >= conditionInterval || slices.ContainsFunc(nodes, func(n *core.Node) bool { return !votes(n) })) {
				err = s.tellMembers(ctx, client, members, nodes)
				told = time.Now()
			}
			if err != nil {
				logrus.Debugf("conditions of etcd members: %v", err)
			}
		}
	}
}

const voterCondition = core.NodeConditionType("EtcdIsVoter")

func condition(n *core.Node) core.NodeCondition {
	for _, one := range n.Status.Conditions {
		if one.Type == voterCondition {
			return one
		}
	}
	return core.NodeCondition{Type: voterCondition}
}

func votes(n *core.Node) bool { return condition(n).Status == core.ConditionTrue }

// tellMembers sets the condition EtcdIsVoter of nodes (k3s-io/k3s pkg/etcd/etcd.go, setEtcdStatusCondition).
func (s *Server) tellMembers(ctx context.Context, client *clientv3.Client, members []etcd.Member, nodes []*core.Node) error {
	var problems []error
	for _, n := range nodes {
		if n.DeletionTimestamp != nil {
			continue
		}
		status, reason, message := core.ConditionFalse, "NotAMember", "Node is not a member of the etcd cluster"
		at := slices.IndexFunc(members, func(m etcd.Member) bool { return m.Name == n.Annotations[memberAnnotation] })
		if at >= 0 {
			if err := members[at].Healthy(ctx, client); err != nil {
				reason, message = "Unhealthy", err.Error()
			} else if members[at].IsLearner {
				reason, message = "MemberIsLearner", "Node has not been promoted to voting member of the etcd cluster"
			} else {
				status, reason, message = core.ConditionTrue, "MemberNotLearner", "Node is a voting member of the etcd cluster"
			}
		}
		have := condition(n)
		if have.Status == status && have.Reason == reason && have.Message == message {
			continue
		}
		now := meta.NewTime(time.Now().UTC().Truncate(time.Second))
		patch, err := json.Marshal(map[string]any{"status": map[string]any{"conditions": []core.NodeCondition{{
			Type: voterCondition, Status: status, Reason: reason, Message: message, LastHeartbeatTime: now, LastTransitionTime: now,
		}}}})
		if err == nil {
			_, err = s.client.CoreV1().Nodes().Patch(ctx, n.Name, types.StrategicMergePatchType, patch, meta.PatchOptions{}, "status")
		}
		problems = append(problems, err)
	}
	return errors.Join(problems...)
}
