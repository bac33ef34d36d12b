// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// Package proc runs the components as children of the one k3s process. In K3s most of them are goroutines; a crash of
// one ends the whole process there (k3s-io/k3s pkg/daemons/executor/embed.go), so it does here.
package proc

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/sirupsen/logrus"
)

// Group is a set of children that start one by one and end together, in reverse order.
type Group struct {
	mu       sync.Mutex
	children []*child
	stopping bool
	failed   chan error
	requests chan request
}

type child struct {
	name     string
	cmd      *exec.Cmd
	done     chan struct{}
	replaced bool
}

type request struct {
	cmd   *exec.Cmd
	reply chan error
}

// New makes an empty group.
func New() *Group {
	g := &Group{failed: make(chan error, 16), requests: make(chan request)}
	go func() {
		// The kernel sends Pdeathsig when the thread that forked ends, not the process: all forks come from this one.
		runtime.LockOSThread()
		for r := range g.requests {
			r.reply <- r.cmd.Start()
		}
	}()
	return g
}

// Failed yields the error of a child that ended by itself.
func (g *Group) Failed() <-chan error { return g.failed }

// Start runs this executable as a component; output goes to the given writer, or to the service's own log when nil.
func (g *Group) Start(name string, args []string, output io.Writer, env ...string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, args...)
	cmd.Args[0] = name
	cmd.Env = append(os.Environ(), env...)
	if output == nil {
		output = os.Stderr
	}
	cmd.Stdout, cmd.Stderr = output, output
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.launch(name, cmd)
}

// Restart ends the child of a name and starts it again with the same arguments.
func (g *Group) Restart(name string, patience time.Duration) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	at := slices.IndexFunc(g.children, func(c *child) bool { return c.name == name })
	if at < 0 {
		return fmt.Errorf("%s does not run", name)
	}
	old := g.children[at]
	old.replaced = true
	g.children = slices.Delete(g.children, at, at+1)
	old.end(patience)
	fresh := exec.Command(old.cmd.Path)
	fresh.Args, fresh.Env, fresh.Stdout, fresh.Stderr, fresh.SysProcAttr = old.cmd.Args, old.cmd.Env, old.cmd.Stdout, old.cmd.Stderr, old.cmd.SysProcAttr
	return g.launch(name, fresh)
}

// launch starts a child; the group is locked.
func (g *Group) launch(name string, cmd *exec.Cmd) error {
	if g.stopping {
		return context.Canceled
	}
	r := request{cmd: cmd, reply: make(chan error)}
	g.requests <- r
	if err := <-r.reply; err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	c := &child{name: name, cmd: cmd, done: make(chan struct{})}
	g.children = append(g.children, c)
	go func() {
		err := cmd.Wait()
		close(c.done)
		g.mu.Lock()
		expected := g.stopping || c.replaced
		g.mu.Unlock()
		if !expected {
			g.failed <- fmt.Errorf("%s exited: %v", name, err)
		}
	}()
	return nil
}

// Stop ends the children, the last started first, and kills those that do not end in time.
func (g *Group) Stop(each time.Duration) {
	g.mu.Lock()
	g.stopping = true
	children := append([]*child{}, g.children...)
	g.mu.Unlock()
	for i := len(children) - 1; i >= 0; i-- {
		children[i].end(each)
	}
}

// end asks a child to end and kills it when it does not in time.
func (c *child) end(patience time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-c.done:
	case <-time.After(patience):
		logrus.Warnf("%s did not end within %v, killing it", c.name, patience)
		_ = c.cmd.Process.Kill()
		<-c.done
	}
}
