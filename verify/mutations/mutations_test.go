package mutations

import (
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/perimeter/all"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/synth"
	"github.com/ringwall/ringwall/verify"
)

type object = map[string]any

// A set is a site's templates, decoded: stack → template.
type set map[string]object

func sitePlan(t testing.TB) *plan.Plan {
	t.Helper()
	p, err := plan.Load(plan.Options{File: filepath.Join("..", "..", "plan", "testdata", "template.properties"), Site: "wp-dev", Getenv: func(string) string { return "" }})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func build(t testing.TB, p *plan.Plan) map[string][]byte {
	t.Helper()
	s, _, err := synth.Build(p)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := s.Templates()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]byte{}
	for _, x := range ts {
		out[x.Name] = x.JSON()
	}
	return out
}

func decode(t *testing.T, site map[string][]byte) set {
	t.Helper()
	out := set{}
	for name, b := range site {
		var o object
		if err := json.Unmarshal(b, &o); err != nil {
			t.Fatal(err)
		}
		out[name] = o
	}
	return out
}

func judge(t *testing.T, p *plan.Plan, s set) map[string]perimeter.Result {
	t.Helper()
	var files []template.File
	for _, name := range slices.Sorted(maps.Keys(s)) {
		b, err := json.MarshalIndent(s[name], "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, template.File{Name: name + ".json", Text: b})
	}
	ts, err := template.New(files)
	if err != nil {
		t.Fatal(err)
	}
	_, results, _ := verify.Check(p, ts, verify.Jobs(all.Perimeters))
	out := map[string]perimeter.Result{}
	for _, r := range results {
		out[r.ID] = r
	}
	return out
}

// props returns the properties of the first resource of a type whose id has a word.
func (s set) props(typ, word string) object {
	_, r := s.resource(typ, word)
	p, ok := r["Properties"].(object)
	if !ok {
		p = object{}
		r["Properties"] = p
	}
	return p
}

func (s set) resource(typ, word string) (stack string, r object) {
	for _, name := range slices.Sorted(maps.Keys(s)) {
		rs := s[name]["Resources"].(object)
		for _, id := range slices.Sorted(maps.Keys(rs)) {
			if r := rs[id].(object); r["Type"] == typ && strings.Contains(id, word) {
				return name, r
			}
		}
	}
	panic(fmt.Sprintf("no %s with %q in its id", typ, word))
}

// gone makes a resource something that does nothing, under its old name.
func (s set) gone(typ, word string) {
	_, r := s.resource(typ, word)
	r["Type"] = "AWS::CloudFormation::WaitConditionHandle"
	delete(r, "Properties")
}

// add puts a resource beside the first one of a type.
func (s set) add(beside, id string, r object) {
	stack, _ := s.resource(beside, "")
	s[stack]["Resources"].(object)[id] = r
}

// grant adds a statement to a role.
func (s set) grant(role string, action, resource any) {
	p := s.props("AWS::IAM::Role", role)
	list, _ := p["Policies"].([]any)
	p["Policies"] = append(list, object{"PolicyName": "mutation", "PolicyDocument": object{"Version": "2012-10-17",
		"Statement": []any{object{"Effect": "Allow", "Action": action, "Resource": resource}}}})
}

func (s set) ingress(group string, rule object) {
	p := s.props("AWS::EC2::SecurityGroup", group)
	list, _ := p["SecurityGroupIngress"].([]any)
	p["SecurityGroupIngress"] = append(list, rule)
}

func dig(v any, path ...any) any {
	for _, k := range path {
		switch k := k.(type) {
		case string:
			v = v.(object)[k]
		case int:
			v = v.([]any)[k]
		}
	}
	return v
}

// because says, by control, why a mutation that is about another promise breaks it too.
type because map[string]string

// A mutation takes one promise down in templates that keep all of them.
type mutation struct {
	id   string // the control that must see it
	what string
	do   func(set)
	want perimeter.Verdict // Broken where it is the zero value
	also because           // other controls that cannot hold beside it, and why
}

var mutations = []mutation{
	{id: "vpc/internet-reach", what: "the balancer's group takes 443 from 0.0.0.0/0", do: func(s set) {
		s.ingress("BalancerGroup", object{"CidrIp": "0.0.0.0/0", "IpProtocol": "tcp", "FromPort": 443, "ToPort": 443})
	}, also: because{"vpc/exact-flows": "the fleet may dial 443 anywhere, and now the balancer takes it"}},
	{id: "balancer/only-our-distribution", what: "a rule forwards without the secret", do: func(s set) {
		p := s.props("AWS::ElasticLoadBalancingV2::ListenerRule", "FleetRule")
		p["Conditions"] = []any{object{"Field": "path-pattern", "PathPatternConfig": object{"Values": []any{"/*"}}}}
	}},
	{id: "edge/waf-complete", what: "the distribution has no web ACL", do: func(s set) {
		delete(dig(s.props("AWS::CloudFront::Distribution", ""), "DistributionConfig").(object), "WebACLId")
	}},
	{id: "edge/waf-complete", what: "the common rules only count", do: func(s set) {
		for _, r := range s.props("AWS::WAFv2::WebACL", "")["Rules"].([]any) {
			if g, ok := dig(r, "Statement", "ManagedRuleGroupStatement").(object); ok && g["Name"] == "AWSManagedRulesCommonRuleSet" {
				r.(object)["OverrideAction"] = object{"Count": object{}}
			}
		}
	}},
	{id: "instance/only-the-balancer", what: "fleet takes connections from the whole VPC", do: func(s set) {
		s.ingress("FleetGroup", object{"CidrIp": "10.0.0.0/16", "IpProtocol": "tcp", "FromPort": 80, "ToPort": 80})
	}},
	{id: "database/isolated", what: "an isolated subnet has a route to NAT", do: func(s set) {
		table := object{"Ref": idOf(s, "AWS::EC2::RouteTable", "Isolated")}
		s.add("AWS::EC2::RouteTable", "MutationRoute", object{"Type": "AWS::EC2::Route", "Properties": object{
			"RouteTableId": table, "DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": object{"Ref": idOf(s, "AWS::EC2::NatGateway", "")}}})
	}},
	{id: "files/fleet-cannot-write", what: "the file system has no policy", do: func(s set) {
		delete(s.props("AWS::EFS::FileSystem", ""), "FileSystemPolicy")
	}},
	{id: "instance/compartments", what: "admin has the fleet's security group", do: share,
		also: because{"database/isolated": "nobody is left in the admin's group, which the database still takes: who may get it is not known"}},
	{id: "instance/compartments", what: "one group for both, with itself as a source", also: because{
		"instance/only-the-balancer": "the group takes 2049 from itself",
		"database/isolated":          "nobody is left in the admin's group, which the database still takes: who may get it is not known",
		"vpc/exact-flows":            "fleet and admin dial each other on 2049, which the plan does not list",
	}, do: func(s set) {
		share(s)
		group := object{"Ref": "FleetGroup"}
		for _, x := range []string{"Ingress", "Egress"} {
			end := map[string]string{"Ingress": "SourceSecurityGroupId", "Egress": "DestinationSecurityGroupId"}[x]
			s.add("AWS::EC2::SecurityGroup", "Mutation"+x, object{"Type": "AWS::EC2::SecurityGroup" + x, "Properties": object{
				"GroupId": group, end: group, "IpProtocol": "tcp", "FromPort": 2049, "ToPort": 2049}})
		}
	}},
	{id: "balancer/admin-selection", what: "one behaviour has no function", do: func(s set) {
		delete(dig(s.props("AWS::CloudFront::Distribution", ""), "DistributionConfig", "DefaultCacheBehavior").(object), "FunctionAssociations")
	}, also: because{"edge/cache-boundary": "the same function puts what is not for everybody under a key of its own"}},
	{id: "edge/cache-boundary", what: "answers are kept for a second at least", do: func(s set) {
		for _, st := range s {
			for _, r := range st["Resources"].(object) {
				if r := r.(object); r["Type"] == "AWS::CloudFront::CachePolicy" {
					dig(r, "Properties", "CachePolicyConfig").(object)["MinTTL"] = 1
				}
			}
		}
	}},
	{id: "files/buckets-private", what: "a bucket may be made public", do: func(s set) {
		dig(s.props("AWS::S3::Bucket", ""), "PublicAccessBlockConfiguration").(object)["BlockPublicPolicy"] = false
	}},
	{id: "people/secrets-closed", what: "fleet reads the admin's database secret", do: func(s set) {
		s.grant("FleetRole", "secretsmanager:GetSecretValue", object{"Fn::Sub": "arn:${AWS::Partition}:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:wp-dev/admin/*"})
	}},
	{id: "people/no-escalation", what: "fleet may pass any role", do: func(s set) { s.grant("FleetRole", "iam:PassRole", "*") }},
	{id: "webserver/fleet-refuses-admin", what: "fleet's web server has another route table", do: func(s set) { s.props("AWS::SSM::Parameter", "WebserverFleetFiles0")["Value"] = "other" }},
	{id: "people/evidence-kept", what: "who asks the trail's bucket is not kept", do: func(s set) { delete(s.props("AWS::S3::Bucket", "TrailBucket"), "LoggingConfiguration") }},
	{id: "people/evidence-kept", what: "nothing looks for threats", do: func(s set) { s.gone("AWS::GuardDuty::Detector", "") }},
	{id: "people/evidence-kept", what: "the threat detector is switched off", do: func(s set) { s.props("AWS::GuardDuty::Detector", "")["Enable"] = false }},
	{id: "people/evidence-kept", what: "fleet may stop the trail", do: func(s set) { s.grant("FleetRole", "cloudtrail:StopLogging", "*") }},
	{id: "instance/egress-and-metadata", what: "fleet's group has no egress rules", do: func(s set) {
		delete(s.props("AWS::EC2::SecurityGroup", "FleetGroup"), "SecurityGroupEgress")
	}},
	{id: "instance/egress-and-metadata", what: "IMDSv2 is optional", do: func(s set) {
		dig(s.props("AWS::EC2::LaunchTemplate", "Fleet"), "LaunchTemplateData", "MetadataOptions").(object)["HttpTokens"] = "optional"
	}},
	{id: "database/restorable", what: "the file system has no automatic backups", do: func(s set) {
		s.props("AWS::EFS::FileSystem", "")["BackupPolicy"] = object{"Status": "DISABLED"}
	}},
	{id: "host/first-start", what: "fleet pipes a download into a shell", do: func(s set) {
		data := dig(s.props("AWS::EC2::LaunchTemplate", "Fleet"), "LaunchTemplateData").(object)
		data["UserData"] = object{"Fn::Base64": "#!/bin/bash\ncurl -sL https://example.com/setup | sudo -E bash -\n"}
	}},
	{id: "vpc/resolved", what: "fleet's group is a parameter", want: perimeter.Unknown, do: func(s set) {
		stack, r := s.resource("AWS::EC2::LaunchTemplate", "Fleet")
		params, _ := s[stack]["Parameters"].(object)
		if params == nil {
			params = object{}
			s[stack]["Parameters"] = params
		}
		params["AnyGroup"] = object{"Type": "AWS::EC2::SecurityGroup::Id"}
		data := dig(r, "Properties", "LaunchTemplateData").(object)
		if ni, ok := data["NetworkInterfaces"].([]any); ok {
			ni[0].(object)["Groups"] = []any{object{"Ref": "AnyGroup"}}
		} else {
			data["SecurityGroupIds"] = []any{object{"Ref": "AnyGroup"}}
		}
	}, also: because{
		"instance/only-the-balancer":   "whom the group takes is not known",
		"instance/compartments":        "whether it is the admin's group is not known",
		"instance/egress-and-metadata": "where the group lets out is not known",
		"database/isolated":            "nobody is known to be in the fleet's group, which the database still takes",
		"vpc/exact-flows":              "what the fleet can open is not known",
	}},
	{id: "vpc/exact-flows", what: "fleet cannot dial the database", do: func(s set) {
		p := s.props("AWS::EC2::SecurityGroup", "FleetGroup")
		p["SecurityGroupEgress"] = slices.DeleteFunc(p["SecurityGroupEgress"].([]any), func(r any) bool { return dig(r, "FromPort") == 3306.0 })
	}},
}

func share(s set) {
	_, fleet := s.resource("AWS::EC2::LaunchTemplate", "Fleet")
	_, admin := s.resource("AWS::EC2::LaunchTemplate", "Admin")
	from, to := dig(fleet, "Properties", "LaunchTemplateData").(object), dig(admin, "Properties", "LaunchTemplateData").(object)
	for _, k := range []string{"NetworkInterfaces", "SecurityGroupIds"} {
		if v, ok := from[k]; ok {
			to[k] = v
		}
	}
}

func idOf(s set, typ, word string) string {
	for _, st := range s {
		for id, r := range st["Resources"].(object) {
			if r.(object)["Type"] == typ && strings.Contains(id, word) {
				return id
			}
		}
	}
	panic(fmt.Sprintf("no %s with %q in its id", typ, word))
}

// TestCheckMutations: each promise is seen to be broken when it is, and no other
// invariant with it but those that are named.
func TestCheckMutations(t *testing.T) {
	p := sitePlan(t)
	site := build(t, p)
	before := judge(t, p, decode(t, site))
	for id, r := range before {
		if r.Verdict != perimeter.Held {
			t.Errorf("%s before any mutation: got %s (%v), want held", id, r.Verdict, r.Evidence)
		}
	}
	covered := map[string]bool{}
	var table strings.Builder
	fmt.Fprintf(&table, "\n%-34s %-8s %-8s %s\n", "control", "before", "after", "mutation")
	for _, m := range append(mutations, cisMutations...) {
		covered[m.id] = true
		s := decode(t, site)
		m.do(s)
		after := judge(t, p, s)
		want := m.want
		if want == perimeter.Unknown && !strings.HasPrefix(m.id, "vpc/resolved") {
			want = perimeter.Broken
		}
		r := after[m.id]
		was := before[m.id].Verdict.String()
		if _, ok := before[m.id]; !ok {
			was = "–"
		}
		fmt.Fprintf(&table, "%-34s %-8s %-8s %s\n", m.id, was, r.Verdict, m.what)
		for _, id := range slices.Sorted(maps.Keys(m.also)) {
			fmt.Fprintf(&table, "  and %-28s %-8s %-8s %s\n", id, before[id].Verdict, after[id].Verdict, m.also[id])
		}
		if r.Verdict != want {
			t.Errorf("%s, %s: got %s (%v), want %s", m.id, m.what, r.Verdict, r.Evidence, want)
		}
		for id, x := range after {
			why, named := m.also[id]
			if named && x.Verdict == perimeter.Held {
				t.Errorf("%s, %s: %s holds; want it not to (%s), or not to be named", m.id, m.what, id, why)
			}
			if strings.Contains(id, "/cis-") || id == m.id || x.Verdict == perimeter.Held || named || strings.Contains(m.id, "/cis-") {
				continue
			}
			t.Errorf("%s, %s: %s is %s too: %v", m.id, m.what, id, x.Verdict, x.Evidence)
		}
	}
	for _, j := range verify.Checking(verify.Jobs(all.Perimeters)) {
		if !covered[j.Control.ID] {
			t.Errorf("%s has a check and no mutation", j.Control.ID)
		}
	}
	fmt.Fprint(os.Stdout, table.String())
}

// TestSitesHold: the sample's sites keep every promise as they are written.
func TestSitesHold(t *testing.T) {
	for _, site := range []string{"nodered-dev", "nodered-test", "wp-dev"} {
		for _, image := range []string{"", "build"} {
			p, err := plan.Load(plan.Options{File: filepath.Join("..", "..", "plan", "testdata", "template.properties"), Site: site,
				Overrides: map[string]string{"aws.image": image}, Getenv: func(string) string { return "" }})
			if err != nil {
				t.Fatal(err)
			}
			for id, r := range judge(t, p, decode(t, build(t, p))) {
				if r.Verdict != perimeter.Held {
					t.Errorf("%s, image %q: %s is %s: %v", site, image, id, r.Verdict, r.Evidence)
				}
			}
		}
	}
}
