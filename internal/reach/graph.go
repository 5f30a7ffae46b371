// Package reach says who can open a connection to what in a set of templates:
// subnets, route tables, security groups, network ACLs, gateways, endpoints and
// load balancers, with the defaults that CloudFormation and EC2 fill in where
// nothing is written. It reads templates only and asks no account.
package reach

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Kind says what a Node is.
type Kind string

const (
	Balancer   Kind = "load balancer"
	Instances  Kind = "instances of"
	Instance   Kind = "instance"
	Database   Kind = "database"
	FileSystem Kind = "file system's mount target"
	Endpoint   Kind = "endpoint"
	Function   Kind = "function"
	Cache      Kind = "cache"
	Service    Kind = "service"
	Interface  Kind = "network interface"
)

// A Graph is the network of one World.
type Graph struct {
	World *template.World
	Nodes []*Node // everything that has a network interface, in the files' order

	groups  map[string]*Group
	subnets map[string]*Subnet
	tables  map[string]*Table
	main    map[string]*Table // by VPC
	acls    map[string]*ACL
	igws    map[string]bool // VPCs with an internet gateway
	v6      map[string]bool // VPCs with a block of IPv6
}

// A Node is something with a network interface: it can be dialled and can dial.
type Node struct {
	Res     *template.Resource // what is billed: the auto scaling group, the database
	Kind    Kind
	Groups  []*Group
	Subnets []*Subnet
	// Template is the launch template or configuration of instances.
	Template *template.Resource
	// Public says whether it has an address that the internet can name.
	Public    template.Tri
	PublicWhy string // in words
	PublicAt  template.Pos
	V6        template.Tri // has IPv6 addresses
	Unsure    []string     // what could not be resolved
}

func (n *Node) String() string { return string(n.Kind) + " " + n.Res.ID }

// A Group is a security group.
type Group struct {
	Name    string
	Key     string // of its resource, or its literal id
	Res     *template.Resource
	In, Out []Rule
	Unsure  string // not empty: what it lets through is not known
}

// A Rule lets a peer through.
type Rule struct {
	Ports   Ports
	Peer    Peer
	Pos     template.Pos
	Default bool   // nobody wrote it
	Unsure  string // not empty: its ports are not known
}

// A Peer is the other end of a rule. One field is set.
type Peer struct {
	Block  netip.Prefix
	Group  string // Key of a Group
	List   string // id of a prefix list
	Unsure string
}

// A Subnet is one of a VPC's subnets.
type Subnet struct {
	Res    *template.Resource // nil: one of the account's default VPC
	VPC    string
	Blocks []netip.Prefix
	Table  *Table
	ACL    *ACL
	Public template.Tri // gives instances a public address
	V6     template.Tri // gives instances an IPv6 address
}

// A Table is a route table. One without a resource is a VPC's main one, which
// has no routes but the local one until somebody writes them.
type Table struct {
	Res    *template.Resource
	Routes []Route
	Unsure string // not empty: it may have more routes than these
}

// A Target is where a route leads.
type Target string

const (
	InternetGateway Target = "internet gateway"
	NAT             Target = "NAT gateway"
	EgressOnly      Target = "egress-only gateway"
	Elsewhere       Target = "another network" // peering, transit, VPN, an interface
	UnknownTarget   Target = "unknown"
)

// A Route leads a destination to a target.
type Route struct {
	Dest   netip.Prefix // zero: a prefix list, or unknown
	Target Target
	Name   string
	Pos    template.Pos
}

// An ACL is a network ACL. A default one lets everything through.
type ACL struct {
	Res     *template.Resource // nil: a VPC's default one
	In, Out []Entry
	Unsure  string
	edited  bool // a default one that the templates add entries to
}

// An Entry is one numbered line of a network ACL; the lowest that matches decides.
type Entry struct {
	Number int
	Allow  bool
	Ports  Ports
	Block  netip.Prefix
	Pos    template.Pos
}

// Build reads the network of a world.
func Build(w *template.World) *Graph {
	g := &Graph{World: w, groups: map[string]*Group{}, subnets: map[string]*Subnet{}, tables: map[string]*Table{},
		main: map[string]*Table{}, acls: map[string]*ACL{}, igws: map[string]bool{}, v6: map[string]bool{}}
	for _, r := range w.OfType("AWS::EC2::VPCCidrBlock") {
		if r.Get("AmazonProvidedIpv6CidrBlock").Truth(false) != template.No || !r.Get("Ipv6CidrBlock").Absent() || !r.Get("Ipv6IpamPoolId").Absent() {
			g.v6[id(r.Get("VpcId"))] = true
		}
	}
	for _, r := range w.OfType("AWS::EC2::Subnet") { // the VPC's block may be given elsewhere
		if !r.Get("Ipv6CidrBlock").Absent() || !r.Get("Ipv6IpamPoolId").Absent() || r.Get("Ipv6Native").Truth(false) != template.No {
			g.v6[id(r.Get("VpcId"))] = true
		}
	}
	for _, r := range w.OfType("AWS::EC2::VPCGatewayAttachment") {
		if !r.Get("InternetGatewayId").Absent() {
			g.igws[id(r.Get("VpcId"))] = true
		}
	}
	g.readTables()
	g.readACLs()
	g.readSubnets()
	g.readGroups()
	g.readNodes()
	return g
}

// id is the key of the resource that a value refers to, or its text.
func id(v *template.Value) string {
	if key, attr, ok := v.Key(); ok {
		switch attr {
		case "DefaultSecurityGroup", "DefaultNetworkAcl":
			return key + "." + attr
		}
		return key
	}
	return v.String()
}

func prefix(v *template.Value) (netip.Prefix, bool) {
	s, ok := v.Literal()
	if !ok {
		return netip.Prefix{}, false
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, false
		}
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return p.Masked(), true
}

func (g *Graph) readTables() {
	for _, r := range g.World.OfType("AWS::EC2::RouteTable") {
		g.tables[r.Key()] = &Table{Res: r}
	}
	for _, r := range g.World.OfType("AWS::EC2::Route") {
		t := g.table(r.Get("RouteTableId"))
		route := Route{Target: UnknownTarget, Pos: r.Pos}
		for _, x := range []struct {
			field  string
			target Target
		}{{"GatewayId", InternetGateway}, {"NatGatewayId", NAT}, {"EgressOnlyInternetGatewayId", EgressOnly},
			{"VpcEndpointId", Elsewhere}, {"VpcPeeringConnectionId", Elsewhere}, {"TransitGatewayId", Elsewhere},
			{"NetworkInterfaceId", Elsewhere}, {"InstanceId", Elsewhere}, {"LocalGatewayId", Elsewhere}, {"CarrierGatewayId", Elsewhere}, {"CoreNetworkArn", Elsewhere}} {
			v := r.Get(x.field)
			if v.Absent() {
				continue
			}
			route.Target, route.Name = x.target, template.Show(v.String())
			if to := g.World.Of(v); to != nil {
				route.Name = to.ID
				if x.field == "GatewayId" && to.Type != "AWS::EC2::InternetGateway" {
					route.Target = Elsewhere
				}
			}
		}
		for _, f := range []string{"DestinationCidrBlock", "DestinationIpv6CidrBlock"} {
			if v := r.Get(f); !v.Absent() {
				if p, ok := prefix(v); ok {
					route.Dest = p
				}
				route.Pos = v.Place(r.Pos)
			}
		}
		if peers, ok := g.entries(r.Get("DestinationPrefixListId")); ok {
			for _, p := range peers {
				route.Dest = p.Block
				t.Routes = append(t.Routes, route)
			}
			continue
		}
		t.Routes = append(t.Routes, route)
	}
}

// table returns the route table of a reference. One that no template makes may have
// any routes.
func (g *Graph) table(v *template.Value) *Table {
	key := id(v)
	if v.Unknown() {
		key = "?" + v.Why()
	}
	t := g.tables[key]
	if t == nil {
		t = &Table{Unsure: "no template here makes its route table, " + v.Show()}
		g.tables[key] = t
	}
	return t
}

// entries are the blocks of a prefix list that the templates make. ok is false for
// any other list.
func (g *Graph) entries(v *template.Value) (peers []Peer, ok bool) {
	r := g.World.Of(v)
	if r == nil || r.Type != "AWS::EC2::PrefixList" {
		return nil, false
	}
	for _, e := range r.Get("Entries").List() {
		if e.Unknown() {
			peers = append(peers, Peer{Unsure: e.Show()})
			continue
		}
		peers = append(peers, blockPeer(e.Get("Cidr")))
	}
	return peers, true
}

func (g *Graph) readACLs() {
	for _, r := range g.World.OfType("AWS::EC2::NetworkAcl") {
		g.acls[r.Key()] = &ACL{Res: r}
	}
	for _, r := range g.World.OfType("AWS::EC2::NetworkAclEntry") {
		key := id(r.Get("NetworkAclId"))
		a := g.acls[key]
		if a == nil {
			// The VPC's default ACL lets everything through at number 100
			// (VPC guide, default network ACL); entries add to that.
			a = g.defaultACL(strings.TrimSuffix(key, ".DefaultNetworkAcl"))
			a.edited = true
			g.acls[key] = a
		}
		n, ok := r.Get("RuleNumber").Int()
		e := Entry{Number: n, Allow: r.Get("RuleAction").Is("allow"), Pos: r.Pos, Ports: Ports{protocolName(r.Get("Protocol").String()), every}}
		if from, ok1 := r.Get("PortRange", "From").Int(); ok1 {
			if to, ok2 := r.Get("PortRange", "To").Int(); ok2 {
				e.Ports.Spans = Spans{{from, to}}
			}
		}
		if p, isBlock := prefix(firstOf(r, "CidrBlock", "Ipv6CidrBlock")); isBlock {
			e.Block = p
		} else {
			ok = false
		}
		if !ok || r.Get("RuleAction").Unknown() || r.Get("Protocol").Unknown() {
			a.Unsure = r.ID + " of the network ACL is not known"
		}
		if r.Get("Egress").Truth(false) == template.Yes {
			a.Out = append(a.Out, e)
		} else {
			a.In = append(a.In, e)
		}
	}
	for _, a := range g.acls {
		byNumber := func(x, y Entry) int { return x.Number - y.Number }
		slices.SortStableFunc(a.In, byNumber)
		slices.SortStableFunc(a.Out, byNumber)
	}
}

// defaultACL is a VPC's; the line for IPv6 is there only where the VPC has a block
// of it.
func (g *Graph) defaultACL(vpc string) *ACL {
	a := &ACL{}
	families := []string{"0.0.0.0/0"}
	if g.v6[vpc] {
		families = append(families, "::/0")
	}
	for i, b := range families {
		e := Entry{Number: 100 + i, Allow: true, Ports: Ports{All, every}, Block: netip.MustParsePrefix(b)}
		a.In, a.Out = append(a.In, e), append(a.Out, e)
	}
	return a
}

func firstOf(r *template.Resource, names ...string) *template.Value {
	for _, n := range names {
		if v := r.Get(n); !v.Absent() {
			return v
		}
	}
	return nil
}

func (g *Graph) readSubnets() {
	for _, r := range g.World.OfType("AWS::EC2::Subnet") {
		s := &Subnet{Res: r, VPC: id(r.Get("VpcId")), Public: r.Get("MapPublicIpOnLaunch").Truth(false),
			V6: r.Get("AssignIpv6AddressOnCreation").Truth(false)}
		for _, f := range []string{"CidrBlock", "Ipv6CidrBlock"} {
			if p, ok := prefix(r.Get(f)); ok {
				s.Blocks = append(s.Blocks, p)
			}
		}
		g.subnets[r.Key()] = s
	}
	for _, r := range g.World.OfType("AWS::EC2::SubnetRouteTableAssociation") {
		if s := g.subnets[id(r.Get("SubnetId"))]; s != nil {
			s.Table = g.table(r.Get("RouteTableId"))
		}
	}
	for _, r := range g.World.OfType("AWS::EC2::SubnetNetworkAclAssociation") {
		if s := g.subnets[id(r.Get("SubnetId"))]; s != nil {
			v := r.Get("NetworkAclId")
			if s.ACL = g.acls[id(v)]; s.ACL == nil {
				s.ACL = &ACL{Unsure: "no template here makes its network ACL, " + v.Show()}
			}
		}
	}
	for _, s := range g.subnets {
		// A subnet that no one put elsewhere has the VPC's main route table and
		// its default network ACL.
		if s.Table == nil {
			if g.main[s.VPC] == nil {
				g.main[s.VPC] = &Table{}
			}
			s.Table = g.main[s.VPC]
		}
		if s.ACL == nil {
			s.ACL = g.acls[s.VPC+".DefaultNetworkAcl"]
		}
		if s.ACL == nil {
			s.ACL = g.defaultACL(s.VPC)
		}
	}
}

func (s *Subnet) String() string {
	if s.Res == nil {
		return "a subnet of the account's default VPC (nobody names another)"
	}
	return "subnet " + s.Res.ID
}

// pos is where the subnet is written.
func (s *Subnet) pos() template.Pos {
	if s.Res == nil {
		return template.Pos{}
	}
	return s.Res.Pos
}

const defaultVPC = "the default VPC"

// defaultSubnet is where EC2 puts what nobody gives a subnet: a public one of the
// VPC that every account has in every Region (VPC guide, default VPCs).
func (g *Graph) defaultSubnet() *Subnet {
	if g.subnets[defaultVPC] == nil {
		g.igws[defaultVPC] = true
		table := &Table{Routes: []Route{{Dest: anyone("0.0.0.0/0"), Target: InternetGateway, Name: "of the default VPC"}}}
		g.subnets[defaultVPC] = &Subnet{VPC: defaultVPC, Blocks: []netip.Prefix{netip.MustParsePrefix("172.31.0.0/16")},
			Table: table, ACL: g.defaultACL(defaultVPC), Public: template.Yes, V6: template.No}
		g.groups[defaultVPC+".DefaultSecurityGroup"] = ownGroup("the default group of the default VPC", defaultVPC+".DefaultSecurityGroup", nil)
	}
	return g.subnets[defaultVPC]
}

// Subnet returns a subnet of the templates by a reference to it, or nil.
func (g *Graph) Subnet(v *template.Value) *Subnet { return g.subnets[id(v)] }

// Subnets are all subnets, in no order that means anything.
func (g *Graph) Subnets() []*Subnet {
	var out []*Subnet
	for _, r := range g.World.OfType("AWS::EC2::Subnet") {
		out = append(out, g.subnets[r.Key()])
	}
	return out
}

// Groups are all security groups that the templates make, and those of others that
// they write rules for, in the files' order.
func (g *Graph) Groups() []*Group {
	var out []*Group
	for _, r := range g.World.OfType("AWS::EC2::SecurityGroup") {
		out = append(out, g.groups[r.Key()])
	}
	for _, r := range g.World.OfType("AWS::EC2::SecurityGroupIngress", "AWS::EC2::SecurityGroupEgress") {
		if x := g.Group(r.Get("GroupId")); !slices.Contains(out, x) {
			out = append(out, x)
		}
	}
	return out
}
