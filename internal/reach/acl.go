package reach

import (
	"net/netip"

	"github.com/ringwall/ringwall/internal/template"
)

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
			got = got.Or(left.and(spans))
		}
		if whole {
			left = left.Minus(spans)
		}
	}
	return got
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
