// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

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

	"github.com/spf13/cobra"
	core "k8s.io/api/core/v1"
	meta "k8s.io/apimachinery/pkg/apis/meta/v1"
	client "k8s.io/client-go/kubernetes"

	"homelab.test/lab/internal/node"
	"homelab.test/lab/internal/token"
)

// runToken is `k3s token` (k3s-io/k3s pkg/cli/token/token.go): bootstrap tokens as kubeadm makes them, and the change of the
// cluster's own token.
func runToken(args []string) error {
	var data, kubeconfig, description, output string
	var ttl time.Duration
	root := &cobra.Command{Use: "token", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVarP(&data, "data-dir", "d", "/var/lib/rancher/k3s", "folder of the state")
	root.PersistentFlags().StringVar(&kubeconfig, "kubeconfig", "", "kubeconfig of the cluster")
	connect := func() (client.Interface, error) {
		if kubeconfig == "" {
			kubeconfig = filepath.Join(data, "server", "cred", "admin.kubeconfig")
		}
		config, err := node.Client(kubeconfig)
		if err != nil {
			return nil, err
		}
		return client.NewForConfig(config)
	}

	create := &cobra.Command{Use: "create [TOKEN]", Args: cobra.MaximumNArgs(1), RunE: func(_ *cobra.Command, given []string) error {
		text := node.Random(3) + "." + node.Random(8)
		if len(given) == 1 {
			text = given[0]
		}
		parsed, err := token.Parse(text)
		if err != nil || parsed.Bootstrap == "" {
			return fmt.Errorf("the bootstrap token %q was not of the form \"[a-z0-9]{6}.[a-z0-9]{16}\"", text)
		}
		api, err := connect()
		if err != nil {
			return err
		}
		id, secret, _ := strings.Cut(text, ".")
		content := map[string]string{
			"token-id": id, "token-secret": secret, "description": description, "usage-bootstrap-authentication": "true",
			"usage-bootstrap-signing": "true", "auth-extra-groups": "system:bootstrappers:k3s:default-node-token",
		}
		if ttl > 0 {
			content["expiration"] = time.Now().Add(ttl).UTC().Format(time.RFC3339)
		}
		_, err = api.CoreV1().Secrets(meta.NamespaceSystem).Create(context.Background(), &core.Secret{
			ObjectMeta: meta.ObjectMeta{Name: "bootstrap-token-" + id}, Type: core.SecretTypeBootstrapToken, StringData: content,
		}, meta.CreateOptions{})
		if err != nil {
			return err
		}
		ca, err := os.ReadFile(filepath.Join(data, "server", "tls", "server-ca.crt"))
		if err != nil {
			return err
		}
		fmt.Println("K10" + token.HashCA(ca) + "::" + text)
		return nil
	}}
	create.Flags().StringVar(&description, "description", "", "how the token is used")
	create.Flags().DurationVar(&ttl, "ttl", 24*time.Hour, "how long it is valid; 0 for ever")
	root.AddCommand(create)

	list := &cobra.Command{Use: "list", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		api, err := connect()
		if err != nil {
			return err
		}
		secrets, err := api.CoreV1().Secrets(meta.NamespaceSystem).List(context.Background(), meta.ListOptions{FieldSelector: "type=" + string(core.SecretTypeBootstrapToken)})
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(secrets)
		}
		rows := [][]string{{"TOKEN", "TTL", "EXPIRES", "USAGES", "DESCRIPTION", "EXTRA GROUPS"}}
		for _, secret := range secrets.Items {
			left, expires := "<forever>", "<never>"
			if end, err := time.Parse(time.RFC3339, string(secret.Data["expiration"])); err == nil {
				left, expires = time.Until(end).Round(time.Second).String(), end.Format(time.RFC3339)
			}
			rows = append(rows, []string{string(secret.Data["token-id"]) + ".<redacted>", left, expires, "authentication,signing",
				string(secret.Data["description"]), string(secret.Data["auth-extra-groups"])})
		}
		return table(os.Stdout, rows)
	}}
	list.Flags().StringVarP(&output, "output", "o", "text", "text|json")
	root.AddCommand(list)

	root.AddCommand(&cobra.Command{Use: "delete TOKEN...", Args: cobra.MinimumNArgs(1), RunE: func(_ *cobra.Command, names []string) error {
		api, err := connect()
		if err != nil {
			return err
		}
		var problems []error
		for _, one := range names {
			id, _, _ := strings.Cut(one, ".")
			err := api.CoreV1().Secrets(meta.NamespaceSystem).Delete(context.Background(), "bootstrap-token-"+id, meta.DeleteOptions{})
			if err == nil {
				fmt.Printf("bootstrap token %q deleted\n", id)
			}
			problems = append(problems, err)
		}
		return errors.Join(problems...)
	}})

	root.AddCommand(&cobra.Command{Use: "generate", Args: cobra.NoArgs, Run: func(*cobra.Command, []string) {
		fmt.Println(node.Random(3) + "." + node.Random(8))
	}})

	root.AddCommand(rotateCommand(&data))
	root.SetArgs(args)
	return root.Execute()
}

func rotateCommand(data *string) *cobra.Command {
	var old, fresh, server string
	command := &cobra.Command{Use: "rotate", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		if fresh == "" {
			fresh = node.Random(16)
		}
		access, err := asServer(*data, old, server)
		if err != nil {
			return err
		}
		body, err := json.Marshal(map[string]string{"newToken": fresh})
		if err != nil {
			return err
		}
		if _, err := access.Send(http.MethodPut, "/v1-k3s/token", body, nil); err != nil {
			return err
		}
		fmt.Println("Token rotated, restart k3s nodes with new token")
		return nil
	}}
	command.Flags().StringVarP(&old, "token", "t", os.Getenv("K3S_TOKEN"), "token of the cluster as it is")
	command.Flags().StringVar(&fresh, "new-token", "", "token of the cluster to be")
	command.Flags().StringVarP(&server, "server", "s", "https://127.0.0.1:6443", "supervisor")
	return command
}
