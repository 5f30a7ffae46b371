package perimeter

import (
	"strings"

	"github.com/ringwall/ringwall/internal/cis"
	"github.com/ringwall/ringwall/internal/template"
)

// CIS makes a control of a recommendation of CIS AWS Foundations 1.5.0 that a
// template can decide. Its id is wall/cis-1-16.
func CIS(wall, id, why string, check func(*Pass) error) *Control {
	doc := "an unknown recommendation."
	if r := cis.ByID(id); r != nil {
		doc = r.Title + "."
	}
	return &Control{ID: wall + "/cis-" + strings.ReplaceAll(id, ".", "-"), Doc: doc, Why: why,
		Vantage: Template, Check: check, Meets: []string{"CIS " + id}}
}

// Account is for what an account has once, in whichever stack: absent from
// somebody else's templates it is left out, because another stack may have it; a
// site whose plan says that it brings the account's baseline must have it.
func (p *Pass) Account(what string) {
	if p.Plan != nil && p.Plan.AWS.AccountBaseline {
		p.Broken(nil, template.Pos{}, "no template has %s, and the plan says that this site brings the account's baseline", what)
		return
	}
	p.Absent(what)
}

// Every looks at all resources of some types: with is what each must be, and says
// where it is not. Without any the control is left out.
func (p *Pass) Every(what string, each func(r *template.Resource), types ...string) error {
	found := p.World.OfType(types...)
	if len(found) == 0 {
		p.Absent(what)
		return nil
	}
	for _, r := range found {
		p.Tried("%s %s", what, r.ID)
		each(r)
	}
	return nil
}

// Must judges a property that has to be true.
func (p *Pass) Must(r *template.Resource, words string, path ...string) {
	v := r.Get(path...)
	switch v.Truth(false) {
	case template.No:
		p.Broken(r, v.Place(r.Place(path...)), "%s %s", r.ID, words)
	case template.Maybe:
		p.Unknown(r, v.Place(r.Pos), "%s %s: not known, %s", r.ID, words, v.Show())
	}
}
