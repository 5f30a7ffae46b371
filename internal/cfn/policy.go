package cfn

// A Policy is an IAM policy document, version 2012-10-17.
type Policy []Statement

func (p Policy) tree(b *builder) any {
	var list []any
	for _, s := range p {
		list = append(list, s.tree(b))
	}
	return object{{"Version", "2012-10-17"}, {"Statement", list}}
}

// A Statement is one statement of a policy. Without Deny it allows.
type Statement struct {
	Sid         string
	Deny        bool
	Principal   any      // Service("…"), AWS(arn …), Anyone or an M; nil in a policy of an identity
	Action      []string // "ec2:DescribeInstances"
	NotAction   []string
	Resource    []String
	NotResource []String
	Condition   M // operator → M of key → value or list
}

// Service is a principal: an AWS service such as ec2.amazonaws.com.
func Service(names ...string) M { return M{"Service": oneOrMore(Strs(names...))} }

// AWS is a principal: accounts, roles or users by ARN.
func AWS(arns ...String) M { return M{"AWS": oneOrMore(arns)} }

// Anyone is a principal: everybody, also without a signature. It belongs into
// denials, and into grants that a condition narrows.
var Anyone = M{"AWS": "*"}

func oneOrMore(list []String) any {
	if len(list) == 1 {
		return list[0]
	}
	return list
}

func (s Statement) tree(b *builder) any {
	var o object
	add := func(k string, v any) {
		if x := b.value(v); x != nil {
			o = append(o, member{k, x})
		}
	}
	if s.Sid != "" {
		add("Sid", s.Sid)
	}
	add("Effect", pick(s.Deny, "Deny", "Allow"))
	add("Principal", s.Principal)
	actions := func(k string, list []string) {
		switch len(list) {
		case 0:
		case 1:
			add(k, list[0])
		default:
			add(k, list)
		}
	}
	actions("Action", s.Action)
	actions("NotAction", s.NotAction)
	if len(s.Resource) > 0 {
		add("Resource", oneOrMore(s.Resource))
	}
	if len(s.NotResource) > 0 {
		add("NotResource", oneOrMore(s.NotResource))
	}
	if s.Condition != nil {
		add("Condition", s.Condition)
	}
	if len(s.Action) == 0 && len(s.NotAction) == 0 {
		b.errorf("a statement %q without an action", s.Sid)
	}
	return o
}

// Assume is the trust policy of a role that services take on.
func Assume(services ...string) Policy {
	return Policy{{Principal: Service(services...), Action: []string{"sts:AssumeRole"}}}
}

// GrantsOfServicesOnly is the statement of a key's policy that refuses grants to all
// but AWS's own services (Control Tower, CT.KMS.PR.3): a grant outlives the right of
// the one who made it.
func GrantsOfServicesOnly() Statement {
	return Statement{
		Sid: "GrantsOfServicesOnly", Deny: true, Principal: Anyone, Action: []string{"kms:CreateGrant"}, Resource: Strs("*"),
		Condition: M{"BoolIfExists": M{"kms:GrantIsForAWSResource": "false", "aws:PrincipalIsAWSService": "false"}},
	}
}
