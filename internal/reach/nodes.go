package reach

import (
	"cmp"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// readNodes finds everything with a network interface.
func (g *Graph) readNodes() {
	elastic := g.elastic()
	for _, r := range g.World.Resources {
		n := &Node{Res: r, Public: template.No, V6: template.No}
		switch r.Type {
		case "AWS::ElasticLoadBalancingV2::LoadBalancer":
			g.balancer(n, "SecurityGroups", "Subnets")
			if len(n.Subnets) == 0 && len(n.Unsure) == 0 {
				n.Unsure = append(n.Unsure, "no subnet is named")
			}
		case "AWS::ElasticLoadBalancing::LoadBalancer":
			g.classic(n)
		case "AWS::AutoScaling::AutoScalingGroup":
			g.scaling(n)
		case "AWS::EC2::Instance":
			g.instance(n, elastic)
		case "AWS::RDS::DBInstance", "AWS::RDS::DBCluster":
			if !g.database(n) {
				continue
			}
		case "AWS::RDS::DBProxy":
			n.Kind = Database
			g.place(n, r.Get("VpcSecurityGroupIds"), r.Get("VpcSubnetIds"))
		case "AWS::EFS::MountTarget":
			n.Kind = FileSystem
			g.place(n, r.Get("SecurityGroups"), r.Get("SubnetId"))
		case "AWS::EC2::VPCEndpoint":
			if typ := r.Get("VpcEndpointType"); typ.Absent() || typ.Is("Gateway") {
				continue
			}
			n.Kind = Endpoint
			g.place(n, r.Get("SecurityGroupIds"), r.Get("SubnetIds"))
			if len(n.Groups) == 0 {
				g.defaultGroup(n, id(r.Get("VpcId")))
			}
		case "AWS::Lambda::Function":
			if r.Get("VpcConfig").Absent() {
				continue
			}
			n.Kind = Function
			g.place(n, r.Get("VpcConfig", "SecurityGroupIds"), r.Get("VpcConfig", "SubnetIds"))
		case "AWS::ElastiCache::ReplicationGroup", "AWS::ElastiCache::CacheCluster":
			n.Kind = Cache
			group := g.World.Of(r.Get("CacheSubnetGroupName"))
			g.place(n, firstOf(r, "SecurityGroupIds", "VpcSecurityGroupIds"), group.Get("SubnetIds"))
		case "AWS::ElastiCache::ServerlessCache":
			n.Kind = Cache
			g.place(n, r.Get("SecurityGroupIds"), r.Get("SubnetIds"))
		case "AWS::ECS::Service":
			c := r.Get("NetworkConfiguration", "AwsvpcConfiguration")
			if c.Absent() {
				continue
			}
			n.Kind = Service
			g.place(n, c.Get("SecurityGroups"), c.Get("Subnets"))
			if v := c.Get("AssignPublicIp"); !v.Absent() {
				n.Public, n.PublicAt = template.Of(v.Is("ENABLED")), v.Place(r.Pos)
				if v.Unknown() {
					n.Public = template.Maybe
				}
				n.PublicWhy = "AssignPublicIp is " + v.Show()
			}
		case "AWS::EC2::NetworkInterface":
			n.Kind = Interface
			g.place(n, r.Get("GroupSet"), r.Get("SubnetId"))
			g.elasticOf(n, elastic, r.Key())
		default:
			continue
		}
		g.Nodes = append(g.Nodes, n)
		if r.Type == "AWS::AutoScaling::AutoScalingGroup" {
			g.overrides(r)
		}
	}
}

// overrides adds the instances of a group that are made from another launch template
// than the group's own, one node for each template.
func (g *Graph) overrides(r *template.Resource) {
	for _, o := range r.Get("MixedInstancesPolicy", "LaunchTemplate", "Overrides").List() {
		ref := o.Get("LaunchTemplateSpecification")
		if ref.Absent() && !o.Unknown() {
			continue
		}
		n := &Node{Res: r, Kind: Instances, Public: template.No, V6: template.No}
		g.scaled(n, ref)
		if !slices.ContainsFunc(g.Nodes, func(x *Node) bool { return x.Res == r && x.Template != nil && x.Template == n.Template }) {
			g.Nodes = append(g.Nodes, n)
		}
	}
}

// place gives a node its groups and subnets.
func (g *Graph) place(n *Node, groups, subnets *template.Value) {
	for _, v := range groups.List() {
		x := g.Group(v)
		if x.Unsure != "" {
			n.Unsure = append(n.Unsure, "security group "+x.Name+": "+x.Unsure)
		}
		n.Groups = append(n.Groups, x)
	}
	for _, v := range subnets.List() {
		if s := g.Subnet(v); s != nil {
			n.Subnets = append(n.Subnets, s)
			n.V6 = n.V6.Or(s.V6)
		} else {
			n.Unsure = append(n.Unsure, "subnet "+v.Show()+": no template here makes it")
		}
	}
	if len(groups.List()) == 0 && len(n.Subnets) > 0 && n.Kind != Endpoint {
		g.defaultGroup(n, n.Subnets[0].VPC)
	}
}

// nowhere puts a node for which nobody names a subnet where EC2 puts it.
func (g *Graph) nowhere(n *Node, subnets *template.Value) {
	if subnets.Absent() && len(n.Subnets) == 0 {
		n.Subnets = []*Subnet{g.defaultSubnet()}
		if len(n.Groups) == 0 {
			g.defaultGroup(n, defaultVPC)
		}
	}
}

// classic reads a balancer of the first generation, which needs no subnet.
func (g *Graph) classic(n *Node) {
	g.balancer(n, "SecurityGroups", "Subnets")
	if n.Res.Get("Subnets").Absent() {
		n.Subnets = []*Subnet{g.defaultSubnet()}
		if len(n.Groups) == 0 {
			n.Unsure = append(n.Unsure, "it has a security group that the service makes for it")
		}
	}
}

// defaultGroup is what EC2 gives an interface for which nobody names a group.
func (g *Graph) defaultGroup(n *Node, vpc string) {
	if x := g.groups[vpc+".DefaultSecurityGroup"]; x != nil {
		n.Groups = append(n.Groups, x)
		return
	}
	n.Unsure = append(n.Unsure, "it has the default security group of a VPC that no template here makes")
}

func (g *Graph) balancer(n *Node, groups, subnets string) {
	r := n.Res
	n.Kind = Balancer
	if typ := r.Get("Type"); (typ.Is("network") || typ.Is("gateway")) && r.Get(groups).Absent() {
		// Without a group a network load balancer takes what its listeners take,
		// from everybody (ELB guide, security groups of a Network Load Balancer).
		n.Groups = []*Group{open4and6("no security group", r.Pos)}
	}
	if maps := r.Get("SubnetMappings"); !maps.Absent() {
		g.place(n, r.Get(groups), nil)
		for _, m := range maps.List() {
			if s := g.Subnet(m.Get("SubnetId")); s != nil {
				n.Subnets = append(n.Subnets, s)
			} else {
				n.Unsure = append(n.Unsure, "subnet "+m.Get("SubnetId").Show()+": no template here makes it")
			}
		}
	} else {
		g.place(n, r.Get(groups), r.Get(subnets))
	}
	if len(n.Groups) == 0 && len(n.Subnets) > 0 {
		g.defaultGroup(n, n.Subnets[0].VPC)
	}
	// The scheme is internet-facing unless it says internal (ELBv2 API,
	// CreateLoadBalancer).
	scheme := r.Get("Scheme")
	n.PublicAt = scheme.Place(r.Pos)
	switch {
	case scheme.Absent():
		n.Public, n.PublicWhy = template.Yes, "no Scheme is given, and the default is internet-facing"
	case scheme.Is("internal"):
		n.Public = template.No
	case scheme.Is("internet-facing"):
		n.Public, n.PublicWhy = template.Yes, "its Scheme is internet-facing"
	default:
		n.Public, n.PublicWhy = template.Maybe, "its Scheme is "+scheme.Show()
	}
	if ip := r.Get("IpAddressType"); !ip.Absent() {
		n.V6 = template.Of(strings.HasPrefix(ip.String(), "dualstack"))
		if ip.Unknown() {
			n.V6 = template.Maybe
		}
	} else {
		n.V6 = template.No
	}
	if n.Public == template.No && n.V6 != template.No {
		// An internal balancer refuses what comes from an internet gateway over
		// IPv6 as well, unless an attribute says otherwise (ELB guide, attributes).
		n.V6 = template.No
		for _, a := range r.Get("LoadBalancerAttributes").List() {
			if a.Get("Key").Is("ipv6.deny_all_igw_traffic") {
				n.V6 = a.Get("Value").Truth(true).Not()
			}
		}
	}
}

// launch reads what instances are made from.
func (g *Graph) launch(n *Node, t *template.Resource, subnets *template.Value) {
	n.Template = t
	data := t.Get("LaunchTemplateData")
	groups := data.Get("SecurityGroupIds")
	public := (*template.Value)(nil)
	v6 := template.No
	for _, i := range data.Get("NetworkInterfaces").List() {
		if i.Unknown() || !i.Get("NetworkInterfaceId").Absent() {
			n.Unsure = append(n.Unsure, "its network interface is "+cmp.Or(i.Why(), i.Get("NetworkInterfaceId").Show()))
			n.Public, subnets = template.Maybe, i
		}
		if gs := i.Get("Groups"); !gs.Absent() {
			groups = gs
		}
		if p := i.Get("AssociatePublicIpAddress"); !p.Absent() {
			public = p
		}
		if !i.Get("Ipv6AddressCount").Absent() || !i.Get("Ipv6Addresses").Absent() || !i.Get("Ipv6PrefixCount").Absent() {
			v6 = template.Yes
		}
		if subnets.Absent() {
			subnets = i.Get("SubnetId")
		}
	}
	if t.Type == "AWS::AutoScaling::LaunchConfiguration" {
		groups, public = t.Get("SecurityGroups"), t.Get("AssociatePublicIpAddress")
	}
	g.place(n, groups, subnets)
	g.nowhere(n, subnets)
	n.V6 = n.V6.Or(v6)
	g.address(n, public)
}

// address says whether an instance gets a public address.
func (g *Graph) address(n *Node, asked *template.Value) {
	if !asked.Absent() {
		n.Public, n.PublicAt = asked.Truth(false), asked.Place(n.Res.Pos)
		n.PublicWhy = "AssociatePublicIpAddress is " + asked.Show()
		return
	}
	if len(n.Unsure) > 0 && len(n.Subnets) == 0 {
		n.Public, n.PublicAt, n.PublicWhy = template.Maybe, n.Res.Pos, "whether its subnet gives it a public address is not known"
	}
	for _, s := range n.Subnets {
		if s.Public == template.No || n.Public == template.Yes {
			continue
		}
		n.Public, n.PublicAt, n.PublicWhy = s.Public, n.Res.Pos, s.String()+" gives instances a public address"
		if s.Res != nil {
			n.PublicAt = s.Res.Place("MapPublicIpOnLaunch")
			n.PublicWhy += " (MapPublicIpOnLaunch)"
		}
	}
}

func (g *Graph) scaling(n *Node) {
	r := n.Res
	n.Kind = Instances
	ref := r.Get("LaunchTemplate")
	if ref.Absent() {
		ref = r.Get("MixedInstancesPolicy", "LaunchTemplate", "LaunchTemplateSpecification")
	}
	g.scaled(n, ref)
}

// scaled reads what the instances of a group are made from: ref names a launch template.
func (g *Graph) scaled(n *Node, ref *template.Value) {
	r := n.Res
	t := g.World.Of(ref.Get("LaunchTemplateId"))
	if t == nil {
		t = g.World.Of(ref.Get("LaunchTemplateName"))
	}
	if t == nil {
		if name, ok := ref.Get("LaunchTemplateName").Literal(); ok {
			for _, x := range g.World.OfType("AWS::EC2::LaunchTemplate") {
				if x.Get("LaunchTemplateName").Is(name) {
					t = x
				}
			}
		}
	}
	if t == nil {
		t = g.World.Of(r.Get("LaunchConfigurationName"))
	}
	if t == nil {
		n.Unsure = append(n.Unsure, "its launch template is not in these templates")
		g.place(n, nil, r.Get("VPCZoneIdentifier"))
		n.Groups, n.Public = nil, template.Maybe
		return
	}
	g.launch(n, t, r.Get("VPCZoneIdentifier"))
}

func (g *Graph) instance(n *Node, elastic map[string]template.Pos) {
	r := n.Res
	n.Kind = Instance
	if t := g.World.Of(r.Get("LaunchTemplate", "LaunchTemplateId")); t != nil && r.Get("SecurityGroupIds").Absent() && r.Get("NetworkInterfaces").Absent() {
		g.launch(n, t, r.Get("SubnetId"))
		g.elasticOf(n, elastic, r.Key())
		return
	}
	groups, subnets, public := firstOf(r, "SecurityGroupIds", "SecurityGroups"), r.Get("SubnetId"), (*template.Value)(nil)
	for _, i := range r.Get("NetworkInterfaces").List() {
		if v := i.Get("GroupSet"); !v.Absent() {
			groups = v
		}
		if v := i.Get("SubnetId"); !v.Absent() {
			subnets = v
		}
		if v := i.Get("NetworkInterfaceId"); !v.Absent() {
			card := g.World.Of(v)
			if card == nil {
				n.Unsure = append(n.Unsure, "its network interface is "+v.Show())
			}
			groups, subnets = card.Get("GroupSet"), card.Get("SubnetId")
			g.elasticOf(n, elastic, id(v))
		}
		if v := i.Get("AssociatePublicIpAddress"); !v.Absent() {
			public = v
		}
	}
	n.Template = r
	g.place(n, groups, subnets)
	if len(n.Unsure) == 0 {
		g.nowhere(n, subnets)
	}
	g.address(n, public)
	g.elasticOf(n, elastic, r.Key())
}

// elastic are the resources that an elastic address is tied to.
func (g *Graph) elastic() map[string]template.Pos {
	out := map[string]template.Pos{}
	for _, r := range g.World.OfType("AWS::EC2::EIP", "AWS::EC2::EIPAssociation") {
		for _, f := range []string{"InstanceId", "NetworkInterfaceId"} {
			if v := r.Get(f); !v.Absent() {
				out[id(v)] = r.Pos
			}
		}
	}
	return out
}

func (g *Graph) elasticOf(n *Node, elastic map[string]template.Pos, key string) {
	if pos, ok := elastic[key]; ok {
		n.Public, n.PublicAt, n.PublicWhy = template.Yes, pos, "an elastic address is tied to it"
	}
}

func (g *Graph) database(n *Node) bool {
	r := n.Res
	n.Kind = Database
	groups, subnetGroup, public := r.Get("VPCSecurityGroups"), r.Get("DBSubnetGroupName"), r.Get("PubliclyAccessible")
	if r.Type == "AWS::RDS::DBCluster" {
		groups = r.Get("VpcSecurityGroupIds")
	} else if c := g.World.Of(r.Get("DBClusterIdentifier")); c != nil {
		if groups.Absent() {
			groups = c.Get("VpcSecurityGroupIds")
		}
		if subnetGroup.Absent() {
			subnetGroup = c.Get("DBSubnetGroupName")
		}
	}
	if subnetGroup.Absent() && !r.Get("DBClusterIdentifier").Absent() {
		n.Unsure = append(n.Unsure, "the cluster it belongs to is not in these templates")
	}
	sg := g.World.Of(subnetGroup)
	g.place(n, groups, sg.Get("SubnetIds"))
	switch {
	case sg != nil || len(n.Unsure) > 0:
	case subnetGroup.Absent():
		g.nowhere(n, nil)
	default:
		n.Unsure = append(n.Unsure, "its subnet group is not in these templates")
	}
	n.PublicAt = public.Place(r.Pos)
	n.V6 = template.No // a server of both families cannot be public (RDS guide, dual-stack mode)
	switch {
	case !public.Absent():
		n.Public, n.PublicWhy = public.Truth(false), "PubliclyAccessible is "+public.Show()
	case r.Type == "AWS::RDS::DBCluster" && strings.HasPrefix(r.Get("Engine").String(), "aurora"):
		n.Public = template.No // its instances have addresses
	case len(n.Subnets) == 0:
		n.Public, n.PublicWhy = template.Maybe, "PubliclyAccessible is not given, and whether its VPC has an internet gateway is not known"
	default:
		// Without a word the address is public where the VPC has an internet
		// gateway (RDS API, CreateDBInstance, PubliclyAccessible).
		for _, s := range n.Subnets {
			if g.igws[s.VPC] {
				n.Public, n.PublicWhy = template.Yes, "PubliclyAccessible is not given, and the VPC has an internet gateway"
			}
		}
	}
	return true
}
