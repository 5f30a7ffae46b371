package sandbox

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/cgroup"
)

// startTimeout bounds the set-up of one sandbox; it takes milliseconds.
const startTimeout = 20 * time.Second

// A Process is a running sandbox.
type Process struct {
	PID     int           // of the sandbox's first process, in the caller's process namespace
	Missing []string      // limits that this machine cannot enforce, and why
	Cost    time.Duration // processor time that its set-up took, here and inside

	name   string
	pidns  bool
	proc   *os.Process
	status *os.File
	lines  *bufio.Reader
	group  *cgroup.Group

	wait sync.Once
	exit Exit
	err  error
	done chan struct{}
}

// Start makes the sandbox and runs the program in it. When it returns without
// an error the program has been executed, and the caller calls Wait. An error
// is a *StartError; nothing is left behind then. The sandbox dies with the
// caller's process. Output pipes become the program's own; where the program
// has another id than the caller, they are what it may open again.
func Start(spec Spec) (*Process, error) {
	runtime.LockOSThread() // so that what this thread spends is spent here
	defer runtime.UnlockOSThread()
	began := spent(unix.RUSAGE_THREAD)
	fail := func(step string, err error, next string) (*Process, error) {
		return nil, &StartError{Name: spec.Name, Step: step, Err: err, Next: next}
	}
	if err := spec.check(); err != nil {
		return fail("reading its specification", err, "")
	}
	who, err := caller()
	if err != nil {
		return fail("reading the caller's ids", err, "")
	}
	w := wire{Name: spec.Name, Args: spec.Args, Env: spec.Env, Dir: spec.Dir, Files: len(spec.Files), TTY: spec.TTY,
		Mounts: spec.Mounts, Texts: spec.Texts, Links: spec.Links, Proc: spec.Proc, TmpMax: spec.TmpMax,
		Calls: spec.Calls, Limits: spec.Limits.filled(), Skip: spec.Skip, UserNS: !spec.Skip.has(User), Dry: spec.dry}
	attr, err := who.attr(&spec, &w)
	if err != nil {
		return fail("choosing the ids it runs as", err, "")
	}

	specR, specW, err := os.Pipe()
	if err != nil {
		return fail("making a pipe", err, "")
	}
	defer specW.Close()
	statusR, statusW, err := os.Pipe()
	if err != nil {
		specR.Close()
		return fail("making a pipe", err, "")
	}
	std, closeNull, err := stdio(&spec)
	if err != nil {
		specR.Close()
		statusR.Close()
		statusW.Close()
		return fail("opening /dev/null", err, "")
	}
	if id := int(spec.UID); id != 0 && id != who.uid {
		ownPipes(&spec, id)
	}
	self, err := program()
	if err != nil {
		specR.Close()
		statusR.Close()
		statusW.Close()
		closeNull()
		return fail("opening the program that sets it up", err, "")
	}
	files := append(std, specR, statusW, self)
	files = append(files, spec.Files...)

	p := &Process{name: spec.Name, pidns: !spec.Skip.has(PID), status: statusR,
		lines: bufio.NewReader(statusR), done: make(chan struct{})}
	limits := cgroup.Limits{Processes: w.Limits.Processes, Memory: w.Limits.Memory, CPU: w.Limits.CPU}
	p.limit(&spec, limits)
	forked, step, err := p.spawn(spec.Net, &os.ProcAttr{Dir: "/", Env: []string{"GOMAXPROCS=1", "GOGC=off"}, Files: files, Sys: attr}, limits)
	specR.Close()
	statusW.Close()
	closeNull()
	if err != nil {
		statusR.Close()
		if p.group != nil {
			p.group.Remove()
		}
		return fail(step, err, cloneHint(err))
	}
	p.PID = p.proc.Pid
	step, next, err := p.handOver(specW, &w, spec.Ready)
	if err != nil {
		p.Kill()
		if exit, werr := p.Wait(); err == errEnded && werr == nil {
			err = fmt.Errorf("%w: %v", err, exit)
		}
		return fail(step, err, next)
	}
	p.Cost += forked + spent(unix.RUSAGE_THREAD) - began
	return p, nil
}

var errEnded = errors.New("the process ended before it was done")

// handOver sends the specification, and then the word to go, and waits until the
// program runs.
func (p *Process) handOver(specW *os.File, w *wire, set func() error) (step, next string, err error) {
	p.status.SetReadDeadline(time.Now().Add(startTimeout))
	specW.SetWriteDeadline(time.Now().Add(startTimeout))
	if err := json.NewEncoder(specW).Encode(w); err != nil {
		return "handing it its specification", "", err
	}
	ready := false
	for {
		s, err := p.line()
		switch {
		case err != nil && ready && !errors.Is(err, os.ErrDeadlineExceeded):
			return "", "", nil // the descriptor closed on exec
		case errors.Is(err, os.ErrDeadlineExceeded):
			return "waiting for its set-up", "", fmt.Errorf("no answer in %v", startTimeout)
		case err != nil:
			return "waiting for its set-up", "what it printed may say more", errEnded
		case s.Step != "":
			if s.Text != "" {
				return s.Step, s.Next, errors.New(s.Text)
			}
			return s.Step, s.Next, syscall.Errno(s.Errno)
		case s.Ready:
			ready = true
			p.Cost = time.Duration(s.Spent)
			if set != nil {
				if err := set(); err != nil {
					return "waiting for the word to go", "", err
				}
			}
			p.status.SetReadDeadline(time.Now().Add(startTimeout))
			specW.SetWriteDeadline(time.Now().Add(startTimeout))
			specW.Write([]byte{goAhead})
			specW.Close()
		case s.Ran:
			p.status.SetReadDeadline(time.Time{})
			return "", "", nil
		}
	}
}

func (p *Process) line() (s status, err error) {
	b, err := p.lines.ReadBytes('\n')
	if err != nil {
		return s, err
	}
	return s, json.Unmarshal(b, &s)
}

// made numbers the control groups that this process made.
var made atomic.Int64

// limit makes the control group that the child is to begin in.
func (p *Process) limit(spec *Spec, l cgroup.Limits) {
	if spec.Skip.has(Cgroup) {
		return
	}
	parent := spec.Cgroup
	if parent == "" {
		parent = "ringwall"
	}
	p.group, p.Missing = cgroup.New(parent, fmt.Sprintf("%s-%d-%d", path.Base("/"+spec.Name), os.Getpid(), made.Add(1)), l)
}

// Wait waits for the program's end and cleans up. It may be called often and
// from several goroutines.
func (p *Process) Wait() (Exit, error) {
	p.wait.Do(func() {
		defer close(p.done)
		var inner *uint32
		for {
			s, err := p.line()
			if err != nil {
				break
			}
			if s.Ended {
				inner = &s.Wait
			}
		}
		st, err := p.proc.Wait()
		p.status.Close()
		if p.group != nil {
			p.group.Remove()
		}
		if err != nil {
			p.err = fmt.Errorf("sandbox %q: waiting for its end: %w", p.name, err)
			return
		}
		ws := st.Sys().(syscall.WaitStatus)
		if inner != nil {
			ws = syscall.WaitStatus(*inner)
		}
		p.exit = Exit{Code: ws.ExitStatus()}
		if ws.Signaled() {
			p.exit.Signal = int(ws.Signal())
		}
	})
	<-p.done
	return p.exit, p.err
}

// Done is closed after Wait has seen the end.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the program. Without Calls.Spawn the program is the
// first process of its namespace: a signal that it does not handle, other than
// SIGKILL, does not reach it.
func (p *Process) Signal(sig os.Signal) error { return p.proc.Signal(sig) }

// Kill ends the program and everything it started: the whole process
// namespace, or its session's process group where there is none.
func (p *Process) Kill() error {
	if !p.pidns {
		unix.Kill(-p.PID, unix.SIGKILL)
	}
	if p.group != nil {
		p.group.Kill()
	}
	err := p.proc.Kill()
	if errors.Is(err, os.ErrProcessDone) {
		return nil
	}
	return err
}

// stdio fills the standard three; close releases what was opened for it.
func stdio(spec *Spec) (std []*os.File, done func(), err error) {
	std = []*os.File{spec.Stdin, spec.Stdout, spec.Stderr}
	done = func() {}
	var null *os.File
	for i := range std {
		if std[i] != nil {
			continue
		}
		if null == nil {
			if null, err = os.OpenFile("/dev/null", os.O_RDWR, 0); err != nil {
				return nil, done, err
			}
			done = func() { null.Close() }
		}
		std[i] = null
	}
	return std, done, nil
}

// ownPipes gives output pipes to the program's own id: one that opens
// /dev/stderr again is refused otherwise.
func ownPipes(spec *Spec, id int) {
	for _, f := range []*os.File{spec.Stdout, spec.Stderr} {
		if f == nil {
			continue
		}
		if st, err := f.Stat(); err == nil && st.Mode()&os.ModeNamedPipe != 0 {
			f.Chown(id, id) // a refusal shows where it matters: in the program
		}
	}
}

func (s *Spec) check() error {
	switch {
	case len(s.Args) == 0 || !path.IsAbs(s.Args[0]):
		return fmt.Errorf("got program %q, want an absolute path inside", s.Args)
	case s.Dir != "" && !path.IsAbs(s.Dir):
		return fmt.Errorf("got directory %q, want an absolute path inside", s.Dir)
	case s.TTY && s.Stdin == nil:
		return errors.New("got a terminal without standard input")
	}
	for _, m := range s.Mounts {
		if !path.IsAbs(m.Source) || !path.IsAbs(m.Target) || path.Clean(m.Target) == "/" {
			return fmt.Errorf("got a mount of %q at %q, want absolute paths and a target below /", m.Source, m.Target)
		}
	}
	for _, a := range append(append([]string{s.Name}, s.Args...), s.Env...) {
		if strings.ContainsRune(a, 0) {
			return errors.New("got a zero byte in an argument")
		}
	}
	return nil
}

func (l Limits) filled() Limits {
	or := func(v *int64, d int64) {
		if *v <= 0 {
			*v = d
		}
	}
	procs, files := int64(l.Processes), int64(l.OpenFiles)
	or(&procs, DefaultProcesses)
	or(&files, DefaultOpenFiles)
	or(&l.Memory, DefaultMemory)
	or(&l.FileSize, DefaultFileSize)
	l.Processes, l.OpenFiles = int(procs), int(files)
	return l
}

// Spawners are threads that fork sandboxes, and wait. A child's death signal
// follows the thread that forked it, and joining a network namespace changes the
// thread: neither may happen on a thread that the runtime hands around.
var spawners struct {
	sync.Mutex
	idle []chan func() (keep bool)
}

// onSpawner runs f on a thread of its own, or one that waits. A thread that f
// does not want kept serves nobody again; its children die with it, so it stays.
func onSpawner(f func() (keep bool)) {
	spawners.Lock()
	var work chan func() bool
	if n := len(spawners.idle); n > 0 {
		work, spawners.idle = spawners.idle[n-1], spawners.idle[:n-1]
	}
	spawners.Unlock()
	if work == nil {
		work = make(chan func() bool)
		go func() {
			runtime.LockOSThread()
			for f := range work {
				f()
			}
		}()
	}
	done := make(chan bool, 1)
	work <- func() bool {
		keep := f()
		done <- keep
		return keep
	}
	if <-done {
		spawners.Lock()
		spawners.idle = append(spawners.idle, work)
		spawners.Unlock()
	}
}

// spawn starts the child from a thread that is in its network and its control
// group meanwhile.
func (p *Process) spawn(netns *os.File, attr *os.ProcAttr, limits cgroup.Limits) (cost time.Duration, step string, err error) {
	start := func() (err error) {
		p.proc, err = os.StartProcess(programPath, []string{argv0}, attr)
		return err
	}
	step = "starting its process"
	onSpawner(func() (stays bool) {
		began := spent(unix.RUSAGE_THREAD)
		defer func() { cost = spent(unix.RUSAGE_THREAD) - began }()
		stays = true
		if netns != nil {
			var home *os.File
			if home, err = os.Open("/proc/thread-self/ns/net"); err != nil {
				return true
			}
			defer home.Close()
			if err = unix.Setns(int(netns.Fd()), unix.CLONE_NEWNET); err != nil {
				step = "joining its network namespace"
				return true
			}
			defer func() { stays = unix.Setns(int(home.Fd()), unix.CLONE_NEWNET) == nil && stays }()
		}
		if p.group == nil {
			err = start()
			return stays
		}
		if stays, err = p.group.Fork(attr.Sys, start); err != nil { // better without it than not at all, and said
			p.Missing = cgroup.Unbounded(limits, err)
			p.group.Remove()
			p.group, err = nil, start()
		}
		return stays
	})
	return cost, step, err
}

func cloneHint(err error) string {
	switch {
	case errors.Is(err, syscall.EPERM):
		return "namespaces are refused here: in a container allow them (docker run --security-opt seccomp=unconfined --security-opt apparmor=unconfined), on Ubuntu: sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EUSERS):
		return "the limit on namespaces is reached: sysctl user.max_user_namespaces"
	case errors.Is(err, syscall.EAGAIN):
		return "the limit on processes is reached: ulimit -u"
	}
	return ""
}
