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
	DBInstanceType  string
	DBSnapshot      string // the name of an RDS snapshot to start from
	DBSecret        string // the name or ARN of the secret of an existing server
}
