package people

import (
	"fmt"
	"maps"
	"strings"
)

// A pattern is a filter pattern of CloudWatch Logs for events in JSON, as far as the
// recommendations and their kin use it: terms on fields, joined by &&, || and brackets
// (CloudWatch Logs guide, filter pattern syntax).
type pattern struct {
	join  string    // "&&" or "||"; "" for one term
	parts []pattern // with join
	field string    // $.eventName
	op    string    // =, != or "not exists"
	value string    // * stands for any run of characters
}

// readPattern reads { … }.
func readPattern(s string) (pattern, error) {
	in, ok := strings.CutPrefix(strings.TrimSpace(s), "{")
	in, ok2 := strings.CutSuffix(in, "}")
	if !ok || !ok2 {
		return pattern{}, fmt.Errorf("reading a filter pattern: got %.40q, want one for JSON, in { }", s)
	}
	r := &patternReader{rest: in}
	p, err := r.joined("||")
	if r.space(); err == nil && r.rest != "" {
		err = fmt.Errorf("reading a filter pattern: got %.40q behind its end", r.rest)
	}
	return p, err
}

type patternReader struct {
	rest  string
	depth int
}

func (r *patternReader) space() { r.rest = strings.TrimLeft(r.rest, " \t\r\n") }

func (r *patternReader) joined(by string) (pattern, error) {
	out := pattern{join: by}
	for {
		var p pattern
		var err error
		if by == "||" {
			p, err = r.joined("&&")
		} else {
			p, err = r.one()
		}
		if err != nil {
			return out, err
		}
		out.parts = append(out.parts, p)
		r.space()
		rest, more := strings.CutPrefix(r.rest, by)
		if !more {
			break
		}
		r.rest = rest
	}
	if len(out.parts) == 1 {
		return out.parts[0], nil
	}
	return out, nil
}

func (r *patternReader) one() (pattern, error) {
	r.space()
	if rest, ok := strings.CutPrefix(r.rest, "("); ok {
		if r.depth++; r.depth > 100 {
			return pattern{}, fmt.Errorf("reading a filter pattern: got more than 100 brackets in each other")
		}
		r.rest = rest
		p, err := r.joined("||")
		if r.space(); err == nil && !strings.HasPrefix(r.rest, ")") {
			err = fmt.Errorf("reading a filter pattern: got %.40q, want )", r.rest)
		}
		r.rest, r.depth = strings.TrimPrefix(r.rest, ")"), r.depth-1
		return p, err
	}
	n := strings.IndexAny(r.rest, " \t\r\n=!<>()&|")
	if n < 1 || r.rest[0] != '$' {
		return pattern{}, fmt.Errorf("reading a filter pattern: got %.40q, want a field as $.eventName", r.rest)
	}
	p := pattern{field: r.rest[:n]}
	r.rest = r.rest[n:]
	r.space()
	for _, op := range []string{"!=", "=", "NOT EXISTS"} {
		if rest, ok := strings.CutPrefix(r.rest, op); ok {
			p.op, r.rest = strings.ToLower(op), rest
			if op != "NOT EXISTS" {
				p.value = r.text()
			}
			return p, nil
		}
	}
	return p, fmt.Errorf("reading a filter pattern: got %.20q behind %s, want =, != or NOT EXISTS", r.rest, p.field)
}

func (r *patternReader) text() string {
	r.space()
	if rest, ok := strings.CutPrefix(r.rest, `"`); ok {
		s, after, _ := strings.Cut(rest, `"`)
		r.rest = after
		return s
	}
	n := strings.IndexAny(r.rest, " \t\r\n()&|")
	if n < 0 {
		n = len(r.rest)
	}
	s := r.rest[:n]
	r.rest = r.rest[n:]
	return s
}

// An event is what a pattern looks at: fields and their texts.
type event map[string]string

// examples are events that a pattern sees, one for each way to satisfy it.
func (p pattern) examples() []event {
	switch {
	case p.join == "||":
		var out []event
		for _, x := range p.parts {
			out = append(out, x.examples()...)
		}
		return out
	case p.join == "&&":
		out := []event{{}}
		for _, x := range p.parts {
			var next []event
			for _, have := range out {
				for _, more := range x.examples() {
					e := maps.Clone(more)
					for k, v := range have {
						if e[k] == "" || e[k] == another {
							e[k] = v
						}
					}
					next = append(next, e)
				}
			}
			out = next
		}
		return out
	case p.op == "=":
		return []event{{p.field: strings.ReplaceAll(p.value, "*", "Any")}}
	case p.op == "!=":
		return []event{{p.field: another}}
	}
	return []event{{}}
}

// another is the text of a field of which a pattern only says what it is not.
const another = "another"

// sees says whether the pattern matches an event. Of a field that the event does not
// have no text is known.
func (p pattern) sees(e event) bool {
	switch p.join {
	case "||":
		for _, x := range p.parts {
			if x.sees(e) {
				return true
			}
		}
		return false
	case "&&":
		for _, x := range p.parts {
			if !x.sees(e) {
				return false
			}
		}
		return true
	}
	got, has := e[p.field]
	match := glob(p.value, got)
	switch p.op {
	case "=":
		return has && match
	case "!=":
		return !has || !match
	}
	return !has
}

// glob says whether a text is a value in which * stands for any run of characters.
func glob(value, text string) bool {
	head, rest, star := strings.Cut(value, "*")
	if !star {
		return value == text
	}
	text, ok := strings.CutPrefix(text, head)
	for ok && rest != "" {
		part, more, again := strings.Cut(rest, "*")
		if !again {
			return strings.HasSuffix(text, part)
		}
		_, text, ok = strings.Cut(text, part)
		rest = more
	}
	return ok
}

func (e event) String() string {
	for _, k := range []string{"$.eventName", "$.errorCode", "$.userIdentity.type"} {
		if v := e[k]; v != "" && v != another {
			return strings.TrimPrefix(k, "$.") + " " + v
		}
	}
	return "an event that it is for"
}
