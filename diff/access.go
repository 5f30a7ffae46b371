package diff

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/schema"
	"github.com/ringwall/ringwall/internal/template"
)

// A statement is one statement of a policy, wherever it is written. Statements that
// are moved between the policies of a role are the same.
type statement struct {
	holder     string // who or what it is attached to: a role's key, or the resource that it guards
	deny       bool
	actions    field
	resources  field
	principals field
	conditions string

	at   *template.Resource // where it was found
	prop string
	pos  template.Pos
}

// A field is a list of patterns, or everything but a list.
type field struct {
	not   bool
	words []string // sorted
}

func (f field) String() string {
	s := strings.Join(f.words, ", ")
	if f.not {
		return "all but " + s
	}
	return s
}

func (s statement) id() string {
	return fmt.Sprintf("%s\n%t\n%v\n%v\n%v\n%s", s.holder, s.deny, s.actions, s.resources, s.principals, s.conditions)
}

func (s statement) String() string {
	effect := "Allow"
	if s.deny {
		effect = "Deny"
	}
	out := effect + " " + s.actions.String() + " on " + s.resources.String()
	if len(s.principals.words) > 0 {
		out += " to " + s.principals.String()
	}
	if s.conditions != "" {
		out += " if " + s.conditions
	}
	return template.Show(out)
}

// within says whether s grants nothing that t does not: with Allow, every request
// that s matches is matched by t. It may say no where yes is true.
func (s statement) within(t statement) bool {
	return s.holder == t.holder && s.deny == t.deny && s.actions.within(t.actions) && s.resources.within(t.resources) &&
		s.principals.within(t.principals) && (t.conditions == "" || t.conditions == s.conditions)
}

func (f field) within(g field) bool {
	if f.not || g.not {
		return f.not == g.not && slices.Equal(f.words, g.words)
	}
	return !slices.ContainsFunc(f.words, func(w string) bool {
		return !slices.ContainsFunc(g.words, func(p string) bool { return p == w || p == "*" || matches(p, w) })
	})
}

// matches compares a word with a pattern of IAM. A word that is a pattern itself is
// compared letter by letter, which is right for a * at the end.
func matches(pattern, word string) bool {
	if prefix, ok := strings.CutSuffix(pattern, "*"); ok && !strings.ContainsAny(prefix, "*?[\\") {
		return strings.HasPrefix(word, prefix)
	}
	if strings.ContainsAny(pattern, "[\\/") || strings.ContainsAny(word, "*?/") {
		return false
	}
	ok, err := path.Match(pattern, word)
	return err == nil && ok
}

// access compares all statements of both sides, and what else gives rights.
func (c *comparison) access() {
	before, after := map[string]statement{}, map[string]statement{}
	b, a := c.collect(c.before, before), c.collect(c.after, after)
	var lost, got []statement
	for id := range before {
		if _, ok := after[id]; !ok {
			lost = append(lost, before[id])
		}
	}
	for id := range after {
		if _, ok := before[id]; !ok {
			got = append(got, after[id])
		}
	}
	inside := func(s statement, of []statement) bool {
		return slices.ContainsFunc(of, func(t statement) bool { return s.within(t) })
	}
	for _, s := range got {
		switch {
		case s.deny:
			c.grant("access/narrowed", s, "", s.String(), "a denying statement is added")
		case inside(s, lost):
			c.grant("access/narrowed", s, "", s.String(), "an allowing statement becomes narrower")
		default:
			c.grant("access/broadened", s, "", s.String(), "an allowing statement is added")
		}
	}
	for _, s := range lost {
		switch {
		case s.deny && inside(s, got):
			c.grant("access/narrowed", s, s.String(), "", "a denying statement becomes wider")
		case s.deny:
			c.grant("access/broadened", s, s.String(), "", "a denying statement goes")
		default:
			c.grant("access/narrowed", s, s.String(), "", "an allowing statement goes")
		}
	}
	for _, k := range slices.Sorted(maps.Keys(a)) {
		if b[k] != a[k] {
			key, prop, _ := strings.Cut(k, "\t")
			c.add("access/unclear", c.after[key], Change{Path: prop, Words: "a policy changes that cannot be read: " + a[k]})
		}
	}
	c.managedPolicies()
}

func (c *comparison) grant(rule string, s statement, before, after, words string) {
	r := c.either(s.at.Key())
	c.covered[[2]string{s.at.Key(), s.prop}] = true
	c.add(rule, r, Change{Path: s.prop, Before: before, After: after, Words: words, Place: placed(s.pos, s.at)})
}

// placed is where something was written, or else its resource was.
func placed(pos template.Pos, r *template.Resource) string {
	if pos.IsZero() {
		pos = r.Pos
	}
	return pos.String()
}

// collect finds every statement. It returns, by resource and property, the reason
// for which a policy cannot be read.
func (c *comparison) collect(rs map[string]*template.Resource, into map[string]statement) map[string]string {
	unread := map[string]string{}
	for _, key := range slices.Sorted(maps.Keys(rs)) {
		r := rs[key]
		if r.Type == "AWS::Lambda::Permission" {
			s := lambdaPermission(r)
			into[s.id()] = s
			continue
		}
		scrutiny := schema.Lookup(r.Type)
		for _, p := range properties(r) {
			v := r.Get(p)
			found := documents(v)
			if len(found) == 0 && v.Deep() != "" && scrutiny != nil && isPolicy(scrutiny.Properties[p]) {
				unread[key+"\t"+p] = v.Deep()
			}
			for _, doc := range found {
				for _, holder := range c.holders(r, p) {
					for _, st := range statements(doc) {
						s := readStatement(st, holder)
						s.at, s.prop, s.pos = r, p, st.Pos
						into[s.id()] = s
						if why := st.Deep(); why != "" {
							unread[key+"\t"+p] += why + canon(st)
						}
					}
				}
			}
		}
	}
	return unread
}

func isPolicy(p *schema.Property) bool {
	return p != nil && (p.Scrutiny == "InlineResourcePolicy" || p.Scrutiny == "InlineIdentityPolicies" || strings.HasSuffix(p.Name, "PolicyDocument"))
}

// holders says to whom the statements of a property are attached.
func (c *comparison) holders(r *template.Resource, prop string) []string {
	switch {
	case r.Type == "AWS::IAM::Policy" || r.Type == "AWS::IAM::ManagedPolicy":
		var out []string
		for _, kind := range []string{"Roles", "Users", "Groups"} {
			for _, v := range r.Get(kind).List() {
				out = append(out, v.Text+v.Why())
			}
		}
		if len(out) > 0 {
			return out
		}
	case strings.HasPrefix(r.Type, "AWS::IAM::") && prop == "Policies":
		return []string{template.Token(r.Key(), "")}
	case strings.HasPrefix(r.Type, "AWS::IAM::"):
		return []string{"may become " + template.Token(r.Key(), "")}
	}
	return []string{"guards " + template.Token(r.Key(), "") + prop}
}

// documents finds the policy documents in a property: maps with a Statement whose
// items have an Effect, also as a JSON text.
func documents(v *template.Value) []*template.Value {
	switch {
	case v.Absent():
		return nil
	case v.Shape == template.String:
		if doc := parseDocument(v); doc != nil {
			return []*template.Value{doc}
		}
		return nil
	}
	if len(statements(v)) > 0 {
		return []*template.Value{v}
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

// parseDocument reads a policy that is given as a JSON text.
func parseDocument(v *template.Value) *template.Value {
	if !strings.HasPrefix(strings.TrimSpace(v.Text), "{") || !strings.Contains(v.Text, `"Statement"`) {
		return nil
	}
	// JSON has no control characters in its strings; the tokens' marks are taken out
	// and put back, so that references stay what they are.
	marks := strings.NewReplacer("\x02", "⁅", "\x03", "⁆")
	var tree any
	if json.Unmarshal([]byte(marks.Replace(v.Text)), &tree) != nil {
		return nil
	}
	doc := fromTree(tree, v.Pos)
	if len(statements(doc)) == 0 {
		return nil
	}
	return doc
}

func fromTree(tree any, pos template.Pos) *template.Value {
	back := strings.NewReplacer("⁅", "\x02", "⁆", "\x03")
	switch x := tree.(type) {
	case map[string]any:
		v := &template.Value{Shape: template.Map, Pos: pos}
		for _, k := range slices.Sorted(maps.Keys(x)) {
			v.Fields = append(v.Fields, template.Entry{Name: k, Value: fromTree(x[k], pos), Pos: pos})
		}
		return v
	case []any:
		v := &template.Value{Shape: template.List, Pos: pos}
		for _, y := range x {
			v.Items = append(v.Items, fromTree(y, pos))
		}
		return v
	case nil:
		return nil
	}
	return &template.Value{Shape: template.String, Text: back.Replace(fmt.Sprint(tree)), Pos: pos}
}

func readStatement(v *template.Value, holder string) statement {
	pick := func(name string) field {
		f := field{words: texts(v.Get(name))}
		if x := v.Get("Not" + name); !x.Absent() {
			f = field{not: true, words: texts(x)}
		}
		return f
	}
	s := statement{holder: holder, deny: !v.Get("Effect").Is("Allow"), actions: pick("Action"), resources: pick("Resource"), principals: principals(v)}
	if x := v.Get("Condition"); !x.Absent() {
		s.conditions = canon(x)
	}
	return s
}

// texts are the words of a text or a list of texts, sorted; actions are compared
// without regard to case by IAM, and are written in one case by people.
func texts(v *template.Value) []string {
	var out []string
	for _, x := range v.List() {
		out = append(out, x.Text+x.Why())
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// principals reads "*", {"AWS": …} and {"Service": …} into words like AWS:arn.
func principals(v *template.Value) field {
	p, not := v.Get("Principal"), false
	if x := v.Get("NotPrincipal"); !x.Absent() {
		p, not = x, true
	}
	f := field{not: not}
	if p.Absent() {
		return f
	}
	if p.Shape != template.Map {
		f.words = texts(p)
		return f
	}
	for _, e := range p.Fields {
		for _, w := range texts(e.Value) {
			if w == "*" && e.Name == "AWS" {
				f.words = append(f.words, "*")
				continue
			}
			f.words = append(f.words, e.Name+":"+w)
		}
	}
	slices.Sort(f.words)
	return f
}

func lambdaPermission(r *template.Resource) statement {
	get := func(p string) string { v := r.Get(p); return v.String() + v.Why() }
	s := statement{holder: "guards " + get("FunctionName"), at: r, prop: "Action", actions: field{words: []string{get("Action")}},
		resources: field{words: []string{get("FunctionName")}}, principals: field{words: []string{get("Principal")}}}
	for _, p := range []string{"SourceArn", "SourceAccount", "PrincipalOrgID", "FunctionUrlAuthType", "EventSourceToken"} {
		if !r.Get(p).Absent() {
			s.conditions += p + "=" + get(p) + " "
		}
	}
	return s
}

// managedPolicies compares the policies that are attached by name, and the
// boundaries.
func (c *comparison) managedPolicies() {
	for _, key := range c.keys() {
		b, a := c.before[key], c.after[key]
		r := c.either(key)
		if !strings.HasPrefix(r.Type, "AWS::IAM::") && r.Type != "AWS::SSO::PermissionSet" {
			continue
		}
		for _, p := range []string{"ManagedPolicyArns", "ManagedPolicies"} {
			x, y := texts(b.Get(p)), texts(a.Get(p))
			for _, w := range y {
				if !slices.Contains(x, w) {
					c.covered[[2]string{key, p}] = true
					c.add("access/broadened", r, Change{Path: p, After: template.Show(w), Words: "a managed policy is attached"})
				}
			}
			for _, w := range x {
				if !slices.Contains(y, w) {
					c.covered[[2]string{key, p}] = true
					c.add("access/narrowed", r, Change{Path: p, Before: template.Show(w), Words: "a managed policy is taken off"})
				}
			}
		}
		const p = "PermissionsBoundary"
		x, y := b.Get(p), a.Get(p)
		if b == nil || a == nil || canon(x) == canon(y) {
			continue
		}
		c.covered[[2]string{key, p}] = true
		switch {
		case y.Absent():
			c.add("access/broadened", r, Change{Path: p, Before: show(x), Words: "the boundary goes"})
		case x.Absent():
			c.add("access/narrowed", r, Change{Path: p, After: show(y), Words: "a boundary is set"})
		default:
			c.add("access/unclear", r, Change{Path: p, Before: show(x), After: show(y), Words: "the boundary changes"})
		}
	}
}
