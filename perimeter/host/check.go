package host

import (
	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/perimeter"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	perimeter.CIS("host", "1.18", "A key that lies on a disk is copied with it, and is never changed.", checkProfiles),
}

// checkProfiles: instances have their rights from a role.
func checkProfiles(p *perimeter.Pass) error {
	found := false
	for _, t := range p.Tiers() {
		if t.Node.Kind == reach.Service || t.Node.Template == nil {
			continue
		}
		found = true
		p.Tried("where %s has its rights from", t.Node)
		if t.Profile.Absent() {
			p.Broken(t.Node.Template, t.Node.Template.Pos, "%s has no instance profile: what it may do needs keys on its disk", t.Node)
		}
	}
	if !found {
		p.Absent("instances")
	}
	return nil
}
