package diff

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A direction is where a setting goes.
type direction int

const (
	unclear direction = iota
	weaker
	stronger
)

// A scale orders the values of one setting. Both sides are everything that the
// setting's path leads to; an empty side is an absent setting, and a nil before is
// a resource that was not there.
type scale func(before, after []*template.Value) direction

// A setting guards something, and its values can be ordered.
type setting struct {
	typ, path string
	aspect    string
	scale     scale
	new       bool // judged on a new resource too, as if it had been at its strongest
}

// settings are looked at in this order. A path is made of names; a name with [*]
// is every item of a list, with [Key=x] the item of a list that has this Key.
var settings = []setting{
	// encryption
	{"AWS::RDS::DBInstance", "StorageEncrypted", "encryption", truth(false), false}, // a member of a cluster has its cluster's
	{"AWS::RDS::DBCluster", "StorageEncrypted", "encryption", truth(false), true},
	{"AWS::RDS::DBInstance", "KmsKeyId", "encryption", key, false},
	{"AWS::RDS::DBCluster", "KmsKeyId", "encryption", key, false},
	{"AWS::RDS::DBParameterGroup", "Parameters/rds.force_ssl", "encryption", truth(false), false},
	{"AWS::RDS::DBParameterGroup", "Parameters/require_secure_transport", "encryption", truth(false), false},
	{"AWS::RDS::DBClusterParameterGroup", "Parameters/rds.force_ssl", "encryption", truth(false), false},
	{"AWS::RDS::DBClusterParameterGroup", "Parameters/require_secure_transport", "encryption", truth(false), false},
	{"AWS::EFS::FileSystem", "Encrypted", "encryption", truth(false), true},
	{"AWS::EFS::FileSystem", "KmsKeyId", "encryption", key, false},
	{"AWS::S3::Bucket", "BucketEncryption/ServerSideEncryptionConfiguration[*]/ServerSideEncryptionByDefault/KMSMasterKeyID", "encryption", key, false},
	{"AWS::S3::Bucket", "BucketEncryption/ServerSideEncryptionConfiguration[*]/ServerSideEncryptionByDefault/SSEAlgorithm", "encryption", ranked("AES256", "aws:kms", "aws:kms:dsse"), false},
	{"AWS::SQS::Queue", "SqsManagedSseEnabled", "encryption", truth(true), true},
	{"AWS::SQS::Queue", "KmsMasterKeyId", "encryption", key, false},
	{"AWS::SNS::Topic", "KmsMasterKeyId", "encryption", key, false},
	{"AWS::DynamoDB::Table", "SSESpecification/SSEEnabled", "encryption", truth(false), false},
	{"AWS::Logs::LogGroup", "KmsKeyId", "encryption", key, false},
	{"AWS::CloudTrail::Trail", "KMSKeyId", "encryption", key, false},
	{"AWS::Backup::BackupVault", "EncryptionKeyArn", "encryption", key, false},
	{"AWS::SecretsManager::Secret", "KmsKeyId", "encryption", key, false},
	{"AWS::KMS::Key", "EnableKeyRotation", "encryption", truth(false), true},
	{"AWS::EC2::LaunchTemplate", "LaunchTemplateData/BlockDeviceMappings[*]/Ebs/Encrypted", "encryption", truth(false), true},
	{"AWS::ElasticLoadBalancingV2::Listener", "Protocol", "encryption", ranked("HTTP", "HTTPS"), false},
	{"AWS::ElasticLoadBalancingV2::Listener", "SslPolicy", "encryption", tlsPolicy, false},
	{"AWS::ElasticLoadBalancingV2::TargetGroup", "Protocol", "encryption", ranked("HTTP", "HTTPS"), false},
	{"AWS::CloudFront::Distribution", "DistributionConfig/ViewerCertificate/MinimumProtocolVersion", "encryption",
		ranked("SSLv3", "TLSv1", "TLSv1_2016", "TLSv1.1_2016", "TLSv1.2_2018", "TLSv1.2_2019", "TLSv1.2_2021", "TLSv1.2_2025", "TLSv1.3_2025"), false},
	{"AWS::CloudFront::Distribution", "DistributionConfig/DefaultCacheBehavior/ViewerProtocolPolicy", "encryption", ranked("allow-all", "redirect-to-https", "https-only"), true},
	{"AWS::CloudFront::Distribution", "DistributionConfig/CacheBehaviors[*]/ViewerProtocolPolicy", "encryption", ranked("allow-all", "redirect-to-https", "https-only"), true},
	{"AWS::CloudFront::Distribution", "DistributionConfig/Origins[*]/CustomOriginConfig/OriginProtocolPolicy", "encryption", ranked("http-only", "match-viewer", "https-only"), true},
	{"AWS::CloudFront::VpcOrigin", "VpcOriginEndpointConfig/OriginProtocolPolicy", "encryption", ranked("http-only", "match-viewer", "https-only"), true},

	// logging
	{"AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerAttributes[Key=access_logs.s3.enabled]/Value", "logging", truth(false), false},
	{"AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerAttributes[Key=access_logs.s3.bucket]/Value", "logging", present, false},
	{"AWS::CloudFront::Distribution", "DistributionConfig/Logging/Bucket", "logging", present, false},
	{"AWS::S3::Bucket", "LoggingConfiguration", "logging", present, false},
	{"AWS::RDS::DBInstance", "EnableCloudwatchLogsExports", "logging", set, false},
	{"AWS::RDS::DBCluster", "EnableCloudwatchLogsExports", "logging", set, false},
	{"AWS::Logs::LogGroup", "RetentionInDays", "logging", number(1 << 30), false}, // absent: for ever
	{"AWS::CloudTrail::Trail", "IsLogging", "logging", truth(true), true},
	{"AWS::CloudTrail::Trail", "IsMultiRegionTrail", "logging", truth(false), false},
	{"AWS::CloudTrail::Trail", "EnableLogFileValidation", "logging", truth(false), true},
	{"AWS::CloudTrail::Trail", "EventSelectors", "logging", present, false},
	{"AWS::CloudTrail::Trail", "S3BucketName", "logging", present, false},
	{"AWS::EC2::FlowLog", "TrafficType", "logging", ranked("ACCEPT", "ALL"), false},
	{"AWS::WAFv2::LoggingConfiguration", "LogDestinationConfigs", "logging", set, false},
	{"AWS::WAFv2::LoggingConfiguration", "RedactedFields", "logging", set, false},
	{"AWS::CloudWatch::Alarm", "AlarmActions", "logging", set, false},
	{"AWS::CloudWatch::Alarm", "ActionsEnabled", "logging", truth(true), true},

	// data
	{"AWS::RDS::DBInstance", "DeletionProtection", "data", truth(false), false},
	{"AWS::RDS::DBCluster", "DeletionProtection", "data", truth(false), false},
	{"AWS::RDS::DBInstance", "BackupRetentionPeriod", "data", number(1), false},
	{"AWS::RDS::DBCluster", "BackupRetentionPeriod", "data", number(1), false},
	{"AWS::RDS::DBInstance", "MultiAZ", "data", truth(false), false},
	{"AWS::EFS::FileSystem", "BackupPolicy/Status", "data", ranked("DISABLED", "ENABLED"), false},
	{"AWS::S3::Bucket", "VersioningConfiguration/Status", "data", ranked("Suspended", "Enabled"), false},
	{"AWS::S3::Bucket", "ObjectLockEnabled", "data", truth(false), false},
	{"AWS::S3::Bucket", "LifecycleConfiguration", "data", shorter, false},
	{"AWS::DynamoDB::Table", "DeletionProtectionEnabled", "data", truth(false), false},
	{"AWS::DynamoDB::Table", "PointInTimeRecoverySpecification/PointInTimeRecoveryEnabled", "data", truth(false), false},
	{"AWS::ElasticLoadBalancingV2::LoadBalancer", "LoadBalancerAttributes[Key=deletion_protection.enabled]/Value", "data", truth(false), false},
	{"AWS::Backup::BackupVault", "LockConfiguration", "data", present, false},
	{"AWS::Backup::BackupVault", "LockConfiguration/MinRetentionDays", "data", number(0), false},
	{"AWS::Backup::BackupPlan", "BackupPlan/BackupPlanRule[*]/Lifecycle/DeleteAfterDays", "data", number(1 << 30), false},
	{"AWS::Backup::BackupSelection", "BackupSelection", "data", present, false},
	{"AWS::KMS::Key", "PendingWindowInDays", "data", number(30), false},
	{"AWS::KMS::Key", "Enabled", "data", truth(true), true},

	// reach
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

	// access
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

// guards are resources that only exist to guard: without one there is less.
var guards = map[string][2]string{
	"AWS::EC2::FlowLog":                           {"logging", "the flow log"},
	"AWS::CloudTrail::Trail":                      {"logging", "the trail"},
	"AWS::WAFv2::LoggingConfiguration":            {"logging", "the WAF's log"},
	"AWS::Logs::LogGroup":                         {"logging", "the log group"},
	"AWS::Logs::MetricFilter":                     {"logging", "the metric filter"},
	"AWS::Logs::Delivery":                         {"logging", "the delivery of logs"},
	"AWS::CloudWatch::Alarm":                      {"logging", "the alarm"},
	"AWS::SNS::Subscription":                      {"logging", "the subscription to alarms"},
	"AWS::Config::ConfigurationRecorder":          {"logging", "the recorder"},
	"AWS::GuardDuty::Detector":                    {"logging", "the detector"},
	"AWS::SecurityHub::Hub":                       {"logging", "the hub"},
	"AWS::AccessAnalyzer::Analyzer":               {"logging", "the access analyzer"},
	"AWS::Route53::HealthCheck":                   {"logging", "the health check"},
	"AWS::Events::Rule":                           {"logging", "the rule for events"},
	"AWS::WAFv2::WebACL":                          {"reach", "the web ACL"},
	"AWS::WAFv2::WebACLAssociation":               {"reach", "the web ACL's association"},
	"AWS::CloudFront::Function":                   {"reach", "the edge's function"},
	"AWS::EC2::SubnetNetworkAclAssociation":       {"reach", "the subnet's network ACL"},
	"AWS::S3::AccountPublicAccessBlock":           {"reach", "the account's block of public buckets"},
	"AWS::Backup::BackupPlan":                     {"data", "the backup plan"},
	"AWS::Backup::BackupSelection":                {"data", "the selection of what is backed up"},
	"AWS::Backup::RestoreTestingPlan":             {"data", "the plan of restore tests"},
	"AWS::Backup::RestoreTestingSelection":        {"data", "the selection of what is restored in tests"},
	"AWS::SecretsManager::RotationSchedule":       {"access", "the rotation of the secret"},
	"AWS::CloudFront::OriginAccessControl":        {"access", "the origin's access control"},
	"AWS::SecretsManager::SecretTargetAttachment": {"data", "the secret's attachment"},
}

// settings compares what guards something.
func (c *comparison) settings() {
	for _, key := range c.keys() {
		b, a := c.before[key], c.after[key]
		if a == nil {
			if g, ok := guards[b.Type]; ok {
				c.add(scored(g[0], weaker), b, Change{Words: g[1] + " goes"})
			}
			continue
		}
		if b == nil {
			if g, ok := guards[a.Type]; ok && g[0] != "access" && g[0] != "reach" {
				c.add(scored(g[0], stronger), a, Change{Words: g[1] + " is added"})
			}
		}
		for _, s := range settings {
			if s.typ != a.Type || b != nil && b.Type != a.Type {
				continue
			}
			c.setting(s, key, b, a)
		}
	}
}

func (c *comparison) setting(s setting, key string, b, a *template.Resource) {
	y := follow(a.Props, s.path)
	if b == nil {
		if !s.new {
			return
		}
		if s.scale(nil, y) == weaker {
			c.add(scored(s.aspect, weaker), a, Change{Path: s.path, After: showAll(y), Words: "is made with the weaker setting of " + s.path})
		}
		return
	}
	x := append([]*template.Value{}, follow(b.Props, s.path)...) // not nil: the resource was there
	if canonAll(x) == canonAll(y) {
		return
	}
	d := s.scale(x, y)
	if !strings.Contains(s.path, "/") && !strings.Contains(s.path, "[") {
		c.covered[[2]string{key, s.path}] = true
	}
	words := map[direction]string{weaker: s.path + " becomes weaker", stronger: s.path + " becomes stronger", unclear: s.path + " changes; which side is stricter cannot be told"}[d]
	if s.aspect == "access" && d == unclear {
		words = s.path + " changes: others have these rights now, or they have others"
	}
	c.add(scored(s.aspect, d), a, Change{Path: s.path, Before: showAll(x), After: showAll(y), Words: words})
}

// scored is the rule of the policy for an aspect and a direction.
func scored(aspect string, d direction) string {
	wide := aspect == "access" || aspect == "reach"
	switch {
	case d == unclear:
		return aspect + "/unclear"
	case d == weaker && wide:
		return aspect + "/broadened"
	case d == weaker:
		return aspect + "/weakened"
	case wide:
		return aspect + "/narrowed"
	}
	return aspect + "/strengthened"
}

// follow returns everything that a path leads to.
func follow(v *template.Value, path string) []*template.Value {
	at := []*template.Value{v}
	for _, step := range splitPath(path) {
		name, pick, _ := strings.Cut(strings.TrimSuffix(step, "]"), "[")
		var next []*template.Value
		for _, x := range at {
			x = x.Get(name)
			if x.Absent() {
				continue
			}
			switch field, want, some := strings.Cut(pick, "="); {
			case pick == "":
				next = append(next, x)
			default:
				for _, item := range x.List() {
					if !some || item.Get(field).Is(want) || item.Unknown() {
						next = append(next, item)
					}
				}
			}
		}
		at = next
	}
	return at
}

// splitPath splits at slashes outside brackets.
func splitPath(path string) []string {
	var out []string
	depth, start := 0, 0
	for i, r := range path {
		switch {
		case r == '[':
			depth++
		case r == ']':
			depth--
		case r == '/' && depth == 0:
			out, start = append(out, path[start:i]), i+1
		}
	}
	return append(out, path[start:])
}

func canonAll(vs []*template.Value) string {
	var b strings.Builder
	for _, v := range vs {
		b.WriteString(canon(v) + ";")
	}
	return b.String()
}

func showAll(vs []*template.Value) string {
	var out []string
	for _, v := range vs {
		out = append(out, show(v))
	}
	return strings.Join(out, ", ")
}

// towards compares two levels.
func towards(before, after int) direction {
	switch {
	case after < before:
		return weaker
	case after > before:
		return stronger
	}
	return unclear
}

// least is the smallest level of a side; ok is false when one cannot be told.
func least(vs []*template.Value, absent int, level func(*template.Value) (int, bool)) (int, bool) {
	if len(vs) == 0 {
		return absent, true
	}
	out := 0
	for i, v := range vs {
		n, ok := level(v)
		if !ok {
			return 0, false
		}
		if i == 0 || n < out {
			out = n
		}
	}
	return out, true
}

// leveled makes a scale of a level. highest stands for the side that a new resource
// does not have.
func leveled(absent, highest int, level func(*template.Value) (int, bool)) scale {
	return func(before, after []*template.Value) direction {
		x, ok := highest, true
		if before != nil {
			x, ok = least(before, absent, level)
		}
		y, known := least(after, absent, level)
		if !ok || !known {
			return unclear
		}
		return towards(x, y)
	}
}

func truth(absent bool) scale {
	return leveled(number01(absent), 1, func(v *template.Value) (int, bool) {
		if v.Is("1") || v.Is("ON") || v.Is("on") { // parameters of databases
			return 1, true
		}
		if v.Is("0") || v.Is("OFF") || v.Is("off") {
			return 0, true
		}
		t := v.Truth(absent)
		return number01(t == template.Yes), t != template.Maybe
	})
}

func untruth(absent bool) scale {
	return leveled(number01(!absent), 1, func(v *template.Value) (int, bool) {
		t := v.Truth(absent)
		return number01(t == template.No), t != template.Maybe
	})
}

func number01(b bool) int {
	if b {
		return 1
	}
	return 0
}

// number says that more is stronger.
func number(absent int) scale {
	return leveled(absent, 0, func(v *template.Value) (int, bool) { return v.Int() })
}

// fewer says that less is stronger.
func fewer(absent int) scale {
	return leveled(-absent, -absent, func(v *template.Value) (int, bool) { n, ok := v.Int(); return -n, ok })
}

// ranked orders words from the weakest on, which is also what an absent setting is.
func ranked(words ...string) scale {
	return leveled(0, min(1, len(words)-1), func(v *template.Value) (int, bool) {
		s, ok := v.Literal()
		i := slices.Index(words, s)
		return i, ok && i >= 0
	})
}

// present says that to have it is stronger; two different ones cannot be ordered.
func present(before, after []*template.Value) direction {
	switch {
	case len(after) == 0:
		return weaker
	case before != nil && len(before) == 0:
		return stronger
	}
	return unclear
}

// absent says that not to have it is stronger.
func absent(before, after []*template.Value) direction {
	switch {
	case len(after) == 0:
		return stronger
	case len(before) == 0:
		return weaker
	}
	return unclear
}

// key orders encryption keys: to have one of one's own is stronger, and a change of
// keys cannot be ordered.
func key(before, after []*template.Value) direction { return present(before, after) }

// same says that any difference needs eyes.
func same(_, _ []*template.Value) direction { return unclear }

// set says that more items are stronger.
func set(before, after []*template.Value) direction {
	x, y := items(before), items(after)
	more, less := false, false
	for i := range y {
		more = more || !slices.Contains(x, y[i])
	}
	for i := range x {
		less = less || !slices.Contains(y, x[i])
	}
	switch {
	case less && !more:
		return weaker
	case more && !less:
		return stronger
	}
	return unclear
}

func items(vs []*template.Value) []string {
	var out []string
	for _, v := range vs {
		for _, x := range v.List() {
			out = append(out, canon(x))
		}
	}
	return out
}

// shorter orders lifecycles: none keeps for ever.
func shorter(before, after []*template.Value) direction {
	switch {
	case len(before) == 0:
		return weaker
	case len(after) == 0:
		return stronger
	}
	return unclear
}

// tlsPolicy orders the security policies of load balancers by the oldest protocol
// that they speak (ELB guide, security policies for HTTPS listeners).
var tlsPolicy = leveled(0, 2, func(v *template.Value) (int, bool) {
	s, ok := v.Literal()
	s = strings.TrimPrefix(s, "ELBSecurityPolicy-")
	switch {
	case !ok:
		return 0, false
	case strings.HasPrefix(s, "TLS13-1-3"):
		return 3, true
	case strings.HasPrefix(s, "TLS13-1-2"), strings.HasPrefix(s, "TLS-1-2"), strings.HasPrefix(s, "FS-1-2"):
		return 2, true
	case strings.HasPrefix(s, "TLS13-1-1"), strings.HasPrefix(s, "TLS-1-1"), strings.HasPrefix(s, "FS-1-1"):
		return 1, true
	case s == "2016-08", s == "2015-05", s == "FS-2018-06", strings.HasPrefix(s, "TLS13-1-0"), s == "TLS-1-0-2015-04":
		return 0, true
	}
	return 0, false
})

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
