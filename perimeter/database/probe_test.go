package database

import (
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// judge runs one control's probe against a running server, as the tier that the
// control is about.
func (x *site) judge(id string) perimeter.Result {
	x.t.Helper()
	i := slices.IndexFunc(controls, func(c *perimeter.Control) bool { return c.ID == id })
	c := controls[i]
	in := &perimeter.Inside{Tier: plan.Fleet}
	if c.Vantage == perimeter.InAdmin {
		in.Tier = plan.Admin
	}
	tier := in.Tier
	if perimeter.Down("database/tier-secrets") {
		tier = plan.Admin
	}
	secret, err := x.Secret(tier)
	x.must(err)
	b, err := json.Marshal(secret)
	x.must(err)
	in.Secret = filepath.Join(x.t.TempDir(), "database.json")
	x.must(os.WriteFile(in.Secret, b, 0o400))
	return perimeter.Judge(context.Background(), 9, c, &perimeter.Target{Plan: x.plan, Inside: in})
}

func wantVerdict(t *testing.T, r perimeter.Result, want perimeter.Verdict) {
	t.Helper()
	if r.Verdict != want {
		t.Errorf("%s: got %v, want %v: %s\ntried %q\nsaw %q", r.ID, r.Verdict, want, r.Error, r.Tried, r.Evidence)
	}
}

func TestProbesHold(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, wordpress)
		x.start()
		x.must(x.Grant(t.Context()))
		x.ok(plan.Admin, wpTables)
		x.must(x.Grant(t.Context()))
		for _, c := range controls {
			if c.Applies != nil && !c.Applies(x.plan) {
				continue
			}
			t.Run(strings.TrimPrefix(c.ID, "database/"), func(t *testing.T) {
				x.t = t
				wantVerdict(t, x.judge(c.ID), perimeter.Held)
			})
		}
	})
}
