package access

import (
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/template"
)

func model(t *testing.T, text string) *Model {
	t.Helper()
	s, err := template.New([]template.File{{Name: "a.yaml", Text: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	ws, _ := s.Worlds()
	return Build(ws[0])
}

// role is a template with one role R, whose policy has some statements, and a
// bucket, a secret and a key to ask for.
func role(statements, more string) string {
	return `
Parameters:
  Any: {Type: String}
Resources:
  R:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: ec2.amazonaws.com}, Action: sts:AssumeRole}]}
      Policies: [{PolicyName: p, PolicyDocument: {Statement: [` + statements + `]}}]
      ` + more + `
  B: {Type: AWS::S3::Bucket}
  Other: {Type: AWS::S3::Bucket}
  Named: {Type: AWS::S3::Bucket, Properties: {BucketName: logs-of-ours}}
  S: {Type: AWS::SecretsManager::Secret, Properties: {Name: AppSecret}}
`
}

func TestDecide(t *testing.T) {
	for _, x := range []struct {
		name, statements, more   string
		action, resource, suffix string
		ctx                      Context
		want                     template.Tri
	}{
		{name: "nothing", action: "s3:GetObject", resource: "B", want: template.No},
		{name: "everything", statements: "{Effect: Allow, Action: '*', Resource: '*'}", action: "s3:GetObject", resource: "B", want: template.Yes},
		{name: "by a wildcard, in any case", statements: "{Effect: Allow, Action: 'S3:get*', Resource: '*'}", action: "s3:GetObject", resource: "B", want: template.Yes},
		{name: "what is in a bucket", statements: "{Effect: Allow, Action: 's3:*', Resource: !Sub '${B.Arn}/*'}", action: "s3:GetObject", resource: "B", suffix: "/x", want: template.Yes},
		{name: "not the bucket itself", statements: "{Effect: Allow, Action: 's3:*', Resource: !Sub '${B.Arn}/*'}", action: "s3:ListBucket", resource: "B", want: template.No},
		{name: "another bucket", statements: "{Effect: Allow, Action: 's3:*', Resource: !Sub '${B.Arn}/*'}", action: "s3:GetObject", resource: "Other", suffix: "/x", want: template.No},
		{name: "by its given name", statements: "{Effect: Allow, Action: 's3:*', Resource: 'arn:aws:s3:::logs-*'}", action: "s3:ListBucket", resource: "Named", want: template.Yes},
		{name: "a name that it has not", statements: "{Effect: Allow, Action: 's3:*', Resource: 'arn:aws:s3:::logs-*'}", action: "s3:ListBucket", resource: "B", want: template.No},
		{name: "a denial wins", statements: "{Effect: Allow, Action: '*', Resource: '*'}, {Effect: Deny, Action: 's3:*', Resource: '*'}", action: "s3:GetObject", resource: "B", want: template.No},
		{name: "all but", statements: "{Effect: Allow, NotAction: 'iam:*', Resource: '*'}", action: "s3:GetObject", resource: "B", want: template.Yes},
		{name: "all but this", statements: "{Effect: Allow, NotAction: 's3:*', Resource: '*'}", action: "s3:GetObject", resource: "B", want: template.No},
		{name: "on all but", statements: "{Effect: Allow, Action: '*', NotResource: !GetAtt B.Arn}", action: "s3:ListBucket", resource: "B", want: template.No},
		{name: "a secret and AWS's six letters", statements: "{Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Sub 'arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:App*'}", action: "secretsmanager:GetSecretValue", resource: "S", want: template.Yes},
		{name: "another secret", statements: "{Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: !Sub 'arn:aws:secretsmanager:${AWS::Region}:${AWS::AccountId}:secret:Db*'}", action: "secretsmanager:GetSecretValue", resource: "S", want: template.No},
		{name: "in some Region", statements: "{Effect: Allow, Action: secretsmanager:GetSecretValue, Resource: 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:App*'}", action: "secretsmanager:GetSecretValue", resource: "S", want: template.Maybe},
		{name: "what nobody knows", statements: "{Effect: Allow, Action: '*', Resource: !Ref Any}", action: "s3:GetObject", resource: "B", want: template.Maybe},
		{name: "a denial that nobody knows", statements: "{Effect: Allow, Action: '*', Resource: '*'}, {Effect: Deny, Action: '*', Resource: !Ref Any}", action: "s3:GetObject", resource: "B", want: template.Maybe},
		{name: "a condition that holds", statements: "{Effect: Allow, Action: '*', Resource: '*', Condition: {Bool: {'aws:SecureTransport': 'true'}}}", action: "s3:GetObject", resource: "B", ctx: Context{"aws:securetransport": {"true"}}, want: template.Yes},
		{name: "a condition that does not", statements: "{Effect: Allow, Action: '*', Resource: '*', Condition: {Bool: {'aws:SecureTransport': 'true'}}}", action: "s3:GetObject", resource: "B", ctx: Context{"aws:securetransport": {"false"}}, want: template.No},
		{name: "a condition on what nobody knows", statements: "{Effect: Allow, Action: '*', Resource: '*', Condition: {StringEquals: {'aws:RequestedRegion': x}}}", action: "s3:GetObject", resource: "B", want: template.Maybe},
		{name: "a boundary that leaves it out", statements: "{Effect: Allow, Action: '*', Resource: '*'}", more: "PermissionsBoundary: arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", action: "s3:GetObject", resource: "B", want: template.No},
		{name: "a boundary that has it", statements: "{Effect: Allow, Action: '*', Resource: '*'}", more: "PermissionsBoundary: arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore", action: "ssm:GetParameter", resource: "B", want: template.Yes},
		{name: "AWS's own policy", more: "ManagedPolicyArns: [!Sub 'arn:${AWS::Partition}:iam::aws:policy/AmazonSSMManagedInstanceCore']", action: "ssm:GetParameter", resource: "B", want: template.Yes},
		{name: "one of AWS's policies that is not here", more: "ManagedPolicyArns: [arn:aws:iam::aws:policy/NobodyKnowsThis]", action: "s3:GetObject", resource: "B", want: template.Maybe},
	} {
		m := model(t, role(x.statements, x.more))
		r := m.World.Resource("a/" + x.resource)
		d := m.Decide(Request{Who: m.Principals[0], Action: x.action, Resource: m.ARN(r) + x.suffix, Context: x.ctx}, nil, Either)
		if d.Allowed != x.want {
			t.Errorf("%s: got %s (%s), want %s", x.name, d.Allowed, d.Why, x.want)
		}
	}
}

func TestResourcePolicy(t *testing.T) {
	for _, x := range []struct {
		name, policy string
		who          bool // the role; otherwise nobody
		mode         Mode
		want         template.Tri
	}{
		{"everybody", "{Effect: Allow, Principal: '*', Action: '*', Resource: '*'}", false, Either, template.Yes},
		{"everybody that AWS knows is everybody", "{Effect: Allow, Principal: {AWS: '*'}, Action: '*', Resource: '*'}", false, Either, template.Yes},
		{"the role", "{Effect: Allow, Principal: {AWS: !GetAtt R.Arn}, Action: '*', Resource: '*'}", true, Either, template.Yes},
		{"the role is not nobody", "{Effect: Allow, Principal: {AWS: !GetAtt R.Arn}, Action: '*', Resource: '*'}", false, Either, template.No},
		{"all but the role", "{Effect: Allow, NotPrincipal: {AWS: !GetAtt R.Arn}, Action: '*', Resource: '*'}", true, Either, template.No},
		{"a service", "{Effect: Allow, Principal: {Service: x.amazonaws.com}, Action: '*', Resource: '*'}", true, Either, template.No},
		{"the account is not enough by itself", "{Effect: Allow, Principal: {AWS: !Sub 'arn:aws:iam::${AWS::AccountId}:root'}, Action: '*', Resource: '*'}", true, KeyOnly, template.No},
		{"denied to all but the role", "{Effect: Allow, Principal: '*', Action: '*', Resource: '*'}, {Effect: Deny, Principal: '*', Action: '*', Resource: '*', Condition: {ArnNotEquals: {'aws:PrincipalArn': !GetAtt R.Arn}}}", false, Either, template.No},
		{"and so allowed to it", "{Effect: Allow, Principal: '*', Action: '*', Resource: '*'}, {Effect: Deny, Principal: '*', Action: '*', Resource: '*', Condition: {ArnNotEquals: {'aws:PrincipalArn': !GetAtt R.Arn}}}", true, Either, template.Yes},
	} {
		m := model(t, role("", "")+"  P: {Type: T, Properties: {D: {Statement: ["+x.policy+"]}}}\n")
		var who *Principal
		if x.who {
			who = m.Principals[0]
		}
		policy := m.Policy(m.World.Resource("a/P").Get("D"), "a policy", template.Pos{})
		if d := m.Decide(Request{Who: who, Action: "x:Y", Resource: "z"}, policy, x.mode); d.Allowed != x.want {
			t.Errorf("%s: got %s (%s), want %s", x.name, d.Allowed, d.Why, x.want)
		}
	}
}

func TestConditions(t *testing.T) {
	for _, x := range []struct {
		op, key string
		values  []string
		ctx     Context
		want    template.Tri
	}{
		{"StringEquals", "k", []string{"a", "b"}, Context{"k": {"b"}}, template.Yes},
		{"StringEquals", "k", []string{"a"}, Context{"k": nil}, template.No},
		{"StringEqualsIfExists", "k", []string{"a"}, Context{"k": nil}, template.Yes},
		{"StringEquals", "k", []string{"a"}, nil, template.Maybe},
		{"StringNotEquals", "k", []string{"a"}, Context{"k": {"b"}}, template.Yes},
		{"StringNotEquals", "k", []string{"a", "b"}, Context{"k": {"b"}}, template.No},
		{"StringNotEquals", "k", []string{"a"}, Context{"k": nil}, template.Yes},
		{"StringLike", "k", []string{"a*c"}, Context{"k": {"abc"}}, template.Yes},
		{"StringEqualsIgnoreCase", "k", []string{"ABC"}, Context{"k": {"abc"}}, template.Yes},
		{"ForAllValues:StringEquals", "k", []string{"a"}, Context{"k": {"a", "b"}}, template.No},
		{"ForAnyValue:StringEquals", "k", []string{"a"}, Context{"k": {"a", "b"}}, template.Yes},
		{"ForAllValues:StringEquals", "k", []string{"a"}, Context{"k": nil}, template.Yes},
		{"Null", "k", []string{"true"}, Context{"k": nil}, template.Yes},
		{"Null", "k", []string{"true"}, Context{"k": {"a"}}, template.No},
		{"Bool", "k", []string{"true"}, Context{"k": {"TRUE"}}, template.Yes},
		{"IpAddress", "k", []string{"192.0.2.0/24"}, Context{"k": {"192.0.2.7"}}, template.Yes},
		{"NotIpAddress", "k", []string{"192.0.2.0/24"}, Context{"k": {"192.0.2.7"}}, template.No},
		{"NumericLessThan", "k", []string{"10"}, Context{"k": {"9"}}, template.Yes},
		{"NumericNotEquals", "k", []string{"10"}, Context{"k": {"10"}}, template.No},
		{"DateLessThan", "k", []string{"2027-01-01"}, Context{"k": {"2026-01-01"}}, template.Maybe},
		{"StringEquals", "ssm:resourcetag/tier", []string{"a"}, Context{"ssm:resourcetag/*": nil}, template.No},
	} {
		if got := newCondition(x.op, x.key, x.values).holds(x.ctx); got != x.want {
			t.Errorf("%s %s %v with %v: got %s, want %s", x.op, x.key, x.values, x.ctx, got, x.want)
		}
	}
}

func TestEscalation(t *testing.T) {
	const admin = `  A:
    Type: AWS::IAM::Role
    Properties:
      AssumeRolePolicyDocument: {Statement: [{Effect: Allow, Principal: {Service: TRUST}, Action: sts:AssumeRole} MORE]}
      Policies: [{PolicyName: p, PolicyDocument: {Statement: [{Effect: Allow, Action: '*', Resource: '*'}]}}]
  F: {Type: AWS::Lambda::Function, Properties: {Role: !GetAtt A.Arn}}
`
	for _, x := range []struct {
		name, statements, trust, more string
		want                          string // how, of a sure way; ? before one that is not
	}{
		{"nothing", "", "lambda.amazonaws.com", "", ""},
		{"what an instance needs", "{Effect: Allow, Action: [ssm:UpdateInstanceInformation, 's3:Get*'], Resource: '*'}", "lambda.amazonaws.com", "", ""},
		{"everything", "{Effect: Allow, Action: '*', Resource: '*'}", "lambda.amazonaws.com", "", "is allowed everything"},
		{"any policy to any role", "{Effect: Allow, Action: iam:AttachRolePolicy, Resource: '*'}", "lambda.amazonaws.com", "", "iam:AttachRolePolicy"},
		{"a new version", "{Effect: Allow, Action: 'iam:Create*', Resource: '*'}", "lambda.amazonaws.com", "", "iam:CreatePolicyVersion"},
		{"any role to a service", "{Effect: Allow, Action: iam:PassRole, Resource: '*'}", "lambda.amazonaws.com", "", "iam:PassRole"},
		{"that role to a function", "{Effect: Allow, Action: iam:PassRole, Resource: !GetAtt A.Arn}, {Effect: Allow, Action: lambda:CreateFunction, Resource: '*'}", "lambda.amazonaws.com", "", "can hand A to lambda"},
		{"to a service that it does not trust", "{Effect: Allow, Action: iam:PassRole, Resource: !GetAtt A.Arn}, {Effect: Allow, Action: lambda:CreateFunction, Resource: '*'}", "ec2.amazonaws.com", "", ""},
		{"only to another service", "{Effect: Allow, Action: iam:PassRole, Resource: !GetAtt A.Arn, Condition: {StringEquals: {'iam:PassedToService': ec2.amazonaws.com}}}, {Effect: Allow, Action: lambda:CreateFunction, Resource: '*'}", "lambda.amazonaws.com", "", ""},
		{"its function's code", "{Effect: Allow, Action: lambda:UpdateFunctionCode, Resource: !GetAtt F.Arn}", "lambda.amazonaws.com", "", "can change the code of F"},
		{"its trust", "{Effect: Allow, Action: iam:UpdateAssumeRolePolicy, Resource: !GetAtt A.Arn}", "lambda.amazonaws.com", "", "iam:UpdateAssumeRolePolicy"},
		{"taking it without being trusted", "{Effect: Allow, Action: sts:AssumeRole, Resource: !GetAtt A.Arn}", "lambda.amazonaws.com", "", ""},
		{"taking it", "{Effect: Allow, Action: sts:AssumeRole, Resource: !GetAtt A.Arn}", "lambda.amazonaws.com", ", {Effect: Allow, Principal: {AWS: !Sub 'arn:aws:iam::${AWS::AccountId}:root'}, Action: sts:AssumeRole}", "can take A"},
		{"a way that nobody knows", "{Effect: Allow, Action: iam:AttachRolePolicy, Resource: !Ref Any}", "lambda.amazonaws.com", "", "?iam:AttachRolePolicy"},
	} {
		m := model(t, role(x.statements, "")+strings.NewReplacer("TRUST", x.trust, "MORE", x.more).Replace(admin))
		got := ""
		if via := m.Climb(m.Principals[0], nil, true); via != nil {
			got = via[0].How
		} else if via := m.Climb(m.Principals[0], nil, false); via != nil {
			got = "?" + via[0].How
		}
		want := strings.TrimPrefix(x.want, "?")
		if x.want == "" && got != "" || !strings.Contains(got, want) || strings.HasPrefix(x.want, "?") != strings.HasPrefix(got, "?") {
			t.Errorf("%s: got %q, want %q", x.name, got, x.want)
		}
	}
}

func TestManagedPolicies(t *testing.T) {
	for _, name := range []string{"AdministratorAccess", "AmazonSSMManagedInstanceCore", "AWSSupportAccess", "CloudWatchAgentServerPolicy"} {
		if ss, ok := managed(name, template.Pos{}); !ok || len(ss) == 0 {
			t.Errorf("%s: got %d statements, want some", name, len(ss))
		}
	}
	if _, ok := managed("NobodyKnowsThis", template.Pos{}); ok {
		t.Error("a policy that is not there was found")
	}
}

func FuzzMatch(f *testing.F) {
	f.Add("a*c", "abc")
	f.Add("\x02pRegion\x03*", "eu-west-1")
	f.Fuzz(func(t *testing.T, pattern, s string) {
		if len(pattern) > 200 || len(s) > 200 {
			return
		}
		if got := matches(pattern, s); glob(pattern, s) && got == template.No {
			t.Errorf("%q matches %q, and got no", pattern, s)
		}
		if glob(pattern, s) && !strings.ContainsAny(s, "*?") && !meet(pattern, s) {
			t.Errorf("%q matches %q, and they do not meet", pattern, s)
		}
	})
}
