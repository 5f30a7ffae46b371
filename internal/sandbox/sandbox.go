// Package sandbox runs a program in namespaces of its own with private mounts,
// no capabilities, Landlock and seccomp. It knows the kernel and nothing of the
// product; the zero Spec allows nothing.
package sandbox

import "os"

// A Spec says what one sandboxed program may see and do.
type Spec struct {
	Name string   // host name inside
	Args []string // Args[0] is an absolute path inside
	Env  []string
	Dir  string // inside; empty: /

	Stdin, Stdout, Stderr *os.File   // nil: /dev/null
	Files                 []*os.File // become descriptors 3, 4, …
	TTY                   bool       // Stdin is a terminal and becomes the controlling one

	Net *os.File // network namespace to join; nil: a new one with nothing in it, not even loopback up
	UID uint32   // id in the caller's user namespace that the program runs as; seen inside as 1000

	Mounts []Mount           // what of the caller's tree is visible, and where
	Texts  map[string]string // small generated files: /etc/passwd, /etc/hosts
	Links  map[string]string // symbolic links: /bin → usr/bin
	Proc   bool              // mount /proc of its own process namespace
	TmpMax int64             // bytes in /tmp; 0: 64 MiB

	Calls  Calls // risky system calls that are allowed all the same
	Limits Limits
	Skip   Layer // layers left out: for machines that lack them, and for tests
}

// A Mount makes a file or directory of the caller's tree visible.
type Mount struct {
	Source, Target string
	Write          bool // else read-only, recursively
	Exec           bool // else noexec
}

// Calls allows what the zero value forbids.
type Calls struct {
	Meta   bool // chmod, chown, utimes, setxattr on files
	Unix   bool // AF_UNIX sockets
	TCP    bool // AF_INET and AF_INET6 stream sockets, plain TCP only
	Spawn  bool // fork and exec of other programs (threads are always allowed)
	Ptrace bool // never given to an app; for debuggers in exec sessions only
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
	Mounts Layer = 1 << iota // private mounts and pivot_root
	Net                      // network namespace
	PID                      // process namespace
	User                     // user namespace without capabilities
	NoNest                   // no nested user namespaces
	Landlock
	Seccomp
	Rlimits
	Cgroup
)
