//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
)

var limitControls = []*perimeter.Control{
	alone(fleet("limits-processes",
		"A fleet app that forks without end stops at its own limit.",
		"A few bytes of shell would take the whole machine.",
		limitProcesses)),
	alone(fleet("limits-memory",
		"A fleet app that takes memory without end stops at its own limit.",
		"One leak, or one request that asks for much, would take the machine.",
		limitMemory)),
	alone(switched("host/limits-memory", fleet("limits-shared-memory",
		"Memory that processes share counts as well.",
		"An app that is bounded in its own memory would take the machine's as shared memory.",
		limitShared))),
	alone(fleet("limits-files",
		"A fleet app that opens files without end stops at its own limit.",
		"The kernel's table of open files is the machine's, and everybody's.",
		limitFiles)),
	alone(fleet("limits-file-size",
		"A fleet app can write no file that is larger than its limit.",
		"One file would fill the disk, and with it the database and the logs.",
		limitFileSize)),
	alone(fleet("limits-scratch",
		"What a fleet app writes beside its tree lies in memory, and has a bound.",
		"It is the one place where a captured visitor's instance writes: without a bound it would fill the machine's disk.",
		limitScratch)),
}

// bounds are the limits that the plan gives the tier, with the defaults.
func bounds(t *perimeter.Target) (sandbox.Limits, error) {
	tier := t.Plan.Tier(t.Inside.Tier)
	if tier == nil {
		return sandbox.Limits{}, fmt.Errorf("the plan has no tier %q", t.Inside.Tier)
	}
	l := limits(tier.Limits)
	if l.Processes <= 0 {
		l.Processes = sandbox.DefaultProcesses
	}
	if l.Memory <= 0 {
		l.Memory = sandbox.DefaultMemory
	}
	if l.OpenFiles <= 0 {
		l.OpenFiles = sandbox.DefaultOpenFiles
	}
	if l.FileSize <= 0 {
		l.FileSize = sandbox.DefaultFileSize
	}
	return l, nil
}

// slack is how far beyond a limit a probe goes: the sandbox's own first process
// and its threads count on top.
const slack = 16

func limitProcesses(_ context.Context, t *perimeter.Target) error {
	l, err := bounds(t)
	if err != nil {
		return err
	}
	var pipe [2]int // its end tells the children to exit
	if err := unix.Pipe2(pipe[:], unix.O_CLOEXEC); err != nil {
		return fmt.Errorf("making a pipe: %w", err)
	}
	defer unix.Close(pipe[0])
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	t.Tried("make %d processes, where %d are allowed", l.Processes+slack, l.Processes)
	var pids []int
	var refused syscall.Errno
	for len(pids) < l.Processes+slack {
		syscall.ForkLock.Lock()
		pid, e := clone(0, &pipe)
		syscall.ForkLock.Unlock()
		if e != 0 {
			refused = e
			break
		}
		pids = append(pids, int(pid))
	}
	unix.Close(pipe[1])
	for _, pid := range pids {
		unix.Kill(pid, unix.SIGKILL)
	}
	for _, pid := range pids {
		reap(pid)
	}
	switch {
	case refused == 0:
		t.Broken("%d processes ran at once", len(pids))
	case refused == syscall.EAGAIN && len(pids) > 0, refused == syscall.EPERM && len(pids) == 0:
		t.Saw("after %d processes: %v", len(pids), refused)
	default:
		return fmt.Errorf("making a process after %d others: %w", len(pids), refused)
	}
	return nil
}

// limitMemory maps memory and never touches it: the bound is on what is mapped
// for writing, so nothing is taken from the machine where the wall is down.
func limitMemory(_ context.Context, t *perimeter.Target) error {
	l, err := bounds(t)
	if err != nil {
		return err
	}
	const room = 192 << 20 // run times reserve some that they never use
	size := int(l.Memory + room)
	// The same size shared, which this bound does not count: it shows that it is
	// not the machine that has no more.
	b, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_SHARED|unix.MAP_NORESERVE)
	if err != nil {
		return fmt.Errorf("mapping %d MiB that do not count: %w", size>>20, err)
	}
	unix.Munmap(b)
	b, err = unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_PRIVATE|unix.MAP_NORESERVE)
	if err == nil {
		unix.Munmap(b)
	}
	return t.Denied(err, []syscall.Errno{syscall.ENOMEM}, "map %d MiB, where %d are allowed", size>>20, l.Memory>>20)
}

// limitShared takes shared memory up to a little over the limit and keeps it for
// a moment: who bounds it may need that to look.
func limitShared(ctx context.Context, t *perimeter.Target) error {
	l, err := bounds(t)
	if err != nil {
		return err
	}
	const room = 64 << 20
	size := uintptr(l.Memory + room)
	rest := unix.NsecToTimespec(int64(2 * time.Second))
	t.Tried("take %d MiB of shared memory, where %d are allowed", size>>20, l.Memory>>20)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.ForkLock.Lock()
	pid, e := cloneTouch(size, &rest)
	syscall.ForkLock.Unlock()
	if e != 0 {
		return fmt.Errorf("making a process: %w", e)
	}
	ws, err := reap(int(pid))
	switch {
	case err != nil:
		return err
	case ws.Signaled() && ws.Signal() == unix.SIGKILL:
		t.Saw("the process was ended")
	case ws.ExitStatus() == int(syscall.ENOMEM):
		t.Saw("%v", syscall.ENOMEM)
	case ws.ExitStatus() == 0:
		t.Broken("a process had %d MiB for two seconds", size>>20)
	default:
		return fmt.Errorf("taking shared memory: the process ended with %v", ws)
	}
	return nil
}

func limitFiles(_ context.Context, t *perimeter.Target) error {
	l, err := bounds(t)
	if err != nil {
		return err
	}
	null, err := unix.Open("/dev/null", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening /dev/null: %w", err)
	}
	fds := []int{null}
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	for len(fds) <= l.OpenFiles && err == nil {
		var fd int
		if fd, err = unix.FcntlInt(uintptr(null), unix.F_DUPFD_CLOEXEC, 0); err == nil {
			fds = append(fds, fd)
		}
	}
	return t.Denied(err, []syscall.Errno{syscall.EMFILE}, "open %d files, where %d are allowed", l.OpenFiles+1, l.OpenFiles)
}

func limitFileSize(_ context.Context, t *perimeter.Target) error {
	l, err := bounds(t)
	if err != nil {
		return err
	}
	signal.Ignore(syscall.SIGXFSZ)
	name, done, err := scratch(os.TempDir(), 0o600, "x")
	if err != nil {
		return err
	}
	defer done()
	// A file with a hole: it has the size and takes no room.
	if err := os.Truncate(name, l.FileSize); err != nil {
		return fmt.Errorf("making a file of %d bytes, which is allowed: %w", l.FileSize, err)
	}
	err = os.Truncate(name, l.FileSize+1)
	if errors.Is(err, syscall.EINVAL) {
		return fmt.Errorf("making a file of %d bytes: this file system has none as large: %w", l.FileSize+1, err)
	}
	return t.Denied(err, []syscall.Errno{syscall.EFBIG}, "make a file of %d bytes, where %d are allowed", l.FileSize+1, l.FileSize)
}

func limitScratch(_ context.Context, t *perimeter.Target) error {
	l, err := bounds(t)
	if err != nil {
		return err
	}
	chunk := min(l.FileSize, 4<<20)
	for _, dir := range t.Inside.Write {
		var names []string
		defer func() {
			for _, n := range names {
				os.Remove(n)
			}
		}()
		t.Tried("fill %s with more than %d MiB", dir, sandbox.DefaultTmp>>20)
		room := func() error {
			name, _, err := scratch(dir, 0o600, "x")
			if err != nil {
				return err
			}
			names = append(names, name)
			f, err := os.OpenFile(name, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			defer f.Close()
			return unix.Fallocate(int(f.Fd()), 0, 0, chunk)
		}
		for n := int64(0); ; n += chunk {
			err := room()
			if errors.Is(err, syscall.ENOSPC) && n > 0 {
				t.Saw("%s: %v after %d MiB", dir, err, n>>20)
				break
			}
			if err != nil {
				return fmt.Errorf("writing to %s, which is allowed: %w", dir, err)
			}
			if n > sandbox.DefaultTmp {
				t.Broken("%s took %d MiB", dir, n>>20)
				break
			}
		}
	}
	return nil
}
