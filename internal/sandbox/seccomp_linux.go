package sandbox

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// never are calls that no sandboxed program makes: they change mounts,
// namespaces, the kernel or other processes.
var never = append([]uint32{
	unix.SYS_MOUNT, unix.SYS_UMOUNT2, unix.SYS_PIVOT_ROOT, unix.SYS_CHROOT, unix.SYS_MOUNT_SETATTR, unix.SYS_MOVE_MOUNT,
	unix.SYS_OPEN_TREE, unix.SYS_OPEN_TREE_ATTR, unix.SYS_FSOPEN, unix.SYS_FSCONFIG, unix.SYS_FSMOUNT, unix.SYS_FSPICK,
	unix.SYS_STATMOUNT, unix.SYS_LISTMOUNT, unix.SYS_LISTNS,
	unix.SYS_PROCESS_MADVISE, unix.SYS_KCMP,
	unix.SYS_KEXEC_LOAD, unix.SYS_BPF, unix.SYS_PERF_EVENT_OPEN, unix.SYS_USERFAULTFD,
	unix.SYS_KEYCTL, unix.SYS_ADD_KEY, unix.SYS_REQUEST_KEY, unix.SYS_OPEN_BY_HANDLE_AT, unix.SYS_NAME_TO_HANDLE_AT,
	unix.SYS_INIT_MODULE, unix.SYS_FINIT_MODULE, unix.SYS_DELETE_MODULE, unix.SYS_SWAPON, unix.SYS_SWAPOFF, unix.SYS_REBOOT,
	unix.SYS_ACCT, unix.SYS_QUOTACTL, unix.SYS_QUOTACTL_FD, unix.SYS_SYSLOG, unix.SYS_SETTIMEOFDAY, unix.SYS_CLOCK_SETTIME,
	unix.SYS_ADJTIMEX, unix.SYS_CLOCK_ADJTIME, unix.SYS_SETHOSTNAME, unix.SYS_SETDOMAINNAME, unix.SYS_VHANGUP,
	unix.SYS_FANOTIFY_INIT, unix.SYS_FANOTIFY_MARK, unix.SYS_LOOKUP_DCOOKIE, unix.SYS_NFSSERVCTL,
	unix.SYS_MOVE_PAGES, unix.SYS_MIGRATE_PAGES, unix.SYS_PIDFD_GETFD,
}, archNever...)

// tracing are calls that read or steer another process.
var tracing = []uint32{unix.SYS_PTRACE, unix.SYS_PROCESS_VM_READV, unix.SYS_PROCESS_VM_WRITEV}

// nesting are calls that make or enter namespaces. clone has a rule of its own.
var nesting = []uint32{unix.SYS_UNSHARE, unix.SYS_SETNS}

// uring are answered as an older kernel would: programs do without.
var uring = []uint32{unix.SYS_IO_URING_SETUP, unix.SYS_IO_URING_ENTER, unix.SYS_IO_URING_REGISTER}

// meta are calls that change what a file is, though not what is in it.
var meta = append([]uint32{
	unix.SYS_FCHMOD, unix.SYS_FCHMODAT, unix.SYS_FCHMODAT2, unix.SYS_FCHOWN, unix.SYS_FCHOWNAT, unix.SYS_UTIMENSAT,
	unix.SYS_SETXATTR, unix.SYS_FSETXATTR, unix.SYS_LSETXATTR, unix.SYS_SETXATTRAT,
	unix.SYS_REMOVEXATTR, unix.SYS_FREMOVEXATTR, unix.SYS_LREMOVEXATTR, unix.SYS_REMOVEXATTRAT, unix.SYS_FILE_SETATTR,
}, archMeta...)

// firstUnknown is the first system call number that this filter was not
// written for; it and all above do not exist inside.
const firstUnknown = unix.SYS_LISTNS + 1

const newNamespaces = unix.CLONE_NEWNS | unix.CLONE_NEWUSER | unix.CLONE_NEWPID | unix.CLONE_NEWNET |
	unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP | unix.CLONE_NEWTIME

const (
	tiocsti   = 0x5412
	tioclinux = 0x541c
	protoTCP  = 6
	protoMP   = 262
)

// buildFilter returns the seccomp program for a set of allowed calls.
// Where no other program may be executed, once is the address of the only name
// that execve takes; 0 leaves execve alone.
func buildFilter(c Calls, once uintptr) filter {
	var f filter
	eperm, eacces, enosys := deny(unix.EPERM), deny(unix.EACCES), deny(unix.ENOSYS)
	f.load(offArch)
	f.notEq(auditArch, retKill)
	f.load(offNumber)
	archGuard(&f)
	f.atLeast(firstUnknown, enosys)
	for _, n := range never {
		f.eq(n, eperm)
	}
	// The flags of clone3 lie in memory, where a filter cannot look; programs
	// fall back to clone.
	f.eq(unix.SYS_CLONE3, enosys)
	f.eq(unix.SYS_MEMFD_SECRET, enosys)
	if !c.Uring {
		for _, n := range uring {
			f.eq(n, enosys)
		}
	}
	if !c.Namespaces {
		for _, n := range nesting {
			f.eq(n, eperm)
		}
	}
	if !c.Ptrace {
		for _, n := range tracing {
			f.eq(n, eperm)
		}
	}
	if !c.Meta {
		for _, n := range meta {
			f.eq(n, eacces)
		}
	}
	if !c.Fork && !c.Spawn {
		for _, n := range archFork {
			f.eq(n, eperm)
		}
	}
	if !c.Spawn {
		f.eq(unix.SYS_EXECVEAT, eperm)
		f.eq(unix.SYS_MEMFD_CREATE, eacces)
		if once != 0 {
			f.call(unix.SYS_EXECVE, func(b *filter) { onceRule(b, once) })
		}
	}
	f.call(unix.SYS_CLONE, func(b *filter) {
		b.load(offArg(0))
		if !c.Namespaces {
			b.anyBit(newNamespaces, eperm)
		}
		if !c.Fork && !c.Spawn {
			b.noBit(unix.CLONE_THREAD, eperm)
		}
		b.ret(retAllow)
	})
	f.call(unix.SYS_SOCKET, func(b *filter) { socketRule(b, c) })
	f.call(unix.SYS_SOCKETPAIR, func(b *filter) {
		b.load(offArg(0))
		b.notEq(unix.AF_UNIX, eacces)
		b.ret(retAllow)
	})
	f.call(unix.SYS_IOCTL, func(b *filter) {
		b.load(offArg(1))
		b.eq(tiocsti, eperm)
		b.eq(tioclinux, eperm)
		b.ret(retAllow)
	})
	f.call(unix.SYS_PERSONALITY, func(b *filter) {
		b.load(offArg(0))
		b.eq(0, retAllow)
		b.eq(0xffffffff, retAllow)
		b.ret(eperm)
	})
	device := func(arg int) func(*filter) {
		return func(b *filter) {
			b.load(offArg(arg))
			b.and(unix.S_IFMT)
			b.eq(unix.S_IFCHR, eperm)
			b.eq(unix.S_IFBLK, eperm)
			b.ret(retAllow)
		}
	}
	f.call(unix.SYS_MKNODAT, device(2))
	if sysMknod != 0 {
		f.call(sysMknod, device(1))
	}
	f.ret(retAllow)
	return f
}

// onceRule lets execve pass for a name at one address only: a page at a random
// place, which is gone with the first exec. A filter cannot read the name
// itself.
func onceRule(b *filter, once uintptr) {
	b.load(offArg(0))
	b.notEq(uint32(once), deny(unix.EACCES))
	b.load(offArg(0) + 4)
	b.notEq(uint32(uint64(once)>>32), deny(unix.EACCES))
	b.ret(retAllow)
}

// socketRule allows the listed families, and of the Internet's plain TCP alone.
func socketRule(b *filter, c Calls) {
	other := deny(unix.EACCES)
	if c.Families {
		other = retAllow
	}
	b.load(offArg(0))
	if c.Unix {
		b.eq(unix.AF_UNIX, retAllow)
	} else {
		b.eq(unix.AF_UNIX, deny(unix.EACCES))
	}
	b.op(opEq, 2, 0, unix.AF_INET)
	b.op(opEq, 1, 0, unix.AF_INET6)
	b.ret(other)
	b.load(offArg(1))
	b.and(0xf)
	if c.UDP {
		b.eq(unix.SOCK_DGRAM, retAllow)
	} else {
		b.eq(unix.SOCK_DGRAM, deny(unix.EACCES))
	}
	b.notEq(unix.SOCK_STREAM, other)
	b.load(offArg(2))
	if c.TCP {
		b.eq(0, retAllow)
		b.eq(protoTCP, retAllow)
	}
	if c.MPTCP {
		b.eq(protoMP, retAllow)
	}
	b.eq(protoMP, deny(unix.EPROTONOSUPPORT))
	b.ret(deny(unix.EACCES))
}

// seccomp loads the filter on every thread.
func (b *box) seccomp() error {
	f := buildFilter(b.Calls, b.once)
	prog := unix.SockFprog{Len: uint16(len(f)), Filter: &f[0]}
	_, _, e := unix.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_TSYNC, uintptr(unsafe.Pointer(&prog)))
	runtime.KeepAlive(f)
	if e != 0 {
		return step("filtering its system calls", e, "this needs a kernel with CONFIG_SECCOMP_FILTER")
	}
	return nil
}
