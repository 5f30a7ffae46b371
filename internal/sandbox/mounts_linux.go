package sandbox

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// tree is a detached copy of a part of the caller's mounts.
type tree struct {
	fd     int
	target string // below the new root, without a leading slash
	dir    bool
	attr   uint64 // mount attributes to set, recursively
}

// devices are the ones every program may use.
var devices = []string{"null", "zero", "full", "random", "urandom", "tty"}

// openTrees copies the sources, and the devices, out of the caller's mounts.
func (b *box) openTrees() ([]tree, error) {
	var trees []tree
	for _, m := range mountOrder(b.Mounts) {
		attr := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
		if !m.Write {
			attr |= unix.MOUNT_ATTR_RDONLY
		}
		if !m.Exec {
			attr |= unix.MOUNT_ATTR_NOEXEC
		}
		t, err := openTree(m.Source, m.Target, attr)
		if err != nil {
			return nil, step("opening "+m.Source, err)
		}
		trees = append(trees, t)
	}
	for _, d := range devices {
		t, err := openTree("/dev/"+d, "/dev/"+d, unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NOEXEC)
		if err == unix.ENOENT && d == "tty" {
			continue
		}
		if err != nil {
			return nil, step("opening /dev/"+d, err)
		}
		trees = append(trees, t)
	}
	return trees, nil
}

func openTree(source, target string, attr uint64) (t tree, err error) {
	// Always recursive: the kernel refuses to uncover what lies below a mount.
	fd, err := unix.OpenTree(unix.AT_FDCWD, source, unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return t, err
	}
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		return t, err
	}
	return tree{fd: fd, target: strings.TrimPrefix(path.Clean(target), "/"), dir: st.Mode&unix.S_IFMT == unix.S_IFDIR, attr: attr}, nil
}

// buildRoot makes the root of the sandbox, fills it, and moves there; the
// caller's tree is gone after it.
func (b *box) buildRoot(trees []tree) error {
	root, err := newTmpfs("mode=755", "size=2m", "nr_inodes=2k")
	if err != nil {
		return step("making its root", err)
	}
	// Something must be covered while the root is built; what was needed from
	// below it is open already.
	at := ""
	for _, d := range []string{"/tmp", "/run", "/mnt", "/var", "/usr"} {
		if err = unix.MoveMount(root, "", unix.AT_FDCWD, d, unix.MOVE_MOUNT_F_EMPTY_PATH); err == nil {
			at = d
			break
		}
	}
	if at == "" {
		return step("attaching its root", err)
	}
	r := &rootDir{fd: root}
	tmp := b.TmpMax
	if tmp <= 0 {
		tmp = DefaultTmp
	}
	size := fmt.Sprintf("size=%d", tmp)
	for _, d := range []string{"tmp", "dev", "dev/shm", "proc", "etc", "run"} {
		if err := r.mkdirAll(d); err != nil {
			return step("making /"+d, err)
		}
	}
	for _, d := range []string{"tmp", "dev/shm"} {
		fd, err := newTmpfs("mode=1777", size)
		if err != nil {
			return step("making /"+d, err)
		}
		if err := r.attach(fd, d); err != nil {
			return step("attaching /"+d, err)
		}
		r.mounted = append(r.mounted, d)
	}
	if b.Proc {
		if err := b.mountProc(r); err != nil {
			return err
		}
	}
	for _, t := range trees {
		if err := unix.MountSetattr(t.fd, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: t.attr}); err != nil {
			return step("protecting the mount at /"+t.target, err)
		}
		if err := r.place(t); err != nil {
			return step("mounting at /"+t.target, err)
		}
		r.mounted = append(r.mounted, t.target)
	}
	links := map[string]string{"/dev/fd": "/proc/self/fd", "/dev/stdin": "/proc/self/fd/0", "/dev/stdout": "/proc/self/fd/1", "/dev/stderr": "/proc/self/fd/2"}
	for k, v := range b.Links {
		links[k] = v
	}
	for name, to := range links {
		if err := r.link(to, name); err != nil {
			return step("linking "+name, err)
		}
	}
	for name, text := range b.Texts {
		if err := r.write(name, text); err != nil {
			return step("writing "+name, err)
		}
	}
	if b.Dir != "" {
		if err := r.mkdirAll(strings.TrimPrefix(path.Clean(b.Dir), "/")); err != nil && err != errInMount {
			return step("making "+b.Dir, err)
		}
	}
	if err := unix.MountSetattr(root, "", unix.AT_EMPTY_PATH, &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}); err != nil {
		return step("making its root read-only", err)
	}
	if err := unix.Fchdir(root); err != nil {
		return step("entering its root", err)
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return step("changing its root", err)
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return step("detaching the machine's tree", err)
	}
	return step("entering its root", unix.Chdir("/"))
}

func newTmpfs(options ...string) (int, error) {
	return newMount("tmpfs", unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV|unix.MOUNT_ATTR_NOEXEC, options...)
}

func newMount(kind string, attr int, options ...string) (int, error) {
	fs, err := unix.Fsopen(kind, unix.FSOPEN_CLOEXEC)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fs)
	for _, o := range options {
		k, v, _ := strings.Cut(o, "=")
		if err := unix.FsconfigSetString(fs, k, v); err != nil {
			return -1, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return -1, err
	}
	return unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, attr)
}

// mountProc mounts /proc of the sandbox's own process namespace, with nothing
// of the machine in it where the kernel can leave that out.
func (b *box) mountProc(r *rootDir) error {
	const attr = unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV | unix.MOUNT_ATTR_NOEXEC
	if b.Skip.has(PID) { // there is no other /proc than the caller's
		t, err := openTree("/proc", "/proc", attr)
		if err != nil {
			return step("opening /proc", err)
		}
		return step("mounting /proc", r.attach(t.fd, "proc"))
	}
	var err error
	for _, options := range [][]string{{"hidepid=2", "subset=pid"}, {"hidepid=2"}, {}} {
		var fd int
		if fd, err = newMount("proc", attr, options...); err == nil {
			return step("mounting /proc", r.attach(fd, "proc"))
		}
		if err != unix.EINVAL {
			break
		}
	}
	return step("mounting /proc", err, "a container that covers parts of /proc forbids this: docker run --security-opt systempaths=unconfined")
}

// rootDir is the new root while it is filled. Names are looked up below it
// only, and no symbolic link is followed.
type rootDir struct {
	fd      int
	mounted []string
}

var errInMount = errors.New("it does not exist and lies in a mount, where nothing is made")

// covers says whether name lies in something mounted: nothing is created
// there, since it would appear in the caller's tree.
func (r *rootDir) covers(name string) bool {
	return slices.ContainsFunc(r.mounted, func(m string) bool {
		return (name == m || strings.HasPrefix(name, m+"/")) && m != "tmp" && m != "dev/shm"
	})
}

func (r *rootDir) open(name string, flags uint64) (int, error) {
	if name == "" {
		name = "."
	}
	return unix.Openat2(r.fd, name, &unix.OpenHow{Flags: flags | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
}

func (r *rootDir) mkdirAll(name string) error {
	if name == "" || name == "." {
		return nil
	}
	if fd, err := r.open(name, unix.O_PATH|unix.O_DIRECTORY); err == nil {
		unix.Close(fd)
		return nil
	}
	if r.covers(name) {
		return errInMount
	}
	parent := strings.TrimSuffix(strings.TrimSuffix(name, path.Base(name)), "/")
	if err := r.mkdirAll(parent); err != nil {
		return err
	}
	fd, err := r.open(parent, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Mkdirat(fd, path.Base(name), 0o755)
}

// create makes an empty file with its directories, unless it exists.
func (r *rootDir) create(name string, mode uint32) (int, error) {
	dir := strings.TrimSuffix(strings.TrimSuffix(name, path.Base(name)), "/")
	if err := r.mkdirAll(dir); err != nil {
		return -1, err
	}
	fd, err := r.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return -1, err
	}
	defer unix.Close(fd)
	return unix.Openat(fd, path.Base(name), unix.O_CREAT|unix.O_EXCL|unix.O_WRONLY|unix.O_NOFOLLOW|unix.O_CLOEXEC, mode)
}

func (r *rootDir) place(t tree) error {
	if t.dir {
		if err := r.mkdirAll(t.target); err != nil {
			return err
		}
	} else if fd, err := r.open(t.target, unix.O_PATH); err == nil {
		unix.Close(fd)
	} else if r.covers(t.target) {
		return errInMount
	} else {
		fd, err := r.create(t.target, 0o444)
		if err != nil {
			return err
		}
		unix.Close(fd)
	}
	return r.attach(t.fd, t.target)
}

func (r *rootDir) attach(fd int, target string) error {
	to, err := r.open(target, unix.O_PATH)
	if err != nil {
		return err
	}
	defer unix.Close(to)
	err = unix.MoveMount(fd, "", to, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH)
	unix.Close(fd)
	return err
}

func (r *rootDir) link(to, name string) error {
	name = strings.TrimPrefix(path.Clean(name), "/")
	if r.covers(name) {
		return errInMount
	}
	dir := strings.TrimSuffix(strings.TrimSuffix(name, path.Base(name)), "/")
	if err := r.mkdirAll(dir); err != nil {
		return err
	}
	fd, err := r.open(dir, unix.O_PATH|unix.O_DIRECTORY)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	return unix.Symlinkat(to, fd, path.Base(name))
}

func (r *rootDir) write(name, text string) error {
	name = strings.TrimPrefix(path.Clean(name), "/")
	if r.covers(name) {
		return errInMount
	}
	fd, err := r.create(name, 0o444)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	for b := []byte(text); len(b) > 0; {
		n, err := unix.Write(fd, b)
		if err != nil {
			return err
		}
		b = b[n:]
	}
	return nil
}
