package vpc

import (
	"net/netip"
	"slices"

	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
)

var cisChecks = []*perimeter.Control{
	perimeter.CIS("vpc", "3.9", "Who talked to whom is not known when it matters.", checkFlowLogs),
	perimeter.CIS("vpc", "5.1", "A group that is opened by mistake is open to the world, with nothing behind it.", checkACLs),
	perimeter.CIS("vpc", "5.2", "Anybody may try to log in.", admin("0.0.0.0/0")),
	perimeter.CIS("vpc", "5.3", "Anybody may try to log in, over IPv6.", admin("::/0")),
	perimeter.CIS("vpc", "5.5", "A network next door is as good as inside.", checkPeering),
}

// adminPorts are those of remote administration that CIS names: SSH and RDP.
var adminPorts = []int{22, 3389}

func checkFlowLogs(p *perimeter.Pass) error {
	logged := map[*template.Resource]bool{}
	for _, f := range p.World.OfType("AWS::EC2::FlowLog") {
		if t := f.Get("TrafficType"); t.Is("ALL") || t.Is("REJECT") {
			logged[p.World.Of(f.Get("ResourceId"))] = true
		}
	}
	return p.Every("whether flow logs are kept of", func(r *template.Resource) {
		if !logged[r] {
			p.Broken(r, r.Pos, "VPC %s has no flow log that has what is refused", r.ID)
		}
	}, "AWS::EC2::VPC")
}

// checkACLs asks of every ACL, the VPCs' default ones too, whether the world
// reaches a port of administration through it.
func checkACLs(p *perimeter.Pass) error {
	if len(p.World.OfType("AWS::EC2::VPC")) == 0 {
		p.Absent("a VPC")
		return nil
	}
	for _, a := range p.Reach.ACLs() {
		p.Tried("what %s lets in", a.Name)
		for _, port := range adminPorts {
			p.Judge(a.Admits(port), a.At, a.At.Pos, nil, "%s lets the world in on port %d%s", a.Name, port, a.Note)
		}
	}
	return nil
}

func admin(family string) func(*perimeter.Pass) error {
	return func(p *perimeter.Pass) error {
		groups := p.Reach.Groups()
		if len(groups) == 0 {
			p.Absent("a security group")
			return nil
		}
		for _, g := range groups {
			p.Tried("what security group %s takes from %s", g.Name, family)
			for _, r := range g.In {
				if (r.Ports.Protocol == reach.TCP || r.Ports.Protocol == reach.All) && r.Peer.Block.IsValid() && whole(r.Peer.Block, family) {
					for _, port := range adminPorts {
						if r.Unsure == "" && r.Ports.Spans.Has(port) {
							p.Broken(g.Res, r.Pos, "security group %s takes port %d from %s", g.Name, port, r.Peer.Block)
						}
					}
					if r.Unsure != "" {
						p.Unknown(g.Res, r.Pos, "what security group %s takes from %s is not known: %s", g.Name, r.Peer.Block, r.Unsure)
					}
				}
				if r.Peer.Unsure != "" {
					p.Unknown(g.Res, r.Pos, "a rule of security group %s takes %s from %s", g.Name, r.Ports, r.Peer)
				}
			}
		}
		return nil
	}
}

// whole says whether a block is so much of a family's internet that a few of its size
// are all of it.
func whole(b netip.Prefix, family string) bool {
	most := map[string]int{"0.0.0.0/0": 7, "::/0": 15}[family]
	return b.Addr().Is4() == (family == "0.0.0.0/0") && b.Bits() <= most && reach.Public(b)
}

func checkPeering(p *perimeter.Pass) error {
	peers := p.World.OfType("AWS::EC2::VPCPeeringConnection")
	if len(peers) == 0 {
		p.Absent("a peering with another network")
		return nil
	}
	for _, r := range p.World.OfType("AWS::EC2::Route") {
		to := r.Get("VpcPeeringConnectionId")
		if to.Absent() {
			continue
		}
		p.Tried("how much route %s leads to the peer", r.ID)
		var all []netip.Prefix // of the peer, where the templates make it
		if c := p.World.Of(to); c != nil {
			for _, end := range []string{"PeerVpcId", "VpcId"} {
				if b, err := netip.ParsePrefix(p.World.Of(c.Get(end)).Get("CidrBlock").String()); err == nil {
					all = append(all, b)
				}
			}
		}
		v := r.Get("DestinationCidrBlock")
		if v.Absent() {
			v = r.Get("DestinationIpv6CidrBlock")
		}
		s, _ := v.Literal()
		d, err := netip.ParsePrefix(s)
		switch {
		case err != nil && v.Absent():
			p.Unknown(r, r.Place("DestinationPrefixListId"), "how much route %s leads to the peer is not known: it leads what is in a prefix list", r.ID)
		case err != nil:
			p.Unknown(r, v.Place(r.Pos), "how much route %s leads to the peer is not known: %s", r.ID, v.Show())
		case d.Addr().Is4() && d.Bits() <= 16, d.Addr().Is6() && d.Bits() <= 56, slices.ContainsFunc(all, func(b netip.Prefix) bool { return d.Bits() <= b.Bits() && d.Contains(b.Addr()) }):
			p.Broken(r, v.Place(r.Pos), "route %s leads to all of the peer (%s), want the subnets that are needed", r.ID, s)
		}
	}
	p.Tried("the routes to %d peers", len(peers))
	return nil
}
