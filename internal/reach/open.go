package reach

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Hop is one step of a path, in words, and where it is written.
type Hop struct {
	Words string
	Pos   template.Pos
}

// A Path is how a connection gets from one end to the other.
type Path []Hop

func (p Path) String() string {
	var parts []string
	for _, h := range p {
		parts = append(parts, h.Words)
	}
	return strings.Join(parts, " → ")
}

// An Open is a connection that can be opened.
type Open struct {
	From  *Node // nil: From is outside
	Who   string
	Block netip.Prefix // of an outside peer
	List  string       // of an outside peer: the prefix list's id
	To    *Node        // nil: outside
	Ports Ports
	Sure  template.Tri // Yes, or Maybe when something on the way is unknown
	Why   string       // what is unknown
	Path  Path
}

// Public says whether a block has addresses of the internet in it.
func Public(p netip.Prefix) bool {
	for _, in := range inner {
		if in.Bits() <= p.Bits() && in.Contains(p.Addr()) {
			return false
		}
	}
	return true
}

// inner are the blocks that are never routed on the internet (RFC 6890).
var inner = func() (out []netip.Prefix) {
	for _, s := range []string{"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16",
		"224.0.0.0/4", "240.0.0.0/4", "255.255.255.255/32", "0.0.0.0/32", "fc00::/7", "fe80::/10", "ff00::/8", "::1/128", "::/128"} {
		out = append(out, netip.MustParsePrefix(s))
	}
	return out
}()

// allowed are the ports of one protocol that an ACL lets through for a block.
// The lowest number that matches decides; a deny of a part of the block takes
// nothing away, because the rest of it still passes.
func (a *ACL) allowed(entries []Entry, protocol string, block netip.Prefix) Spans {
	if a.Unsure != "" {
		return every
	}
	left, got := every, Spans(nil)
	for _, e := range entries {
		spans := e.Ports.of(protocol)
		if spans == nil || !e.Block.IsValid() || e.Block.Addr().Is4() != block.Addr().Is4() || !e.Block.Overlaps(block) {
			continue
		}
		whole := e.Block.Bits() <= block.Bits()
		if e.Allow {
			got = got.or(left.and(spans))
		}
		if whole {
			left = left.minus(spans)
		}
	}
	return got
}

// FromInternet returns what anyone on the internet can open on a node.
func (g *Graph) FromInternet(n *Node) []Open {
	if n.Public == template.No && n.V6 == template.No {
		return nil
	}
	var out []Open
	for _, group := range n.Groups {
		for _, r := range group.In {
			if o, ok := g.fromOutside(n, group, r); ok {
				out = append(out, o)
			}
		}
		if group.Unsure != "" {
			out = append(out, Open{Who: "the internet", To: n, Ports: Ports{All, every}, Sure: template.Maybe,
				Why: "security group " + group.Name + ": " + group.Unsure})
		}
	}
	return shortest(out)
}

// fromOutside follows one rule of a node's group to the internet.
func (g *Graph) fromOutside(n *Node, group *Group, r Rule) (Open, bool) {
	o := Open{To: n, Ports: r.Ports, Sure: template.Yes, Block: r.Peer.Block, List: r.Peer.List}
	family := anyone("0.0.0.0/0")
	switch {
	case r.Peer.Block.IsValid():
		if !Public(r.Peer.Block) {
			return o, false
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
		return o, false
	}
	o.Path = Path{{Words: o.Who}}
	if r.Unsure != "" {
		o.Sure, o.Why = template.Maybe, r.Unsure
	}
	address := n.Public
	if !family.Addr().Is4() {
		address = n.V6
	}
	if address == template.No {
		return o, false
	}
	if address == template.Maybe && o.Sure == template.Yes {
		o.Sure, o.Why = template.Maybe, n.PublicWhy
	}
	for _, s := range n.Subnets {
		route, ok := s.Table.to(family, InternetGateway)
		if !ok {
			continue
		}
		block := r.Peer.Block
		if !block.IsValid() {
			block = family
		}
		proto := r.Ports.Protocol
		if proto == All {
			proto = TCP
		}
		spans := s.ACL.allowed(s.ACL.In, proto, block).and(r.Ports.Spans)
		if len(spans) == 0 || len(s.ACL.allowed(s.ACL.Out, proto, block).and(ephemeral)) == 0 {
			continue
		}
		o.Ports.Spans = spans
		if s.ACL.Unsure != "" && o.Sure == template.Yes {
			o.Sure, o.Why = template.Maybe, s.ACL.Unsure
		}
		o.Path = append(o.Path, Hop{fmt.Sprintf("%s %s, by the route to %s of %s", route.Target, route.Name, route.Dest, s.Table.name(s)), route.Pos},
			s.hop(), group.hop(r, "takes", "from"), n.hop())
		return o, true
	}
	if len(n.Unsure) > 0 {
		o.Sure, o.Why = template.Maybe, n.Unsure[0]
		o.Path = append(o.Path, n.hop())
		return o, len(n.Subnets) == 0
	}
	return o, false
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

func (t *Table) name(s *Subnet) string {
	if t.Res == nil {
		return "the main route table"
	}
	return "route table " + t.Res.ID
}

func (s *Subnet) hop() Hop {
	words := "subnet " + s.Res.ID
	if s.ACL.Res == nil {
		words += " (it has no network ACL, and the default one lets everything through)"
	} else {
		words += " (network ACL " + s.ACL.Res.ID + " lets it through)"
	}
	return Hop{words, s.Res.Pos}
}

func (n *Node) hop() Hop {
	words := n.String()
	if n.Public == template.Yes && n.PublicWhy != "" {
		words += " (" + n.PublicWhy + ")"
	}
	pos := n.Res.Pos
	return Hop{words, pos}
}

func (x *Group) hop(r Rule, verb, word string) Hop {
	words := fmt.Sprintf("security group %s %s %s %s %s", x.Name, verb, r.Ports, word, r.Peer)
	if r.Default {
		words += " (nobody wrote that: it is the default)"
	}
	return Hop{words, r.Pos}
}

func (p Peer) String() string {
	switch {
	case p.Block.IsValid():
		return p.Block.String()
	case p.Group != "":
		return "group " + p.Group[strings.LastIndexByte(p.Group, '/')+1:]
	case p.List != "":
		return "prefix list " + ListName(p.List)
	}
	return "someone unknown (" + p.Unsure + ")"
}

// Between returns what one node can open on another.
func (g *Graph) Between(from, to *Node) []Open {
	var out []Open
	for _, a := range from.Groups {
		for _, leave := range a.Out {
			for _, b := range to.Groups {
				for _, enter := range b.In {
					if o, ok := g.pair(from, a, leave, to, b, enter); ok {
						out = append(out, o)
					}
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

func (g *Graph) pair(from *Node, a *Group, leave Rule, to *Node, b *Group, enter Rule) (Open, bool) {
	o := Open{From: from, Who: from.String(), To: to, Sure: template.Yes}
	switch {
	case leave.Ports.Protocol == All:
		o.Ports = Ports{enter.Ports.Protocol, enter.Ports.Spans.and(leave.Ports.Spans)}
	case enter.Ports.Protocol == All, enter.Ports.Protocol == leave.Ports.Protocol:
		o.Ports = Ports{leave.Ports.Protocol, enter.Ports.Spans.and(leave.Ports.Spans)}
	default:
		return o, false
	}
	if len(o.Ports.Spans) == 0 {
		return o, false
	}
	out, why1 := leave.Peer.matches(to)
	in, why2 := enter.Peer.matches(from)
	switch out.And(in) {
	case template.No:
		return o, false
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
	o.Path = Path{from.hop(), a.hop(leave, "lets out", "to")}
	src, dst, ok := g.throughACLs(from, to, &o)
	if !ok {
		return o, false
	}
	if src != nil && dst != nil && (src.ACL.Res != nil || dst.ACL.Res != nil) {
		o.Path = append(o.Path, src.hop(), dst.hop())
	}
	o.Path = append(o.Path, b.hop(enter, "takes", "from"), to.hop())
	return o, true
}

// throughACLs finds a pair of subnets between which the ACLs let it pass, both
// ways, and cuts the ports down to those.
func (g *Graph) throughACLs(from, to *Node, o *Open) (src, dst *Subnet, ok bool) {
	if len(from.Subnets) == 0 || len(to.Subnets) == 0 {
		return nil, nil, true
	}
	proto := o.Ports.Protocol
	if proto == All {
		proto = TCP
	}
	for _, s := range from.Subnets {
		for _, d := range to.Subnets {
			if s.VPC != d.VPC {
				continue
			}
			if s == d || len(s.Blocks) == 0 || len(d.Blocks) == 0 {
				return s, d, true
			}
			spans := s.ACL.allowed(s.ACL.Out, proto, d.Blocks[0]).and(d.ACL.allowed(d.ACL.In, proto, s.Blocks[0])).and(o.Ports.Spans)
			back := d.ACL.allowed(d.ACL.Out, proto, s.Blocks[0]).and(s.ACL.allowed(s.ACL.In, proto, d.Blocks[0])).and(ephemeral)
			if len(spans) > 0 && len(back) > 0 {
				o.Ports.Spans = spans
				return s, d, true
			}
		}
	}
	return nil, nil, false
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
		return template.No, ""
	}
	return template.Maybe, "a rule's other end is " + p.Unsure
}

// ToInternet returns what a node can open on the internet.
func (g *Graph) ToInternet(n *Node) []Open {
	var out []Open
	for _, group := range n.Groups {
		for _, r := range group.Out {
			if !r.Peer.Block.IsValid() || !Public(r.Peer.Block) {
				continue
			}
			family := anyone("0.0.0.0/0")
			if !r.Peer.Block.Addr().Is4() {
				family = anyone("::/0")
			}
			for _, s := range n.Subnets {
				for _, t := range []Target{NAT, InternetGateway, EgressOnly} {
					route, ok := s.Table.to(family, t)
					if !ok || t == InternetGateway && n.Public == template.No && family.Addr().Is4() {
						continue
					}
					out = append(out, Open{From: n, Who: n.String(), Block: r.Peer.Block, Ports: r.Ports, Sure: template.Yes,
						Path: Path{n.hop(), group.hop(r, "lets out", "to"), s.hop(),
							{fmt.Sprintf("%s %s, by the route to %s of %s", route.Target, route.Name, route.Dest, s.Table.name(s)), route.Pos},
							{Words: "the internet"}}})
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

// shortest keeps, of several ways to the same end and ports, the sure and short
// one.
func shortest(all []Open) []Open {
	var out []Open
	at := map[string]int{}
	for _, o := range all {
		key := fmt.Sprint(o.Who, "|", o.Ports, "|", o.Block, o.List)
		i, seen := at[key]
		if !seen {
			at[key] = len(out)
			out = append(out, o)
			continue
		}
		if o.Sure > out[i].Sure || o.Sure == out[i].Sure && len(o.Path) < len(out[i].Path) {
			out[i] = o
		}
	}
	return out
}

// Chain returns the shortest chain of sure connections from one node to another,
// through nodes that forward or that an attacker has taken; nil when there is none.
func (g *Graph) Chain(from, to *Node) []Open {
	type step struct {
		node *Node
		via  []Open
	}
	seen := map[*Node]bool{from: true}
	queue := []step{{node: from}}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for _, n := range g.Nodes {
			if seen[n] {
				continue
			}
			for _, o := range g.Between(s.node, n) {
				if o.Sure != template.Yes {
					continue
				}
				via := append(append([]Open(nil), s.via...), o)
				if n == to {
					return via
				}
				seen[n] = true
				queue = append(queue, step{n, via})
				break
			}
		}
	}
	return nil
}

// A NamedACL is a network ACL with its name: one of the templates', or a VPC's
// default one.
type NamedACL struct {
	Name string
	Note string // what to know of it, for people; begins with punctuation
	At   *template.Resource
	acl  *ACL
}

// ACLs are the network ACLs of the templates and the default one of each VPC,
// which is there whether subnets use it or not.
func (g *Graph) ACLs() []NamedACL {
	var out []NamedACL
	for _, r := range g.World.OfType("AWS::EC2::NetworkAcl") {
		out = append(out, NamedACL{"network ACL " + r.ID, "", r, g.acls[r.Key()]})
	}
	for _, r := range g.World.OfType("AWS::EC2::VPC") {
		a := g.acls[r.Key()+".DefaultNetworkAcl"]
		if a == nil {
			a = g.defaultACL(r.Key())
		}
		out = append(out, NamedACL{"the default network ACL of " + r.ID, "; give it an entry with a lower number that denies (NetworkAclId: !GetAtt " + r.ID + ".DefaultNetworkAcl)", r, a})
	}
	return out
}

// Admits says whether the whole internet can open a port of tcp through the ACL.
func (a NamedACL) Admits(port int) template.Tri {
	if a.acl.Unsure != "" {
		return template.Maybe
	}
	for _, family := range []string{"0.0.0.0/0", "::/0"} {
		if a.acl.allowed(a.acl.In, TCP, anyone(family)).Has(port) {
			return template.Yes
		}
	}
	return template.No
}
