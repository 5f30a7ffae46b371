package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

const (
	llRead  = unix.LANDLOCK_ACCESS_FS_READ_FILE | unix.LANDLOCK_ACCESS_FS_READ_DIR
	llWrite = unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_REMOVE_DIR | unix.LANDLOCK_ACCESS_FS_REMOVE_FILE |
		unix.LANDLOCK_ACCESS_FS_MAKE_DIR | unix.LANDLOCK_ACCESS_FS_MAKE_REG | unix.LANDLOCK_ACCESS_FS_MAKE_SOCK |
		unix.LANDLOCK_ACCESS_FS_MAKE_FIFO | unix.LANDLOCK_ACCESS_FS_MAKE_SYM | unix.LANDLOCK_ACCESS_FS_REFER | unix.LANDLOCK_ACCESS_FS_TRUNCATE
	llFile = unix.LANDLOCK_ACCESS_FS_EXECUTE | unix.LANDLOCK_ACCESS_FS_WRITE_FILE | unix.LANDLOCK_ACCESS_FS_READ_FILE |
		unix.LANDLOCK_ACCESS_FS_TRUNCATE | unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	llAll = llRead | llWrite | llFile | unix.LANDLOCK_ACCESS_FS_MAKE_CHAR | unix.LANDLOCK_ACCESS_FS_MAKE_BLOCK
)

// landlockABI is the version this kernel has; 0: none.
func landlockABI() int {
	v, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if e != 0 {
		return 0
	}
	return int(v)
}

// handled is what a version of Landlock can restrict.
func handled(abi int) (fs, scoped uint64) {
	fs = llAll
	if abi < 2 {
		fs &^= unix.LANDLOCK_ACCESS_FS_REFER
	}
	if abi < 3 {
		fs &^= unix.LANDLOCK_ACCESS_FS_TRUNCATE
	}
	if abi < 5 {
		fs &^= unix.LANDLOCK_ACCESS_FS_IOCTL_DEV
	}
	if abi >= 6 {
		scoped = unix.LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET | unix.LANDLOCK_SCOPE_SIGNAL
	}
	return fs, scoped
}

// landlock repeats the mounts' rules in a second mechanism, and keeps signals
// and abstract sockets inside. Its TCP rules are not used: older kernels lack
// them and other protocols pass them by.
func (b *box) landlock() error {
	abi := landlockABI()
	if abi == 0 {
		return step("restricting it with Landlock", unix.ENOSYS, "this needs Linux 5.13 or later with landlock among the lsm= modules")
	}
	fs, scoped := handled(abi)
	attr := unix.LandlockRulesetAttr{Handled_access_fs: fs, Scoped: scoped}
	size := uintptr(24)
	if abi < 6 {
		size = 8
	}
	rs, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_CREATE_RULESET, uintptr(unsafe.Pointer(&attr)), size, 0)
	if e != 0 {
		return step("making a Landlock ruleset", e)
	}
	defer unix.Close(int(rs))
	l := ruleset{fd: int(rs), fs: fs}

	inside := !b.Skip.has(Mounts)
	if inside {
		l.allow("/", llRead)
		l.allow("/tmp", llRead|llWrite)
		l.allow("/dev", llRead|unix.LANDLOCK_ACCESS_FS_WRITE_FILE|unix.LANDLOCK_ACCESS_FS_IOCTL_DEV)
		l.allow("/dev/shm", llRead|llWrite)
	} else {
		for _, d := range devices {
			l.allow("/dev/"+d, llFile&^unix.LANDLOCK_ACCESS_FS_EXECUTE)
		}
		l.allow("/proc", llRead)
		l.allow("/etc/ld.so.cache", llRead)
	}
	for _, m := range b.Mounts {
		name, access := m.Target, uint64(llRead)
		if !inside {
			name = m.Source
		}
		if m.Write {
			access |= llWrite
		}
		if m.Exec && b.Calls.Spawn {
			access |= unix.LANDLOCK_ACCESS_FS_EXECUTE
		}
		l.allow(name, access)
	}
	if !b.Calls.Spawn {
		l.allow(b.Args[0], llRead|unix.LANDLOCK_ACCESS_FS_EXECUTE)
		if loader := Loader(b.Args[0]); loader != "" {
			l.allow(loader, llRead|unix.LANDLOCK_ACCESS_FS_EXECUTE)
		}
	}
	if l.err != nil {
		return step("making a Landlock rule", l.err)
	}
	if _, _, e := unix.RawSyscall(unix.SYS_LANDLOCK_RESTRICT_SELF, rs, 0, 0); e != 0 {
		return step("restricting it with Landlock", e)
	}
	return nil
}

type ruleset struct {
	fd  int
	fs  uint64
	err error
}

func (l *ruleset) allow(name string, access uint64) {
	if l.err != nil {
		return
	}
	fd, err := unix.Open(name, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err == unix.ENOENT {
		return // nothing there, nothing to allow
	}
	if err != nil {
		l.err = fmt.Errorf("opening %s: %w", name, err)
		return
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if err := unix.Fstat(fd, &st); err != nil {
		l.err = fmt.Errorf("looking at %s: %w", name, err)
		return
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		access &= llFile
	}
	rule := unix.LandlockPathBeneathAttr{Allowed_access: access & l.fs, Parent_fd: int32(fd)}
	_, _, e := unix.RawSyscall6(unix.SYS_LANDLOCK_ADD_RULE, uintptr(l.fd), unix.LANDLOCK_RULE_PATH_BENEATH, uintptr(unsafe.Pointer(&rule)), 0, 0, 0)
	runtime.KeepAlive(&rule)
	if e != 0 {
		l.err = fmt.Errorf("allowing %s: %w", name, e)
	}
}
