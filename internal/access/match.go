package access

import (
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// glob says whether a text matches a pattern in which * stands for any run of
// characters and ? for one.
func glob(pattern, s string) bool {
	p, i, star, mark := 0, 0, -1, 0
	for i < len(s) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, mark = p, i
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == s[i]):
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
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// meet says whether some text matches both patterns.
func meet(a, b string) bool {
	// row[j]: the part of a so far and b[:j] have a text in common.
	row := make([]bool, len(b)+1)
	row[0] = true
	for j := 1; j <= len(b) && b[j-1] == '*'; j++ {
		row[j] = true
	}
	for i := range len(a) {
		next := make([]bool, len(b)+1)
		next[0] = row[0] && a[i] == '*'
		for j := range len(b) {
			switch {
			case a[i] == '*' || b[j] == '*':
				next[j+1] = row[j+1] && a[i] == '*' || next[j] && (b[j] == '*' || a[i] == '*') || row[j] || row[j+1] && b[j] == '*'
			default:
				next[j+1] = row[j] && (a[i] == b[j] || a[i] == '?' || b[j] == '?')
			}
		}
		row = next
	}
	return row[len(b)]
}

// matches compares a text with a pattern, both of which may have tokens. An
// unknown token, or one of a Region or an account against another text, makes it
// Maybe. A resource of the templates is itself and no other.
func matches(pattern, s string) template.Tri {
	hard := strings.Contains(pattern, "\x02?") || strings.Contains(s, "\x02?")
	if !hard && glob(pattern, s) {
		return template.Yes
	}
	loose, changed := relax(pattern, s)
	other, changed2 := relax(s, pattern)
	if (changed || changed2) && meet(loose, other) {
		return template.Maybe
	}
	return template.No
}

// Matches says whether a pattern with * and ? matches a text; both in the form of
// Model.Text.
func Matches(pattern, s string) template.Tri { return matches(pattern, s) }

// relax makes * of every token that may turn out to be anything: what is unknown,
// and a Region or an account where the other text has not the same.
func relax(s, other string) (string, bool) {
	changed := false
	out := template.Replace(s, func(kind byte, name string) string {
		whole := "\x02" + string(kind) + name + "\x03"
		if kind == 'r' || kind == 'p' && strings.Contains(other, whole) {
			return whole
		}
		changed = true
		return "*"
	})
	return out, changed
}

// lower is for actions and condition keys, which know no case.
func lower(s string) string { return strings.ToLower(s) }

// variables makes unknown tokens of policy variables, whose value comes with a
// request: ${aws:username}.
func variables(s string) string {
	for {
		i := strings.Index(s, "${")
		if i < 0 {
			return s
		}
		j := strings.IndexByte(s[i:], '}')
		if j < 0 {
			return s
		}
		name := s[i+2 : i+j]
		with := "\x02?" + name + " comes with the request\x03"
		if name == "*" || name == "?" || name == "$" { // the character itself
			with = name
		}
		s = s[:i] + with + s[i+j+1:]
	}
}
