package sandbox

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"path"
	"runtime"
	"slices"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// A sandbox is set up before the packages that sort after this one, or need it,
// are initialised. What they compile and fill in is for a program that this
// process never becomes; it would take as long as the walls do.
func init() { Init() }

// Init becomes the sandboxed program when this process was re-executed by
// Start, and never returns then. Otherwise it returns at once. It runs when this
// package is initialised; a main that calls it first says so to its reader.
func Init() {
	if len(os.Args) != 1 || os.Args[0] != argv0 {
		return
	}
	runtime.LockOSThread()
	setName(argv0) // it was executed by the number of a descriptor
	b := &box{}
	err := b.run()
	b.report(err)
	unix.Exit(125)
}

// setName names this process for those who list processes.
func setName(name string) {
	b := append([]byte(name), 0)
	unix.Prctl(unix.PR_SET_NAME, uintptr(unsafe.Pointer(&b[0])), 0, 0, 0)
}

// box is the child's side of a sandbox.
type box struct {
	wire
	statusFD int
	specFD   int
	nest     []int   // open limits on nested namespaces
	once     uintptr // address of the program's name, where only that may be executed
}

// A stepError is an error with the step that met it.
type stepError struct {
	step, next string
	err        error
}

func (e *stepError) Error() string { return e.step + ": " + e.err.Error() }

func step(name string, err error, next ...string) error {
	if err == nil {
		return nil
	}
	e := &stepError{step: name, err: err}
	if len(next) > 0 {
		e.next = next[0]
	}
	return e
}

func (b *box) tell(s status) {
	line, _ := json.Marshal(s)
	unix.Write(b.statusFD, append(line, '\n'))
}

func (b *box) report(err error) {
	s := status{Step: "setting it up"}
	var se *stepError
	if errors.As(err, &se) {
		s.Step, s.Next, err = se.step, se.next, se.err
	}
	if no, ok := err.(syscall.Errno); ok {
		s.Errno = int(no)
	} else if err != nil {
		s.Text = err.Error()
	}
	b.tell(s)
}

// run does every step in order; it returns only with an error.
func (b *box) run() error {
	if err := b.receive(); err != nil {
		return err
	}
	skip := b.Skip
	if err := b.orphaned(); err != nil {
		return err
	}
	unix.Umask(0o022)

	var trees []tree
	if !skip.has(Mounts) {
		if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
			return step("making its mounts private", err)
		}
		var err error
		// Sources are opened with the caller's own id, before it is given up.
		if trees, err = b.openTrees(); err != nil {
			return err
		}
	}
	if !skip.has(PID) {
		noExecMemory() // only the machine's root may, who this process is until it takes its id
	}
	if b.UserNS {
		if err := b.becomeInner(); err != nil {
			return err
		}
	}
	if !skip.has(NoNest) && b.UserNS {
		if err := b.openNesting(); err != nil {
			return err
		}
	}
	if b.Name != "" && (b.UserNS || os.Geteuid() == 0) {
		if err := unix.Sethostname([]byte(b.Name)); err != nil {
			return step("setting its host name", err)
		}
	}
	if !skip.has(Mounts) {
		if err := b.buildRoot(trees); err != nil {
			return err
		}
	}
	if err := b.closeNesting(); err != nil {
		return err
	}
	if !skip.has(Rlimits) {
		if err := b.setLimits(); err != nil {
			return err
		}
	}
	if !b.UserNS && b.UID != 0 {
		if err := b.becomeOuter(); err != nil {
			return err
		}
	}
	dir := b.Dir
	if dir == "" {
		dir = "/"
	}
	if err := unix.Chdir(dir); err != nil {
		return step("entering its directory "+dir, err)
	}
	if b.TTY && !b.reaped() {
		if err := unix.IoctlSetInt(0, unix.TIOCSCTTY, 0); err != nil {
			return step("taking its terminal", err)
		}
	}
	if err := b.restrict(); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL), 0, 0, 0); err != nil {
		return step("tying its life to its parent's", err)
	}
	if err := b.orphaned(); err != nil {
		return err
	}
	if err := unix.CloseRange(uint(fdSpec+b.Files), ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return step("closing descriptors", err)
	}
	if b.Dry {
		return b.dryRun()
	}
	b.tell(status{Ready: true, Spent: int64(spent(unix.RUSAGE_SELF))})
	if err := b.await(); err != nil {
		return err
	}
	if b.reaped() {
		return b.reap()
	}
	return b.execHint(b.exec())
}

// await waits for the parent's word that the program may be executed. A parent
// that is gone gives none.
func (b *box) await() error {
	var word [1]byte
	for {
		n, err := unix.Read(b.specFD, word[:])
		switch {
		case err == unix.EINTR:
		case err != nil:
			return step("waiting for the word to go", err)
		case n != 1 || word[0] != goAhead:
			unix.Exit(125)
		default:
			unix.Close(b.specFD)
			return nil
		}
	}
}

// spent is the processor time of this process or thread.
func spent(who int) time.Duration {
	var u unix.Rusage
	unix.Getrusage(who, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// restrict gives up what set-up needed. Landlock and seccomp need either no new
// privileges or, where a test leaves that out, the capabilities that go last.
func (b *box) restrict() error {
	skip := b.Skip
	if skip.has(NoNewPrivs) {
		if err := b.filters(); err != nil {
			return err
		}
	} else if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return step("giving up new privileges", err)
	}
	if !skip.has(Caps) {
		if err := b.dropCapabilities(); err != nil {
			return err
		}
	}
	if !skip.has(NoNewPrivs) {
		return b.filters()
	}
	return nil
}

func (b *box) filters() error {
	if !b.Skip.has(Landlock) {
		if err := b.landlock(); err != nil {
			return err
		}
	}
	if b.Skip.has(Seccomp) {
		return nil
	}
	if !b.Calls.Spawn {
		if err := b.hideName(); err != nil {
			return err
		}
	}
	return b.seccomp()
}

// hideName puts the program's name on a page of its own at a random address.
func (b *box) hideName() error {
	var r [5]byte
	for range 16 {
		if _, err := unix.Getrandom(r[:], 0); err != nil {
			return step("choosing a random address", err)
		}
		// 35 bits of page number: below the end of user memory everywhere.
		page := uintptr(r[0]) | uintptr(r[1])<<8 | uintptr(r[2])<<16 | uintptr(r[3])<<24 | uintptr(r[4]&7)<<32
		size := uintptr(len(b.Args[0]) + 1)
		at, _, e := unix.RawSyscall6(unix.SYS_MMAP, page<<12, size, unix.PROT_READ|unix.PROT_WRITE,
			unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_FIXED_NOREPLACE, ^uintptr(0), 0)
		if e != 0 {
			continue
		}
		if at != page<<12 {
			return step("choosing a random address", unix.ENOSYS, "this needs Linux 4.17 or later")
		}
		copy(unsafe.Slice((*byte)(unsafe.Add(unsafe.Pointer(nil), at)), size), b.Args[0])
		b.once = at
		return nil
	}
	return step("choosing a random address", unix.EEXIST)
}

// exec replaces this process by the program.
func (b *box) exec() error {
	if b.once == 0 {
		return unix.Exec(b.Args[0], b.Args, b.Env)
	}
	argv, err := syscall.SlicePtrFromStrings(b.Args)
	if err != nil {
		return err
	}
	envp, err := syscall.SlicePtrFromStrings(b.Env)
	if err != nil {
		return err
	}
	_, _, e := unix.RawSyscall(unix.SYS_EXECVE, b.once, uintptr(unsafe.Pointer(&argv[0])), uintptr(unsafe.Pointer(&envp[0])))
	return e
}

func (b *box) execHint(err error) error {
	next := ""
	switch err {
	case unix.ENOENT:
		next = "is the program, or the loader it names, among the mounts?"
	case unix.EACCES, unix.EPERM:
		next = "is the program's mount marked Exec, and the file executable for others?"
	}
	return step("executing "+b.Args[0], err, next)
}

// receive reads the specification and puts the descriptors where the program
// expects them: 3, 4, …, the status pipe above them.
func (b *box) receive() error {
	b.statusFD = fdStatus
	var data []byte
	buf := make([]byte, 64<<10)
	for !bytes.HasSuffix(data, []byte("\n")) {
		n, err := unix.Read(fdSpec, buf)
		if err == unix.EINTR {
			continue
		}
		if err != nil {
			return step("reading its specification", err)
		}
		if n == 0 {
			break
		}
		data = append(data, buf[:n]...)
	}
	if err := json.Unmarshal(data, &b.wire); err != nil {
		return step("reading its specification", err)
	}
	low, err := unix.FcntlInt(fdSpec, unix.F_DUPFD_CLOEXEC, fdFiles+b.Files+1)
	if err != nil {
		return step("moving descriptors", err)
	}
	b.specFD = low
	high, err := unix.FcntlInt(fdStatus, unix.F_DUPFD_CLOEXEC, low+1)
	if err != nil {
		return step("moving descriptors", err)
	}
	b.statusFD = high
	for i := range b.Files {
		if err := unix.Dup3(fdFiles+i, fdSpec+i, 0); err != nil {
			return step("moving descriptors", err)
		}
	}
	for fd := fdSpec + b.Files; fd < fdFiles+b.Files; fd++ {
		unix.Close(fd)
	}
	if err := unix.CloseRange(uint(high+1), ^uint(0)>>32, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return step("closing descriptors", err, "this needs Linux 5.11 or later")
	}
	return nil
}

// orphaned fails when the parent is gone already: its death signal would never come.
func (b *box) orphaned() error {
	p := []unix.PollFd{{Fd: int32(b.statusFD), Events: 0}}
	if n, _ := unix.Poll(p, 0); n > 0 && p[0].Revents&unix.POLLERR != 0 {
		unix.Exit(125)
	}
	return nil
}

// becomeInner takes the one id that is mapped. The ambient capabilities stay.
func (b *box) becomeInner() error {
	if b.Setgroups {
		if err := b.change(unix.SYS_SETGROUPS, 0, 0, 0); err != nil {
			return step("dropping groups", err)
		}
	}
	if err := b.change(unix.SYS_SETRESGID, Inner, Inner, Inner); err != nil {
		return step("taking its group", err)
	}
	return step("taking its user", b.change(unix.SYS_SETRESUID, Inner, Inner, Inner))
}

// becomeOuter gives root up where there is no user namespace.
func (b *box) becomeOuter() error {
	id := uintptr(b.UID)
	if b.Setgroups {
		if err := b.change(unix.SYS_SETGROUPS, 0, 0, 0); err != nil {
			return step("dropping groups", err)
		}
	}
	if err := b.change(unix.SYS_SETRESGID, id, id, id); err != nil {
		return step("taking its group", err)
	}
	return step("taking its user", b.change(unix.SYS_SETRESUID, id, id, id))
}

// change makes a system call that changes who this process is: on this thread,
// which the program is executed on, and on all others where this process stays
// as a reaper. Under cgo only this thread can be reached.
func (b *box) change(trap, a1, a2, a3 uintptr) error {
	e := syscall.ENOTSUP
	if b.reaped() {
		_, _, e = syscall.AllThreadsSyscall(trap, a1, a2, a3)
	}
	if e == syscall.ENOTSUP {
		_, _, e = syscall.RawSyscall(trap, a1, a2, a3)
	}
	if e != 0 {
		return e
	}
	return nil
}

// mountOrder sorts targets so that one that lies in another comes after it.
func mountOrder(ms []Mount) []Mount {
	ms = slices.Clone(ms)
	for i := range ms {
		ms[i].Target = path.Clean(ms[i].Target)
	}
	slices.SortStableFunc(ms, func(a, b Mount) int { return len(a.Target) - len(b.Target) })
	return ms
}
