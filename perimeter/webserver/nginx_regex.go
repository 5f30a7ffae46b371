package webserver

import (
	"fmt"
	"sort"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

// The patterns that nginx matches paths with. nginx has decoded a path once,
// merged its slashes and resolved its dots before it matches $uri, as read does.
// Everything else that a more generous reader could take a path for (see steps)
// is written into the pattern itself: the strict form is for paths that all
// readers take the same way, the loose form for the others. The loose form finds
// a route behind any slash, so it refuses more than the table does, never less.
//
// PCRE matches bytes here, and (?i) folds ASCII only; other letters are listed.

//
// Parts that come often are groups of their own, called by number: nginx takes
// patterns of at most 4 KiB. Every part is possessive, so that a path matches in
// one way or in none, and a long one costs no more than its length.

const (
	// rxInvisible are characters that some file systems and apps leave out.
	rxInvisible = `(?1)`
	rxUnseen    = `\xc2\xad|\xe2\x80[\x8b-\x8f\xaa-\xae]|\xe2\x81[\xa0-\xaf]|\xef\xbb\xbf|[\x01-\x1f\x7f]` +
		`|%(?:25)*(?:0[1-9a-f]|1[0-9a-f]|7f)|%c2%ad|%e2%80%(?:8[b-f]|a[a-e])|%e2%81%a[0-9a-f]|%ef%bb%bf`
	// rxSlash is every slash, rxSlashOdd those that are none to nginx.
	rxSlash    = `(?2)`
	rxSlashOdd = `\x5c|\xe2\x88\x95|\xe2\x81\x84|\xef\xbc\x8f|\xef\xbc\xbc`
	// rxTail is what readers cut off the end of a segment: dots, spaces (those of
	// a query too), and parameters up to the next slash.
	rxTail = `(?3)`
	rxDot  = `(?4)`
	// rxUntidySlash is a slash with everything that may come to nothing around it.
	rxUntidySlash = `(?5)`
	rxDotOdd      = `\xef\xbc\x8e|\xe2\x80\xa4`

	rxTrim = `(?:` + rxUnseen + `|[. +]|` + rxDotOdd + `|\xc2\xa0|%(?:25)*(?:20|2e)|%c2%a0)*+`

	rxDefine = `(?(DEFINE)((?:` + rxUnseen + `)*+)` +
		`(/|` + rxSlashOdd + `|%(?:25)*(?:2f|5c)|%e2%88%95|%e2%81%84|%ef%bc%8f|%ef%bc%bc)` +
		`(` + rxTrim + `(?:(?:;|%(?:25)*3b)(?:(?!(?2))[\x00-\xff])*+)?+)` +
		`(\.|` + rxDotOdd + `|%(?:25)*2e|%ef%bc%8e|%e2%80%a4)` +
		`((?3)(?2)(?:(?3)(?2))*+))`

	// rxEnd is what ends a name, in some reading.
	rxEnd = `(?![0-9a-z_-])`
)

// folders are the runes above ASCII, and the capitals above it, that fold maps to
// another one: by that one.
var folders = sync.OnceValue(func() map[rune][]rune {
	m := map[rune][]rune{}
	for _, c := range unicode.CaseRanges {
		for r := max(rune(c.Lo), utf8.RuneSelf); r <= rune(c.Hi); r++ {
			if to := unicode.ToLower(unicode.ToUpper(r)); to != r {
				m[to] = append(m[to], r)
			}
		}
	}
	for _, list := range m {
		sort.Slice(list, func(i, j int) bool { return list[i] < list[j] })
	}
	return m
})

// rxBytes writes text as bytes that mean themselves in a pattern, in nginx's
// configuration and in its quotes.
func rxBytes(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("/_-~,@=:%&!", c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, `\x%02x`, c)
		}
	}
	return b.String()
}

// rxStrict matches folded text in any letter case; star stands for any bytes.
func rxStrict(s string) string {
	var b strings.Builder
	for _, r := range s {
		if r == '*' {
			b.WriteString(".*")
			continue
		}
		more := folders()[r]
		if len(more) == 0 {
			b.WriteString(rxBytes(string(r)))
			continue
		}
		b.WriteString("(?:" + rxBytes(string(r)))
		for _, m := range more {
			b.WriteString("|" + rxBytes(string(m)))
		}
		b.WriteString(")")
	}
	return b.String()
}

// rxLoose matches folded text however it is spelled.
func rxLoose(s string) string {
	var b strings.Builder
	inSlash := false
	for i, r := range s {
		if r == '/' {
			switch {
			case i == 0: // any slash will do: what is before it does not count
				b.WriteString(rxSlash)
			case !inSlash:
				b.WriteString(rxUntidySlash)
			}
			inSlash = true
			continue
		}
		inSlash = false
		if r == '*' {
			b.WriteString(".*")
			continue
		}
		b.WriteString(rxInvisible)
		b.WriteString(rxLooseRune(r))
	}
	return b.String()
}

// looseASCII are the letters of which nearly all routes are made.
var looseASCII = sync.OnceValue(func() (out [utf8.RuneSelf]string) {
	for r := range out {
		out[r] = newLooseRune(rune(r))
	}
	return out
})

func rxLooseRune(r rune) string {
	if r < utf8.RuneSelf {
		return looseASCII()[r]
	}
	return newLooseRune(r)
}

func newLooseRune(r rune) string {
	if r == '.' {
		return rxDot
	}
	alts := []string{rxBytes(string(r))}
	for _, m := range append([]rune{r}, folders()[r]...) {
		if m >= utf8.RuneSelf {
			alts = append(alts, rxBytes(string(m)), rxEncoded(string(m)))
		}
	}
	if r < utf8.RuneSelf {
		hex := fmt.Sprintf("%02x", r)
		if up := unicode.ToUpper(r); up != r {
			hex = fmt.Sprintf("(?:%02x|%02x)", r, up)
		}
		alts = append(alts, `%(?:25)*(?:u00)?`+hex)
	}
	return "(?:" + strings.Join(alts, "|") + ")"
}

func rxEncoded(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		fmt.Fprintf(&b, "%%%02x", s[i])
	}
	return b.String()
}

// strict is what a route table's entry matches in $uri, from its first character.
func (q *pattern) strict() string {
	switch q.kind {
	case exactly:
		if q.text == "" {
			return `/$`
		}
		return rxStrict(q.text) + `(?:/|$)`
	case within:
		return rxStrict(strings.TrimSuffix(q.text, "/")) + `(?:/|$)`
	case ending:
		return `.*` + rxStrict(q.text) + `(?:/|$)`
	}
	return rxStrict(q.text) + `(?:/|$)`
}

// loose is the same for a path that can be read in several ways.
func (q *pattern) loose() string {
	text := q.text
	if q.kind == within {
		text = strings.TrimSuffix(text, "/")
	}
	if text == "" {
		return ""
	}
	return rxLoose(text) + rxEnd
}

// only is what an exception names, and no more than that.
func (q *pattern) only(exact bool) string {
	write := func(s string) string {
		if !exact {
			return rxStrict(s)
		}
		return strings.ReplaceAll(rxBytes(s), `\x2a`, ".*")
	}
	out := ""
	switch q.kind {
	case exactly:
		out = write(q.text) + "$"
		if q.text == "" {
			out = "/$"
		}
	case within:
		out = write(strings.TrimSuffix(q.text, "/")) + "(?:/|$)"
	case ending:
		out = ".*" + write(q.text) + "$"
	default:
		out = write(q.text) + "$"
	}
	if exact {
		return "(?-i:" + out + ")"
	}
	return out
}

// rxKey matches a variable of a query as PHP names it.
func rxKey(key string) string {
	var b strings.Builder
	b.WriteString(`(?:\+|%20)*`)
	for _, r := range key {
		if r == '_' {
			b.WriteString(`(?:_|\.|\+|\x5b|%(?:u00)?(?:5f|2e|20|5b))`)
			continue
		}
		alts := []string{rxBytes(string(r))}
		if r < utf8.RuneSelf {
			alts = append(alts, fmt.Sprintf("%%u00(?:%02x|%02x)", r, unicode.ToUpper(r)))
		}
		for _, m := range append([]rune{r}, folders()[r]...) {
			alts = append(alts, rxEncoded(string(m)))
			if up := unicode.ToUpper(m); up != m {
				alts = append(alts, rxEncoded(string(up)))
			}
		}
		b.WriteString("(?:" + strings.Join(alts, "|") + ")")
	}
	b.WriteString(`(?:%00[^=&;]*)?(?:(?:\x5b|%5b)[^=&;]*)?`)
	return b.String()
}

// rx matches what a query says in its encoded form. A value that can be read
// in more than one way is refused with those that name the route.
func (q *query) rx() string {
	if strings.Trim(q.value, "*") == "" && q.value != "" {
		return `(?:[=&;]|$)`
	}
	if q.value == "" {
		return `(?:=(?:\+|%20)*)?(?:[&;]|$)`
	}
	const odd = `[^&]*?(?:%25|%(?![0-9a-f]{2})|[\x80-\xff]|%5c|\x5c|;|%3b|%3f|%23|%0|%1|%7f|%c[01]|%c2%a[0d]|%e[02]%8|%e0%9|%ef%b[bc]|%f0%8|%u|(?:\.|%2e)(?:\.|%2e|/|%2f|[&;]|$))`
	rest := strings.TrimPrefix(q.value, "/")
	return `=(?:` + odd + `|(?:\+|%20|%0[9-d]|/|%2f)*` + strings.ReplaceAll(rxLoose(rest), ".*", "[^&;]*") + rxValueEnd(q.value) + `)`
}

func rxValueEnd(v string) string {
	if strings.HasSuffix(v, "*") {
		return ""
	}
	return rxEnd
}
