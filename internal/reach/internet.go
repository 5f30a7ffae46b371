package reach

import (
	"cmp"
	"fmt"
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/internal/template"
)

// FromInternet returns what anyone on the internet can open on a node.
func (g *Graph) FromInternet(n *Node) []Open {
	if n.Public == template.No && n.V6 == template.No {
		return nil
	}
	var out []Open
	for _, group := range n.Groups {
		for _, r := range group.In {
			out = append(out, g.fromOutside(n, group, r)...)
		}
		if group.Unsure != "" {
			out = append(out, Open{Who: "the internet", To: n, Ports: Ports{All, every}, Sure: template.Maybe,
				Why: "security group " + group.Name + ": " + group.Unsure})
		}
	}
	return shortest(out)
}

// fromOutside follows one rule of a node's group to the internet, by each of the
// node's subnets: their network ACLs may let different ports through.
func (g *Graph) fromOutside(n *Node, group *Group, r Rule) []Open {
	o := Open{To: n, Ports: r.Ports, Sure: template.Yes, Block: r.Peer.Block, List: r.Peer.List}
	family := anyone("0.0.0.0/0")
	switch {
	case r.Peer.Block.IsValid():
		if !Public(r.Peer.Block) {
			return nil
		}
		o.Who = "the internet"
		if r.Peer.Block.Bits() > 0 {
			o.Who = "the internet's " + r.Peer.Block.String()
		}
		if !r.Peer.Block.Addr().Is4() {
			family = anyone("::/0")
		}
	case r.Peer.List != "":
		o.Who = "prefix list " + ListName(r.Peer.List)
	case r.Peer.Unsure != "":
		o.Who, o.Sure, o.Why = "the internet", template.Maybe, "a rule's other end is "+r.Peer.Unsure
	default:
		return nil
	}
	o.Path = Path{{Words: o.Who}}
	doubt := func(why string) {
		if why != "" && o.Sure == template.Yes {
			o.Sure, o.Why = template.Maybe, why
		}
	}
	doubt(r.Unsure)
	address := n.Public
	if !family.Addr().Is4() {
		address = n.V6
	}
	switch address {
	case template.No:
		return nil
	case template.Maybe:
		doubt(cmp.Or(n.PublicWhy, "whether it has a public address is not known"))
	}
	block := r.Peer.Block
	if !block.IsValid() {
		block = family
	}
	proto := r.Ports.Protocol
	if proto == All {
		proto = TCP
	}
	var out []Open
	var have Spans
	for _, s := range n.Subnets {
		route, ok := s.Table.to(family, InternetGateway)
		if !ok && s.Table.Unsure == "" {
			continue
		}
		spans := s.ACL.allowed(s.ACL.In, proto, block).and(r.Ports.Spans)
		if len(spans.Minus(have)) == 0 || len(s.ACL.allowed(s.ACL.Out, proto, block).and(ephemeral)) == 0 {
			continue
		}
		x := o
		doubt := func(why string) {
			if why != "" && x.Sure == template.Yes {
				x.Sure, x.Why = template.Maybe, why
			}
		}
		doubt(s.ACL.Unsure)
		way := Hop{fmt.Sprintf("%s %s, by the route to %s of %s", route.Target, route.Name, route.Dest, s.Table.name()), route.Pos}
		if !ok {
			doubt("which routes " + s.String() + " has is not known: " + s.Table.Unsure)
			way = Hop{"a route that is not known", s.pos()}
		} else {
			have = have.Or(spans)
		}
		x.Ports.Spans = spans
		x.Path = append(slices.Clone(o.Path), way, s.hop(), group.hop(r, "takes", "from"), n.hop())
		out = append(out, x)
	}
	if len(out) == 0 && len(n.Unsure) > 0 && len(n.Subnets) == 0 {
		o.Sure, o.Why = template.Maybe, n.Unsure[0]
		o.Path = append(o.Path, n.hop())
		return []Open{o}
	}
	return out
}

// to returns the route that leads a family's whole internet, or a public part of
// it, to a kind of target.
func (t *Table) to(family netip.Prefix, target Target) (Route, bool) {
	for _, r := range t.Routes {
		if r.Target == target && r.Dest.IsValid() && r.Dest.Addr().Is4() == family.Addr().Is4() && Public(r.Dest) {
			return r, true
		}
	}
	return Route{}, false
}

// ToInternet returns what a node can open on the internet.
func (g *Graph) ToInternet(n *Node) []Open {
	var out []Open
	for _, group := range n.Groups {
		for _, r := range group.Out {
			if r.Peer.Block.IsValid() && Public(r.Peer.Block) {
				for _, s := range n.Subnets {
					out = append(out, n.outBy(s, group, r)...)
				}
			}
		}
		if group.Unsure != "" {
			out = append(out, Open{From: n, Who: n.String(), Ports: Ports{All, every}, Sure: template.Maybe,
				Why: "security group " + group.Name + ": " + group.Unsure})
		}
	}
	return shortest(out)
}

// outBy follows one rule of a node's group out of one of its subnets.
func (n *Node) outBy(s *Subnet, group *Group, r Rule) []Open {
	family := anyone("0.0.0.0/0")
	if !r.Peer.Block.Addr().Is4() {
		family = anyone("::/0")
	}
	proto := r.Ports.Protocol
	if proto == All {
		proto = TCP
	}
	spans := s.ACL.allowed(s.ACL.Out, proto, r.Peer.Block).and(r.Ports.Spans)
	if len(spans) == 0 || len(s.ACL.allowed(s.ACL.In, proto, r.Peer.Block).and(ephemeral)) == 0 {
		return nil
	}
	o := Open{From: n, Who: n.String(), Block: r.Peer.Block, Ports: Ports{r.Ports.Protocol, spans}, Sure: template.Yes,
		Path: Path{n.hop(), group.hop(r, "lets out", "to"), s.hop()}}
	for _, why := range []string{r.Unsure, s.ACL.Unsure, s.Table.Unsure} {
		if why != "" && o.Sure == template.Yes {
			o.Sure, o.Why = template.Maybe, why
		}
	}
	var out []Open
	for _, t := range []Target{NAT, InternetGateway, EgressOnly} {
		route, ok := s.Table.to(family, t)
		if !ok || t == InternetGateway && (family.Addr().Is4() && n.Public == template.No || !family.Addr().Is4() && n.V6 == template.No) {
			continue
		}
		x := o
		if s.Table.Unsure != "" && o.Why == s.Table.Unsure {
			x.Sure, x.Why = template.Yes, "" // this route is known
		}
		x.Path = append(slices.Clone(o.Path), Hop{fmt.Sprintf("%s %s, by the route to %s of %s", route.Target, route.Name, route.Dest, s.Table.name()), route.Pos},
			Hop{Words: "the internet"})
		out = append(out, x)
	}
	if len(out) == 0 && s.Table.Unsure != "" {
		out = append(out, o)
	}
	return out
}
