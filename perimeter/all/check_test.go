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
		{"files/fleet-cannot-write", perimeter.Broken},
	} {
		r, ok := got[want.id]
		if !ok || r.Verdict != want.verdict {
			t.Errorf("%s: got %s (%v), want %s", want.id, r.Verdict, r.Evidence, want.verdict)
		}
	}
}
