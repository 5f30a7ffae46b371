//go:build linux

package local_test

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// A damaged state directory is refused with an error that names the file and the
// next step, and nothing in it is destroyed. Mended, it works again.
func TestDamagedState(t *testing.T) {
	s := board(t)
	s.Up()
	l := newLoad(t, s)
	time.Sleep(500 * time.Millisecond)
	l.end()
	s.OK("down")
	for _, c := range []struct {
		file, text string // the new content; "-" truncates in the middle
		want       []string
		short      bool
	}{
		{"state.json", "", []string{"state.json", "damaged", "delete that one file"}, true},
		{"state.json", "\x00\x01garbage", []string{"state.json", "damaged", "delete that one file"}, false},
		{"state.json", `{"version": 99, "site": "board-dev"}`, []string{"layout 99", "want", "move the directory away"}, true},
		{"state.json", `{"version": 1, "site": "other-dev"}`, []string{`"other-dev"`, "want", "move the directory away"}, false},
		{"secrets/origin.json", "", []string{"secrets/origin.json", "damaged", "delete"}, true},
		{"secrets/origin.json", `["", ""]`, []string{"secrets/origin.json", "damaged", "delete"}, true},
		{"secrets/admin.json", `{}`, []string{"secrets/admin.json", "damaged", "delete"}, true},
		{"secrets/admin.json", "-", []string{"secrets/admin.json", "damaged", "delete"}, false},
		{"secrets/database-fleet.json", "garbage", []string{"secrets/database-fleet.json", "delete"}, true},
		{"manifest.json", "-", []string{"manifest.json", "damaged", "ringwall accept"}, true},
		{"ca/ca.key", "garbage", []string{"/ca", "remove ca.key"}, true},
		{"ca/ca.pem", "", []string{"/ca", "remove ca.key and ca.pem"}, false},
		{"database/server/PG_VERSION", "", []string{"database/server", "move the directory away"}, true},
		{"database/server/global/pg_control", "garbage", []string{"database", "ended 3 times", "ringwall logs database", "last lines of database.log", "pg_control", "database.snapshot"}, true},
	} {
		if !c.short && !full() {
			continue
		}
		t.Run(c.file, func(t *testing.T) {
			name := filepath.Join(s.State(), c.file)
			good, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			bad := []byte(c.text)
			if c.text == "-" {
				bad = good[:len(good)/2]
			}
			write(t, name, bad)
			before := sums(t, s.State())
			refused(t, s, c.want...)
			after := sums(t, s.State())
			if !maps.Equal(before, after) {
				for n, sum := range before {
					if after[n] != sum {
						t.Errorf("%s was changed or removed", n)
					}
				}
			}
			write(t, name, good)
		})
	}
	for _, dir := range []string{".", "secrets", "ca"} {
		name := filepath.Join(s.State(), dir)
		os.Chmod(name, 0o755)
		refused(t, s, "mode 0755, want 0700", "chmod 700 "+name)
		os.Chmod(name, 0o700)
		if os.Getuid() == 0 {
			os.Chown(name, 4321, 4321)
			refused(t, s, "user 4321", "run as that user")
			os.Chown(name, 0, 0)
		}
	}
	for _, name := range []string{"origin.json", "admin.json", "database-admin.json"} {
		name = filepath.Join(s.State(), "secrets", name)
		os.Chmod(name, 0o644)
		refused(t, s, name, "0644", "chmod 600")
		os.Chmod(name, 0o600)
	}
	// A lock file's content and what an interrupted write left mean nothing.
	write(t, filepath.Join(s.State(), "lock"), []byte("garbage"))
	write(t, filepath.Join(s.State(), "secrets", ".new-1"), []byte("gar"))
	s.Up()
	l.present()
	if left, _ := filepath.Glob(filepath.Join(s.State(), "secrets", ".new-*")); len(left) > 0 {
		t.Errorf("what an interrupted write left is still there: %v", left)
	}
}

// refused checks that up ends soon with code 1 and says all of want, and no secret.
func refused(t *testing.T, s *localtest.Site, want ...string) {
	t.Helper()
	began := time.Now()
	c, out, done := begin(t, s)
	select {
	case <-done:
	case <-time.After(20 * time.Second):
		c.Process.Signal(os.Interrupt)
		<-done
	}
	if c.ProcessState.ExitCode() != 1 {
		t.Errorf("got exit code %d after %v, want 1\n%s", c.ProcessState.ExitCode(), time.Since(began), out)
	}
	for _, w := range want {
		if !strings.Contains(out.String(), w) {
			t.Errorf("the message lacks %q\n%s", w, out)
		}
	}
}

func write(t *testing.T, name string, b []byte) {
	t.Helper()
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// sums are the contents of what must outlive a start that fails: all but logs, run
// and what a database writes when it runs.
func sums(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(dir, name)
		if d.IsDir() && (rel == "logs" || rel == "run" || rel == "audit" || rel == "database/tmp") {
			return fs.SkipDir
		}
		live := strings.HasPrefix(rel, "database/server/") && rel != "database/server/PG_VERSION"
		if !d.Type().IsRegular() || rel == "lock" || live {
			return nil
		}
		b, err := os.ReadFile(name)
		out[rel] = fmt.Sprintf("%x", sha256.Sum256(b))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}
