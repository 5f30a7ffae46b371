package all_test

import (
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/verify"
)

// TestSample: each hole of the sample project is found in its templates.
func TestSample(t *testing.T) {
	set, err := template.Load("../../examples/sample-aws")
	if err != nil {
		t.Fatal(err)
	}
	_, results, _ := verify.Check(nil, set, verify.Jobs(all.Perimeters))
	got := map[string]perimeter.Result{}
	for _, r := range results {
		got[r.ID] = r
	}
	for _, want := range []struct {
		id      string
		verdict perimeter.Verdict
	}{
		{"vpc/internet-reach", perimeter.Held},
		{"balancer/only-our-distribution", perimeter.Held},
		{"edge/waf-complete", perimeter.Broken},
		{"database/isolated", perimeter.Broken},
		{"files/fleet-cannot-write", perimeter.Broken},
		{"instance/compartments", perimeter.Broken},
		{"balancer/admin-selection", perimeter.Broken},
		{"edge/cache-boundary", perimeter.Broken},
		{"files/buckets-private", perimeter.Broken},
		{"people/secrets-closed", perimeter.Broken},
		{"people/no-escalation", perimeter.Held},
		{"people/evidence-kept", perimeter.Broken},
		{"instance/egress-and-metadata", perimeter.Broken},
		{"database/restorable", perimeter.Broken},
		{"host/first-start", perimeter.Broken},
		{"webserver/fleet-refuses-admin", perimeter.Broken},
	} {
		r, ok := got[want.id]
		if !ok || r.Verdict != want.verdict {
			t.Errorf("%s: got %s (%v), want %s", want.id, r.Verdict, r.Evidence, want.verdict)
		}
	}
}
