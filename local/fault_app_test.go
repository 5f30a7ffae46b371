//go:build linux

package local_test

import (
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// An app that never becomes healthy, or ends at once, ends the start in time, with
// its own last words.
func TestAppNeverHealthy(t *testing.T) {
	for _, fault := range []string{"sick", "crash"} {
		t.Run(fault, func(t *testing.T) {
			t.Parallel()
			s := faulty(t, fault, "")
			r := s.Start()
			r.WaitFor(t, "edge", 20*time.Second)
			f := footprintOf(r, s)
			if code := r.Ended(t, 20*time.Second); code != 1 {
				t.Errorf("got exit code %d, want 1", code)
			}
			out := r.Out.String()
			for _, want := range []string{"fleet has 0 of", "GET /healthz", "balancer.startTimeout", "ringwall logs", "last lines of fleet-1.log", "the lamp is broken"} {
				if !strings.Contains(out, want) {
					t.Errorf("the message lacks %q\n%s", want, out)
				}
			}
			if strings.Contains(out, "admin-1.log") {
				t.Errorf("the message shows the log of an instance that is well\n%s", out)
			}
			f.gone(t, time.Second, true)
		})
	}
}

// restarts is how often fleet's apps were started again, and whether all are well.
func restarts(t *testing.T, s *localtest.Site) (n int, well bool) {
	t.Helper()
	well = true
	for _, i := range status(t, s).Instances {
		if strings.HasPrefix(i.Name, "fleet/") {
			n += i.App.Restarts
			well = well && i.Healthy && i.App.PID != 0
		}
	}
	return n, well
}

// An app that takes all the memory it gets is ended at its limit, and started
// again, with growing pauses when it goes on.
func TestAppLeaks(t *testing.T) {
	s := faulty(t, "leak", "")
	r := s.Up()
	c := s.Client()
	for range 3 {
		before, _ := restarts(t, s)
		s.Get(c, s.Visitor+"/leak") // its answer never comes
		localtest.Eventually(t, 15*time.Second, "the leaking app is started again", func() bool {
			n, well := restarts(t, s)
			return n > before && well
		})
		if status, _, err := s.Get(c, s.Office+"/"); err != nil || status != 200 {
			t.Errorf("admin answers %d %v while fleet leaks", status, err)
		}
	}
	if out := r.Out.String(); !strings.Contains(out, "started again in ") {
		t.Errorf("three ends in a row, and no pause\n%s", out)
	} else if !strings.Contains(out, "signal 9") && !strings.Contains(out, "exit code 2") {
		t.Errorf("the notes do not say how it ended\n%s", out)
	}
	localtest.Eventually(t, 5*time.Second, "fleet answers", func() bool {
		status, _, err := s.Get(c, s.Visitor+"/")
		return err == nil && status == 200
	})
}

// An app that forks wildly meets its limit; the rest of the site goes on.
func TestAppForks(t *testing.T) {
	s := faulty(t, "fork", "")
	r := s.Up()
	c := s.Client()
	code, text, err := s.Get(c, s.Visitor+"/fork")
	t.Logf("fork: %d %v %.100q", code, err, text)
	if strings.Contains(text, "no limit") {
		t.Error("5000 processes were started")
	}
	n := 0
	for _, p := range family(r.Cmd.Process.Pid) {
		if strings.HasSuffix(cmdline(p.pid), " sleep ") {
			n++
		}
	}
	if n > 64 {
		t.Errorf("fleet has %d processes, want at most 64", n)
	}
	if code, _, err := s.Get(c, s.Office+"/"); err != nil || code != 200 {
		t.Errorf("admin answers %d %v while fleet forks", code, err)
	}
	f := footprintOf(r, s)
	s.OK("down")
	f.gone(t, time.Second, true)
}

// An app that ignores the signal to end is ended when drainTimeout (2 s) is over.
func TestAppStubborn(t *testing.T) {
	t.Parallel()
	s := faulty(t, "stubborn", "")
	r := s.Up()
	f := footprintOf(r, s)
	began := time.Now()
	s.OK("down")
	if took := time.Since(began); took < 1500*time.Millisecond || took > 6*time.Second {
		t.Errorf("down took %v, want about the 2 s of drainTimeout", took)
	}
	f.gone(t, time.Second, true)
}
