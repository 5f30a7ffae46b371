package diff

import (
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
)

// paths compares whole paths: what the internet, anything in the VPC and each part of
// the site can open on each other part, and what can be opened on the internet.
// Group, route, network ACL, prefix list and address each let a part of a path pass;
// only together do they open it.
func (c *comparison) paths() {
	x, y := ends(c.worlds[0]), ends(c.worlds[1])
	for _, id := range slices.Sorted(maps.Keys(y)) {
		after, before := y[id], x[id]
		sure, perhaps := map[string]reach.Spans{}, map[string]reach.Spans{}
		for p, is := range after.ways {
			had := before.ways[p].sure.Or(before.ways[p].maybe)
			sure[p] = is.sure.Minus(had)
			perhaps[p] = is.maybe.Minus(is.sure).Minus(had)
		}
		c.path("reach/broadened", after, "can", sure)
		c.path("reach/unclear", after, "may, for all that can be told,", perhaps)
	}
	for _, id := range slices.Sorted(maps.Keys(x)) {
		before, after := x[id], y[id]
		if c.after[before.at.Key()] == nil || before.from != nil && c.after[before.from.Key()] == nil {
			continue // it goes, and that is told of elsewhere
		}
		less := map[string]reach.Spans{}
		for p, was := range before.ways {
			less[p] = was.sure.Minus(after.ways[p].sure).Minus(after.ways[p].maybe)
		}
		c.path("reach/narrowed", before, "no longer can", less)
	}
	c.beside()
}

// path writes down what changes at an end, by protocol.
func (c *comparison) path(rule string, e end, can string, ports map[string]reach.Spans) {
	if len(ports[reach.All]) > 0 {
		ports = map[string]reach.Spans{reach.All: ports[reach.All]}
	}
	for _, p := range slices.Sorted(maps.Keys(ports)) {
		if len(ports[p]) == 0 {
			continue
		}
		what := can + " open connections to it on " + reach.Ports{Protocol: p, Spans: ports[p]}.String()
		switch {
		case e.from != nil && c.before[e.from.Key()] == nil && e.from != e.at: // it is what comes
			c.pathOf(rule, e.from.Key(), "it "+strings.Replace(what, "to it on", "to "+e.name+" on", 1), e.ways[p].path)
		case e.subnet != "":
			c.neighbours = append(c.neighbours, neighbour{rule, e.at.Key(), what, e.subnet, e.ways[p].path})
		case e.who == "":
			c.pathOf(rule, e.at.Key(), "it "+strings.Replace(what, "to it on", "to the internet on", 1), e.ways[p].path)
		default:
			c.pathOf(rule, e.at.Key(), e.who+" "+what, e.ways[p].path)
		}
	}
}

func (c *comparison) pathOf(rule, at, words, path string) {
	r := c.either(at)
	ch := Change{Words: words, After: path, Place: r.Pos.String()}
	if rule == "reach/narrowed" {
		ch.Before, ch.After = ch.After, ""
	}
	c.add(rule, r, ch)
}

// A neighbour is a subnet from which something changes.
type neighbour struct{ rule, at, what, subnet, path string }

// beside writes down what changes for whatever is in a subnet: once for all subnets
// for which it is the same.
func (c *comparison) beside() {
	for len(c.neighbours) > 0 {
		first := c.neighbours[0]
		var subnets []string
		c.neighbours = slices.DeleteFunc(c.neighbours, func(n neighbour) bool {
			same := n.rule == first.rule && n.at == first.at && n.what == first.what
			if same {
				subnets = append(subnets, n.subnet)
			}
			return same
		})
		who := "anything in subnet "
		if len(subnets) > 1 {
			who = "anything in the subnets "
		}
		c.pathOf(first.rule, first.at, who+strings.Join(subnets, ", ")+" "+first.what, first.path)
	}
}

// An end is the resource at one end of paths, and who is at the other.
type end struct {
	at   *template.Resource
	name string             // of what is at it
	from *template.Resource // nil: it is outside
	who  string             // empty: at itself, which dials the internet
	// subnet is set when anything in it is at the other end.
	subnet string
	ways   map[string]opening // by protocol
}

// An opening is what is open by one protocol, for sure or perhaps.
type opening struct {
	sure, maybe reach.Spans
	path        string // of one of them
}

// ends are all ends of a world's paths, by a name that is the same in both worlds.
func ends(w *template.World) map[string]end {
	out := map[string]end{}
	if w == nil {
		return out
	}
	g := reach.Build(w)
	put := func(id string, e end, os []reach.Open) {
		for _, o := range os {
			if e.ways == nil {
				e.ways = map[string]opening{}
			}
			for _, p := range protocolsOf(o.Ports) {
				x := e.ways[p]
				if o.Sure == template.Yes {
					x.sure = x.sure.Or(o.Ports.Spans)
				} else {
					x.maybe = x.maybe.Or(o.Ports.Spans)
				}
				if x.path == "" || o.Sure == template.Yes && len(x.maybe) == 0 {
					x.path = template.Show(o.Path.String())
				}
				e.ways[p] = x
			}
		}
		if e.ways != nil {
			out[id] = e
		}
	}
	for _, n := range g.Nodes {
		key := n.Res.Key()
		for who, os := range byWho(g.FromInternet(n), "the internet") {
			put("internet\n"+who+"\n"+key, end{at: n.Res, who: who}, os)
		}
		for _, s := range g.Subnets() {
			put("inside\n"+s.Res.Key()+"\n"+key, end{at: n.Res, subnet: s.Res.ID}, g.FromInside(s, n))
		}
		put(key+"\ninternet", end{at: n.Res}, g.ToInternet(n))
		for _, from := range g.Nodes {
			if from == n && n.Kind != reach.Instances && n.Kind != reach.Service {
				continue
			}
			who := from.String()
			if from == n {
				who = "each of its instances"
			}
			put(from.Res.Key()+"\n"+key, end{at: n.Res, name: n.String(), from: from.Res, who: who}, g.Between(from, n))
		}
	}
	return out
}

func byWho(os []reach.Open, or string) map[string][]reach.Open {
	out := map[string][]reach.Open{}
	for _, o := range os {
		who := o.Who
		if who == "" {
			who = or
		}
		out[who] = append(out[who], o)
	}
	return out
}

// protocolsOf writes everything as each protocol that is told apart.
func protocolsOf(p reach.Ports) []string {
	if p.Protocol == reach.All {
		return []string{reach.All, reach.TCP, reach.UDP, reach.ICMP}
	}
	return []string{strings.ToLower(p.Protocol)}
}
