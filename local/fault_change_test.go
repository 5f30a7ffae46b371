//go:build linux

package local_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/local/localtest"
)

// What an owner changes on a running site fails no request.
func TestChangesUnderLoad(t *testing.T) {
	s := board(t)
	r := s.Up()
	l := newLoad(t, s)
	time.Sleep(500 * time.Millisecond)
	l.must("before any change")
	for _, args := range [][]string{
		{"replace", s.Name, "fleet"}, {"replace", s.Name, "admin"},
		{"rotate", "origin-secret"}, {"rotate", "tls"}, {"rotate", "database"},
	} {
		if !full() && args[0] == "rotate" && args[1] == "tls" {
			continue
		}
		began := time.Now()
		s.OK(args...)
		took := time.Since(began)
		time.Sleep(300 * time.Millisecond)
		l.must(strings.Join(args, " "))
		t.Logf("%-24s %5d ms", strings.Join(args, " "), took.Milliseconds())
	}
	// Fleet rolls by itself when the code changes.
	name := filepath.Join(s.State(), "files", "notes.txt")
	if err := os.WriteFile(name, []byte("new code\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	r.WaitFor(t, "code changed", 20*time.Second)
	localtest.Eventually(t, 30*time.Second, "fleet rolled", func() bool {
		return strings.Count(strings.SplitN(r.Out.String(), "code changed", 2)[1], "replaced by fleet/") >= 1
	})
	time.Sleep(500 * time.Millisecond)
	l.must("an automatic roll")
	l.end()
	l.present()
}

// Who asked for a change goes away: the change is finished all the same.
func TestChangeWithoutAsker(t *testing.T) {
	s := board(t)
	r := s.Up()
	l := newLoad(t, s)
	c := s.Command("replace", s.Name, "fleet")
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(250 * time.Millisecond)
	c.Process.Kill()
	c.Wait()
	r.WaitFor(t, "replaced by", 20*time.Second)
	time.Sleep(300 * time.Millisecond)
	l.must("a replacement whose asker went away")
}
