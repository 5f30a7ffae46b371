//go:build linux

package host

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/perimeter"
)

var calls = []*perimeter.Control{
	fleet("seccomp",
		docSeccomp,
		whySeccomp,
		func(_ context.Context, t *perimeter.Target) error {
			return status(t, map[string]string{"Seccomp": "2"})
		}),
	fleet("landlock",
		"A second mechanism repeats what the mounts forbid a fleet app.",
		"One hole in the mounts' code would be enough.",
		func(_ context.Context, t *perimeter.Target) error {
			const file = "/proc/self/comm" // on a mount that can be written: Landlock alone forbids it
			if _, err := os.ReadFile(file); err != nil {
				return fmt.Errorf("reading %s, which is allowed: %w", file, err)
			}
			return denyOpen(t, file, unix.O_WRONLY, syscall.EACCES)
		}),
	fleet("no-new-privs",
		docNewPrivs,
		whyNewPrivs,
		func(_ context.Context, t *perimeter.Target) error {
			return status(t, map[string]string{"NoNewPrivs": "1"})
		}),
	fleet("no-capabilities",
		docCapabilities,
		whyCapabilities,
		noCapabilities),
	admin("admin-no-capabilities",
		docAdminCapabilities,
		whyCapabilities,
		noCapabilities),
	fleet("no-nested-namespaces",
		"A fleet app cannot make namespaces of its own.",
		"In its own namespace an app is root again and meets all of the kernel that only root sees.",
		noNesting),
	fleet("no-mount",
		"A fleet app cannot change what is mounted.",
		"A mount that is made writable again ends the read-only tree.",
		func(_ context.Context, t *perimeter.Target) error {
			bad := ^uintptr(4095) // no address, so that nothing happens where a wall is down
			unserved(t, syscall.EPERM, "mount", unix.SYS_MOUNT, bad, bad, bad, 0, 0)
			unserved(t, syscall.EPERM, "open_tree", unix.SYS_OPEN_TREE, ^uintptr(0), bad, ^uintptr(0))
			unserved(t, syscall.EPERM, "mount_setattr", unix.SYS_MOUNT_SETATTR, ^uintptr(0), bad, ^uintptr(0))
			unserved(t, syscall.EPERM, "umount", unix.SYS_UMOUNT2, bad, ^uintptr(0))
			unserved(t, syscall.EPERM, "fsopen", unix.SYS_FSOPEN, bad, ^uintptr(0))
			return nil
		}),
	fleet("no-io-uring",
		"A fleet app has no io_uring, which does work that no filter sees.",
		"Through it files and sockets are opened past seccomp.",
		func(_ context.Context, t *perimeter.Target) error {
			var params [120]byte
			fd, _, e := unix.Syscall(unix.SYS_IO_URING_SETUP, 1, uintptr(unsafe.Pointer(&params[0])), 0)
			if e == 0 {
				unix.Close(int(fd))
			}
			err := t.Denied(errnoOf(e), []syscall.Errno{syscall.ENOSYS}, "io_uring_setup")
			unserved(t, syscall.ENOSYS, "io_uring_register", unix.SYS_IO_URING_REGISTER, ^uintptr(0), ^uintptr(0), 0, 0)
			return err
		}),
	fleet("no-bpf",
		"A fleet app loads no code into the kernel and watches no event of it.",
		"The checker of such code has been wrong often enough to give the kernel away.",
		func(_ context.Context, t *perimeter.Target) error {
			bad := ^uintptr(4095)
			unserved(t, syscall.EPERM, "bpf", unix.SYS_BPF, 0, bad, 1<<20)
			unserved(t, syscall.EPERM, "perf_event_open", unix.SYS_PERF_EVENT_OPEN, bad, 0, 0, 0, 0)
			unserved(t, syscall.EPERM, "userfaultfd", unix.SYS_USERFAULTFD, 0xffff)
			return nil
		}),
	fleet("no-keyring",
		"A fleet app reads and stores nothing in the kernel's keyrings.",
		"Keyrings are shared past mounts and processes, and have given the kernel away before.",
		func(_ context.Context, t *perimeter.Target) error {
			bad := ^uintptr(4095)
			unserved(t, syscall.EPERM, "keyctl", unix.SYS_KEYCTL, 9999)
			unserved(t, syscall.EPERM, "add_key", unix.SYS_ADD_KEY, bad, bad, 0, 0, 0)
			unserved(t, syscall.EPERM, "request_key", unix.SYS_REQUEST_KEY, bad, bad, bad, 0)
			return nil
		}),
	fleet("no-file-handles",
		"A fleet app opens no file by its number, only by a name that it can see.",
		"A file's number leads past every mount to the whole disk.",
		func(_ context.Context, t *perimeter.Target) error {
			bad := ^uintptr(4095)
			unserved(t, syscall.EPERM, "name_to_handle_at", unix.SYS_NAME_TO_HANDLE_AT, ^uintptr(0), bad, bad, bad, ^uintptr(0))
			return nil
		}),
	fleet("no-foreign-calls",
		"System calls in the numbering of another architecture are refused.",
		"The same calls under other numbers pass a filter that knows one numbering.",
		foreign),
	fleet("no-chmod",
		"A fleet app cannot change the mode, owner, times or attributes even of files that it owns.",
		"A mode that is changed outlives the app: a file that others may write, a program that runs as its owner.",
		noChmod),
	fleet("no-spawn",
		"A fleet app runs nothing that it wrote; a PHP app runs no other program at all.",
		"The first thing that an intruder starts is a shell, the second a program that he brought.",
		noSpawn),
}

func errnoOf(e syscall.Errno) error {
	if e == 0 {
		return nil
	}
	return e
}

// unserved makes a call whose arguments no kernel would accept.
func unserved(t *perimeter.Target, want syscall.Errno, name string, nr uintptr, args ...uintptr) {
	var a [6]uintptr
	copy(a[:], args)
	_, _, e := unix.Syscall6(nr, a[0], a[1], a[2], a[3], a[4], a[5])
	t.Unserved(errnoOf(e), []syscall.Errno{want}, "call %s", name)
}

// status compares lines of /proc/self/status, of every thread.
func status(t *perimeter.Target, want map[string]string) error {
	tasks, err := filepath.Glob("/proc/self/task/[0-9]*/status")
	if err != nil || len(tasks) == 0 {
		return fmt.Errorf("looking for this process's threads in /proc: %d found (%v)", len(tasks), err)
	}
	for key, value := range want {
		t.Tried("read %s of every thread", key)
		seen := 0
		for _, task := range tasks {
			b, err := os.ReadFile(task)
			if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
				continue // the thread ended
			}
			if err != nil {
				return fmt.Errorf("reading %s: %w", task, err)
			}
			for line := range strings.Lines(string(b)) {
				k, v, _ := strings.Cut(strings.TrimSpace(line), ":")
				if k != key {
					continue
				}
				seen++
				if v = strings.TrimSpace(v); v != value {
					t.Broken("%s is %s, want %s", key, v, value)
				}
			}
		}
		if seen == 0 {
			return fmt.Errorf("reading %s: this kernel does not say", key)
		}
		t.Saw("%s is %s on %d threads", key, value, seen)
	}
	return nil
}

func noCapabilities(_ context.Context, t *perimeter.Target) error {
	const none = "0000000000000000"
	if err := status(t, map[string]string{"CapInh": none, "CapPrm": none, "CapEff": none, "CapBnd": none, "CapAmb": none}); err != nil {
		return err
	}
	// Only who has the right may give itself a right.
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_RAISE, unix.CAP_NET_ADMIN, 0, 0)
	return t.Denied(err, []syscall.Errno{syscall.EPERM}, "raise a capability")
}

func noNesting(_ context.Context, t *perimeter.Target) error {
	want := []syscall.Errno{syscall.EPERM, syscall.ENOSPC}
	if err := tryClone(0); err != nil && !errors.Is(err, syscall.EPERM) {
		return fmt.Errorf("making an ordinary child process: %w", err)
	}
	var err error
	for _, n := range []struct {
		name  string
		flags uintptr
	}{
		{"user", unix.CLONE_NEWUSER},
		{"user and mount", unix.CLONE_NEWUSER | unix.CLONE_NEWNS},
		{"user and network", unix.CLONE_NEWUSER | unix.CLONE_NEWNET},
		{"user and process", unix.CLONE_NEWUSER | unix.CLONE_NEWPID},
	} {
		err = errors.Join(err, t.Denied(tryClone(n.flags), want, "make a %s namespace", n.name))
	}
	unserved(t, syscall.ENOSYS, "clone3", unix.SYS_CLONE3, ^uintptr(4095), 1)
	unserved(t, syscall.EPERM, "unshare", unix.SYS_UNSHARE, 1)
	unserved(t, syscall.EPERM, "setns", unix.SYS_SETNS, ^uintptr(0), 1)
	return err
}

func foreign(_ context.Context, t *perimeter.Target) error {
	if runtime.GOARCH == "amd64" {
		const x32 = 0x40000000
		unserved(t, syscall.EPERM, "getpid in the x32 numbering", x32|unix.SYS_GETPID)
		unserved(t, syscall.EPERM, "socket in the x32 numbering", x32|unix.SYS_SOCKET, unix.AF_INET, unix.SOCK_DGRAM)
		return nil
	}
	// This architecture has no second numbering in the same mode.
	return status(t, map[string]string{"Seccomp": "2"})
}

// scratch makes a file of its own in a directory, to be removed by done.
func scratch(dir string, mode os.FileMode, text string) (name string, done func(), err error) {
	name = filepath.Join(dir, fmt.Sprintf(".ringwall-probe-%d-%d", os.Getpid(), time.Now().UnixNano()))
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, mode)
	if err != nil {
		return name, nil, fmt.Errorf("making a file where this tier may: %w", err)
	}
	_, err = f.WriteString(text)
	if err = errors.Join(err, f.Close()); err != nil {
		os.Remove(name)
		return name, nil, fmt.Errorf("writing a file where this tier may: %w", err)
	}
	return name, func() { os.Remove(name) }, nil
}

func noChmod(_ context.Context, t *perimeter.Target) error {
	name, done, err := scratch(os.TempDir(), 0o600, "x")
	if err != nil {
		return err
	}
	defer done()
	want := []syscall.Errno{syscall.EACCES}
	now := []unix.Timespec{{Sec: 1}, {Sec: 1}}
	for what, err := range map[string]error{
		"change the mode of a file of its own":         unix.Fchmodat(unix.AT_FDCWD, name, 0o644, 0),
		"change the group of a file of its own":        unix.Fchownat(unix.AT_FDCWD, name, -1, os.Getgid(), 0),
		"change the times of a file of its own":        unix.UtimesNanoAt(unix.AT_FDCWD, name, now, 0),
		"give a file of its own an attribute":          unix.Setxattr(name, "user.ringwall", []byte("x"), 0),
		"take an attribute from a file of its own":     unix.Removexattr(name, "user.ringwall"),
		"change the mode of a file through its number": chmodByNumber(name),
	} {
		if other := t.Denied(err, want, "%s", what); other != nil {
			// The kernel looked at it, so the filter let it pass.
			t.Broken("%s: %v: the kernel took the call", what, err)
		}
	}
	return nil
}

func chmodByNumber(name string) error {
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.Fchmod(int(f.Fd()), 0o640)
}

func noSpawn(_ context.Context, t *perimeter.Target) error {
	want := []syscall.Errno{syscall.EACCES}
	tried := 0
	var err error
	for _, dir := range t.Inside.Write {
		name, done, e := scratch(dir, 0o755, fmt.Sprintf("#!/bin/sh\nexit %d\n", ranCode))
		if e != nil {
			err = errors.Join(err, e)
			continue
		}
		err = errors.Join(err, t.Denied(tryExec(name), want, "execute a program written to %s", dir))
		tried++
		done()
	}
	if tried == 0 {
		return errors.Join(err, errors.New("there is no directory to write a program to"))
	}
	if isPHP(t.Plan) {
		for _, name := range []string{"/bin/sh", "/usr/bin/env", "/usr/bin/true"} {
			if _, e := os.Stat(name); e != nil {
				continue
			}
			err = errors.Join(err, t.Denied(tryExec(name), want, "execute %s", name))
		}
	}
	return err
}

func denyOpen(t *perimeter.Target, name string, flags int, want ...syscall.Errno) error {
	fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
	if err == nil {
		unix.Close(fd)
	}
	return t.Denied(err, want, "open %s for writing", name)
}
