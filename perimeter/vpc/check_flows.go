package vpc

import (
	"slices"
	"strconv"

	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var flowChecks = []*perimeter.Control{
	{
		ID:      "vpc/exact-flows",
		Doc:     "The templates allow exactly the connections that the plan lists between the site's parts, no more and no less.",
		Why:     "A connection that nobody listed is one that nobody watches.",
		Vantage: perimeter.Template,
		Check:   checkFlows,
		Applies: func(p *plan.Plan) bool { return p != nil },
	},
	{
		ID:      "vpc/resolved",
		Doc:     "What decides who reaches whom is written in the templates to the end.",
		Why:     "A proof with a hole in it proves nothing.",
		Vantage: perimeter.Template,
		Check:   checkResolved,
		Meets:   []string{"INV-18"},
	},
}

// parts are the nodes of the plan's names.
func parts(p *perimeter.Pass) map[string][]*reach.Node {
	out := map[string][]*reach.Node{}
	for _, t := range p.Tiers() {
		out[t.Name] = append(out[t.Name], t.Node)
	}
	for _, n := range p.Reach.Nodes {
		switch n.Kind {
		case reach.Balancer:
			out[plan.NodeBalancer] = append(out[plan.NodeBalancer], n)
		case reach.Database:
			out[plan.NodeDatabase] = append(out[plan.NodeDatabase], n)
		}
	}
	return out
}

// listed are the ports that the plan lists between two parts of the templates. The
// balancer forwards what the local edge does, and from the edge it takes 443.
func listed(p *plan.Plan, from, to string) []int {
	if from == plan.NodeBalancer {
		from = plan.NodeEdge
	}
	var out []int
	for _, f := range p.Flows {
		if f.From == from && f.To == to && to != plan.NodeBalancer && !slices.Contains(out, int(f.Port)) {
			out = append(out, int(f.Port))
		}
	}
	return out
}

func checkFlows(p *perimeter.Pass) error {
	if p.Plan == nil {
		p.Absent("a plan to compare with")
		return nil
	}
	all := parts(p)
	names := []string{plan.NodeBalancer, plan.Admin, plan.Fleet, plan.NodeDatabase}
	for _, from := range names {
		for _, to := range names {
			for _, a := range all[from] {
				for _, b := range all[to] {
					if a != b {
						judgeFlow(p, from, to, a, b)
					}
				}
			}
		}
	}
	for _, name := range names[:3] {
		if len(all[name]) == 0 {
			p.Unknown(nil, template.Pos{}, "no template has the %s, so its flows cannot be compared", name)
		}
	}
	return nil
}

func judgeFlow(p *perimeter.Pass, from, to string, a, b *reach.Node) {
	want := listed(p.Plan, from, to)
	if to == plan.NodeDatabase && len(want) > 0 {
		// The server on AWS listens on its engine's port.
		if n, ok := b.Res.Get("Port").Int(); ok {
			want = []int{n}
		}
	}
	p.Tried("what %s may open on %s, against the plan's %v", a, b, want)
	for _, port := range want {
		found := template.No
		for _, o := range p.Reach.Between(a, b) {
			if (o.Ports.Protocol == reach.TCP || o.Ports.Protocol == reach.All) && o.Ports.Spans.Has(port) {
				found = found.Or(o.Sure)
			}
		}
		switch found {
		case template.No:
			p.Broken(a.Res, a.Res.Pos, "the plan lists a flow from %s to %s on port %d, and %s cannot open it on %s", from, to, port, a, b)
		case template.Maybe:
			p.Unknown(a.Res, a.Res.Pos, "whether %s can open port %d on %s is not known", a, port, b)
		}
	}
	for _, o := range p.Reach.Between(a, b) {
		if o.Ports.Protocol == reach.TCP && slices.ContainsFunc(want, o.Ports.Spans.Only) {
			continue
		}
		p.Judge(o.Sure, a.Res, a.Res.Pos, o.Path, "%s can open %s on %s; the plan lists %s from %s to %s", a, o.Ports, b, listedPorts(want), from, to)
	}
}

func listedPorts(want []int) string {
	switch len(want) {
	case 0:
		return "nothing"
	case 1:
		return "port " + strconv.Itoa(want[0])
	}
	var s string
	for i, n := range want {
		if i > 0 {
			s += ", "
		}
		s += strconv.Itoa(n)
	}
	return "ports " + s
}

func checkResolved(p *perimeter.Pass) error {
	for _, h := range p.World.Holes {
		p.Unknown(nil, template.Pos{}, "a part of the templates cannot be seen: %s", h)
	}
	if len(p.Reach.Nodes) == 0 {
		p.Absent("anything with a network interface")
		return nil
	}
	for _, n := range p.Reach.Nodes {
		p.Tried("whether the groups and subnets of %s are known", n)
		for _, why := range n.Unsure {
			p.Unknown(n.Res, n.Res.Pos, "%s: %s", n, why)
		}
		if n.Public == template.Maybe {
			p.Unknown(n.Res, n.PublicAt, "whether %s has a public address is not known: %s", n, n.PublicWhy)
		}
	}
	for _, g := range p.Reach.Groups() {
		for _, r := range append(slices.Clone(g.In), g.Out...) {
			switch {
			case r.Peer.Unsure != "":
				p.Unknown(g.Res, r.Pos, "a rule of security group %s names %s", g.Name, r.Peer)
			case r.Unsure != "":
				p.Unknown(g.Res, r.Pos, "a rule of security group %s: %s", g.Name, r.Unsure)
			}
		}
	}
	return nil
}
