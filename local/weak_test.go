//go:build linux

package local_test

import (
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/ringwall/ringwall/local/localtest"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/report"
)

// without, in the environment, makes the test binary lose a part of what the
// kernel gives and become the program that its arguments name: a machine whose
// kernel lacks it, or whose owner forbids it.
const without = "RINGWALL_TEST_WITHOUT"

const (
	bpfLoad  = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	bpfEqual = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	bpfAny   = unix.BPF_JMP | unix.BPF_JSET | unix.BPF_K
	bpfRet   = unix.BPF_RET | unix.BPF_K

	offNumber, offFirst, offThird = 0, 16, 32 // of struct seccomp_data: the call, its arguments
)

func refuse(e syscall.Errno) unix.SockFilter {
	return unix.SockFilter{Code: bpfRet, K: 0x00050000 | uint32(e)}
}

// losses are filters of system calls, up to the last instruction, which allows.
var losses = map[string][]unix.SockFilter{
	"landlock": {
		{Code: bpfLoad, K: offNumber},
		{Code: bpfEqual, Jf: 1, K: unix.SYS_LANDLOCK_CREATE_RULESET}, refuse(unix.ENOSYS),
	},
	"namespaces": {
		{Code: bpfLoad, K: offNumber},
		{Code: bpfEqual, Jf: 1, K: unix.SYS_UNSHARE}, refuse(unix.EPERM),
		{Code: bpfEqual, Jf: 1, K: unix.SYS_SETNS}, refuse(unix.EPERM),
		{Code: bpfEqual, Jf: 1, K: unix.SYS_CLONE3}, refuse(unix.ENOSYS),
		{Code: bpfEqual, Jf: 3, K: unix.SYS_CLONE},
		{Code: bpfLoad, K: offFirst},
		{Code: bpfAny, Jf: 1, K: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWNET | unix.CLONE_NEWPID | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS},
		refuse(unix.EPERM),
	},
	"firewall": {
		{Code: bpfLoad, K: offNumber},
		{Code: bpfEqual, Jf: 5, K: unix.SYS_SOCKET},
		{Code: bpfLoad, K: offFirst},
		{Code: bpfEqual, Jf: 3, K: unix.AF_NETLINK},
		{Code: bpfLoad, K: offThird},
		{Code: bpfEqual, Jf: 1, K: unix.NETLINK_NETFILTER}, refuse(unix.EPROTONOSUPPORT),
	},
}

func lose(what string) {
	p := append(slices.Clone(losses[what]), unix.SockFilter{Code: bpfRet, K: 0x7fff0000})
	prog := unix.SockFprog{Len: uint16(len(p)), Filter: &p[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		panic(err)
	}
	if _, _, e := unix.Syscall(unix.SYS_SECCOMP, 1, 1, uintptr(unsafe.Pointer(&prog))); e != 0 {
		panic(e)
	}
	os.Unsetenv(without)
	panic(syscall.Exec(os.Args[1], os.Args[1:], os.Environ()))
}

// lacking makes a site's machine one that lacks something.
func lacking(t *testing.T, s *localtest.Site, what string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(self)
	if err != nil {
		t.Fatal(err)
	}
	self = filepath.Join(s.Dir, "lacking") // where its user may run it
	if err := os.WriteFile(self, b, 0o755); err != nil {
		t.Fatal(err)
	}
	s.Prefix = []string{self, s.Bin}
	s.Env = append(s.Env, without+"="+what)
	s.User = "nobody" // to root more is forbidden than namespaces
}

// A machine that lacks a layer is refused, with the reason; --allow-weak starts
// with the rest, says so, and no control that needs the layer is green.
func TestWeak(t *testing.T) {
	for _, c := range []struct {
		lacks, name string
		held        []string // although the machine lacks it
		unknown     []string
	}{
		{"landlock", "Landlock",
			[]string{"edge/waf", "files/read-only", "files/no-create", "instance/fleet-to-admin", "host/seccomp", "people/control-socket"},
			[]string{"host/landlock", "host/no-abstract-sockets"}},
		{"firewall", "firewall",
			[]string{"edge/waf", "files/read-only", "host/private-mounts", "host/landlock", "host/hidden-processes", "database/tier-grants", "balancer/origin-secret"},
			[]string{"instance/fleet-to-admin", "instance/beside-to-database", "vpc/internet-to-database", "vpc/database-dials-nothing"}},
		{"namespaces", "user namespaces",
			[]string{"edge/waf", "edge/allow-list", "edge/viewer-header", "network/rate", "network/connections", "balancer/origin-secret", "balancer/admin-tier",
				"files/read-only", "files/no-create", "files/no-attributes", "files/admin-writes", "host/seccomp", "host/landlock", "host/no-udp", "host/no-ptrace",
				"host/limits-memory", "host/limits-shared-memory", "host/limits-files", "host/limits-file-size",
				"database/tier-grants", "database/passwords", "webserver/admin-routes", "people/control-socket"},
			[]string{"instance/fleet-to-admin", "vpc/no-host-loopback", "host/private-mounts", "host/hidden-processes", "host/no-pathname-sockets", "host/limits-processes", "files/no-remount"}},
	} {
		t.Run(c.lacks, func(t *testing.T) {
			s := boardWith(t, "", "\nallowed: [192.0.2.0/24, 198.51.100.0/24]\nadmins: [192.0.2.1]\n")
			lacking(t, s, c.lacks)
			// A file that is not the program, which runs and cannot be written for that.
			if err := os.WriteFile(filepath.Join(s.Dir, "site", "notice.txt"), []byte("notice"), 0o644); err != nil {
				t.Fatal(err)
			}
			r := s.Start()
			if code := r.Ended(t, testLimit); code != 1 || !strings.Contains(r.Out.String(), c.name) || !strings.Contains(r.Out.String(), "--allow-weak") {
				t.Errorf("got exit code %d and %s, want 1 and the name of what is missing", code, r.Out)
			}
			if d := s.Run("doctor"); d.Code != 1 || !strings.Contains(d.Stdout, "MISSING") || !strings.Contains(d.Stdout, "enforcement: weak") {
				t.Errorf("doctor: got exit code %d and %s%s, want 1, what is missing, and weak", d.Code, d.Stdout, d.Stderr)
			}
			r = s.Up("--allow-weak")
			if !strings.Contains(r.Out.String(), "weak") || !strings.Contains(r.Out.String(), c.name) {
				t.Errorf("up: got %s, want weak and what is missing", r.Out)
			}
			if st, body, err := s.Get(s.Client(), s.Visitor+"/"); err != nil || st != http.StatusOK || !strings.Contains(body, "Notice board") {
				t.Errorf("the first page: got %d %v %.200q, want 200", st, err, body)
			}
			if r := s.Run("status"); r.Code != 0 || !strings.Contains(r.Stdout, "weak: without") || !strings.Contains(r.Stdout, c.name) {
				t.Errorf("status: got exit code %d and %s%s, want 0 and weak", r.Code, r.Stdout, r.Stderr)
			}
			results := judgedWeak(t, s)
			for id, r := range results {
				if r.Verdict == perimeter.Broken {
					t.Errorf("%s is broken: %v %v", id, r.Tried, r.Evidence)
				}
			}
			for _, id := range c.held {
				if r, ok := results[id]; ok && r.Verdict != perimeter.Held {
					t.Errorf("%s, which still holds: got %v (%s)", id, r.Verdict, r.Error)
				}
			}
			for _, id := range c.unknown {
				if r, ok := results[id]; ok && (r.Verdict != perimeter.Unknown || !strings.Contains(r.Error, "this machine cannot enforce it")) {
					t.Errorf("%s, which nothing enforces: got %v (%s), want unknown", id, r.Verdict, r.Error)
				}
			}
			for id, r := range results {
				if r.Verdict == perimeter.Unknown && !strings.Contains(r.Error, "this machine cannot enforce it") {
					t.Errorf("%s could not be judged: %s", id, r.Error)
				}
			}
			s.OK("down")
		})
	}
}

// Root's files cannot be kept from the site's processes without namespaces.
func TestWeakRoot(t *testing.T) {
	s := board(t)
	lacking(t, s, "namespaces")
	s.User = ""
	if os.Getuid() != 0 {
		t.Fatal("NOT RUN: this is about root")
	}
	r := s.Start("--allow-weak")
	if code := r.Ended(t, testLimit); code != 1 || !strings.Contains(r.Out.String(), "as an ordinary user") {
		t.Errorf("as root: got exit code %d and %s, want 1 and what to do", code, r.Out)
	}
}

// judgedWeak probes everything; a sweep of a weak site fails.
func judgedWeak(t *testing.T, s *localtest.Site) map[string]report.Record {
	t.Helper()
	p := s.Run("probe", "-o", "json")
	rep, err := report.Read(strings.NewReader(p.Stdout))
	if err != nil {
		t.Fatalf("%v\n%s%s", err, p.Stdout, p.Stderr)
	}
	if p.Code != 1 || !strings.Contains(rep.Enforcement, "weak") {
		t.Errorf("probe: got exit code %d and enforcement %q, want 1 and weak", p.Code, rep.Enforcement)
	}
	out := map[string]report.Record{}
	for _, r := range rep.Controls {
		out[r.ID] = r
	}
	if len(out) < 60 {
		t.Fatalf("got %d results, want all controls\n%s", len(out), p.Stdout)
	}
	return out
}

// Without namespaces nothing of the site is left either, whoever is killed.
func TestWeakKilled(t *testing.T) {
	s := board(t)
	lacking(t, s, "namespaces")
	for _, who := range []string{"supervisor", "hub", "app"} {
		r := s.Up("--allow-weak")
		f := footprintOf(r, s)
		switch who {
		case "supervisor":
			kill(t, r.Cmd.Process.Pid, syscall.SIGKILL)
			localtest.Eventually(t, time.Second, "the doors are closed", func() bool { return !answers(s) })
			f.gone(t, 5*time.Second, false)
			continue
		case "hub":
			for _, p := range f.alive() {
				if strings.Contains(cmdline(p.pid), "@hub") {
					kill(t, p.pid, syscall.SIGKILL)
				}
			}
		case "app":
			for _, p := range f.alive() { // what it started must not go on without it
				if strings.Contains(cmdline(p.pid), "board") && p.pid != r.Cmd.Process.Pid {
					kill(t, p.pid, syscall.SIGKILL)
					break
				}
			}
		}
		c := s.Client()
		localtest.Eventually(t, testLimit, "the site answers again", func() bool {
			st, _, err := s.Get(c, s.Visitor+"/")
			return err == nil && st == http.StatusOK
		})
		if who == "hub" {
			localtest.Eventually(t, testLimit, "the former site's processes are gone", func() bool {
				return !slices.ContainsFunc(f.alive(), func(p proc) bool { return p.pid != r.Cmd.Process.Pid })
			})
		}
		f = footprintOf(r, s)
		s.OK("down")
		f.gone(t, 5*time.Second, false)
	}
}

// PHP-FPM, MariaDB and what they start run without namespaces too, and end with
// whoever ends; a database made so is opened behind all walls, and again without.
func TestWeakWordPress(t *testing.T) {
	s := wordpressWith(t, "")
	lacking(t, s, "namespaces")
	front := func() {
		t.Helper()
		for url, want := range map[string]int{s.Visitor + "/": 200, s.Visitor + "/wp-login.php": 403, s.Office + "/wp-login.php": 200} {
			if st, body, err := s.Get(s.Client(), url); err != nil || st != want {
				t.Errorf("GET %s: got %d %v %.300q, want %d\n%s", url, st, err, body, want, s.Logs())
			}
		}
	}
	r := s.Up("--allow-weak")
	front()
	for id, r := range judgedWeak(t, s) {
		if r.Verdict == perimeter.Broken {
			t.Errorf("%s is broken: %v %v", id, r.Tried, r.Evidence)
		}
	}
	f := footprintOf(r, s)
	kill(t, r.Cmd.Process.Pid, syscall.SIGKILL)
	f.gone(t, 5*time.Second, false)

	r = s.Up("--allow-weak")
	f = footprintOf(r, s)
	for _, p := range f.alive() {
		if strings.Contains(cmdline(p.pid), "@hub") {
			kill(t, p.pid, syscall.SIGKILL)
		}
	}
	localtest.Eventually(t, testLimit, "the former site's processes are gone", func() bool {
		return !slices.ContainsFunc(f.alive(), func(p proc) bool { return p.pid != r.Cmd.Process.Pid })
	})
	c := s.Client()
	localtest.Eventually(t, testLimit, "the site answers again", func() bool {
		st, _, err := s.Get(c, s.Visitor+"/")
		return err == nil && st == http.StatusOK
	})
	// The first process of PHP-FPM alone: its workers must not serve on.
	f = footprintOf(r, s)
	for _, p := range f.alive() {
		if strings.Contains(cmdline(p.pid), "php-fpm: master") {
			kill(t, p.pid, syscall.SIGKILL)
		}
	}
	localtest.Eventually(t, testLimit, "the former workers are gone", func() bool {
		return !slices.ContainsFunc(f.alive(), func(p proc) bool { return strings.Contains(cmdline(p.pid), "php-fpm") })
	})
	localtest.Eventually(t, testLimit, "the site answers again", func() bool {
		st, _, err := s.Get(c, s.Visitor+"/")
		return err == nil && st == http.StatusOK
	})
	f = footprintOf(r, s)
	s.OK("down")
	f.gone(t, 5*time.Second, false)

	s.Prefix = []string{s.Bin}
	s.Up()
	front()
	s.OK("down")
	lacking(t, s, "namespaces")
	s.Up("--allow-weak")
	front()
	s.OK("down")
}
