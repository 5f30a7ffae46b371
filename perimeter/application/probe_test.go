package application

import (
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func judge(t *testing.T, id string, p *plan.Plan, state string) perimeter.Result {
	t.Helper()
	for _, c := range controls {
		if c.ID == id {
			return perimeter.Judge(t.Context(), 10, c, &perimeter.Target{Plan: p, Site: &perimeter.SiteAccess{State: state}})
		}
	}
	t.Fatalf("no control %s", id)
	return perimeter.Result{}
}

// TestProbes judges each control with its wall up, and then with the code, the
// uploads or the detector changed so that the promise is not kept.
func TestProbes(t *testing.T) {
	key := "aws_key = AKIA" + "QQQQQQQQQQQQQQQQ\n"
	for _, tt := range []struct {
		name, id string
		spoil    func(t *testing.T, state string)
	}{
		{name: "integrity", id: ctlIntegrity, spoil: func(t *testing.T, s string) { write(t, s, "shell.php", "x") }},
		{name: "uploads by name", id: "application/no-code-in-uploads", spoil: func(t *testing.T, s string) { write(t, s, "uploads/a.PHP.jpg", "x") }},
		{name: "uploads by content", id: "application/no-code-in-uploads", spoil: func(t *testing.T, s string) { write(t, s, "uploads/a.jpg", "GIF89a <?php evil()") }},
		{name: "secrets", id: ctlSecrets, spoil: func(t *testing.T, s string) { write(t, s, "config.php", key) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p, state := site(t, map[string]string{"index.php": "1", "uploads/x.jpg": "1", "flows.json": "{}"})
			if r := judge(t, tt.id, p, state); tt.id == ctlIntegrity && r.Verdict != perimeter.Unknown {
				t.Errorf("nothing accepted: got %v, want unknown", r.Verdict)
			}
			if err := Baseline(p, state); err != nil {
				t.Fatal(err)
			}
			if r := judge(t, tt.id, p, state); r.Verdict != perimeter.Held {
				t.Errorf("wall up: got %v: %s %q", r.Verdict, r.Error, r.Evidence)
			}
			tt.spoil(t, state)
			if r := judge(t, tt.id, p, state); r.Verdict != perimeter.Broken {
				t.Errorf("wall down: got %v: %s %q", r.Verdict, r.Error, r.Evidence)
			}
		})
	}
}

func TestBlindDetectorsAreBroken(t *testing.T) {
	if !perimeter.CanTakeDown {
		return // the switch exists in builds with the tag walldown only
	}
	for _, id := range []string{ctlIntegrity, ctlSecrets} {
		p, state := site(t, map[string]string{"index.php": "1"})
		if err := Baseline(p, state); err != nil {
			t.Fatal(err)
		}
		perimeter.SetDown([]string{id})
		r := judge(t, id, p, state)
		perimeter.SetDown(nil)
		if r.Verdict != perimeter.Broken {
			t.Errorf("%s: got %v: %s %q", id, r.Verdict, r.Error, r.Evidence)
		}
	}
}
