package webserver

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/bundle"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "webserver/fleet-refuses-admin",
		Doc:     "The fleet's web server is told to refuse the administrators' pages, all of them.",
		Why:     "The page that was forgotten takes the same passwords and does the same things.",
		Vantage: perimeter.Template,
		Check:   checkFleet,
	},
}

// pages are WordPress' ways to log in and to change something: the words of which an
// instance's set-up has to have one each.
var pages = []struct{ name, word string }{
	{"/wp-admin", "wp-admin"}, {"/wp-login.php", "wp-login"}, {"/xmlrpc.php", "xmlrpc"}, {"/wp-json", "wp-json"}, {"?rest_route=", "rest_route"},
}

func checkFleet(p *perimeter.Pass) error {
	if p.Plan != nil {
		return checkOwn(p)
	}
	found := false
	for _, t := range perimeter.Named(p.Tiers(), plan.Fleet) {
		if t.Node.Template == nil || len(perimeter.Named(p.Tiers(), plan.Admin)) == 0 {
			continue
		}
		at := t.Node.Template.Get("LaunchTemplateData", "UserData")
		if at.Absent() {
			at = t.Node.Template.Get("UserData")
		}
		text := strings.ToLower(template.Decode(at.String()))
		if !strings.Contains(text, "wordpress") && !strings.Contains(text, "wp-") && !strings.Contains(text, "wp_") {
			continue // what runs there is not known by its name
		}
		found = true
		p.Tried("which of WordPress' pages what %s runs at its first start refuses", t.Node)
		var missing []string
		for _, x := range pages {
			if !strings.Contains(text, x.word) {
				missing = append(missing, x.name)
			}
		}
		if len(missing) > 0 {
			p.Broken(t.Node.Template, at.Place(t.Node.Template.Pos), "nothing in what %s runs at its first start refuses %s", t.Node, strings.Join(missing, ", "))
		} else {
			p.Unknown(t.Node.Template, at.Place(t.Node.Template.Pos), "whether what %s runs at its first start refuses the pages that it names, no template tells", t.Node)
		}
	}
	if !found {
		p.Absent("a WordPress with instances for administrators and for visitors")
	}
	return nil
}

// checkOwn: the fleet's instances fetch the web server's files that the plan's route
// table makes; those are what the probes of this wall were tried on.
func checkOwn(p *perimeter.Pass) error {
	for _, t := range p.Plan.Tiers {
		files, err := Files(p.Plan, t)
		if err != nil {
			return err
		}
		b, err := bundle.Pack(files)
		if err != nil {
			return err
		}
		p.Tried("whether %s fetches the web server's files that the plan makes", t.Name)
		prefix := plan.FilesPrefix(p.Plan.Site(), t.Name, "webserver") + "/"
		var parts []string
		for _, r := range p.World.OfType("AWS::SSM::Parameter") {
			if name := r.Get("Name").String(); strings.HasPrefix(name, prefix) {
				parts = append(parts, r.Get("Value").String())
			}
		}
		slices.Sort(parts)
		if !slices.Equal(parts, slices.Sorted(slices.Values(b.Parts))) {
			p.Broken(nil, template.Pos{}, "%s fetches other files of its web server than the plan makes: its route table is not what it should be (%s)", t.Name, prefix)
		}
	}
	return nil
}
