package synth_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

// TestParameters changes a parameter at a time and looks at what it is for.
func TestParameters(t *testing.T) {
	const network, database, baseline = plan.StackNetwork, plan.StackDatabase, plan.StackBaseline
	db := func(s *site) map[string]any { return s.props(database, "Database") }
	is := func(what func(*site) any, want string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			t.Helper()
			if got := text(what(s)); got != want {
				t.Errorf("got %s, want %s", got, want)
			}
		}
	}
	prop := func(role, id, name, want string) func(*testing.T, *site) {
		return is(func(s *site) any { return s.props(role, id)[name] }, want)
	}
	count := func(role, kind string, want int) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			t.Helper()
			if got := s.ids(role, kind); len(got) != want {
				t.Errorf("got %d of %s (%v), want %d", len(got), kind, got, want)
			}
		}
	}
	note := func(want string) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			t.Helper()
			if !slices.ContainsFunc(s.notes, func(n string) bool { return strings.Contains(n, want) }) {
				t.Errorf("got the notes %q, want one with %q", s.notes, want)
			}
		}
	}
	rule := func(want string, there bool) func(*testing.T, *site) {
		return func(t *testing.T, s *site) {
			t.Helper()
			if slices.Contains(s.rules(), want) != there {
				t.Errorf("rule %q: want it there: %t; got\n%s", want, there, strings.Join(s.rules(), "\n"))
			}
		}
	}
	type set = map[string]string
	for _, c := range []struct {
		name  string
		site  string // empty: wp-dev
		set   set
		looks []func(*testing.T, *site)
	}{
		{"Region", "", set{"aws.region": "eu-west-3"}, []func(*testing.T, *site){
			is(func(s *site) any { return s.templates[0].Region }, "eu-west-3"),
			func(t *testing.T, s *site) {
				if code := text(s.props(database, "Keeper")["Code"]); !strings.Contains(code, "BEGIN CERTIFICATE") {
					t.Error("the keeper does not know the Region's authority")
				}
			}}},
		{"a Region without a known authority", "", set{"aws.region": "mars-north-1"}, []func(*testing.T, *site){
			is(func(s *site) any { return s.stacks[database]["Parameters"].(map[string]any)["DatabaseAuthority"] }, `{"Description":"PEM of the authority that signed the database server's certificate.","Type":"String"}`)}},
		{"the edge's Region", "", set{"aws.region": "us-east-1"}, []func(*testing.T, *site){count(plan.StackCDN, "AWS::AccessAnalyzer::Analyzer", 0), count(baseline, "AWS::AccessAnalyzer::Analyzer", 1)}},
		{"another Region", "", nil, []func(*testing.T, *site){count(plan.StackCDN, "AWS::AccessAnalyzer::Analyzer", 1)}},
		{"CIDR block", "", set{"vpc.cidr": "172.20.4.0/22"}, []func(*testing.T, *site){
			prop(network, "Vpc", "CidrBlock", "172.20.4.0/22"), prop(network, "PublicSubnet0", "CidrBlock", "172.20.4.0/25"), prop(network, "IsolatedSubnet1", "CidrBlock", "172.20.6.128/25")}},
		{"no NAT", "", set{"aws.natGateways": "0"}, []func(*testing.T, *site){
			count(network, "AWS::EC2::NatGateway", 0), count(network, "AWS::EC2::Route", 1), rule("out  AdminGroup → 0.0.0.0/0 tcp/443-443", false), rule("out  AdminGroup → S3PrefixList tcp/443-443", true)}},
		{"one NAT for two zones", "", set{"aws.natGateways": "1"}, []func(*testing.T, *site){
			count(network, "AWS::EC2::NatGateway", 1), prop(network, "PrivateDefaultRoute1", "NatGatewayId", "NatGateway0"), count(network, "AWS::EC2::Subnet", 6)}},
		{"three NATs", "", set{"aws.natGateways": "3"}, []func(*testing.T, *site){
			count(network, "AWS::EC2::NatGateway", 3), count(network, "AWS::EC2::Subnet", 9), prop(network, "PrivateDefaultRoute2", "NatGatewayId", "NatGateway2"), prop(network, "IsolatedSubnet2", "CidrBlock", "10.0.128.0/20")}},
		{"more NATs than zones", "", set{"aws.natGateways": "5"}, []func(*testing.T, *site){count(network, "AWS::EC2::NatGateway", 3), note("aws.natGateways: 3 instead of 5")}},
		{"public balancer", "", set{"aws.balancer": "public"}, []func(*testing.T, *site){
			rule("in   BalancerGroup ← CloudFrontPrefixList tcp/443-443", true), is(func(s *site) any { return s.props(network, "PublicAclIn20")["CidrBlock"] }, "0.0.0.0/0")}},
		{"target port", "", set{"balancer.targetPort": "8123"}, []func(*testing.T, *site){
			rule("in   FleetGroup ← BalancerGroup tcp/8123-8123", true), rule("out  BalancerGroup → FleetGroup tcp/8123-8123", true), rule("in   FleetGroup ← BalancerGroup tcp/80-80", false)}},
		{"golden image", "", set{"aws.image": "build"}, []func(*testing.T, *site){
			rule("out  FleetGroup → 0.0.0.0/0 tcp/443-443", false), rule("out  AdminGroup → 0.0.0.0/0 tcp/443-443", true), rule("out  BuildGroup → 0.0.0.0/0 tcp/443-443", true)}},
		{"EFS throughput", "", set{"aws.efsThroughput": "7"}, []func(*testing.T, *site){
			prop(network, "FileSystem", "ThroughputMode", "provisioned"), prop(network, "FileSystem", "ProvisionedThroughputInMibps", "7")}},
		{"no EFS throughput", "", nil, []func(*testing.T, *site){prop(network, "FileSystem", "ThroughputMode", "bursting"), prop(network, "FileSystem", "ProvisionedThroughputInMibps", "-")}},

		{"empty dbConfig", "", set{"database.config": ""}, []func(*testing.T, *site){
			is(func(s *site) any { return len(s.resources(database)) }, "0"), rule("in   DatabaseGroup ← FleetGroup tcp/3306-3306", false), count(network, "AWS::EC2::SecurityGroup", 5)}},
		{"dbConfig none", "", set{"database.config": "none", "database.protect": "false"}, []func(*testing.T, *site){
			is(func(s *site) any { return len(s.resources(database)) }, "1"), count(database, "AWS::CloudFormation::WaitConditionHandle", 1)}},
		{"instance of mysql", "", nil, []func(*testing.T, *site){
			is(func(s *site) any { return db(s)["Engine"] }, "mysql"), is(func(s *site) any { return db(s)["Port"] }, "3306"), rule("in   DatabaseGroup ← FleetGroup tcp/3306-3306", true),
			prop(database, "Parameters", "Family", "mysql8.0"), is(func(s *site) any {
				return s.props(database, "Parameters")["Parameters"].(map[string]any)["require_secure_transport"]
			}, "1"),
			is(func(s *site) any { return db(s)["EngineVersion"] }, "8.0.46"), note("database.full: 8.0.46 instead of 8.0.28")}},
		{"instance of postgres", "", set{"database.engine": "postgres", "database.major": "16", "database.full": "16.9"}, []func(*testing.T, *site){
			is(func(s *site) any { return db(s)["Engine"] }, "postgres"), is(func(s *site) any { return db(s)["Port"] }, "5432"), is(func(s *site) any { return db(s)["EngineVersion"] }, "16.9"), rule("in   DatabaseGroup ← FleetGroup tcp/5432-5432", true),
			prop(database, "Parameters", "Family", "postgres16"), is(func(s *site) any {
				return s.props(database, "Parameters")["Parameters"].(map[string]any)["rds.force_ssl"]
			}, "1")}},
		{"retired major version", "", set{"database.engine": "postgres", "database.major": "12", "database.full": "12.9"}, []func(*testing.T, *site){
			is(func(s *site) any { return db(s)["EngineVersion"] }, "12.22-rds.20251114"), note("12.22-rds.20251114 instead of 12.9")}},
		{"major version only", "", set{"database.major": "8.4", "database.full": ""}, []func(*testing.T, *site){
			is(func(s *site) any { return db(s)["EngineVersion"] }, "8.4.9"), prop(database, "Parameters", "Family", "mysql8.4")}},
		{"no version", "", set{"database.major": "", "database.full": ""}, []func(*testing.T, *site){
			is(func(s *site) any { return db(s)["EngineVersion"] }, "8.4.9"), note("database.full: 8.4.9: the configuration names no version")}},
		{"cluster of mysql", "", set{"database.config": "cluster", "database.size": "3"}, []func(*testing.T, *site){
			count(database, "AWS::RDS::DBInstance", 4), is(func(s *site) any { return db(s)["Engine"] }, "aurora-mysql"), prop(database, "Parameters", "Family", "aurora-mysql8.0"),
			is(func(s *site) any { return db(s)["Port"] }, "3306"), prop(database, "Server0", "DBInstanceClass", "db.t4g.medium"), note("aws.dbInstanceType: t4g.medium instead of t4g.micro")}},
		{"cluster of postgres", "", set{"database.config": "cluster", "database.engine": "postgres", "database.major": "15", "database.full": "", "aws.dbInstanceType": "r7g.large"}, []func(*testing.T, *site){
			count(database, "AWS::RDS::DBInstance", 3), is(func(s *site) any { return db(s)["Engine"] }, "aurora-postgresql"), prop(database, "Parameters", "Family", "aurora-postgresql15"),
			prop(database, "Server2", "DBInstanceClass", "db.r7g.large"), rule("in   DatabaseGroup ← KeeperGroup tcp/5432-5432", true)}},
		{"instance type", "", set{"aws.dbInstanceType": "m7g.large"}, []func(*testing.T, *site){is(func(s *site) any { return db(s)["DBInstanceClass"] }, "db.m7g.large")}},
		{"snapshot", "", set{"aws.dbSnapshot": "before-the-move"}, []func(*testing.T, *site){
			is(func(s *site) any { return db(s)["DBSnapshotIdentifier"] }, "before-the-move"), is(func(s *site) any { return db(s)["MasterUsername"] }, "-"), is(func(s *site) any { return db(s)["ManageMasterUserPassword"] }, "true")}},
		{"snapshot of a cluster", "", set{"aws.dbSnapshot": "before-the-move", "database.config": "cluster"}, []func(*testing.T, *site){
			is(func(s *site) any { return db(s)["SnapshotIdentifier"] }, "before-the-move"), is(func(s *site) any { return db(s)["MasterUsername"] }, "-")}},
		{"existing secret", "", set{"database.config": "", "aws.dbSecret": "WpDevDatabaseSecret"}, []func(*testing.T, *site){
			count(database, "AWS::RDS::DBInstance", 0), count(database, "AWS::SecretsManager::Secret", 2), rule("out  FleetGroup → DatabaseNetwork tcp/3306-3306", true), rule("out  KeeperGroup → DatabaseNetwork tcp/3306-3306", true),
			func(t *testing.T, s *site) {
				if got := text(s.props(database, "KeeperRole")); !strings.Contains(got, "secret:WpDevDatabaseSecret-??????") {
					t.Errorf("the keeper may not read the secret: %s", got)
				}
				if got := text(s.props(database, "FleetSecret")["GenerateSecretString"]); !strings.Contains(got, "{{resolve:secretsmanager:") {
					t.Errorf("the tier's secret does not name the server: %s", got)
				}
			}}},
		{"secret beside a new server", "", set{"aws.dbSecret": "WpDevDatabaseSecret"}, []func(*testing.T, *site){note("aws.dbSecret: WpDevDatabaseSecret is left out"), count(database, "AWS::RDS::DBInstance", 1)}},
		{"deletion protection", "", set{"database.protect": "false"}, []func(*testing.T, *site){is(func(s *site) any { return db(s)["DeletionProtection"] }, "false")}},
		{"no deletion protection", "", nil, []func(*testing.T, *site){is(func(s *site) any { return db(s)["DeletionProtection"] }, "true")}},
		{"alarms to nobody", "", nil, []func(*testing.T, *site){count(baseline, "AWS::SNS::Subscription", 0), note("nobody is told of alarms")}},
		{"alarms to somebody", "", set{"aws.alarmEmail": "ops@example.com"}, []func(*testing.T, *site){prop(baseline, "AlarmReader", "Endpoint", "ops@example.com")}},
		{"a second site of an account", "", set{"aws.accountBaseline": "false"}, []func(*testing.T, *site){
			count(baseline, "AWS::CloudTrail::Trail", 0), count(baseline, "AWS::SecurityHub::Hub", 0), count(baseline, "AWS::GuardDuty::Detector", 0), count(baseline, "AWS::Backup::BackupVault", 1), count(plan.StackCDN, "AWS::AccessAnalyzer::Analyzer", 0)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			name := c.site
			if name == "" {
				name = "wp-dev"
			}
			s := build(t, name, c.set)
			for _, look := range c.looks {
				look(t, s)
			}
		})
	}
}

// TestCombinations synthesizes every pair of values of the parameters that change
// the shape of the site, and holds what must be true of all of them.
func TestCombinations(t *testing.T) {
	axes := []struct {
		key    string
		values []string
	}{
		{"database.config", []string{"instance", "cluster", "", "none"}},
		{"database.engine", []string{"mysql", "postgres"}},
		{"aws.dbSnapshot", []string{"", "snap"}},
		{"aws.dbSecret", []string{"", "WpDevDatabaseSecret", "arn:aws:secretsmanager:eu-west-1:123456789012:secret:x-AbCdEf"}},
		{"aws.natGateways", []string{"0", "1", "3"}},
		{"aws.balancer", []string{"internal", "public"}},
		{"aws.image", []string{"", "build"}},
		{"aws.region", []string{"us-east-1", "eu-west-1"}},
		{"aws.accountBaseline", []string{"true", "false"}},
		{"database.protect", []string{"false"}},
		{"database.full", []string{""}},
		{"database.major", []string{""}},
	}
	// Rows are added until each pair of values of two parameters has been in one.
	type value struct{ axis, value int }
	open := map[[2]value]bool{}
	for i := range axes {
		for j := range i {
			for x := range axes[i].values {
				for y := range axes[j].values {
					open[[2]value{{j, y}, {i, x}}] = true
				}
			}
		}
	}
	pairs := slices.SortedFunc(maps.Keys(open), func(a, b [2]value) int { return strings.Compare(fmt.Sprint(a), fmt.Sprint(b)) })
	rows := 0
	for _, p := range pairs {
		if !open[p] {
			continue
		}
		row := make([]int, len(axes))
		for i := range axes { // the value with the most open pairs among those that stand
			best := -1
			for v := range axes[i].values {
				n := 0
				for j := range i {
					if open[[2]value{{j, row[j]}, {i, v}}] {
						n++
					}
				}
				if (i != p[0].axis || v == p[0].value) && (i != p[1].axis || v == p[1].value) && n > best {
					best, row[i] = n, v
				}
			}
		}
		set := map[string]string{}
		for i, a := range axes {
			set[a.key] = a.values[row[i]]
			for j := range i {
				delete(open, [2]value{{j, row[j]}, {i, row[i]}})
			}
		}
		rows++
		s, err := try(sample, "wp-dev", set, inner)
		if err != nil {
			t.Errorf("%v: %v", set, err)
			continue
		}
		for _, wrong := range always(s) {
			t.Errorf("%v: %s", set, wrong)
		}
	}
	if len(open) > 0 || rows < 12 {
		t.Errorf("%d rows leave %d pairs open", rows, len(open))
	}
}

// always lists what is wrong with a site, whatever its parameters.
func always(s *site) (wrong []string) {
	say := func(format string, args ...any) { wrong = append(wrong, fmt.Sprintf(format, args...)) }
	for _, r := range s.rules() {
		if strings.Contains(r, "everywhere") || strings.Contains(r, "0.0.0.0/0") && !strings.HasSuffix(r, "tcp/443-443") || strings.HasPrefix(r, "in") && strings.Contains(r, "0.0.0.0/0") {
			say("the rule %s", r)
		}
	}
	port := fmt.Sprint(s.plan.Database.Port)
	for _, id := range s.ids(plan.StackNetwork, "AWS::EC2::Route") {
		if text(s.props(plan.StackNetwork, id)["RouteTableId"]) == "IsolatedRouteTable" {
			say("the isolated subnets have the route %s", id)
		}
	}
	for _, id := range s.ids(plan.StackNetwork, "AWS::EC2::Subnet") {
		if s.props(plan.StackNetwork, id)["MapPublicIpOnLaunch"] != false {
			say("%s gives public addresses", id)
		}
	}
	for _, id := range s.ids(plan.StackNetwork, "AWS::EC2::VPCEndpoint") {
		if s.props(plan.StackNetwork, id)["PolicyDocument"] == nil {
			say("the endpoint %s has no policy", id)
		}
	}
	db := s.props(plan.StackDatabase, "Database")
	if s.plan.Database.Present() != (db != nil) {
		say("a database: %t, want %t", db != nil, s.plan.Database.Present())
	}
	if db != nil {
		if fmt.Sprint(db["Port"]) != port || !slices.Contains(s.rules(), "in   DatabaseGroup ← FleetGroup tcp/"+port+"-"+port) {
			say("the server's port is %v and the group's another", db["Port"])
		}
		for name, want := range map[string]any{"StorageEncrypted": true, "EnableIAMDatabaseAuthentication": true, "ManageMasterUserPassword": true, "CopyTagsToSnapshot": true} {
			if db[name] != want {
				say("%s of the database is %v", name, db[name])
			}
		}
		if s.resources(plan.StackDatabase)["Database"].(map[string]any)["DeletionPolicy"] != "Snapshot" {
			say("the database is deleted without a snapshot")
		}
	}
	for _, id := range s.ids(plan.StackDatabase, "AWS::RDS::DBInstance") {
		if s.props(plan.StackDatabase, id)["PubliclyAccessible"] != false {
			say("%s is public", id)
		}
	}
	for _, id := range s.ids(plan.StackDatabase, "AWS::SecretsManager::Secret") {
		if s.props(plan.StackDatabase, id+"Policy") == nil || s.props(plan.StackDatabase, id+"Rotation") == nil {
			say("the secret %s has no policy or no rotation", id)
		}
	}
	if fs := s.props(plan.StackNetwork, "FileSystem"); fs["FileSystemPolicy"] == nil || fs["Encrypted"] != true {
		say("the file system is open or in the clear")
	}
	for role := range s.stacks {
		for _, id := range s.ids(role, "AWS::S3::Bucket") {
			if s.props(role, id+"Policy") == nil || s.props(role, id)["PublicAccessBlockConfiguration"] == nil {
				say("the bucket %s is not shut", id)
			}
		}
		for _, id := range s.ids(role, "AWS::IAM::Role") {
			if p := text(s.props(role, id)); strings.Contains(p, `"Action":"*"`) || strings.Contains(p, "AdministratorAccess") {
				say("the role %s may do everything", id)
			}
		}
	}
	return wrong
}
