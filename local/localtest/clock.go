//go:build linux

package localtest

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// A wall clock that jumps is injected where every part of the program, and of what
// it is built from, reads it: in package time, by an overlay of its source. How far
// it is off stands in the time of the program's own file, which all processes of a
// site see. The monotonic clock runs on, as it does when somebody sets a real clock.
const jumpSource = `package time

import (
	"sync/atomic"
	"syscall"
)

var jumpBy atomic.Int64

func jump() int64 { return jumpBy.Load() }

func init() {
	go func() {
		for ; ; Sleep(20 * Millisecond) {
			var st syscall.Stat_t
			if syscall.Stat("/ringwall", &st) != nil && syscall.Stat("/proc/self/exe", &st) != nil {
				continue
			}
			by := int64(0)
			if st.Mtim.Sec < 1_000_000_000 {
				by = int64(st.Mtim.Sec) - 500_000_000
			}
			jumpBy.Store(by)
		}
	}()
}
`

// BuildJumping compiles the program with a wall clock that Jump moves.
func BuildJumping(t testing.TB, pkg string) string {
	t.Helper()
	dir := t.TempDir()
	goroot, err := exec.Command("go", "env", "GOROOT").Output()
	if err != nil {
		t.Fatal("NOT RUN: asking for the source of package time: ", err)
	}
	source := filepath.Join(strings.TrimSpace(string(goroot)), "src", "time", "time.go")
	b, err := os.ReadFile(source)
	if err != nil {
		t.Fatal("NOT RUN: ", err)
	}
	const now = "func Now() Time {\n\tsec, nsec, mono := runtimeNow()\n"
	text := strings.Replace(string(b), now, now+"\tsec += jump()\n", 1)
	if text == string(b) {
		t.Fatalf("NOT RUN: %s does not read the clock as this test expects", source)
	}
	files := map[string]string{source: text, filepath.Join(filepath.Dir(source), "ringwall_jump.go"): jumpSource}
	replace := map[string]string{}
	for name, text := range files {
		own := filepath.Join(dir, filepath.Base(name))
		if err := os.WriteFile(own, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		replace[name] = own
	}
	overlay := filepath.Join(dir, "overlay.json")
	b, err = json.Marshal(map[string]any{"Replace": replace})
	if err == nil {
		err = os.WriteFile(overlay, b, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	return build(t, pkg, "", "-overlay", overlay)
}

// Jump moves the wall clock of a program that BuildJumping made, and of all that
// runs of it. Zero sets it right.
func Jump(t testing.TB, program string, by time.Duration) {
	t.Helper()
	at := time.Now()
	if by != 0 {
		at = time.Unix(500_000_000, 0).Add(by)
	}
	if err := os.Chtimes(program, at, at); err != nil {
		t.Fatal(err)
	}
}
