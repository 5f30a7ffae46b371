package access

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// An Edge is a way for one identity to come by the rights of another.
type Edge struct {
	From *Principal
	To   *Principal // nil: of an administrator of the account
	How  string     // in words
	By   *Statement
	Sure template.Tri
}

// Names that no template gives anything: who may act on them may act on all.
const (
	anyRole     = "role/any-role-at-all"
	anyUser     = "user/any-user-at-all"
	anyGroup    = "group/any-group-at-all"
	anyPolicy   = "policy/any-policy-at-all"
	anyFunction = "function:any-function-at-all"
	anyInstance = "instance/i-any-instance-at-all"
)

// direct are actions on others' identities after which one has their rights.
var direct = []struct{ on, action, how string }{
	{anyRole, "iam:AttachRolePolicy", "attach any policy to any role"},
	{anyRole, "iam:PutRolePolicy", "write a policy into any role"},
	{anyRole, "iam:UpdateAssumeRolePolicy", "make itself trusted by any role"},
	{anyPolicy, "iam:CreatePolicyVersion", "rewrite any policy of the account"},
	{anyPolicy, "iam:SetDefaultPolicyVersion", "bring back an older version of any policy"},
	{anyUser, "iam:CreateAccessKey", "make keys for any user"},
	{anyUser, "iam:CreateLoginProfile", "give any user a password"},
	{anyUser, "iam:UpdateLoginProfile", "change any user's password"},
	{anyUser, "iam:AttachUserPolicy", "attach any policy to any user"},
	{anyUser, "iam:PutUserPolicy", "write a policy into any user"},
	{anyGroup, "iam:AddUserToGroup", "put a user into any group"},
	{anyGroup, "iam:AttachGroupPolicy", "attach any policy to any group"},
	{anyGroup, "iam:PutGroupPolicy", "write a policy into any group"},
}

// computes are services that run code or changes as a role that is passed to them.
// The caller needs all the actions of one.
var computes = []struct {
	service string
	actions []string
}{
	{"ec2.amazonaws.com", []string{"ec2:RunInstances"}},
	{"ec2.amazonaws.com", []string{"ec2:CreateLaunchTemplateVersion", "autoscaling:UpdateAutoScalingGroup"}},
	{"ec2.amazonaws.com", []string{"autoscaling:CreateAutoScalingGroup"}},
	{"lambda.amazonaws.com", []string{"lambda:CreateFunction"}},
	{"cloudformation.amazonaws.com", []string{"cloudformation:CreateStack"}},
	{"cloudformation.amazonaws.com", []string{"cloudformation:CreateChangeSet", "cloudformation:ExecuteChangeSet"}},
	{"codebuild.amazonaws.com", []string{"codebuild:CreateProject", "codebuild:StartBuild"}},
	{"codepipeline.amazonaws.com", []string{"codepipeline:CreatePipeline"}},
	{"ecs-tasks.amazonaws.com", []string{"ecs:RegisterTaskDefinition", "ecs:RunTask"}},
	{"ecs-tasks.amazonaws.com", []string{"ecs:RegisterTaskDefinition", "ecs:CreateService"}},
	{"glue.amazonaws.com", []string{"glue:CreateJob", "glue:StartJobRun"}},
	{"glue.amazonaws.com", []string{"glue:CreateDevEndpoint"}},
	{"sagemaker.amazonaws.com", []string{"sagemaker:CreateNotebookInstance"}},
	{"sagemaker.amazonaws.com", []string{"sagemaker:CreateTrainingJob"}},
	{"states.amazonaws.com", []string{"states:CreateStateMachine"}},
	{"scheduler.amazonaws.com", []string{"scheduler:CreateSchedule"}},
	{"events.amazonaws.com", []string{"events:PutRule", "events:PutTargets"}},
	{"ssm.amazonaws.com", []string{"ssm:StartAutomationExecution"}},
	{"datapipeline.amazonaws.com", []string{"datapipeline:CreatePipeline", "datapipeline:PutPipelineDefinition"}},
	{"elasticmapreduce.amazonaws.com", []string{"elasticmapreduce:RunJobFlow"}},
	{"bedrock-agentcore.amazonaws.com", []string{"bedrock-agentcore:CreateCodeInterpreter"}},
	{"imagebuilder.amazonaws.com", []string{"imagebuilder:CreateInfrastructureConfiguration"}},
}

// May asks whether an identity may do something to a resource, in whatever
// context suits it: a condition that is not known to fail counts as Maybe.
func (m *Model) May(p *Principal, action, resource string, ctx Context) Decision {
	return m.Decide(Request{Who: p, Action: action, Resource: resource, Context: ctx}, nil, Either)
}

func (m *Model) iam(name string) string {
	return "arn:aws:iam::" + template.Pseudo("AccountId") + ":" + name
}

func (m *Model) regional(service, name string) string {
	return "arn:aws:" + service + ":" + template.Pseudo("Region") + ":" + template.Pseudo("AccountId") + ":" + name
}

// Edges are the ways in which an identity can come by the rights of others, the
// account's administrators first.
func (m *Model) Edges(p *Principal) []Edge {
	var out []Edge
	add := func(to *Principal, d Decision, format string, a ...any) {
		if d.Allowed != template.No {
			out = append(out, Edge{p, to, fmt.Sprintf(format, a...), d.By, d.Allowed})
		}
	}
	all := m.May(p, "any-service:AnyAction", "arn:aws:any-service:::anything", nil)
	if iam := m.May(p, "iam:PutRolePolicy", m.iam(anyRole), nil); all.Allowed == template.Yes && iam.Allowed == template.Yes {
		add(nil, iam, "is allowed everything: %s", iam.Why)
		return out
	}
	for _, d := range direct {
		x := m.May(p, d.action, m.iam(d.on), nil)
		add(nil, x, "can %s (%s): %s", d.how, d.action, x.Why)
	}
	for _, c := range computes {
		pass := m.May(p, "iam:PassRole", m.iam(anyRole), Context{"iam:passedtoservice": {c.service}})
		if d := m.all(p, c.actions, pass); d.Allowed != template.No {
			add(nil, d, "can hand any role to %s and use it there (iam:PassRole with %s): %s", c.service, strings.Join(c.actions, " and "), pass.Why)
		}
	}
	if x := m.May(p, "iam:PassRole", m.iam(anyRole), Context{"iam:passedtoservice": {"any-service-at-all"}}); x.Allowed != template.No {
		add(nil, x, "can hand any role of the account to any service (iam:PassRole): %s", x.Why)
	}
	if x := m.May(p, "lambda:UpdateFunctionCode", m.regional("lambda", anyFunction), nil); x.Allowed != template.No {
		add(nil, x, "can change the code of any function (lambda:UpdateFunctionCode): %s", x.Why)
	}
	for _, a := range []string{"ssm:SendCommand", "ssm:StartSession"} {
		if x := m.May(p, a, m.regional("ec2", anyInstance), tags(nil)); x.Allowed != template.No {
			add(nil, x, "can run commands on any instance (%s): %s", a, x.Why)
		}
	}
	for _, q := range m.Principals {
		if q != p {
			out = append(out, m.edgesTo(p, q)...)
		}
	}
	return out
}

// all is the weakest of several decisions.
func (m *Model) all(p *Principal, actions []string, d Decision) Decision {
	for _, a := range actions {
		if d.Allowed == template.No {
			return d
		}
		service, _, _ := strings.Cut(a, ":")
		x := m.May(p, a, m.regional(service, "anything"), nil)
		if y := m.May(p, a, "*", nil); y.Allowed > x.Allowed {
			x = y
		}
		d.Allowed = d.Allowed.And(x.Allowed)
	}
	return d
}

// edgesTo are the ways to one role of the templates.
func (m *Model) edgesTo(p, q *Principal) []Edge {
	var out []Edge
	add := func(d Decision, format string, a ...any) {
		if d.Allowed != template.No {
			out = append(out, Edge{p, q, fmt.Sprintf(format, a...), d.By, d.Allowed})
		}
	}
	for _, x := range []struct{ action, how string }{
		{"iam:AttachRolePolicy", "attach any policy to %s"},
		{"iam:PutRolePolicy", "write a policy into %s"},
		{"iam:UpdateAssumeRolePolicy", "make itself trusted by %s"},
	} {
		d := m.May(p, x.action, q.ARN, nil)
		add(d, "can "+x.how+" (%s): %s", q.Name, x.action, d.Why)
	}
	if d := m.May(p, "sts:AssumeRole", q.ARN, nil); d.Allowed != template.No || q.trusts(p) == template.Yes {
		t := q.trusts(p)
		allowed := d.Allowed.And(t)
		if t == template.Yes && q.names(p) {
			allowed = template.Yes // a trust policy that names the role itself is enough
		}
		d.Allowed = allowed
		add(d, "can take %s (sts:AssumeRole)", q.Name)
	}
	for _, c := range computes {
		if !q.serves(c.service) {
			continue
		}
		pass := m.May(p, "iam:PassRole", q.ARN, Context{"iam:passedtoservice": {c.service}})
		d := m.all(p, c.actions, pass)
		add(d, "can hand %s to %s and use it there (iam:PassRole with %s): %s", q.Name, c.service, strings.Join(c.actions, " and "), pass.Why)
	}
	for _, host := range m.hosts(q) {
		ctx := tags(host)
		for _, a := range []string{"ssm:SendCommand", "ssm:StartSession"} {
			d := m.May(p, a, m.regional("ec2", "instance/i-of-"+host.ID), ctx)
			add(d, "can run commands on the instances of %s, which have %s (%s): %s", host.ID, q.Name, a, d.Why)
		}
	}
	for _, f := range m.World.OfType("AWS::Lambda::Function") {
		if m.Of(f.Get("Role")) == q {
			d := m.May(p, "lambda:UpdateFunctionCode", m.ARN(f), nil)
			add(d, "can change the code of %s, which has %s (lambda:UpdateFunctionCode): %s", f.ID, q.Name, d.Why)
		}
	}
	return out
}

// hosts are the launch templates and instances that have a role.
func (m *Model) hosts(q *Principal) []*template.Resource {
	var out []*template.Resource
	for _, r := range m.World.OfType("AWS::EC2::LaunchTemplate", "AWS::EC2::Instance") {
		v := r.Get("LaunchTemplateData", "IamInstanceProfile")
		if v.Absent() {
			v = r.Get("IamInstanceProfile")
		}
		for _, x := range []*template.Value{v.Get("Arn"), v.Get("Name"), v} {
			if m.Profile(x) == q {
				out = append(out, r)
				break
			}
		}
	}
	return out
}

// tags are the condition keys of an instance's tags: those it is given, and no
// others.
func tags(host *template.Resource) Context {
	ctx := Context{"ssm:resourcetag/*": nil, "aws:resourcetag/*": nil, "ec2:resourcetag/*": nil, "ssm:sessiondocumentaccesscheck": {"true"}}
	list := host.Get("Tags").List()
	for _, s := range host.Get("LaunchTemplateData", "TagSpecifications").List() {
		if s.Get("ResourceType").Is("instance") {
			list = append(list, s.Get("Tags").List()...)
		}
	}
	for _, t := range list {
		for _, prefix := range []string{"ssm:resourcetag/", "aws:resourcetag/", "ec2:resourcetag/"} {
			ctx[prefix+lower(t.Get("Key").String())] = []string{t.Get("Value").String()}
		}
	}
	return ctx
}

// own are services that use a role for what they do themselves, and run nobody's
// code or calls with it.
var own = []string{"backup.amazonaws.com", "restore-testing.backup.amazonaws.com", "vpc-flow-logs.amazonaws.com", "cloudtrail.amazonaws.com",
	"config.amazonaws.com", "monitoring.rds.amazonaws.com", "delivery.logs.amazonaws.com", "logs.amazonaws.com",
	"apigateway.amazonaws.com", "rds.amazonaws.com", "export.rds.amazonaws.com", "s3.amazonaws.com", "sns.amazonaws.com",
	"guardduty.amazonaws.com", "malware-protection-plan.guardduty.amazonaws.com", "securityhub.amazonaws.com",
	"access-analyzer.amazonaws.com", "cloudwatch.amazonaws.com", "autoscaling.amazonaws.com", "elasticloadbalancing.amazonaws.com"}

// Usable says whether anybody's code or any person can hold the identity's rights.
// A role that only such services take as keep to their own errand is not usable.
func (q *Principal) Usable() bool {
	if q.Res.Type != "AWS::IAM::Role" {
		return true
	}
	for _, s := range q.Trust {
		if !s.Allow {
			continue
		}
		if s.Unsure != "" || len(s.NotWho) > 0 || len(s.Who) == 0 {
			return true
		}
		for _, w := range s.Who {
			if w.Kind != "Service" || !slices.Contains(own, w.Name) {
				return true
			}
		}
	}
	return false
}

// trusts says whether a role lets itself be taken by an identity.
func (q *Principal) trusts(p *Principal) template.Tri {
	deny, allow, _, _ := pass(q.Trust, Request{Who: p, Action: "sts:AssumeRole", Context: withPrincipal(p, nil)},
		func(s *Statement) template.Tri { who, account := s.named(p); return who.Or(account) })
	return allow.And(deny.Not())
}

// names says whether the trust policy names the identity and not just its account.
func (q *Principal) names(p *Principal) bool {
	for _, s := range q.Trust {
		if who, _ := s.named(p); s.Allow && who == template.Yes {
			return true
		}
	}
	return false
}

// serves says whether a service may take the role.
func (q *Principal) serves(service string) bool {
	for _, s := range q.Trust {
		for _, w := range s.Who {
			if s.Allow && w.Kind == "Service" && w.Name == service {
				return true
			}
		}
	}
	return false
}

// Climb returns the shortest chain of edges from an identity to an administrator of
// the account (to is nil) or to another identity, which an administrator's rights
// are not counted as a way to. sure: only edges that certainly exist.
func (m *Model) Climb(from, to *Principal, sure bool) []Edge {
	type step struct {
		at  *Principal
		via []Edge
	}
	seen := map[*Principal]bool{from: true}
	queue := []step{{at: from}}
	for len(queue) > 0 {
		s := queue[0]
		queue = queue[1:]
		for _, e := range m.edges(s.at) {
			if sure && e.Sure != template.Yes {
				continue
			}
			via := append(append([]Edge(nil), s.via...), e)
			if e.To == to {
				return via
			}
			if e.To != nil && !seen[e.To] {
				seen[e.To] = true
				queue = append(queue, step{e.To, via})
			}
		}
	}
	return nil
}

// edges keeps what Edges found.
func (m *Model) edges(p *Principal) []Edge {
	if m.climbs == nil {
		m.climbs = map[*Principal][]Edge{}
	}
	es, ok := m.climbs[p]
	if !ok {
		es = m.Edges(p)
		m.climbs[p] = es
	}
	return es
}

// withPrincipal adds the keys that every request of an identity has.
func withPrincipal(p *Principal, ctx Context) Context {
	out := Context{"aws:principalarn": nil, "aws:principalaccount": nil, "aws:principalisawsservice": {"false"}}
	if p != nil {
		out["aws:principalarn"] = []string{p.ARN}
		out["aws:principalaccount"] = []string{template.Pseudo("AccountId")}
	}
	for k, v := range ctx {
		out[k] = v
	}
	return out
}
