//go:build walldown

package database

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// TestProbesBreak takes each control's wall down and wants it judged Broken.
func TestProbesBreak(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		for _, c := range controls {
			t.Run(strings.TrimPrefix(c.ID, "database/"), func(t *testing.T) {
				id := c.Switch()
				perimeter.SetDown([]string{id})
				t.Cleanup(func() { perimeter.SetDown(nil) })
				x := newSite(t, e, wordpress)
				if !c.Applies(x.plan) {
					return
				}
				x.start()
				x.must(x.Grant(t.Context()))
				x.ok(plan.Admin, wpTables)
				x.must(x.Grant(t.Context()))
				wantVerdict(t, x.judge(c.ID), perimeter.Broken)
			})
		}
	})
}
