//go:build linux

package local

import (
	"bytes"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// Where a process namespace ends with its first process, the kernel ends what
// programs leave behind. On a machine without them the hub and the supervisor
// adopt it, and end it: the hub while it lives, the supervisor when the hub was
// killed, and the hub all there is when the supervisor was.

// orphans ends the processes that were left to this one.
var orphans orphanKeeper

// An orphanKeeper knows which of this process's children are its own.
type orphanKeeper struct {
	mu       sync.Mutex
	starting int // sandboxes whose process number is not known yet
	boxes    map[int]bool
	kick     chan struct{}
}

// adopt makes this process the parent of whatever its descendants leave behind.
func adopt() error { return unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) }

// run ends orphans until the process ends.
func (k *orphanKeeper) run() {
	k.mu.Lock()
	k.boxes, k.kick = map[int]bool{}, make(chan struct{}, 1)
	k.mu.Unlock()
	go func() {
		for {
			k.sweep()
			select {
			case <-k.kick:
			case <-time.After(200 * time.Millisecond):
			}
		}
	}()
}

// start starts a sandbox that is this process's own.
func (k *orphanKeeper) start(f func() (*sandbox.Process, error)) (*sandbox.Process, error) {
	k.mu.Lock()
	k.starting++
	k.mu.Unlock()
	p, err := f()
	k.mu.Lock()
	defer k.mu.Unlock()
	k.starting--
	if err == nil && k.boxes != nil { // else a test took the namespace away, and the hub is in one
		k.boxes[p.PID] = true
		go k.forget(p)
	}
	return p, err
}

// forget ends what a sandbox that has ended left behind.
func (k *orphanKeeper) forget(p *sandbox.Process) {
	<-p.Done()
	k.mu.Lock()
	delete(k.boxes, p.PID)
	k.mu.Unlock()
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// sweep ends every child that no sandbox of ours is, with all it started. What is
// in this process's own session is a tool that it runs.
func (k *orphanKeeper) sweep() {
	self := os.Getpid()
	all := processes()
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.starting > 0 {
		return // one of them may be a sandbox that is not known yet
	}
	own := all[self].session
	for pid, p := range all {
		if p.parent == self && p.session != own && !k.boxes[pid] {
			end(all, pid)
		}
	}
}

// end kills a process and its descendants, and reaps it where it is a child.
func end(all map[int]process, root int) {
	for _, pid := range below(all, root) {
		unix.Kill(pid, unix.SIGKILL)
	}
	unix.Wait4(root, nil, unix.WNOHANG, nil)
}

// endAll ends every descendant of this process but those in keep, and returns when
// none is left, or after a limit.
func endAll(keep map[int]bool, limit time.Duration) {
	self := os.Getpid()
	for began := time.Now(); time.Since(began) < limit; time.Sleep(2 * time.Millisecond) {
		all, left := processes(), false
		for pid, p := range all {
			if p.parent == self && !keep[pid] {
				left = left || p.state != 'Z'
				end(all, pid)
			}
		}
		if !left {
			return
		}
	}
}

// children are this process's own.
func children() map[int]bool {
	out := map[int]bool{}
	for pid, p := range processes() {
		if p.parent == os.Getpid() {
			out[pid] = true
		}
	}
	return out
}

// followSupervisor ends the site at once when the supervisor is gone: its end of
// the socket closes with it.
func followSupervisor(c *net.UnixConn) {
	io.Copy(io.Discard, c)
	endAll(nil, 5*time.Second)
	os.Exit(1)
}

// A process is what the kernel says of one.
type process struct {
	parent, session int
	state           byte // Z: it has ended
}

// processes are all that this process can see.
func processes() map[int]process {
	out := map[int]process{}
	for _, pid := range pids() {
		b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil {
			continue
		}
		f := strings.Fields(string(b[bytes.LastIndexByte(b, ')')+1:])) // the name before it may hold anything
		if len(f) < 4 {
			continue
		}
		p := process{state: f[0][0]}
		p.parent, _ = strconv.Atoi(f[1])
		p.session, _ = strconv.Atoi(f[3])
		out[pid] = p
	}
	return out
}

// below is a process and all that it started.
func below(all map[int]process, root int) []int {
	out := []int{root}
	for i := 0; i < len(out); i++ {
		for pid, p := range all {
			if p.parent == out[i] {
				out = append(out, pid)
			}
		}
	}
	return out
}

// bind ties the hub's life to the supervisor's. With a process namespace the
// kernel does it; without one the hub must live a moment longer, to end the rest.
func bind(a *syscall.SysProcAttr, skip sandbox.Layer) {
	if skip&sandbox.PID == 0 {
		a.Pdeathsig = syscall.SIGKILL
	}
}
