package mutations

import (
	"fmt"
	"slices"
	"strings"
)

// cisMutations take down what a recommendation asks for. Invariants that ask for
// the same may break with them.
var cisMutations = slices.Concat([]mutation{
	{id: "people/cis-1-15", what: "a policy is given to a user", do: func(s set) {
		s.add("AWS::IAM::Role", "MutationPolicy", object{"Type": "AWS::IAM::Policy", "Properties": object{"PolicyName": "x", "Users": []any{"ann"},
			"PolicyDocument": object{"Version": "2012-10-17", "Statement": []any{object{"Effect": "Allow", "Action": "s3:ListAllMyBuckets", "Resource": "*"}}}}})
	}},
	{id: "people/cis-1-16", what: "a role is allowed everything", do: func(s set) { s.grant("FleetRole", "*", "*") }},
	{id: "people/cis-1-17", what: "no role may ask for support", do: func(s set) {
		for _, st := range s {
			for _, r := range st["Resources"].(object) {
				if p, ok := r.(object)["Properties"].(object); ok && strings.Contains(fmt.Sprint(p["ManagedPolicyArns"]), "AWSSupportAccess") {
					delete(p, "ManagedPolicyArns")
				}
			}
		}
	}},
	{id: "host/cis-1-18", what: "fleet has no instance profile", do: func(s set) {
		delete(dig(s.props("AWS::EC2::LaunchTemplate", "Fleet"), "LaunchTemplateData").(object), "IamInstanceProfile")
	}},
	{id: "people/cis-1-20", what: "there is no access analyzer", do: func(s set) { s.gone("AWS::AccessAnalyzer::Analyzer", "") }},
	{id: "files/cis-2-1-1", what: "a bucket does not say its encryption", do: func(s set) { delete(s.props("AWS::S3::Bucket", ""), "BucketEncryption") }},
	{id: "files/cis-2-1-2", what: "a bucket has no policy", do: func(s set) { s.gone("AWS::S3::BucketPolicy", "") }},
	{id: "people/cis-2-1-4", what: "Macie is paused", do: func(s set) {
		s.add("AWS::IAM::Role", "MutationMacie", object{"Type": "AWS::Macie::Session", "Properties": object{"Status": "PAUSED"}})
	}},
	{id: "files/cis-2-1-5", what: "a bucket has no public access block", do: func(s set) { delete(s.props("AWS::S3::Bucket", ""), "PublicAccessBlockConfiguration") }},
	{id: "database/cis-2-3-1", what: "the database is not encrypted", do: func(s set) { s.props("AWS::RDS::DBInstance", "")["StorageEncrypted"] = false }},
	{id: "database/cis-2-3-2", what: "minor upgrades are off", do: func(s set) { s.props("AWS::RDS::DBInstance", "")["AutoMinorVersionUpgrade"] = false }},
	{id: "database/cis-2-3-3", what: "the database has a public address", do: func(s set) { s.props("AWS::RDS::DBInstance", "")["PubliclyAccessible"] = true }},
	{id: "files/cis-2-4-1", what: "the file system is not encrypted", do: func(s set) { s.props("AWS::EFS::FileSystem", "")["Encrypted"] = false }},
	{id: "people/cis-3-1", what: "the trail records one Region", do: func(s set) { s.props("AWS::CloudTrail::Trail", "")["IsMultiRegionTrail"] = false }},
	{id: "people/cis-3-2", what: "the trail has no digests", do: func(s set) { s.props("AWS::CloudTrail::Trail", "")["EnableLogFileValidation"] = false }},
	{id: "people/cis-3-3", what: "the trail's bucket may be made public", do: func(s set) {
		for _, st := range s {
			for _, r := range st["Resources"].(object) {
				if r := r.(object); r["Type"] == "AWS::S3::Bucket" {
					dig(r, "Properties").(object)["PublicAccessBlockConfiguration"] = object{"BlockPublicAcls": false}
				}
			}
		}
	}},
	{id: "people/cis-3-4", what: "the trail is not delivered to a log group", do: func(s set) { delete(s.props("AWS::CloudTrail::Trail", ""), "CloudWatchLogsLogGroupArn") }},
	{id: "people/cis-3-5", what: "there is no recorder", do: func(s set) { s.gone("AWS::Config::ConfigurationRecorder", "") }},
	{id: "people/cis-3-6", what: "no bucket writes down who reads it", do: func(s set) {
		for _, st := range s {
			for _, r := range st["Resources"].(object) {
				if r := r.(object); r["Type"] == "AWS::S3::Bucket" {
					delete(r["Properties"].(object), "LoggingConfiguration")
				}
			}
		}
	}},
	{id: "people/cis-3-7", what: "the trail has no key", do: func(s set) { delete(s.props("AWS::CloudTrail::Trail", ""), "KMSKeyId") }},
	{id: "people/cis-3-8", what: "a key is never changed", do: func(s set) { s.props("AWS::KMS::Key", "")["EnableKeyRotation"] = false }},
	{id: "vpc/cis-3-9", what: "there are no flow logs", do: func(s set) { s.gone("AWS::EC2::FlowLog", "") }},
	{id: "people/cis-3-10", what: "writes to objects are not recorded", do: only("ReadOnly")},
	{id: "people/cis-3-11", what: "reads of objects are not recorded", do: only("WriteOnly")},
	{id: "people/cis-4-16", what: "there is no Security Hub", do: func(s set) { s.gone("AWS::SecurityHub::Hub", "") }},
	{id: "vpc/cis-5-1", what: "the default network ACL lets everything in", do: func(s set) { s.gone("AWS::EC2::NetworkAclEntry", "DefaultAclDenyIn") }},
	{id: "vpc/cis-5-2", what: "a group takes SSH from everywhere", do: func(s set) {
		s.ingress("DatabaseGroup", object{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 22, "ToPort": 22})
	}},
	{id: "vpc/cis-5-3", what: "a group takes everything from everywhere, over IPv6", do: func(s set) {
		s.ingress("DatabaseGroup", object{"CidrIpv6": "::/0", "IpProtocol": "-1"})
	}},
	{id: "vpc/cis-5-5", what: "a route leads to all of a peer", do: func(s set) {
		s.add("AWS::EC2::RouteTable", "MutationPeer", object{"Type": "AWS::EC2::VPCPeeringConnection", "Properties": object{"VpcId": object{"Ref": "Vpc"}, "PeerVpcId": "vpc-1"}})
		s.add("AWS::EC2::RouteTable", "MutationRoute", object{"Type": "AWS::EC2::Route", "Properties": object{"RouteTableId": object{"Ref": idOf(s, "AWS::EC2::RouteTable", "Private")},
			"DestinationCidrBlock": "10.0.0.0/8", "VpcPeeringConnectionId": object{"Ref": "MutationPeer"}}})
	}},
}, alarmMutations())

// only leaves a trail the data events of one kind.
func only(kind string) func(set) {
	return func(s set) {
		p := s.props("AWS::CloudTrail::Trail", "")
		delete(p, "AdvancedEventSelectors")
		p["EventSelectors"] = []any{object{"ReadWriteType": kind, "IncludeManagementEvents": true,
			"DataResources": []any{object{"Type": "AWS::S3::Object", "Values": []any{"arn:aws:s3"}}}}}
	}
}

// alarmMutations take each alarm's filter away.
func alarmMutations() []mutation {
	var out []mutation
	for i, word := range []string{"UnauthorizedApiCalls", "ConsoleSigninWithoutMfa", "RootUsage", "IamPolicyChanges", "CloudTrail", "Console", "Kms",
		"S3Bucket", "Config", "SecurityGroup", "Nacl", "Gateway", "RouteTable", "Vpc", "Organizations"} {
		out = append(out, mutation{id: fmt.Sprintf("people/cis-4-%d", i+1), what: "no filter sees it", do: func(s set) {
			_, r := s.resource("AWS::Logs::MetricFilter", alarmID(s, i+1, word))
			r["Type"] = "AWS::CloudFormation::WaitConditionHandle"
			delete(r, "Properties")
		}})
	}
	return out
}

// alarmID is the name of the filter of an alarm, by its description.
func alarmID(s set, n int, word string) string {
	for _, st := range s {
		for id, r := range st["Resources"].(object) {
			d, _ := dig(r, "Properties").(object)
			text, _ := d["AlarmDescription"].(string)
			if strings.Contains(text, fmt.Sprintf("4.%d:", n)) {
				return strings.TrimSuffix(id, "Alarm") + "Filter"
			}
		}
	}
	return word
}
