package diff

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/template"
)

// attached compares the policies that are attached by name, and the boundaries.
func (c *comparison) attached(before, after *side) {
	for _, key := range c.keys() {
		b, a := c.before[key], c.after[key]
		r := c.either(key)
		if !strings.HasPrefix(r.Type, "AWS::IAM::") && r.Type != "AWS::SSO::PermissionSet" {
			continue
		}
		who := template.Token(key, "")
		more, less := after.of(who).More(before.of(who)), before.of(who).More(after.of(who))
		for _, p := range []string{"ManagedPolicyArns", "ManagedPolicies"} {
			x, y := texts(b.Get(p)), texts(a.Get(p))
			for _, w := range y {
				if slices.Contains(x, w) {
					continue
				}
				c.covered[[2]string{key, p}] = true
				ch := Change{Path: p, After: template.Show(w), Words: "a managed policy is attached"}
				rule := "access/broadened"
				if nothing(after, key, w, more) {
					rule, ch.Words = "access/same", ch.Words+", and gives nothing more"
				}
				c.add(rule, r, ch)
			}
			for _, w := range x {
				if slices.Contains(y, w) {
					continue
				}
				c.covered[[2]string{key, p}] = true
				ch := Change{Path: p, Before: template.Show(w), Words: "a managed policy is taken off"}
				rule := "access/narrowed"
				if nothing(before, key, w, less) {
					rule, ch.Words = "access/same", ch.Words+", and nothing with it"
				}
				c.add(rule, r, ch)
			}
		}
		c.boundary(key, b, a, more, less)
	}
}

// nothing says whether a policy that is attached by name is known to make no
// difference.
func nothing(x *side, key, arn string, differs []access.Grant) bool {
	if x.model == nil {
		return false
	}
	p := x.model.Principal(key)
	if p == nil || len(p.Unsure) > 0 {
		return false
	}
	if own, _, ok := template.KeyOf(arn); ok {
		return x.model.World.Resource(own) != nil && len(differs) == 0
	}
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	return slices.Contains(p.Managed, name) && !slices.ContainsFunc(differs, func(g access.Grant) bool { return g.By.Policy == access.ManagedName(name) })
}

// boundary compares the most that an identity may do.
func (c *comparison) boundary(key string, b, a *template.Resource, more, less []access.Grant) {
	const p = "PermissionsBoundary"
	x, y := b.Get(p), a.Get(p)
	if b == nil || a == nil || canon(x) == canon(y) {
		return
	}
	c.covered[[2]string{key, p}] = true
	switch {
	case y.Absent():
		c.add("access/broadened", a, Change{Path: p, Before: show(x), Words: "the boundary goes"})
	case x.Absent():
		c.add("access/narrowed", a, Change{Path: p, After: show(y), Words: "a boundary is set"})
	case len(more) > 0:
		c.add("access/broadened", a, Change{Path: p, Before: show(x), After: show(y), Words: "the boundary changes, and lets more pass: " + more[0].String()})
	case len(less) > 0:
		c.add("access/narrowed", a, Change{Path: p, Before: show(x), After: show(y), Words: "the boundary changes, and lets less pass"})
	default:
		c.add("access/unclear", a, Change{Path: p, Before: show(x), After: show(y), Words: "the boundary changes"})
	}
}

// climbs finds who can come by an administrator's rights and could not: what one
// identity gets may be a step for another one.
func (c *comparison) climbs(b, a *side) {
	if a.model == nil || b.same(a) {
		return
	}
	for _, p := range a.model.Principals {
		if !p.Usable() {
			continue
		}
		via := a.model.Climb(p, nil, true)
		if via == nil {
			continue
		}
		if b.model != nil {
			if q := b.model.Principal(p.Res.Key()); q != nil && b.model.Climb(q, nil, true) != nil {
				continue
			}
		}
		var steps []string
		for _, e := range via {
			steps = append(steps, e.From.Name+" "+e.How)
		}
		c.add("access/broadened", p.Res, Change{After: template.Show(strings.Join(steps, " → ")), Words: "can come by an administrator's rights", Place: p.Res.Pos.String()})
	}
}

// same says whether both sides give everybody the same rights.
func (x *side) same(y *side) bool {
	if len(x.rights) != len(y.rights) {
		return false
	}
	for h, r := range y.rights {
		if old, ok := x.rights[h]; !ok || !r.Same(old) {
			return false
		}
	}
	return true
}
