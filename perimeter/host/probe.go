//go:build linux

package host

import (
	"context"
	"slices"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = slices.Concat(sockets, calls, processes, visibility, limitControls)

func fleet(id, doc, why string, probe func(context.Context, *perimeter.Target) error) *perimeter.Control {
	return &perimeter.Control{ID: "host/" + id, Doc: doc, Why: why, Vantage: perimeter.InFleet, Probe: probe}
}

func admin(id, doc, why string, probe func(context.Context, *perimeter.Target) error) *perimeter.Control {
	c := fleet(id, doc, why, probe)
	c.Vantage = perimeter.InAdmin
	return c
}

// alone marks a probe that fills a limit, which would disturb the others.
func alone(c *perimeter.Control) *perimeter.Control {
	c.Intrusive = true
	return c
}

func isPHP(p *plan.Plan) bool { return p.Kind == plan.PHP }
