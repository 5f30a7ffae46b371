//go:build linux

package files

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/ringwall/ringwall/internal/boxtest"
	"github.com/ringwall/ringwall/internal/sandbox"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

type trial struct {
	Control string
	Plan    *plan.Plan
	Inside  *perimeter.Inside
}

func TestMain(m *testing.M) {
	boxtest.Main(m, func(config []byte) (any, error) {
		var x trial
		if err := json.Unmarshal(config, &x); err != nil {
			return nil, err
		}
		i := slices.IndexFunc(controls, func(c *perimeter.Control) bool { return c.ID == x.Control })
		return perimeter.Judge(context.Background(), 7, controls[i], &perimeter.Target{Plan: x.Plan, Inside: x.Inside}), nil
	})
}

func probePlan(kind plan.Kind) *plan.Plan {
	return &plan.Plan{App: "t", Env: "test", Kind: kind, Files: plan.Files{Mount: "/srv/tree", Uploads: []string{"up"}},
		Tiers: []plan.Tier{{Name: plan.Admin, Min: 1, Max: 1, Write: true}, {Name: plan.Fleet, Min: 1, Max: 1}}}
}

// judge runs one control's probe in a sandbox over a tree, with a change to what
// the sandbox would be.
func judge(t *testing.T, kind plan.Kind, c *perimeter.Control, change func(*sandbox.Spec)) perimeter.Result {
	t.Helper()
	dir := t.TempDir()
	for d := dir; d != "/tmp" && d != "/"; d = filepath.Dir(d) {
		os.Chmod(d, 0o755)
	}
	os.MkdirAll(filepath.Join(dir, "up"), 0o755)
	if err := os.WriteFile(filepath.Join(dir, "index.html"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	if uid := int(boxtest.UID(2)); uid != 0 { // the site's files are admin's
		for _, n := range []string{"", "up", "index.html"} {
			if err := os.Chown(filepath.Join(dir, n), uid, uid); err != nil {
				t.Fatal(err)
			}
		}
	}
	p := probePlan(kind)
	tier := string(c.Vantage)
	s := sandbox.Spec{Name: "t", UID: boxtest.UID(2), Calls: sandbox.Calls{Unix: true},
		Mounts: []sandbox.Mount{{Source: "/usr", Target: "/usr", Exec: true}}, Links: map[string]string{}, Proc: true}
	for _, l := range []string{"/lib", "/lib64"} {
		if to, err := os.Readlink(l); err == nil {
			s.Links[l] = to
		}
	}
	if err := Allow(p, tier, dir, &s); err != nil {
		t.Fatal(err)
	}
	if change != nil {
		change(&s)
	}
	var r perimeter.Result
	boxtest.Run(t, s, trial{c.ID, p, &perimeter.Inside{Tier: tier, Files: "/srv/tree"}}, &r)
	return r
}

func TestProbesHold(t *testing.T) {
	for _, kind := range []plan.Kind{plan.PHP, plan.Command} {
		for _, c := range controls {
			t.Run(string(kind)+"/"+strings.TrimPrefix(c.ID, "files/"), func(t *testing.T) {
				if r := judge(t, kind, c, nil); r.Verdict != perimeter.Held {
					t.Errorf("got %v: %s\ntried %q\nsaw %q", r.Verdict, r.Error, r.Tried, r.Evidence)
				}
			})
		}
	}
}

// TestProbesBreak takes each control's wall down and wants it judged Broken.
func TestProbesBreak(t *testing.T) {
	tree := func(edit func(*sandbox.Mount)) func(*sandbox.Spec) {
		return func(s *sandbox.Spec) {
			s.Calls.Meta = true
			for i := range s.Mounts {
				if strings.HasPrefix(s.Mounts[i].Target, "/srv/tree") {
					edit(&s.Mounts[i])
				}
			}
		}
	}
	writable := tree(func(m *sandbox.Mount) { m.Write = true })
	lowered := map[string]func(*sandbox.Spec){
		ctlReadOnly:           writable,
		"files/no-create":     writable,
		"files/no-rename":     writable,
		"files/no-attributes": writable,
		"files/no-remount":    writable,
		ctlNoExec:             tree(func(m *sandbox.Mount) { m.Exec = true }),
		ctlAdminWrites:        tree(func(m *sandbox.Mount) { m.Write = false }),
	}
	for _, c := range controls {
		t.Run(strings.TrimPrefix(c.ID, "files/"), func(t *testing.T) {
			if lowered[c.ID] == nil {
				t.Fatal("no wall is taken down for this control, so its probe is not tested")
			}
			if r := judge(t, plan.Command, c, lowered[c.ID]); r.Verdict != perimeter.Broken {
				t.Errorf("got %v: %s\ntried %q\nsaw %q", r.Verdict, r.Error, r.Tried, r.Evidence)
			}
		})
	}
}

// A program that runs is refused to writing by itself, which says nothing about
// the wall: such an attempt is passed over, but not if there is no other.
func TestBusyFileSaysNothing(t *testing.T) {
	busy := attempt{"open a program that runs", closed, func() error { return syscall.ETXTBSY }}
	refused := attempt{"shorten it", closed, func() error { return syscall.EROFS }}
	target := func() *perimeter.Target { return &perimeter.Target{Inside: &perimeter.Inside{Files: "/proc/self"}} }
	if err := outcome(target(), []attempt{busy, refused}); err != nil {
		t.Errorf("one attempt that says something: got %v", err)
	}
	if err := outcome(target(), []attempt{busy, busy}); err == nil {
		t.Error("no attempt that says something: got no error")
	}
}

func TestSamplePrefersWhatDoesNotRun(t *testing.T) {
	dir := t.TempDir()
	target := &perimeter.Target{Inside: &perimeter.Inside{Files: dir}}
	for _, f := range []struct {
		name string
		mode os.FileMode
	}{{"board", 0o755}, {"style.css", 0o644}} {
		if err := os.WriteFile(filepath.Join(dir, f.name), []byte("x"), f.mode); err != nil {
			t.Fatal(err)
		}
		if got, err := sample(target); err != nil || filepath.Base(got) != f.name {
			t.Errorf("got %q, %v, want %s", got, err, f.name)
		}
	}
}
