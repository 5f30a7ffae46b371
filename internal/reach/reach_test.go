package reach

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
)

// net is a VPC with a public, a private and an isolated subnet.
const net = `
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Igw: {Type: AWS::EC2::InternetGateway}
  Attach: {Type: AWS::EC2::VPCGatewayAttachment, Properties: {VpcId: !Ref Vpc, InternetGatewayId: !Ref Igw}}
  Public: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.0.0/24}}
  Private: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.1.0/24}}
  Isolated: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.2.0/24}}
  PublicTable: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  PublicRoute: {Type: AWS::EC2::Route, Properties: {RouteTableId: !Ref PublicTable, DestinationCidrBlock: 0.0.0.0/0, GatewayId: !Ref Igw}}
  PublicOf: {Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {SubnetId: !Ref Public, RouteTableId: !Ref PublicTable}}
  PrivateTable: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  PrivateRoute: {Type: AWS::EC2::Route, Properties: {RouteTableId: !Ref PrivateTable, DestinationCidrBlock: 0.0.0.0/0, NatGatewayId: !Ref Nat}}
  PrivateOf: {Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {SubnetId: !Ref Private, RouteTableId: !Ref PrivateTable}}
  Nat: {Type: AWS::EC2::NatGateway, Properties: {SubnetId: !Ref Public}}
`

func graph(t *testing.T, more string) *Graph {
	t.Helper()
	s, err := template.New([]template.File{{Name: "n.yaml", Text: []byte(net + more)}})
	if err != nil {
		t.Fatal(err)
	}
	ws, _ := s.Worlds()
	return Build(ws[0])
}

func (g *Graph) node(t *testing.T, id string) *Node {
	t.Helper()
	for _, n := range g.Nodes {
		if n.Res.ID == id {
			return n
		}
	}
	t.Fatalf("no node %s", id)
	return nil
}

// said writes what can be opened: who and ports, and ? where that is not sure.
func said(os []Open) string {
	var out []string
	for _, o := range os {
		s := o.Who + " " + o.Ports.String()
		if o.Sure != template.Yes {
			s += "?"
		}
		out = append(out, s)
	}
	return strings.Join(out, "; ")
}

func TestFromInternet(t *testing.T) {
	const group = "\n  G: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc, SecurityGroupIngress: [RULE]}}\n"
	all := "{CidrIp: 0.0.0.0/0, IpProtocol: tcp, FromPort: 443, ToPort: 443}"
	lb := "  N: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Subnets: [!Ref SUBNET], SecurityGroups: [!Ref G] MORE}}\n"
	vm := "  N: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref SUBNET, SecurityGroupIds: [!Ref G] MORE}}\n"
	acl := `
  Acl: {Type: AWS::EC2::NetworkAcl, Properties: {VpcId: !Ref Vpc}}
  AclOf: {Type: AWS::EC2::SubnetNetworkAclAssociation, Properties: {SubnetId: !Ref Public, NetworkAclId: !Ref Acl}}
  Out: {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl, RuleNumber: 100, Egress: true, Protocol: -1, RuleAction: allow, CidrBlock: 0.0.0.0/0}}
`
	entry := func(n, action, block, ports string) string {
		return "  In" + n + ": {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl, RuleNumber: " + n + ", Protocol: 6, RuleAction: " + action + ", CidrBlock: " + block + ports + "}}\n"
	}
	for _, x := range []struct{ name, rule, node, subnet, more, extra, want string }{
		{"the scheme's default is internet-facing", all, lb, "Public", "", "", "the internet tcp port 443"},
		{"an internal balancer", all, lb, "Public", ", Scheme: internal", "", ""},
		{"an unknown scheme", all, lb, "Public", ", Scheme: !GetAtt Custom.X", "  Custom: {Type: Custom::X}\n", "the internet tcp port 443?"},
		{"a subnet without a way in", all, lb, "Private", "", "", ""},
		{"a subnet that no one gave a table has the main one", all, lb, "Isolated", "", "", ""},
		{"a public block only", "{CidrIp: 198.51.100.0/24, IpProtocol: tcp, FromPort: 22, ToPort: 22}", lb, "Public", "", "", "the internet's 198.51.100.0/24 tcp port 22"},
		{"a private block", "{CidrIp: 10.0.0.0/8, IpProtocol: -1}", lb, "Public", "", "", ""},
		{"half of everything", "{CidrIp: 128.0.0.0/1, IpProtocol: tcp, FromPort: 1, ToPort: 2}", lb, "Public", "", "", "the internet's 128.0.0.0/1 tcp ports 1-2"},
		{"a prefix list", "{SourcePrefixListId: pl-3b927c52, IpProtocol: tcp, FromPort: 443, ToPort: 443}", lb, "Public", "", "", "prefix list pl-3b927c52 (CloudFront's, in us-east-1) tcp port 443"},
		{"an unknown block", "{CidrIp: !GetAtt Custom.X, IpProtocol: tcp, FromPort: 443, ToPort: 443}", lb, "Public", "", "  Custom: {Type: Custom::X}\n", "the internet tcp port 443?"},
		{"an instance without a public address", all, vm, "Public", "", "", ""},
		{"an instance with an elastic address", all, vm, "Public", "", "  E: {Type: AWS::EC2::EIP, Properties: {InstanceId: !Ref N}}\n", "the internet tcp port 443"},
		{"an ACL that lets nothing in", all, lb, "Public", "", acl, ""},
		{"an ACL that lets another port in", all, lb, "Public", "", acl + entry("10", "allow", "0.0.0.0/0", ", PortRange: {From: 80, To: 80}"), ""},
		{"an ACL that lets it in", all, lb, "Public", "", acl + entry("10", "allow", "0.0.0.0/0", ", PortRange: {From: 443, To: 443}"), "the internet tcp port 443"},
		{"a denial before it", all, lb, "Public", "", acl + entry("5", "deny", "0.0.0.0/0", "") + entry("10", "allow", "0.0.0.0/0", ""), ""},
		{"a denial behind it", all, lb, "Public", "", acl + entry("5", "allow", "0.0.0.0/0", "") + entry("10", "deny", "0.0.0.0/0", ""), "the internet tcp port 443"},
		{"a denial of a part", all, lb, "Public", "", acl + entry("5", "deny", "203.0.113.0/24", "") + entry("10", "allow", "0.0.0.0/0", ""), "the internet tcp port 443"},
	} {
		text := strings.ReplaceAll(group, "RULE", x.rule) + strings.NewReplacer("SUBNET", x.subnet, "MORE", x.more).Replace(x.node) + x.extra
		g := graph(t, text)
		if got := said(g.FromInternet(g.node(t, "N"))); got != x.want {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}

// TestRulesForOthersGroups: a rule that is written for a group which no template makes
// is looked at too.
func TestRulesForOthersGroups(t *testing.T) {
	g := graph(t, "  R: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: sg-1, CidrIp: 0.0.0.0/0, IpProtocol: tcp, FromPort: 22, ToPort: 22}}\n")
	if got := g.Groups(); len(got) != 1 || len(got[0].In) != 1 {
		t.Errorf("got %v, want the group with its rule", got)
	}
}

func TestAnswersMustGetOut(t *testing.T) {
	g := graph(t, `
  G: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc, SecurityGroupIngress: [{CidrIp: 0.0.0.0/0, IpProtocol: -1}]}}
  N: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Subnets: [!Ref Public], SecurityGroups: [!Ref G]}}
  Acl: {Type: AWS::EC2::NetworkAcl, Properties: {VpcId: !Ref Vpc}}
  AclOf: {Type: AWS::EC2::SubnetNetworkAclAssociation, Properties: {SubnetId: !Ref Public, NetworkAclId: !Ref Acl}}
  In: {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl, RuleNumber: 1, Protocol: -1, RuleAction: allow, CidrBlock: 0.0.0.0/0}}
`)
	if got := said(g.FromInternet(g.node(t, "N"))); got != "" {
		t.Errorf("an ACL that lets no answer out: got %q, want nothing", got)
	}
}

func TestDatabaseIsPublicByDefault(t *testing.T) {
	for _, x := range []struct{ property, want string }{
		{"", "the internet tcp port 5432"},
		{", PubliclyAccessible: false", ""},
		{", PubliclyAccessible: true", "the internet tcp port 5432"},
	} {
		g := graph(t, `
  S: {Type: AWS::RDS::DBSubnetGroup, Properties: {SubnetIds: [!Ref Public]}}
  G: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc, SecurityGroupIngress: [{CidrIp: 0.0.0.0/0, IpProtocol: tcp, FromPort: 5432, ToPort: 5432}]}}
  N: {Type: AWS::RDS::DBInstance, Properties: {DBSubnetGroupName: !Ref S, VPCSecurityGroups: [!Ref G]`+x.property+`}}
`)
		if got := said(g.FromInternet(g.node(t, "N"))); got != x.want {
			t.Errorf("%q: got %q, want %q", x.property, got, x.want)
		}
	}
}

// TestNobodyNamesASubnet: EC2 then takes the default VPC, whose subnets are public;
// and what stands in a subnet that is not known may have a public address.
func TestNobodyNamesASubnet(t *testing.T) {
	const ssh = "  G: {Type: AWS::EC2::SecurityGroup, Properties: {SecurityGroupIngress: [{CidrIp: 0.0.0.0/0, IpProtocol: tcp, FromPort: 22, ToPort: 22}]}}\n"
	for _, x := range []struct{ name, node, want string }{
		{"an instance", "{Type: AWS::EC2::Instance, Properties: {SecurityGroups: [!Ref G]}}", "the internet tcp port 22"},
		{"an instance in the default group", "{Type: AWS::EC2::Instance}", ""},
		{"an instance that wants no address", "{Type: AWS::EC2::Instance, Properties: {NetworkInterfaces: [{DeviceIndex: 0, GroupSet: [!Ref G], AssociatePublicIpAddress: false}]}}", ""},
		{"an instance in an unknown subnet", "{Type: AWS::EC2::Instance, Properties: {SubnetId: subnet-1, SecurityGroupIds: [!Ref G]}}", "the internet tcp port 22?"},
		{"an instance with a card of its own", "{Type: AWS::EC2::Instance, Properties: {NetworkInterfaces: [{DeviceIndex: 0, NetworkInterfaceId: !Ref Card}]}}\n  Card: {Type: AWS::EC2::NetworkInterface, Properties: {SubnetId: !Ref Public, GroupSet: [!Ref G]}}\n  E: {Type: AWS::EC2::EIP, Properties: {NetworkInterfaceId: !Ref Card}}", "the internet tcp port 22"},
		{"an instance with somebody's card", "{Type: AWS::EC2::Instance, Properties: {NetworkInterfaces: [{DeviceIndex: 0, NetworkInterfaceId: eni-1}], SecurityGroupIds: [!Ref G]}}", ""},
		{"a group by its launch configuration", "{Type: AWS::AutoScaling::AutoScalingGroup, Properties: {AvailabilityZones: [a], LaunchConfigurationName: !Ref C}}\n  C: {Type: AWS::AutoScaling::LaunchConfiguration, Properties: {SecurityGroups: [!Ref G]}}", "the internet tcp port 22"},
		{"a classic balancer", "{Type: AWS::ElasticLoadBalancing::LoadBalancer, Properties: {SecurityGroups: [!Ref G]}}", "the internet tcp port 22"},
		{"a network balancer without a group", "{Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Type: network, Subnets: [!Ref Public]}}", "the internet everything"},
		{"a database", "{Type: AWS::RDS::DBInstance, Properties: {VPCSecurityGroups: [!Ref G]}}", "the internet tcp port 22"},
		{"a database in an unknown subnet group", "{Type: AWS::RDS::DBInstance, Properties: {DBSubnetGroupName: x, VPCSecurityGroups: [!Ref G]}}", "the internet tcp port 22?"},
		{"an Aurora cluster", "{Type: AWS::RDS::DBCluster, Properties: {Engine: aurora-mysql, VpcSecurityGroupIds: [!Ref G]}}", ""},
		{"a service whose address is not known", "{Type: AWS::ECS::Service, Properties: {NetworkConfiguration: {AwsvpcConfiguration: {Subnets: [!Ref Public], SecurityGroups: [!Ref G], AssignPublicIp: !GetAtt Custom.X}}}}\n  Custom: {Type: Custom::X}", "the internet tcp port 22?"},
	} {
		g := graph(t, ssh+"  N: "+x.node+"\n")
		if got := said(g.FromInternet(g.node(t, "N"))); got != x.want {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}

func TestBetween(t *testing.T) {
	const nodes = `
  A: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref Private, SecurityGroupIds: [!Ref Ga]}}
  B: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref Isolated, SecurityGroupIds: [!Ref Gb]}}
  Ga: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc AOUT}}
  Gb: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc BIN}}
`
	for _, x := range []struct{ name, out, in, extra, want string }{
		{"nobody lets it in", "", "", "", ""},
		{"no egress rules let everything out", "", ", SecurityGroupIngress: [{SourceSecurityGroupId: !GetAtt Ga.GroupId, IpProtocol: tcp, FromPort: 80, ToPort: 80}]", "", "tcp port 80"},
		{"an empty list is no rule", ", SecurityGroupEgress: []", ", SecurityGroupIngress: [{SourceSecurityGroupId: !Ref Ga, IpProtocol: tcp, FromPort: 80, ToPort: 80}]", "", "tcp port 80"},
		{"egress elsewhere", ", SecurityGroupEgress: [{CidrIp: 192.0.2.0/24, IpProtocol: -1}]", ", SecurityGroupIngress: [{SourceSecurityGroupId: !Ref Ga, IpProtocol: -1}]", "", ""},
		{"what both allow", ", SecurityGroupEgress: [{CidrIp: 10.0.2.0/24, IpProtocol: tcp, FromPort: 1, ToPort: 100}]", ", SecurityGroupIngress: [{CidrIp: 10.0.1.0/25, IpProtocol: tcp, FromPort: 50, ToPort: 200}]", "", "tcp ports 50-100"},
		{"another block", "", ", SecurityGroupIngress: [{CidrIp: 10.0.9.0/24, IpProtocol: -1}]", "", ""},
		{"another protocol", ", SecurityGroupEgress: [{CidrIp: 0.0.0.0/0, IpProtocol: udp, FromPort: 53, ToPort: 53}]", ", SecurityGroupIngress: [{SourceSecurityGroupId: !Ref Ga, IpProtocol: tcp, FromPort: 53, ToPort: 53}]", "", ""},
		{"rules beside the group", "", "", "  R: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !Ref Gb, SourceSecurityGroupId: !Ref Ga, IpProtocol: tcp, FromPort: 8080, ToPort: 8080}}\n", "tcp port 8080"},
		{"an unknown source", "", ", SecurityGroupIngress: [{SourceSecurityGroupId: !GetAtt Custom.X, IpProtocol: tcp, FromPort: 80, ToPort: 80}]", "  Custom: {Type: Custom::X}\n", "tcp port 80?"},
		{"an ACL between", "", ", SecurityGroupIngress: [{SourceSecurityGroupId: !Ref Ga, IpProtocol: tcp, FromPort: 80, ToPort: 80}]", `
  Acl: {Type: AWS::EC2::NetworkAcl, Properties: {VpcId: !Ref Vpc}}
  AclOf: {Type: AWS::EC2::SubnetNetworkAclAssociation, Properties: {SubnetId: !Ref Isolated, NetworkAclId: !Ref Acl}}
`, ""},
		{"IPv4 out and IPv6 in", ", SecurityGroupEgress: [{CidrIp: 0.0.0.0/0, IpProtocol: -1}]", ", SecurityGroupIngress: [{CidrIpv6: '::/0', IpProtocol: -1}]", "", ""},
		{"a prefix list of these templates", "", ", SecurityGroupIngress: [{SourcePrefixListId: !Ref L, IpProtocol: tcp, FromPort: 80, ToPort: 80}]",
			"  L: {Type: AWS::EC2::PrefixList, Properties: {Entries: [{Cidr: 10.0.1.0/24}]}}\n", "tcp port 80"},
		{"another one", "", ", SecurityGroupIngress: [{SourcePrefixListId: !Ref L, IpProtocol: tcp, FromPort: 80, ToPort: 80}]",
			"  L: {Type: AWS::EC2::PrefixList, Properties: {Entries: [{Cidr: 10.0.9.0/24}]}}\n", ""},
		{"an empty one is no egress rule, and not EC2's own", ", SecurityGroupEgress: [{DestinationPrefixListId: !Ref L, IpProtocol: -1}]", ", SecurityGroupIngress: [{SourceSecurityGroupId: !Ref Ga, IpProtocol: -1}]",
			"  L: {Type: AWS::EC2::PrefixList, Properties: {MaxEntries: 5}}\n", ""},
		{"a prefix list that nobody here makes", "", ", SecurityGroupIngress: [{SourcePrefixListId: pl-1, IpProtocol: tcp, FromPort: 80, ToPort: 80}]", "", "tcp port 80?"},
		{"CloudFront's", "", ", SecurityGroupIngress: [{SourcePrefixListId: pl-3b927c52, IpProtocol: tcp, FromPort: 80, ToPort: 80}]", "", ""},
	} {
		g := graph(t, strings.NewReplacer("AOUT", x.out, "BIN", x.in).Replace(nodes)+x.extra)
		got := said(g.Between(g.node(t, "A"), g.node(t, "B")))
		if got = strings.ReplaceAll(got, "instance A ", ""); got != x.want {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}

// Each of a node's subnets may have a network ACL that lets other ports through.
func TestSubnetsAddUp(t *testing.T) {
	const entry = "  E%: {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl%, RuleNumber: 1, Protocol: 6, RuleAction: allow, CidrBlock: 0.0.0.0/0, PortRange: {From: PORT, To: PORT}}}\n" +
		"  O%: {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl%, RuleNumber: 1, Egress: true, Protocol: -1, RuleAction: allow, CidrBlock: 0.0.0.0/0}}\n" +
		"  Acl%: {Type: AWS::EC2::NetworkAcl, Properties: {VpcId: !Ref Vpc}}\n" +
		"  AclOf%: {Type: AWS::EC2::SubnetNetworkAclAssociation, Properties: {SubnetId: !Ref %, NetworkAclId: !Ref Acl%}}\n"
	g := graph(t, `
  G: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc, SecurityGroupIngress: [{CidrIp: 10.0.0.0/16, IpProtocol: tcp, FromPort: 0, ToPort: 65535}]}}
  A: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref Public, SecurityGroupIds: [!Ref G]}}
  N: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Scheme: internal, Subnets: [!Ref Private, !Ref Isolated], SecurityGroups: [!Ref G]}}
`+strings.NewReplacer("%", "Private", "PORT", "80").Replace(entry)+strings.NewReplacer("%", "Isolated", "PORT", "90").Replace(entry))
	if got := said(g.Between(g.node(t, "A"), g.node(t, "N"))); got != "instance A tcp port 80; instance A tcp port 90" {
		t.Errorf("between: got %q", got)
	}
	if got := said(g.FromInside(g.subnets["n/Public"], g.node(t, "N"))); got != "anything in subnet Public tcp port 80; anything in subnet Public tcp port 90" {
		t.Errorf("from inside: got %q", got)
	}
}

// What joins two networks may let anything through.
func TestPeeredNetworks(t *testing.T) {
	const other = `
  Vpc2: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.9.0.0/16}}
  Far: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc2, CidrBlock: 10.9.0.0/24}}
  G: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc, SecurityGroupIngress: [{CidrIp: 10.0.0.0/8, IpProtocol: tcp, FromPort: 80, ToPort: 80}]}}
  A: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref Private, SecurityGroupIds: [!Ref G]}}
  B: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref Far, SecurityGroupIds: [!Ref G]}}
`
	g := graph(t, other)
	if got := said(g.Between(g.node(t, "A"), g.node(t, "B"))); got != "" {
		t.Errorf("two networks that nothing joins: got %q", got)
	}
	g = graph(t, other+`
  Peer: {Type: AWS::EC2::VPCPeeringConnection, Properties: {VpcId: !Ref Vpc, PeerVpcId: !Ref Vpc2}}
  There: {Type: AWS::EC2::Route, Properties: {RouteTableId: !Ref PrivateTable, DestinationCidrBlock: 10.9.0.0/16, VpcPeeringConnectionId: !Ref Peer}}
`)
	if got := said(g.Between(g.node(t, "A"), g.node(t, "B"))); got != "instance A tcp port 80?" {
		t.Errorf("two networks that are joined: got %q", got)
	}
}

// A group that nobody is given is the VPC's default one, whose members reach each other.
func TestDefaultGroup(t *testing.T) {
	g := graph(t, `
  A: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref Private}}
  B: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref Isolated}}
`)
	if got := said(g.Between(g.node(t, "A"), g.node(t, "B"))); got != "instance A everything" {
		t.Errorf("got %q, want everything", got)
	}
}

func TestToInternet(t *testing.T) {
	for _, x := range []struct{ subnet, more, want string }{{"Private", "", "instance N everything"}, {"Isolated", "", ""}, {"Public", "", ""},
		{"Private", "  Acl: {Type: AWS::EC2::NetworkAcl, Properties: {VpcId: !Ref Vpc}}\n  AclOf: {Type: AWS::EC2::SubnetNetworkAclAssociation, Properties: {SubnetId: !Ref Private, NetworkAclId: !Ref Acl}}\n", ""},
		{"Isolated", "  IsolatedOf: {Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {SubnetId: !Ref Isolated, RouteTableId: rtb-1}}\n", "instance N everything?"},
	} {
		g := graph(t, "\n  G: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc}}\n  N: {Type: AWS::EC2::Instance, Properties: {SubnetId: !Ref "+x.subnet+", SecurityGroupIds: [!Ref G]}}\n"+x.more)
		if got := said(g.ToInternet(g.node(t, "N"))); got != x.want {
			t.Errorf("from %s: got %q, want %q", x.subnet, got, x.want)
		}
	}
}

func TestPath(t *testing.T) {
	g := graph(t, `
  G: {Type: AWS::EC2::SecurityGroup, Properties: {VpcId: !Ref Vpc, SecurityGroupIngress: [{CidrIp: 0.0.0.0/0, IpProtocol: tcp, FromPort: 443, ToPort: 443}]}}
  N: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Subnets: [!Ref Public], SecurityGroups: [!Ref G]}}
`)
	o := g.FromInternet(g.node(t, "N"))[0]
	want := "the internet → internet gateway Igw, by the route to 0.0.0.0/0 of route table PublicTable → subnet Public (it has no network ACL, and the default one lets everything through) → security group G takes tcp port 443 from 0.0.0.0/0 → load balancer N (no Scheme is given, and the default is internet-facing)"
	if got := o.Path.String(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for _, h := range o.Path[1:] {
		if h.Pos.Line == 0 {
			t.Errorf("hop %q has no place", h.Words)
		}
	}
}

func TestSpans(t *testing.T) {
	a, b := Spans{{1, 10}, {20, 30}}, Spans{{5, 25}}
	for _, x := range []struct {
		name      string
		got, want Spans
	}{{"and", a.and(b), Spans{{5, 10}, {20, 25}}}, {"or", a.Or(b), Spans{{1, 30}}}, {"minus", a.Minus(b), Spans{{1, 4}, {26, 30}}}} {
		if x.got.String() != x.want.String() {
			t.Errorf("%s: got %s, want %s", x.name, x.got, x.want)
		}
	}
}
