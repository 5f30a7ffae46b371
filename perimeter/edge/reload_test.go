package edge

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
)

// Rules are swapped under load: no request fails, each attack is judged by one
// set of rules or the other, and a set that cannot be built changes nothing.
func TestSetRules(t *testing.T) {
	s := newSite(t, testPlan())
	s.Edge.next = proxy.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil })
	h := proxy.Reply(s.Edge, nil)
	ask := func(uri string) int {
		r := httptest.NewRequest("GET", uri, nil)
		r.RemoteAddr = "198.51.100.7:1"
		r.Header.Set("User-Agent", "Mozilla/5.0")
		r.Header.Set("Accept", "*/*")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Code
	}
	free := s.p.Edge.WAF
	free.Exclusions = []plan.Exclusion{{Rule: 942100, Path: "/free", Target: "ARGS:q"}}
	bad := free
	bad.Rules = []plan.RuleFile{{File: "/srv/own.conf", Text: "SecNothing On"}}

	stop := make(chan struct{})
	var wg sync.WaitGroup
	var asked, passed atomic.Int64
	for range 4 {
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if code := ask("/?q=hello"); code != 200 {
					t.Errorf("a good request: got %d", code)
				}
				if code := ask("/other?q=" + sqliArg); code != 403 {
					t.Errorf("an attack: got %d", code)
				}
				if ask("/free?q="+sqliArg) == 200 {
					passed.Add(1)
				}
				asked.Add(1)
			}
		})
	}
	for range 4 {
		for _, w := range []plan.WAF{free, testPlan().Edge.WAF} {
			if err := s.SetRules(w); err != nil {
				t.Error(err)
			}
			if err := s.SetRules(bad); err == nil || !strings.Contains(err.Error(), "own.conf:1") {
				t.Errorf("bad rules: got %v, want the line", err)
			}
			want := 403
			if len(w.Exclusions) > 0 {
				want = 200
			}
			if code := ask("/free?q=" + sqliArg); code != want {
				t.Errorf("after the swap: got %d, want %d", code, want)
			}
		}
	}
	close(stop)
	wg.Wait()
	if asked.Load() == 0 || passed.Load() == 0 || passed.Load() == asked.Load() {
		t.Errorf("got %d of %d excluded attacks passed, want some and not all", passed.Load(), asked.Load())
	}
	if err := s.SetRules(plan.WAF{Off: true}); err != nil || ask("/?q="+sqliArg) != 200 {
		t.Errorf("no rules: got %v", err)
	}
	if err := s.SetRules(free); err != nil || ask("/?q="+sqliArg) != 403 {
		t.Errorf("rules again: got %v", err)
	}
}

// Reloads, each with rules of its own, leave no memory behind.
func TestReloadsDoNotLeak(t *testing.T) {
	s := newSite(t, testPlan())
	heap := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	reload := func(n int) {
		w := testPlan().Edge.WAF
		w.Rules = []plan.RuleFile{{File: "/srv/own.conf", Text: fmt.Sprintf(`SecRule ARGS "@rx secret-%d[a-z]+x" "id:1,phase:2,deny"`, n)}}
		if err := s.SetRules(w); err != nil {
			t.Fatal(err)
		}
		if r := s.ask(visitor, "GET", fmt.Sprintf("/?q=secret-%dabcx", n), ""); r.Code != 403 {
			t.Fatalf("reload %d: got %d, want the new rule's 403", n, r.Code)
		}
	}
	for n := range 10 {
		reload(n)
	}
	s.log = nil
	before := heap()
	for n := range 40 {
		reload(1000 + n)
	}
	s.log = nil
	after := heap()
	t.Logf("heap after 10 reloads %d KiB, after 50 %d KiB", before>>10, after>>10)
	if after > before+before/4 {
		t.Errorf("heap: got %d bytes after 40 more reloads, want about the %d from before", after, before)
	}
}
