package diff

import (
	"slices"
	"strings"
	"sync"

	"github.com/ringwall/ringwall/internal/template"
)

// A setting guards something, and its values can be ordered.
type setting struct {
	typ, path string
	aspect    string
	scale     scale
	new       bool // judged on a new resource too, as if it had been at its strongest
}

// settings are looked at in this order. A path is made of names; a name with [*]
// is every item of a list, with [Key=x] the item of a list that has this Key.
var settings = sync.OnceValue(func() []setting {
	return slices.Concat(encryptionSettings(), loggingSettings(), dataSettings(), reachSettings(), accessSettings())
})

// guarding compares what guards something.
func (c *comparison) guarding() {
	for _, key := range c.keys() {
		b, a := c.before[key], c.after[key]
		if a == nil {
			if g, ok := guards[b.Type]; ok {
				c.add(scored(g[0], weaker), b, Change{Words: g[1] + " goes"})
			}
			continue
		}
		if b == nil {
			if g, ok := guards[a.Type]; ok && g[0] != "access" && g[0] != "reach" {
				c.add(scored(g[0], stronger), a, Change{Words: g[1] + " is added"})
			}
		}
		for _, s := range settings() {
			if s.typ != a.Type || b != nil && b.Type != a.Type {
				continue
			}
			c.setting(s, key, b, a)
		}
	}
}

func (c *comparison) setting(s setting, key string, b, a *template.Resource) {
	y := follow(a.Props, s.path)
	if b == nil {
		if !s.new {
			return
		}
		if s.scale(nil, y) == weaker {
			c.add(scored(s.aspect, weaker), a, Change{Path: s.path, After: showAll(y), Words: "is made with the weaker setting of " + s.path})
		}
		return
	}
	x := append([]*template.Value{}, follow(b.Props, s.path)...) // not nil: the resource was there
	if canonAll(x) == canonAll(y) {
		return
	}
	d := s.scale(x, y)
	if !strings.Contains(s.path, "/") && !strings.Contains(s.path, "[") {
		c.covered[[2]string{key, s.path}] = true
	}
	words := map[direction]string{weaker: s.path + " becomes weaker", stronger: s.path + " becomes stronger", unclear: s.path + " changes; which side is stricter cannot be told"}[d]
	if s.aspect == "access" && d == unclear {
		words = s.path + " changes: others have these rights now, or they have others"
	}
	c.add(scored(s.aspect, d), a, Change{Path: s.path, Before: showAll(x), After: showAll(y), Words: words})
}

// scored is the rule of the policy for an aspect and a direction.
func scored(aspect string, d direction) string {
	wide := aspect == "access" || aspect == "reach"
	switch {
	case d == unclear:
		return aspect + "/unclear"
	case d == weaker && wide:
		return aspect + "/broadened"
	case d == weaker:
		return aspect + "/weakened"
	case wide:
		return aspect + "/narrowed"
	}
	return aspect + "/strengthened"
}

// follow returns everything that a path leads to.
func follow(v *template.Value, path string) []*template.Value {
	at := []*template.Value{v}
	for _, step := range splitPath(path) {
		name, pick, _ := strings.Cut(strings.TrimSuffix(step, "]"), "[")
		var next []*template.Value
		for _, x := range at {
			x = x.Get(name)
			if x.Absent() {
				continue
			}
			switch field, want, some := strings.Cut(pick, "="); {
			case pick == "":
				next = append(next, x)
			default:
				for _, item := range x.List() {
					if !some || item.Get(field).Is(want) || item.Unknown() {
						next = append(next, item)
					}
				}
			}
		}
		at = next
	}
	return at
}

// splitPath splits at slashes outside brackets.
func splitPath(path string) []string {
	var out []string
	depth, start := 0, 0
	for i, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == '/' && depth == 0:
			out, start = append(out, path[start:i]), i+1
		}
	}
	return append(out, path[start:])
}

func canonAll(vs []*template.Value) string {
	var b strings.Builder
	for _, v := range vs {
		b.WriteString(canon(v) + ";")
	}
	return b.String()
}

func showAll(vs []*template.Value) string {
	var out []string
	for _, v := range vs {
		out = append(out, show(v))
	}
	return strings.Join(out, ", ")
}
