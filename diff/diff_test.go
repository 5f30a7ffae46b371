package diff

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/schema"
	"github.com/ringwall/ringwall/internal/template"
)

// Every setting names a type and properties that exist, so that none is looked for
// in vain.
func TestSettingsExist(t *testing.T) {
	for _, s := range settings() {
		r := schema.Lookup(s.typ)
		if r == nil {
			t.Errorf("%s: not in the schema", s.typ)
			continue
		}
		props := r.Properties
		for _, step := range splitPath(s.path) {
			name, _, _ := strings.Cut(step, "[")
			p := props[name]
			if p == nil {
				t.Errorf("%s %s: there is no %s", s.typ, s.path, name)
				break
			}
			typ := p.Type
			for typ.Elem != nil {
				typ = typ.Elem
			}
			if typ.Kind == schema.JSON {
				break
			}
			props = typ.Properties
		}
		if order(scored(s.aspect, weaker)) < 0 || order(scored(s.aspect, stronger)) < 0 || order(scored(s.aspect, unclear)) < 0 {
			t.Errorf("%s %s: the policy has no rules for %s", s.typ, s.path, s.aspect)
		}
	}
	for typ, g := range guards {
		if order(scored(g[0], weaker)) < 0 {
			t.Errorf("%s: the policy has no rule for %s", typ, g[0])
		}
	}
}

func TestPolicyIsComplete(t *testing.T) {
	seen := map[string]bool{}
	for _, r := range Policy {
		if seen[r.ID] || r.Doc == "" || r.Why == "" {
			t.Errorf("%s: twice, or without words", r.ID)
		}
		seen[r.ID] = true
	}
	if levelOf("a/rule-of-tomorrow") != Significant {
		t.Error("a rule that is not in the table: want significant")
	}
}

// The scales, each with both directions and with what cannot be told.
func TestScales(t *testing.T) {
	val := func(s string) *template.Value { return &template.Value{Shape: template.String, Text: s} }
	many := func(s ...string) []*template.Value {
		out := []*template.Value{}
		for _, x := range s {
			out = append(out, val(x))
		}
		return out
	}
	for _, c := range []struct {
		name          string
		scale         scale
		before, after []*template.Value
		want          direction
	}{
		{"true to false", truth(false), many("true"), many("false"), weaker},
		{"true to nothing", truth(false), many("true"), many(), weaker},
		{"nothing to false where true is the default", truth(true), many(), many("false"), weaker},
		{"one of two off", truth(false), many("true", "true"), many("true", "false"), weaker},
		{"false to true", truth(false), many("false"), many("true"), stronger},
		{"on, as databases write it", truth(false), many("1"), many("0"), weaker},
		{"new and off", truth(false), nil, many(), weaker},
		{"new and on", truth(false), nil, many("true"), unclear},
		{"a parameter", truth(false), many("true"), many(template.Pseudo("Region")), unclear},
		{"public", untruth(false), many("false"), many("true"), weaker},
		{"fewer days", number(1), many("35"), many("7"), weaker},
		{"no more days", number(1), many("35"), many(), weaker},
		{"for ever to a year", number(1 << 30), many(), many("365"), weaker},
		{"more hops", fewer(1), many("1"), many("2"), weaker},
		{"open to all", ranked("internet-facing", "internal"), many("internal"), many(), weaker},
		{"a word nobody knows", ranked("a", "b"), many("a"), many("c"), unclear},
		{"older TLS", tlsPolicy, many("ELBSecurityPolicy-TLS13-1-2-2021-06"), many("ELBSecurityPolicy-2016-08"), weaker},
		{"no TLS policy", tlsPolicy, many("ELBSecurityPolicy-TLS-1-2-Ext-2018-06"), many(), weaker},
		{"newer TLS", tlsPolicy, many("ELBSecurityPolicy-TLS-1-1-2017-01"), many("ELBSecurityPolicy-TLS13-1-3-2021-06"), stronger},
		{"another TLS policy", tlsPolicy, many("ELBSecurityPolicy-TLS13-1-2-2021-06"), many("mine"), unclear},
		{"gone", present, many("x"), many(), weaker},
		{"there", present, many(), many("x"), stronger},
		{"another", present, many("x"), many("y"), unclear},
		{"a key pair", absent, many(), many("x"), weaker},
		{"one less", set, many("x", "y"), many("x"), weaker},
		{"one more", set, many("x"), many("x", "y"), stronger},
		{"one for another", set, many("x"), many("y"), unclear},
		{"a lifecycle", shorter, many(), many("30"), weaker},
	} {
		if got := c.scale(c.before, c.after); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}

func set1(t *testing.T, text string) *template.Set {
	t.Helper()
	s, err := template.New([]template.File{{Name: "s.yaml", Text: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

const head = "Parameters: {P: {Type: String}}\nResources:\n"

// What the table of the oracle does not hold: parameters, conditions, narrower rules.
func TestMeaning(t *testing.T) {
	for _, c := range []struct {
		name, before, after string
		want                []string // rules, all of them, without services
	}{
		{"a policy made from a parameter",
			"  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Action: 'sts:AssumeRole', Principal: {Service: a.amazonaws.com}}]}}}\n",
			"  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Action: 'sts:AssumeRole', Principal: {AWS: !Ref P}}]}}}\n",
			[]string{"access/broadened", "access/unclear", "access/narrowed"}},
		{"a statement in other words",
			"  R: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: ['a:B', 'a:C'], Resource: '*'}}}}\n",
			"  R: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: [{Effect: Allow, Action: ['a:C', 'a:B'], Resource: ['*']}]}}}\n",
			nil},
		{"a statement within another",
			"  R: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: 's3:*', Resource: '*'}}}}\n",
			"  R: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: 's3:GetObject', Resource: '*'}}}}\n",
			[]string{"access/narrowed", "access/narrowed"}},
		{"a statement without its condition",
			"  R: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: 's3:*', Resource: '*', Condition: {Bool: {'aws:MultiFactorAuthPresent': 'true'}}}}}}\n",
			"  R: {Type: AWS::IAM::ManagedPolicy, Properties: {PolicyDocument: {Statement: {Effect: Allow, Action: 's3:*', Resource: '*'}}}}\n",
			[]string{"access/broadened", "access/same"}},
		{"a policy as a text",
			"  R: {Type: AWS::Logs::ResourcePolicy, Properties: {PolicyName: p, PolicyDocument: '{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"logs:PutLogEvents\",\"Resource\":\"*\",\"Principal\":{\"Service\":\"es.amazonaws.com\"}}]}'}}\n",
			"  R: {Type: AWS::Logs::ResourcePolicy, Properties: {PolicyName: p, PolicyDocument: '{\"Statement\":[{\"Effect\":\"Allow\",\"Action\":\"logs:PutLogEvents\",\"Resource\":\"*\",\"Principal\":\"*\"}]}'}}\n",
			[]string{"access/broadened", "access/same"}},
		{"fewer ports",
			"  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, SecurityGroupEgress: [], SecurityGroupIngress: [{IpProtocol: tcp, FromPort: 80, ToPort: 90, CidrIp: 10.0.0.0/8}]}}\n",
			"  G: {Type: AWS::EC2::SecurityGroup, Properties: {GroupDescription: g, SecurityGroupEgress: [], SecurityGroupIngress: [{IpProtocol: '6', FromPort: 80, ToPort: 80, CidrIp: 10.1.0.0/16}]}}\n",
			[]string{"reach/narrowed", "reach/narrowed"}},
		{"a refusal of a network ACL goes",
			"  E: {Type: AWS::EC2::NetworkAclEntry, Properties: {NetworkAclId: a, RuleNumber: 10, Protocol: -1, RuleAction: deny, CidrBlock: 0.0.0.0/0}}\n  T: {Type: AWS::SNS::Topic}\n",
			"  T: {Type: AWS::SNS::Topic}\n",
			[]string{"reach/broadened"}},
		{"a route to the Internet",
			"  T: {Type: AWS::SNS::Topic}\n",
			"  T: {Type: AWS::SNS::Topic}\n  R: {Type: AWS::EC2::Route, Properties: {RouteTableId: t, DestinationCidrBlock: 0.0.0.0/0, GatewayId: igw}}\n",
			[]string{"reach/broadened"}},
		{"a name that has to stay",
			"  T: {Type: AWS::SNS::Topic, Properties: {TopicName: t, FifoTopic: false}}\n",
			"  T: {Type: AWS::SNS::Topic, Properties: {TopicName: t, FifoTopic: true}}\n",
			nil},
		{"a boundary goes",
			"  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}, PermissionsBoundary: b}}\n",
			"  R: {Type: AWS::IAM::Role, Properties: {AssumeRolePolicyDocument: {}}}\n",
			[]string{"access/broadened"}},
		{"a new bucket with open doors",
			"  T: {Type: AWS::SNS::Topic}\n",
			"  T: {Type: AWS::SNS::Topic}\n  B: {Type: AWS::S3::Bucket}\n",
			[]string{"reach/broadened", "reach/broadened", "reach/broadened", "reach/broadened"}},
		{"nothing", "  T: {Type: AWS::SNS::Topic}\n", "  T: {Type: AWS::SNS::Topic, Properties: {}}\n", nil},
	} {
		r := Compare(set1(t, head+c.before), set1(t, head+c.after))
		var got []string
		for _, ch := range r.Changes {
			if ch.Aspect() != "service" {
				got = append(got, ch.Rule)
			}
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: got %q, want %q\n%s", c.name, got, c.want, lines(r))
		}
	}
}

// A first deployment is a step from nothing.
func TestFromNothing(t *testing.T) {
	r := Compare(nil, asSet(t, base(t)))
	for _, want := range []string{"access/broadened", "reach/broadened", "service/added"} {
		if !slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Rule == want }) {
			t.Errorf("got no %s", want)
		}
	}
	for key, i := range r.Impacts {
		if i != Create {
			t.Errorf("%s: got %s, want create", key, i)
		}
	}
}

func TestTypeUnknownToSchema(t *testing.T) {
	r := Compare(set1(t, "Resources: {X: {Type: AWS::Future::Thing, Properties: {A: 1}}}"), set1(t, "Resources: {X: {Type: AWS::Future::Thing, Properties: {A: 2}}}"))
	if len(r.Changes) != 1 || r.Changes[0].Rule != "service/unknown-type" || r.Changes[0].Level != Significant {
		t.Errorf("got %s, want service/unknown-type", lines(r))
	}
}

func TestOutput(t *testing.T) {
	r := Compare(set1(t, "Resources:\n  Db: {Type: AWS::RDS::DBInstance, Properties: {StorageEncrypted: true, BackupRetentionPeriod: 1}}"),
		set1(t, "Resources:\n  Db: {Type: AWS::RDS::DBInstance, Properties: {StorageEncrypted: false, BackupRetentionPeriod: 9}}"))
	var text bytes.Buffer
	if err := r.WriteText(&text); err != nil {
		t.Fatal(err)
	}
	name := filepath.Join("testdata", "output.txt")
	if os.Getenv("UPDATE") != "" {
		if err := os.WriteFile(name, text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if text.String() != string(want) {
		t.Errorf("got:\n%s\nwant:\n%s", text.String(), want)
	}
	var b bytes.Buffer
	if err := r.WriteJSON(&b, "s", nil); err != nil {
		t.Fatal(err)
	}
	var back struct {
		Digest      string
		Significant int
		Changes     []Change
	}
	if err := json.Unmarshal(b.Bytes(), &back); err != nil || back.Digest != r.Digest() || back.Significant != 2 || len(back.Changes) != len(r.Changes) {
		t.Errorf("got %+v, %v from %s", back, err, b.String())
	}
}

func TestApprovals(t *testing.T) {
	record := filepath.Join(t.TempDir(), "deep", "approvals.jsonl")
	one := Compare(set1(t, "Resources: {T: {Type: AWS::SNS::Topic}, D: {Type: AWS::DynamoDB::Table}}"), set1(t, "Resources: {T: {Type: AWS::SNS::Topic}}"))
	two := Compare(set1(t, "Resources: {T: {Type: AWS::SNS::Topic}, E: {Type: AWS::DynamoDB::Table}}"), set1(t, "Resources: {T: {Type: AWS::SNS::Topic}}"))
	found := func(r *Report, site string) bool {
		t.Helper()
		a, err := Approved(record, site, r.Digest())
		if err != nil {
			t.Fatal(err)
		}
		return a != nil
	}
	if found(one, "wp-dev") {
		t.Error("before: approved")
	}
	for range 2 {
		if err := Approve(record, Approval{Time: time.Now(), By: "me", Reason: "agreed", Site: "wp-dev", Digest: one.Digest(), Changes: one.Significant()}); err != nil {
			t.Fatal(err)
		}
	}
	if !found(one, "wp-dev") || found(two, "wp-dev") || found(one, "wp-test") {
		t.Error("want exactly these changes of this site approved")
	}
	b, err := os.ReadFile(record)
	if err != nil || bytes.Count(b, []byte("\n")) != 2 {
		t.Errorf("got %q, %v, want two lines", b, err)
	}
	if err := os.WriteFile(record, append(b, "{half"...), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Approved(record, "wp-dev", one.Digest()); err == nil {
		t.Error("a broken record: got no error")
	}
}

// What is long and differs late is shown from where it differs, in one line.
func TestShowBoth(t *testing.T) {
	text := func(s string) *template.Value { return &template.Value{Shape: template.String, Text: s} }
	long := strings.Repeat("line of a program\n", 20)
	before, after := showBoth(text(long+"port 3306"), text(long+"port 5432"))
	if before == after || !strings.HasSuffix(before, "3306") || !strings.HasSuffix(after, "5432") || strings.ContainsAny(before+after, "\n") || !strings.HasPrefix(before, "...") {
		t.Errorf("got %q and %q", before, after)
	}
	if before, after = showBoth(text("a"), text("b")); before != "a" || after != "b" {
		t.Errorf("got %q and %q", before, after)
	}
	if before, after = showBoth(nil, text("b")); before != "" || after != "b" {
		t.Errorf("got %q and %q", before, after)
	}
}

func TestReplacedByASnapshot(t *testing.T) {
	const db = "Resources:\n  Db: {Type: AWS::RDS::DBInstance, UpdateReplacePolicy: Snapshot, DeletionPolicy: Snapshot, Properties: {DBInstanceClass: db.t4g.micro, Engine: mysql%s}}\n"
	for more, want := range map[string]string{
		", Port: '3307'":                 "is replaced by an empty one because",
		", DBSnapshotIdentifier: before": "is replaced by one with what is in snapshot before, without what was written after it,",
	} {
		r := Compare(set1(t, strings.Replace(db, "%s", ", Port: '3306'", 1)), set1(t, strings.Replace(db, "%s", more, 1)))
		if !slices.ContainsFunc(r.Changes, func(c Change) bool { return c.Rule == "data/replaced" && strings.Contains(c.Words, want) }) {
			t.Errorf("%s: got %+v, want %q", more, r.Changes, want)
		}
	}
}
