// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package payload unpacks the files that travel inside the k3s executable: runc, the containerd shim and the CNI plugins.
//
// They are a zip archive behind the executable's own content, put there by labkit/binaries.py: a new payload or version
// needs no new compilation. K3s carries a compressed tar the same way of use (k3s-io/k3s cmd/k3s/main.go, extract).
package payload

import (
	"archive/zip"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// Links are the names under which the executable itself appears beside the payload (k3s-io/k3s scripts/build).
var Links = []string{"k3s", "kubectl", "crictl", "ctr", "containerd", "k3s-agent", "k3s-server", "k3s-token", "k3s-etcd-snapshot", "k3s-secrets-encrypt"}

// Unpack puts the payload into <data>/data/<hash>/bin, points <data>/data/current there and returns the bin folder.
// A half-unpacked folder of a killed run is replaced.
func Unpack(data string) (string, error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	archive, err := zip.OpenReader(self)
	if err != nil {
		return "", fmt.Errorf("%s carries no payload: %w", self, err)
	}
	defer archive.Close()
	root := filepath.Join(data, "data")
	hash := identity(archive)
	bin := filepath.Join(root, hash, "bin")
	if _, err := os.Stat(bin); err != nil {
		if err := extract(archive, root, hash); err != nil {
			return "", err
		}
	}
	for _, name := range Links {
		if err := link(self, filepath.Join(bin, name)); err != nil {
			return "", err
		}
	}
	current := filepath.Join(root, "current")
	if target, err := os.Readlink(current); err == nil && target != hash {
		if err := link(target, filepath.Join(root, "previous")); err != nil {
			return "", err
		}
	}
	return bin, link(hash, current)
}

func identity(archive *zip.ReadCloser) string {
	var names []string
	for _, file := range archive.File {
		names = append(names, fmt.Sprintf("%s %x %d", file.Name, file.CRC32, file.UncompressedSize64))
	}
	sort.Strings(names)
	sum := sha256.Sum256([]byte(fmt.Sprint(names)))
	return hex.EncodeToString(sum[:])
}

func extract(archive *zip.ReadCloser, root, hash string) error {
	temporary := filepath.Join(root, hash+"-tmp")
	if err := os.RemoveAll(temporary); err != nil {
		return err
	}
	for _, file := range archive.File {
		path := filepath.Join(temporary, "bin", filepath.Base(file.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		source, err := file.Open()
		if err != nil {
			return err
		}
		target, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o755)
		if err != nil {
			return err
		}
		_, err = io.Copy(target, source)
		source.Close()
		if closeErr := target.Close(); err == nil {
			err = closeErr
		}
		if err != nil {
			return err
		}
	}
	if err := os.RemoveAll(filepath.Join(root, hash)); err != nil {
		return err
	}
	return os.Rename(temporary, filepath.Join(root, hash))
}

func link(target, path string) error {
	if have, err := os.Readlink(path); err == nil && have == target {
		return nil
	}
	temporary := path + ".new"
	_ = os.Remove(temporary)
	if err := os.Symlink(target, temporary); err != nil {
		return err
	}
	return os.Rename(temporary, path)
}
