//go:build linux

package local_test

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/creack/pty"
)

// TestExecAbandoned sees that a session's program ends with its asker, also when
// it never reads what the asker sends.
func TestExecAbandoned(t *testing.T) {
	t.Parallel()
	s := faulty(t, "", "")
	s.Up()
	const mark, terminalMark = "86399.25", "86399.75"
	running := func(mark string) bool { return exec.Command("pgrep", "-f", "^sleep "+mark).Run() == nil }
	wait := func(mark string, want bool) bool {
		for end := time.Now().Add(20 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
			if running(mark) == want {
				return true
			}
		}
		return false
	}
	abandon := func(mark string, c *exec.Cmd) {
		t.Helper()
		if !wait(mark, true) {
			t.Error("the program does not run")
		}
		time.Sleep(500 * time.Millisecond) // its input is full
		c.Process.Kill()
		c.Wait()
		if !wait(mark, false) {
			t.Error("the program runs on after its asker was killed")
		}
	}
	asker := func(args ...string) *exec.Cmd {
		c := exec.Command(s.Bin, append([]string{"exec", "fleet/1"}, args...)...)
		c.Dir, c.Env = s.Dir, s.Env
		return c
	}
	c := asker("--", "sleep", mark)
	c.Stdin = strings.NewReader(strings.Repeat("x", 4<<20))
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	abandon(mark, c)

	c = asker() // at a terminal: one that loses nothing makes its writer wait
	terminal, err := pty.Start(c)
	if err != nil {
		t.Fatal(err)
	}
	defer terminal.Close()
	go io.Copy(io.Discard, terminal)
	io.WriteString(terminal, "stty raw -echo; exec sleep "+terminalMark+"\n")
	if wait(terminalMark, true) {
		go io.WriteString(terminal, strings.Repeat("x", 1<<20))
	}
	abandon(terminalMark, c)

	// An output that takes nothing.
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	c = asker("--", "yes")
	c.Stdout = full
	end := time.AfterFunc(20*time.Second, func() { c.Process.Kill() })
	defer end.Stop()
	var exit *exec.ExitError
	if err := c.Run(); !errors.As(err, &exit) || exit.ExitCode() != 1 {
		t.Errorf("an endless output that nobody takes: got %v, want exit code 1", err)
	}
}
