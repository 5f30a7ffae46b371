//go:build linux

package local

import (
	"path/filepath"
	"testing"
)

// TestTail: the last words are those of this run, not of the one before it.
func TestTail(t *testing.T) {
	name := filepath.Join(t.TempDir(), "app.log")
	for _, run := range []struct{ write, want string }{
		{"one\ntwo\n", "one\ntwo"},
		{"", ""},
		{"three\nfour\nfive\n", "four\nfive"},
	} {
		l, err := openLog(name)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := l.Write([]byte(run.write)); err != nil {
			t.Fatal(err)
		}
		if got := l.tail(12); got != run.want {
			t.Errorf("after %q: got %q, want %q", run.write, got, run.want)
		}
		l.f.Close()
	}
}
