package diff

import (
	"slices"
	"strings"
	"testing"
)

// site is a network with a balancer, an app and a database in it. What is in brackets
// is replaced by the rows.
const site = `
Resources:
  Vpc: {Type: AWS::EC2::VPC, Properties: {CidrBlock: 10.0.0.0/16}}
  Igw: {Type: AWS::EC2::InternetGateway}
  A: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.1.0/24}}
  B: {Type: AWS::EC2::Subnet, Properties: {VpcId: !Ref Vpc, CidrBlock: 10.0.2.0/24}}
  Rt: {Type: AWS::EC2::RouteTable, Properties: {VpcId: !Ref Vpc}}
  RtA: {Type: AWS::EC2::SubnetRouteTableAssociation, Properties: {SubnetId: !Ref A, RouteTableId: !Ref Rt}}
  GLb: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: lb, VpcId: !Ref Vpc, SecurityGroupEgress: [{IpProtocol: -1, CidrIp: 10.0.0.0/16}]}}
  GApp: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: app, VpcId: !Ref Vpc, SecurityGroupEgress: [{IpProtocol: -1, CidrIp: 10.0.0.0/16}]}}
  GDb: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: db, VpcId: !Ref Vpc, SecurityGroupEgress: [{IpProtocol: icmp, FromPort: -1, ToPort: -1, CidrIp: 192.0.2.1/32}],
    SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 5432, ToPort: 5432, SourceSecurityGroupId: !GetAtt GApp.GroupId}]}}
  Other: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: other, VpcId: !Ref Vpc, SecurityGroupEgress: [{IpProtocol: icmp, FromPort: -1, ToPort: -1, CidrIp: 192.0.2.1/32}],
    SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 9000, ToPort: 9000, SourceSecurityGroupId: !GetAtt GLb.GroupId}]}}
  Lb: {Type: AWS::ElasticLoadBalancingV2::LoadBalancer, Properties: {Scheme: internal, Subnets: [!Ref A], SecurityGroups: [!Ref GLb]}}
  Lt: {Type: AWS::EC2::LaunchTemplate, Properties: {LaunchTemplateData: {SecurityGroupIds: [!Ref GApp [lt]]}}}
  App: {Type: AWS::AutoScaling::AutoScalingGroup, Properties: {MinSize: '1', MaxSize: '2', VPCZoneIdentifier: [!Ref A], LaunchTemplate: {LaunchTemplateId: !Ref Lt, Version: '1'}}}
  DbIn: {Type: AWS::RDS::DBSubnetGroup, Properties: {DBSubnetGroupDescription: d, SubnetIds: [!Ref B]}}
  Db: {Type: AWS::RDS::DBInstance, Properties: {DBSubnetGroupName: !Ref DbIn, VPCSecurityGroups: [!Ref GDb [db]], PubliclyAccessible: false}}
[more]
`

func siteWith(lt, db, more string) string {
	return strings.NewReplacer("[lt]", lt, "[db]", db, "[more]", more).Replace(site)
}

// Each row opens something on the way there, and closes it on the way back; both are
// said at the end of the path, in words.
func TestReachIsJudgedByPaths(t *testing.T) {
	const acl = `
  Acl: {Type: AWS::EC2::NetworkAcl, Properties: {VpcId: !Ref Vpc}}
  AclB: {Type: AWS::EC2::SubnetNetworkAclAssociation, Properties: {SubnetId: !Ref B, NetworkAclId: !Ref Acl}}
  AclOut: {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl, RuleNumber: 1, Egress: true, Protocol: -1, RuleAction: allow, CidrBlock: 0.0.0.0/0}}
  AclIn: {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: !Ref Acl, RuleNumber: 10, Protocol: 6, RuleAction: allow, CidrBlock: 10.0.1.0/24, PortRange: {From: FROM, To: 6000}}}
`
	const list = `
  List: {Type: AWS::EC2::PrefixList, Properties: {PrefixListName: l, AddressFamily: IPv4, MaxEntries: 5, Entries: [{Cidr: BLOCK}]}}
  ByList: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !GetAtt GDb.GroupId, IpProtocol: tcp, FromPort: 22, ToPort: 22, SourcePrefixListId: !GetAtt List.PrefixListId}}
`
	for _, c := range []struct {
		name, before, after string
		at, words           string // of the change: its resource, and who can open what
	}{
		{"a group between tiers takes the balancer", siteWith("", "", ""),
			siteWith("", "", "  In: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !GetAtt GDb.GroupId, IpProtocol: tcp, FromPort: 5432, ToPort: 5432, SourceSecurityGroupId: !GetAtt GLb.GroupId}}"),
			"Db", "load balancer Lb can open connections to it on tcp port 5432"},
		{"a group between tiers takes more ports", siteWith("", "", ""),
			siteWith("", "", "  In: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !GetAtt GDb.GroupId, IpProtocol: tcp, FromPort: 5000, ToPort: 5999, SourceSecurityGroupId: !GetAtt GApp.GroupId}}"),
			"Db", "instances of App can open connections to it on tcp ports 5000-5431, 5433-5999"},
		{"the database gets another group", siteWith("", "", ""), siteWith("", ", !Ref Other", ""), "Db", "load balancer Lb can open connections to it on tcp port 9000"},
		{"the instances get another group", siteWith("", "", ""), siteWith(", !Ref Other", "", ""), "App", "load balancer Lb can open connections to it on tcp port 9000"},
		{"a network ACL opens a port", siteWith("", "", strings.ReplaceAll(acl, "FROM", "6000")), siteWith("", "", strings.ReplaceAll(acl, "FROM", "5432")), "Db", "instances of App can open connections to it on tcp port 5432"},
		{"a subnet leaves its network ACL", siteWith("", "", strings.ReplaceAll(acl, "FROM", "6000")), siteWith("", "", strings.Replace(strings.ReplaceAll(acl, "FROM", "6000"), "AWS::EC2::SubnetNetworkAclAssociation", "AWS::CloudFormation::WaitConditionHandle", 1)), "Db", "instances of App can open connections to it on tcp port 5432"},
		{"a prefix list gets a larger block", siteWith("", "", strings.ReplaceAll(list, "BLOCK", "10.9.0.0/24")), siteWith("", "", strings.ReplaceAll(list, "BLOCK", "10.0.0.0/16")), "Db", "load balancer Lb can open connections to it on tcp port 22"},
		{"anything beside it, by its block", siteWith("", "", ""),
			siteWith("", "", "  In: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !GetAtt GDb.GroupId, IpProtocol: tcp, FromPort: 22, ToPort: 22, CidrIp: 10.0.2.0/24}}"),
			"Db", "anything in subnet B can open connections to it on tcp port 22"},
		{"instances reach each other", siteWith("", "", ""),
			siteWith("", "", "  In: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !GetAtt GApp.GroupId, IpProtocol: tcp, FromPort: 80, ToPort: 80, SourceSecurityGroupId: !GetAtt GApp.GroupId}}"),
			"App", "each of its instances can open connections to it on tcp port 80"},
		{"a way out to the internet", siteWith("", "", "  Out: {Type: AWS::EC2::SecurityGroupEgress, Properties: {GroupId: !GetAtt GApp.GroupId, IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}}"),
			siteWith("", "", "  Out: {Type: AWS::EC2::SecurityGroupEgress, Properties: {GroupId: !GetAtt GApp.GroupId, IpProtocol: tcp, FromPort: 443, ToPort: 443, CidrIp: 0.0.0.0/0}}\n"+
				"  Nat: {Type: AWS::EC2::NatGateway, Properties: {SubnetId: !Ref A}}\n  R: {Type: AWS::EC2::Route, Properties: {RouteTableId: !Ref Rt, DestinationCidrBlock: 0.0.0.0/0, NatGatewayId: !Ref Nat}}"),
			"App", "it can open connections to the internet on tcp port 443"},
	} {
		has := func(r *Report, rule, words string) bool {
			return slices.ContainsFunc(r.Changes, func(ch Change) bool {
				return ch.Rule == rule && ch.Resource == c.at && strings.HasPrefix(ch.Words, words)
			})
		}
		up := Compare(set1(t, c.before), set1(t, c.after))
		if !has(up, "reach/broadened", c.words) {
			t.Errorf("%s: got no %q among %s", c.name, c.words, lines(up))
		}
		down := Compare(set1(t, c.after), set1(t, c.before))
		if words := strings.Replace(c.words, "can", "no longer can", 1); !has(down, "reach/narrowed", words) {
			t.Errorf("%s, and back: got no %q among %s", c.name, words, lines(down))
		}
		if slices.ContainsFunc(down.Changes, func(ch Change) bool { return ch.Rule == "reach/broadened" && strings.Contains(ch.Words, " can open") }) {
			t.Errorf("%s, and back: something opens: %s", c.name, lines(down))
		}
	}
}

// A part that is not known makes a path unclear, not open.
func TestUnknownPathsAreUnclear(t *testing.T) {
	r := Compare(set1(t, siteWith("", "", "")), set1(t, siteWith("", "",
		"  In: {Type: AWS::EC2::SecurityGroupIngress, Properties: {GroupId: !GetAtt GDb.GroupId, IpProtocol: tcp, FromPort: 22, ToPort: 22, SourcePrefixListId: pl-0123456789abcdef0}}")))
	if !slices.ContainsFunc(r.Changes, func(ch Change) bool {
		return ch.Rule == "reach/unclear" && ch.Resource == "Db" && strings.HasPrefix(ch.Words, "load balancer Lb may")
	}) {
		t.Errorf("got %s, want an unclear path to Db", lines(r))
	}
}

// Rights are judged by what policies come to together. Each row is a step there and
// back, with the rules that each of the two gives.
func TestAccessIsJudgedByEffect(t *testing.T) {
	const trust = "AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Action: 'sts:AssumeRole', Principal: {Service: ec2.amazonaws.com}}]}"
	role := func(more, statements string) string {
		return "Resources:\n  R: {Type: AWS::IAM::Role, Properties: {" + trust + more + ", Policies: [{PolicyName: p, PolicyDocument: {Statement: [" + statements + "]}}]}}\n"
	}
	const (
		read    = "{Effect: Allow, Action: 's3:GetObject', Resource: 'arn:aws:s3:::b/*'}"
		all     = "{Effect: Allow, Action: 's3:*', Resource: '*'}"
		noWrite = "{Effect: Deny, Action: ['s3:Put*', 's3:Delete*'], Resource: '*'}"
	)
	bound := func(actions string) string {
		return "  B: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: " + actions + ", Resource: '*'}}}}\n"
	}
	queue := func(condition string) string {
		return "Resources:\n  Q: {Type: AWS::SQS::QueuePolicy, Properties: {Queues: [q], PolicyDocument: {Statement: {Effect: Allow, Principal: '*', Action: 'sqs:SendMessage', Resource: '*'" + condition + "}}}}\n"
	}
	for _, c := range []struct {
		name, before, after string
		there, back         []string
	}{
		{"what is allowed already", role("", all), role("", all+", "+read), []string{"access/same"}, []string{"access/same"}},
		{"an action in other letters", role("", "{Effect: Allow, Action: 'S3:getobject', Resource: '*'}"), role("", "{Effect: Allow, Action: 's3:GetObject', Resource: '*'}"), nil, nil},
		{"what is refused anyway", role("", noWrite+", "+read), role("", noWrite+", "+read+", {Effect: Allow, Action: 's3:PutObject', Resource: '*'}"), []string{"access/same"}, []string{"access/same"}},
		{"the refusal goes", role("", all+", "+noWrite), role("", all), []string{"access/broadened"}, []string{"access/narrowed"}},
		{"a refusal that another one repeats goes", role("", all+", "+noWrite+", {Effect: Deny, Action: 's3:DeleteObject', Resource: '*'}"), role("", all+", "+noWrite), []string{"access/same"}, []string{"access/narrowed"}},
		{"two statements become one", role("", read+", {Effect: Allow, Action: 's3:PutObject', Resource: 'arn:aws:s3:::b/*'}"), role("", "{Effect: Allow, Action: ['s3:GetObject', 's3:PutObject'], Resource: 'arn:aws:s3:::b/*'}"),
			[]string{"access/same", "access/same", "access/same"}, []string{"access/same", "access/same", "access/same"}},
		{"a wildcard in place of a name", role("", read), role("", "{Effect: Allow, Action: 's3:Get*', Resource: 'arn:aws:s3:::b/*'}"), []string{"access/broadened", "access/same"}, []string{"access/narrowed", "access/narrowed"}},
		{"all but some actions", role("", "{Effect: Allow, NotAction: ['iam:*', 's3:*'], Resource: '*'}"), role("", "{Effect: Allow, NotAction: 'iam:*', Resource: '*'}"), []string{"access/broadened", "access/same"}, []string{"access/narrowed", "access/narrowed"}},
		{"outside the boundary", role(", PermissionsBoundary: !Ref B", read) + bound("'s3:Get*'"), role(", PermissionsBoundary: !Ref B", read+", {Effect: Allow, Action: 'sqs:*', Resource: '*'}") + bound("'s3:Get*'"),
			[]string{"access/same"}, []string{"access/same"}},
		{"the boundary lets more pass", role(", PermissionsBoundary: !Ref B", all) + bound("'s3:Get*'"), role(", PermissionsBoundary: !Ref B", all) + bound("['s3:Get*', 's3:Put*']"),
			[]string{"access/broadened", "access/same"}, []string{"access/narrowed", "access/narrowed"}},
		{"the boundary lets more pass that nobody is allowed", role(", PermissionsBoundary: !Ref B", read) + bound("'s3:Get*'"), role(", PermissionsBoundary: !Ref B", read) + bound("['s3:Get*', 'sqs:*']"),
			[]string{"access/same", "access/same"}, []string{"access/same", "access/same"}},
		{"a policy moves to one of its own", role("", read), role(", ManagedPolicyArns: [!Ref M]", "") + "  M: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: [" + read + "]}}}\n",
			[]string{"access/same"}, []string{"access/same"}},
		{"a managed policy that gives nothing more", role("", "{Effect: Allow, Action: '*', Resource: '*'}"), role(", ManagedPolicyArns: ['arn:aws:iam::aws:policy/AdministratorAccess']", "{Effect: Allow, Action: '*', Resource: '*'}"),
			[]string{"access/same"}, []string{"access/same"}},
		{"a condition with one more value", queue(", Condition: {StringEquals: {'aws:SourceAccount': ['111111111111']}}"), queue(", Condition: {StringEquals: {'aws:SourceAccount': ['111111111111', '222222222222']}}"),
			[]string{"access/broadened", "access/same"}, []string{"access/narrowed", "access/narrowed"}},
		{"a condition on more addresses", queue(", Condition: {IpAddress: {'aws:SourceIp': '10.1.0.0/16'}}"), queue(", Condition: {IpAddress: {'aws:SourceIp': '10.0.0.0/8'}}"), []string{"access/broadened", "access/same"}, []string{"access/narrowed", "access/narrowed"}},
		{"the condition goes", queue(", Condition: {Bool: {'aws:SecureTransport': 'true'}}"), queue(""), []string{"access/broadened", "access/same"}, []string{"access/narrowed", "access/narrowed"}},
		{"a step to an administrator", role("", read), role("", read+", {Effect: Allow, Action: 'iam:PutRolePolicy', Resource: '*'}"), []string{"access/broadened", "access/broadened"}, []string{"access/narrowed"}},
	} {
		rules := func(before, after string) (out []string, r *Report) {
			r = Compare(set1(t, before), set1(t, after))
			for _, ch := range r.Changes {
				if ch.Aspect() == "access" {
					out = append(out, ch.Rule)
				}
			}
			return out, r
		}
		if got, r := rules(c.before, c.after); !slices.Equal(got, c.there) {
			t.Errorf("%s: got %q, want %q: %s", c.name, got, c.there, lines(r))
		}
		if got, r := rules(c.after, c.before); !slices.Equal(got, c.back) {
			t.Errorf("%s, and back: got %q, want %q: %s", c.name, got, c.back, lines(r))
		}
	}
}
