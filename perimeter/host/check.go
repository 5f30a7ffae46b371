package host

import (
	"regexp"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
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

var (
	piped   = lazy.Regexp(`(?:curl|wget)\b[^\n|;&]*\|\s*(?:sudo\s+(?:-\S+\s+)*)?(?:ba|z|da)?sh\b`)
	plain   = lazy.Regexp(`(?:curl|wget)\b[^\n|;&]*\bhttp://[^\s'"]+`)
	itself  = lazy.Regexp(`http://(127\.|localhost\b|\[::1\]|169\.254\.)`) // nobody is on that way
	ignores = lazy.Regexp(`(?:curl\b[^\n|;&]*\s(?:-k|--insecure)\b|wget\b[^\n|;&]*--no-check-certificate)`)
)

func checkStart(p *perimeter.Pass) error {
	found := false
	for _, r := range p.World.OfType("AWS::EC2::LaunchTemplate", "AWS::EC2::Instance") {
		found = true
		data := []string{"LaunchTemplateData"}
		if r.Type == "AWS::EC2::Instance" {
			data = nil
		}
		p.Tried("what %s starts from, and what it fetches", r.ID)
		if name := r.StoreName(append(data, "ImageId")...); strings.Contains(name, "/amzn2-") || strings.Contains(name, "/amzn-") {
			// Amazon Linux 2 has had no patches since 2026-06-30.
			p.Broken(r, r.Place(append(data, "ImageId")...), "%s starts from %s, which is no longer patched; want Amazon Linux 2023", r.ID, name)
		}
		judgeScript(p, r, r.Get(append(data, "UserData")...))
	}
	if !found {
		p.Absent("instances")
	}
	return nil
}

func judgeScript(p *perimeter.Pass, r *template.Resource, v *template.Value) {
	if v.Absent() {
		return
	}
	text := template.Decode(v.String())
	if text == "" {
		p.Unknown(r, v.Place(r.Pos), "what %s runs at its first start is not known: %s", r.ID, v.Why())
		return
	}
	text = downloads(text)
	for _, x := range []struct {
		form  *regexp.Regexp
		words string
	}{
		{piped(), "%s runs what it fetches, unread: %s"},
		{plain(), "%s fetches over plain HTTP, which anybody on the way can change: %s"},
		{ignores(), "%s does not ask who answers: %s"},
	} {
		for _, m := range x.form.FindAllString(text, -1) {
			if x.form == plain() && itself().MatchString(m) {
				continue
			}
			p.Broken(r, v.Place(r.Pos), x.words, r.ID, template.Show(strings.TrimSpace(m)))
		}
	}
}

// downloads are the lines of a script that fetch something, each with those behind it
// that a pipe may lead to. Scripts are long, and the patterns are slow.
func downloads(text string) string {
	var b strings.Builder
	left := 0
	for line := range strings.Lines(text) {
		switch {
		case strings.Contains(line, "curl"), strings.Contains(line, "wget"):
			left = 3
		case left > 0 && strings.TrimSpace(line) != "":
			left--
		}
		if left > 0 {
			b.WriteString(line)
		}
	}
	return b.String()
}
