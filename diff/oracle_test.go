package diff

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/awstools"
	"github.com/ringwall/ringwall/internal/template"
)

// An edit changes one template: Path leads to a value by slashes, with - for a new
// item of a list. A nil Value takes it out.
type edit struct {
	stack, path string
	value       any
}

type object = map[string]any
type list = []any

func ref(id string) object            { return object{"Ref": id} }
func att(id, attribute string) object { return object{"Fn::GetAtt": list{id, attribute}} }

// changes is the table in which we agree with the CDK's template diff, on what is
// replaced and on whether permissions get broader.
var changes = []struct {
	name  string
	edits []edit
	rules []string // of our policy, that have to be among what we say; the level is theirs
}{
	{"database: encryption off", []edit{{"database", "Resources/Db/Properties/StorageEncrypted", false}}, []string{"data/replaced", "encryption/weakened"}},
	{"database: encryption off, and nothing is kept", []edit{{"database", "Resources/Db/Properties/StorageEncrypted", false}, {"database", "Resources/Db/UpdateReplacePolicy", nil}}, []string{"data/lost"}},
	{"database: another engine", []edit{{"database", "Resources/Db/Properties/Engine", "postgres"}}, []string{"data/may-be-replaced"}},
	{"database: larger class", []edit{{"database", "Resources/Db/Properties/DBInstanceClass", "db.t4g.large"}}, []string{"service/changed"}},
	{"database: shorter backups", []edit{{"database", "Resources/Db/Properties/BackupRetentionPeriod", 1}}, []string{"data/weakened"}},
	{"database: longer backups", []edit{{"database", "Resources/Db/Properties/BackupRetentionPeriod", 35.0}, {"database", "Resources/Db/Properties/DBInstanceClass", "db.t4g.large"}}, []string{"service/changed"}},
	{"database: unprotected", []edit{{"database", "Resources/Db/Properties/DeletionProtection", false}}, []string{"data/weakened"}},
	{"database: public", []edit{{"database", "Resources/Db/Properties/PubliclyAccessible", true}}, []string{"reach/broadened"}},
	{"database: other subnets", []edit{{"database", "Resources/Subnets/Properties/DBSubnetGroupName", "other"}}, []string{"service/replaced"}},
	{"database: another key policy for everybody", []edit{{"database", "Resources/Key/Properties/KeyPolicy/Statement/0/Principal/AWS", "*"}}, []string{"access/broadened"}},
	{"database: a new key", []edit{{"database", "Resources/Db/Properties/KmsKeyId", "arn:aws:kms:eu-west-1:123456789012:key/11111111-1111-1111-1111-111111111111"}}, []string{"data/replaced", "encryption/unclear"}},
	{"database: deleted, a snapshot stays", []edit{{"database", "Resources/Db", nil}}, []string{"data/replaced"}},
	{"files: deleted and kept", []edit{{"database", "Resources/Mt0", nil}, {"database", "Resources/Efs", nil}}, []string{"data/left"}},
	{"files: unencrypted, mount targets follow", []edit{{"database", "Resources/Efs/Properties/Encrypted", false}}, []string{"data/replaced", "encryption/weakened", "service/replaced"}},
	{"files: no backup", []edit{{"database", "Resources/Efs/Properties/BackupPolicy/Status", "DISABLED"}}, []string{"data/weakened"}},
	{"files: a policy that lets everybody in", []edit{{"database", "Resources/Efs/Properties/FileSystemPolicy", object{"Version": "2012-10-17", "Statement": list{object{"Effect": "Allow", "Principal": object{"AWS": "*"}, "Action": "elasticfilesystem:ClientMount"}}}}}, []string{"access/broadened"}},
	{"network: SSH from everywhere", []edit{{"network", "Resources/AppSg/Properties/SecurityGroupIngress/-", object{"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "CidrIp": "0.0.0.0/0"}}}, []string{"reach/broadened"}},
	{"network: a rule of its own", []edit{{"network", "Resources/Ssh", object{"Type": "AWS::EC2::SecurityGroupIngress", "Properties": object{"GroupId": att("AppSg", "GroupId"), "IpProtocol": "tcp", "FromPort": 8080, "ToPort": 8080, "SourceSecurityGroupId": att("AlbSg", "GroupId")}}}}, []string{"reach/broadened"}},
	{"network: the database's rule goes", []edit{{"network", "Resources/DbSg/Properties/SecurityGroupIngress", nil}}, []string{"reach/narrowed"}},
	{"network: another block for a subnet", []edit{{"network", "Resources/Db0/Properties/CidrBlock", "10.0.99.0/24"}}, []string{"service/replaced", "service/export"}},
	{"network: another block for the VPC, and all follows", []edit{{"network", "Resources/Vpc/Properties/CidrBlock", "10.9.0.0/16"}}, []string{"service/replaced"}},
	{"network: a group's description", []edit{{"network", "Resources/AppSg/Properties/GroupDescription", "other words"}}, []string{"service/replaced"}},
	{"network: flow log of refused packets only", []edit{{"network", "Resources/FlowLog/Properties/TrafficType", "REJECT"}}, []string{"logging/unclear"}},
	{"network: no flow log", []edit{{"network", "Resources/FlowLog", nil}}, []string{"logging/weakened"}},
	{"network: logs for a month", []edit{{"network", "Resources/FlowLogs/Properties/RetentionInDays", 30}}, []string{"logging/weakened"}},
	{"network: others may be the log's role", []edit{{"network", "Resources/FlowRole/Properties/AssumeRolePolicyDocument/Statement/0/Principal", object{"AWS": "arn:aws:iam::999999999999:root"}}}, []string{"access/broadened"}},
	{"network: names of hosts off", []edit{{"network", "Resources/Vpc/Properties/EnableDnsHostnames", false}}, []string{"service/changed"}},
	{"compute: administrator", []edit{{"compute", "Resources/Role/Properties/ManagedPolicyArns/-", "arn:aws:iam::aws:policy/AdministratorAccess"}}, []string{"access/broadened"}},
	{"compute: no managed policy", []edit{{"compute", "Resources/Role/Properties/ManagedPolicyArns", nil}}, []string{"access/narrowed"}},
	{"compute: a policy of the role's own", []edit{{"compute", "Resources/Role/Properties/Policies", list{object{"PolicyName": "all", "PolicyDocument": object{"Version": "2012-10-17", "Statement": list{object{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}}}}}}}, []string{"access/broadened"}},
	{"compute: a role's policy that refuses", []edit{{"compute", "Resources/Role/Properties/Policies", list{object{"PolicyName": "no", "PolicyDocument": object{"Version": "2012-10-17", "Statement": list{object{"Effect": "Deny", "Action": "iam:*", "Resource": "*"}}}}}}}, []string{"access/narrowed"}},
	{"compute: a policy beside the role", []edit{{"compute", "Resources/More", object{"Type": "AWS::IAM::Policy", "Properties": object{"PolicyName": "more", "Roles": list{ref("Role")}, "PolicyDocument": object{"Version": "2012-10-17", "Statement": object{"Effect": "Allow", "Action": list{"sqs:SendMessage"}, "Resource": att("Q", "Arn")}}}}}}, []string{"access/broadened"}},
	{"compute: the role gets a name", []edit{{"compute", "Resources/Role/Properties/RoleName", "app"}}, []string{"service/replaced"}},
	{"compute: public balancer", []edit{{"compute", "Resources/Alb/Properties/Scheme", "internet-facing"}}, []string{"reach/broadened", "service/replaced"}},
	{"compute: old ciphers", []edit{{"compute", "Resources/Https/Properties/SslPolicy", "ELBSecurityPolicy-2016-08"}}, []string{"encryption/weakened"}},
	{"compute: another port behind", []edit{{"compute", "Resources/Tg/Properties/Port", 8080}}, []string{"service/replaced"}},
	{"compute: old metadata service", []edit{{"compute", "Resources/Lt/Properties/LaunchTemplateData/MetadataOptions/HttpTokens", "optional"}}, []string{"access/broadened"}},
	{"compute: a queue becomes first in, first out", []edit{{"compute", "Resources/Q/Properties/FifoQueue", true}}, []string{"data/lost"}},
	{"compute: another table key", []edit{{"compute", "Resources/T/Properties/KeySchema/0/AttributeName", "id"}, {"compute", "Resources/T/Properties/AttributeDefinitions/0/AttributeName", "id"}}, []string{"data/lost"}},
	{"compute: the table goes", []edit{{"compute", "Resources/T", nil}}, []string{"data/lost"}},
	{"compute: more instances", []edit{{"compute", "Resources/Asg/Properties/MaxSize", "9"}}, []string{"service/changed"}},
	{"edge: no web ACL", []edit{{"cdn", "Resources/Cdn/Properties/DistributionConfig/WebACLId", nil}}, []string{"reach/broadened"}},
	{"edge: the rules only count", []edit{{"cdn", "Resources/Acl/Properties/Rules/0/OverrideAction", object{"Count": object{}}}}, []string{"reach/broadened"}},
	{"edge: the log bucket goes and is kept", []edit{{"cdn", "Resources/Logs", nil}}, []string{"data/left"}},
	{"edge: everybody may read the logs", []edit{{"cdn", "Resources/Open", object{"Type": "AWS::S3::BucketPolicy", "Properties": object{"Bucket": ref("Logs"), "PolicyDocument": object{"Version": "2012-10-17", "Statement": list{object{"Effect": "Allow", "Principal": "*", "Action": "s3:GetObject", "Resource": "*"}}}}}}}, []string{"access/broadened"}},
}

// wiser are changes for which the CDK's answer is coarser than ours, on purpose.
var wiser = []struct {
	name         string
	edits        []edit
	theirs, ours bool // whether permissions get broader
	why          string
}{
	{"an allowed action less", []edit{{"database", "Resources/Key/Properties/KeyPolicy/Statement/0/Action", "kms:Decrypt"}}, true, false, "a statement that grants a part of the one that goes takes rights away"},
	{"fewer addresses", []edit{{"network", "Resources/DbSg/Properties/SecurityGroupIngress", list{object{"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "CidrIp": "10.0.1.0/24"}}}, {"network", "BEFORE", list{object{"IpProtocol": "tcp", "FromPort": 3306, "ToPort": 3306, "CidrIp": "10.0.0.0/16"}}}}, true, false, "a block within a block lets fewer in"},
	{"a public database", []edit{{"database", "Resources/Db/Properties/PubliclyAccessible", true}}, false, true, "an address on the Internet is reach"},
	{"no list of ways out", []edit{{"network", "Resources/AppSg/Properties/SecurityGroupEgress", nil}, {"network", "BEFORE-EGRESS", list{object{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "CidrIp": "10.0.0.0/16"}}}}, false, true, "EC2 lets everything out where nothing is listed"},
}

func base(t *testing.T) map[string]object {
	t.Helper()
	out := map[string]object{}
	for _, name := range []string{"network", "database", "compute", "cdn"} {
		b, err := os.ReadFile(filepath.Join("testdata", "base", name+".json"))
		if err != nil {
			t.Fatal(err)
		}
		var m object
		if err := json.Unmarshal(b, &m); err != nil {
			t.Fatal(err)
		}
		out[name] = m
	}
	return out
}

func apply(t *testing.T, set map[string]object, e edit) {
	t.Helper()
	var at any = set[e.stack]
	steps := strings.Split(e.path, "/")
	for i, s := range steps[:len(steps)-1] {
		switch x := at.(type) {
		case object:
			if s2 := steps[i+1]; s2 == "-" {
				x[s] = append(x[s].(list), e.value)
				return
			}
			at = x[s]
		case list:
			at = x[s[0]-'0']
		}
		if at == nil {
			t.Fatalf("edit %s: there is no %s", e.path, s)
		}
	}
	m, last := at.(object), steps[len(steps)-1]
	if e.value == nil {
		if m[last] == nil && last != "SecurityGroupEgress" {
			t.Fatalf("edit %s: there is nothing to take out", e.path)
		}
		delete(m, last)
		return
	}
	m[last] = e.value
}

func asSet(t *testing.T, set map[string]object) *template.Set {
	t.Helper()
	var files []template.File
	for name, m := range set {
		b, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, template.File{Name: name + ".json", Text: b})
	}
	slices.SortFunc(files, func(a, b template.File) int { return strings.Compare(a.Name, b.Name) })
	s, err := template.New(files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

type answer struct {
	Broadened bool
	Impacts   map[string]string
}

// ask runs the oracle over pairs, each of one stack.
func ask(t *testing.T, pairs []object) []answer {
	t.Helper()
	tools, err := awstools.Find()
	if err != nil {
		t.Fatal(err)
	}
	in, err := json.Marshal(pairs)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "node", filepath.Join("testdata", "oracle.js"))
	cmd.Env = append(os.Environ(), "NODE_PATH="+tools.Node)
	cmd.Stdin = bytes.NewReader(in)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	b, err := cmd.Output()
	if err != nil {
		t.Fatalf("NOT RUN: the oracle: %v: %.2000s", err, stderr.String())
	}
	var out []answer
	if err := json.Unmarshal(b, &out); err != nil || len(out) != len(pairs) {
		t.Fatalf("NOT RUN: the oracle: got %d answers for %d pairs: %v", len(out), len(pairs), err)
	}
	return out
}

// broader says what the oracle means with it: a right or a rule of a security group.
func broader(r *Report) bool {
	return slices.ContainsFunc(r.Changes, func(c Change) bool {
		statement := c.Rule == "access/broadened" && !strings.HasPrefix(c.Path, "LaunchTemplateData")
		group := c.Rule == "reach/broadened" && strings.HasPrefix(c.Type, "AWS::EC2::SecurityGroup")
		return statement || group
	})
}

var theirs = map[Impact][]string{Create: {"WILL_CREATE"}, Update: {"WILL_UPDATE"}, Replace: {"WILL_REPLACE"}, MayReplace: {"MAY_REPLACE"}, Delete: {"WILL_DESTROY"}, Leave: {"WILL_ORPHAN"}}

func TestAgreesWithTemplateDiff(t *testing.T) {
	if len(changes) < 40 {
		t.Fatalf("got %d changes, want 40", len(changes))
	}
	var pairs []object
	var reports []*Report
	for _, c := range changes {
		before, after := base(t), base(t)
		for _, e := range c.edits {
			apply(t, after, e)
		}
		pairs = append(pairs, object{"before": before[c.edits[0].stack], "after": after[c.edits[0].stack]})
		reports = append(reports, Compare(asSet(t, before), asSet(t, after)))
	}
	for i, a := range ask(t, pairs) {
		c, r := changes[i], reports[i]
		t.Run(c.name, func(t *testing.T) {
			if got := broader(r); got != a.Broadened {
				t.Errorf("permissions get broader: got %t, the oracle says %t", got, a.Broadened)
			}
			for key, impact := range r.Impacts {
				_, id, _ := strings.Cut(key, "/")
				if !slices.Contains(theirs[impact], a.Impacts[id]) {
					t.Errorf("%s: got %q, the oracle says %q", id, impact, a.Impacts[id])
				}
			}
			for id, impact := range a.Impacts {
				if r.Impacts[c.edits[0].stack+"/"+id] == "" {
					t.Errorf("%s: got nothing, the oracle says %q", id, impact)
				}
			}
			for _, want := range c.rules {
				if !slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Rule == want }) {
					t.Errorf("got no %s among %s", want, lines(r))
				}
			}
			if t.Failed() {
				t.Logf("all: %s", lines(r))
			}
		})
	}
}

func TestWiserThanTemplateDiff(t *testing.T) {
	var pairs []object
	var reports []*Report
	for _, c := range wiser {
		before, after := base(t), base(t)
		for _, e := range c.edits {
			switch e.path {
			case "BEFORE":
				apply(t, before, edit{"network", "Resources/DbSg/Properties/SecurityGroupIngress", e.value})
			case "BEFORE-EGRESS":
				apply(t, before, edit{"network", "Resources/AppSg/Properties/SecurityGroupEgress", e.value})
			default:
				apply(t, after, e)
			}
		}
		pairs = append(pairs, object{"before": before[c.edits[0].stack], "after": after[c.edits[0].stack]})
		reports = append(reports, Compare(asSet(t, before), asSet(t, after)))
	}
	for i, a := range ask(t, pairs) {
		c := wiser[i]
		got := slices.ContainsFunc(reports[i].Changes, func(c Change) bool { return c.Rule == "access/broadened" || c.Rule == "reach/broadened" })
		if got != c.ours || a.Broadened != c.theirs {
			t.Errorf("%s: got %t and the oracle's %t, want %t and %t: %s\n%s", c.name, got, a.Broadened, c.ours, c.theirs, c.why, lines(reports[i]))
		}
	}
}

func lines(r *Report) string {
	var b strings.Builder
	for _, c := range r.Changes {
		b.WriteString("\n  " + c.Rule + " " + c.Stack + "/" + c.Resource + " " + c.Words)
	}
	return b.String()
}
