//go:build linux

package local

import (
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/plan"
)

func TestTranslation(t *testing.T) {
	tr := newTranslation(map[string]string{"/tmp": "/box/1/tmp", "/run/app": "/state/run/fleet-1", "/run/secrets/a.json": "/box/1/a.json",
		"/srv/site": "/state/files", "/tmp/state": "/tmp/state"})
	for in, want := range map[string]string{
		"/tmp":                              "/box/1/tmp",
		"TMPDIR=/tmp":                       "TMPDIR=/box/1/tmp",
		"--dir=/tmp/x,/run/app/s":           "--dir=/box/1/tmp/x,/state/run/fleet-1/s",
		"/tmpfs /run/apple":                 "/tmpfs /run/apple",
		"/var/tmp ./tmp a/tmp":              "/var/tmp ./tmp a/tmp",
		"env[A] = '/run/secrets/a.json'":    "env[A] = '/box/1/a.json'",
		"listen = /run/app/php.sock\nx = /": "listen = /state/run/fleet-1/php.sock\nx = /",
		"/tmp/state/files":                  "/tmp/state/files", // the machine's own
		"http://host/tmp":                   "http://host/tmp",
	} {
		if got := tr.text(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
}

func TestUnmounted(t *testing.T) {
	dir := t.TempDir()
	plainTree = unmountedTree{temp: filepath.Join(dir, "temp"), texts: filepath.Join(dir, "texts"), mount: "/srv/site", tree: "/state/files"}
	defer func() { plainTree = unmountedTree{} }()
	for _, d := range []string{plainTree.temp, plainTree.texts} {
		if err := os.Mkdir(d, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	s := sandbox.Spec{Args: []string{"/ringwall", "@agent"}, Env: []string{"SECRET=/run/secrets/a.json"}, Dir: "/srv/site",
		Mounts: []sandbox.Mount{{Source: "/opt/ringwall", Target: "/ringwall", Exec: true}, {Source: "/state/files", Target: "/state/files"}},
		Texts:  map[string]string{"/run/secrets/a.json": "see /srv/site", "/etc/passwd": "root:x:0:0::/:/bin/sh\n"}}
	done, err := unmounted(&s)
	if err != nil {
		t.Fatal(err)
	}
	if s.Args[0] != "/opt/ringwall" || s.Dir != "/state/files" || s.Texts != nil {
		t.Errorf("got program %q in %q with texts %v, want the machine's own paths", s.Args[0], s.Dir, s.Texts)
	}
	secret, _ := strings.CutPrefix(s.Env[0], "SECRET=")
	if b, err := os.ReadFile(secret); err != nil || string(b) != "see /state/files" {
		t.Errorf("the generated file %s: got %q, %v", secret, b, err)
	}
	for _, m := range s.Mounts {
		if m.Write && m.Source != s.Env[1][len("TMPDIR="):] {
			t.Errorf("%s may be written, want the temporary directory alone", m.Source)
		}
	}
	done()
	if _, err := os.Stat(secret); err == nil {
		t.Error("the generated file is left")
	}
}

// Two sites whose names have the same sum get different addresses.
func TestFreeBlock(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := netip.MustParseAddrPort(l.Addr().String()).Port()
	l.Close()
	first, err := freeBlock("/a/site", port)
	if err != nil {
		t.Fatal(err)
	}
	taken, err := net.Listen("tcp", netip.AddrPortFrom(plan.NewVPC(first, netip.Prefix{}).Balancer, port).String())
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	second, err := freeBlock("/a/site", port)
	if err != nil || second == first {
		t.Errorf("while another site has %s: got %s, %v, want another block", first, second, err)
	}
}

func TestSpacesAllOrNone(t *testing.T) {
	for _, l := range []sandbox.Layer{sandbox.User, sandbox.Mounts, sandbox.PID, sandbox.Net, sandbox.NoNest} {
		if spaces(l) != 0 {
			t.Errorf("without %v: got namespaces %x, want none", l, spaces(l))
		}
	}
	if spaces(sandbox.Landlock|sandbox.Firewall) == 0 || spaces(0) == 0 {
		t.Error("without Landlock and a firewall: got no namespaces, want all")
	}
}
