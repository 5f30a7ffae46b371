//go:build linux

package people

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/perimeter"
)

// private judges one file or directory: its owner's, and closed to others.
func private(t *perimeter.Target, name string, kind fs.FileMode) error {
	t.Tried("look at the mode and owner of %s", name)
	st, err := os.Lstat(name)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", name, err)
	}
	sys, ok := st.Sys().(*syscall.Stat_t)
	switch {
	case !ok:
		return fmt.Errorf("looking at %s: its owner cannot be told", name)
	case st.Mode().Type() != kind:
		return fmt.Errorf("looking at %s: got a %v, want a %v", name, st.Mode().Type(), kind)
	case st.Mode().Perm()&0o077 != 0:
		t.Broken("%s is open to others (mode %04o)", name, st.Mode().Perm())
	case int(sys.Uid) != os.Geteuid():
		t.Broken("%s belongs to user %d, who is not the site's owner", name, sys.Uid)
	default:
		t.Saw("%s: mode %04o, the owner's", name, st.Mode().Perm())
	}
	return nil
}

func controlSocket(_ context.Context, t *perimeter.Target) error {
	name := filepath.Join(t.Site.State, "control.sock")
	if err := private(t, name, fs.ModeSocket); err != nil {
		return err
	}
	if err := connect(name); err != nil {
		return fmt.Errorf("connecting to %s as its owner, which is allowed: %w", name, err)
	}
	other, err := asAnother(func() error { return connect(name) })
	if other == 0 {
		t.Saw("the owner has no second id here, so the mode is what was judged")
		return err
	}
	return t.Denied(err, []syscall.Errno{syscall.EACCES}, "connect to the control socket as user %d", other)
}

// connect reaches a socket at a path of any length. Its system calls are raw,
// on this thread, whose ids may be another's.
func connect(name string) error {
	dir, err := unix.Open(filepath.Dir(name), unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(dir)
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening a socket: %w", err)
	}
	defer unix.Close(fd)
	return unix.Connect(fd, &unix.SockaddrUnix{Name: fmt.Sprintf("/proc/self/fd/%d/%s", dir, filepath.Base(name))})
}

// strangerID is an id that no part of a site runs as; the last one of the range
// that a site started by root has.
const strangerID = 63

// asAnother runs f on a thread that took another user's ids, and returns whose.
// The thread ends with it. Where no other id can be taken it returns 0.
func asAnother(f func() error) (id int, err error) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		for _, call := range []uintptr{unix.SYS_SETGROUPS, unix.SYS_SETRESGID, unix.SYS_SETRESUID} {
			var e syscall.Errno
			if call == unix.SYS_SETGROUPS {
				_, _, e = syscall.RawSyscall(call, 0, 0, 0)
			} else {
				_, _, e = syscall.RawSyscall(call, strangerID, strangerID, strangerID)
			}
			if e != 0 {
				return
			}
		}
		id, err = strangerID, f()
	}()
	<-done
	return id, err
}

func stateDirectory(_ context.Context, t *perimeter.Target) error {
	if err := private(t, t.Site.State, fs.ModeDir); err != nil {
		return err
	}
	entries, err := os.ReadDir(t.Site.State)
	if err != nil {
		return fmt.Errorf("listing the site's state: %w", err)
	}
	for _, e := range entries {
		if !e.Type().IsRegular() && e.Name() != "secrets" && e.Name() != "logs" && e.Name() != "audit" && e.Name() != "ca" {
			continue // the directories of other classes of processes belong to those
		}
		if err := private(t, filepath.Join(t.Site.State, e.Name()), e.Type()); err != nil {
			return err
		}
	}
	other, err := asAnother(func() error {
		fd, err := unix.Open(t.Site.State, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			unix.Close(fd)
		}
		return err
	})
	if other == 0 {
		return err
	}
	return t.Denied(err, []syscall.Errno{syscall.EACCES}, "open the site's state as user %d", other)
}

func secretFiles(_ context.Context, t *perimeter.Target) error {
	dir := filepath.Join(t.Site.State, "secrets")
	if err := private(t, dir, fs.ModeDir); err != nil {
		return err
	}
	n := 0
	for _, d := range []string{dir, filepath.Join(t.Site.State, "ca")} {
		err := filepath.WalkDir(d, func(name string, e fs.DirEntry, err error) error {
			if errors.Is(err, fs.ErrNotExist) || err == nil && (e.IsDir() || d != dir && !isKey(name)) {
				return nil
			}
			if err != nil {
				return err
			}
			n++
			return private(t, name, 0)
		})
		if err != nil {
			return fmt.Errorf("looking through %s: %w", d, err)
		}
	}
	if n == 0 {
		return errors.New("the site has no secret yet, so there is nothing to look at")
	}
	return nil
}

func isKey(name string) bool {
	b, err := os.ReadFile(name)
	return err == nil && bytes.Contains(b, []byte("PRIVATE KEY"))
}

// known returns the secrets to look for, after it has seen that they are the
// site's: a list of the wrong ones would be found nowhere.
func known(t *perimeter.Target) ([][]byte, error) {
	var out [][]byte
	for _, s := range t.Site.Secrets {
		if len(s) >= 12 { // a short one would be found by chance
			out = append(out, []byte(s))
		}
	}
	files, _ := filepath.Glob(filepath.Join(t.Site.State, "secrets", "*"))
	for _, f := range files {
		if b, err := os.ReadFile(f); err == nil && find(b, out) >= 0 {
			return out, nil
		}
	}
	return nil, errors.New("none of the secrets to look for is in the site's secrets directory, so nothing can be told")
}

func find(b []byte, secrets [][]byte) int {
	for i, s := range secrets {
		if bytes.Contains(b, s) {
			return i
		}
	}
	return -1
}

func processes(ctx context.Context, t *perimeter.Target, what string) error {
	secrets, err := known(t)
	if err != nil {
		return err
	}
	t.Tried("look for %d secrets in the %s of %d processes", len(secrets), what, len(t.Site.PIDs))
	seen, hidden := 0, 0
	for _, pid := range t.Site.PIDs {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		file := filepath.Join("/proc", strconv.Itoa(pid), what)
		b, err := os.ReadFile(file)
		for range 20 { // it is becoming its program
			if !errors.Is(err, fs.ErrPermission) || isBoxInit(pid) {
				break
			}
			time.Sleep(5 * time.Millisecond)
			b, err = os.ReadFile(file)
		}
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
			continue // it ended
		}
		if errors.Is(err, fs.ErrPermission) && isBoxInit(pid) {
			hidden++
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the %s of process %d: %w", what, pid, err)
		}
		seen++
		if find(b, secrets) >= 0 {
			name, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "comm"))
			t.Broken("the %s of process %d (%s) holds a secret", what, pid, strings.TrimSpace(string(name)))
		}
	}
	if seen == 0 {
		return errors.New("no process of the site could be looked at")
	}
	t.Saw("%d processes", seen)
	if hidden > 0 {
		t.Saw("%d more are first processes of sandboxes, ours, and show theirs to the machine's root alone", hidden)
	}
	return nil
}

// isBoxInit says whether a process is the first one of a sandbox: ours, started
// with an environment that has nothing of the site in it. It closes its memory,
// and with it that file, to everybody but the machine's root, so that a site
// without root cannot look.
func isBoxInit(pid int) bool {
	b, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "cmdline"))
	name, _, _ := strings.Cut(string(b), "\x00")
	return err == nil && strings.TrimSpace(name) == boxInit
}

// boxInit is what such a process calls itself.
const boxInit = "ringwall-box"

const maxScan = 8 << 20 // of one file, from its end

func noSecretsInLogs(ctx context.Context, t *perimeter.Target) error {
	secrets, err := known(t)
	if err != nil {
		return err
	}
	t.Tried("look for %d secrets in the site's logs, transcripts and state", len(secrets))
	files := 0
	err = filepath.WalkDir(t.Site.State, func(name string, e fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(t.Site.State, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return nil // it ended meanwhile
		case err != nil:
			return err
		case ctx.Err() != nil:
			return ctx.Err()
		case e.IsDir() && (rel == "secrets" || rel == "database" || rel == "files"):
			return fs.SkipDir // where secrets belong, the app's own rows, and the app's own code
		case !e.Type().IsRegular():
			return nil
		}
		b, err := end(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		files++
		if find(b, secrets) >= 0 {
			t.Broken("%s holds a secret", rel)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("looking through the site's state: %w", err)
	}
	if files == 0 {
		return errors.New("the site has no log yet, so there is nothing to look at")
	}
	t.Saw("%d files, of each the last %d MiB", files, maxScan>>20)
	return nil
}

// end reads the end of a file.
func end(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if _, err := f.Seek(max(0, st.Size()-maxScan), io.SeekStart); err != nil {
		return nil, err
	}
	return io.ReadAll(io.LimitReader(f, maxScan))
}
