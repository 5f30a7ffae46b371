package cfn_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/ringwall/ringwall/internal/cfn"
	"github.com/ringwall/ringwall/internal/cfn/res"
)

// two gives a set with a stack in the set's Region, a second one there, and one
// elsewhere.
func two() (s *cfn.Stacks, a, b, far *cfn.Stack) {
	s = cfn.New("eu-central-1")
	a = s.Declare("a", "site-a-stack", "", "")
	b = s.Declare("b", "site-b-stack", "", "")
	far = s.Declare("far", "site-far-stack", "us-east-1", "")
	return s, a, b, far
}

func vpc() *res.EC2VPC { return &res.EC2VPC{CidrBlock: cfn.S("10.0.0.0/16")} }

// TestRefused has a set for each thing that no template may have, and a part of
// what is said of it.
func TestRefused(t *testing.T) {
	for _, c := range []struct {
		name  string
		build func(s *cfn.Stacks, a, b *cfn.Stack)
		want  string
	}{
		{"a required property is missing", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Subnet", &res.EC2Subnet{CidrBlock: cfn.S("10.0.0.0/24")})
		}, "site-a-stack: Subnet: got no VpcId, which its type requires"},
		{"a required property of a part is missing", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Group", &res.EC2SecurityGroup{GroupDescription: cfn.S("g"), SecurityGroupEgress: []*res.EC2SecurityGroup_Egress{{}}})
		}, "Group.SecurityGroupEgress.0: got no IpProtocol"},
		{"a word that is none of the property's", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Set", &res.WAFv2IPSet{Scope: cfn.S("LOCAL"), Addresses: cfn.Strs(), IPAddressVersion: cfn.S("IPV4")})
		}, `Set.Scope: got "LOCAL", want one of CLOUDFRONT, REGIONAL`},
		{"a reference to nothing", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Subnet", &res.EC2Subnet{VpcId: cfn.RefTo("Vpc")})
		}, `Subnet.VpcId: it refers to "Vpc", which is neither a resource nor a parameter`},
		{"an attribute that the type does not have", func(s *cfn.Stacks, a, b *cfn.Stack) {
			v := a.Add("Vpc", vpc())
			a.Add("Subnet", &res.EC2Subnet{VpcId: v.Att("Arn")})
		}, "it asks for Arn of Vpc, an attribute that AWS::EC2::VPC does not have"},
		{"a reference to another kind of thing", func(s *cfn.Stacks, a, b *cfn.Stack) {
			k := a.Add("Key", &res.KMSKey{})
			a.Add("Subnet", &res.EC2Subnet{VpcId: k.Ref()})
		}, "Subnet.VpcId: got a reference to Key, a AWS::KMS::Key, want one of AWS::EC2::VPC"},
		{"a name in Fn::Sub", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Topic", &res.SNSTopic{DisplayName: cfn.Sub("for ${Nobody}")})
		}, `Topic.DisplayName: it refers to "Nobody"`},
		{"a value for Fn::Sub that it does not use", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Topic", &res.SNSTopic{DisplayName: cfn.Sub("all", cfn.With{"X": cfn.S("x")})})
		}, "the value X is given and not used"},
		{"resources in a circle", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("One", &res.SNSTopic{DisplayName: cfn.RefTo("Two")})
			a.Add("Two", &res.SNSTopic{DisplayName: cfn.RefTo("One")})
		}, "in a circle: One → Two → One"},
		{"an id twice", func(s *cfn.Stacks, a, b *cfn.Stack) {
			s.As("vpc")
			a.Add("Vpc", vpc())
			s.As("edge")
			a.Add("Vpc", vpc())
		}, "the name Vpc is taken twice: by a resource of vpc, and by a resource of edge"},
		{"an id that is none", func(s *cfn.Stacks, a, b *cfn.Stack) { a.Add("my-vpc", vpc()) }, `"my-vpc": got a name CloudFormation refuses`},
		{"a stack that nobody declared", func(s *cfn.Stacks, a, b *cfn.Stack) { s.Stack("c").Add("Vpc", vpc()) }, `there is no stack "c"`},
		{"a thing that nobody provides", func(s *cfn.Stacks, a, b *cfn.Stack) {
			s.As("balancer")
			b.Add("Subnet", &res.EC2Subnet{VpcId: s.Use(ref{"vpc", "Vpc"}, b)})
		}, "balancer needs vpc/Vpc in the stack site-b-stack, and nobody provides it: its owner is perimeter/vpc"},
		{"a thing that is provided twice", func(s *cfn.Stacks, a, b *cfn.Stack) {
			s.Provide(ref{"vpc", "Vpc"}, a, a.Add("Vpc", vpc()).Ref())
			s.Provide(ref{"vpc", "Vpc"}, b, b.Add("Vpc", vpc()).Ref())
		}, "vpc/Vpc is provided twice"},
		{"a thing of another wall", func(s *cfn.Stacks, a, b *cfn.Stack) {
			s.As("edge")
			s.Provide(ref{"vpc", "Vpc"}, a, a.Add("Vpc", vpc()).Ref())
		}, "vpc/Vpc is provided by edge: want its owner vpc"},
		{"stacks in a circle", func(s *cfn.Stacks, a, b *cfn.Stack) {
			s.Provide(ref{"x", "One"}, a, a.Add("One", &res.SNSTopic{DisplayName: s.Use(ref{"x", "Two"}, a)}).Ref())
			s.Provide(ref{"x", "Two"}, b, b.Add("Two", &res.SNSTopic{DisplayName: s.Use(ref{"x", "One"}, b)}).Ref())
		}, "site-a-stack uses x/Two of site-b-stack; site-b-stack uses x/One of site-a-stack"},
		{"a handle of another stack", func(s *cfn.Stacks, a, b *cfn.Stack) {
			v := a.Add("Vpc", vpc())
			b.Add("Subnet", &res.EC2Subnet{VpcId: v.Ref()})
		}, "Subnet: it refers to Vpc of the stack site-a-stack directly: want Provide there and Use here"},
		{"a use of another stack", func(s *cfn.Stacks, a, b *cfn.Stack) {
			s.Provide(ref{"vpc", "Vpc"}, a, a.Add("Vpc", vpc()).Ref())
			b.Add("Subnet", &res.EC2Subnet{VpcId: s.Use(ref{"vpc", "Vpc"}, a)})
		}, "vpc/Vpc was taken for the stack site-a-stack and is used in site-b-stack"},
		{"a condition that is not there", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Vpc", vpc(), cfn.When("Large"))
		}, `it names the condition "Large"`},
		{"one parameter with two meanings", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Param("P", cfn.Parameter{Type: "String"})
			a.Param("P", cfn.Parameter{Type: "Number"})
		}, "the parameter P is added twice, with two meanings"},
		{"a statement without an action", func(s *cfn.Stacks, a, b *cfn.Stack) {
			a.Add("Key", &res.KMSKey{KeyPolicy: cfn.Policy{{Sid: "Empty"}}})
		}, `a statement "Empty" without an action`},
		{"more resources than a template may have", func(s *cfn.Stacks, a, b *cfn.Stack) {
			for i := range 501 {
				a.Add(fmt.Sprintf("Vpc%d", i), vpc())
			}
		}, "got 501 resources, want at most 500"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s, a, b, _ := two()
			c.build(s, a, b)
			list, err := s.Templates()
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got the error %v, want one with %q", err, c.want)
			}
			if list != nil {
				t.Error("got templates beside an error")
			}
		})
	}
}

func TestEverythingWrongIsSaidAtOnce(t *testing.T) {
	s, a, _, _ := two()
	a.Add("One", &res.EC2Subnet{})
	a.Add("Two", &res.EC2SecurityGroup{})
	_, err := s.Templates()
	for _, want := range []string{"One: got no VpcId", "Two: got no GroupDescription"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func TestAcrossRegions(t *testing.T) {
	s, a, b, far := two()
	name := ref{"network", "Certificate"}
	far.Add("Reader", &res.SNSTopic{DisplayName: s.Use(name, far)})
	b.Add("Reader", &res.SNSTopic{DisplayName: s.Use(name, b)})
	topic := a.Add("Topic", &res.SNSTopic{})
	s.Provide(name, a, topic.Ref())
	list, err := s.Templates()
	if err != nil {
		t.Fatal(err)
	}
	if len(list) != 3 || list[0].Name != "site-a-stack" {
		t.Fatalf("got %d templates, %s first, want 3 and the provider first", len(list), list[0].Name)
	}
	byName := map[string]*cfn.Template{}
	for _, tm := range list {
		byName[tm.Name] = tm
	}
	tm := byName["site-far-stack"]
	want := []cfn.Input{{Parameter: "NetworkCertificate", Stack: "site-a-stack", Region: "eu-central-1", Output: "NetworkCertificate"}}
	if !reflect.DeepEqual(tm.Inputs, want) {
		t.Errorf("inputs %+v, want %+v", tm.Inputs, want)
	}
	if got := decoded(t, tm.JSON()); got["Parameters"].(map[string]any)["NetworkCertificate"] == nil {
		t.Error("the other Region's stack has no parameter for the value")
	}
	if s := string(byName["site-b-stack"].JSON()); !strings.Contains(s, `"Fn::ImportValue": "site-a-stack:NetworkCertificate"`) {
		t.Errorf("the stack of the same Region imports nothing:\n%s", s)
	}
	if got := byName["site-b-stack"].Needs; !reflect.DeepEqual(got, []string{"site-a-stack"}) {
		t.Errorf("it needs %v, want site-a-stack", got)
	}
}

func TestTags(t *testing.T) {
	s, a, _, _ := two()
	s.Tags = []cfn.Tag{{Key: cfn.S("app"), Value: cfn.S("wp")}, {Key: cfn.S("Name"), Value: cfn.S("nothing")}}
	s.As("vpc")
	a.Add("List", &res.EC2VPC{CidrBlock: cfn.S("10.0.0.0/16"), Tags: []cfn.Tag{{Key: cfn.S("Name"), Value: cfn.S("mine")}}})
	a.Add("Map", &res.BackupBackupVault{BackupVaultName: cfn.S("v")})
	a.Add("Group", &res.AutoScalingAutoScalingGroup{MinSize: cfn.S("1"), MaxSize: cfn.S("1")})
	a.Add("None", &res.EC2SubnetRouteTableAssociation{SubnetId: cfn.S("s"), RouteTableId: cfn.S("r")})
	list, err := s.Templates()
	if err != nil {
		t.Fatal(err)
	}
	r := decoded(t, list[0].JSON())["Resources"].(map[string]any)
	props := func(id string) map[string]any { return r[id].(map[string]any)["Properties"].(map[string]any) }
	for id, want := range map[string]string{
		"List":  `[{"Key":"Name","Value":"mine"},{"Key":"app","Value":"wp"},{"Key":"ringwall:perimeter","Value":"vpc"}]`,
		"Map":   `{"Name":"nothing","app":"wp","ringwall:perimeter":"vpc"}`,
		"Group": `[{"Key":"app","PropagateAtLaunch":true,"Value":"wp"},{"Key":"Name","PropagateAtLaunch":true,"Value":"nothing"},{"Key":"ringwall:perimeter","PropagateAtLaunch":true,"Value":"vpc"}]`,
	} {
		name := "Tags"
		if id == "Map" {
			name = "BackupVaultTags"
		}
		got, err := json.Marshal(props(id)[name])
		if err != nil || string(got) != want {
			t.Errorf("tags of %s: %s, want %s", id, got, want)
		}
	}
	if _, ok := props("None")["Tags"]; ok {
		t.Error("a type without tags has some")
	}
}

// TestForms writes every kind of expression, and reads JSON and YAML back.
func TestForms(t *testing.T) {
	s, a, _, _ := two()
	p := a.Param("Port", cfn.Parameter{Type: "Number", Default: 443})
	a.Condition("Large", cfn.M{"Fn::Equals": []any{p, "443"}})
	topic := a.Add("Topic", &res.SNSTopic{DisplayName: cfn.If("Large", cfn.S("large"), cfn.String{})}, cfn.Retain(), cfn.When("Large"), cfn.Metadata("why", "a test: of text"))
	a.Add("Group", &res.EC2SecurityGroup{GroupDescription: cfn.S("yes"), SecurityGroupEgress: []*res.EC2SecurityGroup_Egress{{
		IpProtocol: cfn.S("tcp"), FromPort: cfn.As[int](p), ToPort: cfn.I(65535), CidrIp: cfn.S("0.0.0.0/0"), Description: cfn.S("- # odd: [text]")}}},
		cfn.DependsOn(topic))
	a.Add("Function", &res.LambdaFunction{Role: cfn.Join(":", cfn.Partition, cfn.S("x")), Code: &res.LambdaFunction_Code{ZipFile: cfn.S("def f():\n\treturn '${x}'\n\n# end\n")},
		Environment: &res.LambdaFunction_Environment{Variables: map[string]cfn.String{
			"A": cfn.Split(1, ",", cfn.S("a,b")), "B": cfn.Base64(cfn.S(" indented\nlines")), "C": cfn.SecretValue(topic.Ref(), "key"), "D": cfn.S("true"),
			"E": cfn.S(""), "F": cfn.S("2010-09-09"), "G": cfn.S("012"), "H": cfn.S("é\u2028"), "I": cfn.S("a\r\nb\n"), "J": cfn.S("a \n\n"), "K": cfn.S("~"), "L": cfn.S("No"), "M": cfn.S("1e3"),
			"N": cfn.S("x\ny"), "O": cfn.S("\n"), "P": cfn.S("a\n  b\nc"), "Q": cfn.S("null"), "R": cfn.S("=")}}})
	a.Add("Own", &cfn.Custom{Kind: "Custom::Own", ServiceToken: cfn.S("arn"), Properties: cfn.M{"List": []any{1, true, 1.5, []string{}, cfn.M{}, nil}}})
	a.Output("Topic", "its name", topic.Ref())
	list, err := s.Templates()
	if err != nil {
		t.Fatal(err)
	}
	want := decoded(t, list[0].JSON())
	var got map[string]any
	if err := yaml.Unmarshal(list[0].YAML(), &got); err != nil {
		t.Fatalf("reading the YAML: %v\n%s", err, list[0].YAML())
	}
	back, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(decoded(t, back), want) {
		t.Errorf("YAML and JSON differ\n%s\n%s", list[0].YAML(), list[0].JSON())
	}
	if !reflect.DeepEqual(decoded(t, list[0].CompactJSON()), want) {
		t.Error("the compact form says something else")
	}
	for _, part := range []string{`"FromPort": {`, `"DeletionPolicy": "Retain"`, `"AWS::NoValue"`, `"{{resolve:secretsmanager:"`} {
		if !strings.Contains(string(list[0].JSON()), part) {
			t.Errorf("the template has no %s\n%s", part, list[0].JSON())
		}
	}
}

func decoded(t *testing.T, data []byte) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(data, &m); err != nil {
		t.Fatalf("reading the JSON: %v\n%s", err, data)
	}
	return m
}

func TestNote(t *testing.T) {
	for want, n := range map[string]cfn.Note{
		"a: 2 instead of 1: why": {Key: "a", Was: "1", Now: "2", Why: "why"},
		"a: 2: why":              {Key: "a", Now: "2", Why: "why"},
		"a: 1 is left out: why":  {Key: "a", Was: "1", Why: "why"},
		"a: why":                 {Key: "a", Why: "why"},
	} {
		if n.String() != want {
			t.Errorf("got %q, want %q", n.String(), want)
		}
	}
}
