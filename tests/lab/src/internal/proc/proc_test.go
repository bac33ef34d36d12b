// Copyright (c) 2026, homelab.mlops contributors
// GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

package proc

import (
	"os"
	"testing"
	"time"
)

// TestMain lets this executable be the component that the tests start: it waits, or fails at once.
func TestMain(m *testing.M) {
	switch os.Getenv("COMPONENT") {
	case "waits":
		time.Sleep(time.Minute)
	case "fails":
		os.Exit(3)
	default:
		os.Exit(m.Run())
	}
}

func TestRestartIsNoFailure(t *testing.T) {
	g := New()
	if err := g.Start("one", nil, nil, "COMPONENT=waits"); err != nil {
		t.Fatal(err)
	}
	first := g.children[0].cmd.Process.Pid
	if err := g.Restart("one", time.Second); err != nil {
		t.Fatal(err)
	}
	if len(g.children) != 1 || g.children[0].cmd.Process.Pid == first {
		t.Error("it is the same process")
	}
	select {
	case err := <-g.Failed():
		t.Error(err)
	case <-time.After(200 * time.Millisecond):
	}
	g.Stop(time.Second)
	if err := g.Start("two", nil, nil, "COMPONENT=waits"); err == nil {
		t.Error("started after the end")
	}
}

func TestEndByItselfIsAFailure(t *testing.T) {
	g := New()
	if err := g.Start("one", nil, nil, "COMPONENT=fails"); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-g.Failed():
		if err.Error() != "one exited: exit status 3" {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("not told")
	}
	if g.Restart("absent", time.Second) == nil {
		t.Error("restarted what never ran")
	}
}
