package diff

import (
	"fmt"

	"github.com/ringwall/ringwall/internal/template"
)

// reachSettings open or filter a way to something, where no graph of connections can tell.
func reachSettings() []setting {
	return []setting{
		{"AWS::ElasticLoadBalancingV2::LoadBalancer", "Scheme", "reach", ranked("internet-facing", "internal"), true},
		{"AWS::ElasticLoadBalancingV2::Listener", "DefaultActions", "reach", same, false},
		{"AWS::ElasticLoadBalancingV2::ListenerRule", "Conditions", "reach", set, false},
		{"AWS::ElasticLoadBalancingV2::ListenerRule", "Actions", "reach", same, false},
		{"AWS::ElasticLoadBalancingV2::ListenerRule", "Priority", "reach", same, false},
		{"AWS::EC2::Subnet", "MapPublicIpOnLaunch", "reach", untruth(false), true},
		{"AWS::RDS::DBInstance", "PubliclyAccessible", "reach", untruth(false), true},
		{"AWS::RDS::DBCluster", "PubliclyAccessible", "reach", untruth(false), true},
		{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/NetworkInterfaces[*]/AssociatePublicIpAddress", "reach", untruth(false), true},
		{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/KeyName", "reach", absent, true},
		{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/SecurityGroupIds", "reach", same, false},
		{"AWS::EC2::VPCEndpoint", "PolicyDocument", "reach", present, false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/WebACLId", "reach", present, true},
		{"AWS::CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/FunctionAssociations", "reach", set, false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/CachePolicyId", "reach", same, false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/CacheBehaviors", "reach", same, false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/Origins", "reach", same, false},
		{"AWS::CloudFront::Distribution", "DistributionConfig/Restrictions/GeoRestriction", "reach", same, false},
		{"AWS::CloudFront::CachePolicy", "CachePolicyConfig", "reach", same, false},
		{"AWS::CloudFront::Function", "FunctionCode", "reach", same, false},
		{"AWS::WAFv2::WebACL", "DefaultAction", "reach", same, false},
		{"AWS::WAFv2::WebACL", "Rules", "reach", webACL, false},
		{"AWS::WAFv2::IPSet", "Addresses", "reach", same, false},
		{"AWS::EC2::PrefixList", "Entries", "reach", same, false},
		{"AWS::S3::Bucket", "PublicAccessBlockConfiguration/BlockPublicAcls", "reach", truth(false), true},
		{"AWS::S3::Bucket", "PublicAccessBlockConfiguration/BlockPublicPolicy", "reach", truth(false), true},
		{"AWS::S3::Bucket", "PublicAccessBlockConfiguration/IgnorePublicAcls", "reach", truth(false), true},
		{"AWS::S3::Bucket", "PublicAccessBlockConfiguration/RestrictPublicBuckets", "reach", truth(false), true},
		{"AWS::S3::Bucket", "WebsiteConfiguration", "reach", absent, true},
		{"AWS::Lambda::Url", "AuthType", "reach", ranked("NONE", "AWS_IAM"), true},
	}
}

// accessSettings give rights without a policy.
func accessSettings() []setting {
	return []setting{
		{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/MetadataOptions/HttpTokens", "access", ranked("optional", "required"), true},
		{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/MetadataOptions/HttpPutResponseHopLimit", "access", fewer(1), true},
		{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/IamInstanceProfile", "access", same, false},
		{"AWS::RDS::DBInstance", "EnableIAMDatabaseAuthentication", "access", truth(false), false},
		{"AWS::RDS::DBCluster", "EnableIAMDatabaseAuthentication", "access", truth(false), false},
		{"AWS::S3::Bucket", "OwnershipControls/Rules[*]/ObjectOwnership", "access", ranked("ObjectWriter", "BucketOwnerPreferred", "BucketOwnerEnforced"), false},
		{"AWS::S3::Bucket", "AccessControl", "access", absent, true},
		{"AWS::EFS::AccessPoint", "PosixUser", "access", same, false},
		{"AWS::IAM::InstanceProfile", "Roles", "access", same, false},
		{"AWS::Lambda::Function", "Role", "access", same, false},
		{"AWS::SecretsManager::RotationSchedule", "RotationRules", "access", same, false},
	}
}

// webACL says that a rule that goes, or only counts from now on, is weaker, and that
// an added rule that blocks is stronger.
func webACL(before, after []*template.Value) direction {
	x, y := aclRules(before), aclRules(after)
	more, less := false, false
	for name, r := range x {
		s, ok := y[name]
		switch {
		case !ok, !r.counts && s.counts:
			less = true
		case r.counts && !s.counts:
			more = true
		case r.text != s.text:
			return unclear
		}
	}
	for name, s := range y {
		if _, ok := x[name]; !ok {
			if s.allows {
				return unclear
			}
			more = true
		}
	}
	switch {
	case less && more:
		return unclear
	case less:
		return weaker
	case more:
		return stronger
	}
	return unclear
}

type aclRule struct {
	counts, allows bool
	text           string
}

func aclRules(vs []*template.Value) map[string]aclRule {
	out := map[string]aclRule{}
	for _, v := range vs {
		for i, r := range v.List() {
			name := r.Get("Name").String()
			if name == "" {
				name = fmt.Sprint(i, r.Why())
			}
			out[name] = aclRule{
				counts: !r.Get("OverrideAction", "Count").Absent() || !r.Get("Action", "Count").Absent(),
				allows: !r.Get("Action", "Allow").Absent(),
				text:   canon(r),
			}
		}
	}
	return out
}
