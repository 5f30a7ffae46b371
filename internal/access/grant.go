package access

import (
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// Rights are policies that are asked together: those of an identity, with its
// boundary, or the one on a resource.
type Rights struct {
	Policies []*Statement
	Boundary []*Statement
	Bounded  bool // there is a boundary
}

// Rights are what an identity's own policies and its boundary give it. Nil: none.
func (p *Principal) Rights() Rights {
	if p == nil {
		return Rights{}
	}
	return Rights{p.Identity, p.Boundary, p.HasBoundary}
}

// A Grant is a part of what rights give: an action on a resource, for somebody where
// a policy on a resource says for whom. All three are patterns, and stand for all that
// matches them.
type Grant struct {
	By                    *Statement
	action, resource, who words
}

func (g Grant) String() string {
	s := g.action.String() + " on " + g.resource.String()
	if !g.who.all() {
		s += " for " + g.who.String()
	}
	if len(g.By.Conditions) > 0 {
		s += " under a condition on " + g.By.Conditions[0].Key
	}
	return template.Show(s)
}

// words are patterns, or everything but some.
type words struct {
	not  bool
	list []string
}

func (a words) all() bool { return !a.not && slices.Contains(a.list, "*") }

func (a words) String() string {
	if a.not {
		return "everything but " + strings.Join(a.list, ", ")
	}
	return strings.Join(a.list, ", ")
}

// within says whether everything in a is in b. It may say no where yes is true.
func (a words) within(b words) bool {
	each := func(list, of []string, f func(x, y string) bool) bool {
		return !slices.ContainsFunc(list, func(x string) bool {
			return !slices.ContainsFunc(of, func(y string) bool { return f(x, y) })
		})
	}
	switch {
	case !a.not && !b.not:
		return each(a.list, b.list, func(x, y string) bool { return includes(y, x) })
	case !a.not:
		return !a.meets(words{list: b.list})
	case !b.not:
		return b.all()
	}
	return each(b.list, a.list, func(x, y string) bool { return includes(y, x) })
}

// meets says whether something may be in both. It may say yes where no is true.
func (a words) meets(b words) bool {
	switch {
	case a.not && b.not:
		return true
	case a.not:
		return b.meets(a)
	case b.not: // a part of a is not among what b leaves out
		return !a.within(words{list: b.list})
	}
	for _, x := range a.list {
		for _, y := range b.list {
			p, _ := relax(x, y)
			q, _ := relax(y, x)
			if meet(p, q) {
				return true
			}
		}
	}
	return false
}

// and is what is in both, as far as patterns can say it: of two that only overlap it
// is the first.
func (a words) and(b words) words {
	switch {
	case a.not && b.not:
		return words{true, append(slices.Clone(a.list), b.list...)}
	case a.not:
		return b.and(a)
	case b.not:
		return a
	}
	var out words
	for _, x := range a.list {
		for _, y := range b.list {
			switch {
			case includes(x, y):
				out.list = append(out.list, y)
			case includes(y, x) || (words{list: []string{x}}).meets(words{list: []string{y}}):
				out.list = append(out.list, x)
			}
		}
	}
	return out
}

// includes says whether a pattern matches all that another one matches.
func includes(pattern, word string) bool {
	if pattern == "*" || pattern == word {
		return true
	}
	p, i, star, mark := 0, 0, -1, 0
	for i < len(word) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' && word[i] != '*' || pattern[p] == word[i]):
			p++
			i++
		case star >= 0:
			p = star + 1
			mark++
			i = mark
		default:
			return false
		}
	}
	return strings.Trim(pattern[p:], "*") == ""
}

// The three sides of a statement. A policy on a resource may leave the resource out,
// and one of an identity names nobody.
func (s *Statement) actions() words   { return wordsOf(s.Actions, s.NotActions) }
func (s *Statement) resources() words { return wordsOf(s.Resources, s.NotResources) }
func (s *Statement) whom() words {
	return wordsOf(whoNames(s.Who), whoNames(s.NotWho))
}

func wordsOf(list, not []string) words {
	switch {
	case len(not) > 0:
		return words{true, not}
	case len(list) == 0:
		return words{list: []string{"*"}}
	}
	return words{list: list}
}

// whoNames writes who a statement is about as texts: an account by its root, as IAM does.
func whoNames(ws []Who) []string {
	var out []string
	for _, w := range ws {
		switch {
		case w.Everyone():
			out = append(out, "*")
		case w.Kind == "AWS" && (w.Name == template.Pseudo("AccountId") || len(w.Name) == 12 && strings.Trim(w.Name, "0123456789") == ""):
			out = append(out, "AWS:arn:aws:iam::"+w.Name+":root")
		default:
			out = append(out, w.Kind+":"+w.Name)
		}
	}
	return out
}

// Key is the same for statements that say the same.
func (s *Statement) Key() string {
	var b strings.Builder
	put := func(w words) {
		list := slices.Clone(w.list)
		slices.Sort(list)
		if w.not {
			b.WriteString("not ")
		}
		b.WriteString(strings.Join(slices.Compact(list), " ") + "\n")
	}
	if s.Allow {
		b.WriteString("allow ")
	}
	put(s.actions())
	put(s.resources())
	put(s.whom())
	var cs []string
	for _, c := range s.Conditions {
		cs = append(cs, c.key())
	}
	slices.Sort(cs)
	b.WriteString(strings.Join(cs, "\n") + "\n" + s.Unsure)
	return b.String()
}

func (c Condition) key() string {
	values := slices.Clone(c.Values)
	slices.Sort(values)
	out := c.Operator + " " + c.Key + " " + strings.Join(slices.Compact(values), " ")
	if c.IfExists {
		out += " ifexists"
	}
	if c.ForAll {
		out += " forall"
	}
	return out
}

// Within says whether s grants, or refuses, nothing that t does not.
func (s *Statement) Within(t *Statement) bool {
	return s.Allow == t.Allow && s.Unsure == "" && t.Unsure == "" && s.actions().within(t.actions()) && s.resources().within(t.resources()) &&
		s.whom().within(t.whom()) && implied(t.Conditions, s.Conditions)
}

// implied says whether conditions hold wherever others do. It may say no where yes is
// true.
func implied(these, by []Condition) bool {
	return !slices.ContainsFunc(these, func(c Condition) bool {
		return !slices.ContainsFunc(by, func(d Condition) bool { return d.implies(c) })
	})
}

func (c Condition) implies(d Condition) bool {
	if c.Operator != d.Operator || c.Key != d.Key || c.IfExists && !d.IfExists || c.ForAll != d.ForAll {
		return false
	}
	one := func(x, y string) bool { return x == y }
	switch {
	case c.negated(): // the more is left out, the stricter
		c, d = d, c
	case strings.HasSuffix(c.Operator, "like"), strings.HasPrefix(c.Operator, "arn"):
		one = func(x, y string) bool { return includes(y, x) }
	case c.Operator == "ipaddress":
		one = blockWithin
	case !strings.HasSuffix(c.Operator, "equals") && !strings.HasSuffix(c.Operator, "equalsignorecase"):
		return c.key() == d.key()
	}
	return !slices.ContainsFunc(c.Values, func(x string) bool {
		return !slices.ContainsFunc(d.Values, func(y string) bool { return one(x, y) })
	})
}

func blockWithin(x, y string) bool {
	if x == y {
		return true
	}
	a, err1 := netip.ParsePrefix(x)
	b, err2 := netip.ParsePrefix(y)
	return err1 == nil && err2 == nil && b.Bits() <= a.Bits() && b.Contains(a.Addr())
}

// grants are all parts of what allowing statements give: one action on one resource
// for one name each. With a boundary it is what both give.
func (r Rights) grants() []Grant {
	var out []Grant
	for _, s := range r.Policies {
		if !s.Allow || s.Unsure != "" {
			continue
		}
		sides := [][3]words{{s.actions(), s.resources(), s.whom()}}
		if r.Bounded {
			sides = nil
			for _, b := range r.Boundary {
				if b.Allow && b.Unsure == "" {
					sides = append(sides, [3]words{s.actions().and(b.actions()), s.resources().and(b.resources()), s.whom()})
				}
			}
		}
		for _, x := range sides {
			for _, a := range x[0].apart() {
				for _, res := range x[1].apart() {
					for _, who := range x[2].apart() {
						out = append(out, Grant{s, a, res, who})
					}
				}
			}
		}
	}
	return out
}

// apart are the words one by one.
func (a words) apart() []words {
	if a.not {
		return []words{a}
	}
	var out []words
	for _, x := range a.list {
		out = append(out, words{list: []string{x}})
	}
	return out
}

func (g Grant) within(s *Statement) bool {
	return s.Unsure == "" && g.action.within(s.actions()) && g.resource.within(s.resources()) && g.who.within(s.whom()) && implied(s.Conditions, g.By.Conditions)
}

func (g Grant) meets(s *Statement) bool {
	return g.action.meets(s.actions()) && g.resource.meets(s.resources()) && g.who.meets(s.whom())
}

// gives says whether all of a grant is given, and which statements refuse a part of
// it again.
func (r Rights) gives(g Grant) (given bool, cuts []*Statement) {
	inside := func(ss []*Statement) (allowed, denied bool) {
		for _, s := range ss {
			switch {
			case s.Allow:
				allowed = allowed || g.within(s)
			case g.within(s):
				denied = true
			case s.Unsure != "" || g.meets(s):
				cuts = append(cuts, s)
			}
		}
		return allowed, denied
	}
	allowed, denied := inside(r.Policies)
	if r.Bounded {
		most, no := inside(r.Boundary)
		allowed, denied = allowed && most, denied || no
	}
	return allowed && !denied, cuts
}

// More returns what r gives and before does not: what no statement gave, and what a
// statement refused that nothing refuses now.
func (r Rights) More(before Rights) []Grant {
	var out []Grant
	for _, g := range r.grants() {
		given, cuts := r.gives(g)
		if !given {
			continue
		}
		was, former := before.gives(g)
		uncut := slices.ContainsFunc(former, func(d *Statement) bool {
			return !slices.ContainsFunc(cuts, func(c *Statement) bool { return d.Within(c) || d.Key() == c.Key() })
		})
		if !was || uncut {
			out = append(out, g)
		}
	}
	return out
}

// Same says whether both have the same statements.
func (r Rights) Same(s Rights) bool {
	return r.Bounded == s.Bounded && sameStatements(r.Policies, s.Policies) && sameStatements(r.Boundary, s.Boundary)
}

// AttachedDiffer says whether both have other boundaries, or others of AWS's own
// policies.
func (r Rights) AttachedDiffer(s Rights) bool {
	aws := func(ss []*Statement) []*Statement {
		return slices.DeleteFunc(slices.Clone(ss), func(x *Statement) bool { return !strings.HasPrefix(x.Policy, ManagedName("")) })
	}
	return r.Bounded != s.Bounded || !sameStatements(r.Boundary, s.Boundary) || !sameStatements(aws(r.Policies), aws(s.Policies))
}

func sameStatements(a, b []*Statement) bool {
	keys := func(ss []*Statement) []string {
		var out []string
		for _, x := range ss {
			out = append(out, x.Key())
		}
		slices.Sort(out)
		return slices.Compact(out)
	}
	return slices.Equal(keys(a), keys(b))
}
