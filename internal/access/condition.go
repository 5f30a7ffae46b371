package access

import (
	"net/netip"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Context is what is known of a request: condition keys in lower case and
// their values. A key with no values is known to be missing; a key that is not
// there may have any value or none. "ssm:resourcetag/*" stands for every tag that is
// not named.
type Context map[string][]string

// holds evaluates conditions, which must all hold.
func holds(cs []Condition, ctx Context) template.Tri {
	out := template.Yes
	for _, c := range cs {
		out = out.And(c.holds(ctx))
	}
	return out
}

// negated operators hold when the key is missing (IAM guide, condition operators).
func (c Condition) negated() bool {
	return strings.Contains(c.Operator, "not") && c.Operator != "null"
}

func (c Condition) holds(ctx Context) template.Tri {
	got, known := ctx[c.Key]
	if i := strings.IndexByte(c.Key, '/'); !known && i > 0 {
		got, known = ctx[c.Key[:i]+"/*"]
	}
	if c.Operator == "null" {
		if !known || len(c.Values) == 0 {
			return template.Maybe
		}
		return template.Of((len(got) == 0) == strings.EqualFold(c.Values[0], "true"))
	}
	if !known {
		return template.Maybe
	}
	if len(got) == 0 {
		return template.Of(c.IfExists || c.ForAll || c.negated())
	}
	// A negated operator holds when the value matches none of the listed ones.
	any := func(value string) template.Tri {
		hit := template.No
		for _, want := range c.Values {
			hit = hit.Or(c.match(value, want))
		}
		if c.negated() {
			return hit.Not()
		}
		return hit
	}
	if c.ForAll {
		out := template.Yes
		for _, v := range got {
			out = out.And(any(v))
		}
		return out
	}
	out := template.No
	for _, v := range got {
		out = out.Or(any(v))
	}
	return out
}

// match compares one value without its negation.
func (c Condition) match(got, want string) template.Tri {
	switch strings.Replace(c.Operator, "not", "", 1) {
	case "stringequals", "binaryequals":
		return same(got, want)
	case "stringequalsignorecase":
		return same(lower(got), lower(want))
	case "stringlike", "arnlike", "arnequals":
		return matches(want, got)
	case "bool":
		return same(lower(got), lower(want))
	case "numericequals", "numericlessthan", "numericlessthanequals", "numericgreaterthan", "numericgreaterthanequals":
		a, err1 := strconv.ParseFloat(got, 64)
		b, err2 := strconv.ParseFloat(want, 64)
		if err1 != nil || err2 != nil {
			return template.Maybe
		}
		switch strings.TrimPrefix(c.Operator, "numeric") {
		case "lessthan":
			return template.Of(a < b)
		case "lessthanequals":
			return template.Of(a <= b)
		case "greaterthan":
			return template.Of(a > b)
		case "greaterthanequals":
			return template.Of(a >= b)
		}
		return template.Of(a == b)
	case "ipaddress":
		a, err1 := netip.ParseAddr(got)
		p, err2 := netip.ParsePrefix(want)
		if err2 != nil {
			if one, err := netip.ParseAddr(want); err == nil {
				p, err2 = netip.PrefixFrom(one, one.BitLen()), nil
			}
		}
		if err1 != nil || err2 != nil {
			return template.Maybe
		}
		return template.Of(p.Contains(a))
	}
	return template.Maybe
}

// same compares two texts of which either may have tokens.
func same(a, b string) template.Tri {
	if a == b && !strings.Contains(a, "\x02?") {
		return template.Yes
	}
	x, ch1 := relax(a, b)
	y, ch2 := relax(b, a)
	if (ch1 || ch2) && meet(x, y) {
		return template.Maybe
	}
	return template.No
}
