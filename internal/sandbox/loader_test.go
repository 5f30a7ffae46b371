package sandbox

import (
	"debug/elf"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Loader agrees with debug/elf about what the system has, and reads nothing out
// of what is no program.
func TestLoader(t *testing.T) {
	programs, _ := filepath.Glob("/usr/bin/*")
	dynamic := 0
	for _, name := range programs[:min(len(programs), 300)] {
		want := ""
		if f, err := elf.Open(name); err == nil {
			if s := f.Section(".interp"); s != nil {
				b, _ := s.Data()
				want = strings.TrimSuffix(string(b), "\x00")
			}
			f.Close()
		}
		if got := Loader(name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
		if want != "" {
			dynamic++
		}
	}
	if dynamic == 0 {
		t.Fatal("NOT RUN: no program of /usr/bin names a loader")
	}
	for _, bad := range []string{"", "#!/bin/sh", "\x7fELF\x02\x01", "\x7fELF\x02\x01" + strings.Repeat("\xff", 100)} {
		name := filepath.Join(t.TempDir(), "x")
		if err := os.WriteFile(name, []byte(bad), 0o644); err != nil {
			t.Fatal(err)
		}
		if got := Loader(name); got != "" {
			t.Errorf("%q: got %q, want none", bad, got)
		}
	}
}
