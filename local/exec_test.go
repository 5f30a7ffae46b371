//go:build linux

package local_test

import (
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestExecAbandoned sees that a session's program ends with its asker, also when
// it never reads what the asker sends.
func TestExecAbandoned(t *testing.T) {
	t.Parallel()
	s := faulty(t, "", "")
	s.Up()
	const mark = "86399.25"
	c := exec.Command(s.Bin, "exec", "fleet/1", "--", "sleep", mark)
	c.Dir, c.Env = s.Dir, s.Env
	c.Stdin = strings.NewReader(strings.Repeat("x", 4<<20))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	running := func() bool { return exec.Command("pgrep", "-f", "^sleep "+mark).Run() == nil }
	wait := func(want bool) bool {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if running() == want {
				return true
			}
		}
		return false
	}
	if !wait(true) {
		t.Error("the program does not run")
	}
	time.Sleep(500 * time.Millisecond) // its input is full
	c.Process.Kill()
	c.Wait()
	if !wait(false) {
		t.Error("the program runs on after its asker was killed")
	}
}
