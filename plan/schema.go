package plan

import (
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// A key is one setting of ringwall.yaml. The loader, the JSON Schema and
// `config show` all read this table, so they know the same keys.
type key struct {
	name string           // dotted: cache.maxTTL
	doc  string           // a sentence for editors and for help
	ptr  func(*draft) any // where its value lies
	def  string           // the default, as in a flag; empty: none, or worked out from other keys
	enum []string         // the only words it may be
	min  int              // with max: bounds of a number
	max  int
	unit string               // "size" or "cpu"; empty: a plain number
	adds bool                 // a list in the file is added to the preset's: walls grow, they are not replaced
	path bool                 // relative paths start at the file's directory
	test func(string) *demand // of each text of the value
}

// A draft is a plan while it is being filled.
type draft struct {
	Plan
	command                 []string // of every tier that has none of its own
	ruleFiles               []string // absolute paths
	hosts                   []string
	doorVisitor, doorOffice netip.AddrPort
}

// keys is the table, in the order in which it is shown. A tier's keys come once
// for each tier.
var keys = sync.OnceValue(func() []key {
	list := []key{
		{name: "app", doc: "Name of the app: small letters, digits and dashes. With the environment it makes the site's name.", ptr: func(d *draft) any { return &d.App }, test: isName},
		{name: "preset", doc: "What is known of the app: its routes, its uploads, its database rights.", ptr: func(d *draft) any { return &d.Preset }, def: "generic", enum: presetNames},
		{name: "kind", doc: "How the app answers requests: php behind FastCGI, a command that serves HTTP on $PORT, or static files.", ptr: func(d *draft) any { return &d.Kind }, enum: []string{string(PHP), string(Command), string(Static)}},
		{name: "command", doc: "The program and its arguments, for every tier; {port}, {tier} and {files} are replaced.", ptr: func(d *draft) any { return &d.command }},
		{name: "admins", doc: "Addresses and blocks of the administrators.", ptr: func(d *draft) any { return &d.Balancer.Admins }, def: "192.0.2.1"},
		{name: "allowed", doc: "Addresses and blocks that may ask at all; * is everybody.", ptr: func(d *draft) any { return &d.Edge.Allowed }, def: "*"},

		{name: "files.source", doc: "Directory that is copied into the site at the first up.", ptr: func(d *draft) any { return &d.Files.Source }, path: true},
		{name: "files.mount", doc: "Where the tree appears inside an instance.", ptr: func(d *draft) any { return &d.Files.Mount }, test: isAbsolute},
		{name: "files.uploads", doc: "Paths in the tree for what users bring: never executed.", ptr: func(d *draft) any { return &d.Files.Uploads }, test: isInTree},
		{name: "files.data", doc: "Paths in the tree that admin changes in its daily work.", ptr: func(d *draft) any { return &d.Files.Data }, test: isInTree},
	}
	for i, tier := range []string{Admin, Fleet} {
		t := func(name, doc, def string, ptr func(*Tier) any) key {
			return key{name: "tiers." + tier + "." + name, doc: doc, def: def, ptr: func(d *draft) any { return ptr(&d.Tiers[i]) }}
		}
		bounded := func(k key, lo, hi int, unit string) key { k.min, k.max, k.unit = lo, hi, unit; return k }
		instances := []string{"1", "2"}[i]
		list = append(list,
			bounded(t("min", "Fewest instances.", instances, func(t *Tier) any { return &t.Min }), 1, 50, ""),
			bounded(t("max", "Most instances.", "", func(t *Tier) any { return &t.Max }), 1, 50, ""),
			t("command", "The program and its arguments, for this tier only.", "", func(t *Tier) any { return &t.Command }),
			t("env", "The app's environment; never secrets.", "", func(t *Tier) any { return &t.Env }),
			bounded(t("limits.processes", "Processes and threads of one instance.", "256", func(t *Tier) any { return &t.Limits.Processes }), 4, 65536, ""),
			bounded(t("limits.memory", "Memory of one instance.", "512MiB", func(t *Tier) any { return &t.Limits.Memory }), 16<<20, 0, "size"),
			bounded(t("limits.openFiles", "Open files of one process.", "4096", func(t *Tier) any { return &t.Limits.OpenFiles }), 32, 1<<20, ""),
			bounded(t("limits.fileSize", "The largest file an instance may write.", "1GiB", func(t *Tier) any { return &t.Limits.FileSize }), 1<<10, 0, "size"),
			bounded(t("limits.cpu", "Processors of one instance: 0.5 is half of one.", "1", func(t *Tier) any { return &t.Limits.CPU }), 1, 25600, "cpu"),
		)
	}
	return slices.Concat(list, networkKeys(), edgeKeys(), insideKeys(), awsKeys())
})

func networkKeys() []key {
	return []key{
		{name: "network.zone", doc: "The DNS zone of the site's name.", ptr: func(d *draft) any { return &d.Network.HostedZone }, def: "ringwall.test", test: isHost},
		{name: "network.subdomain", doc: "The site's name in the zone; the site's own name when empty.", ptr: func(d *draft) any { return &d.Network.Subdomain }, test: isHost},
		{name: "network.hosts", doc: "Further host names, with a port where it is not 443, that are answered.", ptr: func(d *draft) any { return &d.hosts }, test: isHostPort},
		{name: "network.listen", doc: "A public address and port to serve HTTPS on; without it there are the two doors.", ptr: func(d *draft) any { return &d.Network.Listen }},
		{name: "network.listenHTTP", doc: "An address and port whose requests are redirected to HTTPS.", ptr: func(d *draft) any { return &d.Network.ListenHTTP }},
		{name: "network.doors.visitor", doc: "The loopback address and port of the visitor's door.", ptr: func(d *draft) any { return &d.doorVisitor }, def: "127.0.0.1:8443"},
		{name: "network.doors.office", doc: "The loopback address and port of the administrator's door.", ptr: func(d *draft) any { return &d.doorOffice }, def: "127.0.0.2:8444"},
		{name: "network.visitor", doc: "The address that the visitor's door stands for.", ptr: func(d *draft) any { return &d.Network.Visitor }},
		{name: "network.office", doc: "The address that the administrator's door stands for.", ptr: func(d *draft) any { return &d.Network.Office }},
		{name: "network.stranger", doc: "An address outside allowed, for probes.", ptr: func(d *draft) any { return &d.Network.Stranger }},
		{name: "network.rate.perMinute", doc: "Requests of one address in a minute.", ptr: func(d *draft) any { return &d.Network.Rate.PerMinute }, def: "1800", min: 1, max: 1e6},
		{name: "network.rate.burst", doc: "Requests of one address at once.", ptr: func(d *draft) any { return &d.Network.Rate.Burst }, def: "300", min: 1, max: 1e6},
		{name: "network.maxConns", doc: "Open connections, all together.", ptr: func(d *draft) any { return &d.Network.MaxConns }, def: "1024", min: 1, max: 1e6},
		{name: "network.maxConnsPerIP", doc: "Open connections of one address.", ptr: func(d *draft) any { return &d.Network.MaxConnsPerIP }, def: "128", min: 1, max: 1e6},
		{name: "network.headerTimeout", doc: "How long a request's header may take.", ptr: func(d *draft) any { return &d.Network.HeaderTimeout }, def: "5s", min: 1},
		{name: "network.bodyTimeout", doc: "How long a body may stay under minBodyRate.", ptr: func(d *draft) any { return &d.Network.BodyTimeout }, def: "5s", min: 1},
		{name: "network.minBodyRate", doc: "Bytes a second under which a body is cut.", ptr: func(d *draft) any { return &d.Network.MinBodyRate }, def: "1KiB", unit: "size"},
		{name: "network.idleTimeout", doc: "How long an idle connection stays open.", ptr: func(d *draft) any { return &d.Network.IdleTimeout }, def: "1m", min: 1},
		{name: "network.maxHeader", doc: "The largest request header.", ptr: func(d *draft) any { return &d.Network.MaxHeaderBytes }, def: "32KiB", unit: "size", min: 1 << 10, max: 1 << 20},
	}
}

func edgeKeys() []key {
	return []key{
		{name: "edge.maxBody", doc: "The largest body of a visitor's request.", ptr: func(d *draft) any { return &d.Edge.MaxBody }, def: "1MiB", unit: "size", min: 1},
		{name: "edge.maxUpload", doc: "The largest body of an administrator's request.", ptr: func(d *draft) any { return &d.Edge.MaxUpload }, def: "64MiB", unit: "size", min: 1},
		{name: "edge.certFile", doc: "A certificate chain in PEM; a local authority signs one when empty.", ptr: func(d *draft) any { return &d.Edge.CertFile }, path: true},
		{name: "edge.keyFile", doc: "The certificate's private key in PEM.", ptr: func(d *draft) any { return &d.Edge.KeyFile }, path: true},
		{name: "edge.managedRules", doc: "Names of AWS managed rule groups; here each selects the rules that do the same.", ptr: func(d *draft) any { return &d.Edge.ManagedRules },
			def: "AWSManagedRulesAmazonIpReputationList,AWSManagedRulesKnownBadInputsRuleSet,AWSManagedRulesCommonRuleSet,AWSManagedRulesSQLiRuleSet,AWSManagedRulesLinuxRuleSet", test: isManagedRule},
		{name: "waf.disabled", doc: "Only for benchmarks: no request is inspected, and every control of the WAF is unknown.", ptr: func(d *draft) any { return &d.Edge.WAF.Off }, def: "false"},
		{name: "waf.paranoia", doc: "Paranoia level of the core rule set.", ptr: func(d *draft) any { return &d.Edge.WAF.Paranoia }, def: "1", min: 1, max: 4},
		{name: "waf.detectOnly", doc: "Log what would be refused, and let it pass.", ptr: func(d *draft) any { return &d.Edge.WAF.DetectOnly }, def: "false"},
		{name: "waf.adminPlugins", doc: "Exclusion sets of the administrators' profile.", ptr: func(d *draft) any { return &d.Edge.WAF.AdminPlugins }, enum: []string{PresetWordPress, PresetNodeRED}},
		{name: "waf.adminBodySkips", doc: "Path prefixes whose bodies the administrators' profile does not inspect.", ptr: func(d *draft) any { return &d.Edge.WAF.AdminBodySkips }, test: isRooted, adds: true},
		{name: "waf.exclusions", doc: "Rules that are switched off for one target on one path, each with its reason.", ptr: func(d *draft) any { return &d.Edge.WAF.Exclusions }},
		{name: "waf.rules", doc: "Files with rules of your own in SecLang, ids from 1 to 99999; they run after the core rules of the same phase and before the sum of the scores is judged.", ptr: func(d *draft) any { return &d.ruleFiles }, path: true},
		{name: "waf.detectOnlyProfiles", doc: "Profiles whose rules only log.", ptr: func(d *draft) any { return &d.Edge.WAF.DetectOnlyProfiles }, enum: []string{"public", "admin"}},
		{name: "waf.detectOnlyPaths", doc: "Exact paths, or prefixes that end in *, where the rules only log.", ptr: func(d *draft) any { return &d.Edge.WAF.DetectOnlyPaths }, test: isRooted},
		{name: "waf.record", doc: "How many good requests to keep, the latest of each method, path and set of parameters, to tune the rules with; 0 keeps none. Cookies, credentials and fields that sound like passwords are masked; everything else that visitors typed is kept.", ptr: func(d *draft) any { return &d.Edge.WAF.Record }, def: "0", min: 0, max: 10000},
		{name: "cache.disabled", doc: "Store nothing.", ptr: func(d *draft) any { return &d.Edge.Cache.Off }, def: "false"},
		{name: "cache.minTTL", doc: "The shortest time an answer that may be stored is kept.", ptr: func(d *draft) any { return &d.Edge.Cache.MinTTL }, def: "0s"},
		{name: "cache.defaultTTL", doc: "How long an answer that says nothing of caching is kept.", ptr: func(d *draft) any { return &d.Edge.Cache.DefaultTTL }, def: "0s"},
		{name: "cache.maxTTL", doc: "The longest time an answer is kept.", ptr: func(d *draft) any { return &d.Edge.Cache.MaxTTL }, def: "24h"},
		{name: "cache.uncached", doc: "Patterns of request URIs that are never stored.", ptr: func(d *draft) any { return &d.Edge.Cache.Uncached }, adds: true},
		{name: "cache.forwardedCookies", doc: "Patterns of cookie names that reach the app from visitors.", ptr: func(d *draft) any { return &d.Edge.Cache.ForwardedCookies }, def: "*"},
		{name: "cache.maxBytes", doc: "Memory of all stored answers.", ptr: func(d *draft) any { return &d.Edge.Cache.MaxBytes }, def: "32MiB", unit: "size"},
		{name: "cache.maxEntry", doc: "The largest answer that is stored.", ptr: func(d *draft) any { return &d.Edge.Cache.MaxEntry }, def: "4MiB", unit: "size"},
	}
}

func insideKeys() []key {
	return []key{
		{name: "vpc.cidr", doc: "The site's private IPv4 block, /16 to /22.", ptr: func(d *draft) any { return &d.VPC.CIDR }, def: "10.0.0.0/16"},
		{name: "vpc.cidr6", doc: "The site's private IPv6 block.", ptr: func(d *draft) any { return &d.VPC.CIDR6 }, def: "fd72:696e:6777::/64"},

		{name: "balancer.port", doc: "Port of the balancer's own listener.", ptr: func(d *draft) any { return &d.Balancer.Port }, def: "8080", min: 1, max: 65535},
		{name: "balancer.targetPort", doc: "Port of every instance's web server.", ptr: func(d *draft) any { return &d.Balancer.TargetPort }, def: "8080", min: 1, max: 65535},
		{name: "balancer.healthPath", doc: "What each instance is asked to see that it is well.", ptr: func(d *draft) any { return &d.Balancer.HealthPath }, def: "/", test: isRooted},
		{name: "balancer.healthInterval", doc: "Time between two such questions.", ptr: func(d *draft) any { return &d.Balancer.HealthInterval }, def: "1s", min: 1},
		{name: "balancer.drainTimeout", doc: "How long an instance that goes may finish its requests.", ptr: func(d *draft) any { return &d.Balancer.DrainTimeout }, def: "10s"},
		{name: "balancer.startTimeout", doc: "How long the app may take until it is healthy for the first time.", ptr: func(d *draft) any { return &d.Balancer.StartTimeout }, def: "60s"},
		{name: "balancer.scaleInFlight", doc: "Requests in flight per instance above which one is added.", ptr: func(d *draft) any { return &d.Balancer.ScaleInFlight }, def: "8", min: 1, max: 1e6},
		{name: "balancer.scaleQuiet", doc: "Time of little load after which an added instance is taken away.", ptr: func(d *draft) any { return &d.Balancer.ScaleQuiet }, def: "1m", min: 1},
		{name: "balancer.scaleLatency", doc: "Median time to the first byte above which an instance is added.", ptr: func(d *draft) any { return &d.Balancer.ScaleLatency }, def: "500ms", min: 1},

		{name: "host.allowWeak", doc: "Start although this machine cannot enforce everything.", ptr: func(d *draft) any { return &d.Host.AllowWeak }, def: "false"},
		{name: "host.programs", doc: "Directories, beside the system's, that the app may read and execute.", ptr: func(d *draft) any { return &d.Host.Programs }, path: true},

		{name: "routes.docroot", doc: "Where static files and scripts lie, relative to the tree; - for none.", ptr: func(d *draft) any { return &d.Webserver.Docroot }},
		{name: "routes.front", doc: "For php: the script that answers what no file matches.", ptr: func(d *draft) any { return &d.Webserver.Front }},
		{name: "routes.admin", doc: "Refused on fleet: exact paths, /dir/*, *.ext, and ?key=value for what a query or a form says.", ptr: func(d *draft) any { return &d.Webserver.AdminRoutes }, adds: true, test: isRoute},
		{name: "routes.public", doc: "Exceptions to admin that fleet serves.", ptr: func(d *draft) any { return &d.Webserver.Public }, test: isPublic},
		{name: "routes.denied", doc: "Refused on every tier.", ptr: func(d *draft) any { return &d.Webserver.Denied }, adds: true, test: isRoute,
			def: "/.git/*,/.svn/*,/.hg/*,*.env,*.htaccess,*.htpasswd,*.log,*.sql,*.bak,*.swp"},
		{name: "routes.foldCase", doc: "Match without regard to letter case.", ptr: func(d *draft) any { return &d.Webserver.FoldCase }, def: "false"},

		{name: "database.config", doc: "instance, cluster, none (delete the one that exists) or empty (no change).", ptr: func(d *draft) any { return &d.Database.Config }, enum: []string{string(DBNoChange), string(DBInstance), string(DBCluster), string(DBNone)}},
		{name: "database.engine", doc: "The database's engine; mysql runs as MariaDB here.", ptr: func(d *draft) any { return &d.Database.Engine }, def: string(Postgres), enum: []string{string(Postgres), string(MySQL)}},
		{name: "database.name", doc: "The database's name: letters, digits and _.", ptr: func(d *draft) any { return &d.Database.Name }, test: isDBName},
		{name: "database.major", doc: "The engine's major version; what the system's packages have when empty.", ptr: func(d *draft) any { return &d.Database.Major }},
		{name: "database.full", doc: "The engine's full version, for AWS.", ptr: func(d *draft) any { return &d.Database.Full }},
		{name: "database.snapshot", doc: "A .sql file to start from.", ptr: func(d *draft) any { return &d.Database.Snapshot }, path: true},
		{name: "database.secretFile", doc: "An existing server: a 0600 JSON file with password, dbname, host and username.", ptr: func(d *draft) any { return &d.Database.SecretFile }, path: true},
		{name: "database.size", doc: "Replicas of a cluster.", ptr: func(d *draft) any { return &d.Database.Size }, def: "2", min: 0, max: 15},
		{name: "database.protect", doc: "Refuse to delete the database.", ptr: func(d *draft) any { return &d.Database.Protect }, def: "true"},
		{name: "database.port", doc: "The server's port.", ptr: func(d *draft) any { return &d.Database.Port }, min: 1, max: 65535},
		{name: "database.grants", doc: "Rights on tables, by tier; the most specific pattern decides.", ptr: func(d *draft) any { return &d.Database.Grants }},
		{name: "database.mask", doc: "Views that a tier sees in place of tables it must not read.", ptr: func(d *draft) any { return &d.Database.Mask }},

		{name: "application.loginPath", doc: "Where an administrator logs in.", ptr: func(d *draft) any { return &d.Application.LoginPath }, test: isRooted},
		{name: "application.setup", doc: "What is installed at the first up.", ptr: func(d *draft) any { return &d.Application.Setup }, enum: []string{"", PresetWordPress, PresetNodeRED}},
	}
}

func awsKeys() []key {
	return []key{
		{name: "aws.region", doc: "Region of the site.", ptr: func(d *draft) any { return &d.AWS.Region }, test: isRegion},
		{name: "aws.account", doc: "Account of the site: twelve digits.", ptr: func(d *draft) any { return &d.AWS.Account }, test: isAccount},
		{name: "aws.natGateways", doc: "NAT gateways of the VPC.", ptr: func(d *draft) any { return &d.AWS.NATGateways }, def: "1", min: 0, max: 16},
		{name: "aws.instanceType", doc: "EC2 instance types, by tier.", ptr: func(d *draft) any { return &d.AWS.InstanceType }},
		{name: "aws.amiParameter", doc: "The parameter that holds the AMI's id.", ptr: func(d *draft) any { return &d.AWS.AMIParameter }},
		{name: "aws.efsThroughput", doc: "Provisioned throughput of the file system in MiB a second; 0 is bursting.", ptr: func(d *draft) any { return &d.AWS.EFSThroughputMB }, def: "0", min: 0, max: 3072},
		{name: "aws.userData", doc: "Commands of an instance's first start, by tier.", ptr: func(d *draft) any { return &d.AWS.UserData }},
		{name: "aws.userDataScript", doc: "Scripts of an instance's first start, by tier.", ptr: func(d *draft) any { return &d.AWS.UserDataScript }},
		{name: "aws.buildMinutes", doc: "Minutes that an instance may take to become healthy, by tier.", ptr: func(d *draft) any { return &d.AWS.BuildMinutes }, min: 1, max: 720},
		{name: "aws.balancer", doc: "Where the balancer stands on AWS: internal behind a CloudFront VPC origin, or public, for Regions and CIDR blocks that cannot have one.", ptr: func(d *draft) any { return &d.AWS.Balancer }, def: string(BalancerInternal), enum: []string{string(BalancerInternal), string(BalancerPublic)}},
		{name: "aws.image", doc: "What instances start from: an AMI that they finish themselves when empty, or build, a golden image.", ptr: func(d *draft) any { return &d.AWS.Image }, enum: []string{"", string(ImageBuild)}},
		{name: "aws.userDataAs", doc: "How aws.userData is taken: preset replaces what is known to be unsafe or dead, verbatim leaves it as it is written.", ptr: func(d *draft) any { return &d.AWS.UserDataAs }, def: string(UserDataPreset), enum: []string{string(UserDataPreset), string(UserDataVerbatim)}},
		{name: "aws.accountBaseline", doc: "Make what an account has once: trail, alarms, access analyzer, GuardDuty, AWS Config, Security Hub. false where another site or stack of the account has them.", ptr: func(d *draft) any { return &d.AWS.AccountBaseline }, def: "true"},
		{name: "aws.alarmEmail", doc: "Who is told of alarms; nobody when empty.", ptr: func(d *draft) any { return &d.AWS.AlarmEmail }, test: isEmail},
		{name: "aws.dbInstanceType", doc: "RDS instance type, without the db. prefix.", ptr: func(d *draft) any { return &d.AWS.DBInstanceType }},
		{name: "aws.dbSnapshot", doc: "Name of an RDS snapshot to start from.", ptr: func(d *draft) any { return &d.AWS.DBSnapshot }},
		{name: "aws.dbNetwork", doc: "Block of addresses of the server that aws.dbSecret names, /16 or smaller; a parameter of the template asks for it when empty.", ptr: func(d *draft) any { return &d.AWS.DBNetwork }, test: isSmallBlock},
		{name: "aws.dbSecret", doc: "Name or ARN of the secret of an existing server.", ptr: func(d *draft) any { return &d.AWS.DBSecret }},
	}
}

// shape is the kind of value that a key takes.
func (k *key) shape() valueKind {
	switch k.ptr(newDraft()).(type) {
	case *[]string, *Match, *[]Exclusion, *[]Mask:
		return listValue
	case *map[string]string, *map[string]int, *map[string][]string, *map[string][]Grant:
		return tableValue
	}
	return textValue
}

func newDraft() *draft {
	return &draft{Plan: Plan{
		Tiers:   []Tier{{Name: Admin, Write: true}, {Name: Fleet}},
		Origins: map[string]Origin{},
	}}
}

var keyIndex = sync.OnceValue(func() map[string]*key {
	m := map[string]*key{}
	for i := range keys() {
		m[keys()[i].name] = &keys()[i]
	}
	return m
})

// keyNamed returns the key of a dotted name, or nil.
func keyNamed(name string) *key { return keyIndex()[name] }

func adds(name string) bool { k := keyNamed(name); return k != nil && k.adds }

// under lists the words that may follow a dotted prefix, in the table's order;
// the prefix "" stands for the top of the file.
func under(prefix string) []string {
	var out []string
	for _, k := range keys() {
		rest, ok := k.name, true
		if prefix != "" {
			rest, ok = strings.CutPrefix(k.name, prefix+".")
		}
		if !ok {
			continue
		}
		word, _, _ := strings.Cut(rest, ".")
		if !slices.Contains(out, word) {
			out = append(out, word)
		}
	}
	return out
}

// envName is the environment variable of a key.
func envName(name string) string {
	return "RINGWALL_" + strings.ToUpper(strings.ReplaceAll(name, ".", "_"))
}

// lowest is the bound of a duration key, whose min says how many milliseconds.
func (k *key) lowest() time.Duration { return time.Duration(k.min) * time.Millisecond }
