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
				if id == "database/other-databases" {
					x.openServer(e)
				}
				wantVerdict(t, x.judge(c.ID), perimeter.Broken)
			})
		}
	})
}

// openServer gives fleet what no switch gives: the server's own tables.
func (x *site) openServer(e plan.Engine) {
	x.t.Helper()
	secret, err := x.Secret(plan.Fleet)
	x.must(err)
	q := "GRANT SELECT ON pg_authid TO " + pgIdent(secret.Username)
	db := x.plan.Database.Name
	if e == plan.MySQL {
		q, db = "GRANT SELECT ON mysql.* TO "+x.eng.(*mysql).myUser(secret.Username), ""
	}
	_, err = x.eng.sql(x.t.Context(), db, q)
	x.must(err)
}
