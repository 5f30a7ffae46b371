package sandbox_test

import (
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// inside is an id that nothing else on the machine has, and that lies in the
// range that TestNested maps. Only root may give it.
const inside = 0x5200

func uid() uint32 {
	if gives() {
		return inside
	}
	return 0
}

// gives says whether this process may give another its own id.
func gives() bool {
	b, err := os.ReadFile("/proc/self/uid_map")
	var in, out, n uint64
	fmt.Sscan(string(b), &in, &out, &n)
	return err == nil && os.Geteuid() == 0 && n > inside
}

// shared is a directory that the program inside owns.
func shared(t *testing.T) string {
	dir, err := os.MkdirTemp("", "ringwall-sandbox-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if gives() {
		if err := os.Chown(dir, inside, inside); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// box is a sandbox of the test binary with the machine's programs.
func box(t *testing.T, args ...string) sandbox.Spec {
	return sandbox.Spec{Name: "attacker", Args: append([]string{"/attacker"}, args...), UID: uid(), Proc: true,
		Mounts: []sandbox.Mount{{Source: attacker, Target: "/attacker", Exec: true}, {Source: "/usr", Target: "/usr", Exec: true}},
		Links:  map[string]string{"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"}}
}

// run starts a sandbox and returns what it printed and how it ended.
func run(t *testing.T, spec sandbox.Spec) (string, sandbox.Exit) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	spec.Stdout, spec.Stderr = w, w
	p, err := sandbox.Start(spec)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	stop := time.AfterFunc(30*time.Second, func() { p.Kill() })
	defer stop.Stop()
	var out bytes.Buffer
	io.Copy(&out, r)
	exit, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	return out.String(), exit
}

func TestAttacks(t *testing.T) {
	if delegated(t) {
		return
	}
	dir := shared(t)
	outside := shared(t)
	unixPath := filepath.Join(outside, "socket")
	l, err := net.Listen("unix", unixPath)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Chmod(unixPath, 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(outside, 0o755); err != nil {
		t.Fatal(err)
	}
	abstract := "@ringwall-test-" + strconv.Itoa(os.Getpid())
	al, err := net.Listen("unix", abstract)
	if err != nil {
		t.Fatal(err)
	}
	defer al.Close()
	victim, err := sandbox.Start(func() sandbox.Spec { s := box(t); s.Args = []string{"/usr/bin/sleep", "60"}; return s }())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { victim.Kill(); victim.Wait() }()
	victimPID := strconv.Itoa(victim.PID)

	type spec = *sandbox.Spec
	skip := func(l sandbox.Layer) func(spec) { return func(s spec) { s.Skip |= l } }
	calls := func(f func(*sandbox.Calls)) func(spec) { return func(s spec) { f(&s.Calls) } }
	both := func(fs ...func(spec)) func(spec) {
		return func(s spec) {
			for _, f := range fs {
				f(s)
			}
		}
	}
	ro := func(s spec) { s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/srv"}) }
	rw := func(s spec) { s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/srv", Write: true}) }
	seccomp, landlock, caps := sandbox.Seccomp, sandbox.Landlock, sandbox.Caps

	memory := map[string]func(spec){"all": nil}
	if gives() && os.Getenv("SANDBOX_NESTED") == "" {
		memory["kernel alone"] = skip(seccomp | landlock)
	}

	for _, tt := range []struct {
		name string
		args []string
		with func(spec)            // holds for both
		up   map[string]func(spec) // refused with every one of these; the key names what is left
		down func(spec)            // comes through
		want string                // in the refusal of the first
	}{
		{name: "write to a read-only mount", args: []string{"write", "/srv/x"},
			up: map[string]func(spec){"all": ro, "mounts alone": both(ro, skip(landlock|seccomp))}, down: rw},
		{name: "write to the root", args: []string{"write", "/x"}, up: map[string]func(spec){"all": nil, "mounts alone": skip(landlock | seccomp)}},
		{name: "link out of a mount", args: []string{"link", "/srv/x", "/srv/y"}, up: map[string]func(spec){"all": ro}, down: rw},
		{name: "remount for writing", args: []string{"remount", "/srv"}, with: ro,
			up:   map[string]func(spec){"all": nil, "capabilities alone": skip(landlock | seccomp), "seccomp alone": skip(landlock | caps), "landlock alone": skip(seccomp | caps)},
			down: skip(landlock | seccomp | caps)},
		{name: "unmount", args: []string{"umount", "/tmp"},
			up: map[string]func(spec){"all": nil, "capabilities alone": skip(landlock | seccomp)}, down: skip(landlock | seccomp | caps)},
		{name: "read what is not mounted", args: []string{"read", "/etc/hostname"}, up: map[string]func(spec){"all": nil},
			down: func(s spec) {
				s.Mounts = append(s.Mounts, sandbox.Mount{Source: "/etc/hostname", Target: "/etc/hostname"})
			}},
		{name: "make a device", args: []string{"mknod", "/tmp/d"},
			up: map[string]func(spec){"all": nil, "seccomp alone": skip(landlock), "landlock alone": skip(seccomp)}, down: skip(landlock | seccomp)},
		{name: "chmod by the owner", args: []string{"chmod", "/tmp/f"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Meta = true })},
		{name: "chown by the owner", args: []string{"chown", "/tmp/f"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Meta = true })},
		{name: "utimes by the owner", args: []string{"utimes", "/tmp/f"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Meta = true })},
		{name: "TCP", args: []string{"socket", "2", "1", "0"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.TCP = true })},
		{name: "TCP over IPv6", args: []string{"socket", "10", "1", "6"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.TCP = true })},
		{name: "MPTCP", args: []string{"socket", "2", "1", "262"}, with: calls(func(c *sandbox.Calls) { c.TCP, c.Unix = true, true }),
			up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.MPTCP = true }), want: "protocol not supported"},
		{name: "SCTP", args: []string{"socket", "2", "1", "132"}, with: calls(func(c *sandbox.Calls) { c.TCP = true }), up: map[string]func(spec){"all": nil}, want: "permission denied"},
		{name: "UDP", args: []string{"socket", "2", "2", "0"}, with: calls(func(c *sandbox.Calls) { c.TCP, c.Unix = true, true }),
			up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.UDP = true }), want: "permission denied"},
		{name: "UDP over IPv6", args: []string{"socket", "10", "2", "17"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.UDP = true })},
		{name: "raw", args: []string{"socket", "2", "3", "1"}, with: calls(func(c *sandbox.Calls) { c.TCP = true }),
			up: map[string]func(spec){"all": nil, "capabilities alone": skip(seccomp)}},
		{name: "netlink", args: []string{"socket", "16", "3", "0"}, with: calls(func(c *sandbox.Calls) { c.TCP = true }),
			up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Families = true })},
		{name: "unix", args: []string{"socket", "1", "1", "0"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Unix = true })},
		{name: "a socket of the machine", args: []string{"dial", unixPath}, with: calls(func(c *sandbox.Calls) { c.Unix = true }),
			up: map[string]func(spec){"all": nil}, down: func(s spec) {
				s.Mounts = append(s.Mounts, sandbox.Mount{Source: outside, Target: outside})
			}},
		{name: "an abstract socket of the machine", args: []string{"dial", abstract}, with: calls(func(c *sandbox.Calls) { c.Unix = true }),
			up:   map[string]func(spec){"all": nil, "network alone": skip(landlock), "landlock alone": skip(sandbox.Net)},
			down: skip(landlock | sandbox.Net)},
		{name: "see other processes", args: []string{"others"}, up: map[string]func(spec){"all": nil}, down: skip(sandbox.PID)},
		{name: "read another's arguments", args: []string{"see", victimPID}, up: map[string]func(spec){"all": nil}, down: skip(sandbox.PID)},
		{name: "signal another", args: []string{"kill", victimPID},
			up:   map[string]func(spec){"all": nil, "process namespace alone": skip(landlock), "landlock alone": skip(sandbox.PID)},
			down: skip(sandbox.PID | landlock)},
		{name: "ptrace", args: []string{"traceme"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Ptrace = true })},
		{name: "read another's memory", args: []string{"readself"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Ptrace = true })},
		{name: "unshare", args: []string{"unshare"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Namespaces = true })},
		{name: "nest by clone", args: []string{"cloneuser"}, with: calls(func(c *sandbox.Calls) { c.Fork = true }),
			up:   map[string]func(spec){"all": nil, "limits alone": skip(seccomp), "seccomp alone": skip(sandbox.NoNest)},
			down: both(calls(func(c *sandbox.Calls) { c.Namespaces = true }), skip(sandbox.NoNest))},
		{name: "nest a network by clone", args: []string{"clonenet"}, with: calls(func(c *sandbox.Calls) { c.Fork = true }),
			up: map[string]func(spec){"all": nil}, down: skip(seccomp | sandbox.NoNest)},
		{name: "clone3", args: []string{"clone3"}, up: map[string]func(spec){"all": nil}, down: skip(seccomp), want: "function not implemented"},
		{name: "fork", args: []string{"fork"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Fork = true })},
		{name: "io_uring", args: []string{"iouring"}, up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Uring = true }), want: "function not implemented"},
		{name: "push input into a terminal", args: []string{"tiocsti"}, up: map[string]func(spec){"all": nil}, down: skip(seccomp)},
		{name: "personality", args: []string{"personality"}, up: map[string]func(spec){"all": nil}, down: skip(seccomp)},
		{name: "keyring", args: []string{"keyctl"}, up: map[string]func(spec){"all": nil}, down: skip(seccomp)},
		{name: "file handles", args: []string{"handle"}, up: map[string]func(spec){"all": nil}, down: skip(seccomp)},
		{name: "another's descriptor", args: []string{"pidfdgetfd"}, up: map[string]func(spec){"all": nil}, down: skip(seccomp)},
		{name: "x32", args: []string{"x32"}, up: map[string]func(spec){"all": nil}, down: skip(seccomp), want: "operation not permitted"},
		{name: "exec another program", args: []string{"exec", "/usr/bin/true"},
			up:   map[string]func(spec){"all": nil, "seccomp alone": skip(landlock), "landlock alone": skip(seccomp)},
			down: calls(func(c *sandbox.Calls) { c.Spawn = true })},
		{name: "exec through the loader", args: []string{"exec", sandbox.Loader("/usr/bin/true"), "/usr/bin/true"},
			up: map[string]func(spec){"all": nil}, down: calls(func(c *sandbox.Calls) { c.Spawn = true })},
		{name: "exec from memory", args: []string{"memfd"}, up: memory, down: skip(seccomp | landlock | sandbox.PID)},
		{name: "exec from /tmp", args: []string{"exec", "/srv/true"}, with: calls(func(c *sandbox.Calls) { c.Spawn = true }),
			up:   map[string]func(spec){"all": rw, "mounts alone": both(rw, skip(landlock|seccomp))},
			down: func(s spec) { s.Mounts = append(s.Mounts, sandbox.Mount{Source: dir, Target: "/srv", Exec: true}) }},
		{name: "fork bomb", args: []string{"forks", "150"}, with: both(calls(func(c *sandbox.Calls) { c.Fork = true }), skip(sandbox.Cgroup)),
			up: map[string]func(spec){"all": func(s spec) { s.Limits.Processes = 50 }}, down: func(s spec) { s.Limits.Processes = 1000 }, want: "resource temporarily unavailable"},
		{name: "map memory", args: []string{"map", strconv.Itoa(2 << 30)},
			up: map[string]func(spec){"all": func(s spec) { s.Limits.Memory = 256 << 20 }}, down: func(s spec) { s.Limits.Memory = 4 << 30 }},
		{name: "fill /tmp", args: []string{"fill", "/tmp/f", strconv.Itoa(8 << 20)},
			up: map[string]func(spec){"all": func(s spec) { s.TmpMax = 4 << 20 }}, down: func(s spec) { s.TmpMax = 16 << 20 }, want: "no space left"},
		{name: "a large file", args: []string{"fill", "/tmp/f", strconv.Itoa(8 << 20)},
			up: map[string]func(spec){"all": func(s spec) { s.Limits.FileSize = 4 << 20 }}, down: nop},
		{name: "many files", args: []string{"openfiles", "100"},
			up: map[string]func(spec){"all": func(s spec) { s.Limits.OpenFiles = 50 }}, down: func(s spec) { s.Limits.OpenFiles = 200 }, want: "too many open files"},
		{name: "capabilities", args: []string{"capabilities"}, up: map[string]func(spec){"all": nil}, down: skip(caps)},
		{name: "new privileges", args: []string{"privileges"}, up: map[string]func(spec){"all": nil}, down: skip(sandbox.NoNewPrivs)},
		{name: "setuid files and devices", args: []string{"suid"}, up: map[string]func(spec){"all": rw}, down: skip(sandbox.Mounts)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := os.ReadFile("/usr/bin/true")
			if err != nil {
				t.Fatal(err)
			}
			os.RemoveAll(filepath.Join(dir, "y"))
			if err := os.WriteFile(filepath.Join(dir, "true"), b, 0o755); err != nil {
				t.Fatal(err)
			}
			os.WriteFile(filepath.Join(dir, "x"), nil, 0o666)
			os.Chmod(filepath.Join(dir, "x"), 0o666)
			if gives() {
				os.Chown(filepath.Join(dir, "x"), inside, inside)
			}
			try := func(change func(spec)) (string, sandbox.Exit) {
				s := box(t, append([]string{"attack"}, tt.args...)...)
				if tt.with != nil {
					tt.with(&s)
				}
				if change != nil {
					change(&s)
				}
				if s.Skip&sandbox.Mounts != 0 {
					s.Args[0] = s.Mounts[0].Source
				}
				return run(t, s)
			}
			for left, change := range tt.up {
				out, exit := try(change)
				if !strings.HasPrefix(out, "refused: ") || exit.Code != 7 || left == "all" && !strings.Contains(out, tt.want) {
					t.Errorf("with %s up: %q, %v; want a refusal with %q", left, out, exit, tt.want)
				}
			}
			if tt.down == nil {
				return
			}
			if out, exit := try(tt.down); !exit.Success() {
				t.Errorf("with it down: %q, %v; want it to come through", out, exit)
			}
		})
	}
}

func nop(*sandbox.Spec) {}

// TestFilesOnly hands three descriptors over and finds no other.
func TestFilesOnly(t *testing.T) {
	fd, err := unix.Open("/etc/hostname", unix.O_RDONLY, 0) // without close-on-exec, as a careless caller would
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	for _, spawn := range []bool{false, true} {
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s := box(t, "attack", "leak", "5")
		s.Calls.Spawn = spawn
		s.Files = []*os.File{r, w}
		if out, exit := run(t, s); exit.Code != 7 {
			t.Errorf("spawn %v: inside was open: %s", spawn, out)
		}
		s = box(t, "attack", "leak", "4")
		s.Calls.Spawn = spawn
		s.Files = []*os.File{r, w}
		if out, exit := run(t, s); !exit.Success() {
			t.Errorf("spawn %v: descriptor 4 was not seen: %s", spawn, out)
		}
		r.Close()
		w.Close()
	}
}

func TestResidentMemory(t *testing.T) {
	if delegated(t) {
		return
	}
	s := box(t, "attack", "touch", strconv.Itoa(96<<20))
	s.Limits.Memory = 64 << 20
	p, err := sandbox.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	exit, err := p.Wait()
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Missing) > 0 {
		if gives() && os.Getenv("SANDBOX_NESTED") == "" {
			t.Fatalf("NOT RUN: %v", p.Missing)
		}
		if !exit.Success() {
			t.Errorf("without a control group it ended with %v", exit)
		}
		return
	}
	if exit.Signal != int(unix.SIGKILL) {
		t.Errorf("96 MiB touched with a bound of 64: %v, want it killed", exit)
	}
}

func TestExitsAndSignals(t *testing.T) {
	for _, tt := range []struct {
		script string
		signal os.Signal
		want   sandbox.Exit
	}{
		{"exit 0", nil, sandbox.Exit{}},
		{"exit 3", nil, sandbox.Exit{Code: 3}},
		{"kill -9 $$", nil, sandbox.Exit{Code: -1, Signal: 9}},
		{"exec sleep 60", unix.SIGTERM, sandbox.Exit{Code: -1, Signal: 15}},
		{"trap 'exit 5' TERM; while :; do sleep 0.05; done", unix.SIGTERM, sandbox.Exit{Code: 5}},
	} {
		s := box(t)
		s.Args = []string{"/usr/bin/bash", "-c", "echo up; " + tt.script}
		s.Env = []string{"PATH=/usr/bin"}
		s.Calls.Spawn = true
		r, w, err := os.Pipe()
		if err != nil {
			t.Fatal(err)
		}
		s.Stdout = w
		p, err := sandbox.Start(s)
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		stop := time.AfterFunc(20*time.Second, func() { p.Kill() })
		r.Read(make([]byte, 8))
		if tt.signal != nil {
			time.Sleep(100 * time.Millisecond)
			p.Signal(tt.signal)
		}
		got, err := p.Wait()
		stop.Stop()
		r.Close()
		if err != nil || got != tt.want {
			t.Errorf("%q: %v, %v; want %v", tt.script, got, err, tt.want)
		}
	}
}

// TestKillTakesAll ends a program with children that ignore signals.
func TestKillTakesAll(t *testing.T) {
	s := box(t)
	s.Args = []string{"/usr/bin/bash", "-c", "for i in 1 2 3; do (trap '' TERM HUP; setsid sleep 77.7) & done; echo up; wait"}
	s.Env = []string{"PATH=/usr/bin"}
	s.Calls.Spawn = true
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.Stdout = w
	p, err := sandbox.Start(s)
	w.Close()
	if err != nil {
		t.Fatal(err)
	}
	r.Read(make([]byte, 8))
	p.Kill()
	if _, err := p.Wait(); err != nil {
		t.Fatal(err)
	}
	// Every holder of the pipe is gone once it ends.
	r.SetReadDeadline(time.Now().Add(5 * time.Second))
	if _, err := io.Copy(io.Discard, r); err != nil {
		t.Errorf("a child outlived its sandbox: %v", err)
	}
}

func TestStartErrors(t *testing.T) {
	for _, tt := range []struct {
		name   string
		change func(*sandbox.Spec)
		want   string
	}{
		{"no program", func(s *sandbox.Spec) { s.Args = nil }, "absolute path"},
		{"missing program", func(s *sandbox.Spec) { s.Args = []string{"/usr/bin/nope"} }, "executing /usr/bin/nope: no such file"},
		{"missing program below a reaper", func(s *sandbox.Spec) { s.Args = []string{"/usr/bin/nope"}; s.Calls.Spawn = true }, "executing /usr/bin/nope: no such file"},
		{"missing source", func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: "/nope", Target: "/srv"})
		}, "opening /nope: no such file"},
		{"a target in a mount", func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: "/etc", Target: "/usr/nope"})
		}, "lies in a mount"},
		{"a target above", func(s *sandbox.Spec) {
			s.Mounts = append(s.Mounts, sandbox.Mount{Source: "/etc", Target: "/"})
		}, "below /"},
		{"no exec mount", func(s *sandbox.Spec) { s.Mounts[0].Exec = false }, "permission denied"},
		{"missing directory", func(s *sandbox.Spec) { s.Dir = "/usr/nope" }, "entering its directory"},
		{"an id of another", func(s *sandbox.Spec) {
			if gives() && os.Getenv("SANDBOX_NESTED") == "" {
				s.UID = 0
			} else if gives() {
				s.UID = 1 << 20
			} else {
				s.UID = 4242
			}
		}, "choosing the ids"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := box(t, "attack", "fork")
			tt.change(&s)
			p, err := sandbox.Start(s)
			if err == nil {
				p.Kill()
				p.Wait()
				t.Fatal("started")
			}
			if !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %q, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestManyAtOnce(t *testing.T) {
	var wg sync.WaitGroup
	errs := make(chan error, 16)
	for range 16 {
		s := box(t, "attack", "others")
		wg.Go(func() {
			p, err := sandbox.Start(s)
			if err != nil {
				errs <- err
				return
			}
			if exit, err := p.Wait(); err != nil || exit.Code != 7 {
				errs <- fmt.Errorf("%v, %v", exit, err)
			}
		})
	}
	wg.Wait()
	close(errs)
	for err := range errs {
		t.Error(err)
	}
}

func TestCapabilities(t *testing.T) {
	for _, c := range sandbox.Capabilities(t.Context()) {
		t.Logf("%-40s %v %s %s", c.Name, c.OK, c.Detail, c.Fix)
		if !c.OK && c.Layer != sandbox.Cgroup {
			t.Errorf("%s: %s", c.Name, c.Detail)
		}
		if !c.OK && c.Fix == "" {
			t.Errorf("%s: no next step", c.Name)
		}
	}
}

func BenchmarkStart(b *testing.B) {
	s := sandbox.Spec{Name: "bench", Args: []string{"/usr/bin/true"}, UID: uid(), Proc: true,
		Mounts: []sandbox.Mount{{Source: attacker, Target: "/attacker", Exec: true}, {Source: "/usr", Target: "/usr", Exec: true}},
		Links:  map[string]string{"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"}}
	for b.Loop() {
		p, err := sandbox.Start(s)
		if err != nil {
			b.Fatal(err)
		}
		p.Wait()
	}
}
