// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	cri "k8s.io/cri-api/pkg/apis/runtime/v1"

	"homelab.test/lab/internal/agent"
)

// runCrictl is the part of crictl that reads state, over the real CRI. The real crictl is in reach as v1.30 only, whose
// modules do not fit those of Kubernetes 1.34.
func runCrictl(args []string) error {
	var all, quiet bool
	var output, name, endpoint string
	timeout := 10 * time.Second
	root := &cobra.Command{Use: "crictl", SilenceUsage: true, SilenceErrors: true, Version: version()}
	root.PersistentFlags().StringVarP(&endpoint, "runtime-endpoint", "r", "unix://"+agent.Socket, "endpoint of the container runtime")
	root.PersistentFlags().DurationVarP(&timeout, "timeout", "t", timeout, "timeout of the connection")

	call := func(do func(context.Context, cri.RuntimeServiceClient, cri.ImageServiceClient) error) error {
		ctx, cancel := context.WithTimeout(context.Background(), timeout)
		defer cancel()
		connection, err := grpc.NewClient(endpoint, grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithDefaultCallOptions(grpc.MaxCallRecvMsgSize(16<<20)))
		if err != nil {
			return err
		}
		defer connection.Close()
		return do(ctx, cri.NewRuntimeServiceClient(connection), cri.NewImageServiceClient(connection))
	}
	listing := func(use string, aliases []string, do func(context.Context, cri.RuntimeServiceClient, cri.ImageServiceClient) error) *cobra.Command {
		command := &cobra.Command{Use: use, Aliases: aliases, Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error { return call(do) }}
		command.Flags().BoolVarP(&quiet, "quiet", "q", false, "IDs only")
		command.Flags().StringVarP(&output, "output", "o", "table", "json|table")
		command.Flags().StringVar(&name, "name", "", "part of the name")
		command.Flags().BoolVarP(&all, "all", "a", false, "also those that do not run")
		root.AddCommand(command)
		return command
	}

	listing("ps", nil, func(ctx context.Context, runtime cri.RuntimeServiceClient, _ cri.ImageServiceClient) error {
		filter := &cri.ContainerFilter{}
		if !all {
			filter.State = &cri.ContainerStateValue{State: cri.ContainerState_CONTAINER_RUNNING}
		}
		answer, err := runtime.ListContainers(ctx, &cri.ListContainersRequest{Filter: filter})
		if err != nil {
			return err
		}
		kept := answer.Containers[:0]
		for _, c := range answer.Containers {
			if strings.Contains(c.Metadata.Name, name) {
				kept = append(kept, c)
			}
		}
		answer.Containers = kept
		if output == "json" {
			return printJSON(answer)
		}
		rows := [][]string{{"CONTAINER", "IMAGE", "CREATED", "STATE", "NAME", "ATTEMPT", "POD ID", "POD", "NAMESPACE"}}
		for _, c := range kept {
			rows = append(rows, []string{short(c.Id), short(strings.TrimPrefix(c.Image.Image, "sha256:")), since(c.CreatedAt), state(c.State.String(), "CONTAINER_"),
				c.Metadata.Name, fmt.Sprint(c.Metadata.Attempt), short(c.PodSandboxId), c.Labels["io.kubernetes.pod.name"], c.Labels["io.kubernetes.pod.namespace"]})
		}
		return printRows(rows, quiet, func(i int) string { return kept[i].Id })
	})
	listing("pods", []string{"p"}, func(ctx context.Context, runtime cri.RuntimeServiceClient, _ cri.ImageServiceClient) error {
		answer, err := runtime.ListPodSandbox(ctx, &cri.ListPodSandboxRequest{})
		if err != nil {
			return err
		}
		kept := answer.Items[:0]
		for _, p := range answer.Items {
			if strings.Contains(p.Metadata.Name, name) {
				kept = append(kept, p)
			}
		}
		answer.Items = kept
		if output == "json" {
			return printJSON(answer)
		}
		rows := [][]string{{"POD ID", "CREATED", "STATE", "NAME", "NAMESPACE", "ATTEMPT"}}
		for _, p := range kept {
			rows = append(rows, []string{short(p.Id), since(p.CreatedAt), state(p.State.String(), "SANDBOX_"), p.Metadata.Name, p.Metadata.Namespace, fmt.Sprint(p.Metadata.Attempt)})
		}
		return printRows(rows, quiet, func(i int) string { return kept[i].Id })
	})
	listing("images", []string{"image", "img"}, func(ctx context.Context, _ cri.RuntimeServiceClient, images cri.ImageServiceClient) error {
		answer, err := images.ListImages(ctx, &cri.ListImagesRequest{})
		if err != nil {
			return err
		}
		if output == "json" {
			return printJSON(answer)
		}
		rows := [][]string{{"IMAGE", "TAG", "IMAGE ID", "SIZE"}}
		var ids []string
		for _, image := range answer.Images {
			for _, tag := range image.RepoTags {
				at := strings.LastIndex(tag, ":")
				rows = append(rows, []string{tag[:at], tag[at+1:], short(strings.TrimPrefix(image.Id, "sha256:")), fmt.Sprintf("%.1fMB", float64(image.Size)/1e6)})
				ids = append(ids, image.Id)
			}
		}
		return printRows(rows, quiet, func(i int) string { return ids[i] })
	})
	root.AddCommand(&cobra.Command{Use: "info", Args: cobra.NoArgs, RunE: func(*cobra.Command, []string) error {
		return call(func(ctx context.Context, runtime cri.RuntimeServiceClient, _ cri.ImageServiceClient) error {
			answer, err := runtime.Status(ctx, &cri.StatusRequest{Verbose: true})
			if err != nil {
				return err
			}
			result := map[string]any{"status": answer.Status}
			for key, value := range answer.Info {
				if json.Valid([]byte(value)) {
					result[key] = json.RawMessage(value)
				} else {
					result[key] = value
				}
			}
			return printJSON(result)
		})
	}})
	root.AddCommand(&cobra.Command{Use: "rmi IMAGE...", Args: cobra.MinimumNArgs(1), RunE: func(_ *cobra.Command, names []string) error {
		return call(func(ctx context.Context, _ cri.RuntimeServiceClient, images cri.ImageServiceClient) error {
			var problems []error
			for _, one := range names {
				_, err := images.RemoveImage(ctx, &cri.RemoveImageRequest{Image: &cri.ImageSpec{Image: one}})
				problems = append(problems, err)
			}
			return errors.Join(problems...)
		})
	}})
	root.SetArgs(args)
	return root.Execute()
}

func printJSON(value any) error {
	encoder := json.NewEncoder(os.Stdout)
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

func printRows(rows [][]string, quiet bool, id func(int) string) error {
	if quiet {
		for i := range rows[1:] {
			fmt.Println(id(i))
		}
		return nil
	}
	return table(os.Stdout, rows)
}

func table(to io.Writer, rows [][]string) error {
	writer := tabwriter.NewWriter(to, 0, 8, 3, ' ', 0)
	for _, row := range rows {
		fmt.Fprintln(writer, strings.Join(row, "\t"))
	}
	return writer.Flush()
}

func short(id string) string {
	if len(id) > 13 {
		return id[:13]
	}
	return id
}

func state(text, prefix string) string {
	text = strings.ToLower(strings.TrimPrefix(text, prefix))
	return strings.ToUpper(text[:1]) + text[1:]
}

func since(nanoseconds int64) string {
	return time.Since(time.Unix(0, nanoseconds)).Round(time.Second).String() + " ago"
}
