package sandbox_test

import (
	"os"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
)

func sys() []sandbox.Mount {
	return []sandbox.Mount{{Source: "/usr", Target: "/usr", Exec: true}}
}

var links = map[string]string{"/bin": "usr/bin", "/lib": "usr/lib", "/lib64": "usr/lib64"}

func TestSmoke(t *testing.T) {
	for _, spawn := range []bool{false, true} {
		r, w, _ := os.Pipe()
		s := sandbox.Spec{Name: "smoke", Args: []string{"/usr/bin/bash", "-c", "echo hi; id; cat /proc/self/status | grep -E 'Cap|Seccomp|NoNew'; ls -la / /dev /proc/self/fd; exit 3"}, Env: []string{"PATH=/usr/bin"}, Mounts: sys(), Links: links, Proc: true, Calls: sandbox.Calls{Spawn: spawn}, Stdout: w, Stderr: w}
		if os.Geteuid() == 0 {
			s.UID = 123456
		}
		t0 := time.Now()
		p, err := sandbox.Start(s)
		w.Close()
		if err != nil {
			t.Fatal(err)
		}
		t.Log("start", time.Since(t0), p.Missing)
		b := make([]byte, 8192)
		for {
			n, err := r.Read(b)
			t.Log(string(b[:n]))
			if err != nil {
				break
			}
		}
		t.Log(p.Wait())
	}
}
