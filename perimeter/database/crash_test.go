package database

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// TestKill kills the server under load: every row that was acknowledged is there
// afterwards.
func TestKill(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := wpSite(t, e)
		var acked [4][]string
		var stop atomic.Bool
		var wg sync.WaitGroup
		for w := range acked {
			wg.Go(func() {
				for i := 0; !stop.Load(); i++ {
					row := fmt.Sprintf("w%d-%d", w, i)
					if _, err := x.as(plan.Fleet, "INSERT INTO wp_comments (body) VALUES ('"+row+"')"); err == nil {
						acked[w] = append(acked[w], row)
					}
				}
			})
		}
		time.Sleep(700 * time.Millisecond)
		x.kill()
		stop.Store(true)
		wg.Wait()
		x.start()
		x.must(x.Grant(t.Context()))
		have := "\n" + x.ok(plan.Fleet, "SELECT body FROM wp_comments") + "\n"
		n := 0
		for _, rows := range acked {
			for _, row := range rows {
				n++
				if !strings.Contains(have, "\n"+row+"\n") {
					t.Errorf("row %s was acknowledged and is gone", row)
				}
			}
		}
		if n < 4 {
			t.Errorf("rows before the kill: got %d, want some", n)
		}
	})
}

// TestInitKilled kills an Init at several moments: the next one makes it whole.
func TestInitKilled(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, nil)
		x.fresh = true
		for _, after := range []time.Duration{30 * time.Millisecond, 120 * time.Millisecond} {
			ctx, cancel := context.WithTimeout(t.Context(), after)
			err := x.Init(ctx)
			cancel()
			if err == nil {
				t.Fatalf("initialised in less than %s: the test proves nothing", after)
			}
			if _, err := os.Stat(x.host(liveDir)); err == nil {
				t.Fatal("a data directory that is half made has the name of a whole one")
			}
		}
		x.must(os.WriteFile(x.host("server.new/junk"), nil, 0o600))
		x.start()
		if !x.saidAny("interrupted run") {
			t.Errorf("said %q, want a word on what was removed", x.said)
		}
		x.must(x.Grant(t.Context()))
		x.ok(plan.Admin, "SELECT 1")
		x.kill()
		before := len(x.said)
		x.start() // and once only
		if len(x.said) != before {
			t.Errorf("a second start said %q, want nothing", x.said[before:])
		}
	})
}

func TestOtherMajor(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, nil)
		x.must(os.MkdirAll(x.host(liveDir), 0o700))
		file := map[plan.Engine]string{plan.Postgres: "PG_VERSION", plan.MySQL: majorFile}[e]
		if err := x.Init(t.Context()); err == nil {
			t.Error("a data directory without a version: got no error")
		}
		x.must(os.WriteFile(filepath.Join(x.host(liveDir), file), []byte("9.9\n"), 0o600))
		if err := x.Init(t.Context()); err == nil || !strings.Contains(err.Error(), "9.9") {
			t.Errorf("a data directory of version 9.9: got %v", err)
		}
		p := testPlan(e, 1)
		p.Database.Here = "9.9"
		s, err := New(p, x.dirs, x.run)
		if err == nil {
			s.dirs.Data = filepath.Join(filepath.Dir(s.dirs.Data), "other")
			err = s.Init(t.Context())
		}
		if err == nil || !strings.Contains(err.Error(), "9.9") {
			t.Errorf("a plan with version 9.9: got %v", err)
		}
	})
}
