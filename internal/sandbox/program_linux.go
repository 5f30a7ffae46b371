package sandbox

import (
	"fmt"
	"os"
	"sync"

	"golang.org/x/sys/unix"
)

// program is what a sandbox's process runs first: the small set-up program, in
// memory and sealed, or this program itself where it was built without or the
// machine executes no files in memory. Both do the same.
var program = sync.OnceValues(func() (*os.File, error) {
	if f := inMemory(setup); f != nil {
		return f, nil
	}
	return os.Open("/proc/self/exe")
})

// programPath is the program's name in the child, after its descriptors are in place.
var programPath = fmt.Sprintf("/proc/self/fd/%d", fdProgram)

// inMemory returns nil where that does not work.
func inMemory(b []byte) *os.File {
	if len(b) == 0 || execMemoryRefused() {
		return nil
	}
	fd, err := unix.MemfdCreate(argv0, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING|unix.MFD_EXEC)
	if err == unix.EINVAL { // before Linux 6.3
		fd, err = unix.MemfdCreate(argv0, unix.MFD_CLOEXEC|unix.MFD_ALLOW_SEALING)
	}
	if err != nil {
		return nil
	}
	w := os.NewFile(uintptr(fd), argv0)
	defer w.Close()
	if _, err := w.Write(b); err != nil {
		return nil
	}
	if _, err := unix.FcntlInt(w.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE|unix.F_SEAL_SHRINK|unix.F_SEAL_GROW|unix.F_SEAL_SEAL); err != nil {
		return nil
	}
	r, err := os.Open(fmt.Sprintf("/proc/self/fd/%d", w.Fd()))
	if err != nil {
		return nil
	}
	return r
}

// execMemoryRefused reports a process namespace in which no file in memory may
// be executed: making one would succeed, and executing it fail.
func execMemoryRefused() bool {
	b, err := os.ReadFile("/proc/sys/vm/memfd_noexec")
	return err == nil && len(b) > 0 && b[0] == '2'
}
