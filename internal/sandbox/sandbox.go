// Package sandbox runs a program in namespaces of its own with private mounts,
// no capabilities, Landlock and seccomp. It knows the kernel and nothing of the
// product; the zero Spec allows nothing.
package sandbox

import (
	"context"
	"fmt"
	"os"
	"strings"
)

// A Spec says what one sandboxed program may see and do.
type Spec struct {
	Name string   // host name inside
	Args []string // Args[0] is an absolute path inside
	Env  []string
	Dir  string // inside; empty: /

	Stdin, Stdout, Stderr *os.File   // nil: /dev/null
	Files                 []*os.File // become descriptors 3, 4, …
	TTY                   bool       // Stdin is a terminal and becomes the controlling one

	// Ready is called when everything is set up. The program is executed when it
	// returns, and never if that is with an error. Nil: at once.
	Ready func() error

	Net *os.File // network namespace to join; nil: a new one with nothing in it, not even loopback up
	// UID is the id, of user and group, in the caller's user namespace that the
	// program runs as; inside it is seen as 1000. A caller that may not change
	// its ids leaves it 0 or names its own. The machine's own root is refused.
	UID uint32

	Mounts []Mount           // what of the caller's tree is visible, and where
	Texts  map[string]string // small generated files: /etc/passwd, /etc/hosts
	Links  map[string]string // symbolic links: /bin → usr/bin
	Proc   bool              // mount /proc of its own process namespace
	TmpMax int64             // bytes in /tmp; 0: 64 MiB

	Calls  Calls // risky system calls that are allowed all the same
	Limits Limits
	dry    bool   // set everything up, then end: for Capabilities
	Cgroup string // slash-separated group that the program's own group is made in; empty: ringwall
	Skip   Layer  // layers left out: for machines that lack them, and for tests
}

// A Mount makes a file or directory of the caller's tree visible.
type Mount struct {
	Source, Target string
	Write          bool // else read-only, recursively
	Exec           bool // else noexec
}

// Calls allows what the zero value forbids. Threads are always allowed.
type Calls struct {
	Meta  bool // chmod, chown, utimes, setxattr on files
	Unix  bool // AF_UNIX sockets
	TCP   bool // AF_INET and AF_INET6 stream sockets, plain TCP only
	Fork  bool // further processes of the same program; executing anything is refused
	Spawn bool // fork and exec of other programs, below a first process that collects orphans

	// Never given to an app: for debuggers in exec sessions, and to take a wall
	// down in a test.
	Ptrace     bool
	UDP        bool // AF_INET and AF_INET6 datagrams
	MPTCP      bool
	Families   bool // every other family and type of socket: netlink, packet, vsock, raw
	Namespaces bool // unshare, setns, clone with new namespaces
	Uring      bool // io_uring, which passes other rules by
}

// Limits bounds the program and its children. Zero values take the defaults.
type Limits struct {
	Processes int
	Memory    int64 // bytes
	OpenFiles int
	FileSize  int64 // bytes
	CPU       int   // hundredths of one processor
}

// Layer names a part of the enforcement.
type Layer uint

const (
	Mounts     Layer = 1 << iota // private mounts and pivot_root
	Net                          // network namespace
	PID                          // process namespace
	User                         // user namespace
	Caps                         // no capabilities, in no set
	NoNewPrivs                   // setuid programs gain nothing
	NoNest                       // no nested user namespaces
	Landlock
	Seccomp
	Rlimits
	Cgroup
	Firewall // of the network that Spec.Net is in: its owner's, not this package's
)

// Spaces are the layers that are namespaces of one kind or another.
const Spaces = User | Mounts | PID | Net | NoNest

var layerNames = []string{"private mounts", "network namespaces", "process namespaces", "user namespaces", "dropped capabilities",
	"no new privileges", "no nested namespaces", "Landlock", "seccomp", "resource limits", "control groups", "firewall"}

// Names are the layers' names.
func (l Layer) Names() (out []string) {
	for i, name := range layerNames {
		if l&(1<<i) != 0 {
			out = append(out, name)
		}
	}
	return out
}

// String lists the names.
func (l Layer) String() string { return strings.Join(l.Names(), ", ") }

// Inner is the user and group id of every sandboxed program, as it sees itself.
const Inner = 1000

// Defaults of Limits and of TmpMax.
const (
	DefaultProcesses = 256
	DefaultMemory    = 1 << 30
	DefaultOpenFiles = 4096
	DefaultFileSize  = 1 << 30
	DefaultTmp       = 64 << 20
)

// A StartError says which step of setting up a sandbox failed, and what to do.
type StartError struct {
	Name, Step string
	Err        error
	Next       string // what to do next; may be empty
}

func (e *StartError) Error() string {
	s := fmt.Sprintf("sandbox %q: %s: %v", e.Name, e.Step, e.Err)
	if e.Next != "" {
		s += "; " + e.Next
	}
	return s
}

func (e *StartError) Unwrap() error { return e.Err }

// An Exit says how a sandboxed program ended. A signal that killed it has Code -1.
type Exit struct {
	Code   int
	Signal int // 0: it exited by itself
}

// Success reports an exit with code 0.
func (e Exit) Success() bool { return e.Signal == 0 && e.Code == 0 }

func (e Exit) String() string {
	if e.Signal != 0 {
		return fmt.Sprintf("killed by signal %d", e.Signal)
	}
	return fmt.Sprintf("exit code %d", e.Code)
}

// A Capability is one part of the enforcement, tried on this machine.
type Capability struct {
	Layer  Layer
	Name   string
	OK     bool
	Detail string // what was tried, or the refusal
	Fix    string // what mends it; empty where it works or nothing is known
}

// A Check tries a part of the enforcement that this package does not own.
type Check struct {
	Layer Layer
	Name  string
	Fix   string
	Try   func(context.Context) error
}
