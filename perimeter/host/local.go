// Package host is perimeter 6: what the kernel will do for a process of the
// site. It says what each class of process may see and call; internal/sandbox
// enforces it.
package host

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Binary is where our own program lies in the sandboxes that run it.
const Binary = "/ringwall"

// Allow fills in what an instance's app may see and call. The caller adds
// Args, Env, Dir, Net, UID, Files and the mounts of other walls.
func Allow(p *plan.Plan, tier *plan.Tier, spec *sandbox.Spec) {
	system(spec)
	for _, dir := range p.Host.Programs {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: dir, Target: dir, Exec: true})
	}
	spec.Limits = limits(tier.Limits)
	// The app talks over its own socket in /run/app; every other part's socket
	// lies outside its mounts.
	spec.Calls.Unix = true
	spec.Calls.TCP = true
	spec.Calls.Meta = tier.Write
	if p.Kind == plan.PHP {
		spec.Calls.Fork = true // workers of the pool, which run no other program
		spec.Calls.Spawn = tier.Write
	} else {
		spec.Calls.Spawn = true // a command may be a script
	}
	lower(p, spec)
}

// Agent fills in what an instance's web server may see and call: itself.
func Agent(p *plan.Plan, spec *sandbox.Spec) {
	own(spec)
	spec.Calls = sandbox.Calls{Unix: true, TCP: true}
	spec.Limits = sandbox.Limits{Processes: 128, Memory: 512 << 20, OpenFiles: 16384, FileSize: 1 << 30}
}

// Front fills in what the edge and balancer may see and call: itself.
func Front(p *plan.Plan, spec *sandbox.Spec) {
	own(spec)
	spec.Calls = sandbox.Calls{Unix: true, TCP: true}
	spec.Limits = sandbox.Limits{Processes: 256, Memory: 1 << 30, OpenFiles: 65536, FileSize: 1 << 30}
	spec.TmpMax = max(256<<20, 4*p.Edge.MaxUpload) // bodies wait there until they are judged
}

// Database fills in what the database server may see and call. Its own tools
// (initdb, mariadb-install-db) start helpers: the caller sets Calls.Spawn.
func Database(p *plan.Plan, spec *sandbox.Spec) {
	system(spec)
	for _, dir := range p.Host.Programs {
		spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: dir, Target: dir, Exec: true})
	}
	spec.Calls = sandbox.Calls{Unix: true, TCP: true, Meta: true, Fork: true}
	spec.Limits = sandbox.Limits{Processes: 512, Memory: 2 << 30, OpenFiles: 16384, FileSize: 1 << 40}
	spec.TmpMax = 256 << 20
}

func limits(l plan.Limits) sandbox.Limits {
	return sandbox.Limits{Processes: l.Processes, Memory: l.Memory, OpenFiles: l.OpenFiles, FileSize: l.FileSize, CPU: l.CPU}
}

// own shows a process nothing of the machine but our binary, and lets it
// execute nothing else.
func own(spec *sandbox.Spec) {
	exe, err := os.Executable()
	if err != nil {
		exe = os.Args[0] // Start says what is wrong with it
	}
	if sandbox.Loader(exe) != "" { // built with cgo: it needs its loader and libraries
		system(spec)
		spec.Proc = false
	} else {
		accounts(spec)
	}
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: exe, Target: Binary, Exec: true})
}

// Visit shows our binary inside the walls of another program, for a probe.
func Visit(spec *sandbox.Spec) error {
	if slices.ContainsFunc(spec.Mounts, func(m sandbox.Mount) bool { return m.Target == Binary }) {
		return nil
	}
	exe, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program: %w", err)
	}
	spec.Mounts = append(slices.Clone(spec.Mounts), sandbox.Mount{Source: exe, Target: Binary, Exec: true})
	return nil
}

// etc is what programs read of /etc: no accounts, no keys, no names of the machine.
var etc = []string{
	"/etc/ld.so.cache", "/etc/ld.so.conf", "/etc/ld.so.conf.d", "/etc/alternatives", "/etc/localtime", "/etc/timezone",
	"/etc/ssl/certs", "/etc/ssl/openssl.cnf", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted", "/etc/ca-certificates",
	"/etc/crypto-policies", "/etc/mime.types", "/etc/php", "/etc/php.ini", "/etc/php.d", "/etc/php-zts.d",
	"/etc/fonts", "/etc/ImageMagick-6", "/etc/ImageMagick-7", "/etc/magic", "/etc/protocols", "/etc/services",
}

// system shows the machine's programs and libraries, read-only.
func system(spec *sandbox.Spec) {
	spec.Proc = true
	spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: "/usr", Target: "/usr", Exec: true})
	for _, dir := range []string{"/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32"} {
		st, err := os.Lstat(dir)
		if err != nil {
			continue
		}
		if st.Mode()&os.ModeSymlink == 0 {
			spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: dir, Target: dir, Exec: true})
		} else if to, err := os.Readlink(dir); err == nil {
			link(spec, dir, to)
		}
	}
	for _, name := range etc {
		if real, err := filepath.EvalSymlinks(name); err == nil {
			spec.Mounts = append(spec.Mounts, sandbox.Mount{Source: real, Target: name})
		}
	}
	accounts(spec)
}

// accounts writes the few files of /etc that would otherwise name the machine's
// people and networks.
func accounts(spec *sandbox.Spec) {
	if spec.Texts == nil {
		spec.Texts = map[string]string{}
	}
	for name, text := range map[string]string{
		"/etc/passwd":        fmt.Sprintf("root:x:0:0:root:/:/usr/sbin/nologin\napp:x:%d:%d:app:/tmp:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/:/usr/sbin/nologin\n", sandbox.Inner, sandbox.Inner),
		"/etc/group":         fmt.Sprintf("root:x:0:\napp:x:%d:\nnogroup:x:65534:\n", sandbox.Inner),
		"/etc/hosts":         "127.0.0.1 localhost\n::1 localhost\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\nservices: files\nprotocols: files\n",
		"/etc/resolv.conf":   "", // there are no names but those in hosts
		"/etc/host.conf":     "multi on\n",
	} {
		if _, ok := spec.Texts[name]; !ok {
			spec.Texts[name] = text
		}
	}
}

func link(spec *sandbox.Spec, name, to string) {
	if spec.Links == nil {
		spec.Links = map[string]string{}
	}
	spec.Links[name] = to
}

// lower takes the walls down that a test asked for, each exactly one part. In
// a released binary none is.
func lower(p *plan.Plan, spec *sandbox.Spec) {
	for _, w := range walls {
		if perimeter.Down(w.id) {
			w.lower(p, spec)
		}
	}
}

// Lowered are the controls that lower knows how to take down.
func Lowered() []string {
	var ids []string
	for _, w := range walls {
		ids = append(ids, w.id)
	}
	return ids
}

// A wall is the part of a specification that keeps one control's promise.
type wall struct {
	id    string
	lower func(*plan.Plan, *sandbox.Spec)
}

var walls = []wall{
	{"host/no-udp", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.UDP = true }},
	{"host/no-mptcp", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.MPTCP = true }},
	{"host/no-raw", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.Families = true }},
	{"host/no-abstract-sockets", without(sandbox.Landlock)}, // and the caller listens in the instance's network
	{"host/no-pathname-sockets", machineFiles},
	{"host/admin-no-pathname-sockets", machineFiles},
	{"host/no-ptrace", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.Ptrace = true }},
	{"host/no-chmod", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.Meta = true }},
	{"host/no-io-uring", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.Uring = true }},
	{"host/no-spawn", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.Spawn = true }}, // and the caller makes the app's directory executable
	{"host/no-nested-namespaces", func(_ *plan.Plan, s *sandbox.Spec) { s.Calls.Namespaces = true; s.Skip |= sandbox.NoNest }},
	{"host/no-mount", without(sandbox.Seccomp)},
	{"host/no-bpf", without(sandbox.Seccomp)},
	{"host/no-keyring", without(sandbox.Seccomp)},
	{"host/no-file-handles", without(sandbox.Seccomp)},
	{"host/no-foreign-calls", without(sandbox.Seccomp)},
	{"host/no-new-privs", without(sandbox.NoNewPrivs)},
	{"host/no-capabilities", without(sandbox.Caps)},
	{"host/admin-no-capabilities", without(sandbox.Caps)},
	{"host/seccomp", without(sandbox.Seccomp)},
	{"host/landlock", without(sandbox.Landlock)},
	{"host/hidden-processes", without(sandbox.PID)},
	{"host/admin-hidden-processes", without(sandbox.PID)},
	{"host/no-proc-secrets", without(sandbox.PID | sandbox.Landlock)},
	{"host/agent-out-of-reach", without(sandbox.PID | sandbox.Landlock)},
	{"host/private-mounts", machineFiles},
	{"host/admin-private-mounts", machineFiles},
	{"host/no-devices", func(_ *plan.Plan, s *sandbox.Spec) {
		s.Mounts = append(s.Mounts, sandbox.Mount{Source: "/dev/null", Target: "/dev/kmsg"})
	}},
	{"host/limits-processes", func(_ *plan.Plan, s *sandbox.Spec) { s.Limits.Processes = 1 << 16 }},
	{"host/limits-memory", func(_ *plan.Plan, s *sandbox.Spec) { s.Limits.Memory = 1 << 42 }},
	{"host/limits-files", func(_ *plan.Plan, s *sandbox.Spec) { s.Limits.OpenFiles = 1 << 20 }},
	{"host/limits-scratch", func(_ *plan.Plan, s *sandbox.Spec) { s.TmpMax = 1 << 32 }}, // and the caller leaves its directory unbounded
	{"host/limits-file-size", func(_ *plan.Plan, s *sandbox.Spec) { s.Limits.FileSize = 1 << 42 }},
}

func without(l sandbox.Layer) func(*plan.Plan, *sandbox.Spec) {
	return func(_ *plan.Plan, s *sandbox.Spec) { s.Skip |= l }
}

// machineFiles shows the directory that the site's state lies in.
func machineFiles(p *plan.Plan, s *sandbox.Spec) {
	s.Mounts = append(s.Mounts, sandbox.Mount{Source: p.Dir(), Target: p.Dir()})
}
