package host

import (
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Probes need children that do one thing and end: a tracee, an exec that is to
// be refused, a namespace that is not to be had. The child is a copy of one
// thread of a Go program, so it makes raw system calls and nothing else.

// clone makes a child with extra clone flags. The child waits until the pipe
// ends, then exits; it dies with its parent.
//
//go:norace
//go:nosplit
//go:noinline
func clone(flags uintptr, pipe *[2]int) (pid uintptr, e syscall.Errno) {
	pid, _, e = syscall.RawSyscall6(unix.SYS_CLONE, flags|uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return pid, e
	}
	var b [1]byte
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	if pipe != nil {
		syscall.RawSyscall(unix.SYS_CLOSE, uintptr(pipe[1]), 0, 0)
		syscall.RawSyscall(unix.SYS_READ, uintptr(pipe[0]), uintptr(unsafe.Pointer(&b[0])), 1)
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, 0, 0, 0)
	}
}

// cloneExec makes a child that executes a program; where that is refused, it
// exits with the errno.
//
//go:norace
//go:nosplit
//go:noinline
func cloneExec(name *byte, argv, envp **byte) (pid uintptr, e syscall.Errno) {
	pid, _, e = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return pid, e
	}
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	_, _, e = syscall.RawSyscall(unix.SYS_EXECVE, uintptr(unsafe.Pointer(name)), uintptr(unsafe.Pointer(argv)), uintptr(unsafe.Pointer(envp)))
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(e), 0, 0)
	}
}

// cloneTouch makes a child that maps shared memory, touches every page of it,
// rests, and exits with 0; with the errno where the mapping is refused.
//
//go:norace
//go:nosplit
//go:noinline
func cloneTouch(size uintptr, rest *unix.Timespec) (pid uintptr, e syscall.Errno) {
	pid, _, e = syscall.RawSyscall6(unix.SYS_CLONE, uintptr(unix.SIGCHLD), 0, 0, 0, 0, 0)
	if e != 0 || pid != 0 {
		return pid, e
	}
	syscall.RawSyscall6(unix.SYS_PRCTL, unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0, 0)
	at, _, e := syscall.RawSyscall6(unix.SYS_MMAP, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANON|unix.MAP_SHARED|unix.MAP_NORESERVE, ^uintptr(0), 0)
	if e == 0 {
		// MADV_POPULATE_WRITE touches them all in one call.
		_, _, e = syscall.RawSyscall(unix.SYS_MADVISE, at, size, unix.MADV_POPULATE_WRITE)
	}
	if e == 0 {
		syscall.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(rest)), 0, 0)
	}
	for {
		syscall.RawSyscall(unix.SYS_EXIT_GROUP, uintptr(e), 0, 0)
	}
}

// tryClone says whether a child with these flags can be made.
func tryClone(flags uintptr) error {
	runtime.LockOSThread() // a child dies with the thread that made it
	defer runtime.UnlockOSThread()
	syscall.ForkLock.Lock()
	pid, e := clone(flags, nil)
	syscall.ForkLock.Unlock()
	if e != 0 {
		return e
	}
	_, err := reap(int(pid))
	return err
}

// tryExec says whether a program can be executed: nil means that it ran.
func tryExec(name string) error {
	p, err := unix.BytePtrFromString(name)
	if err != nil {
		return err
	}
	argv, envp := []*byte{p, nil}, []*byte{nil}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	syscall.ForkLock.Lock()
	pid, e := cloneExec(p, &argv[0], &envp[0])
	syscall.ForkLock.Unlock()
	if e != 0 {
		return e
	}
	ws, err := reap(int(pid))
	if err != nil {
		return err
	}
	if code := ws.ExitStatus(); code > 0 && code != ranCode {
		return syscall.Errno(code)
	}
	return nil
}

// ranCode is what the probes' own program exits with; no errno is as high.
const ranCode = 200

func reap(pid int) (ws unix.WaitStatus, err error) {
	for {
		_, err = unix.Wait4(pid, &ws, 0, nil)
		if err != unix.EINTR {
			return ws, err
		}
	}
}
