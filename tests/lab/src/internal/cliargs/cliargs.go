// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package cliargs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"time"

	yaml "go.yaml.in/yaml/v2"
)

// Values are the settings of one run: what was given for each flag, in order, keyed by the flag's first name.
type Values struct {
	flags map[string]Flag
	given map[string][]string
}

// Get is the last value given for a flag, or its default.
func (v *Values) Get(name string) string {
	if all := v.given[name]; len(all) > 0 {
		return all[len(all)-1]
	}
	return v.flags[name].Default
}

// List is every value given for a Slice or List flag, or its default.
func (v *Values) List(name string) []string {
	all := v.given[name]
	if len(all) == 0 && v.flags[name].Default != "" {
		all = []string{v.flags[name].Default}
	}
	if v.flags[name].Kind != List {
		return all
	}
	var result []string
	for _, one := range all {
		for _, part := range strings.Split(one, ",") {
			if part = strings.TrimSpace(part); part != "" {
				result = append(result, part)
			}
		}
	}
	return result
}

// Bool is true when the flag was given as true.
func (v *Values) Bool(name string) bool {
	value, _ := strconv.ParseBool(v.Get(name))
	return value
}

// IsSet says whether the flag was given anywhere.
func (v *Values) IsSet(name string) bool { return len(v.given[name]) > 0 }

// Set replaces what was given for a flag.
func (v *Values) Set(name, value string) { v.given[name] = []string{value} }

// Inert lists the given flags that the stand-in accepts without acting on them, sorted.
func (v *Values) Inert() []string {
	var result []string
	for name := range v.given {
		if v.flags[name].Inert {
			result = append(result, name)
		}
	}
	sort.Strings(result)
	return result
}

// Given are the flags of configuration files and command line in the form of the node annotation k3s.io/node-args:
// values of secrets are replaced by asterisks (k3s-io/k3s pkg/nodeconfig/nodeconfig.go).
func Given(command string, args []string) []string {
	result := []string{command}
	for _, arg := range args {
		name, value, found := strings.Cut(arg, "=")
		result = append(result, name)
		if !found {
			continue
		}
		if strings.Contains(name, "token") || strings.Contains(name, "secret-key") || strings.Contains(name, "datastore-endpoint") {
			value = "********"
		}
		result = append(result, value)
	}
	return result
}

// Parse merges configuration files and command line as K3s does: the files come first as if they were arguments, so
// that the command line wins for single values and adds to lists (k3s-io/k3s pkg/configfilearg/parser.go, Parse).
// K3s's server skips unknown keys of the files with a warning and only its agent refuses them (same file,
// stripInvalidFlags); the stand-in refuses them in both, so that a misspelt key of a role does not pass unseen.
//
// It returns the values and the merged arguments, or the error that K3s's command line library gives.
func Parse(command string, args []string) (*Values, []string, error) {
	merged := args
	fromFiles, err := ReadFiles(configFile(args))
	if err == nil {
		merged = append(append([]string{}, fromFiles...), args...)
	} else if !errors.Is(err, fs.ErrNotExist) {
		return nil, nil, err
	}
	values, err := parse(Flags(command), merged)
	return values, merged, err
}

func configFile(args []string) string {
	if path := os.Getenv("K3S_CONFIG_FILE"); path != "" {
		return path
	}
	for i, arg := range args {
		name, value, found := strings.Cut(arg, "=")
		if name != "--config" && name != "-c" {
			continue
		}
		if found {
			return value
		}
		if i+1 < len(args) {
			return args[i+1]
		}
	}
	return "/etc/rancher/k3s/config.yaml"
}

// ReadFiles flattens a configuration file and the *.yaml and *.yml of its ".d" folder, in that order, to arguments.
// A later key replaces an earlier one in its place; "key+" appends (k3s-io/k3s pkg/configfilearg/parser.go, readConfigFile).
// The error is fs.ErrNotExist when there is neither file nor drop-in.
func ReadFiles(file string) ([]string, error) {
	files, err := dropIns(file + ".d")
	if err != nil {
		return nil, err
	}
	if _, err := os.Stat(file); err == nil {
		files = append([]string{file}, files...)
	} else if !errors.Is(err, fs.ErrNotExist) || len(files) == 0 {
		return nil, err
	}

	var order []string
	merged := map[string]any{}
	for _, name := range files {
		data, err := os.ReadFile(name)
		if err != nil {
			return nil, err
		}
		content := yaml.MapSlice{}
		if err := yaml.Unmarshal(data, &content); err != nil {
			return nil, err
		}
		for _, item := range content {
			key, appends := strings.CutSuffix(text(item.Key), "+")
			old, seen := merged[key]
			if !seen {
				order = append(order, key)
			}
			if seen && appends {
				merged[key] = append(slice(old), slice(item.Value)...)
			} else {
				merged[key] = item.Value
			}
		}
	}

	var args []string
	for _, key := range order {
		dashes := "--"
		if len(key) == 1 {
			dashes = "-"
		}
		if list, ok := merged[key].([]any); ok {
			for _, value := range list {
				args = append(args, dashes+key+"="+text(value))
			}
		} else {
			args = append(args, dashes+key+"="+text(merged[key]))
		}
	}
	return args, nil
}

func dropIns(folder string) ([]string, error) {
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var files []string
	for _, entry := range entries {
		name := strings.ToLower(entry.Name())
		if !entry.IsDir() && (strings.HasSuffix(name, ".yaml") || strings.HasSuffix(name, ".yml")) {
			files = append(files, filepath.Join(folder, entry.Name()))
		}
	}
	return files, nil
}

func text(value any) string {
	if value == nil {
		return ""
	}
	return fmt.Sprint(value)
}

func slice(value any) []any {
	if list, ok := value.([]any); ok {
		return list
	}
	if one := text(value); one != "" {
		return []any{one}
	}
	return nil
}

// parse reads arguments with the rules of Go's flag package, which K3s's command line library stands on; its messages too.
func parse(flags []Flag, args []string) (*Values, error) {
	values := &Values{flags: map[string]Flag{}, given: map[string][]string{}}
	byName := map[string]Flag{}
	for _, f := range flags {
		values.flags[f.Names[0]] = f
		for _, name := range f.Names {
			byName[name] = f
		}
	}
	for i := 0; i < len(args); i++ {
		arg := args[i]
		if !strings.HasPrefix(arg, "-") || arg == "-" {
			return nil, fmt.Errorf("unexpected argument %q", arg)
		}
		name, value, hasValue := strings.Cut(strings.TrimPrefix(strings.TrimPrefix(arg, "-"), "-"), "=")
		f, known := byName[name]
		if !known {
			return nil, fmt.Errorf("flag provided but not defined: -%s", name)
		}
		if !hasValue {
			if f.Kind == Bool {
				value = "true"
			} else if i++; i < len(args) {
				value = args[i]
			} else {
				return nil, fmt.Errorf("flag needs an argument: -%s", name)
			}
		}
		if err := check(f.Kind, name, value); err != nil {
			return nil, err
		}
		values.given[f.Names[0]] = append(values.given[f.Names[0]], value)
	}
	for _, f := range flags {
		if value := os.Getenv(f.Env); f.Env != "" && value != "" && len(values.given[f.Names[0]]) == 0 {
			if err := check(f.Kind, f.Names[0], value); err != nil {
				return nil, err
			}
			values.given[f.Names[0]] = []string{value}
		}
	}
	return values, nil
}

func check(kind Kind, name, value string) error {
	var err error
	var word string
	switch kind {
	case Bool:
		_, err = strconv.ParseBool(value)
		word = "boolean value"
	case Int:
		_, err = strconv.Atoi(value)
		word = "value"
	case Duration:
		_, err = time.ParseDuration(value)
		word = "value"
	}
	if err != nil {
		return fmt.Errorf("invalid %s %q for -%s: parse error", word, value, name)
	}
	return nil
}
