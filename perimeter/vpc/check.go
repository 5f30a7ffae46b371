package vpc

import (
	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "vpc/internet-reach",
		Doc:     "The internet reaches nothing but the load balancer, and that only through CloudFront, on port 443.",
		Why:     "What answers the internet directly has none of the edge's walls before it.",
		Vantage: perimeter.Template,
		Check:   checkInternet,
		Meets:   []string{"INV-01", "CIS 5.1", "CIS 5.2", "CIS 5.3"},
	},
}

func checkInternet(p *perimeter.Pass) error {
	strangers := p.Reach.Strangers()
	if len(p.Reach.Nodes)+len(strangers) == 0 {
		p.Absent("anything with a network interface")
		return nil
	}
	for _, s := range strangers {
		p.Tried("whether the internet can come to %s, an %s", s.Res.ID, s.Res.Type)
		if s.Public != template.No {
			p.Unknown(s.Res, s.Res.Pos, "whether the internet reaches %s is not known: how an %s is reached is not judged here, and %s", s.Res.ID, s.Res.Type, s.Why)
		}
	}
	for _, n := range p.Reach.Nodes {
		p.Tried("who on the internet can open a connection to %s", n)
		balancer := n.Kind == reach.Balancer
		for _, o := range p.Reach.FromInternet(n) {
			if balancer && o.List != "" {
				judgeList(p, n, o)
				continue
			}
			words := "%s is open to %s: %s"
			if o.Sure != template.Yes {
				words += "; not sure, because " + o.Why
			}
			p.Judge(o.Sure, n.Res, ruleAt(o), o.Path, words, n, o.Who, o.Ports)
		}
		if balancer && n.Public == template.No {
			judgeInner(p, n)
		}
		if n.Public != template.No {
			for _, why := range n.Unsure {
				p.Unknown(n.Res, n.Res.Pos, "%s may have a public address, and what it lets in is not known: %s", n, why)
			}
		}
	}
	return nil
}

// at is where the rule that opens a connection is written.
func ruleAt(o reach.Open) template.Pos {
	if n := len(o.Path); n > 1 {
		return o.Path[n-2].Pos
	}
	return template.Pos{}
}

// judgeList: a prefix list may be CloudFront's, on 443 only.
func judgeList(p *perimeter.Pass, n *reach.Node, o reach.Open) {
	switch {
	case reach.IsCloudFront(o.List) != template.Yes:
		p.Judge(template.Maybe, n.Res, ruleAt(o), o.Path, "%s takes %s from %s, and whose list that is no template says", n, o.Ports, o.Who)
	case o.Ports.Protocol != reach.TCP || !o.Ports.Spans.Only(443):
		p.Judge(template.Yes, n.Res, ruleAt(o), o.Path, "%s takes %s from CloudFront, want port 443 only", n, o.Ports)
	}
}

// judgeInner: an internal balancer has no public address, and its group still
// must not open to the world: one more interface would do.
func judgeInner(p *perimeter.Pass, n *reach.Node) {
	for _, g := range n.Groups {
		for _, r := range g.In {
			if r.Peer.Block.IsValid() && reach.Public(r.Peer.Block) {
				p.Broken(n.Res, r.Pos, "security group %s of %s takes %s from %s; the balancer is internal, and only that keeps the internet out", g.Name, n, r.Ports, r.Peer)
			}
		}
	}
}
