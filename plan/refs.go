package plan

import "strconv"

// A Ref names a thing that one wall makes on AWS and others use. Its owner is the
// package under perimeter/ that provides it; a Ref that is used and not provided
// fails synthesis.
type Ref struct{ Owner, Name string }

// Parts gives the owner and the name.
func (r Ref) Parts() (owner, name string) { return r.Owner, r.Name }

func (r Ref) String() string { return r.Owner + "/" + r.Name }

// Roles of the stacks of a site; the name of a stack is <site>-<role>-stack. Each
// may use what the ones above it provide.
const (
	StackBaseline = "baseline" // trail, log buckets, keys, alarms, backup vault
	StackNetwork  = "network"  // VPC, security groups, tiers' IAM roles, file system, regional certificate
	StackDatabase = "database" // server, users, secrets
	StackImage    = "image"    // golden image
	StackCompute  = "compute"  // balancer, launch templates, auto scaling groups
	StackCDN      = "cdn"      // CloudFront, WAF, edge certificate, DNS records; in us-east-1
)

// StackRoles lists the roles in the order in which their stacks are made.
var StackRoles = []string{StackBaseline, StackNetwork, StackDatabase, StackImage, StackCompute, StackCDN}

// EdgeRegion is where what belongs to CloudFront is made.
const EdgeRegion = "us-east-1"

// Things of perimeter 0. Keys are ARNs.
var (
	RefDataKey       = Ref{"people", "DataKey"}       // KMS key of databases, files and secrets, in the site's Region
	RefLogsKey       = Ref{"people", "LogsKey"}       // KMS key of CloudWatch log groups and of topics, in the site's Region
	RefAccessLogs    = Ref{"people", "AccessLogs"}    // name of the bucket of access logs: balancers under alb/, buckets under s3/
	RefTrailLogGroup = Ref{"people", "TrailLogGroup"} // name of the trail's log group, for metric filters; only with AWS.AccountBaseline
	RefAlarmTopic    = Ref{"people", "AlarmTopic"}    // ARN of the topic that alarms go to, in the site's Region
	RefBackupVault   = Ref{"people", "BackupVault"}   // name
)

// RefRole is the name, RefRoleARN the ARN of a tier's IAM role; RefInstanceProfile
// is the ARN of its instance profile.
func RefRole(tier string) Ref            { return Ref{"people", title(tier) + "Role"} }
func RefRoleARN(tier string) Ref         { return Ref{"people", title(tier) + "RoleArn"} }
func RefInstanceProfile(tier string) Ref { return Ref{"people", title(tier) + "InstanceProfile"} }

// RefTierLogs is the name of the log group that a tier's instances may write to.
func RefTierLogs(tier string) Ref { return Ref{"people", title(tier) + "Logs"} }

// BackupTag is the tag by which the nightly backup finds what it keeps; its value
// is the site's name.
const BackupTag = "ringwall:backup"

// TierTag is the tag of an instance that says its tier.
const TierTag = "ringwall:tier"

// Things of perimeter 1.
var (
	RefCertificate     = Ref{"network", "Certificate"}     // ARN, in the site's Region
	RefEdgeCertificate = Ref{"network", "EdgeCertificate"} // ARN, in EdgeRegion
)

// Things of perimeter 2.
var (
	RefDistribution       = Ref{"edge", "Distribution"}       // id
	RefDistributionDomain = Ref{"edge", "DistributionDomain"} // d111111abcdef8.cloudfront.net
	RefWebACL             = Ref{"edge", "WebACL"}             // ARN
)

// Things of perimeter 3. Subnets are numbered from 0, one of each kind per zone.
var RefVPC = Ref{"vpc", "Vpc"} // id

// RefPublicSubnet has a way to and from the internet, RefPrivateSubnet one out
// through NAT where the plan has gateways, RefIsolatedSubnet none.
func RefPublicSubnet(zone int) Ref   { return Ref{"vpc", "PublicSubnet" + strconv.Itoa(zone)} }
func RefPrivateSubnet(zone int) Ref  { return Ref{"vpc", "PrivateSubnet" + strconv.Itoa(zone)} }
func RefIsolatedSubnet(zone int) Ref { return Ref{"vpc", "IsolatedSubnet" + strconv.Itoa(zone)} }

// Things of perimeter 4.
var (
	RefBalancer     = Ref{"balancer", "Balancer"}     // ARN
	RefBalancerName = Ref{"balancer", "BalancerName"} // app/name/id, for metrics
	RefBalancerDNS  = Ref{"balancer", "BalancerDNS"}  // host name
	RefOriginSecret = Ref{"balancer", "OriginSecret"} // ARN of the secret between edge and balancer
)

// RefTargetGroup is the ARN of a tier's target group.
func RefTargetGroup(tier string) Ref { return Ref{"balancer", title(tier) + "TargetGroup"} }

// RefTargetGroupName is a tier's target group as metrics name it: targetgroup/name/id.
func RefTargetGroupName(tier string) Ref { return Ref{"balancer", title(tier) + "TargetGroupName"} }

// Things of perimeter 5: ids of security groups.
var (
	RefBalancerGroup = Ref{"instance", "BalancerGroup"}
	RefDatabaseGroup = Ref{"instance", "DatabaseGroup"}
	RefFilesGroup    = Ref{"instance", "FilesGroup"}    // of the file system's mount targets
	RefEndpointGroup = Ref{"instance", "EndpointGroup"} // of the VPC's interface endpoints
	RefKeeperGroup   = Ref{"instance", "KeeperGroup"}   // of the function that makes database users
	RefBuildGroup    = Ref{"instance", "BuildGroup"}    // of the instances that build a golden image
)

// RefTierGroup is the security group of a tier's instances.
func RefTierGroup(tier string) Ref { return Ref{"instance", title(tier) + "Group"} }

// RefInstanceFiles is what the instances of a tier fetch of a wall at their start:
// the number of pieces and the checksum, with a space between (see FilesPrefix). It
// is provided in the compute stack; the tier "image" is the golden image's.
func RefInstanceFiles(wall, tier string) Ref { return Ref{wall, title(tier) + "Files"} }

// FilesPrefix is the path of the parameters that hold what the instances of a tier
// fetch of a wall.
func FilesPrefix(site, tier, wall string) string {
	return "/ringwall/" + site + "/" + tier + "/" + wall
}

// RefAppSecret is the ARN of the secret that an app of a tier makes its keys from,
// where its preset has use for one.
func RefAppSecret(tier string) Ref { return Ref{"application", title(tier) + "AppSecret"} }

// RefImage is the id of the golden image, where one is built.
var RefImage = Ref{"host", "Image"}

// Things of perimeter 7.
var RefFileSystem = Ref{"files", "FileSystem"} // id

// RefAccessPoint is the id of a tier's access point of the file system.
func RefAccessPoint(tier string) Ref { return Ref{"files", title(tier) + "AccessPoint"} }

// Things of perimeter 9.
var RefDatabaseHost = Ref{"database", "Host"} // host name of the server, where the stack makes one

// RefDatabaseSecret is the ARN of a tier's own secret: the JSON of a Secret.
func RefDatabaseSecret(tier string) Ref { return Ref{"database", title(tier) + "Secret"} }

// title makes a tier's name a part of a logical id.
func title(s string) string {
	if s == "" {
		return ""
	}
	return string(s[0]&^0x20) + s[1:]
}
