package access

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
)

// An organization's policy makes unknown what it refuses: whom it binds is not in a
// template. It never makes anything allowed.
func TestOrganizationPolicies(t *testing.T) {
	const scp = `
  Scp: {Type: AWS::Organizations::Policy, Properties: {Name: n, Type: TYPE, TARGETS Content: {Statement: [{Effect: Deny, Action: 'cloudtrail:*', Resource: '*' CONDITION}]}}}
`
	for _, x := range []struct {
		name, typ, targets, condition, action string
		want                                  template.Tri
	}{
		{"what it refuses", "SERVICE_CONTROL_POLICY", "TargetIds: [r-abcd],", "", "cloudtrail:StopLogging", template.Maybe},
		{"what it refuses to a resource", "RESOURCE_CONTROL_POLICY", "TargetIds: [r-abcd],", "", "cloudtrail:StopLogging", template.Maybe},
		{"what it says nothing of", "SERVICE_CONTROL_POLICY", "TargetIds: [r-abcd],", "", "s3:GetObject", template.Yes},
		{"one that is attached to nothing", "SERVICE_CONTROL_POLICY", "", "", "cloudtrail:StopLogging", template.Yes},
		{"one about tags", "TAG_POLICY", "TargetIds: [r-abcd],", "", "cloudtrail:StopLogging", template.Yes},
		{"one under a condition that may not hold", "SERVICE_CONTROL_POLICY", "TargetIds: [r-abcd],", ", Condition: {StringNotEquals: {'aws:RequestedRegion': eu-west-1}}", "cloudtrail:StopLogging", template.Yes},
		{"what nobody allows", "SERVICE_CONTROL_POLICY", "TargetIds: [r-abcd],", "", "iam:CreateUser", template.No},
	} {
		m := model(t, role("{Effect: Allow, Action: ['cloudtrail:*', 's3:*'], Resource: '*'}", "")+
			strings.NewReplacer("TYPE", x.typ, "TARGETS", x.targets, "CONDITION", x.condition).Replace(scp))
		d := m.May(m.Principals[0], x.action, "arn:aws:any:::x", nil)
		if d.Allowed != x.want {
			t.Errorf("%s: got %s (%s), want %s", x.name, d.Allowed, d.Why, x.want)
		}
		if x.want == template.Maybe && !strings.Contains(d.Why, "Scp refuses it") {
			t.Errorf("%s: got the reason %q", x.name, d.Why)
		}
	}
}

// A policy may be a JSON text, with references in it.
func TestPolicyAsText(t *testing.T) {
	m := model(t, `
Resources:
  B: {Type: AWS::S3::Bucket}
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: '{"Statement":{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}}'
      Policies:
        - PolicyName: p
          PolicyDocument: !Sub '{"Statement":[{"Effect":"Allow","Action":"s3:GetObject","Resource":"${B.Arn}/*"}]}'
        - PolicyName: q
          PolicyDocument: '{"Statement":'
`)
	r := m.Principals[0]
	bucket := m.ARN(m.World.OfType("AWS::S3::Bucket")[0])
	if d := m.May(r, "s3:GetObject", bucket+"/x", nil); d.Allowed != template.Yes {
		t.Errorf("what the text allows: got %s (%s), want yes", d.Allowed, d.Why)
	}
	if d := m.May(r, "s3:PutObject", bucket+"/x", nil); d.Allowed != template.Maybe {
		t.Errorf("beside a text that is no JSON: got %s (%s), want unknown", d.Allowed, d.Why)
	}
	if !r.serves("ec2.amazonaws.com") {
		t.Error("a trust policy as a text: EC2 is not trusted")
	}
}

func TestWords(t *testing.T) {
	w := func(s string) words {
		if rest, not := strings.CutPrefix(s, "!"); not {
			return words{true, strings.Fields(rest)}
		}
		return words{list: strings.Fields(s)}
	}
	for _, x := range []struct {
		a, b          string
		within, meets bool
	}{
		{"s3:get", "s3:*", true, true}, {"s3:*", "s3:get", false, true}, {"s3:*", "s3:get*", false, true},
		{"s3:get*", "s3:*t", false, true}, {"a b", "a b c", true, true}, {"a b", "a c", false, true}, {"a", "b", false, false},
		{"a?", "a*", true, true}, {"a*", "a?", false, true}, {"*", "*", true, true}, {"a**", "a*", true, true},
		{"s3:get", "!iam:*", true, true}, {"iam:get", "!iam:*", false, false}, {"*", "!iam:*", false, true}, {"iam:*", "!iam:get", false, true},
		{"!iam:*", "*", true, true}, {"!iam:*", "s3:*", false, true}, {"!iam:* s3:*", "!iam:*", true, true}, {"!iam:*", "!iam:* s3:*", false, true}, {"!iam:*", "!iam:get", true, true},
	} {
		if got := w(x.a).within(w(x.b)); got != x.within {
			t.Errorf("%q within %q: got %t", x.a, x.b, got)
		}
		if got := w(x.a).meets(w(x.b)); got != x.meets {
			t.Errorf("%q meets %q: got %t", x.a, x.b, got)
		}
	}
}
