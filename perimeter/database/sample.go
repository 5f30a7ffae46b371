package database

import (
	"context"
	"fmt"

	"github.com/ringwall/ringwall/plan"
)

// SampleTable is what a site without tables has while it is probed.
const SampleTable = "ringwall_probe"

// Sample gives a site that has no table yet one with the rights that the app's
// tables will have, so that its probes have something to try. The returned
// function takes it away.
func (s *Server) Sample(ctx context.Context) (drop func(context.Context) error, err error) {
	nothing := func(context.Context) error { return nil }
	have, err := s.eng.tables(ctx)
	if err != nil || len(have) > 0 {
		return nothing, err
	}
	as, name := "", SampleTable
	if s.plan.Database.Engine == plan.Postgres {
		as, name = "SET ROLE "+ownerRole+";\n", "public."+SampleTable
	}
	run := func(ctx context.Context, text string) error {
		_, err := s.eng.sql(ctx, s.plan.Database.Name, as+text)
		return err
	}
	if err := run(ctx, "CREATE TABLE "+name+" (id INT PRIMARY KEY);\n"); err != nil {
		return nothing, fmt.Errorf("making a table for the probes: %w", err)
	}
	drop = func(ctx context.Context) error { return run(ctx, "DROP TABLE "+name+";\n") }
	if err := s.Grant(ctx); err != nil {
		return drop, fmt.Errorf("giving the probes their table: %w", err)
	}
	return drop, nil
}
