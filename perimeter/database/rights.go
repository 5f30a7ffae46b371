package database

import (
	"fmt"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// rights is a set of what a tier may do with a table. The zero value is nothing.
type rights uint8

const (
	sel rights = 1 << iota
	ins
	upd
	del
	ddl
	all = sel | ins | upd | del | ddl
)

var rightNames = map[string]rights{"select": sel, "insert": ins, "update": upd, "delete": del, "ddl": ddl}

// words lists the SQL words of the row rights in a set.
func (r rights) words() []string {
	var w []string
	for i, s := range []string{"SELECT", "INSERT", "UPDATE", "DELETE"} {
		if r&(1<<i) != 0 {
			w = append(w, s)
		}
	}
	return w
}

// A table is a table or view of the site's database.
type table struct {
	schema, name string
	columns      []column // in order
}

type column struct{ name, kind string }

// grants returns a tier's patterns, with the defaults filled in.
func grants(p *plan.Plan, tier string) []plan.Grant {
	if perimeter.Down("database/tier-grants") {
		return []plan.Grant{{Tables: "*", Rights: []string{"select", "insert", "update", "delete", "ddl"}}}
	}
	return planned(p, tier)
}

// planned is grants with every wall up: what a probe holds the server to.
func planned(p *plan.Plan, tier string) []plan.Grant {
	if g, ok := p.Database.Grants[tier]; ok {
		return g
	}
	if t := p.Tier(tier); t != nil && t.Write {
		return []plan.Grant{{Tables: "*", Rights: []string{"select", "insert", "update", "delete", "ddl"}}}
	}
	return []plan.Grant{{Tables: "*", Rights: []string{"select"}}}
}

func setOf(words []string) rights {
	var r rights
	for _, w := range words {
		r |= rightNames[w]
	}
	return r
}

// rightsOn says what a tier may do with a table. The most specific pattern
// decides; of two that are as specific, what both give. A masked table gives
// nothing but what a pattern without wildcards names, and never select.
func rightsOn(p *plan.Plan, tier, name string) rights {
	found := rightsBy(p, tier, name, grants(p, tier), !perimeter.Down("database/tier-grants"))
	if masked(p, tier, name) && perimeter.Down("database/mask") {
		found |= sel
	}
	return found
}

func rightsBy(p *plan.Plan, tier, name string, list []plan.Grant, mask bool) rights {
	for _, m := range p.Database.Mask {
		if m.View == name {
			if m.Tier == tier {
				return sel
			}
			return 0
		}
	}
	best, found, exact := -1, rights(0), false
	for _, g := range list {
		if !matches(g.Tables, name) {
			continue
		}
		n := len(strings.ReplaceAll(g.Tables, "*", ""))
		if !strings.Contains(g.Tables, "*") {
			n++
		}
		switch r := setOf(g.Rights); {
		case n > best:
			best, found, exact = n, r, !strings.Contains(g.Tables, "*")
		case n == best:
			found &= r
		}
	}
	if mask && masked(p, tier, name) {
		if !exact {
			found = 0
		}
		found &^= sel
	}
	return found
}

func masked(p *plan.Plan, tier, name string) bool {
	return slices.ContainsFunc(p.Database.Mask, func(m plan.Mask) bool { return m.Tier == tier && m.Table == name })
}

func isMaskView(p *plan.Plan, name string) bool {
	return slices.ContainsFunc(p.Database.Mask, func(m plan.Mask) bool { return m.View == name })
}

// defines says whether a tier may make, change and drop tables.
func defines(p *plan.Plan, tier string) bool { return uniform(p, tier)&ddl != 0 }

// uniform is what a tier may do with every table alike, those that the app has
// yet to make included; 0 where tables differ.
func uniform(p *plan.Plan, tier string) rights {
	g := grants(p, tier)
	if len(g) != 1 || g[0].Tables != "*" {
		return 0
	}
	if !perimeter.Down("database/tier-grants") && slices.ContainsFunc(p.Database.Mask, func(m plan.Mask) bool { return m.Tier == tier }) {
		return 0
	}
	return setOf(g[0].Rights)
}

// matches says whether a name fits a pattern in which * stands for any text.
func matches(pattern, name string) bool {
	first, rest, wild := strings.Cut(pattern, "*")
	if !wild {
		return pattern == name
	}
	name, ok := strings.CutPrefix(name, first)
	if !ok {
		return false
	}
	for {
		part, more, wild := strings.Cut(rest, "*")
		if !wild {
			return strings.HasSuffix(name, part)
		}
		i := strings.Index(name, part)
		if i < 0 {
			return false
		}
		name, rest = name[i+len(part):], more
	}
}

var (
	nameRE   = lazy.Regexp(`^[A-Za-z][A-Za-z0-9_]{0,59}$`)
	reserved = []string{"mysql", "sys", "information_schema", "performance_schema", "postgres", "template0", "template1"}
)

// validate refuses what no engine could keep.
func validate(p *plan.Plan) error {
	d := p.Database
	if !nameRE().MatchString(d.Name) || slices.Contains(reserved, strings.ToLower(d.Name)) {
		return fmt.Errorf("database.name: got %q, want letters, digits and _ that begin with a letter and are not a name of the server's own", d.Name)
	}
	if d.Port == 0 {
		return fmt.Errorf("database.port: got %d, want 1 to 65535", d.Port)
	}
	for tier, list := range d.Grants {
		if p.Tier(tier) == nil {
			return fmt.Errorf("database.grants: got tier %q, which the site does not have", tier)
		}
		for _, g := range list {
			for _, r := range g.Rights {
				if rightNames[r] == 0 {
					return fmt.Errorf("database.grants.%s: got right %q on %s, want select, insert, update, delete or ddl", tier, r, g.Tables)
				}
			}
			if setOf(g.Rights)&ddl != 0 && (len(list) != 1 || g.Tables != "*") {
				return fmt.Errorf("database.grants.%s: ddl on %s beside other patterns: who may change tables can read them all; give ddl on * alone, or not at all", tier, g.Tables)
			}
		}
	}
	for _, m := range d.Mask {
		switch {
		case p.Tier(m.Tier) == nil:
			return fmt.Errorf("database.mask: got tier %q, which the site does not have", m.Tier)
		case m.Table == "" || m.View == "" || m.Table == m.View:
			return fmt.Errorf("database.mask: got table %q and view %q, want two different names", m.Table, m.View)
		case setOf(flatten(grants(p, m.Tier)))&ddl != 0 && !perimeter.Down("database/tier-grants"):
			return fmt.Errorf("database.mask: tier %s has ddl, so it can read %s whatever the mask; take one of the two away", m.Tier, m.Table)
		}
	}
	return nil
}

func flatten(list []plan.Grant) (words []string) {
	for _, g := range list {
		words = append(words, g.Rights...)
	}
	return words
}
