//go:build linux

package files

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/perimeter"
)

var (
	readOnly = []syscall.Errno{syscall.EROFS}
	// The filter, and a file's own mode, are asked before the mount.
	closed = []syscall.Errno{syscall.EROFS, syscall.EACCES}
)

// sample finds a file of the tree and reads it, which shows that it is there and
// open to this tier: what is refused next is refused to writing. One that is not
// executable comes first, since a program that runs is refused to writing by
// itself.
func sample(t *perimeter.Target) (name string, err error) {
	filepath.WalkDir(t.Inside.Files, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return nil
		}
		f, err := os.Open(path)
		if err != nil {
			return nil
		}
		defer f.Close()
		if _, err := f.Read(make([]byte, 1)); err != nil && err != io.EOF {
			return nil
		}
		st, err := f.Stat()
		if err != nil || st.Mode()&0o111 != 0 && name != "" {
			return nil
		}
		name = path
		if st.Mode()&0o111 != 0 {
			return nil
		}
		return fs.SkipAll
	})
	if name == "" {
		return "", fmt.Errorf("looking for a file in %s that can be read: there is none", t.Inside.Files)
	}
	return name, nil
}

// mountIsReadOnly judges the mount itself: where a file's mode refuses first, an
// open mount behind it must not look closed.
func mountIsReadOnly(t *perimeter.Target) error {
	t.Tried("read the flags of the mount at %s", t.Inside.Files)
	var st unix.Statfs_t
	if err := unix.Statfs(t.Inside.Files, &st); err != nil {
		return fmt.Errorf("reading the flags of the mount at %s: %w", t.Inside.Files, err)
	}
	if st.Flags&unix.ST_RDONLY == 0 {
		t.Broken("the mount at %s can be written; only the files' modes stand before it", t.Inside.Files)
	}
	return nil
}

func unique(dir string) string {
	return filepath.Join(dir, fmt.Sprintf(".ringwall-probe-%d-%d", os.Getpid(), time.Now().UnixNano()))
}

// outcome judges an attempt on a tree whose mount is judged too: where the mount
// is open, an error of another kind adds nothing.
func outcome(t *perimeter.Target, list []attempt) error {
	var err error
	unmounted := t.Lacks("private mounts")
	if !unmounted {
		err = mountIsReadOnly(t)
	}
	judged, busy := 0, 0
	for _, a := range list {
		e := a.do()
		if errors.Is(e, syscall.ETXTBSY) {
			// The file is a program that runs, which is asked before the mount: this
			// attempt says nothing.
			t.Tried("%s", a.name)
			t.Saw("%s: it is running, so this says nothing", a.name)
			busy++
			continue
		}
		judged++
		want := a.want
		if unmounted { // the same files as the machine's: Landlock or the filter refuses
			want = append(slices.Clone(want), syscall.EACCES)
		}
		err = errors.Join(err, t.Denied(e, want, "%s", a.name))
	}
	if judged == 0 && busy > 0 {
		err = errors.Join(err, errors.New("every attempt was made on a program that runs, so nothing can be told"))
	}
	return err
}

type attempt struct {
	name string
	want []syscall.Errno
	do   func() error
}

func noOverwrite(_ context.Context, t *perimeter.Target) error {
	name, err := sample(t)
	if err != nil {
		return err
	}
	open := func(flags int) func() error {
		return func() error {
			fd, err := unix.Open(name, flags|unix.O_CLOEXEC, 0)
			if err == nil {
				unix.Close(fd) // nothing was written
			}
			return err
		}
	}
	st, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("looking at %s: %w", name, err)
	}
	return outcome(t, []attempt{
		{"open " + name + " for writing", closed, open(unix.O_WRONLY)},
		{"open " + name + " for reading and writing", closed, open(unix.O_RDWR)},
		{"open " + name + " for appending", closed, open(unix.O_WRONLY | unix.O_APPEND)},
		{"shorten " + name, closed, func() error { return unix.Truncate(name, st.Size()) }}, // to the size that it has
	})
}

func noCreate(_ context.Context, t *perimeter.Target) error {
	name, err := sample(t)
	if err != nil {
		return err
	}
	var list []attempt
	dirs := []string{t.Inside.Files, filepath.Dir(name)}
	for _, u := range t.Plan.Files.Uploads {
		dirs = append(dirs, filepath.Join(t.Inside.Files, u))
	}
	add := func(what, dir string, do func(name string) error) {
		list = append(list, attempt{what + " in " + dir, readOnly, func() error {
			name := unique(dir)
			err := do(name)
			if err == nil {
				os.Remove(name)
			}
			return err
		}})
	}
	for _, dir := range dirs {
		add("make a file", dir, func(n string) error {
			fd, err := unix.Open(n, unix.O_WRONLY|unix.O_CREAT|unix.O_EXCL|unix.O_CLOEXEC, 0o600)
			if err == nil {
				unix.Close(fd)
			}
			return err
		})
		add("make a directory", dir, func(n string) error { return unix.Mkdir(n, 0o700) })
		add("make a symbolic link", dir, func(n string) error { return unix.Symlink("/etc/passwd", n) })
		add("make a pipe", dir, func(n string) error { return unix.Mkfifo(n, 0o600) })
		add("link a file", dir, func(n string) error { return unix.Link(name, n) })
	}
	list = append(list, attempt{"make a file without a name", readOnly, func() error {
		fd, err := unix.Open(t.Inside.Files, unix.O_WRONLY|unix.O_TMPFILE|unix.O_CLOEXEC, 0o600)
		if err == nil {
			unix.Close(fd)
		}
		return err
	}})
	return outcome(t, list)
}

// noRename uses names that do not exist, so that nothing is lost where the wall
// is down: a read-only mount refuses before it looks for the name.
func noRename(_ context.Context, t *perimeter.Target) error {
	if _, err := sample(t); err != nil {
		return err
	}
	n := unique(t.Inside.Files)
	return outcome(t, []attempt{
		{"rename a file", readOnly, func() error { return unix.Rename(n, n+"-new") }},
		{"delete a file", readOnly, func() error { return unix.Unlink(n) }},
		{"delete a directory", readOnly, func() error { return unix.Rmdir(n) }},
	})
}

func noAttributes(_ context.Context, t *perimeter.Target) error {
	name, err := sample(t)
	if err != nil {
		return err
	}
	var st unix.Stat_t
	if err := unix.Stat(name, &st); err != nil {
		return fmt.Errorf("looking at %s: %w", name, err)
	}
	// All to what they are already.
	return outcome(t, []attempt{
		{"set the mode of " + name, closed, func() error { return unix.Fchmodat(unix.AT_FDCWD, name, st.Mode&0o7777, 0) }},
		{"set the owner of " + name, closed, func() error { return unix.Fchownat(unix.AT_FDCWD, name, -1, os.Getgid(), 0) }},
		{"set the times of " + name, closed, func() error {
			return unix.UtimesNanoAt(unix.AT_FDCWD, name, []unix.Timespec{st.Atim, st.Mtim}, 0)
		}},
		{"set an attribute of " + name, closed, func() error {
			err := unix.Setxattr(name, "user.ringwall-probe", []byte("x"), 0)
			if err == nil {
				unix.Removexattr(name, "user.ringwall-probe")
			}
			return err
		}},
	})
}

func noRemount(_ context.Context, t *perimeter.Target) error {
	if _, err := sample(t); err != nil {
		return err
	}
	dir := t.Inside.Files
	eperm := []syscall.Errno{syscall.EPERM}
	return outcome(t, []attempt{
		{"make the mount writable", eperm, func() error { return unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND, "") }},
		{"make the mount writable by its attributes", eperm, func() error {
			return unix.MountSetattr(unix.AT_FDCWD, dir, 0, &unix.MountAttr{Attr_clr: unix.MOUNT_ATTR_RDONLY})
		}},
		{"mount the tree a second time", eperm, func() error { return unix.Mount(dir, "/tmp", "", unix.MS_BIND, "") }},
		{"take the mount away", eperm, func() error { return unix.Unmount(dir, unix.MNT_DETACH) }},
	})
}

func adminWrites(_ context.Context, t *perimeter.Target) error {
	dirs := []string{t.Inside.Files}
	for _, u := range t.Plan.Files.Uploads {
		dirs = append(dirs, filepath.Join(t.Inside.Files, u))
	}
	for _, dir := range dirs {
		t.Tried("make and remove a file in %s", dir)
		name := unique(dir)
		err := os.WriteFile(name, []byte("x"), 0o600)
		err = errors.Join(err, os.Remove(name))
		if err != nil {
			t.Broken("admin cannot write in %s: %v", dir, err)
		} else {
			t.Saw("a file was made in %s and removed", dir)
		}
	}
	return nil
}

func uploadsNoExec(ctx context.Context, t *perimeter.Target) error {
	var err error
	for _, u := range t.Plan.Files.Uploads {
		dir := filepath.Join(t.Inside.Files, u)
		t.Tried("read the flags of the mount at %s", dir)
		var st unix.Statfs_t
		if e := unix.Statfs(dir, &st); e != nil {
			err = errors.Join(err, fmt.Errorf("reading the flags of the mount at %s: %w", dir, e))
			continue
		}
		if st.Flags&unix.ST_NOEXEC == 0 {
			t.Broken("the mount at %s allows execution", dir)
		}
		err = errors.Join(err, execUpload(t, dir))
	}
	return err
}

// execUpload writes a program where uploads lie, and asks the kernel to execute
// it in the way that needs no new process: a check of the right to execute, and
// a mapping of its code into memory.
func execUpload(t *perimeter.Target, dir string) error {
	name := unique(dir)
	const program = "#!/bin/sh\nexit 0\n"
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o755)
	if err != nil {
		return fmt.Errorf("uploading a program to %s, which admin may: %w", dir, err)
	}
	defer os.Remove(name)
	defer f.Close()
	if _, err := io.Copy(f, strings.NewReader(program)); err != nil {
		return fmt.Errorf("uploading a program to %s: %w", dir, err)
	}
	err = t.Denied(unix.Faccessat(unix.AT_FDCWD, name, unix.X_OK, 0), []syscall.Errno{syscall.EACCES}, "ask to execute an upload in %s", dir)
	b, e := unix.Mmap(int(f.Fd()), 0, len(program), unix.PROT_READ|unix.PROT_EXEC, unix.MAP_PRIVATE)
	if e == nil {
		unix.Munmap(b)
	}
	return errors.Join(err, t.Denied(e, []syscall.Errno{syscall.EPERM}, "map an upload in %s as code", dir))
}
