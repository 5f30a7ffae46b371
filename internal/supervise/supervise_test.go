package supervise

import (
	"errors"
	"os"
	"os/exec"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

type cmd struct{ *exec.Cmd }

func (c cmd) PID() int                 { return c.Process.Pid }
func (c cmd) Signal(s os.Signal) error { return c.Process.Signal(s) }
func (c cmd) Kill() error              { return c.Process.Kill() }

func command(script string) func() (Process, error) {
	return func() (Process, error) {
		c := exec.Command("/bin/sh", "-c", script)
		return cmd{c}, c.Start()
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for range 500 {
		if ok() {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatalf("waited 5 s in vain until %s", what)
}

func TestKilledProcessIsStartedAgain(t *testing.T) {
	p := &Part{Name: "sleeper", Start: command("exec sleep 100")}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	first := p.Status().PID
	syscall.Kill(first, syscall.SIGKILL)
	eventually(t, "another process runs", func() bool {
		s := p.Status()
		return s.State == Running && s.PID != first
	})
	if s := p.Status(); s.Restarts != 1 || s.LastExit != "signal: killed" {
		t.Errorf("got %d restarts after %q, want 1 after %q", s.Restarts, s.LastExit, "signal: killed")
	}
}

func TestPausesGrow(t *testing.T) {
	var starts atomic.Int32
	start := command("exit 3")
	p := &Part{Name: "failing", First: 20 * time.Millisecond, Most: time.Hour,
		Start: func() (Process, error) { starts.Add(1); return start() }}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it was started four times", func() bool { return starts.Load() >= 4 })
	p.Stop()
	if n := starts.Load(); n > 8 {
		t.Errorf("got %d starts, want the pauses to double", n)
	}
	if p.Status().State != Stopped {
		t.Errorf("got state %s after Stop, want %s", p.Status().State, Stopped)
	}
}

func TestStopIgnored(t *testing.T) {
	p := &Part{Name: "deaf", Grace: 100 * time.Millisecond, Start: command("trap '' TERM; while :; do sleep 0.05; done")}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	pid := p.Status().PID
	time.Sleep(100 * time.Millisecond)
	p.Stop()
	if err := syscall.Kill(pid, 0); !errors.Is(err, syscall.ESRCH) {
		t.Errorf("process %d outlived Stop: %v", pid, err)
	}
	p.Stop()
}

func TestRestart(t *testing.T) {
	for _, script := range []string{"exec sleep 100", "trap '' TERM; while :; do sleep 0.05; done"} {
		p := &Part{Name: "part", Grace: 200 * time.Millisecond, Start: command(script)}
		if err := p.Run(); err != nil {
			t.Fatal(err)
		}
		first := p.Status().PID
		time.Sleep(50 * time.Millisecond)
		p.Restart()
		if s := p.Status(); s.State != Running || s.PID == first {
			t.Errorf("%s: got %+v, want another process than %d", script, s, first)
		}
		p.Stop()
	}
}

func TestStopIsAskedAgain(t *testing.T) {
	p := &Part{Name: "slow of hearing", Grace: 10 * time.Second, Again: 50 * time.Millisecond,
		Start: command("n=0; trap 'n=$((n+1))' TERM; while [ $n -lt 2 ]; do sleep 0.02; done")}
	if err := p.Run(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(100 * time.Millisecond)
	began := time.Now()
	p.Stop()
	if took := time.Since(began); took > 5*time.Second {
		t.Errorf("Stop took %v, want it to ask again", took)
	}
}

func TestFirstStartFails(t *testing.T) {
	want := errors.New("no such program")
	p := &Part{Name: "missing", Start: func() (Process, error) { return nil, want }}
	if err := p.Run(); !errors.Is(err, want) {
		t.Errorf("got %v, want %v", err, want)
	}
	p.Stop()
}
