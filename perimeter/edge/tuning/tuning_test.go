package tuning

import (
	"net/netip"
	"testing"
	"time"

	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/plan"
)

func testPlan(change func(*plan.WAF)) *plan.Plan {
	p := &plan.Plan{
		File: "/srv/site/ringwall.yaml",
		Edge: plan.Edge{
			Allowed: plan.Match{Any: true}, MaxBody: 1 << 20, MaxUpload: 4 << 20,
			WAF: plan.WAF{Paranoia: 1},
		},
		Balancer: plan.Balancer{Admins: plan.Match{Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24")}}},
	}
	p.Network.Visitor, p.Network.Office = netip.MustParseAddr("198.51.100.7"), netip.MustParseAddr("203.0.113.9")
	if change != nil {
		change(&p.Edge.WAF)
	}
	return p
}

func compare(t *testing.T, before, after *plan.Plan, good []Case) *Radius {
	t.Helper()
	began := time.Now()
	cases, err := Cases(before, after, good)
	if err != nil {
		t.Fatal(err)
	}
	read := time.Since(began)
	r, err := Compare(t.Context(), edge.NewJudge(before), edge.NewJudge(after), cases)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d cases: read in %v, all in %v, %d changes", len(cases), read, time.Since(began), len(r.Changes))
	return r
}

// The same rules give the same verdicts, and every attack of a probe is refused.
func TestNothingChanges(t *testing.T) {
	r := compare(t, testPlan(nil), testPlan(nil), nil)
	if len(r.Changes) != 0 {
		t.Errorf("the same plan twice: got %d changes, want none: %+v", len(r.Changes), r.Changes[0])
	}
	if n := r.Judged[""][Probe]; n < 50 || r.Stopped[""][Probe] != n {
		t.Errorf("probes: got %d refused of %d, want all", r.Stopped[""][Probe], n)
	}
	if n := r.Judged[""][Stage]; n < 4680 || r.Stopped[""][Stage] < n/4 {
		t.Errorf("stages: got %d refused of %d, want 4680 or more and a good part of them", r.Stopped[""][Stage], n)
	}
}

// An exclusion lets attacks through at its place and nowhere else.
func TestRadiusOfAnExclusion(t *testing.T) {
	for _, target := range []string{"ARGS:content", "ARGS:json.post.0.text", "REQUEST_COOKIES:c", "REQUEST_HEADERS:Referer", ""} {
		r := compare(t, testPlan(nil), testPlan(func(w *plan.WAF) {
			w.Exclusions = []plan.Exclusion{{Rule: 942100, Path: "/comment", Target: target}}
		}), nil)
		place := place{"/comment", target}.String()
		there := map[Kind]int{}
		for _, c := range r.Changes {
			if c.Place != place || !c.Weaker() {
				t.Errorf("%s: %s %s at %q changes from %v to %v", place, c.Kind, c.Name, c.Place, c.Before.Verdict, c.After.Verdict)
			}
			there[c.Kind]++
		}
		if there[Stage] == 0 {
			t.Errorf("%s: no regression stage changes its verdict there, want some", place)
		}
		if len(r.Passing()) > 0 {
			t.Errorf("%s: a probe's own attack passes: %+v", place, r.Passing()[0])
		}
	}
}
