//go:build linux

package people

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/perimeter"
)

const secret = "a-secret-of-the-test-0123456789"

// newState is the state directory of a site that keeps its promises.
func newState(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "ringwall-people-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, d := range []string{"secrets", "logs", "ca", "files"} {
		must(os.Mkdir(filepath.Join(dir, d), 0o700))
	}
	b, err := json.Marshal(map[string]string{"password": secret})
	must(err)
	must(os.WriteFile(filepath.Join(dir, "secrets/admin.json"), b, 0o600))
	must(os.WriteFile(filepath.Join(dir, "logs/access.jsonl"), []byte("{}\n"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "ca/site.key"), []byte("-----BEGIN PRIVATE KEY-----\n"), 0o600))
	must(os.WriteFile(filepath.Join(dir, "ca/site.pem"), []byte("-----BEGIN CERTIFICATE-----\n"), 0o644))
	l, err := net.Listen("unix", filepath.Join(dir, "control.sock"))
	must(err)
	t.Cleanup(func() { l.Close() })
	must(os.Chmod(filepath.Join(dir, "control.sock"), 0o600))
	return dir
}

func TestProbes(t *testing.T) {
	chmod := func(name string, mode os.FileMode) func(*testing.T, string) []int {
		return func(t *testing.T, dir string) []int {
			if err := os.Chmod(filepath.Join(dir, name), mode); err != nil {
				t.Fatal(err)
			}
			return nil
		}
	}
	process := func(args, env string) func(*testing.T, string) []int {
		return func(t *testing.T, _ string) []int {
			c := exec.CommandContext(t.Context(), "/bin/sh", "-c", "read x", args)
			c.Env = []string{env}
			in, err := c.StdinPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { in.Close(); c.Wait() })
			// Its memory is its own a moment after it was started.
			name := fmt.Sprintf("/proc/%d/cmdline", c.Process.Pid)
			for b := []byte{}; !strings.HasPrefix(string(b), "/bin/sh"); {
				if b, err = os.ReadFile(name); err != nil {
					t.Fatal(err)
				}
			}
			return []int{c.Process.Pid}
		}
	}
	spoil := map[string][]func(*testing.T, string) []int{
		"people/control-socket":        {chmod("control.sock", 0o666)},
		"people/state-directory":       {chmod("", 0o755), chmod("logs", 0o750), chmod("logs/../secrets", 0o711)},
		"people/secret-files":          {chmod("secrets/admin.json", 0o640), chmod("ca/site.key", 0o644)},
		"people/no-secrets-in-argv":    {process(secret, "")},
		"people/no-secrets-in-environ": {process("", "PASSWORD="+secret)},
		"people/no-secrets-in-logs": {func(t *testing.T, dir string) []int {
			os.WriteFile(filepath.Join(dir, "logs/app.log"), []byte("connecting with "+secret+"\n"), 0o600)
			return nil
		}},
	}
	for _, c := range controls {
		t.Run(strings.TrimPrefix(c.ID, "people/"), func(t *testing.T) {
			judge := func(dir string, pids ...int) perimeter.Result {
				site := &perimeter.SiteAccess{State: dir, Secrets: []string{secret}, PIDs: append(pids, os.Getpid())}
				return perimeter.Judge(t.Context(), 0, c, &perimeter.Target{Site: site})
			}
			if r := judge(newState(t)); r.Verdict != perimeter.Held {
				t.Errorf("wall up: got %v: %s %q", r.Verdict, r.Error, r.Evidence)
			}
			if len(spoil[c.ID]) == 0 {
				t.Fatal("no wall is taken down for this control, so its probe is not tested")
			}
			for i, f := range spoil[c.ID] {
				dir := newState(t)
				r := judge(dir, f(t, dir)...)
				if r.Verdict != perimeter.Broken {
					t.Errorf("wall down (%d): got %v: %s %q", i, r.Verdict, r.Error, r.Evidence)
				}
				if b, _ := json.Marshal(r); strings.Contains(string(b), secret) {
					t.Errorf("the result holds the secret: %s", b)
				}
			}
		})
	}
}

// named waits until a process that was started has its arguments: the kernel says that
// it runs a little before.
func named(t *testing.T, pid int) {
	t.Helper()
	for end := time.Now().Add(5 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); len(b) > 0 {
			return
		}
	}
	t.Fatalf("process %d has no arguments after 5 s", pid)
}

// A process that closed its memory is passed over only where it is the first one
// of a sandbox, which is ours.
func TestIsBoxInit(t *testing.T) {
	for name, want := range map[string]bool{boxInit: true, "sh": false, boxInit + "-not": false} {
		c := exec.CommandContext(t.Context(), "/bin/sh", "-c", "read x")
		c.Args[0] = name
		in, err := c.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		named(t, c.Process.Pid)
		if got := isBoxInit(c.Process.Pid); got != want {
			t.Errorf("%s: got %v, want %v", name, got, want)
		}
		in.Close()
		c.Wait()
	}
	if isBoxInit(1 << 30) {
		t.Error("a process that does not exist is the first one of a sandbox")
	}
}
