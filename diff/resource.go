package diff

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/schema"
	"github.com/ringwall/ringwall/internal/template"
)

// alsoStateful are types that hold data and that the schema does not mark so: what
// is in them comes from people or from the past, not from the template.
var alsoStateful = []string{"AWS::CloudTrail::Trail", "AWS::CloudTrail::EventDataStore", "AWS::EC2::Volume", "AWS::ElastiCache::CacheCluster",
	"AWS::DynamoDB::GlobalTable", "AWS::OpenSearchService::Domain", "AWS::DocDB::DBCluster", "AWS::Neptune::DBCluster", "AWS::Redshift::Cluster", "AWS::ECR::Repository"}

func stateful(typ string) bool {
	s := schema.Lookup(typ)
	return s != nil && s.Stateful || slices.Contains(alsoStateful, typ)
}

// replacements finds what CloudFormation does with each resource. A replaced
// resource gets a new id, so a resource that refers to it in a property that
// causes replacement is replaced too.
func (c *comparison) replacements() {
	for _, key := range c.keys() {
		b, a := c.before[key], c.after[key]
		switch {
		case b == nil:
			c.impacts[key] = Create
		case a == nil:
			c.impacts[key] = Delete
			if p := policyOf(b, "DeletionPolicy"); p == "Retain" || p == "RetainExceptOnCreate" {
				c.impacts[key] = Leave
			}
		case b.Type != a.Type:
			c.impacts[key], c.because[key] = Replace, []string{"Type"}
		default:
			c.compareResource(key, b, a)
		}
	}
	for again := true; again; {
		again = false
		for _, key := range c.keys() {
			a := c.after[key]
			if a == nil || c.before[key] == nil || c.impacts[key] == Replace {
				continue
			}
			if props := c.movedReferences(a); len(props) > 0 {
				c.impacts[key] = Replace
				c.because[key] = append(c.because[key], props...)
				again = true
			}
		}
	}
}

// compareResource says what the changes of a resource's properties cause.
func (c *comparison) compareResource(key string, b, a *template.Resource) {
	var props []string
	for _, p := range properties(b, a) {
		if canon(b.Get(p)) != canon(a.Get(p)) {
			props = append(props, p)
		}
	}
	if len(props) == 0 {
		for _, o := range options {
			if b.Option(o) != a.Option(o) {
				c.impacts[key] = Update
			}
		}
		return
	}
	c.impacts[key] = Update
	s := schema.Lookup(a.Type)
	if s == nil {
		return
	}
	for _, p := range props {
		def := s.Properties[p]
		if def == nil {
			continue
		}
		switch def.Replace {
		case schema.Yes:
			if c.impacts[key] != Replace {
				c.because[key] = nil
			}
			c.impacts[key] = Replace
			c.because[key] = append(c.because[key], p)
		case schema.Maybe:
			if c.impacts[key] != Replace {
				c.impacts[key] = MayReplace
				c.because[key] = append(c.because[key], p)
			}
		}
	}
	if c.impacts[key] == Update {
		for _, path := range s.MayReplace {
			if at := strings.Split(path, "/"); canon(b.Get(at...)) != canon(a.Get(at...)) {
				c.impacts[key] = MayReplace
				c.because[key] = append(c.because[key], path)
			}
		}
	}
}

// properties are the names that either side has, sorted.
func properties(rs ...*template.Resource) []string {
	var out []string
	for _, r := range rs {
		if r == nil || r.Props == nil {
			continue
		}
		for _, f := range r.Props.Fields {
			out = append(out, f.Name)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// options of a resource that change what an update does, and not the resource.
var options = []string{"DeletionPolicy", "UpdateReplacePolicy", "Condition"}

// movedReferences are the properties that cause replacement and refer to a resource
// that is replaced.
func (c *comparison) movedReferences(r *template.Resource) []string {
	s := schema.Lookup(r.Type)
	if s == nil {
		return nil
	}
	var out []string
	for _, p := range properties(r) {
		if def := s.Properties[p]; def == nil || def.Replace != schema.Yes {
			continue
		}
		for _, key := range references(r.Get(p)) {
			if c.impacts[key] == Replace && c.before[key] != nil && c.before[key].Stack.Name == r.Stack.Name {
				out = append(out, p)
				break
			}
		}
	}
	return out
}

// exports finds replaced resources whose id another stack imports. CloudFormation
// refuses to change an export that is in use.
func (c *comparison) exports() {
	users := map[string][]string{}
	for _, key := range slices.Sorted(maps.Keys(c.after)) {
		r := c.after[key]
		for _, used := range references(r.Props) {
			if u := c.after[used]; u != nil && u.Stack.Name != r.Stack.Name && c.impacts[used] == Replace && c.before[used] != nil && !slices.Contains(users[used], key) {
				users[used] = append(users[used], key)
			}
		}
	}
	for _, key := range slices.Sorted(maps.Keys(users)) {
		c.add("service/export", c.after[key], Change{Because: users[key], Words: "has to be replaced, and another stack imports what it is: " + strings.Join(users[key], ", ")})
	}
}

// references are the keys of the resources that a value names.
func references(v *template.Value) []string {
	if v.Absent() {
		return nil
	}
	var out []string
	template.Replace(v.Text, func(kind byte, name string) string {
		if key, _, ok := template.KeyOf("\x02" + string(kind) + name + "\x03"); ok {
			out = append(out, key)
		}
		return ""
	})
	for _, x := range v.Items {
		out = append(out, references(x)...)
	}
	for _, f := range v.Fields {
		out = append(out, references(f.Value)...)
	}
	return out
}

// policyOf is a DeletionPolicy or UpdateReplacePolicy with CloudFormation's default
// (UserGuide, DeletionPolicy attribute): databases that are no member of a cluster
// leave a snapshot when they are deleted, everything else leaves nothing.
func policyOf(r *template.Resource, name string) string {
	if p := r.Option(name); p != "" {
		return p
	}
	if name == "DeletionPolicy" && (r.Type == "AWS::RDS::DBCluster" || r.Type == "AWS::RDS::DBInstance" && r.Get("DBClusterIdentifier").Absent()) {
		return "Snapshot"
	}
	return "Delete"
}

// services writes down what happens to each resource, and to its data.
func (c *comparison) services() {
	for _, key := range c.keys() {
		b, a := c.before[key], c.after[key]
		impact := c.impacts[key]
		switch impact {
		case Create:
			c.add("service/added", a, Change{Words: "is made"})
		case Delete, Leave:
			c.removed(b, impact)
		case Replace, MayReplace:
			c.replaced(key, b, a, impact)
		case Update:
			c.updated(b, a)
		}
	}
	c.exports()
}

func (c *comparison) removed(b *template.Resource, impact Impact) {
	p := policyOf(b, "DeletionPolicy")
	switch {
	case !stateful(b.Type) && impact == Delete:
		c.add("service/removed", b, Change{Words: "is deleted"})
	case !stateful(b.Type):
		c.add("service/removed", b, Change{Words: "leaves the stack and stays in the account"})
	case impact == Leave:
		c.add("data/left", b, Change{Words: fmt.Sprintf("leaves the stack and stays with its data (DeletionPolicy: %s)", p)})
	case p == "Snapshot":
		c.add("data/replaced", b, Change{Words: "is deleted; a snapshot stays (DeletionPolicy: Snapshot)"})
	default:
		c.add("data/lost", b, Change{Words: fmt.Sprintf("is deleted with its data (DeletionPolicy: %s)", p)})
	}
}

func (c *comparison) replaced(key string, b, a *template.Resource, impact Impact) {
	props := c.because[key]
	ch := Change{Because: props, Path: props[0]}
	if props[0] != "Type" {
		ch.Before, ch.After = show(b.Get(strings.Split(props[0], "/")...)), show(a.Get(strings.Split(props[0], "/")...))
	} else {
		ch.Path, ch.Before, ch.After = "", b.Type, a.Type
	}
	by := " because " + strings.Join(props, ", ") + " changes"
	holds := stateful(b.Type) && !memberOfCluster(b)
	// Which of the two policies counts when the update changes it too is not
	// documented: the one that keeps less.
	p := policyOf(b, "UpdateReplacePolicy")
	if q := policyOf(a, "UpdateReplacePolicy"); keeps(q) < keeps(p) {
		p = q
	}
	switch {
	case impact == MayReplace && holds:
		ch.Words = fmt.Sprintf("may be replaced%s; its data then: UpdateReplacePolicy %s", by, p)
		c.add("data/may-be-replaced", a, ch)
	case impact == MayReplace:
		ch.Words = "may be replaced" + by
		c.add("service/may-be-replaced", a, ch)
	case holds && (p == "Retain" || p == "Snapshot"):
		ch.Words = fmt.Sprintf("is replaced by %s%s (UpdateReplacePolicy: %s)", successor(a), by, p)
		c.add("data/replaced", a, ch)
	case holds:
		ch.Words = fmt.Sprintf("is replaced by %s and deleted with its data%s (UpdateReplacePolicy: %s)", successor(a), by, p)
		c.add("data/lost", a, ch)
	default:
		ch.Words = "is replaced" + by
		c.add("service/replaced", a, ch)
	}
	if impact == Replace {
		c.fixedName(b, a)
	}
}

// successor is what a replacement holds: nothing, or what is in a snapshot.
func successor(a *template.Resource) string {
	for _, name := range schema.Restored {
		if v := a.Get(name); !v.Absent() && !v.Is("") {
			return "one with what is in snapshot " + v.Show() + ", without what was written after it,"
		}
	}
	return "an empty one"
}

// memberOfCluster says whether a database server holds no data of its own: an
// Aurora cluster's storage is the cluster's.
func memberOfCluster(r *template.Resource) bool {
	return r.Type == "AWS::RDS::DBInstance" && !r.Get("DBClusterIdentifier").Absent()
}

// fixedName finds a name that the old and the new resource would share.
func (c *comparison) fixedName(b, a *template.Resource) {
	s := schema.Lookup(a.Type)
	if s == nil || b.Type != a.Type {
		return
	}
	for _, id := range s.Identifier {
		def := s.Properties[id]
		if def == nil || def.Required || def.Replace != schema.Yes || a.Get(id).Absent() || canon(b.Get(id)) != canon(a.Get(id)) {
			continue
		}
		if len(references(a.Get(id))) > 0 {
			continue
		}
		c.add("service/named", a, Change{Path: id, After: show(a.Get(id)), Words: fmt.Sprintf("has to be replaced, and its %s stays the same", id)})
	}
}

// updated writes down what changes in place.
func (c *comparison) updated(b, a *template.Resource) {
	known := schema.Lookup(a.Type) != nil || strings.HasPrefix(a.Type, "Custom::")
	for _, p := range properties(b, a) {
		x, y := b.Get(p), a.Get(p)
		if canon(x) == canon(y) || c.covered[[2]string{a.Key(), p}] {
			continue
		}
		rule, words := "service/changed", p+" changes"
		if !known {
			rule, words = "service/unknown-type", p+" changes; this type is not in the schema"
		}
		ch := Change{Path: p, Words: words}
		ch.Before, ch.After = showBoth(x, y)
		c.add(rule, a, ch)
	}
	for _, o := range options[:2] {
		x, y := policyOf(b, o), policyOf(a, o)
		if x == y {
			continue
		}
		rule := "service/changed"
		if stateful(a.Type) {
			rule = "data/strengthened"
			if keeps(y) < keeps(x) {
				rule = "data/weakened"
			}
		}
		c.add(rule, a, Change{Before: x, After: y, Words: o + " changes"})
	}
}

// keeps orders what the policies leave of the data.
func keeps(policy string) int {
	return map[string]int{"Snapshot": 1, "Retain": 2, "RetainExceptOnCreate": 2}[policy]
}
