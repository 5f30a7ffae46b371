// Package access says what an identity of a set of templates may do: policies of
// identities and resources, boundaries, conditions, wildcards and AWS's own
// managed policies, as IAM evaluates them (IAM guide, policy evaluation logic).
// What a template does not say makes an answer Maybe.
package access

import (
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Statement is one of a policy.
type Statement struct {
	Allow        bool
	Sid          string
	Policy       string // the policy's name, for people
	Actions      []string
	NotActions   []string
	Resources    []string
	NotResources []string
	Who          []Who
	NotWho       []Who
	Conditions   []Condition
	Pos          template.Pos
	Unsure       string // not empty: a part of it is not known

	said string // what String returned
}

// Who is one entry of a Principal element.
type Who struct {
	Kind string // AWS, Service, Federated, CanonicalUser
	Name string
}

// Everyone says whether it stands for anybody, known to AWS or not.
func (w Who) Everyone() bool { return w.Kind == "AWS" && w.Name == "*" }

// A Condition is one key of a Condition element.
type Condition struct {
	Operator string // lower case, without IfExists and quantifier
	IfExists bool
	ForAll   bool // ForAllValues
	Key      string
	Values   []string
}

// statements reads a policy document.
func (m *Model) statements(doc *template.Value, policy string, pos template.Pos) []*Statement {
	if doc.Absent() {
		return nil
	}
	unsure := func(v *template.Value, why string) []*Statement {
		return []*Statement{{Allow: true, Policy: policy, Pos: v.Place(pos), Unsure: why}}
	}
	read := Document(doc)
	switch {
	case read == nil && doc.Unknown():
		return unsure(doc, doc.Why())
	case read == nil && doc.Shape == template.List:
		return unsure(doc, "the policy is a list")
	case read == nil:
		return unsure(doc, "the policy's text is no JSON")
	case read.Unknown():
		return unsure(doc, read.Why())
	}
	var out []*Statement
	for _, v := range read.Get("Statement").List() {
		out = append(out, m.Statement(v, policy, pos))
	}
	return out
}

// Statement reads one statement of a policy; pos is its place where it has none.
func (m *Model) Statement(v *template.Value, policy string, pos template.Pos) *Statement {
	if v.Unknown() {
		return &Statement{Allow: true, Policy: policy, Pos: v.Place(pos), Unsure: v.Why()}
	}
	s := &Statement{Allow: v.Get("Effect").Is("Allow"), Sid: v.Get("Sid").String(), Policy: policy, Pos: v.Place(pos)}
	if e := v.Get("Effect"); e.Unknown() {
		s.Unsure = e.Why()
	}
	s.Actions, s.NotActions = m.texts(v.Get("Action"), true), m.texts(v.Get("NotAction"), true)
	s.Resources, s.NotResources = m.texts(v.Get("Resource"), false), m.texts(v.Get("NotResource"), false)
	s.Who, s.NotWho = m.who(v.Get("Principal")), m.who(v.Get("NotPrincipal"))
	if c := v.Get("Condition"); c.Unknown() {
		s.Unsure = c.Why()
	} else if c != nil {
		for _, op := range c.Fields {
			for _, k := range op.Value.Fields {
				s.Conditions = append(s.Conditions, newCondition(op.Name, k.Name, m.texts(k.Value, false)))
			}
		}
	}
	return s
}

// texts are the items of a list, with names of resources in their full form.
func (m *Model) texts(v *template.Value, lowered bool) []string {
	var out []string
	for _, x := range v.List() {
		s := x.String()
		if x.Unknown() && s == "" {
			s = "\x02?" + x.Why() + "\x03"
		}
		s = m.Text(s)
		if lowered {
			s = lower(s)
		} else {
			s = variables(s)
		}
		out = append(out, s)
	}
	return out
}

func (m *Model) who(v *template.Value) []Who {
	if v.Absent() {
		return nil
	}
	if v.Shape != template.Map {
		return []Who{{"AWS", m.Text(v.String())}}
	}
	var out []Who
	for _, f := range v.Fields {
		for _, s := range m.texts(f.Value, false) {
			out = append(out, Who{f.Name, s})
		}
	}
	return out
}

func newCondition(op, key string, values []string) Condition {
	c := Condition{Operator: lower(op), Key: lower(key), Values: values}
	if i := strings.IndexByte(c.Operator, ':'); i >= 0 {
		c.ForAll = c.Operator[:i] == "forallvalues"
		c.Operator = c.Operator[i+1:]
	}
	c.Operator, c.IfExists = strings.CutSuffix(c.Operator, "ifexists")
	return c
}

// String names a statement for people.
func (s *Statement) String() string {
	if s.said == "" {
		s.said = s.say()
	}
	return s.said
}

func (s *Statement) say() string {
	effect := "denies"
	if s.Allow {
		effect = "allows"
	}
	var what []string
	for _, a := range append(append([]string(nil), s.Actions...), s.NotActions...) {
		what = append(what, template.Show(a))
	}
	if len(what) > 4 {
		what = append(what[:4], "…")
	}
	not := ""
	if len(s.NotActions) > 0 {
		not = "everything but "
	}
	var on []string
	for _, r := range s.Resources {
		on = append(on, template.Show(r))
	}
	if len(on) > 2 {
		on = append(on[:2], "…")
	}
	words := s.Policy + " " + effect + " " + not + strings.Join(what, ", ")
	if len(on) > 0 {
		words += " on " + strings.Join(on, ", ")
	}
	return words
}
