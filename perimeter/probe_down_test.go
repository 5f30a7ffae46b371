//go:build walldown

package perimeter_test

import (
	"testing"

	"github.com/ringwall/ringwall/perimeter"
)

// reopen is what a site does when a test takes a wall down: it starts its front
// anew, with an empty cache and full allowances.
func (s *site) reopen(down ...string) {
	s.close()
	perimeter.SetDown(down)
	s.edge.Cache().PurgeAll()
	s.open()
}

func TestProbesSeeTheWallsDown(t *testing.T) {
	s := startSite(t, probePlan())
	t.Cleanup(func() { perimeter.SetDown(nil) })
	for _, p := range outside {
		for _, c := range p.Controls {
			if c.Probe == nil { // what templates promise is checked, not probed
				continue
			}
			s.reopen(c.ID)
			if r := s.judge(c)[c.ID]; r.Verdict != perimeter.Broken {
				t.Errorf("with its wall down: %s", describe(r))
			}
		}
	}
}
