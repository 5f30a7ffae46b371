package all_test

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/verify"
)

// network is a VPC with two subnets that have a way to the internet gateway.
const network = `
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Igw: {Type: AWS::EC2::InternetGateway}
  A: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.1.0/24}}
  B: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.2.0/24}}
  Rt: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  Out: {Type: AWS::EC2::Route, Properties: {RouteTableId: !Ref Rt, DestinationCidrBlock: 0.0.0.0/0, GatewayId: !Ref Igw}}
  RtA: {Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {SubnetId: !Ref A, RouteTableId: !Ref Rt}}
  RtB: {Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {SubnetId: !Ref B, RouteTableId: !Ref Rt}}
`

// vm is an instance with a public address that takes 443 from everywhere.
const vm = `
  Vm: {Type: AWS::EC2::Instance, Properties: {NetworkInterfaces: [{DeviceIndex: '0', SubnetId: !Ref A, AssociatePublicIpAddress: true, GroupSet: [!Ref G]}]}}
  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}]}}
`

// acl puts subnet A behind a network ACL of entries: number, direction, action, ports.
func acl(entries ...string) string {
	out := `
  Acl: {Type: AWS::EC2::NetworkAcl, Properties: {VpcId: !Ref Vpc}}
  AclA: {Type: AWS::EC2::SubnetNetworkAclAssociation, Properties: {SubnetId: !Ref A, NetworkAclId: !Ref Acl}}
`
	for _, e := range entries {
		f := strings.Fields(e)
		out += "  E" + f[0] + f[1] + ": {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl, RuleNumber: " + f[0] + ", Egress: " + map[string]string{"in": "false", "out": "true"}[f[1]] +
			", RuleAction: " + f[2] + ", Protocol: 6, CidrBlock: 0.0.0.0/0, PortRange: {From: " + f[3] + ", To: " + f[4] + "}}}\n"
	}
	return out
}

const tiers = `
  FleetTemplate: {Type: AWS::EC2::LaunchTemplate, Properties: {LaunchTemplateData: {SecurityGroupIds: [!Ref Shared], MetadataOptions: {HttpTokens: required, HttpPutResponseHopLimit: 1}}}}
  Fleet: {Type: AWS::AutoScaling::AutoScalingGroup, Properties: {MinSize: '1', MaxSize: '1', VPCZoneIdentifier: [!Ref A], LaunchTemplate: {LaunchTemplateId: !Ref FleetTemplate, Version: '1'}}}
  AdminTemplate: {Type: AWS::EC2::LaunchTemplate, Properties: {LaunchTemplateData: {SecurityGroupIds: [!Ref Shared], MetadataOptions: {HttpTokens: required, HttpPutResponseHopLimit: 1}}}}
  Admin: {Type: AWS::AutoScaling::AutoScalingGroup, Properties: {MinSize: '1', MaxSize: '1', VPCZoneIdentifier: [!Ref B], LaunchTemplate: {LaunchTemplateId: !Ref AdminTemplate, Version: '1'}}}
`

// Templates that are easily misread. Words are of the finding, or of what was tried.
func TestTricky(t *testing.T) {
	const held, broken, unknown = perimeter.Held, perimeter.Broken, perimeter.Unknown
	one := func(text string) map[string]string { return map[string]string{"a.yaml": "Resources:" + text} }
	for _, c := range []struct {
		name    string
		files   map[string]string
		id      string
		verdict perimeter.Verdict
		words   string
	}{
		{"an ACL that denies before it allows", one(network + vm + acl("90 in deny 443 443", "100 in allow 0 65535", "100 out allow 1024 65535")), "vpc/internet-reach", held, ""},
		{"an ACL that allows before it denies", one(network + vm + acl("80 in allow 443 443", "90 in deny 443 443", "100 out allow 1024 65535")), "vpc/internet-reach", broken, "port 443"},
		{"an ACL that lets no answer out", one(network + vm + acl("100 in allow 443 443", "100 out allow 443 443")), "vpc/internet-reach", held, ""},
		{"an ACL of one of two subnets", one(network + strings.Replace(vm, "Type: AWS::EC2::Instance, Properties: {NetworkInterfaces: [{DeviceIndex: '0', SubnetId: !Ref A, AssociatePublicIpAddress: true, GroupSet: [!Ref G]}]}",
			"Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Subnets: [!Ref A, !Ref B], SecurityGroups: [!Ref G]}", 1) + acl("100 in allow 80 80", "100 out allow 1024 65535")), "vpc/internet-reach", broken, "port 443"},

		{"a group with itself as a source", one(network + tiers + `
  Shared: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc}}
  Self: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !GetAtt Shared.GroupId, SourceSecurityGroupId: !Ref Shared, IpProtocol: tcp, FromPort: 2049, ToPort: 2049}}
`), "instance/compartments", broken, "can open a connection to instances of Admin: tcp port 2049"},

		{"a prefix list of our own with everybody in it", one(network + strings.Replace(vm, "CidrIp: 0.0.0.0/0", "SourcePrefixListId: !GetAtt List.PrefixListId", 1) +
			"  List: {Type: AWS::EC2::PrefixList, Properties: {PrefixListName: l, AddressFamily: IPv4, MaxEntries: 2, Entries: [{Cidr: 10.0.0.0/8}, {Cidr: 0.0.0.0/0}]}}\n"), "vpc/internet-reach", broken, "port 443"},
		{"a prefix list of our own with the VPC in it", one(network + strings.Replace(vm, "CidrIp: 0.0.0.0/0", "SourcePrefixListId: !Ref List", 1) +
			"  List: {Type: AWS::EC2::PrefixList, Properties: {PrefixListName: l, AddressFamily: IPv4, MaxEntries: 2, Entries: [{Cidr: 10.0.0.0/8}]}}\n"), "vpc/internet-reach", held, ""},

		{"an endpoint's policy that lets all through", one(network + endpoint("{Effect: Allow, Principal: '*', Action: '*', Resource: '*'}")), "instance/egress-and-metadata", broken, "passes every action"},
		{"an endpoint's policy with a service's every action on everybody's things", one(network + endpoint("{Effect: Allow, Principal: '*', Action: 's3:*', Resource: 'arn:aws:s3:::*'}")), "instance/egress-and-metadata", broken, "passes every action"},
		{"an endpoint's policy for what this account owns", one(network + endpoint("{Effect: Allow, Principal: '*', Action: '*', Resource: '*', Condition: {StringEquals: {'aws:ResourceAccount': !Ref 'AWS::AccountId'}}}")), "instance/egress-and-metadata", held, ""},
		{"an endpoint's policy that refuses the rest", one(network + endpoint("{Effect: Allow, Principal: '*', Action: '*', Resource: '*'}, {Effect: Deny, Principal: '*', Action: '*', Resource: '*', Condition: {StringNotEquals: {'aws:ResourceAccount': !Ref 'AWS::AccountId'}}}")), "instance/egress-and-metadata", held, ""},

		{"a way in over IPv6 only", one(strings.Replace(strings.Replace(network, "GatewayId: !Ref Igw", "NatGatewayId: nat-1", 1), "CidrBlock: 10.0.1.0/24", "CidrBlock: 10.0.1.0/24, Ipv6CidrBlock: 2001:db8::/64, AssignIpv6AddressOnCreation: true", 1) +
			"  Out6: {Type: AWS::EC2::Route, Properties: {RouteTableId: !Ref Rt, DestinationIpv6CidrBlock: '::/0', GatewayId: !Ref Igw}}\n" +
			strings.Replace(strings.Replace(vm, "CidrIp: 0.0.0.0/0", "CidrIpv6: '::/0'", 1), "AssociatePublicIpAddress: true, ", "", 1)), "vpc/internet-reach", broken, "route to ::/0"},
		{"an egress-only gateway is no way in", one(strings.Replace(strings.Replace(network, "GatewayId: !Ref Igw", "NatGatewayId: nat-1", 1), "CidrBlock: 10.0.1.0/24", "CidrBlock: 10.0.1.0/24, Ipv6CidrBlock: 2001:db8::/64, AssignIpv6AddressOnCreation: true", 1) +
			"  Eo: {Type: AWS::EC2::EgressOnlyInternetGateway, Properties: {VpcId: !Ref Vpc}}\n  Out6: {Type: AWS::EC2::Route, Properties: {RouteTableId: !Ref Rt, DestinationIpv6CidrBlock: '::/0', EgressOnlyInternetGatewayId: !Ref Eo}}\n" +
			strings.Replace(strings.Replace(vm, "CidrIp: 0.0.0.0/0", "CidrIpv6: '::/0'", 1), "AssociatePublicIpAddress: true, ", "", 1)), "vpc/internet-reach", held, ""},

		{"a rule that one value of a parameter makes", map[string]string{"a.yaml": "Parameters: {Env: {Type: String, Default: prod, AllowedValues: [prod, dev]}}\nConditions: {Dev: !Equals [!Ref Env, dev]}\nResources:" + network +
			strings.Replace(vm, ", SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}]", "", 1) +
			"  Ssh: {Type: AWS::EC2::SecurityGroupIngress, Condition: Dev, Properties: {GroupId: !Ref G, IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}}\n"}, "vpc/internet-reach", unknown, "Env=dev"},
		{"a rule that the default value makes", map[string]string{"a.yaml": "Parameters: {Env: {Type: String, Default: dev, AllowedValues: [prod, dev]}}\nConditions: {Dev: !Equals [!Ref Env, dev]}\nResources:" + network +
			strings.Replace(vm, ", SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}]", "", 1) +
			"  Ssh: {Type: AWS::EC2::SecurityGroupIngress, Condition: Dev, Properties: {GroupId: !Ref G, IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}}\n"}, "vpc/internet-reach", broken, "port 22"},

		{"no value in place of egress rules is EC2's own rule", map[string]string{"a.yaml": "Parameters: {Strict: {Type: String, Default: 'no', AllowedValues: ['no', 'yes']}}\nConditions: {S: !Equals [!Ref Strict, 'yes']}\nResources:" + network + tiers +
			"  Shared: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupEgress: !If [S, [{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 10.0.0.0/16}], !Ref 'AWS::NoValue']}}\n"},
			"instance/egress-and-metadata", broken, "no egress rules"},
		{"no value among the rules takes one away", map[string]string{"a.yaml": "Parameters: {Open: {Type: String, Default: 'no', AllowedValues: ['no', 'yes']}}\nConditions: {O: !Equals [!Ref Open, 'yes']}\nResources:" + network +
			strings.Replace(vm, "[{IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}]", "[!If [O, {IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}, !Ref 'AWS::NoValue']]", 1)}, "vpc/internet-reach", unknown, "Open=yes"},

		{"groups and subnets of another stack", map[string]string{
			"net.yaml": "Resources:" + network + "  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}]}}\n" +
				"Outputs:\n  G: {Value: !GetAtt G.GroupId, Export: {Name: !Sub '${AWS::StackName}-g'}}\n  A: {Value: !Ref A, Export: {Name: net-a}}\n",
			"app.yaml": "Resources:\n  Vm: {Type: AWS::EC2::Instance, Properties: {NetworkInterfaces: [{DeviceIndex: '0', SubnetId: !ImportValue net-a, AssociatePublicIpAddress: true, GroupSet: [!ImportValue net-g]}]}}\n"},
			"vpc/internet-reach", broken, "port 22"},
		{"groups and subnets that a stack gives to one within it", map[string]string{
			"top.yaml": "Resources:" + network + "  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}]}}\n" +
				"  App: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: ./part/app.yaml, Parameters: {Group: !GetAtt G.GroupId, Subnet: !Ref A}}}\n",
			"part/app.yaml": "Parameters: {Group: {Type: String}, Subnet: {Type: String}}\nResources:\n  Vm: {Type: AWS::EC2::Instance, Properties: {NetworkInterfaces: [{DeviceIndex: '0', SubnetId: !Ref Subnet, AssociatePublicIpAddress: true, GroupSet: [!Ref Group]}]}}\n"},
			"vpc/internet-reach", broken, "port 22"},
		{"a stack within whose template is elsewhere", one(network + vm + "  App: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: 'https://example.com/app.yaml'}}\n"), "vpc/resolved", unknown, "not here"},

		{"a balancer without groups", one(network + `
  Nlb: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Type: network, Scheme: internet-facing, Subnets: [!Ref A, !Ref B]}}
  L: {Type: AWS::ElasticLoadBalancingV2::Listener, Properties: {LoadBalancerArn: !Ref Nlb, Port: 22, Protocol: TCP, DefaultActions: []}}
`), "vpc/internet-reach", broken, "everything"},
		{"a balancer without groups, inside", one(network + `
  Nlb: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Type: network, Scheme: internal, Subnets: [!Ref A, !Ref B], SecurityGroups: [!Ref G]}}
  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 10.0.0.0/16}]}}
`), "vpc/internet-reach", held, ""},
		{"an instance in no subnet is in the default VPC", one(`
  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}]}}
  Vm: {Type: AWS::EC2::Instance, Properties: {ImageId: ami-1, SecurityGroups: [!Ref G]}}
`), "vpc/internet-reach", broken, "default VPC"},
		{"an instance with an interface that is made beside it", one(strings.Replace(network, "GatewayId: !Ref Igw", "NatGatewayId: nat-1", 1) + `
  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 0.0.0.0/0}]}}
  Eni: {Type: AWS::EC2::NetworkInterface, Properties: {SubnetId: !Ref A, GroupSet: [!Ref G]}}
  Vm: {Type: AWS::EC2::Instance, Properties: {ImageId: ami-1, NetworkInterfaces: [{DeviceIndex: '0', NetworkInterfaceId: !Ref Eni}]}}
`), "vpc/internet-reach", held, ""},
		{"a kind of server that is not modelled, open", one(network + `
  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 5439, ToPort: 5439, CidrIp: 0.0.0.0/0}]}}
  Red: {Type: AWS::Redshift::Cluster, Properties: {PubliclyAccessible: true, VpcSecurityGroupIds: [!Ref G]}}
`), "vpc/internet-reach", unknown, "AWS::Redshift::Cluster"},
		{"a kind of server that is not modelled, closed", one(network + `
  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 5439, ToPort: 5439, CidrIp: 10.0.0.0/16}]}}
  Os: {Type: AWS::OpenSearchService::Domain, Properties: {VPCOptions: {SecurityGroupIds: [!Ref G], SubnetIds: [!Ref A]}}}
`), "vpc/internet-reach", held, ""},
		{"a cluster's API is public unless it is said", one(network + "  K: {Type: AWS::EKS::Cluster, Properties: {RoleArn: x, ResourcesVpcConfig: {SubnetIds: [!Ref A]}}}\n"), "vpc/internet-reach", unknown, "EndpointPublicAccess"},
		{"a store that is not encrypted", one("\n  Red: {Type: AWS::Redshift::Cluster, Properties: {NodeType: ra3}}\n"), "database/restorable", broken, "not encrypted on disk (Encrypted)"},

		{"a route table that no template makes", map[string]string{"a.yaml": "Parameters: {Table: {Type: String}}\nResources:" + strings.Replace(network, "SubnetId: !Ref A, RouteTableId: !Ref Rt", "SubnetId: !Ref A, RouteTableId: !Ref Table", 1) + vm}, "vpc/internet-reach", unknown, "not known"},
		{"a public address that a parameter decides", map[string]string{"a.yaml": "Parameters: {Public: {Type: String}}\nResources:" + network + strings.Replace(vm, "AssociatePublicIpAddress: true", "AssociatePublicIpAddress: !Ref Public", 1)}, "vpc/internet-reach", unknown, ""},
	} {
		var files []template.File
		for _, name := range []string{"a.yaml", "net.yaml", "app.yaml", "top.yaml", "part/app.yaml"} {
			if text, ok := c.files[name]; ok {
				files = append(files, template.File{Name: name, Text: []byte(text)})
			}
		}
		set, err := template.New(files)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		_, results, _ := verify.Check(nil, set, verify.Jobs(all.Perimeters))
		found := false
		for _, r := range results {
			if r.ID != c.id {
				continue
			}
			found = true
			said := strings.Join(append(r.Evidence, r.Tried...), "\n")
			for _, f := range r.Findings {
				said += "\n" + f.Under
				for _, s := range f.Path {
					said += "\n" + s.Words
				}
			}
			if r.Verdict != c.verdict || !strings.Contains(said, c.words) {
				t.Errorf("%s: got %s, want %s with %q: %s", c.name, r.Verdict, c.verdict, c.words, said)
			}
		}
		if !found {
			t.Errorf("%s: %s was not judged", c.name, c.id)
		}
	}
}

// endpoint is one with a policy of these statements, beside something that dials.
func endpoint(statements string) string {
	return `
  S3: {Type: AWS::EC2::VPCEndpoint, Properties: {VpcId: !Ref Vpc, ServiceName: !Sub 'com.amazonaws.${AWS::Region}.s3', PolicyDocument: {Statement: [` + statements + `]}}}
  Lb: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Scheme: internal, Subnets: [!Ref A], SecurityGroups: [!Ref GLb]}}
  GLb: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, VpcId: !Ref Vpc, SecurityGroupEgress: [{IpProtocol: tcp, FromPort: 80, ToPort: 80, CidrIp: 10.0.0.0/16}]}}
`
}
