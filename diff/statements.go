package diff

import (
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/schema"
	"github.com/ringwall/ringwall/internal/template"
)

// readSide finds every statement.
func readSide(rs map[string]*template.Resource, w *template.World) *side {
	x := &side{statements: map[string]statement{}, rights: map[string]access.Rights{}, unread: map[string]string{}}
	if w == nil {
		return x
	}
	x.model = access.Build(w)
	for _, key := range slices.Sorted(maps.Keys(rs)) {
		r := rs[key]
		if r.Type == "AWS::Lambda::Permission" {
			x.put(lambdaPermission(x.model, r))
			continue
		}
		scrutiny := schema.Lookup(r.Type)
		for _, p := range properties(r) {
			v := r.Get(p)
			found := documents(v)
			if len(found) == 0 && v.Deep() != "" && scrutiny != nil && isPolicy(scrutiny.Properties[p]) {
				x.unread[key+"\t"+p] = v.Deep()
			}
			for _, doc := range found {
				for _, holder := range x.holders(r, p) {
					for _, v := range statements(doc) {
						x.put(statement{Statement: x.model.Statement(v, "policy "+r.ID, r.Pos), holder: holder, text: words(v), at: r, prop: p, pos: v.Pos})
						if why := v.Deep(); why != "" {
							x.unread[key+"\t"+p] += why + canon(v)
						}
					}
				}
			}
		}
	}
	for _, p := range x.model.Principals { // with their boundaries and AWS's own policies
		x.rights[template.Token(p.Res.Key(), "")] = p.Rights()
	}
	return x
}

func (x *side) put(s statement) {
	if _, twice := x.statements[s.id()]; twice {
		return
	}
	x.statements[s.id()] = s
	r := x.rights[s.holder]
	r.Policies = append(r.Policies, s.Statement)
	x.rights[s.holder] = r
}

func isPolicy(p *schema.Property) bool {
	return p != nil && (p.Scrutiny == "InlineResourcePolicy" || p.Scrutiny == "InlineIdentityPolicies" || strings.HasSuffix(p.Name, "PolicyDocument"))
}

// holders says to whom the statements of a property are attached.
func (x *side) holders(r *template.Resource, prop string) []string {
	own := template.Token(r.Key(), "")
	switch {
	case r.Type == "AWS::IAM::Policy" || r.Type == "AWS::IAM::ManagedPolicy":
		var out []string
		for _, kind := range []string{"Roles", "Users", "Groups"} {
			for _, v := range r.Get(kind).List() {
				if p := x.model.Of(v); p != nil {
					out = append(out, template.Token(p.Res.Key(), ""))
				} else {
					out = append(out, v.Text+v.Why())
				}
			}
		}
		for _, p := range x.model.Principals {
			for _, v := range p.Res.Get("ManagedPolicyArns").List() {
				if v.Text == own {
					out = append(out, template.Token(p.Res.Key(), ""))
				}
			}
			if p.Res.Get("PermissionsBoundary").String() == own {
				out = append(out, bounds+template.Token(p.Res.Key(), ""))
			}
		}
		if len(out) > 0 {
			return out
		}
		return []string{guarded + own + prop}
	case r.Type == "AWS::IAM::RolePolicy", r.Type == "AWS::IAM::UserPolicy", r.Type == "AWS::IAM::GroupPolicy":
		for _, f := range []string{"RoleName", "UserName", "GroupName"} {
			if v := r.Get(f); !v.Absent() {
				if p := x.model.Of(v); p != nil {
					return []string{template.Token(p.Res.Key(), "")}
				}
				return []string{v.Text + v.Why()}
			}
		}
	case strings.HasPrefix(r.Type, "AWS::IAM::") && prop == "Policies":
		return []string{own}
	case strings.HasPrefix(r.Type, "AWS::IAM::"):
		return []string{becomes + own}
	}
	return []string{guarded + own + prop}
}

// documents finds the policy documents in a property: maps with a Statement whose
// items have an Effect, also as a JSON text.
func documents(v *template.Value) []*template.Value {
	if doc := access.Document(v); doc != nil && len(statements(doc)) > 0 {
		return []*template.Value{doc}
	}
	if v.Absent() {
		return nil
	}
	var out []*template.Value
	for _, x := range v.Items {
		out = append(out, documents(x)...)
	}
	for _, f := range v.Fields {
		out = append(out, documents(f.Value)...)
	}
	return out
}

func statements(doc *template.Value) []*template.Value {
	if doc.Absent() || doc.Shape != template.Map {
		return nil
	}
	list := doc.Get("Statement").List()
	if !slices.ContainsFunc(list, func(s *template.Value) bool { return !s.Get("Effect").Absent() && s.Shape == template.Map }) {
		return nil
	}
	return list
}

// words writes a statement on a line, as it was written.
func words(v *template.Value) string {
	if v.Unknown() {
		return v.Show()
	}
	list := func(name string) string {
		not := ""
		x := v.Get(name)
		if n := v.Get("Not" + name); !n.Absent() {
			x, not = n, "all but "
		}
		return not + strings.Join(texts(x), ", ")
	}
	out := v.Get("Effect").Show() + " " + list("Action") + " on " + list("Resource")
	if p := principals(v); p != "" {
		out += " to " + p
	}
	if x := v.Get("Condition"); !x.Absent() {
		out += " if " + canon(x)
	}
	return template.Show(out)
}

// texts are the words of a text or a list of texts, sorted.
func texts(v *template.Value) []string {
	var out []string
	for _, x := range v.List() {
		out = append(out, x.Text+x.Why())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// principals writes "*", {"AWS": …} and {"Service": …} as words like AWS:arn.
func principals(v *template.Value) string {
	p, not := v.Get("Principal"), ""
	if x := v.Get("NotPrincipal"); !x.Absent() {
		p, not = x, "all but "
	}
	if p.Absent() {
		return ""
	}
	if p.Shape != template.Map {
		return not + strings.Join(texts(p), ", ")
	}
	var out []string
	for _, e := range p.Fields {
		for _, w := range texts(e.Value) {
			if w == "*" && e.Name == "AWS" {
				out = append(out, "*")
				continue
			}
			out = append(out, e.Name+":"+w)
		}
	}
	slices.Sort(out)
	return not + strings.Join(out, ", ")
}

// lambdaPermission is the statement that a permission adds to its function's policy.
func lambdaPermission(m *access.Model, r *template.Resource) statement {
	get := func(p string) string { v := r.Get(p); return m.Text(v.String()) + v.Why() }
	s := &access.Statement{Allow: true, Policy: "permission " + r.ID, Actions: []string{strings.ToLower(get("Action"))}, Resources: []string{get("FunctionName")}, Pos: r.Pos}
	who := access.Who{Kind: "AWS", Name: get("Principal")}
	if strings.Contains(who.Name, ".") && !strings.HasPrefix(who.Name, "arn:") {
		who.Kind = "Service"
	}
	s.Who = []access.Who{who}
	for _, p := range []string{"SourceArn", "SourceAccount", "PrincipalOrgID", "FunctionUrlAuthType", "EventSourceToken"} {
		if !r.Get(p).Absent() {
			s.Conditions = append(s.Conditions, access.Condition{Operator: "stringequals", Key: strings.ToLower(p), Values: []string{get(p)}})
		}
	}
	text := "Allow " + r.Get("Action").Show() + " on " + r.Get("FunctionName").Show() + " to " + r.Get("Principal").Show()
	for _, c := range s.Conditions {
		text += " if " + c.Key + "=" + template.Show(c.Values[0])
	}
	return statement{Statement: s, holder: guarded + get("FunctionName"), text: text, at: r, prop: "Action"}
}
