// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"homelab.test/lab/internal/etcd"
)

// runSnapshot is `k3s etcd-snapshot` for local snapshots (k3s-io/k3s pkg/cli/etcdsnapshot). K3s asks the running server to act;
// here the command checks that the server is there and asks etcd itself.
func runSnapshot(args []string) error {
	var data, folder, name, given, url string
	root := &cobra.Command{Use: "etcd-snapshot", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVarP(&data, "data-dir", "d", "/var/lib/rancher/k3s", "folder of the state")
	root.PersistentFlags().StringVar(&folder, "dir", "", "folder of the snapshots")
	root.PersistentFlags().StringVar(&folder, "etcd-snapshot-dir", "", "folder of the snapshots")
	root.PersistentFlags().StringVar(&name, "name", "on-demand", "first part of the snapshot's name")
	root.PersistentFlags().StringVarP(&given, "etcd-token", "t", os.Getenv("K3S_TOKEN"), "token of the cluster")
	root.PersistentFlags().StringVarP(&url, "etcd-server", "s", "https://127.0.0.1:6443", "supervisor")
	local := func() (*etcd.Local, error) {
		if _, err := asServer(data, given, url); err != nil {
			return nil, err
		}
		l := &etcd.Local{Dir: filepath.Join(data, "server")}
		if folder == "" {
			folder = filepath.Join(l.Dir, "db", "snapshots")
		}
		if !l.Exists() {
			return nil, errors.New("see server log for details: etcd datastore disabled")
		}
		return l, nil
	}
	root.AddCommand(&cobra.Command{Use: "save", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		l, err := local()
		if err != nil {
			return err
		}
		host, err := os.Hostname()
		if err != nil {
			return err
		}
		file := fmt.Sprintf("%s-%s-%d", name, strings.ToLower(host), time.Now().Unix())
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		if err := l.Save(ctx, filepath.Join(folder, file)); err != nil {
			return err
		}
		fmt.Printf("Snapshot %s saved.\n", file)
		return nil
	}})
	root.AddCommand(&cobra.Command{Use: "ls", Aliases: []string{"list", "l"}, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		if _, err := local(); err != nil {
			return err
		}
		entries, err := os.ReadDir(folder)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return err
		}
		rows := [][]string{{"Name", "Location", "Size", "Created"}}
		for _, entry := range entries {
			info, err := entry.Info()
			if err != nil || strings.HasSuffix(entry.Name(), ".part") {
				continue
			}
			rows = append(rows, []string{entry.Name(), "file://" + filepath.Join(folder, entry.Name()), fmt.Sprint(info.Size()), info.ModTime().UTC().Format(time.RFC3339)})
		}
		return table(os.Stdout, rows)
	}})
	root.AddCommand(&cobra.Command{Use: "delete NAME...", Args: cobra.MinimumNArgs(1), RunE: func(_ *cobra.Command, names []string) error {
		if _, err := local(); err != nil {
			return err
		}
		var problems []error
		for _, one := range names {
			err := os.Remove(filepath.Join(folder, filepath.Base(one)))
			if err == nil {
				fmt.Printf("Snapshot %s deleted.\n", one)
			}
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	}})
	root.SetArgs(args)
	return root.Execute()
}
