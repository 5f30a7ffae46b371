package reach

import (
	"cmp"
	"net/netip"

	"github.com/ringwall/ringwall/internal/template"
)

// Between returns what one node can open on another. With the same node twice it is
// what the members of a group of instances can open on each other.
func (g *Graph) Between(from, to *Node) []Open {
	var out []Open
	for _, a := range from.Groups {
		for _, leave := range a.Out {
			for _, b := range to.Groups {
				for _, enter := range b.In {
					out = append(out, g.pair(from, a, leave, to, b, enter)...)
				}
			}
		}
	}
	for _, x := range []*Node{from, to} {
		for _, group := range x.Groups {
			if group.Unsure != "" {
				out = append(out, Open{From: from, Who: from.String(), To: to, Ports: Ports{All, every}, Sure: template.Maybe,
					Why: "security group " + group.Name + ": " + group.Unsure})
			}
		}
	}
	return shortest(out)
}

// pair follows one rule out and one rule in.
func (g *Graph) pair(from *Node, a *Group, leave Rule, to *Node, b *Group, enter Rule) []Open {
	o := Open{From: from, Who: from.String(), To: to, Sure: template.Yes}
	switch {
	case leave.Ports.Protocol == All:
		o.Ports = Ports{enter.Ports.Protocol, enter.Ports.Spans.and(leave.Ports.Spans)}
	case enter.Ports.Protocol == All, enter.Ports.Protocol == leave.Ports.Protocol:
		o.Ports = Ports{leave.Ports.Protocol, enter.Ports.Spans.and(leave.Ports.Spans)}
	default:
		return nil
	}
	if len(o.Ports.Spans) == 0 {
		return nil
	}
	// A connection is of one family: a rule for blocks of IPv4 and one for blocks of
	// IPv6 let nothing through together.
	v4, v6 := leave.Peer.family()
	in4, in6 := enter.Peer.family()
	if v4, v6 = v4 && in4, v6 && in6; !v4 && !v6 {
		return nil
	}
	out, why1 := leave.Peer.matches(to)
	in, why2 := enter.Peer.matches(from)
	switch out.And(in) {
	case template.No:
		return nil
	case template.Maybe:
		o.Sure = template.Maybe
		for _, w := range []string{why1, why2} {
			if w != "" {
				o.Why = w
			}
		}
	}
	for _, r := range []Rule{leave, enter} {
		if r.Unsure != "" {
			o.Sure, o.Why = template.Maybe, r.Unsure
		}
	}
	var found []Open
	for _, t := range throughACLs(from, to, o.Ports, v4) {
		x := o
		x.Ports.Spans = t.spans
		x.Path = Path{from.hop(), a.hop(leave, "lets out", "to")}
		if t.from != nil && (t.from.ACL.Res != nil || t.to.ACL.Res != nil) {
			x.Path = append(x.Path, t.from.hop(), t.to.hop())
		}
		if t.why != "" && x.Sure == template.Yes {
			x.Sure, x.Why = template.Maybe, t.why
		}
		x.Path = append(x.Path, b.hop(enter, "takes", "from"), to.hop())
		found = append(found, x)
	}
	return found
}

// family says which families of addresses a rule's other end can have.
func (p Peer) family() (v4, v6 bool) {
	if p.Block.IsValid() {
		return p.Block.Addr().Is4(), !p.Block.Addr().Is4()
	}
	return true, true
}

// A crossing is a pair of subnets between which the network ACLs let some ports
// through, both ways.
type crossing struct {
	from, to *Subnet // nil: not known, and then nothing stops it
	spans    Spans
	why      string // not empty: an ACL is not known
}

// throughACLs finds the pairs of subnets between which something passes. A pair
// that adds no port to those before it is left out.
func throughACLs(from, to *Node, ports Ports, v4 bool) []crossing {
	if len(from.Subnets) == 0 || len(to.Subnets) == 0 {
		return []crossing{{spans: ports.Spans}}
	}
	proto := ports.Protocol
	if proto == All {
		proto = TCP
	}
	var out []crossing
	var have Spans
	for _, s := range from.Subnets {
		for _, d := range to.Subnets {
			c := crossing{from: s, to: d, spans: ports.Spans}
			src, ok1 := s.block(v4)
			dst, ok2 := d.block(v4)
			if s.VPC != d.VPC {
				r, joined := s.Table.elsewhere(dst)
				if !ok2 || !joined {
					continue
				}
				c.why = "what " + r.Name + ", which joins two networks, lets through is not known"
			}
			// A network ACL is between subnets; within one it does nothing.
			if s != d && ok1 && ok2 {
				c.spans = s.ACL.allowed(s.ACL.Out, proto, dst).and(d.ACL.allowed(d.ACL.In, proto, src)).and(ports.Spans)
				back := d.ACL.allowed(d.ACL.Out, proto, src).and(s.ACL.allowed(s.ACL.In, proto, dst)).and(ephemeral)
				if len(c.spans) == 0 || len(back) == 0 {
					continue
				}
				c.why = cmp.Or(c.why, s.ACL.Unsure, d.ACL.Unsure)
			}
			if len(c.spans.Minus(have)) > 0 {
				have = have.Or(c.spans)
				out = append(out, c)
			}
		}
	}
	return out
}

// elsewhere is a route to another network for some of a block.
func (t *Table) elsewhere(to netip.Prefix) (Route, bool) {
	for _, r := range t.Routes {
		if r.Target == Elsewhere && (!r.Dest.IsValid() || r.Dest.Overlaps(to)) {
			return r, true
		}
	}
	return Route{}, false
}

// block is the subnet's block of a family.
func (s *Subnet) block(v4 bool) (netip.Prefix, bool) {
	for _, b := range s.Blocks {
		if b.Addr().Is4() == v4 {
			return b, true
		}
	}
	return netip.Prefix{}, false
}

// matches says whether a node is the other end of a rule.
func (p Peer) matches(n *Node) (template.Tri, string) {
	switch {
	case p.Block.IsValid():
		unknown := len(n.Subnets) == 0
		for _, s := range n.Subnets {
			known := false
			for _, b := range s.Blocks {
				if b.Addr().Is4() == p.Block.Addr().Is4() {
					known = true
					if b.Overlaps(p.Block) {
						return template.Yes, ""
					}
				}
			}
			unknown = unknown || !known && (p.Block.Addr().Is4() || s.V6 != template.No)
		}
		if unknown && p.Block.Bits() == 0 {
			return template.Yes, ""
		}
		if unknown {
			return template.Maybe, "whether " + n.String() + " has addresses in " + p.Block.String() + " is not known"
		}
		return template.No, ""
	case p.Group != "":
		for _, x := range n.Groups {
			if x.Key == p.Group {
				return template.Yes, ""
			}
		}
		return template.No, ""
	case p.List != "":
		return listInside(p.List), "which addresses are in prefix list " + ListName(p.List) + " is not known"
	}
	return template.Maybe, "a rule's other end is " + p.Unsure
}

// FromInside returns what anything with an address in a subnet can open on a node,
// whatever groups it has: rules that take blocks know no groups.
func (g *Graph) FromInside(s *Subnet, n *Node) []Open {
	beside := &Node{Res: s.Res, Kind: Interface, Subnets: []*Subnet{s}}
	var out []Open
	for _, group := range n.Groups {
		for _, r := range group.In {
			if !r.Peer.Block.IsValid() {
				continue
			}
			src, ok := s.block(r.Peer.Block.Addr().Is4())
			if !ok || !src.Overlaps(r.Peer.Block) {
				continue
			}
			for _, t := range throughACLs(beside, n, r.Ports, src.Addr().Is4()) {
				o := Open{Who: "anything in subnet " + s.Res.ID, Block: r.Peer.Block, To: n, Ports: Ports{r.Ports.Protocol, t.spans}, Sure: template.Yes,
					Path: Path{s.hop(), group.hop(r, "takes", "from"), n.hop()}}
				if why := cmp.Or(t.why, r.Unsure); why != "" {
					o.Sure, o.Why = template.Maybe, why
				}
				out = append(out, o)
			}
		}
	}
	return shortest(out)
}
