// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"homelab.test/lab/internal/server"
	"homelab.test/lab/internal/token"
)

// runEncryption is `k3s secrets-encrypt status` (k3s-io/k3s pkg/cli/secretsencrypt/secrets_encrypt.go, Status).
func runEncryption(args []string) error {
	var data, given, url, output string
	root := &cobra.Command{Use: "secrets-encrypt", SilenceUsage: true, SilenceErrors: true}
	root.PersistentFlags().StringVarP(&data, "data-dir", "d", "/var/lib/rancher/k3s", "folder of the state")
	root.PersistentFlags().StringVarP(&given, "token", "t", os.Getenv("K3S_TOKEN"), "token of the cluster")
	root.PersistentFlags().StringVarP(&url, "server", "s", "https://127.0.0.1:6443", "supervisor")
	status := &cobra.Command{Use: "status", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		access, err := asServer(data, given, url)
		if err != nil {
			return err
		}
		answer, err := access.Get("/v1-k3s/encrypt/status", nil)
		if err != nil {
			return fmt.Errorf("see server log for details: %w", err)
		}
		var status server.EncryptionStatus
		if err := json.Unmarshal(answer, &status); err != nil {
			return err
		}
		if strings.EqualFold(output, "json") {
			return printJSON(status)
		}
		if status.Enable == nil {
			fmt.Println("Encryption Status: Disabled, no configuration file found")
			return nil
		}
		word, hashes := "Disabled", "All hashes match"
		if *status.Enable {
			word = "Enabled"
		}
		if !status.HashMatch {
			hashes = status.HashError
		}
		fmt.Printf("Encryption Status: %s\nCurrent Rotation Stage: %s\nServer Encryption Hashes: %s\n\n", word, status.Stage, hashes)
		rows := [][]string{{"Active", "Key Type", "Name"}, {"------", "--------", "----"}, {" *", "AES-CBC", status.ActiveKey}}
		for _, key := range status.InactiveKeys {
			rows = append(rows, []string{"", "AES-CBC", key})
		}
		return table(os.Stdout, rows)
	}}
	status.Flags().StringVarP(&output, "output", "o", "text", "text|json")
	root.AddCommand(status)
	root.SetArgs(args)
	return root.Execute()
}

// asServer connects to the supervisor with the given token or the one on disk.
func asServer(data, given, url string) (*token.Access, error) {
	if given == "" {
		content, err := os.ReadFile(filepath.Join(data, "server", "token"))
		if err != nil {
			return nil, err
		}
		given = strings.TrimSpace(string(content))
	}
	parsed, err := token.Parse(given)
	if err != nil {
		return nil, err
	}
	return token.Connect(url, parsed, "server", nil)
}
