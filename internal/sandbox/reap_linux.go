package sandbox

import (
	"os"
	"os/signal"
	"syscall"

	"golang.org/x/sys/unix"
)

// reaped says whether the program runs below a first process of ours. A program
// that starts others needs one: the first process of a namespace must collect
// orphans, and signals without a handler never reach it.
func (b *box) reaped() bool { return b.Calls.Spawn && !b.Skip.has(PID) }

// reap starts the program and stays as first process until it ends. Its end
// takes the whole namespace with it.
func (b *box) reap() error {
	signals := make(chan os.Signal, 64)
	signal.Notify(signals, unix.SIGCHLD, unix.SIGTERM, unix.SIGINT, unix.SIGQUIT, unix.SIGHUP, unix.SIGUSR1, unix.SIGUSR2, unix.SIGWINCH)
	files := []uintptr{0, 1, 2}
	for i := range b.Files {
		files = append(files, uintptr(fdSpec+i))
	}
	pid, err := syscall.ForkExec(b.Args[0], b.Args, &syscall.ProcAttr{Env: b.Env, Files: files,
		Sys: &syscall.SysProcAttr{Setsid: true, Setctty: b.TTY, Ctty: 0}})
	if err != nil {
		return b.execHint(err)
	}
	b.tell(status{Ran: true})
	// What the program closes must be closed.
	for _, fd := range files {
		unix.Close(int(fd))
	}
	// Everything happens on this thread: under cgo it is the only one with the
	// program's id, and the program's Landlock domain is this thread's.
	for sig := range signals {
		if sig != unix.SIGCHLD {
			unix.Kill(pid, sig.(syscall.Signal))
			continue
		}
		for {
			var ws unix.WaitStatus
			got, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
			if err == unix.EINTR {
				continue
			}
			if err != nil || got <= 0 {
				break
			}
			if got == pid {
				b.ended(ws)
			}
		}
	}
	return nil
}

// ended ends the namespace as its program ended.
func (b *box) ended(ws unix.WaitStatus) {
	b.tell(status{Ended: true, Wait: uint32(ws)})
	code := ws.ExitStatus()
	if ws.Signaled() {
		code = 128 + int(ws.Signal())
	}
	unix.Exit(code)
}
