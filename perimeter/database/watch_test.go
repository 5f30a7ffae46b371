package database

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// A clock that was set back makes new changes look older than former ones; they
// are changes all the same.
func TestNewestAfterClockJump(t *testing.T) {
	dir := t.TempDir()
	at := func(name string, when time.Time) {
		t.Helper()
		name = filepath.Join(dir, name)
		if err := os.WriteFile(name, []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(name, when, when); err != nil {
			t.Fatal(err)
		}
	}
	future := time.Now().Add(400 * 24 * time.Hour).Truncate(time.Second)
	at("of the future", future)
	at("a", time.Now().Add(-time.Hour))
	before, last, err := newest(dir)
	if err != nil || !last.Equal(future) {
		t.Fatalf("got %v, %v, want %v", last, err, future)
	}
	if again, _, _ := newest(dir); again != before {
		t.Errorf("nothing changed: got %s, want %s", again, before)
	}
	at("a", time.Now())
	if after, _, _ := newest(dir); after == before {
		t.Error("a change after the clock was set back is not seen")
	}
}
