package host

import (
	"strings"

	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "host/first-start",
		Doc:     "An instance starts from a system that is still patched, and what it fetches at its first start comes over TLS and is never run unread.",
		Why:     "Whoever stands in the way of one download has every instance that starts.",
		Vantage: perimeter.Template,
		Check:   checkStart,
	},
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

func checkStart(p *perimeter.Pass) error {
	found := false
	for _, r := range p.World.OfType("AWS::EC2::LaunchTemplate", "AWS::EC2::Instance", "AWS::AutoScaling::LaunchConfiguration") {
		found = true
		var data []string
		if r.Type == "AWS::EC2::LaunchTemplate" {
			data = []string{"LaunchTemplateData"}
		}
		p.Tried("what %s starts from, and what it fetches", r.ID)
		if name := r.StoreName(append(data, "ImageId")...); strings.Contains(name, "/amzn2-") || strings.Contains(name, "/amzn-") {
			// Amazon Linux 2 has had no patches since 2026-06-30.
			p.Broken(r, r.Place(append(data, "ImageId")...), "%s starts from %s, which is no longer patched; want Amazon Linux 2023", r.ID, name)
		}
		v := r.Get(append(data, "UserData")...)
		judgeScript(p, r, v.Place(r.Pos), judgeData(p, r, v)+"\n"+judgeInit(p, r))
	}
	if !found {
		p.Absent("instances")
	}
	return nil
}

// judgeData: user data is known, and what it fetches is judged.
func judgeData(p *perimeter.Pass, r *template.Resource, v *template.Value) string {
	if v.Absent() {
		return ""
	}
	text := template.Decode(v.String())
	if text == "" {
		p.Unknown(r, v.Place(r.Pos), "what %s runs at its first start is not known: %s", r.ID, v.Why())
	}
	return text
}

// judgeInit reads what cfn-init does, when the user data has it run: the resource's
// metadata (CloudFormation guide, AWS::CloudFormation::Init). It returns the commands.
func judgeInit(p *perimeter.Pass, r *template.Resource) string {
	if r.Init.Unknown() {
		p.Unknown(r, r.Init.Place(r.Pos), "what cfn-init does on %s is not known: %s", r.ID, r.Init.Why())
	}
	var commands strings.Builder
	for _, config := range fields(r.Init) {
		for _, source := range fields(config.Value.Get("sources")) {
			judgeFetch(p, r, source.Value, true)
		}
		for _, manager := range fields(config.Value.Get("packages")) {
			for _, x := range fields(manager.Value) {
				for _, v := range x.Value.List() {
					judgeFetch(p, r, v, true)
				}
			}
		}
		for _, file := range fields(config.Value.Get("files")) {
			runs := executable(file.Value.Get("mode").String())
			judgeFetch(p, r, file.Value.Get("source"), runs)
			if s := file.Value.Get("content").String(); runs || strings.HasPrefix(s, "#!") {
				judgeScript(p, r, file.Pos, s)
			}
		}
		for _, c := range fields(config.Value.Get("commands")) {
			var words []string
			for _, x := range c.Value.Get("command").List() {
				words = append(words, x.String())
			}
			commands.WriteString(strings.Join(words, " ") + "\n")
		}
	}
	return commands.String()
}

func fields(v *template.Value) []template.Entry {
	if v == nil {
		return nil
	}
	return v.Fields
}

// judgeFetch: an address that cfn-init fetches; it knows no sums.
func judgeFetch(p *perimeter.Pass, r *template.Resource, v *template.Value, runs bool) {
	s := v.String()
	switch {
	case strings.HasPrefix(s, "http://"):
		p.Broken(r, v.Place(r.Pos), "%s fetches over plain HTTP, which anybody on the way can change: %s", r.ID, template.Show(s))
	case strings.HasPrefix(s, "https://") && runs:
		p.Broken(r, v.Place(r.Pos), "%s runs or unpacks what it fetched, and compares it with nothing: %s", r.ID, template.Show(s))
	}
}
