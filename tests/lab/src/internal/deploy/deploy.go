// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package deploy applies the manifests folder of a server: packaged components and whatever an administrator puts there
// (k3s-io/k3s pkg/deploy/controller.go).
//
// Objects are applied server-side; K3s uses a three-way merge of its own and an Addon resource, which is absent here:
// an object dropped from a file stays, as do the objects of a deleted file (docs.k3s.io/installation/packaged-components).
package deploy

import (
	"bytes"
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"time"

	"github.com/sirupsen/logrus"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"k8s.io/client-go/discovery"
	"k8s.io/client-go/discovery/cached/memory"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/restmapper"
)

//go:embed manifests/*.yaml
var packaged embed.FS

// Items are the components that `disable` knows (k3s-io/k3s pkg/cli/cmds/const_linux.go, DisableItems). Those without a
// manifest here have no image in the lab, except servicelb, which is a controller. traefik has one of its own.
var Items = []string{"coredns", "servicelb", "traefik", "local-storage", "metrics-server", "runtimes"}

// Deployer watches one folder.
type Deployer struct {
	Folder   string
	Disabled map[string]bool
	Images   string            // folder of image archives
	Values   map[string]string // what %{NAME}% stands for in packaged manifests

	dynamic dynamic.Interface
	mapper  *restmapper.DeferredDiscoveryRESTMapper
	applied map[string][sha256.Size]byte
	removed map[string]bool
}

// New prepares a deployer.
func New(config *rest.Config, folder, images string, disabled map[string]bool, values map[string]string) (*Deployer, error) {
	client, err := dynamic.NewForConfig(config)
	if err != nil {
		return nil, err
	}
	disco, err := discovery.NewDiscoveryClientForConfig(config)
	if err != nil {
		return nil, err
	}
	return &Deployer{Folder: folder, Disabled: disabled, Images: images, Values: values, dynamic: client,
		mapper:  restmapper.NewDeferredDiscoveryRESTMapper(memory.NewMemCacheClient(disco)),
		applied: map[string][sha256.Size]byte{}, removed: map[string]bool{}}, nil
}

// Stage writes the packaged manifests, except disabled ones and those with a .skip file (k3s-io/k3s pkg/deploy/stage.go).
func (d *Deployer) Stage() error {
	if err := os.MkdirAll(d.Folder, 0o700); err != nil {
		return err
	}
	names, err := packaged.ReadDir("manifests")
	if err != nil {
		return err
	}
	for _, entry := range names {
		name := strings.TrimSuffix(entry.Name(), ".yaml")
		if d.Disabled[name] || d.skipped(entry.Name()) || name == "traefik" && !d.traefik() {
			continue
		}
		if err := os.WriteFile(filepath.Join(d.Folder, entry.Name()), d.render(entry.Name()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// traefik says whether the lab brought Traefik's image, which has an archive of its own. Where it did not, the component is left out as if it
// were disabled, so that labs without ingress neither wait for it nor give it their ports 80 and 443.
func (d *Deployer) traefik() bool {
	found, _ := filepath.Glob(filepath.Join(d.Images, "*traefik*"))
	return len(found) > 0
}

func (d *Deployer) render(file string) []byte {
	content, _ := packaged.ReadFile("manifests/" + file)
	for name, value := range d.Values {
		content = bytes.ReplaceAll(content, []byte("%{"+name+"}%"), []byte(value))
	}
	return content
}

func (d *Deployer) skipped(name string) bool {
	_, err := os.Stat(filepath.Join(d.Folder, name+".skip"))
	return err == nil
}

// Watch applies the folder at once and then whatever changes, every few seconds, until the context ends.
func (d *Deployer) Watch(ctx context.Context) {
	for {
		pause := 3 * time.Second
		if err := d.pass(ctx); err != nil && ctx.Err() == nil {
			pause = time.Second
			logrus.Errorf("Failed to process config: %v", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(pause):
		}
	}
}

func (d *Deployer) pass(ctx context.Context) error {
	var problems []error
	var files []string
	err := filepath.WalkDir(d.Folder, func(path string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() && !strings.HasPrefix(entry.Name(), ".") {
			switch filepath.Ext(path) {
			case ".yaml", ".yml", ".json":
				files = append(files, path)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	sort.Strings(files)
	for _, path := range files {
		name := strings.TrimSuffix(filepath.Base(path), filepath.Ext(path))
		if d.Disabled[name] || d.skipped(filepath.Base(path)) {
			continue
		}
		content, err := os.ReadFile(path)
		if err != nil {
			problems = append(problems, err)
			continue
		}
		sum := sha256.Sum256(content)
		if d.applied[path] == sum {
			continue
		}
		if err := d.each(ctx, content, d.apply); err != nil {
			problems = append(problems, fmt.Errorf("failed to process %s: %w", path, err))
			continue
		}
		logrus.Infof("Applied manifest at %q", path)
		d.applied[path] = sum
	}
	for name := range d.Disabled {
		if d.removed[name] {
			continue
		}
		if err := d.remove(ctx, name); err != nil {
			problems = append(problems, err)
			continue
		}
		d.removed[name] = true
	}
	return errors.Join(problems...)
}

// remove deletes what a component that is disabled now had deployed earlier (k3s-io/k3s pkg/deploy/controller.go, delete).
func (d *Deployer) remove(ctx context.Context, name string) error {
	path := filepath.Join(d.Folder, name+".yaml")
	content, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := d.each(ctx, content, d.delete); err != nil {
		return err
	}
	return os.Remove(path)
}

func (d *Deployer) each(ctx context.Context, content []byte, do func(context.Context, *unstructured.Unstructured) error) error {
	decoder := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(content), 4096)
	var problems []error
	for {
		object := &unstructured.Unstructured{}
		if err := decoder.Decode(&object.Object); errors.Is(err, io.EOF) {
			return errors.Join(problems...)
		} else if err != nil {
			return err
		}
		if len(object.Object) == 0 {
			continue
		}
		if object.IsList() {
			list, err := object.ToList()
			if err != nil {
				return err
			}
			for i := range list.Items {
				problems = append(problems, do(ctx, &list.Items[i]))
			}
			continue
		}
		problems = append(problems, do(ctx, object))
	}
}

func (d *Deployer) resource(object *unstructured.Unstructured) (dynamic.ResourceInterface, error) {
	kind := object.GroupVersionKind()
	mapping, err := d.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	if meta.IsNoMatchError(err) {
		d.mapper.Reset()
		mapping, err = d.mapper.RESTMapping(kind.GroupKind(), kind.Version)
	}
	if err != nil {
		return nil, err
	}
	if mapping.Scope.Name() == meta.RESTScopeNameRoot {
		return d.dynamic.Resource(mapping.Resource), nil
	}
	namespace := object.GetNamespace()
	if namespace == "" {
		namespace = metav1.NamespaceDefault
		object.SetNamespace(namespace)
	}
	return d.dynamic.Resource(mapping.Resource).Namespace(namespace), nil
}

func (d *Deployer) apply(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := d.resource(object)
	if err != nil {
		return err
	}
	_, err = resource.Apply(ctx, object.GetName(), object, metav1.ApplyOptions{FieldManager: "deploy", Force: true})
	return err
}

func (d *Deployer) delete(ctx context.Context, object *unstructured.Unstructured) error {
	resource, err := d.resource(object)
	if meta.IsNoMatchError(err) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := resource.Delete(ctx, object.GetName(), metav1.DeleteOptions{}); err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	return nil
}
