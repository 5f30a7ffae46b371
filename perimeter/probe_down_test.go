//go:build walldown

package perimeter_test

import (
	"testing"

	"github.com/ringwall/ringwall/perimeter"
)

func TestProbesSeeTheWallsDown(t *testing.T) {
	s := startSite(t, probePlan())
	t.Cleanup(func() { perimeter.SetDown(nil) })
	for _, p := range outside {
		for _, c := range p.Controls {
			s.reopen(c.ID)
			if r := s.judge(c)[c.ID]; r.Verdict != perimeter.Broken {
				t.Errorf("with its wall down: %s", describe(r))
			}
		}
	}
}
