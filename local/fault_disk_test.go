//go:build linux

package local_test

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The disk of a site's state is full: reads go on, the owner is told, a change is
// refused with nothing lost, and the site heals when there is room. The test runs
// itself again in a mount namespace of its own, where that disk is a small one.
func TestDiskFull(t *testing.T) {
	if os.Getenv("RINGWALL_TEST_DISK") == "" {
		c := exec.Command("/proc/self/exe", "-test.run=^TestDiskFull$", "-test.v", "-test.timeout=3m")
		c.Env = append(os.Environ(), "RINGWALL_TEST_DISK=1")
		c.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
		if os.Getuid() != 0 {
			t.Fatal("NOT RUN: a small disk can be mounted by root only")
		}
		out, err := c.CombinedOutput()
		t.Logf("%s", out)
		if err != nil {
			t.Fatal(err)
		}
		return
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		t.Fatalf("NOT RUN: making mounts private: %v", err)
	}
	s := board(t)
	disk := filepath.Dir(s.State())
	if err := os.Mkdir(disk, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("small", disk, "tmpfs", 0, "size=320m,mode=0700"); err != nil {
		t.Fatalf("NOT RUN: mounting a small disk: %v", err)
	}
	defer unix.Unmount(disk, unix.MNT_DETACH)
	r := s.Up()
	l := newLoad(t, s)
	time.Sleep(500 * time.Millisecond)
	l.must("before the disk is full")

	ballast := filepath.Join(disk, "ballast")
	fill(t, ballast)
	time.Sleep(3 * time.Second)
	reads, comments := l.failures()
	t.Logf("with a full disk: %d reads and %d comments failed", len(reads), len(comments))
	for _, f := range reads {
		t.Errorf("the disk is full: %s", f.what)
	}
	r.WaitFor(t, "the disk is full", 5*time.Second)
	if st := status(t, s); !slices.ContainsFunc(st.Notes, func(n string) bool { return strings.Contains(n, "the disk is full") }) {
		t.Errorf("status does not say that the disk is full: %q", st.Notes)
	}
	if x := s.Run("replace", s.Name, "fleet"); x.Code == 0 {
		t.Log("replace worked on a full disk")
	} else if !strings.Contains(x.Stderr, "no space left") {
		t.Errorf("replace on a full disk: got %q, want the reason", x.Stderr)
	}
	fill(t, ballast)
	l.failures()

	// The database ends meanwhile. It may not come back before there is room.
	st := status(t, s)
	l.fault(hostPID(t, r, st.Parts[slices.IndexFunc(st.Parts, func(p part) bool { return p.Name == "database" })].PID))
	time.Sleep(2 * time.Second)
	os.Remove(ballast)
	room := time.Now()
	took := l.healed("full disk and database").Milliseconds()
	t.Logf("healed %d ms after the fault, %d ms after there was room", took, time.Since(room).Milliseconds())
	r.WaitFor(t, "there is room on the disk again", 5*time.Second)
	l.end()
	l.present()
	s.OK("down")

	// A start on a full disk is refused, with the reason; and works when there is room.
	fill(t, ballast)
	c, out, done := begin(t, s)
	select {
	case <-done:
		if c.ProcessState.ExitCode() != 1 || !strings.Contains(out.String(), "no space left") {
			t.Errorf("up on a full disk: got %d\n%s", c.ProcessState.ExitCode(), out)
		}
	case <-time.After(40 * time.Second):
		t.Errorf("up on a full disk: neither up nor refused in 40 s\n%s", out)
		c.Process.Signal(os.Interrupt)
		<-done
	}
	os.Remove(ballast)
	s.Up()
	l.present()
	s.OK("down")
}

// fill writes until there is no room at all.
func fill(t *testing.T, name string) {
	t.Helper()
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, size := range []int{1 << 20, 4096, 1} {
		for err = nil; err == nil; {
			_, err = f.Write(make([]byte, size))
		}
		if !errors.Is(err, syscall.ENOSPC) {
			t.Fatal(fmt.Errorf("NOT RUN: filling the disk: %w", err))
		}
	}
}
