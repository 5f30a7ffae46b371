package sandbox_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// TestTerminal runs a shell with job control on a terminal of ours.
func TestTerminal(t *testing.T) {
	for _, spawn := range []bool{true, false} {
		master, slave, err := pty.Open()
		if err != nil {
			t.Fatal(err)
		}
		s := box(t)
		s.Args = []string{"/usr/bin/bash", "--norc", "-i"}
		s.Env = []string{"PATH=/usr/bin", "PS1=:", "TERM=dumb"}
		s.Stdin, s.Stdout, s.Stderr, s.TTY = slave, slave, slave, true
		s.Calls.Spawn = spawn
		p, err := sandbox.Start(s)
		if err != nil {
			t.Fatal(err)
		}
		slave.Close()
		stop := time.AfterFunc(20*time.Second, func() { p.Kill() })
		io.WriteString(master, ": </dev/tty && echo tty-ok; exit 4\n")
		out, _ := io.ReadAll(master) // ends with EIO when the last holder is gone
		exit, err := p.Wait()
		stop.Stop()
		master.Close()
		if err != nil || !strings.Contains(string(out), "tty-ok\r") || strings.Contains(string(out), "no job control") || spawn && exit.Code != 4 {
			t.Errorf("spawn %v: %v, %v:\n%s", spawn, exit, err, out)
		}
	}
}

// TestParentDies kills a process that started a sandbox, and sees it gone.
func TestParentDies(t *testing.T) {
	for _, mode := range []string{"direct", "reaped"} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		c := exec.CommandContext(t.Context(), attacker, "parent", mode)
		c.ExtraFiles = []*os.File{w}
		out, err := c.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		w.Close()
		if line, err := bufio.NewReader(out).ReadString('\n'); err != nil || line != "up\n" {
			t.Fatalf("the parent said %q, %v", line, err)
		}
		c.Process.Signal(unix.SIGKILL)
		c.Wait()
		r.SetReadDeadline(time.Now().Add(5 * time.Second))
		if _, err := io.Copy(io.Discard, r); err != nil {
			t.Errorf("%s: the sandbox outlived its parent: %v", mode, err)
		}
		r.Close()
	}
}

// parent starts a sandbox that holds descriptor 3, and stays.
func parent(mode string) {
	s := sandbox.Spec{Name: "child", Args: []string{"/usr/bin/sleep", "60"}, UID: uid(), Files: []*os.File{os.NewFile(3, "hold")},
		Mounts: []sandbox.Mount{{Source: "/usr", Target: "/usr", Exec: true}},
		Links:  map[string]string{"/lib": "usr/lib", "/lib64": "usr/lib64"}, Calls: sandbox.Calls{Spawn: mode == "reaped"}}
	s.Skip |= sandbox.Cgroup // nobody is left to remove it
	p, err := sandbox.Start(s)
	if err != nil {
		os.Stdout.WriteString(err.Error() + "\n")
		os.Exit(1)
	}
	os.Stdout.WriteString("up\n")
	p.Wait()
}

// TestJoin puts two sandboxes into one network namespace.
func TestJoin(t *testing.T) {
	first := box(t)
	first.Args = []string{"/usr/bin/sleep", "60"}
	p, err := sandbox.Start(first)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { p.Kill(); p.Wait() }()
	if os.Geteuid() != 0 {
		return // joining needs a caller that owns the namespace; TestNested is one
	}
	f, err := os.Open(fmt.Sprintf("/proc/%d/ns/net", p.PID))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	second := box(t)
	second.Args = []string{"/usr/bin/readlink", "/proc/self/ns/net"}
	second.Net = f
	out, exit := run(t, second)
	want, err := os.Readlink(f.Name())
	if err != nil || !exit.Success() || strings.TrimSpace(out) != want {
		t.Errorf("inside: %q, %v; want %q", out, exit, want)
	}
	own, err := os.Readlink("/proc/thread-self/ns/net")
	if err != nil || own == want {
		t.Errorf("the caller is in %s, the sandbox in %s: %v", own, want, err)
	}
}

// TestReady sees that the program waits for the caller's word, and is never
// executed where the caller has an error instead.
func TestReady(t *testing.T) {
	for _, refuse := range []bool{false, true} {
		dir := shared(t)
		mark := filepath.Join(dir, "ran")
		s := box(t)
		s.Args = []string{"/usr/bin/touch", "/srv/ran"}
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/srv", Write: true})
		s.Calls.Meta = true
		early := false
		s.Ready = func() error {
			time.Sleep(50 * time.Millisecond)
			_, err := os.Stat(mark)
			early = err == nil
			if refuse {
				return errors.New("not today")
			}
			return nil
		}
		p, err := sandbox.Start(s)
		if err == nil {
			p.Wait()
		}
		_, ran := os.Stat(mark)
		switch {
		case early:
			t.Error("the program ran before the word")
		case refuse && (err == nil || !strings.Contains(err.Error(), "not today") || ran == nil):
			t.Errorf("refused: got %v, ran %v; want the caller's error and no program", err, ran == nil)
		case !refuse && (err != nil || ran != nil):
			t.Errorf("told to go: got %v, %v; want a program that ran", err, ran)
		}
	}
}
