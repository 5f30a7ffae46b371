package mutations

import (
	"fmt"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/perimeter"
)

// A statement of a policy, for mutations.
func statement(effect string, more object) object {
	more["Effect"] = effect
	return more
}

// allow puts a statement into the policy of a resource of a type.
func (s set) allow(typ, word, document string, st object) {
	d := s.props(typ, word)[document].(object)
	d["Statement"] = append(d["Statement"].([]any), st)
}

// give adds a policy's statement to a role.
func (s set) give(role string, st object) {
	p := s.props("AWS::IAM::Role", role)
	list, _ := p["Policies"].([]any)
	p["Policies"] = append(list, object{"PolicyName": "mutation", "PolicyDocument": object{"Version": "2012-10-17", "Statement": []any{st}}})
}

// group is the rule of a web ACL with a managed group.
func (s set) group(name string) object {
	for _, r := range s.props("AWS::WAFv2::WebACL", "")["Rules"].([]any) {
		if g, ok := dig(r, "Statement", "ManagedRuleGroupStatement").(object); ok && g["Name"] == name {
			return r.(object)
		}
	}
	panic("no group " + name)
}

func (s set) rule(name string) object {
	for _, r := range s.props("AWS::WAFv2::WebACL", "")["Rules"].([]any) {
		if r.(object)["Name"] == name {
			return r.(object)
		}
	}
	panic("no rule " + name)
}

func count(names ...string) []any {
	var out []any
	for _, n := range names {
		out = append(out, object{"Name": n, "ActionToUse": object{"Count": object{}}})
	}
	return out
}

// beside puts a resource into the stack of another.
func (s set) beside(id string, r object, typ, word string) {
	stack, _ := s.resource(typ, word)
	s[stack]["Resources"].(object)[id] = r
}

// subtle are ways to break a promise that look as if it were kept.
var subtle = []mutation{
	{id: "edge/waf-complete", what: "a rule before the groups lets a country pass", do: func(s set) {
		p := s.props("AWS::WAFv2::WebACL", "")
		for _, r := range p["Rules"].([]any) {
			r.(object)["Priority"] = r.(object)["Priority"].(float64) + 1
		}
		p["Rules"] = append(p["Rules"].([]any), object{"Name": "Friends", "Priority": 0, "Action": object{"Allow": object{}},
			"Statement": object{"GeoMatchStatement": object{"CountryCodes": []any{"US"}}}, "VisibilityConfig": object{"MetricName": "x", "CloudWatchMetricsEnabled": true, "SampledRequestsEnabled": false}})
	}},
	{id: "edge/waf-complete", what: "each rule of a group only counts", do: func(s set) {
		dig(s.group("AWSManagedRulesSQLiRuleSet"), "Statement", "ManagedRuleGroupStatement").(object)["RuleActionOverrides"] = count("SQLi_QUERYARGUMENTS", "SQLi_BODY", "SQLi_COOKIE")
	}},
	{id: "edge/waf-complete", what: "a rule of a group lets pass what it finds", do: func(s set) {
		dig(s.group("AWSManagedRulesCommonRuleSet"), "Statement", "ManagedRuleGroupStatement").(object)["RuleActionOverrides"] = []any{object{"Name": "GenericLFI_QUERYARGUMENTS", "ActionToUse": object{"Allow": object{}}}}
	}},
	{id: "edge/waf-complete", what: "the log drops what is refused", do: func(s set) {
		s.props("AWS::WAFv2::LoggingConfiguration", "")["LoggingFilter"] = object{"DefaultBehavior": "DROP", "Filters": []any{object{"Behavior": "KEEP", "Requirement": "MEETS_ANY", "Conditions": []any{object{"ActionCondition": object{"Action": "ALLOW"}}}}}}
	}},
	{id: "edge/waf-complete", what: "the log drops everything", do: func(s set) {
		s.props("AWS::WAFv2::LoggingConfiguration", "")["LoggingFilter"] = object{"DefaultBehavior": "DROP", "Filters": []any{object{"Behavior": "DROP", "Requirement": "MEETS_ANY", "Conditions": []any{object{"ActionCondition": object{"Action": "BLOCK"}}}}}}
	}},
	{id: "edge/waf-complete", what: "the rate rule looks at one page only", do: func(s set) {
		dig(s.rule("Rate"), "Statement", "RateBasedStatement").(object)["ScopeDownStatement"] = object{"ByteMatchStatement": object{"SearchString": "/login", "FieldToMatch": object{"UriPath": object{}}, "PositionalConstraint": "EXACTLY", "TextTransformations": []any{object{"Priority": 0, "Type": "NONE"}}}}
	}},
	{id: "edge/waf-complete", what: "the rate rule's limit is none", do: func(s set) {
		dig(s.rule("Rate"), "Statement", "RateBasedStatement").(object)["Limit"] = 2000000000
	}},
	{id: "edge/waf-complete", what: "a group of that name is another vendor's", do: func(s set) {
		dig(s.group("AWSManagedRulesCommonRuleSet"), "Statement", "ManagedRuleGroupStatement").(object)["VendorName"] = "Other"
	}},
	{id: "people/cis-4-1", what: "the filters read another log", do: func(s set) {
		for _, st := range s {
			for _, r := range st["Resources"].(object) {
				if r := r.(object); r["Type"] == "AWS::Logs::MetricFilter" {
					r["Properties"].(object)["LogGroupName"] = "some-other-log"
				}
			}
		}
	}},
	{id: "people/cis-4-5", what: "the filter sees one address only", do: func(s set) {
		p := s.props("AWS::Logs::MetricFilter", "CloudTrailChanges")
		p["FilterPattern"] = "{ (" + strings.Trim(p["FilterPattern"].(string), "{} ") + ") && ($.sourceIPAddress = \"192.0.2.1\") }"
	}},
	{id: "people/cis-4-5", what: "the filter sees another service's events", do: func(s set) {
		p := s.props("AWS::Logs::MetricFilter", "CloudTrailChanges")
		p["FilterPattern"] = "{ (" + strings.Trim(p["FilterPattern"].(string), "{} ") + ") && ($.eventSource = \"ec2.amazonaws.com\") }"
	}},
	{id: "people/cis-4-5", what: "the alarm rings after a million", do: func(s set) {
		s.props("AWS::CloudWatch::Alarm", "CloudTrailChanges")["Threshold"] = 1000000
	}},
	{id: "people/cis-4-5", what: "the alarm rings when nothing happens", do: func(s set) {
		s.props("AWS::CloudWatch::Alarm", "CloudTrailChanges")["ComparisonOperator"] = "LessThanThreshold"
	}},
	{id: "people/cis-3-1", what: "a trail of data events only", do: func(s set) {
		p := s.props("AWS::CloudTrail::Trail", "")
		delete(p, "EventSelectors")
		p["AdvancedEventSelectors"] = []any{object{"FieldSelectors": []any{object{"Field": "eventCategory", "Equals": []any{"Data"}}, object{"Field": "resources.type", "Equals": []any{"AWS::S3::Object"}}}}}
	}},
	{id: "people/evidence-kept", what: "a trail of data events only", do: func(s set) {
		p := s.props("AWS::CloudTrail::Trail", "")
		delete(p, "EventSelectors")
		p["AdvancedEventSelectors"] = []any{object{"FieldSelectors": []any{object{"Field": "eventCategory", "Equals": []any{"Data"}}, object{"Field": "resources.type", "Equals": []any{"AWS::S3::Object"}}}}}
	}},
	{id: "people/evidence-kept", what: "fleet may stop the trail over TLS", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "cloudtrail:StopLogging", "Resource": "*", "Condition": object{"Bool": object{"aws:SecureTransport": "true"}}}))
	}},
	{id: "people/evidence-kept", what: "fleet may do everything but S3", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"NotAction": "s3:*", "Resource": "*"}))
	}},
	{id: "people/no-escalation", what: "fleet may do everything but S3", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"NotAction": "s3:*", "Resource": "*"}))
	}},
	{id: "people/no-escalation", what: "everything, in other letters", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "*:*", "Resource": "*"}))
	}},
	{id: "people/cis-1-16", what: "everything, in other letters", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "*:*", "Resource": "*"}))
	}},
	{id: "people/cis-1-16", what: "a policy of everything that nobody has yet", do: func(s set) {
		s.beside("Mutation", object{"Type": "AWS::IAM::ManagedPolicy", "Properties": object{"PolicyDocument": object{"Version": "2012-10-17", "Statement": []any{statement("Allow", object{"Action": "*", "Resource": "*"})}}}}, "AWS::IAM::Role", "FleetRole")
	}},
	{id: "people/no-escalation", what: "everything but one resource", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "iam:*", "NotResource": "arn:aws:iam::123456789012:role/x"}))
	}},
	{id: "people/no-escalation", what: "AdministratorAccess by a policy beside the role", do: func(s set) {
		s.beside("Mutation", object{"Type": "AWS::IAM::ManagedPolicy", "Properties": object{"Roles": []any{object{"Ref": "FleetRole"}}, "PolicyDocument": object{"Version": "2012-10-17", "Statement": []any{statement("Allow", object{"Action": []any{"iam:P*"}, "Resource": "*"})}}}}, "AWS::IAM::Role", "FleetRole")
	}},
	{id: "people/no-escalation", what: "a role trusts everybody whose name matches *", do: func(s set) {
		s.allow("AWS::IAM::Role", "FleetRole", "AssumeRolePolicyDocument", statement("Allow", object{"Principal": object{"AWS": "*"}, "Action": "sts:AssumeRole", "Condition": object{"StringLike": object{"aws:PrincipalArn": "*"}}}))
	}},
	{id: "people/no-escalation", what: "a role trusts all of GitHub", do: func(s set) {
		s.allow("AWS::IAM::Role", "FleetRole", "AssumeRolePolicyDocument", statement("Allow", object{"Principal": object{"Federated": "arn:aws:iam::123456789012:oidc-provider/token.actions.githubusercontent.com"}, "Action": "sts:AssumeRoleWithWebIdentity", "Condition": object{"StringEquals": object{"token.actions.githubusercontent.com:aud": "sts.amazonaws.com"}}}))
	}},
	{id: "people/no-escalation", what: "fleet may take the limit off a role", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "ssm:SendCommand", "Resource": "*"}))
	}},
	{id: "instance/compartments", what: "fleet may send commands to any instance", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "ssm:SendCommand", "Resource": "*"}))
	}},
	{id: "instance/compartments", what: "fleet may begin sessions on any instance", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "ssm:StartSession", "Resource": "*"}))
	}},
	{id: "instance/compartments", what: "admin's role trusts fleet's", do: func(s set) {
		s.allow("AWS::IAM::Role", "AdminRole", "AssumeRolePolicyDocument", statement("Allow", object{"Principal": object{"AWS": object{"Fn::GetAtt": []any{"FleetRole", "Arn"}}}, "Action": "sts:AssumeRole"}))
	}},
	{id: "files/buckets-private", what: "another account reads a bucket", do: func(s set) {
		s.allow("AWS::S3::BucketPolicy", "TrailBucket", "PolicyDocument", statement("Allow", object{"Principal": object{"AWS": "arn:aws:iam::999999999999:root"}, "Action": "s3:GetObject", "Resource": "*"}))
	}},
	{id: "files/buckets-private", what: "everybody whose source's name matches *", do: func(s set) {
		s.allow("AWS::S3::BucketPolicy", "TrailBucket", "PolicyDocument", statement("Allow", object{"Principal": "*", "Action": "s3:GetObject", "Resource": "*", "Condition": object{"ArnLike": object{"aws:SourceArn": "*"}}}))
	}},
	{id: "files/buckets-private", what: "everybody whose account is ours, if it has one", do: func(s set) {
		s.allow("AWS::S3::BucketPolicy", "TrailBucket", "PolicyDocument", statement("Allow", object{"Principal": "*", "Action": "s3:GetObject", "Resource": "*", "Condition": object{"StringEqualsIfExists": object{"aws:SourceAccount": object{"Ref": "AWS::AccountId"}}}}))
	}},
	{id: "files/buckets-private", what: "everybody who has no organization", do: func(s set) {
		s.allow("AWS::S3::BucketPolicy", "TrailBucket", "PolicyDocument", statement("Allow", object{"Principal": "*", "Action": "s3:GetObject", "Resource": "*", "Condition": object{"Null": object{"aws:PrincipalOrgID": "true"}}}))
	}},
	{id: "files/buckets-private", what: "a second policy on a bucket, by its name", do: func(s set) {
		s.props("AWS::S3::Bucket", "TrailBucket")["BucketName"] = "the-trail-bucket"
		s.beside("Mutation", object{"Type": "AWS::S3::BucketPolicy", "Properties": object{"Bucket": "the-trail-bucket", "PolicyDocument": object{"Version": "2012-10-17", "Statement": []any{statement("Allow", object{"Principal": "*", "Action": "s3:GetObject", "Resource": "*"})}}}}, "AWS::IAM::Role", "FleetRole")
	}},
	{id: "files/buckets-private", what: "everybody, in AWS's list form", do: func(s set) {
		s.allow("AWS::S3::BucketPolicy", "TrailBucket", "PolicyDocument", statement("Allow", object{"Principal": object{"AWS": []any{"*"}}, "Action": "s3:Get*", "Resource": "*"}))
	}},
	{id: "files/buckets-private", what: "a canonical user", do: func(s set) {
		s.allow("AWS::S3::BucketPolicy", "TrailBucket", "PolicyDocument", statement("Allow", object{"Principal": object{"CanonicalUser": "79a59df900b949e55d96a1e698fbacedfd6e09d98eacf8f8d5218e7cd47ef2be"}, "Action": "s3:Get*", "Resource": "*"}))
	}},
	{id: "files/fleet-cannot-write", what: "the file system's policy allows all but root", do: func(s set) {
		s.props("AWS::EFS::FileSystem", "")["FileSystemPolicy"] = object{"Version": "2012-10-17", "Statement": []any{}}
		s.allow("AWS::EFS::FileSystem", "", "FileSystemPolicy", statement("Allow", object{"Principal": "*", "NotAction": "elasticfilesystem:ClientRootAccess"}))
	}},
	{id: "files/fleet-cannot-write", what: "fleet may change the file system's policy", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "elasticfilesystem:PutFileSystemPolicy", "Resource": "*"}))
	}},
	{id: "files/fleet-cannot-write", what: "fleet may take the file system's policy away", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "elasticfilesystem:Delete*", "Resource": "*"}))
	}},
	{id: "people/secrets-closed", what: "a function reads every secret", do: func(s set) {
		s.give("KeeperRole", statement("Allow", object{"Action": "secretsmanager:*", "Resource": "*"}))
	}},
	{id: "people/secrets-closed", what: "fleet reads whatever begins with Get", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "secretsmanager:Get*", "Resource": "*"}))
	}},
	{id: "people/secrets-closed", what: "a secret's policy lets another account in", do: func(s set) {
		s.allow("AWS::SecretsManager::ResourcePolicy", "AdminSecret", "ResourcePolicy", statement("Allow", object{"Principal": object{"AWS": "arn:aws:iam::999999999999:root"}, "Action": "secretsmanager:GetSecretValue", "Resource": "*"}))
	}},
	{id: "people/secrets-closed", what: "fleet may change a secret's policy", do: func(s set) {
		s.give("FleetRole", statement("Allow", object{"Action": "secretsmanager:PutResourcePolicy", "Resource": "*"}))
	}},
	{id: "instance/egress-and-metadata", what: "an endpoint passes all but one action", do: func(s set) {
		s.props("AWS::EC2::VPCEndpoint", "Secretsmanager")["PolicyDocument"] = object{"Statement": []any{statement("Allow", object{"Principal": "*", "NotAction": "secretsmanager:DeleteSecret", "Resource": "*"})}}
	}},
	{id: "instance/egress-and-metadata", what: "an endpoint passes everything over TLS", do: func(s set) {
		s.props("AWS::EC2::VPCEndpoint", "Secretsmanager")["PolicyDocument"] = object{"Statement": []any{statement("Allow", object{"Principal": "*", "Action": "*", "Resource": "*", "Condition": object{"Bool": object{"aws:SecureTransport": "true"}}})}}
	}},
	{id: "instance/egress-and-metadata", what: "fleet may send anything to half of the internet", do: func(s set) {
		p := s.props("AWS::EC2::SecurityGroup", "FleetGroup")
		p["SecurityGroupEgress"] = append(p["SecurityGroupEgress"].([]any), object{"CidrIp": "128.0.0.0/1", "IpProtocol": "udp", "FromPort": 53, "ToPort": 53})
	}},
	{id: "instance/egress-and-metadata", what: "IMDSv2 is optional in a template that some instances have", do: func(s set) {
		_, fleet := s.resource("AWS::EC2::LaunchTemplate", "Fleet")
		other := object{"Type": "AWS::EC2::LaunchTemplate", "Properties": object{"LaunchTemplateData": object{}}}
		for k, v := range dig(fleet, "Properties", "LaunchTemplateData").(object) {
			dig(other, "Properties", "LaunchTemplateData").(object)[k] = v
		}
		delete(dig(other, "Properties", "LaunchTemplateData").(object), "MetadataOptions")
		s.beside("FleetOther", other, "AWS::EC2::LaunchTemplate", "Fleet")
		p := s.props("AWS::AutoScaling::AutoScalingGroup", "Fleet")
		p["MixedInstancesPolicy"] = object{"LaunchTemplate": object{"LaunchTemplateSpecification": p["LaunchTemplate"],
			"Overrides": []any{object{"InstanceType": "t4g.small", "LaunchTemplateSpecification": object{"LaunchTemplateId": object{"Ref": "FleetOther"}, "Version": "1"}}}}}
		delete(p, "LaunchTemplate")
	}},
	{id: "database/isolated", what: "a route to an appliance behind an endpoint", do: func(s set) {
		s.add("AWS::EC2::RouteTable", "MutationRoute", object{"Type": "AWS::EC2::Route", "Properties": object{
			"RouteTableId": object{"Ref": idOf(s, "AWS::EC2::RouteTable", "Isolated")}, "DestinationCidrBlock": "0.0.0.0/0", "VpcEndpointId": "vpce-1"}})
	}},
	{id: "database/isolated", what: "a route over IPv6 out", do: func(s set) {
		s.add("AWS::EC2::RouteTable", "MutationRoute", object{"Type": "AWS::EC2::Route", "Properties": object{
			"RouteTableId": object{"Ref": idOf(s, "AWS::EC2::RouteTable", "Isolated")}, "DestinationIpv6CidrBlock": "::/0", "EgressOnlyInternetGatewayId": "eigw-1"}})
	}},
	{id: "database/isolated", what: "TLS is required, says a group with off", do: func(s set) {
		s.props("AWS::RDS::DBParameterGroup", "")["Parameters"].(object)["require_secure_transport"] = "OFF"
	}},
	{id: "database/isolated", what: "the database takes a range of ports from fleet", do: func(s set) {
		p := s.props("AWS::EC2::SecurityGroupIngress", "DatabaseGroupFromFleetGroup")
		p["ToPort"] = 3307
	}},
	{id: "database/restorable", what: "the selection leaves the database out", do: func(s set) {
		b := s.props("AWS::Backup::BackupSelection", "")["BackupSelection"].(object)
		b["Resources"] = []any{"*"}
		b["NotResources"] = []any{"arn:aws:rds:*:*:db:*"}
		delete(b, "ListOfTags")
		delete(b, "Conditions")
	}},
	{id: "database/restorable", what: "the plan keeps in another vault than the locked one", do: func(s set) {
		for _, r := range dig(s.props("AWS::Backup::BackupPlan", ""), "BackupPlan", "BackupPlanRule").([]any) {
			r.(object)["TargetBackupVault"] = "Default"
		}
	}},
	{id: "database/restorable", what: "the distribution has CloudFront's own certificate", do: func(s set) {
		v := dig(s.props("AWS::CloudFront::Distribution", ""), "DistributionConfig", "ViewerCertificate").(object)
		delete(v, "AcmCertificateArn")
		v["CloudFrontDefaultCertificate"] = true
	}},
	{id: "database/restorable", what: "a rule of a plain listener forwards", do: func(s set) {
		s.beside("Plain", object{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": object{"LoadBalancerArn": object{"Ref": "Balancer"}, "Port": 80, "Protocol": "HTTP", "DefaultActions": []any{object{"Type": "fixed-response", "FixedResponseConfig": object{"StatusCode": "403"}}}}}, "AWS::ElasticLoadBalancingV2::Listener", "")
		s.props("AWS::ElasticLoadBalancingV2::ListenerRule", "FleetRule")["ListenerArn"] = object{"Ref": "Plain"}
	}},
	{id: "database/restorable", what: "CloudFront asks the balancer in plain HTTP", do: func(s set) {
		for _, st := range s {
			for _, r := range st["Resources"].(object) {
				r := r.(object)
				if r["Type"] == "AWS::CloudFront::VpcOrigin" {
					dig(r, "Properties", "VpcOriginEndpointConfig").(object)["OriginProtocolPolicy"] = "http-only"
				}
			}
		}
	}},
	{id: "balancer/admin-selection", what: "the admin's mark is a pattern", do: func(s set) {
		for _, c := range s.props("AWS::ElasticLoadBalancingV2::ListenerRule", "AdminRule")["Conditions"].([]any) {
			if h, ok := dig(c, "HttpHeaderConfig").(object); ok && h["HttpHeaderName"] == "X-Ringwall-Tier" {
				h["Values"] = []any{"a*"}
			}
		}
	}},
	{id: "balancer/only-our-distribution", what: "a second listener forwards by itself", do: func(s set) {
		s.beside("Second", object{"Type": "AWS::ElasticLoadBalancingV2::Listener", "Properties": object{"LoadBalancerArn": object{"Ref": "Balancer"}, "Port": 8443, "Protocol": "HTTPS", "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06", "DefaultActions": []any{object{"Type": "forward", "ForwardConfig": object{"TargetGroups": []any{object{"TargetGroupArn": object{"Ref": "FleetTargets"}}}}}}}}, "AWS::ElasticLoadBalancingV2::Listener", "")
	}},
	{id: "vpc/cis-5-2", what: "a group takes SSH from both halves of the internet", do: func(s set) {
		for _, b := range []string{"0.0.0.0/1", "128.0.0.0/1"} {
			s.ingress("DatabaseGroup", object{"CidrIp": b, "IpProtocol": "6", "FromPort": 0, "ToPort": 65535})
		}
	}},
	{id: "vpc/cis-5-5", what: "a route leads to more than all of a peer", do: func(s set) {
		s.add("AWS::EC2::RouteTable", "MutationPeer", object{"Type": "AWS::EC2::VPCPeeringConnection", "Properties": object{"VpcId": object{"Ref": "Vpc"}, "PeerVpcId": "vpc-1"}})
		s.add("AWS::EC2::RouteTable", "MutationRoute", object{"Type": "AWS::EC2::Route", "Properties": object{"RouteTableId": object{"Ref": idOf(s, "AWS::EC2::RouteTable", "Private")},
			"DestinationCidrBlock": "172.16.0.0/12", "VpcPeeringConnectionId": object{"Ref": "MutationPeer"}}})
	}},
	{id: "vpc/cis-5-5", what: "a route over IPv6 leads to all of a peer", do: func(s set) {
		s.add("AWS::EC2::RouteTable", "MutationPeer", object{"Type": "AWS::EC2::VPCPeeringConnection", "Properties": object{"VpcId": object{"Ref": "Vpc"}, "PeerVpcId": "vpc-1"}})
		s.add("AWS::EC2::RouteTable", "MutationRoute", object{"Type": "AWS::EC2::Route", "Properties": object{"RouteTableId": object{"Ref": idOf(s, "AWS::EC2::RouteTable", "Private")},
			"DestinationIpv6CidrBlock": "2001:db8::/56", "VpcPeeringConnectionId": object{"Ref": "MutationPeer"}}})
	}},
	{id: "vpc/cis-3-9", what: "the flow log has only what is let through", do: func(s set) {
		s.props("AWS::EC2::FlowLog", "")["TrafficType"] = "ACCEPT"
	}},
	{id: "files/cis-2-1-2", what: "plain HTTP is refused for one kind of request only", do: func(s set) {
		for _, x := range s.props("AWS::S3::BucketPolicy", "TrailBucket")["PolicyDocument"].(object)["Statement"].([]any) {
			if x.(object)["Effect"] == "Deny" {
				x.(object)["Action"] = "s3:GetObject"
			}
		}
	}},
	{id: "database/cis-2-3-2", what: "minor upgrades are as a parameter says", do: func(s set) {
		stack, r := s.resource("AWS::RDS::DBInstance", "")
		s[stack]["Parameters"] = object{"Up": object{"Type": "String"}}
		r["Properties"].(object)["AutoMinorVersionUpgrade"] = object{"Ref": "Up"}
	}},
	{id: "people/cis-3-8", what: "rotation is as a condition says", do: func(s set) {
		stack, r := s.resource("AWS::KMS::Key", "")
		s[stack]["Parameters"] = object{"Up": object{"Type": "String", "Default": "yes"}}
		s[stack]["Conditions"] = object{"U": object{"Fn::Equals": []any{object{"Ref": "Up"}, "yes"}}}
		r["Properties"].(object)["EnableKeyRotation"] = object{"Fn::If": []any{"U", true, object{"Ref": "AWS::NoValue"}}}
	}},
	{id: "people/evidence-kept", what: "a key is everybody's", do: func(s set) {
		s.allow("AWS::KMS::Key", "LogsKey", "KeyPolicy", statement("Allow", object{"Principal": "*", "Action": "kms:*", "Resource": "*"}))
	}},
	{id: "balancer/admin-selection", what: "the function is for answers only", do: func(s set) {
		for _, a := range dig(s.props("AWS::CloudFront::Distribution", ""), "DistributionConfig", "DefaultCacheBehavior", "FunctionAssociations").([]any) {
			a.(object)["EventType"] = "viewer-response"
		}
	}},
	{id: "people/secrets-closed", what: "a password is written into user data", do: func(s set) {
		s.userData("#!/bin/bash\nexport MYSQL_ROOT_PASSWORD=Sup3rSecret1\n")
	}},
	{id: "people/secrets-closed", what: "a token is written into a container's environment", do: func(s set) {
		s.beside("Task", object{"Type": "AWS::ECS::TaskDefinition", "Properties": object{"ContainerDefinitions": []any{object{"Name": "x", "Image": "x", "Environment": []any{object{"Name": "API_TOKEN", "Value": "abcdefgh12345678"}}}}}}, "AWS::IAM::Role", "FleetRole")
	}},
	{id: "people/secrets-closed", what: "a password is written into a parameter store", do: func(s set) {
		s.beside("Stored", object{"Type": "AWS::SSM::Parameter", "Properties": object{"Type": "String", "Name": "/wp/db_password", "Value": "abcdefgh12345678"}}, "AWS::IAM::Role", "FleetRole")
	}},
	{id: "people/cis-3-10", what: "writes to one bucket only are recorded", do: func(s set) {
		p := s.props("AWS::CloudTrail::Trail", "")
		p["EventSelectors"] = []any{object{"ReadWriteType": "All", "IncludeManagementEvents": true, "DataResources": []any{object{"Type": "AWS::S3::Object", "Values": []any{"arn:aws:s3:::one-bucket/"}}}}}
	}},
	{id: "people/cis-3-11", what: "reads of one bucket only are recorded", do: func(s set) {
		p := s.props("AWS::CloudTrail::Trail", "")
		delete(p, "EventSelectors")
		p["AdvancedEventSelectors"] = []any{object{"FieldSelectors": []any{object{"Field": "eventCategory", "Equals": []any{"Management"}}}},
			object{"FieldSelectors": []any{object{"Field": "eventCategory", "Equals": []any{"Data"}}, object{"Field": "resources.type", "Equals": []any{"AWS::S3::Object"}}, object{"Field": "resources.ARN", "StartsWith": []any{"arn:aws:s3:::one/"}}}}}
	}},
	{id: "people/cis-3-5", what: "the recorder leaves out what is global", do: func(s set) {
		s.props("AWS::Config::ConfigurationRecorder", "")["RecordingGroup"] = object{"AllSupported": true, "IncludeGlobalResourceTypes": false}
	}},
	{id: "balancer/admin-selection", what: "the function's line is a comment", do: func(s set) {
		s.function(func(code string) string {
			return "function handler(event) {\n  // event.request.headers['x-ringwall-tier'] = {value: 'fleet'};\n  return event.request;\n}\n"
		})
	}},
	{id: "balancer/admin-selection", what: "the function sets the header on one path", do: func(s set) {
		s.function(func(string) string {
			return "function handler(event) {\n  var request = event.request;\n  if (request.uri === '/x') {\n    request.headers['x-ringwall-tier'] = {value: 'fleet'};\n  }\n  return request;\n}\n"
		})
	}},
	{id: "balancer/admin-selection", what: "the function returns before it sets the header", do: func(s set) {
		s.function(func(string) string {
			return "function handler(event) {\n  var request = event.request;\n  if (request.method === 'OPTIONS') return request;\n  request.headers['x-ringwall-tier'] = {value: 'fleet'};\n  return request;\n}\n"
		})
	}},
	{id: "balancer/admin-selection", what: "the function sets the header to what the viewer sent", do: func(s set) {
		s.function(func(string) string {
			return "function handler(event) {\n  var request = event.request;\n  var was = request.headers['x-ringwall-tier'];\n  request.headers['x-ringwall-tier'] = {value: was ? was.value : 'fleet'};\n  return request;\n}\n"
		})
	}},
	{id: "balancer/admin-selection", what: "another function that nobody calls sets the header", do: func(s set) {
		s.function(func(string) string {
			return "function set(request) {\n  request.headers['x-ringwall-tier'] = {value: 'fleet'};\n}\nfunction handler(event) {\n  return event.request;\n}\n"
		})
	}},
	{id: "instance/only-the-balancer", what: "a function has the balancer's group", do: func(s set) {
		v := s.props("AWS::Lambda::Function", "Keeper")["VpcConfig"].(object)
		s.beside("Beside", object{"Type": "AWS::Lambda::Function", "Properties": object{"Role": "x", "Code": object{"ZipFile": "x"}, "VpcConfig": object{"SubnetIds": v["SubnetIds"], "SecurityGroupIds": []any{object{"Fn::ImportValue": s.exportOf("BalancerGroup")}}}}}, "AWS::Lambda::Function", "Keeper")
	}},
	{id: "files/fleet-cannot-write", what: "fleet's instance profile is somebody else's", do: func(s set) {
		_, r := s.resource("AWS::EC2::LaunchTemplate", "Fleet")
		dig(r, "Properties", "LaunchTemplateData").(object)["IamInstanceProfile"] = object{"Name": "their-profile"}
	}},
	{id: "people/secrets-closed", what: "fleet's instance profile is somebody else's", do: func(s set) {
		_, r := s.resource("AWS::EC2::LaunchTemplate", "Fleet")
		dig(r, "Properties", "LaunchTemplateData").(object)["IamInstanceProfile"] = object{"Name": "their-profile"}
	}},
	{id: "host/first-start", what: "a download is run from a file, unread", do: func(s set) {
		s.userData("#!/bin/bash\ncurl -sLo /tmp/x https://example.com/setup && bash /tmp/x\n")
	}},
	{id: "host/first-start", what: "a download is run by substitution", do: func(s set) {
		s.userData("#!/bin/bash\nbash <(curl -sL https://example.com/setup)\nsh -c \"$(curl -fsSL https://example.com/i)\"\n")
	}},
	{id: "host/first-start", what: "an image of Amazon Linux 2 by its name in the store", do: func(s set) {
		_, r := s.resource("AWS::EC2::LaunchTemplate", "Fleet")
		dig(r, "Properties", "LaunchTemplateData").(object)["ImageId"] = "{{resolve:ssm:/aws/service/ami-amazon-linux-latest/amzn2-ami-hvm-x86_64-gp2}}"
	}},
	{id: "vpc/internet-reach", what: "the balancer's group takes a part of the internet over IPv6", do: func(s set) {
		s.ingress("BalancerGroup", object{"CidrIpv6": "2000::/3", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443})
	}},
	{id: "database/isolated", what: "another table for a database's subnet, from another stack", do: func(s set) {
		s.add("AWS::EC2::RouteTable", "Peer", object{"Type": "AWS::EC2::Route", "Properties": object{"RouteTableId": object{"Ref": idOf(s, "AWS::EC2::RouteTable", "Isolated")}, "DestinationCidrBlock": "192.168.0.0/16", "TransitGatewayId": "tgw-1"}})
	}},
}

// userData is what fleet's instances run.
func (s set) userData(text string) {
	dig(s.props("AWS::EC2::LaunchTemplate", "Fleet"), "LaunchTemplateData").(object)["UserData"] = object{"Fn::Base64": text}
}

// function changes the code that the edge runs for a request.
func (s set) function(f func(string) string) {
	p := s.props("AWS::CloudFront::Function", "Request")
	code, _ := p["FunctionCode"].(string)
	p["FunctionCode"] = f(code)
}

// exportOf is the name under which a stack exports something of a resource.
func (s set) exportOf(id string) string {
	for _, st := range s {
		outputs, _ := st["Outputs"].(object)
		for _, o := range outputs {
			if name, ok := dig(o, "Export").(object); ok && strings.Contains(fmt.Sprint(dig(o, "Value")), id) {
				return fmt.Sprint(name["Name"])
			}
		}
	}
	panic("nothing of " + id + " is exported")
}

// TestSubtleMutations: what looks as if a promise were kept is never held.
func TestSubtleMutations(t *testing.T) {
	p := sitePlan(t)
	site := build(t, p)
	for _, m := range subtle {
		s := decode(t, site)
		m.do(s)
		r, ok := judge(t, p, s)[m.id]
		switch {
		case !ok:
			t.Errorf("%s, %s: not judged", m.id, m.what)
		case r.Verdict == perimeter.Held:
			t.Errorf("%s, %s: got %s (%v)", m.id, m.what, r.Verdict, r.Evidence)
		default:
			t.Logf("%-32s %-8s %s: %v", m.id, r.Verdict, m.what, first(r.Evidence))
		}
	}
}

func first(list []string) string {
	if len(list) == 0 {
		return ""
	}
	return list[0]
}
