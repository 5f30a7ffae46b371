//go:build smallsetup

package sandbox_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// TestProgramSmall sees that a sandbox's first process is the small set-up
// program, sealed in memory.
func TestProgramSmall(t *testing.T) {
	s := box(t)
	s.Args, s.Calls.Spawn = []string{"/usr/bin/sleep", "60"}, true
	p, err := sandbox.Start(s)
	if err != nil {
		t.Fatal(err)
	}
	defer p.Wait()
	defer p.Kill()
	exe, err := os.Readlink(fmt.Sprintf("/proc/%d/exe", p.PID))
	if err != nil || !strings.Contains(exe, "memfd:ringwall-box") {
		t.Errorf("the first process runs %q, %v; want the small program in memory", exe, err)
	}
	f, err := os.OpenFile(fmt.Sprintf("/proc/%d/exe", p.PID), os.O_RDWR, 0)
	if err == nil {
		f.Close()
		t.Error("it opens for writing")
	}
}
