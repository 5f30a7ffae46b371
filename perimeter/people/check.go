package people

import (
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/internal/reach"
	"github.com/ringwall/ringwall/internal/template"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// checks are the promises that templates keep or break.
var checks = []*perimeter.Control{
	{
		ID:      "people/secrets-closed",
		Doc:     "Each secret is read by those it is for and nobody else, is changed on a schedule, and is written in no template.",
		Why:     "A captured fleet instance reads the administrators' secrets, or the database's master password.",
		Vantage: perimeter.Template,
		Check:   checkSecrets,
		Meets:   []string{"INV-11"},
	},
	{
		ID:      "people/no-escalation",
		Doc:     "No role can make itself an administrator, in one step or through another role, and no role trusts everybody.",
		Why:     "One captured instance is the whole account.",
		Vantage: perimeter.Template,
		Check:   checkEscalation,
		Meets:   []string{"INV-12", "CIS 1.16"},
	},
}

const readSecret = "secretsmanager:GetSecretValue"

func checkSecrets(p *perimeter.Pass) error {
	secrets := p.World.OfType("AWS::SecretsManager::Secret")
	judgeLiterals(p)
	judgeNamed(p)
	for _, s := range secrets {
		p.Tried("who may read %s, and whether it is ever changed", s.ID)
		judgeReaders(p, s)
		judgeRotation(p, s)
	}
	for _, who := range p.Access.Principals {
		judgeWildcards(p, who, len(secrets) > 0)
	}
	for _, t := range p.Tiers() {
		if t.Role == nil && !t.Profile.Absent() && len(secrets) > 0 {
			p.Unknown(t.Node.Res, t.Profile.Place(t.Node.Res.Pos), "which secrets %s reads is not known: its role is %s", t.Node, t.Profile.Show())
		}
	}
	if len(secrets) == 0 {
		p.Absent("a secret")
	}
	return nil
}

// masters are the secrets with a database's master password.
func masters(p *perimeter.Pass) map[*template.Resource]bool {
	out := map[*template.Resource]bool{}
	for _, db := range p.World.OfType("AWS::RDS::DBInstance", "AWS::RDS::DBCluster") {
		ref := db.Get("MasterUserPassword").String()
		for _, s := range p.World.OfType("AWS::SecretsManager::Secret") {
			if strings.Contains(ref, template.Token(s.Key(), "")) {
				out[s] = true
			}
		}
	}
	return out
}

func judgeReaders(p *perimeter.Pass, s *template.Resource) {
	arn := p.Access.ARN(s)
	var policy []*access.Statement
	for _, r := range p.World.OfType("AWS::SecretsManager::ResourcePolicy") {
		if p.Access.Text(r.Get("SecretId").String()) == arn {
			policy = append(policy, p.Access.Policy(r.Get("ResourcePolicy"), "the policy of secret "+s.ID, r.Pos)...)
		}
	}
	ask := func(who *access.Principal) access.Decision {
		return p.Access.Decide(access.Request{Who: who, Action: readSecret, Resource: arn}, policy, access.Either)
	}
	if d := ask(nil); d.Allowed != template.No {
		p.Judge(d.Allowed, s, d.By.Pos, nil, "anybody may read %s: %s", s.ID, d.Why)
	}
	for _, x := range policy {
		for _, w := range x.Who {
			if x.Allow && perimeter.Numbered(w) != "" && access.About(x, readSecret, arn) != template.No {
				p.Unknown(s, x.Pos, "%s lets in %s, and whether that account is this one no template says (write AWS::AccountId if it is)", x.Policy, w.Name)
			}
		}
	}
	master := masters(p)[s]
	var fleet, admin *perimeter.Tier
	for _, t := range p.Tiers() {
		if t.Role == nil {
			continue
		}
		if d := p.Access.Decide(access.Request{Who: t.Role, Action: "secretsmanager:PutResourcePolicy", Resource: arn}, policy, access.Either); d.Allowed != template.No {
			p.Judge(d.Allowed, t.Role.Res, d.At(t.Role), nil, "%s may write who reads %s, itself as well: %s", t.Node, s.ID, d.Why)
		}
		d := ask(t.Role)
		if d.Allowed == template.No {
			continue
		}
		at := t.Role.Res.Pos
		if d.By != nil {
			at = d.By.Pos
		}
		switch {
		case master:
			p.Judge(d.Allowed, t.Role.Res, at, nil, "%s reads %s, the master password of the database: %s", t.Node, s.ID, d.Why)
		case d.Allowed == template.Maybe:
			p.Judge(d.Allowed, t.Role.Res, at, nil, "whether %s reads %s is not known: %s", t.Node, s.ID, d.Why)
		case t.Name == plan.Fleet:
			fleet = t
			judgeForeign(p, t, s, at, d)
		case t.Name == plan.Admin:
			admin = t
			judgeForeign(p, t, s, at, d)
		}
	}
	if fleet != nil && admin != nil {
		p.Broken(s, s.Pos, "%s and %s read the same secret %s: what fleet knows, admin is", fleet.Node, admin.Node, s.ID)
	}
}

// judgeForeign: a secret whose name says another tier is not this one's.
func judgeForeign(p *perimeter.Pass, t *perimeter.Tier, s *template.Resource, at template.Pos, d access.Decision) {
	name := strings.ToLower(s.ID + " " + s.Get("Name").String() + " " + s.Get("Description").String())
	for _, other := range []string{plan.Admin, plan.Fleet} {
		if other != t.Name && strings.Contains(name, other) && !strings.Contains(name, t.Name) {
			p.Broken(t.Role.Res, at, "%s may read %s, a secret of %s: %s", t.Node, s.ID, other, d.Why)
		}
	}
}

// judgeRotation: a secret is changed on a schedule, or has another one that takes
// turns with it, so that it can be changed while nobody uses it.
func judgeRotation(p *perimeter.Pass, s *template.Resource) {
	arn := p.Access.ARN(s)
	for _, r := range p.World.OfType("AWS::SecretsManager::RotationSchedule") {
		if p.Access.Text(r.Get("SecretId").String()) == arn {
			if r.Get("RotationRules").Absent() {
				p.Broken(r, r.Pos, "rotation of %s has no schedule", s.ID)
			}
			return
		}
	}
	switch {
	case s.Get("GenerateSecretString").Absent() && s.Get("SecretString").Absent():
	case takesTurns(p, s):
		p.Tried("%s takes turns with another secret", s.ID)
	case p.Plan != nil && tagged(s, "ringwall:perimeter", "application"):
		p.Tried("%s is what an app makes its keys of; a new one ends every session, so no schedule changes it", s.ID)
	default:
		p.Broken(s, s.Pos, "secret %s is never changed: it has no rotation", s.ID)
	}
}

func tagged(r *template.Resource, key, value string) bool {
	for _, t := range r.Get("Tags").List() {
		if t.Get("Key").Is(key) && t.Get("Value").Is(value) {
			return true
		}
	}
	return false
}

// takesTurns: a listener's rule takes the secret or another one.
func takesTurns(p *perimeter.Pass, s *template.Resource) bool {
	name := s.Get("Name").String()
	for _, r := range p.World.OfType("AWS::ElasticLoadBalancingV2::ListenerRule") {
		for _, c := range r.Get("Conditions").List() {
			values, mine, others := c.Get("HttpHeaderConfig", "Values").List(), false, false
			for _, v := range values {
				text := v.String()
				if !strings.HasPrefix(text, "{{resolve:secretsmanager:") {
					continue
				}
				if strings.Contains(text, template.Token(s.Key(), "")) || name != "" && strings.Contains(text, ":"+name+":") {
					mine = true
				} else {
					others = true
				}
			}
			if mine && others {
				return true
			}
		}
	}
	return false
}

// anySecret stands for a secret that no template here makes.
const anySecret = "arn:aws:secretsmanager:any-region:any-account:secret:any-secret-at-all-abcdef"

// judgeWildcards: AWS adds six characters to a secret's name, and a * in place of
// them takes every longer name too.
func judgeWildcards(p *perimeter.Pass, who *access.Principal, secrets bool) {
	for _, s := range who.Identity {
		if !s.Allow || !secrets || s.Unsure != "" {
			continue
		}
		if access.About(s, "secretsmanager:ListSecrets", "*") == template.Yes {
			p.Broken(who.Res, s.Pos, "role %s may list every secret of the account: %s", who.Name, s)
		}
		switch {
		case len(s.Conditions) > 0:
		case access.About(s, readSecret, anySecret) == template.Yes:
			p.Broken(who.Res, s.Pos, "role %s may read every secret of the account: %s", who.Name, s)
		case slices.ContainsFunc(s.Actions, func(a string) bool { return a == strings.ToLower(readSecret) }):
			for _, r := range s.Resources {
				if i := strings.Index(r, ":secret:"); strings.HasSuffix(r, "*") && (i < 0 || !strings.Contains(r[i:], "\x02")) {
					p.Broken(who.Res, s.Pos, "role %s may read every secret whose name begins as %s does", who.Name, template.Show(r))
				}
			}
		}
	}
}

var secretName = lazy.Regexp(`(?i)(passw(or)?d|secret|token|api_?key|private_?key|credential)`)
var secretText = lazy.Regexp(`(?i)(?:\b|_)(passw(or)?d|secret|token|api_?key)\s*[=:]\s*['"]?([A-Za-z0-9+/_!@#%^-]{8,})`)

// elsewhere is a text that says where a secret is, and is none.
var elsewhere = lazy.Regexp(`^(\$|arn:|https?:|/(run|etc|var|opt|srv|home|root|tmp|usr|dev|mnt)/)`)

// judgeLiterals finds secrets that are written out.
func judgeLiterals(p *perimeter.Pass) {
	for _, r := range p.World.OfType("AWS::RDS::DBInstance", "AWS::RDS::DBCluster") {
		p.Tried("whether %s has its password in a template", r.ID)
	}
	for _, r := range p.World.OfType("AWS::SecretsManager::Secret") {
		judgeLiteral(p, r, r.Get("SecretString"), "the text of secret "+r.ID)
	}
	for _, r := range p.World.OfType("AWS::Lambda::Function") {
		if env := r.Get("Environment", "Variables"); env != nil {
			for _, f := range env.Fields {
				if s, ok := f.Value.Literal(); ok && secretName().MatchString(f.Name) && !strings.HasPrefix(s, "{{resolve:") && !strings.HasPrefix(s, "arn:") && s != "" {
					p.Broken(r, f.Pos, "variable %s of %s looks like a secret, and its value is written here", f.Name, r.ID)
				}
			}
		}
	}
	for _, r := range p.World.OfType("AWS::ECS::TaskDefinition") {
		for _, c := range r.Get("ContainerDefinitions").List() {
			judgePairs(p, r, c.Get("Environment"))
		}
	}
	for _, r := range p.World.OfType("AWS::CodeBuild::Project") {
		judgePairs(p, r, r.Get("Environment", "EnvironmentVariables"))
	}
	for _, r := range p.World.OfType("AWS::SSM::Parameter") {
		if name := r.Get("Name").String(); secretName().MatchString(name[strings.LastIndexByte(name, '/')+1:]) {
			judgeLiteral(p, r, r.Get("Value"), "the value of parameter "+r.ID+", which looks like a secret,")
		}
	}
	for _, d := range p.World.OfType("AWS::CloudFront::Distribution") {
		for _, o := range d.Get("DistributionConfig", "Origins").List() {
			for _, h := range o.Get("OriginCustomHeaders").List() {
				judgeLiteral(p, d, h.Get("HeaderValue"), "the value of header "+h.Get("HeaderName").Show()+", by which the balancer knows the distribution,")
			}
		}
	}
	for _, r := range p.World.OfType("AWS::EC2::LaunchTemplate", "AWS::EC2::Instance") {
		v := r.Get("LaunchTemplateData", "UserData")
		if v.Absent() {
			v = r.Get("UserData")
		}
		for _, m := range secretText().FindAllStringSubmatch(template.Decode(v.String()), -1) {
			if !elsewhere().MatchString(m[3]) {
				p.Broken(r, v.Place(r.Pos), "the user data of %s has something written in it that looks like a secret (%s)", r.ID, m[1])
			}
		}
	}
}

// judgePairs finds secrets among variables that are written as names and values.
func judgePairs(p *perimeter.Pass, r *template.Resource, list *template.Value) {
	for _, e := range list.List() {
		v := e.Get("Value")
		if s, ok := v.Literal(); ok && s != "" && secretName().MatchString(e.Get("Name").String()) && !strings.HasPrefix(s, "{{resolve:") && !strings.HasPrefix(s, "arn:") && !e.Get("Type").Is("SECRETS_MANAGER") && !e.Get("Type").Is("PARAMETER_STORE") {
			p.Broken(r, v.Place(r.Pos), "variable %s of %s looks like a secret, and its value is written here", e.Get("Name").Show(), r.ID)
		}
	}
}

func judgeLiteral(p *perimeter.Pass, r *template.Resource, v *template.Value, what string) {
	if s, ok := v.Literal(); ok && !strings.HasPrefix(s, "{{resolve:") && len(s) > 0 && s != "{}" {
		p.Broken(r, v.Place(r.Pos), "%s is written in the template", what)
	}
}

func checkEscalation(p *perimeter.Pass) error {
	if len(p.Access.Principals) == 0 {
		p.Absent("a role or a user")
		return nil
	}
	for _, who := range p.Access.Principals {
		p.Tried("whether %s can become an administrator, and whom it trusts", who.Name)
		judgeTrust(p, who)
		if !who.Usable() {
			p.Tried("nothing more of %s: only services that keep to their own errand take it", who.Name)
			continue
		}
		climbed := false
		for _, sure := range []bool{true, false} {
			if via := p.Access.Climb(who, nil, sure); via != nil {
				broken := template.Maybe
				if sure {
					broken = template.Yes
				}
				p.Judge(broken, who.Res, edgePlace(via[0]), edgePath(via), "%s can become an administrator: it %s", who.Name, via[0].How)
				climbed = true
				break
			}
		}
		if !climbed {
			for _, why := range who.Unsure {
				p.Unknown(who.Res, who.Res.Pos, "what %s may do is not known: %s", who.Name, why)
			}
		}
	}
	return nil
}

func edgePlace(e access.Edge) template.Pos {
	if e.By != nil {
		return e.By.Pos
	}
	return e.From.Res.Pos
}

func edgePath(via []access.Edge) reach.Path {
	var out reach.Path
	for _, e := range via {
		out = append(out, reach.Hop{Words: e.From.Name + " " + e.How, Pos: edgePlace(e)})
	}
	return append(out, reach.Hop{Words: "administrator of the account"})
}

// judgeTrust: a trust policy names services, or exact roles; another account only
// with an id that its owner agreed on (the confused deputy).
func judgeTrust(p *perimeter.Pass, who *access.Principal) {
	for _, s := range who.Trust {
		if s.Unsure != "" {
			p.Unknown(who.Res, s.Pos, "whom %s trusts is not known: %s", who.Name, s.Unsure)
			continue
		}
		if !s.Allow {
			continue
		}
		if len(s.NotWho) > 0 {
			p.Broken(who.Res, s.Pos, "%s trusts everybody but a few (NotPrincipal)", who.Name)
		}
		keys := ""
		for _, c := range s.Conditions {
			keys += " " + c.Key
		}
		for _, w := range s.Who {
			switch {
			case w.Everyone() && keys == "":
				p.Broken(who.Res, s.Pos, "%s trusts everybody: any account can take it", who.Name)
			case w.Everyone() && !perimeter.Binds(s, "aws:principalorgid", "aws:principalaccount", "aws:sourcearn", "aws:principalarn"):
				p.Unknown(who.Res, s.Pos, "%s trusts everybody under a condition (%s), and whether that is enough is not known", who.Name, strings.TrimSpace(keys))
			case w.Kind == "Federated" && strings.HasSuffix(w.Name, "oidc-provider/token.actions.githubusercontent.com") && !perimeter.Binds(s, "token.actions.githubusercontent.com:sub", "token.actions.githubusercontent.com:repository", "token.actions.githubusercontent.com:repository_owner", "token.actions.githubusercontent.com:job_workflow_ref"):
				p.Broken(who.Res, s.Pos, "%s trusts every repository of GitHub: no condition on token.actions.githubusercontent.com:sub", who.Name)
			case w.Kind == "Federated" && !perimeter.Binds(s, ":sub", ":aud", ":amr", "saml:aud", "saml:sub", "saml:iss"):
				p.Unknown(who.Res, s.Pos, "%s trusts whoever %s vouches for, and whom it does no template says; want a condition on whom", who.Name, template.Show(w.Name))
			case perimeter.Numbered(w) != "" && !perimeter.Binds(s, "sts:externalid", "aws:principalorgid"):
				p.Unknown(who.Res, s.Pos, "%s trusts %s; if that is another account, want a condition on sts:ExternalId", who.Name, template.Show(w.Name))
			}
		}
	}
}
