package access

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Model is the identities and policies of one World.
type Model struct {
	World      *template.World
	Principals []*Principal // roles, then users, then groups, in the files' order

	byKey  map[string]*Principal
	limits []*Statement // denying ones of the organization's policies
	climbs map[*Principal][]Edge
	deep   int // names within names that Text is in
	arns   map[*template.Resource]string
}

// A Principal is a role, a user or a group that the templates make. A group stands
// for whoever is in it.
type Principal struct {
	Res      *template.Resource
	Name     string
	ARN      string
	Identity []*Statement
	Boundary []*Statement // with HasBoundary: what it may do at most
	Trust    []*Statement // of a role: who may take it
	Unsure   []string     // policies whose content is not known
	Managed  []string     // ARNs of AWS's own policies

	HasBoundary bool
}

// Build reads the identities of a world.
func Build(w *template.World) *Model {
	m := &Model{World: w, byKey: map[string]*Principal{}, arns: map[*template.Resource]string{}}
	policies := map[string]*template.Resource{}
	for _, r := range w.OfType("AWS::IAM::ManagedPolicy") {
		policies[r.Key()] = r
	}
	for _, r := range w.OfType("AWS::IAM::Role", "AWS::IAM::User", "AWS::IAM::Group") {
		p := &Principal{Res: r, Name: r.ID, ARN: m.Text(template.Token(r.Key(), "Arn"))}
		p.Trust = m.statements(r.Get("AssumeRolePolicyDocument"), "the trust policy of "+r.ID, r.Pos)
		for _, v := range r.Get("Policies").List() {
			p.Identity = append(p.Identity, m.statements(v.Get("PolicyDocument"), "policy "+v.Get("PolicyName").Show()+" of "+r.ID, v.Place(r.Pos))...)
		}
		for _, v := range r.Get("ManagedPolicyArns").List() {
			m.attach(p, v, &p.Identity)
		}
		if b := r.Get("PermissionsBoundary"); !b.Absent() {
			p.HasBoundary = true
			m.attach(p, b, &p.Boundary)
		}
		m.Principals = append(m.Principals, p)
		m.byKey[r.Key()] = p
	}
	for _, r := range w.OfType("AWS::IAM::Policy", "AWS::IAM::ManagedPolicy") {
		for _, v := range slices.Concat(r.Get("Roles").List(), r.Get("Users").List(), r.Get("Groups").List()) {
			if p := m.byName(v); p != nil {
				p.Identity = append(p.Identity, m.statements(r.Get("PolicyDocument"), "policy "+r.ID, r.Pos)...)
			}
		}
	}
	for _, x := range []struct{ typ, field string }{{"AWS::IAM::RolePolicy", "RoleName"}, {"AWS::IAM::UserPolicy", "UserName"}, {"AWS::IAM::GroupPolicy", "GroupName"}} {
		for _, r := range w.OfType(x.typ) {
			if p := m.byName(r.Get(x.field)); p != nil {
				p.Identity = append(p.Identity, m.statements(r.Get("PolicyDocument"), "policy "+r.ID, r.Pos)...)
			}
		}
	}
	m.readLimits()
	return m
}

// readLimits finds what an organization's policies refuse (AWS::Organizations::Policy):
// service control policies and resource control policies.
func (m *Model) readLimits() {
	for _, r := range m.World.OfType("AWS::Organizations::Policy") {
		kind := r.Get("Type")
		if !kind.Is("SERVICE_CONTROL_POLICY") && !kind.Is("RESOURCE_CONTROL_POLICY") || r.Get("TargetIds").Absent() {
			continue
		}
		for _, s := range m.statements(r.Get("Content"), "the organization's policy "+r.ID, r.Pos) {
			if !s.Allow && s.Unsure == "" {
				m.limits = append(m.limits, s)
			}
		}
	}
}

// Principal returns the role, user or group of a resource's key, or nil.
func (m *Model) Principal(key string) *Principal { return m.byKey[key] }

// byName finds a role or user by a reference or by the name it was given.
func (m *Model) byName(v *template.Value) *Principal {
	if key, _, ok := v.Key(); ok {
		return m.byKey[key]
	}
	name, ok := v.Literal()
	if !ok {
		return nil
	}
	for _, p := range m.Principals {
		if p.Res.Get("RoleName").Is(name) || p.Res.Get("UserName").Is(name) || p.Res.Get("GroupName").Is(name) {
			return p
		}
	}
	return nil
}

// attach adds a policy that is named by its ARN.
func (m *Model) attach(p *Principal, v *template.Value, to *[]*Statement) {
	if r := m.World.Of(v); r != nil && r.Type == "AWS::IAM::ManagedPolicy" {
		*to = append(*to, m.statements(r.Get("PolicyDocument"), "policy "+r.ID, r.Pos)...)
		return
	}
	arn, ok := v.Literal()
	name := arn[strings.LastIndexByte(arn, '/')+1:]
	if ok && strings.HasPrefix(arn, "arn:aws:iam::aws:policy/") {
		p.Managed = append(p.Managed, name)
		if ss, known := managed(name, v.Place(p.Res.Pos)); known {
			*to = append(*to, ss...)
			return
		}
	}
	p.Unsure = append(p.Unsure, "what the policy "+v.Show()+" allows is not known")
}

// Of returns the role or user that a value refers to, or nil.
func (m *Model) Of(v *template.Value) *Principal { return m.byName(v) }

// Profile returns the role of an instance profile, by a reference to it.
func (m *Model) Profile(v *template.Value) *Principal {
	if r := m.World.Of(v); r != nil {
		if roles := r.Get("Roles").List(); len(roles) > 0 {
			return m.byName(roles[0])
		}
		return nil
	}
	if name, ok := v.Literal(); ok {
		for _, r := range m.World.OfType("AWS::IAM::InstanceProfile") {
			if r.Get("InstanceProfileName").Is(name) && len(r.Get("Roles").List()) > 0 {
				return m.byName(r.Get("Roles").List()[0])
			}
		}
	}
	return nil
}

// names say what Ref and Arn of a resource are: %n is its name, which is the
// given property or else a name of its own.
var names = map[string]struct{ prop, ref, arn string }{
	"AWS::S3::Bucket":                          {"BucketName", "%n", "arn:aws:s3:::%n"},
	"AWS::SecretsManager::Secret":              {"Name", "arn:aws:secretsmanager:%r:%a:secret:%n-%s", ""},
	"AWS::EFS::FileSystem":                     {"", "%n", "arn:aws:elasticfilesystem:%r:%a:file-system/%n"},
	"AWS::EFS::AccessPoint":                    {"", "%n", "arn:aws:elasticfilesystem:%r:%a:access-point/%n"},
	"AWS::KMS::Key":                            {"", "%n", "arn:aws:kms:%r:%a:key/%n"},
	"AWS::Logs::LogGroup":                      {"LogGroupName", "%n", "arn:aws:logs:%r:%a:log-group:%n:*"},
	"AWS::IAM::Role":                           {"RoleName", "%n", "arn:aws:iam::%a:role/%n"},
	"AWS::IAM::User":                           {"UserName", "%n", "arn:aws:iam::%a:user/%n"},
	"AWS::IAM::Group":                          {"GroupName", "%n", "arn:aws:iam::%a:group/%n"},
	"AWS::IAM::InstanceProfile":                {"InstanceProfileName", "%n", "arn:aws:iam::%a:instance-profile/%n"},
	"AWS::IAM::ManagedPolicy":                  {"ManagedPolicyName", "arn:aws:iam::%a:policy/%n", ""},
	"AWS::CloudTrail::Trail":                   {"TrailName", "%n", "arn:aws:cloudtrail:%r:%a:trail/%n"},
	"AWS::Lambda::Function":                    {"FunctionName", "%n", "arn:aws:lambda:%r:%a:function:%n"},
	"AWS::SNS::Topic":                          {"TopicName", "arn:aws:sns:%r:%a:%n", ""},
	"AWS::SQS::Queue":                          {"QueueName", "", "arn:aws:sqs:%r:%a:%n"},
	"AWS::DynamoDB::Table":                     {"TableName", "%n", "arn:aws:dynamodb:%r:%a:table/%n"},
	"AWS::CloudFront::Distribution":            {"", "%n", "arn:aws:cloudfront::%a:distribution/%n"},
	"AWS::SSM::Parameter":                      {"Name", "%n", ""},
	"AWS::Backup::BackupVault":                 {"BackupVaultName", "%n", ""},
	"AWS::ElasticLoadBalancingV2::TargetGroup": {"", "arn:aws:elasticloadbalancing:%r:%a:targetgroup/%n", ""},
	"AWS::AutoScaling::AutoScalingGroup":       {"AutoScalingGroupName", "%n", ""},
}

// maxDeep bounds names that are made of other resources' names.
const maxDeep = 20

// Text writes names and ARNs of the templates' resources in the form that
// policies match: an ARN with the resource's name in it.
func (m *Model) Text(s string) string {
	return template.Replace(s, func(kind byte, name string) string {
		whole := "\x02" + string(kind) + name + "\x03"
		key, attr, ok := template.KeyOf(whole)
		if !ok {
			return whole
		}
		r := m.World.Resource(key)
		if r == nil {
			return whole
		}
		if r.Type == "AWS::SecretsManager::SecretTargetAttachment" && attr == "" {
			if secret := m.World.Of(r.Get("SecretId")); secret != nil {
				return m.Text(template.Token(secret.Key(), ""))
			}
		}
		if m.deep >= maxDeep {
			return whole
		}
		m.deep++
		defer func() { m.deep-- }()
		n, ok := names[r.Type]
		form := n.arn
		switch {
		case !ok:
			return whole
		case attr == "" || r.Type == "AWS::SecretsManager::Secret" && attr == "Id":
			form = n.ref
		case attr != "Arn" && attr != "TopicArn" && attr != "PolicyArn" && attr != "RoleId":
			return whole
		}
		if form == "" || form == "%n" && r.Get(n.prop).Absent() {
			return whole
		}
		own := template.Token(key, "")
		if n.prop != "" && !r.Get(n.prop).Absent() {
			own = m.Text(r.Get(n.prop).String())
		}
		return strings.NewReplacer("%n", own, "%r", m.region(r), "%a", template.Pseudo("AccountId"),
			"%s", template.Token(key, "suffix")).Replace(form)
	})
}

func (m *Model) region(r *template.Resource) string { return m.World.Region(r.Stack) }

// ARN is the full name of a resource.
func (m *Model) ARN(r *template.Resource) string {
	s, ok := m.arns[r]
	if !ok {
		s = m.newARN(r)
		m.arns[r] = s
	}
	return s
}

func (m *Model) newARN(r *template.Resource) string {
	switch n := names[r.Type]; {
	case n.arn != "":
		return m.Text(template.Token(r.Key(), "Arn"))
	case n.ref != "" && strings.HasPrefix(n.ref, "arn:"):
		return m.Text(template.Token(r.Key(), ""))
	}
	return template.Token(r.Key(), "Arn")
}

// Policy reads a policy that stands on a resource.
func (m *Model) Policy(doc *template.Value, name string, pos template.Pos) []*Statement {
	return m.statements(doc, name, pos)
}
