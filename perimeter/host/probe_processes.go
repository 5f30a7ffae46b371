//go:build linux

package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/perimeter"
)

var processes = []*perimeter.Control{
	fleet("no-ptrace",
		"A fleet app can trace no process and read no process's memory.",
		"Whoever traces a process has its passwords, its connections and its rights.",
		func(_ context.Context, t *perimeter.Target) error {
			self := uintptr(os.Getpid())
			// Of a process that is not traced the kernel itself says ESRCH.
			unserved(t, syscall.EPERM, "ptrace", unix.SYS_PTRACE, unix.PTRACE_CONT, self, 0, 0)
			var from, to [1]byte
			local := unix.Iovec{Base: &to[0], Len: 1}
			remote := unix.RemoteIovec{Base: uintptr(unsafe.Pointer(&from[0])), Len: 1}
			_, err := unix.ProcessVMReadv(int(self), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
			if other := t.Denied(err, []syscall.Errno{syscall.EPERM}, "read a process's memory"); other != nil {
				return other
			}
			_, err = unix.ProcessVMWritev(int(self), []unix.Iovec{local}, []unix.RemoteIovec{remote}, 0)
			return t.Denied(err, []syscall.Errno{syscall.EPERM}, "write a process's memory")
		}),
	fleet("hidden-processes",
		"A fleet app sees no process but its own, and can signal no other.",
		"The list of processes is a map of the machine, and a signal ends what guards it.",
		hiddenProcesses),
	admin("admin-hidden-processes",
		"An admin app sees no process but its own, and can signal no other.",
		"The list of processes is a map of the machine, and a signal ends what guards it.",
		hiddenProcesses),
	fleet("no-proc-secrets",
		"A fleet app reads no other process's arguments, environment, memory or files.",
		"Passwords pass through arguments and environments of other programs on every machine.",
		noProcSecrets),
	fleet("agent-out-of-reach",
		"A fleet app can neither signal its own web server nor take its place.",
		"The web server refuses admin's routes; an app that replaces it serves them.",
		agentOutOfReach),
}

// ownPIDs are this process, the first process of its namespace where that collects
// orphans, and its children.
func ownPIDs() (map[int]bool, error) {
	self := os.Getpid()
	out := map[int]bool{self: true}
	if p := os.Getppid(); p == 1 && self < 16 {
		out[1] = true // a sandbox's first process; in the machine's own namespace ours has a higher number
	}
	tasks, err := filepath.Glob("/proc/self/task/[0-9]*/children")
	if err != nil {
		return nil, err
	}
	for _, f := range tasks {
		b, _ := os.ReadFile(f)
		for _, s := range strings.Fields(string(b)) {
			if n, err := strconv.Atoi(s); err == nil {
				out[n] = true
			}
		}
	}
	return out, nil
}

// listed are the processes in /proc; it is an error when not even our own is.
func listed() ([]int, error) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil, fmt.Errorf("reading /proc: %w", err)
	}
	var out []int
	for _, e := range entries {
		if n, err := strconv.Atoi(e.Name()); err == nil {
			out = append(out, n)
		}
	}
	if !slices.Contains(out, os.Getpid()) {
		return nil, errors.New("reading /proc: this process is not in it, so nothing can be told")
	}
	return out, nil
}

func hiddenProcesses(_ context.Context, t *perimeter.Target) error {
	pids, err := listed()
	if err != nil {
		return err
	}
	ours, err := ownPIDs()
	if err != nil {
		return err
	}
	t.Tried("list the processes in /proc")
	foreign := 0
	for _, pid := range pids {
		if !ours[pid] && !isChild(pid) {
			foreign++
		}
	}
	if foreign > 0 {
		t.Broken("/proc lists %d processes that are not this sandbox's", foreign)
	} else {
		t.Saw("/proc lists %d processes, all of this sandbox", len(pids))
	}
	return signals(t, ours)
}

// isChild says whether a process was made by this one meanwhile, or is gone.
func isChild(pid int) bool {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
	}
	_, rest, _ := bytes.Cut(b, []byte(") "))
	f := bytes.Fields(rest)
	return len(f) > 1 && string(f[1]) == strconv.Itoa(os.Getpid())
}

// signals sends signal 0, which does nothing, to every number that an early
// process of the machine or of the site would have.
func signals(t *perimeter.Target, ours map[int]bool) error {
	if err := unix.Kill(os.Getpid(), 0); err != nil {
		return fmt.Errorf("signalling this process itself, which is allowed: %w", err)
	}
	t.Tried("signal processes 1 to 4096")
	reached := 0
	first := 1
	if ours[1] {
		first = os.Getpid() // what is lower are the first process and its threads
	}
	for pid := first; pid <= 4096; pid++ {
		if ours[pid] {
			continue
		}
		// EPERM means that there is a process, and that it can be named.
		if err := unix.Kill(pid, 0); err != unix.ESRCH && !isThreadOrChild(pid) {
			reached++
		}
	}
	if reached > 0 {
		t.Broken("%d processes outside can be named by a signal", reached)
	} else {
		t.Saw("no number but this sandbox's own: %v", unix.ESRCH)
	}
	return nil
}

func isThreadOrChild(pid int) bool {
	if _, err := os.Stat(fmt.Sprintf("/proc/self/task/%d", pid)); err == nil {
		return true
	}
	return isChild(pid)
}

func noProcSecrets(_ context.Context, t *perimeter.Target) error {
	for _, f := range []string{"cmdline", "environ"} {
		if _, err := os.ReadFile("/proc/self/" + f); err != nil {
			return fmt.Errorf("reading this process's own %s, which is allowed: %w", f, err)
		}
	}
	pids, err := listed()
	if err != nil {
		return err
	}
	if !slices.Contains(pids, 1) {
		pids = append(pids, 1) // there is one, seen or not
	}
	t.Tried("look for other processes' secrets in /proc, which lists %d", len(pids))
	t.Saw("this process's own can be read")
	for _, pid := range pids {
		if pid == os.Getpid() || isChild(pid) && pid != 1 {
			continue
		}
		for _, f := range []string{"cmdline", "environ", "mem", "maps", "auxv"} {
			b, err := readSome(fmt.Sprintf("/proc/%d/%s", pid, f))
			t.Tried("read %s of process %d", f, pid)
			switch {
			case len(b) > 0:
				t.Broken("%s of process %d was read", f, pid)
			case err != nil:
				t.Saw("%s of process %d: %v", f, pid, err)
			}
		}
		for _, f := range []string{"root", "cwd", "exe"} {
			t.Tried("follow %s of process %d", f, pid)
			if to, err := os.Readlink(fmt.Sprintf("/proc/%d/%s", pid, f)); err == nil {
				t.Broken("%s of process %d leads to %s", f, pid, to)
			}
		}
	}
	return nil
}

// readSome reads the beginning of a file. The memory of a process begins where
// nothing is mapped, so that opening it is what counts.
func readSome(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err.(*fs.PathError).Err
	}
	defer f.Close()
	if filepath.Base(name) == "mem" {
		return []byte{0}, nil
	}
	b := make([]byte, 64)
	n, err := f.Read(b)
	return b[:n], err
}

func agentOutOfReach(ctx context.Context, t *perimeter.Target) error {
	at, ok := t.Inside.Services[t.Inside.Self]
	if !ok {
		return fmt.Errorf("the address of %s is not known", t.Inside.Self)
	}
	c, err := perimeter.Own(ctx, "tcp", at.String())
	if err != nil {
		return fmt.Errorf("dialling this instance's own web server, which runs: %w", err)
	}
	c.Close()
	for _, reuse := range []bool{false, true} {
		lc := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
			var err error
			raw.Control(func(fd uintptr) {
				if reuse {
					err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
				}
			})
			return err
		}}
		lc.SetMultipathTCP(false)
		l, err := lc.Listen(ctx, "tcp", at.String())
		if err == nil {
			l.Close()
		}
		if err := t.Denied(err, []syscall.Errno{syscall.EADDRINUSE, syscall.EACCES}, "listen on %s (sharing the port: %v)", at, reuse); err != nil {
			return err
		}
	}
	ours, err := ownPIDs()
	if err != nil {
		return err
	}
	return signals(t, ours)
}
