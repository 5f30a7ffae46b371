package verify

import (
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func TestAccept(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	later, past := now.AddDate(0, 1, 0), now.AddDate(0, 0, -1)
	broken := func(res string) perimeter.Finding {
		return perimeter.Finding{Verdict: perimeter.Broken, Resource: "a-stack/" + res, File: "a-stack.yaml", Words: res + " is open"}
	}
	unsure := perimeter.Finding{Verdict: perimeter.Unknown, Resource: "a-stack/Y", Words: "not known"}
	for _, x := range []struct {
		name     string
		found    []perimeter.Finding
		accepted []plan.Suppression
		want     perimeter.Verdict
		note     string
	}{
		{"nothing accepted", []perimeter.Finding{broken("X")}, nil, perimeter.Broken, ""},
		{"by its name", []perimeter.Finding{broken("X")}, []plan.Suppression{{ID: "edge/x", Scope: "a-stack/X", Expires: later}}, perimeter.Held, ""},
		{"by a pattern", []perimeter.Finding{broken("X"), broken("Z")}, []plan.Suppression{{ID: "edge/x", Scope: "a-stack/*", Expires: later}}, perimeter.Held, ""},
		{"by its file", []perimeter.Finding{broken("X")}, []plan.Suppression{{ID: "edge/x", Scope: "a-stack.yaml", Expires: later}}, perimeter.Held, ""},
		{"everywhere", []perimeter.Finding{broken("X")}, []plan.Suppression{{ID: "edge/x", Expires: later}}, perimeter.Held, ""},
		{"another place is left", []perimeter.Finding{broken("X"), broken("Z")}, []plan.Suppression{{ID: "edge/x", Scope: "a-stack/X", Expires: later}}, perimeter.Broken, ""},
		{"an unknown place is left", []perimeter.Finding{broken("X"), unsure}, []plan.Suppression{{ID: "edge/x", Scope: "a-stack/X", Expires: later}}, perimeter.Unknown, ""},
		{"expired", []perimeter.Finding{broken("X")}, []plan.Suppression{{ID: "edge/x", Expires: past, Owner: "ann"}}, perimeter.Broken, "expired"},
		{"of another control", []perimeter.Finding{broken("X")}, []plan.Suppression{{ID: "edge/y", Expires: later}}, perimeter.Broken, "covers nothing"},
	} {
		got, notes := Accept([]perimeter.Result{{ID: "edge/x", Verdict: x.found[0].Verdict, Findings: x.found}}, x.accepted, now)
		if got[0].Verdict != x.want {
			t.Errorf("%s: got %s, want %s", x.name, got[0].Verdict, x.want)
		}
		if got := strings.Join(notes, "\n"); x.note == "" && got != "" || !strings.Contains(got, x.note) {
			t.Errorf("%s: got the notes %q, want %q", x.name, got, x.note)
		}
	}
}

// A check that failed for a reason that is no finding stays unknown, whatever is
// accepted.
func TestAcceptKeepsErrors(t *testing.T) {
	f := perimeter.Finding{Verdict: perimeter.Unknown, Words: "not known"}
	got, _ := Accept([]perimeter.Result{{ID: "edge/x", Error: "the check panicked", Findings: []perimeter.Finding{f}}},
		[]plan.Suppression{{ID: "edge/x", Expires: time.Now().AddDate(1, 0, 0)}}, time.Now())
	if got[0].Verdict != perimeter.Unknown {
		t.Errorf("got %s, want unknown", got[0].Verdict)
	}
}
