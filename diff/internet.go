package diff

import (
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
)

// internet compares whole paths: what the internet can open a connection to, and
// what can open one to the internet. Group, route, ACL and address each let a part
// of a path pass; only together do they open it.
func (c *comparison) internet(before, after *template.World) {
	x, y := ends(before), ends(after)
	for _, id := range slices.Sorted(maps.Keys(y)) {
		if _, ok := x[id]; ok {
			continue
		}
		e := y[id]
		rule := "reach/broadened"
		if e.open.Sure != template.Yes {
			rule = "reach/unclear"
			e.words = strings.Replace(e.words, "can", "may, for all that can be told,", 1)
		}
		c.add(rule, e.at, Change{Words: e.words, After: template.Show(e.open.Path.String()), Place: e.at.Pos.String()})
	}
	for _, id := range slices.Sorted(maps.Keys(x)) {
		if _, ok := y[id]; ok || c.after[x[id].at.Key()] == nil {
			continue
		}
		e := x[id]
		c.add("reach/narrowed", c.after[e.at.Key()], Change{Words: strings.Replace(e.words, "can", "no longer can", 1), Before: template.Show(e.open.Path.String())})
	}
}

// An end is one end of a path whose other end is the internet.
type end struct {
	at    *template.Resource
	open  reach.Open
	words string
}

func ends(w *template.World) map[string]end {
	out := map[string]end{}
	if w == nil {
		return out
	}
	g := reach.Build(w)
	for _, n := range g.Nodes {
		for _, o := range g.FromInternet(n) {
			who := o.Who
			if who == "" {
				who = "the internet"
			}
			words := who + " can open connections to it on " + o.Ports.String()
			out[n.Res.Key()+"\n"+words] = end{n.Res, o, words}
		}
		for _, o := range g.ToInternet(n) {
			words := "it can open connections to the internet on " + o.Ports.String()
			out[n.Res.Key()+"\n"+words] = end{n.Res, o, words}
		}
	}
	return out
}
