package reach

import (
	"net/netip"

	"github.com/ringwall/ringwall/internal/template"
)

// Group returns the group of a reference. One that no template makes is unsure.
func (g *Graph) Group(v *template.Value) *Group {
	key := id(v)
	if x := g.groups[key]; x != nil {
		return x
	}
	x := &Group{Name: v.Show(), Key: key}
	switch {
	case v.Unknown():
		x.Unsure, x.Key = v.Why(), "?"+v.Why()
	case key == "":
		x.Unsure = "it is " + v.Show()
	default:
		x.Unsure = "no template here makes it"
	}
	g.groups[key] = x
	return x
}

func anyone(family string) netip.Prefix { return netip.MustParsePrefix(family) }

func (g *Graph) readGroups() {
	for _, r := range g.World.OfType("AWS::EC2::SecurityGroup") {
		x := &Group{Name: r.ID, Key: r.Key(), Res: r}
		g.groups[r.Key()] = x
		for _, v := range r.Get("SecurityGroupIngress").List() {
			x.In = append(x.In, g.rules(v, v.Place(r.Pos), "Source")...)
		}
		for _, v := range r.Get("SecurityGroupEgress").List() {
			x.Out = append(x.Out, g.rules(v, v.Place(r.Pos), "Destination")...)
		}
		if len(r.Get("SecurityGroupEgress").List()) == 0 {
			// EC2 lets everything out of a group that is made without egress
			// rules; an empty list is no rule (AWS::EC2::SecurityGroup).
			for _, b := range []string{"0.0.0.0/0", "::/0"} {
				x.Out = append(x.Out, Rule{Ports: Ports{All, every}, Peer: Peer{Block: anyone(b)}, Pos: r.Pos, Default: true})
			}
		}
	}
	for _, r := range g.World.OfType("AWS::EC2::VPC") {
		key := r.Key() + ".DefaultSecurityGroup"
		g.groups[key] = ownGroup("the default group of "+r.ID, key, r)
	}
	for _, r := range g.World.OfType("AWS::EC2::SecurityGroupIngress") {
		x := g.Group(r.Get("GroupId"))
		x.In = append(x.In, g.rules(r.Props, r.Pos, "Source")...)
	}
	for _, r := range g.World.OfType("AWS::EC2::SecurityGroupEgress") {
		x := g.Group(r.Get("GroupId"))
		x.Out = append(x.Out, g.rules(r.Props, r.Pos, "Destination")...)
	}
}

// ownGroup is what every VPC has from the start: its members reach each other, and
// everything else (VPC guide, default security groups).
func ownGroup(name, key string, vpc *template.Resource) *Group {
	var pos template.Pos
	if vpc != nil {
		pos = vpc.Pos
	}
	return &Group{Name: name, Key: key, Res: vpc,
		In:  []Rule{{Ports: Ports{All, every}, Peer: Peer{Group: key}, Pos: pos, Default: true}},
		Out: []Rule{{Ports: Ports{All, every}, Peer: Peer{Block: anyone("0.0.0.0/0")}, Pos: pos, Default: true}}}
}

// open4and6 is what has no group: everything passes, both ways.
func open4and6(name string, pos template.Pos) *Group {
	x := &Group{Name: name, Key: name + "\n" + pos.String()}
	for _, b := range []string{"0.0.0.0/0", "::/0"} {
		r := Rule{Ports: Ports{All, every}, Peer: Peer{Block: anyone(b)}, Pos: pos, Default: true}
		x.In, x.Out = append(x.In, r), append(x.Out, r)
	}
	return x
}

// rules reads a rule that is written in a group or beside it: one for each block of a
// prefix list that the templates make.
func (g *Graph) rules(v *template.Value, pos template.Pos, end string) []Rule {
	one := rule(v, pos, end)
	if one.Peer.List == "" {
		return []Rule{one}
	}
	peers, ok := g.entries(v.Get(end + "PrefixListId"))
	if !ok {
		return []Rule{one}
	}
	var out []Rule
	for _, p := range peers {
		one.Peer = p
		out = append(out, one)
	}
	return out
}

func rule(v *template.Value, pos template.Pos, end string) Rule {
	out := Rule{Pos: pos, Ports: Ports{All, every}}
	if v.Unknown() {
		out.Peer.Unsure = v.Why()
		return out
	}
	proto := v.Get("IpProtocol")
	if s, ok := proto.Literal(); ok {
		out.Ports.Protocol = protocolName(s)
	} else {
		out.Unsure = "its protocol is " + proto.Show()
	}
	if out.Ports.Protocol == TCP || out.Ports.Protocol == UDP {
		from, ok1 := v.Get("FromPort").Int()
		to, ok2 := v.Get("ToPort").Int()
		switch {
		case ok1 && ok2 && from >= 0 && to >= from:
			out.Ports.Spans = Spans{{from, to}}
		case ok1 && from == -1, v.Get("FromPort").Absent() && v.Get("ToPort").Absent():
		default:
			out.Unsure = "its ports are " + v.Get("FromPort").Show() + " to " + v.Get("ToPort").Show()
		}
	}
	switch {
	case !v.Get("CidrIp").Absent():
		out.Peer = blockPeer(v.Get("CidrIp"))
	case !v.Get("CidrIpv6").Absent():
		out.Peer = blockPeer(v.Get("CidrIpv6"))
	case !v.Get(end + "SecurityGroupId").Absent():
		x := v.Get(end + "SecurityGroupId")
		if out.Peer.Group = id(x); x.Unknown() || out.Peer.Group == "" {
			out.Peer = Peer{Unsure: x.Show()}
		}
	case !v.Get(end + "PrefixListId").Absent():
		x := v.Get(end + "PrefixListId")
		if out.Peer.List = x.String(); x.Unknown() {
			out.Peer = Peer{Unsure: "prefix list: " + x.Show()}
		}
	case !v.Get(end + "SecurityGroupName").Absent():
		x := v.Get(end + "SecurityGroupName")
		if key, attr, ok := x.Key(); ok && attr == "" {
			out.Peer.Group = key
		} else {
			out.Peer.Unsure = "a group by its name, " + x.Show()
		}
	default:
		out.Peer.Unsure = "nobody is named"
	}
	return out
}

func blockPeer(v *template.Value) Peer {
	if p, ok := prefix(v); ok {
		return Peer{Block: p}
	}
	return Peer{Unsure: v.Show()}
}
