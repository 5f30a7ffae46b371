//go:build linux

package local_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// seed of the random moments; printed, so that a failure can be had again.
const seed = 20261122

// begin starts `up` without the clean-up that Start promises, for runs that are
// killed.
func begin(t *testing.T, s *localtest.Site, args ...string) (*exec.Cmd, *localtest.Buffer, chan error) {
	t.Helper()
	c := s.Command(append([]string{"up"}, args...)...)
	out := &localtest.Buffer{}
	c.Stdout, c.Stderr, c.WaitDelay = out, out, 2*time.Second
	c.SysProcAttr.Setpgid = true
	if err := localtest.StartForever(c); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	t.Cleanup(func() { c.Process.Kill() })
	return c, out, done
}

// Ctrl-C at any moment of a start ends it soon and leaves nothing, and the next
// up works. The first starts are first ones of the site: they make its state.
func TestInterruptStart(t *testing.T) {
	n := 6
	if full() {
		n = 20
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 1))
	s := board(t)
	worst := time.Duration(0)
	for i := range n {
		if i < n/4 {
			os.RemoveAll(s.State()) // what takes time then is the making of the database
		} else if i == n/4 {
			s.Up()
			s.OK("down")
		}
		delay := time.Duration(rnd.IntN(2000)) * time.Millisecond
		c, out, done := begin(t, s)
		time.Sleep(delay)
		f := footprintFrom(c.Process.Pid, s)
		at := time.Now()
		c.Process.Signal(os.Interrupt)
		select {
		case <-done:
		case <-time.After(15 * time.Second):
			t.Fatalf("Ctrl-C after %v: the start did not end in 15 s\n%s", delay, out)
		}
		worst = max(worst, time.Since(at))
		f.gone(t, 2*time.Second, delay > 300*time.Millisecond)
	}
	t.Logf("%d starts interrupted, the slowest ended after %d ms", n, worst.Milliseconds())
	s.Up()
	s.OK("down")
}

// Ctrl-C of a start in the background stops it as well.
func TestInterruptDetachedStart(t *testing.T) {
	s := board(t)
	for _, delay := range []time.Duration{50 * time.Millisecond, 400 * time.Millisecond} {
		c := s.Command("up", "--detach")
		var out strings.Builder
		c.Stdout, c.Stderr = &out, &out
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		time.Sleep(delay)
		c.Process.Signal(os.Interrupt)
		c.Wait()
		if code := c.ProcessState.ExitCode(); code == 0 && strings.Contains(out.String(), "Try next") {
			t.Logf("it was up within %v", delay)
		} else if code != 1 && code != -1 || code == 1 && !strings.Contains(out.String(), "nothing of the site runs") {
			t.Errorf("Ctrl-C after %v: got %d\n%s", delay, code, &out)
		}
		if r := s.Run("status"); r.Code == 0 && !strings.Contains(out.String(), "Try next") {
			t.Errorf("Ctrl-C after %v: the site runs\n%s", delay, r.Stdout)
		}
		s.Run("down")
	}
}

// kill -9 at any moment of the first start: the next up works.
func TestKillFirstStart(t *testing.T) {
	n := 2
	if full() {
		n = 4
	}
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 2))
	for i := range n {
		s := board(t)
		delay := time.Duration(100+rnd.IntN(3000)) * time.Millisecond
		if full() && i == n-1 {
			delay = 50 * time.Millisecond
		}
		c, out, done := begin(t, s)
		time.Sleep(delay)
		f := footprintFrom(c.Process.Pid, s)
		c.Process.Kill()
		<-done
		f.gone(t, 3*time.Second, false)
		before := out.String()
		r := s.Start()
		r.WaitFor(t, "site           ready", 30*time.Second)
		if status, text, err := s.Get(s.Client(), s.Visitor+"/"); err != nil || status != 200 {
			t.Errorf("killed after %v: the next up answers %d %v %.100q\n%s\n%s", delay, status, err, text, before, r.Out)
		}
		s.OK("down")
	}
}

func TestPortTaken(t *testing.T) {
	t.Parallel()
	s := faulty(t, "", "")
	l, err := net.Listen("tcp", strings.TrimPrefix(s.Office, "https://"))
	if err != nil {
		t.Fatal(err)
	}
	r := s.Run("up")
	if r.Code != 1 || !strings.Contains(r.Stderr, "another program listens there") || !strings.Contains(r.Stderr, strings.TrimPrefix(s.Office, "https://")) {
		t.Errorf("a port taken: got %d %q", r.Code, r.Stderr)
	}
	r = s.Run("up", "-d")
	if r.Code != 1 || !strings.Contains(r.Stderr, "another program listens there") {
		t.Errorf("a port taken, detached: got %d %q", r.Code, r.Stderr)
	}
	l.Close()
	s.Up()
}

func TestSecondUp(t *testing.T) {
	t.Parallel()
	s := faulty(t, "", "")
	first := s.Up()
	before := family(first.Cmd.Process.Pid)
	for _, args := range [][]string{{"up"}, {"up", "-d"}} {
		began := time.Now()
		r := s.Run(args...)
		if r.Code != 1 || !strings.Contains(r.Stderr, "already running") || !strings.Contains(r.Stderr, "ringwall down") ||
			!strings.Contains(r.Stderr, fmt.Sprint(first.Cmd.Process.Pid)) {
			t.Errorf("%v: got %d %q, want 1 and the supervisor's process", args, r.Code, r.Stderr)
		}
		if took := time.Since(began); took > 3*time.Second {
			t.Errorf("%v: took %v", args, took)
		}
	}
	if after := family(first.Cmd.Process.Pid); len(after) != len(before) {
		t.Errorf("the first run has %d processes, had %d", len(after), len(before))
	}
	if status, _, err := s.Get(s.Client(), s.Visitor+"/"); err != nil || status != 200 {
		t.Errorf("the first run answers %d %v", status, err)
	}
}

// The supervisor of a detached site outlives the terminal it was started from, and
// down may be asked for at any time, also twice.
func TestDetachAndDown(t *testing.T) {
	s := faulty(t, "", "")
	if r := s.Run("down"); r.Code != 1 || !strings.Contains(r.Stderr, "not running") {
		t.Errorf("down before any up: got %d %q", r.Code, r.Stderr)
	}
	c := exec.Command("setsid", "-w", "sh", "-c", fmt.Sprintf("'%s' up -d </dev/null; kill -HUP -$$", s.Bin))
	c.Dir, c.Env = s.Dir, s.Env
	out, _ := c.CombinedOutput()
	time.Sleep(200 * time.Millisecond)
	if status, _, err := s.Get(s.Client(), s.Visitor+"/"); err != nil || status != 200 {
		t.Fatalf("after the terminal closed: got %d %v\n%s", status, err, out)
	}
	// Two at one time, and one more.
	codes := make(chan localtest.Result, 2)
	for range 2 {
		go func() { codes <- s.Run("down") }()
	}
	for range 2 {
		if r := <-codes; r.Code != 0 && !strings.Contains(r.Stderr, "not running") {
			t.Errorf("down, two at once: got %d %q", r.Code, r.Stderr)
		}
	}
	if answers(s) {
		t.Error("the door is open after down")
	}
	if r := s.Run("down"); r.Code != 1 || !strings.Contains(r.Stderr, "not running") {
		t.Errorf("down again: got %d %q", r.Code, r.Stderr)
	}

	// A site that runs in a terminal which closes stops in order. Whoever runs the
	// tests under nohup would hand down that the signal is ignored.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	r := s.Up()
	f := footprintOf(r, s)
	r.Cmd.Process.Signal(syscall.SIGHUP)
	r.Ended(t, 15*time.Second)
	f.gone(t, time.Second, true)
	if !strings.Contains(r.Out.String(), "stopped") {
		t.Errorf("a terminal that closed: got no orderly stop\n%s", r.Out)
	}
}

// TestDownWhileDatabaseIsMade: a new data directory takes seconds, minutes on a
// slow disk. Whoever stops the site does not wait for it, and the next start makes
// another.
func TestDownWhileDatabaseIsMade(t *testing.T) {
	t.Parallel()
	s := faulty(t, "", "database: {config: instance, engine: postgres}")
	r := s.Start()
	live := filepath.Join(s.State(), "database", "server")
	for end := time.Now().Add(time.Minute); ; time.Sleep(time.Millisecond) {
		if _, err := os.Stat(live + ".new"); err == nil {
			break
		}
		if time.Now().After(end) {
			t.Fatalf("no data directory was begun in a minute\n%s", r.Out)
		}
	}
	f := footprintOf(r, s)
	s.OK("down")
	if code := r.Ended(t, 20*time.Second); code != 0 {
		t.Errorf("down while the database is made: the supervisor ended with %d, want 0\n%s", code, r.Out)
	}
	f.gone(t, time.Second, true)
	if _, err := os.Stat(live); err == nil {
		t.Errorf("down waited until the database was made\n%s", r.Out)
	}
	s.Up()
}

func TestDownWhileStarting(t *testing.T) {
	t.Parallel()
	s := faulty(t, "sick", "")
	r := s.Start()
	r.WaitFor(t, "edge", 20*time.Second)
	f := footprintOf(r, s)
	s.OK("down")
	if code := r.Ended(t, 10*time.Second); code != 0 {
		t.Errorf("down while starting: the supervisor ended with %d, want 0\n%s", code, r.Out)
	}
	f.gone(t, time.Second, true)
}
