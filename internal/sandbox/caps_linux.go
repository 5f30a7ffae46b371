package sandbox

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Securebits: root's id means nothing, ids change no capabilities, no ambient
// ones; all locked.
const secureBits = 1<<0 | 1<<1 | 1<<2 | 1<<3 | 1<<5 | 1<<6 | 1<<7

// dropCapabilities empties every set, for good.
func (b *box) dropCapabilities() error {
	err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0)
	if err != nil {
		return step("dropping ambient capabilities", err)
	}
	var data [2]unix.CapUserData
	if err := unix.Capget(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &data[0]); err != nil {
		return step("reading its capabilities", err)
	}
	if data[0].Effective&(1<<unix.CAP_SETPCAP) != 0 {
		for c := uintptr(0); c < 64; c++ {
			err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0)
			if err == unix.EINVAL {
				break // beyond the last one that this kernel knows
			}
			if err != nil {
				return step("dropping the bounding set", err)
			}
		}
		if err := unix.Prctl(unix.PR_SET_SECUREBITS, secureBits, 0, 0, 0); err != nil {
			return step("locking its secure bits", err)
		}
	}
	hdr := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var none [2]unix.CapUserData
	err = b.change(unix.SYS_CAPSET, uintptr(unsafe.Pointer(&hdr)), uintptr(unsafe.Pointer(&none[0])), 0)
	runtime.KeepAlive(&hdr)
	runtime.KeepAlive(&none)
	if err != nil {
		return step("dropping capabilities", err)
	}
	return step("hiding its memory", unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0))
}

const nestHint = "is /proc/sys writable for root? in a container: docker run --security-opt systempaths=unconfined"

// openNesting opens this user namespace's limits on further namespaces. They
// are set to nothing after the mounts are made: a detached mount counts as a
// namespace, and by then the machine's /proc is gone.
func (b *box) openNesting() error {
	for _, kind := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup", "time"} {
		name := "/proc/sys/user/max_" + kind + "_namespaces"
		fd, err := unix.Open(name, unix.O_WRONLY|unix.O_CLOEXEC, 0)
		if err == unix.ENOENT && kind != "user" {
			continue
		}
		if err != nil {
			return step("forbidding nested namespaces: opening "+name, err, nestHint)
		}
		b.nest = append(b.nest, fd)
	}
	return nil
}

func (b *box) closeNesting() error {
	for _, fd := range b.nest {
		if _, err := unix.Write(fd, []byte("0")); err != nil {
			return step("forbidding nested namespaces", err, nestHint)
		}
		unix.Close(fd)
	}
	return nil
}

// noExecMemory makes files in memory unfit for execution in this process
// namespace. Kernels before 6.3 lack it, and a caller who is not root may not;
// the filter refuses such files where no other program may run.
func noExecMemory() {
	if fd, err := unix.Open("/proc/sys/vm/memfd_noexec", unix.O_WRONLY|unix.O_CLOEXEC, 0); err == nil {
		unix.Write(fd, []byte("2"))
		unix.Close(fd)
	}
}

// setLimits bounds this process and all it starts. A limit is never raised
// above the hard one that the caller has.
func (b *box) setLimits() error {
	procs := b.Limits.Processes
	if b.reaped() {
		procs += reaperThreads
	}
	for _, l := range []struct {
		name string
		kind int
		max  int64
	}{
		{"core size", unix.RLIMIT_CORE, 0},
		{"open files", unix.RLIMIT_NOFILE, int64(b.Limits.OpenFiles)},
		{"file size", unix.RLIMIT_FSIZE, b.Limits.FileSize},
		{"data", unix.RLIMIT_DATA, b.Limits.Memory + dataHeadroom},
		{"processes", unix.RLIMIT_NPROC, int64(procs)},
	} {
		var old unix.Rlimit
		if err := unix.Prlimit(0, l.kind, nil, &old); err != nil {
			return step("reading its limit on "+l.name, err)
		}
		v := min(uint64(l.max), old.Max)
		if err := unix.Prlimit(0, l.kind, &unix.Rlimit{Cur: v, Max: v}, nil); err != nil {
			return step("limiting its "+l.name, err)
		}
	}
	return nil
}

const (
	reaperThreads = 8 // of the first process, which count as processes
	// Run times reserve writable memory that they never touch (Go maps 64 MiB
	// at a time); the resident bound is the control group's.
	dataHeadroom = 128 << 20
)
