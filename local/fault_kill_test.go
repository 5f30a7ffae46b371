//go:build linux

package local_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/examples/e2e"
	"github.com/ringwall/ringwall/local/localtest"
)

// healLimit is what a busy machine of a CI may take; the figure is printed.
const healLimit = 10 * time.Second

// Each process of a site is killed in turn, under load.
func TestKillEach(t *testing.T) {
	s := board(t)
	r := s.Up()
	l := newLoad(t, s)
	time.Sleep(500 * time.Millisecond)
	l.must("before any fault")

	named := func(name string) int {
		st := status(t, s)
		for _, p := range st.Parts {
			if p.Name == name {
				return hostPID(t, r, p.PID)
			}
		}
		for _, i := range st.Instances {
			if name == i.Name+" agent" {
				return hostPID(t, r, i.Agent.PID)
			}
			if name == i.Name+" app" {
				return hostPID(t, r, i.App.PID)
			}
		}
		t.Fatalf("status names no %s", name)
		return 0
	}
	child := func(pid int) int {
		for _, p := range family(pid) {
			if p.pid != pid {
				return p.pid
			}
		}
		t.Fatalf("process %d has no child", pid)
		return 0
	}
	backend := func() (pid int) {
		localtest.Eventually(t, 5*time.Second, "the database serves a session", func() bool {
			for _, p := range family(named("database")) {
				if cmd := cmdline(p.pid); strings.Contains(cmd, "fleet") {
					pid = p.pid
					return true
				}
			}
			return false
		})
		return pid
	}
	for _, c := range []struct {
		name   string
		target func() int
		short  bool
	}{
		{"front", func() int { return named("edge") }, true},
		{"fleet agent", func() int { return named("fleet/1 agent") }, false},
		{"admin agent", func() int { return named("admin/1 agent") }, false},
		{"fleet app", func() int { return child(named("fleet/1 app")) }, true},
		{"admin app", func() int { return child(named("admin/1 app")) }, false},
		{"fleet reaper", func() int { return named("fleet/1 app") }, false},
		{"database session", backend, false},
		{"database", func() int { return named("database") }, true},
		{"hub", func() int { return hubOf(t, r) }, true},
	} {
		if !c.short && !full() {
			continue
		}
		l.fault(c.target())
		if took := l.healed(c.name); took > healLimit {
			t.Errorf("%s: not healed before %v, want 2 s on a quiet machine\n%s", c.name, took, r.Out)
		}
		localtest.Eventually(t, 10*time.Second, "the site says that it is up", func() bool {
			st := status(t, s)
			return st.State == "up" && !slices.ContainsFunc(st.Instances, func(i instanceStatus) bool { return !i.Healthy })
		})
		time.Sleep(300 * time.Millisecond)
		l.failures()
	}
	l.end()
	l.present()
	f := footprintOf(r, s)
	s.OK("down")
	f.gone(t, 5*time.Second, true)
}

// Everything is killed at once, the supervisor too.
func TestKillAll(t *testing.T) {
	s := board(t)
	r := s.Up()
	l := newLoad(t, s)
	time.Sleep(time.Second)
	f := footprintOf(r, s)
	// The supervisor alone is enough: all others must end with it.
	at := kill(t, r.Cmd.Process.Pid, syscall.SIGKILL)
	closed := localtest.Eventually(t, time.Second, "the doors are closed", func() bool { return !answers(s) })
	f.gone(t, 3*time.Second, false)
	t.Logf("the doors closed after %d ms, everything was gone after %d ms", closed.Milliseconds(), time.Since(at).Milliseconds())
	l.end()

	r = s.Up()
	l.present()
	l.failures()
	l.begin()
	time.Sleep(500 * time.Millisecond)
	f = footprintOf(r, s)
	for _, p := range f.alive() { // from the supervisor down, faster than anyone can react
		syscall.Kill(p.pid, syscall.SIGKILL)
	}
	localtest.Eventually(t, time.Second, "the doors are closed", func() bool { return !answers(s) })
	f.gone(t, 3*time.Second, false)
	l.end()
	r = s.Up()
	l.present()
	f = footprintOf(r, s)
	s.OK("down")
	f.gone(t, 5*time.Second, true)
}

// The database is killed while many comments are being written: what was
// acknowledged is there afterwards.
func TestKillDatabaseInTransaction(t *testing.T) {
	s := board(t)
	r := s.Up()
	l := newLoad(t, s)
	var writers sync.WaitGroup
	stop := make(chan struct{})
	for w := range 6 {
		b := &e2e.Board{Client: e2e.New(s.Visitor, s.Roots(), nil)}
		writers.Go(func() {
			defer b.Close()
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Millisecond):
				}
				text := fmt.Sprintf("writer %d wrote number %d of this run.", w, n)
				if _, err := b.CommentJSON(t.Context(), l.post, "writer", text); err == nil {
					l.mu.Lock()
					l.acked = append(l.acked, text)
					l.mu.Unlock()
				}
			}
		})
	}
	time.Sleep(500 * time.Millisecond)
	st := status(t, s)
	i := slices.IndexFunc(st.Parts, func(p part) bool { return p.Name == "database" })
	l.fault(hostPID(t, r, st.Parts[i].PID))
	took := l.healed("database, many writing")
	close(stop)
	writers.Wait()
	if took > healLimit {
		t.Errorf("not healed before %v, want 2 s on a quiet machine", took)
	}
	l.end()
	l.present()
}
