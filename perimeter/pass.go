package perimeter

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/plan"
)

// A Pass is what a control's Check reads, and the only way for it to speak.
type Pass struct {
	Plan   *plan.Plan // nil: the templates are somebody else's
	World  *template.World
	Reach  *reach.Graph
	Access *access.Model

	tried    []string
	findings []Finding
	absent   string
	tiers    []*Tier
}

// NewPass reads one world's network and identities. The plan may be nil.
func NewPass(p *plan.Plan, w *template.World) *Pass {
	pass := &Pass{Plan: p, World: w, Reach: reach.Build(w), Access: access.Build(w)}
	pass.Tiers() // once for all controls
	return pass
}

// A Finding is one place of a template that breaks a promise, or that cannot be
// judged.
type Finding struct {
	Verdict  Verdict `json:"verdict"`
	File     string  `json:"file,omitempty"`
	Line     int     `json:"line,omitempty"`
	Column   int     `json:"column,omitempty"`
	Resource string  `json:"resource,omitempty"` // stack/ID
	Words    string  `json:"words"`
	Path     []Step  `json:"path,omitempty"`   // how it is done, hop by hop
	Under    string  `json:"under,omitempty"`  // the parameters under which it is so
	Reason   string  `json:"reason,omitempty"` // of a suppression that covers it
}

// Place is the finding's file, line and column.
func (f Finding) Place() string {
	return template.Pos{File: f.File, Line: f.Line, Col: f.Column}.String()
}

// A Step is one hop of a path.
type Step struct {
	Words  string `json:"words"`
	File   string `json:"file,omitempty"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p *Pass) fresh() *Pass {
	return &Pass{Plan: p.Plan, World: p.World, Reach: p.Reach, Access: p.Access, tiers: p.tiers}
}

// Tried records what was looked at.
func (p *Pass) Tried(format string, a ...any) {
	p.tried = append(p.tried, fmt.Sprintf(format, a...))
}

// Absent says that the templates have nothing that the promise is about, and
// what that is. The control is then left out of the table.
func (p *Pass) Absent(what string) { p.absent = what }

// Broken records a place where the promise is not kept. r may be nil.
func (p *Pass) Broken(r *template.Resource, at template.Pos, format string, a ...any) {
	p.find(Broken, r, at, nil, format, a...)
}

// Unknown records a place that cannot be judged, and why.
func (p *Pass) Unknown(r *template.Resource, at template.Pos, format string, a ...any) {
	p.find(Unknown, r, at, nil, format, a...)
}

// Judge records a place whose answer is a three-valued one: Yes is broken, Maybe
// is unknown, No is nothing.
func (p *Pass) Judge(broken template.Tri, r *template.Resource, at template.Pos, path reach.Path, format string, a ...any) {
	switch broken {
	case template.Yes:
		p.find(Broken, r, at, path, format, a...)
	case template.Maybe:
		p.find(Unknown, r, at, path, format, a...)
	}
}

func (p *Pass) find(v Verdict, r *template.Resource, at template.Pos, path reach.Path, format string, a ...any) {
	f := Finding{Verdict: v, Words: fmt.Sprintf(format, a...)}
	if r != nil {
		f.Resource = r.Key()
		if at.IsZero() {
			at = r.Pos
		}
	}
	f.File, f.Line, f.Column = at.File, at.Line, at.Col
	for _, h := range path {
		f.Path = append(f.Path, Step{h.Words, h.Pos.File, h.Pos.Line, h.Pos.Col})
	}
	p.findings = append(p.findings, f)
}

// Check judges one control against the ways in which templates may come out, and
// returns false when they have nothing that it is about. The first pass is the one
// with the parameters' default values. all says whether the passes are all ways.
//
// A promise that is broken with the default values, or in every way, is Broken;
// one that only some permitted value breaks is Unknown (so is one of which a part
// could not be judged).
func Check(number int, c *Control, passes []*Pass, all bool) (r Result, applies bool) {
	start := time.Now()
	r = Result{ID: c.ID, Perimeter: number, Vantage: c.Vantage, Doc: c.Doc}
	defer func() { r.Millis = time.Since(start).Milliseconds() }()
	var worst []Verdict
	var found []Finding
	var seen []int // by finding: in how many passes
	for i, p := range passes {
		q, why := c.check(p)
		if q.absent != "" && why == "" && len(q.findings) == 0 {
			continue
		}
		applies = true
		v := Held
		switch {
		case slices.ContainsFunc(q.findings, func(f Finding) bool { return f.Verdict == Broken }):
			v = Broken
		case why == "" && len(q.findings) == 0 && len(p.World.Holes) > 0:
			v = Unknown
			r.Error = cmp.Or(r.Error, "a part of the templates cannot be seen: "+p.World.Holes[0])
		case why != "" || len(q.findings) > 0 || len(q.tried) == 0:
			v = Unknown
			r.Error = cmp.Or(r.Error, why)
			if why == "" && len(q.findings) == 0 {
				r.Error = cmp.Or(r.Error, "the check looked at nothing")
			}
		}
		worst = append(worst, v)
		for _, t := range q.tried {
			if !slices.Contains(r.Tried, t) {
				r.Tried = append(r.Tried, t)
			}
		}
		for _, f := range q.findings {
			f.Under = under(p, i, len(passes))
			k := slices.IndexFunc(found, func(g Finding) bool { return g.same(f) })
			if k < 0 {
				found, seen = append(found, f), append(seen, 1)
				continue
			}
			seen[k]++
			if rankOf(f.Verdict) < rankOf(found[k].Verdict) {
				found[k].Verdict = f.Verdict
			}
		}
	}
	if !applies {
		return r, false
	}
	for i := range found {
		if seen[i] >= len(passes) {
			found[i].Under = "" // it is so whatever the parameters are
		}
	}
	r.Verdict = Held
	everywhere := !slices.ContainsFunc(worst, func(v Verdict) bool { return v != Broken })
	switch {
	case everywhere || worst[0] == Broken && passes[0].World.Default:
		r.Verdict = Broken
	case slices.ContainsFunc(worst, func(v Verdict) bool { return v != Held }):
		r.Verdict = Unknown
	case !all:
		r.Verdict = Unknown
		r.Error = cmp.Or(r.Error, "the parameters can be combined in more ways than were tried; give fewer of them a choice")
	}
	if r.Verdict == Unknown {
		for i := range found {
			if found[i].Verdict == Broken {
				found[i].Verdict = Unknown
				found[i].Words += " (with " + cmp.Or(found[i].Under, "some permitted values") + ")"
			}
		}
		if r.Error == "" && len(found) > 0 {
			r.Error = found[0].Words
		}
	}
	slices.SortStableFunc(found, func(a, b Finding) int { return cmp.Compare(rankOf(a.Verdict), rankOf(b.Verdict)) })
	for _, f := range found {
		line := f.Words
		if f.File != "" {
			line = f.Place() + ": " + line
		}
		r.Evidence = append(r.Evidence, line)
	}
	r.Findings = found
	return r, true
}

// same says whether two findings are one, seen in two worlds.
func (f Finding) same(g Finding) bool {
	return f.Words == g.Words && f.File == g.File && f.Line == g.Line && f.Column == g.Column && f.Resource == g.Resource
}

func rankOf(v Verdict) int {
	if v == Broken {
		return 0
	}
	return 1
}

// under names the parameters' values of a pass.
func under(p *Pass, i, n int) string {
	switch {
	case len(p.World.Decided) > 0:
		return strings.Join(p.World.Decided, ", ")
	case i == 0 && n > 1:
		return "the parameters' default values"
	case n > 1:
		return "other values than the parameters' default ones"
	}
	return ""
}

// check runs a control's Check once. why is an error or a panic of it.
func (c *Control) check(p *Pass) (q *Pass, why string) {
	q = p.fresh()
	defer func() {
		if x := recover(); x != nil {
			why = fmt.Sprintf("the check panicked: %v", x)
		}
	}()
	if err := c.Check(q); err != nil {
		why = err.Error()
	}
	return q, why
}
