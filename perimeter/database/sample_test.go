package database

import (
	"testing"

	"github.com/ringwall/ringwall/plan"
)

func TestSample(t *testing.T) {
	eachEngine(t, func(t *testing.T, e plan.Engine) {
		x := newSite(t, e, nil)
		x.start()
		x.must(x.Grant(t.Context()))
		for range 2 {
			drop, err := x.Sample(t.Context())
			x.must(err)
			if got, err := x.eng.tables(t.Context()); err != nil || len(got) != 1 || got[0].name != SampleTable {
				t.Errorf("tables while probing: got %v, %v, want one", got, err)
			}
			if again, err := x.Sample(t.Context()); err != nil || again(t.Context()) != nil {
				t.Errorf("a site with a table: got %v", err)
			}
			x.must(drop(t.Context()))
			if got, err := x.eng.tables(t.Context()); err != nil || len(got) != 0 {
				t.Errorf("tables after probing: got %v, %v, want none", got, err)
			}
		}
	})
}
