package plan

// Application holds the settings of perimeter 10.
type Application struct {
	LoginPath string // where an administrator logs in, for probes; empty: unknown
	Setup     string // "wordpress" installs WordPress from the system's package at the first up; "node-red" adds the settings that a user directory lacks; empty: none
}

// AWS holds what only has a meaning on AWS. It is kept for synth and named by up.
type AWS struct {
	Region, Account string
	NATGateways     int
	InstanceType    map[string]string // by tier
	AMIParameter    string
	EFSThroughputMB int
	UserData        map[string][]string // by tier
	UserDataScript  map[string]string   // by tier
	BuildMinutes    map[string]int      // by tier
	Balancer        BalancerPlace
	Image           ImageKind
	UserDataAs      UserDataMode
	AccountBaseline bool   // make what an account has once: trail, alarms, access analyzer, GuardDuty, AWS Config, Security Hub
	AlarmEmail      string // who is told of alarms; empty: nobody
	DBInstanceType  string
	DBSnapshot      string // the name of an RDS snapshot to start from
	DBNetwork       string // block of the server that DBSecret names; empty: a parameter of the template
	DBSecret        string // the name or ARN of the secret of an existing server
}

// BalancerPlace says who can reach the balancer on AWS.
type BalancerPlace string

const (
	BalancerInternal BalancerPlace = "internal" // CloudFront alone, by a VPC origin
	BalancerPublic   BalancerPlace = "public"   // CloudFront's addresses, by a prefix list; the origin secret tells ours from others
)

// ImageKind says what instances start from.
type ImageKind string

const (
	ImageParameter ImageKind = ""      // the AMI of AMIParameter; an instance finishes itself at its start
	ImageBuild     ImageKind = "build" // a golden image of the image stack
)

// UserDataMode says how UserData is taken.
type UserDataMode string

const (
	UserDataPreset   UserDataMode = "preset"   // what is known to be unsafe or dead is replaced
	UserDataVerbatim UserDataMode = "verbatim" // as it is written
)

// Zones is how many availability zones the site spans on AWS: two, or three for
// three NAT gateways and more.
func (a AWS) Zones() int { return min(max(a.NATGateways, 2), 3) }
