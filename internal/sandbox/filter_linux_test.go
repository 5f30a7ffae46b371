package sandbox

import (
	"testing"

	"golang.org/x/sys/unix"
)

// eval runs a filter as the kernel would.
func eval(t *testing.T, f filter, arch, nr uint32, args ...uint64) uint32 {
	t.Helper()
	var a uint32
	for pc := 0; pc < len(f); pc++ {
		i := f[pc]
		jump := func(ok bool) {
			if ok {
				pc += int(i.Jt)
			} else {
				pc += int(i.Jf)
			}
		}
		switch i.Code {
		case opLoad:
			switch {
			case i.K == offNumber:
				a = nr
			case i.K == offArch:
				a = arch
			case i.K >= 16 && i.K < 64 && i.K%4 == 0:
				var v uint64
				if n := int(i.K-16) / 8; n < len(args) {
					v = args[n]
				}
				a = uint32(v >> (32 * ((i.K / 4) % 2)))
			default:
				t.Fatalf("instruction %d loads from %d", pc, i.K)
			}
		case opEq:
			jump(a == i.K)
		case opGe:
			jump(a >= i.K)
		case opSet:
			jump(a&i.K != 0)
		case opAnd:
			a &= i.K
		case opRet:
			return i.K
		default:
			t.Fatalf("instruction %d has code %#x", pc, i.Code)
		}
	}
	t.Fatal("the filter has no end")
	return 0
}

func TestFilter(t *testing.T) {
	zero := Calls{}
	app := Calls{Unix: true, TCP: true, Fork: true}
	every := Calls{Meta: true, Unix: true, TCP: true, Spawn: true}
	const once = 0x123456789000
	for _, tt := range []struct {
		name  string
		calls Calls
		nr    uint32
		args  []uint64
		want  uint32
	}{
		{"read", zero, unix.SYS_READ, nil, retAllow},
		{"a thread", zero, unix.SYS_CLONE, []uint64{unix.CLONE_VM | unix.CLONE_THREAD}, retAllow},
		{"a process", zero, unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, deny(unix.EPERM)},
		{"a worker", app, unix.SYS_CLONE, []uint64{uint64(unix.SIGCHLD)}, retAllow},
		{"a namespace", every, unix.SYS_CLONE, []uint64{unix.CLONE_NEWUSER}, deny(unix.EPERM)},
		{"a time namespace", every, unix.SYS_CLONE, []uint64{unix.CLONE_NEWTIME | unix.CLONE_THREAD}, deny(unix.EPERM)},
		{"clone3", every, unix.SYS_CLONE3, nil, deny(unix.ENOSYS)},
		{"unshare", every, unix.SYS_UNSHARE, nil, deny(unix.EPERM)},
		{"socket, high half set", app, unix.SYS_SOCKET, []uint64{1<<32 | unix.AF_INET, unix.SOCK_DGRAM, 0}, deny(unix.EACCES)},
		{"TCP, close on exec", app, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM | unix.SOCK_CLOEXEC, 6}, retAllow},
		{"TCP where not allowed", zero, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_STREAM, 6}, deny(unix.EACCES)},
		{"MPTCP", app, unix.SYS_SOCKET, []uint64{unix.AF_INET6, unix.SOCK_STREAM, 262}, deny(unix.EPROTONOSUPPORT)},
		{"UDP-Lite", app, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_DGRAM, 136}, deny(unix.EACCES)},
		{"raw", app, unix.SYS_SOCKET, []uint64{unix.AF_INET, unix.SOCK_RAW, 1}, deny(unix.EACCES)},
		{"packet", app, unix.SYS_SOCKET, []uint64{unix.AF_PACKET, unix.SOCK_RAW, 0}, deny(unix.EACCES)},
		{"vsock", app, unix.SYS_SOCKET, []uint64{unix.AF_VSOCK, unix.SOCK_STREAM, 0}, deny(unix.EACCES)},
		{"unix", app, unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, retAllow},
		{"unix where not allowed", Calls{TCP: true}, unix.SYS_SOCKET, []uint64{unix.AF_UNIX, unix.SOCK_STREAM, 0}, deny(unix.EACCES)},
		{"a pair", zero, unix.SYS_SOCKETPAIR, []uint64{unix.AF_UNIX}, retAllow},
		{"a TIPC pair", zero, unix.SYS_SOCKETPAIR, []uint64{unix.AF_TIPC}, deny(unix.EACCES)},
		{"TIOCSTI with the high half set", every, unix.SYS_IOCTL, []uint64{0, 1<<32 | tiocsti}, deny(unix.EPERM)},
		{"FIONREAD", zero, unix.SYS_IOCTL, []uint64{0, 0x541b}, retAllow},
		{"asking for the personality", zero, unix.SYS_PERSONALITY, []uint64{0xffffffff}, retAllow},
		{"another personality", every, unix.SYS_PERSONALITY, []uint64{8}, deny(unix.EPERM)},
		{"a block device", every, unix.SYS_MKNODAT, []uint64{0, 0, unix.S_IFBLK | 0o600}, deny(unix.EPERM)},
		{"a fifo", zero, unix.SYS_MKNODAT, []uint64{0, 0, unix.S_IFIFO | 0o600}, retAllow},
		{"fchmod for admin", every, unix.SYS_FCHMOD, nil, retAllow},
		{"fchmod for fleet", app, unix.SYS_FCHMOD, nil, deny(unix.EACCES)},
		{"the first exec", app, unix.SYS_EXECVE, []uint64{once}, retAllow},
		{"the second", app, unix.SYS_EXECVE, []uint64{once + 4096}, deny(unix.EACCES)},
		{"the second, high half", app, unix.SYS_EXECVE, []uint64{once + 1<<40}, deny(unix.EACCES)},
		{"a shell's exec", every, unix.SYS_EXECVE, []uint64{7}, retAllow},
		{"execveat", app, unix.SYS_EXECVEAT, nil, deny(unix.EPERM)},
		{"a call of a later kernel", every, firstUnknown, nil, deny(unix.ENOSYS)},
		{"a number of no call", every, 0x3fffffff, nil, deny(unix.ENOSYS)},
	} {
		o := uintptr(once)
		if tt.calls.Spawn {
			o = 0
		}
		f := buildFilter(tt.calls, o)
		if got := eval(t, f, auditArch, tt.nr, tt.args...); got != tt.want {
			t.Errorf("%s: %#x, want %#x", tt.name, got, tt.want)
		}
		for _, arch := range []uint32{unix.AUDIT_ARCH_I386, unix.AUDIT_ARCH_ARM, unix.AUDIT_ARCH_RISCV64, 0} {
			if got := eval(t, f, arch, tt.nr, tt.args...); got != retKill {
				t.Errorf("%s on architecture %#x: %#x, want it killed", tt.name, arch, got)
			}
		}
	}
	for _, list := range [][]uint32{never, nesting, uring, tracing, archFork, meta} {
		for _, nr := range list {
			if got := eval(t, buildFilter(zero, 0), auditArch, nr); got == retAllow {
				t.Errorf("call %d is allowed to the zero Calls", nr)
			}
		}
	}
}

func FuzzFilter(f *testing.F) {
	f.Add(uint32(41), uint64(2), uint64(1), uint64(262), byte(3))
	f.Fuzz(func(t *testing.T, nr uint32, a, b, c uint64, bits byte) {
		calls := Calls{Meta: bits&1 != 0, Unix: bits&2 != 0, TCP: bits&4 != 0, Fork: bits&8 != 0, Spawn: bits&16 != 0}
		prog := buildFilter(calls, 4096)
		if len(prog) > unix.BPF_MAXINSNS {
			t.Fatalf("%d instructions, the kernel takes %d", len(prog), unix.BPF_MAXINSNS)
		}
		switch got := eval(t, prog, auditArch, nr, a, b, c); {
		case got != retAllow:
		case nr >= firstUnknown:
			t.Errorf("call %d came through", nr)
		case nr == unix.SYS_SOCKET && uint32(a) != unix.AF_UNIX && (uint32(b)&0xf != unix.SOCK_STREAM || uint32(c) != 0 && uint32(c) != 6):
			t.Errorf("socket %d %d %d came through", a, b, c)
		case nr == unix.SYS_CLONE && a&newNamespaces != 0:
			t.Errorf("clone %#x came through", a)
		}
	})
}
