package diff

import (
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/access"
	"github.com/ringwall/ringwall/internal/template"
)

// Statements are compared one by one, so that every change that somebody wrote is
// shown; what it comes to is asked of internal/access, which knows what else allows
// the same, and what refuses it.

// A statement is one statement of a policy, wherever it is written. Statements that
// are moved between the policies of a role are the same.
type statement struct {
	*access.Statement
	holder string // who or what it is attached to: a role's key, or the resource that it guards
	text   string // for people

	at   *template.Resource // where it was found
	prop string
	pos  template.Pos
}

func (s statement) id() string { return s.holder + "\n" + s.Key() }

// A side is one of the two sets of templates, as far as rights go.
type side struct {
	model      *access.Model
	statements map[string]statement     // by id
	rights     map[string]access.Rights // by holder
	unread     map[string]string        // by resource and property: why a policy cannot be read
}

// holder prefixes: what is attached is not what the resource may do, but who may
// become it, what it guards, or the most that it may ever do.
const (
	becomes = "may become "
	guarded = "guards "
	bounds  = "bounds "
)

// access compares all statements of both sides, and what else gives rights.
func (c *comparison) access() {
	b, a := readSide(c.before, c.worlds[0]), readSide(c.after, c.worlds[1])
	holders := map[string]bool{}
	for _, x := range []*side{b, a} {
		for _, s := range x.statements {
			holders[s.holder] = true
		}
	}
	for _, h := range slices.Sorted(maps.Keys(holders)) {
		c.holder(h, b, a)
	}
	for _, k := range slices.Sorted(maps.Keys(a.unread)) {
		if b.unread[k] != a.unread[k] {
			key, prop, _ := strings.Cut(k, "\t")
			c.add("access/unclear", c.after[key], Change{Path: prop, Words: "a policy changes that cannot be read: " + a.unread[k]})
		}
	}
	c.attached(b, a)
	c.climbs(b, a)
}

// holder compares the statements that one identity or resource has.
func (c *comparison) holder(h string, b, a *side) {
	var lost, got []statement
	for _, id := range slices.Sorted(maps.Keys(b.statements)) {
		if s := b.statements[id]; s.holder == h && a.statements[id].Statement == nil {
			lost = append(lost, s)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(a.statements)) {
		if s := a.statements[id]; s.holder == h && b.statements[id].Statement == nil {
			got = append(got, s)
		}
	}
	more, less := a.of(h).More(b.of(h)), b.of(h).More(a.of(h))
	if owner, ok := strings.CutPrefix(h, bounds); ok {
		more, less = a.of(owner).More(b.of(owner)), b.of(owner).More(a.of(owner))
	}
	explained := len(lost)+len(got) == 0
	for _, s := range got {
		switch {
		case !s.Allow:
			c.grant("access/narrowed", s, "", s.text, "a denying statement is added")
		case strings.HasPrefix(h, bounds) && len(more) > 0, by(more, s), s.Unsure != "":
			c.grant("access/broadened", s, "", s.text, "an allowing statement is added")
			explained = true
		case len(less) > 0 && inside(s, lost):
			c.grant("access/narrowed", s, "", s.text, "an allowing statement becomes narrower")
		default:
			c.grant("access/same", s, "", s.text, "an allowing statement is added that gives nothing more: what it allows was allowed, or is refused elsewhere")
		}
	}
	for _, s := range lost {
		switch {
		case !s.Allow && inside(s, got):
			c.grant("access/narrowed", s, s.text, "", "a denying statement becomes wider")
		case !s.Allow && inside(s, slices.Collect(maps.Values(a.statements))):
			c.grant("access/same", s, s.text, "", "a denying statement goes, and another one refuses as much")
		case !s.Allow:
			c.grant("access/broadened", s, s.text, "", "a denying statement goes")
			explained = true
		case len(less) > 0 && (strings.HasPrefix(h, bounds) || by(less, s)):
			c.grant("access/narrowed", s, s.text, "", "an allowing statement goes")
		default:
			c.grant("access/same", s, s.text, "", "an allowing statement goes, and nothing with it: others allow as much, or something refused it")
		}
	}
	if !explained && len(more) > 0 && !a.of(h).AttachedDiffer(b.of(h)) { // those have lines of their own
		c.grant("access/broadened", append(got, lost...)[0], "", more[0].String(), "more is allowed by what changes together")
	}
}

// of are the rights of a holder.
func (x *side) of(h string) access.Rights { return x.rights[h] }

// by says whether a statement is what gives one of the grants.
func by(gs []access.Grant, s statement) bool {
	return slices.ContainsFunc(gs, func(g access.Grant) bool { return g.By.Key() == s.Key() })
}

func inside(s statement, of []statement) bool {
	return slices.ContainsFunc(of, func(t statement) bool { return s.holder == t.holder && s.Within(t.Statement) })
}

func (c *comparison) grant(rule string, s statement, before, after, words string) {
	c.covered[[2]string{s.at.Key(), s.prop}] = true
	c.add(rule, c.either(s.at.Key()), Change{Path: s.prop, Before: before, After: after, Words: words, Place: placed(s.pos, s.at)})
}

// placed is where something was written, or else its resource was.
func placed(pos template.Pos, r *template.Resource) string {
	if pos.IsZero() {
		pos = r.Pos
	}
	return pos.String()
}
