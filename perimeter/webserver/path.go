package webserver

import (
	"net/url"
	"path"
	"strings"
	"unicode/utf8"
)

// A reading is what a request's path means. Files are opened and the app is
// asked by path and by nothing else; the other spellings only make refusals.
type reading struct {
	path   string   // decoded once and cleaned; a slash at the end is kept
	others []string // what a more generous reader could take the path for
	odd    string   // why two readers could disagree on it; empty: they do not
}

const (
	maxPath      = 8 << 10
	maxSpellings = 64
)

// read reads the path of a URL.
func read(u *url.URL) reading {
	p := u.Path
	if u.RawPath == "" && plain(p) {
		return reading{path: p}
	}
	raw := u.EscapedPath()
	if len(raw) > maxPath || len(p) > maxPath {
		return reading{path: "/", odd: "the path is too long"}
	}
	if !strings.HasPrefix(p, "/") {
		return reading{path: "/", odd: "the path does not start with a slash"}
	}
	r := reading{path: clean(p), odd: oddity(raw, p)}
	var complete bool
	if r.others, complete = spellings(raw, p); !complete && r.odd == "" {
		r.odd = "the path can be read in too many ways"
	}
	return r
}

// plain says whether every reader takes a path the same way: no escapes, no
// empty or dotted segments, nothing that some reader cuts off.
func plain(p string) bool {
	if p == "" || p[0] != '/' || len(p) > maxPath {
		return false
	}
	prev := byte('/')
	for i := 1; i < len(p); i++ {
		c := p[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', c == '-', c == '_':
		case c == '.':
			if prev == '/' {
				return false
			}
		case c == '/':
			if prev == '/' || prev == '.' {
				return false
			}
		default:
			return false
		}
		prev = c
	}
	return prev != '.'
}

// oddity says why a path is refused although no route forbids it.
func oddity(raw, decoded string) string {
	if !utf8.ValidString(decoded) {
		return "the path is not valid UTF-8"
	}
	for i := 0; i < len(decoded); i++ {
		switch c := decoded[i]; {
		case c < ' ' || c == 0x7f:
			return "the path holds a control character"
		case c == '\\':
			return "the path holds a backslash"
		}
	}
	for i := 0; i+2 < len(raw); i++ {
		if raw[i] == '%' && raw[i+1] == '2' && raw[i+2]|0x20 == 'f' {
			return "the path holds an encoded slash"
		}
	}
	for p, n := decoded, 0; n < 4; n++ {
		next := decode(p)
		if next == p {
			return ""
		}
		if strings.Count(next, "/") != strings.Count(p, "/") || strings.ContainsAny(next, "\\\x00\r\n") || dotted(next) != dotted(p) || !utf8.ValidString(next) {
			return "the path is encoded more than once"
		}
		p = next
	}
	return "the path is encoded more than once"
}

// dotted counts the segments that are . or ...
func dotted(p string) int {
	n := 0
	for s := range strings.SplitSeq(p, "/") {
		if s == "." || s == ".." {
			n++
		}
	}
	return n
}

// clean is path.Clean of a rooted path that keeps a slash at the end.
func clean(p string) string {
	c := path.Clean("/" + p)
	if c != "/" && (strings.HasSuffix(p, "/") || strings.HasSuffix(p, "/.") || strings.HasSuffix(p, "/..")) {
		c += "/"
	}
	return c
}

// The steps that readers are known to take. Each shortens the path or leaves its
// length, so that taking all of them in every order comes to an end.
var steps = []func(string) string{
	decode, clean, slashes, params, cutPath, trimSegments, invisible, overlong,
}

// spellings returns everything that a path becomes when steps are taken in any
// order. It is false when there are more than maxSpellings.
func spellings(seeds ...string) (all []string, complete bool) {
	seen := make(map[string]bool, 8)
	add := func(s string) {
		if !seen[s] && s != "" {
			seen[s] = true
			all = append(all, s)
		}
	}
	for _, s := range seeds {
		add(s)
	}
	for i := 0; i < len(all); i++ {
		for _, step := range steps {
			add(step(all[i]))
		}
		if len(all) > maxSpellings {
			return all, false
		}
	}
	return all, true
}

// decode takes one layer of percent encoding off and leaves what is malformed.
func decode(s string) string {
	i := strings.IndexByte(s, '%')
	if i < 0 {
		return s
	}
	b := append(make([]byte, 0, len(s)), s[:i]...)
	for i < len(s) {
		if s[i] == '%' && i+5 < len(s) && s[i+1]|0x20 == 'u' {
			if n, ok := hex(s[i+2 : i+6]); ok {
				b = utf8.AppendRune(b, n)
				i += 6
				continue
			}
		}
		if s[i] == '%' && i+2 < len(s) {
			if n, ok := hex(s[i+1 : i+3]); ok {
				b = append(b, byte(n))
				i += 3
				continue
			}
		}
		b = append(b, s[i])
		i++
	}
	return string(b)
}

func hex(s string) (n rune, ok bool) {
	for i := 0; i < len(s); i++ {
		c := s[i]
		switch {
		case '0' <= c && c <= '9':
			c -= '0'
		case 'a' <= c|0x20 && c|0x20 <= 'f':
			c = c | 0x20 - 'a' + 10
		default:
			return 0, false
		}
		n = n<<4 | rune(c)
	}
	return n, true
}

// slashes takes backslashes, and the signs that look like a slash, for slashes.
func slashes(s string) string {
	if strings.IndexByte(s, '\\') < 0 && ascii(s) {
		return s
	}
	return slashLike.Replace(s)
}

var slashLike = strings.NewReplacer(`\`, "/", "\u2215", "/", "\u2044", "/", "\uff0f", "/", "\uff3c", "/", "\uff0e", ".", "\u2024", ".")

// params takes the ;parameters of every segment off.
func params(s string) string {
	if strings.IndexByte(s, ';') < 0 {
		return s
	}
	var b strings.Builder
	skip := false
	for i := 0; i < len(s); i++ {
		switch s[i] {
		case ';':
			skip = true
		case '/':
			skip = false
		}
		if !skip {
			b.WriteByte(s[i])
		}
	}
	return b.String()
}

// cutPath ends the path where C or a URL parser would.
func cutPath(s string) string {
	if i := strings.IndexAny(s, "\x00?#"); i > 0 {
		return s[:i]
	}
	return s
}

// trimSegments takes the dots and spaces at the end of segments off.
func trimSegments(s string) string {
	if !strings.ContainsAny(s, ". \u00a0") {
		return s
	}
	changed := false
	parts := strings.Split(s, "/")
	for i, p := range parts {
		if p == "." || p == ".." {
			continue
		}
		if t := strings.TrimRight(p, ". \u00a0"); t != p {
			parts[i], changed = t, true
		}
	}
	if !changed {
		return s
	}
	return strings.Join(parts, "/")
}

// invisible takes control characters and those that some file systems ignore out.
func invisible(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r != 0 && r < ' ', r == 0x7f, r == 0xad, r >= 0x200b && r <= 0x200f, r >= 0x202a && r <= 0x202e,
			r >= 0x2060 && r <= 0x206f, r == 0xfeff:
			return -1
		}
		return r
	}, s)
}

// overlong reads UTF-8 sequences that are longer than they need to be.
func overlong(s string) string {
	if ascii(s) || utf8.ValidString(s) {
		return s
	}
	b := make([]byte, 0, len(s))
	for i := 0; i < len(s); {
		switch c := s[i]; {
		case (c == 0xc0 || c == 0xc1) && i+1 < len(s):
			b = append(b, c&1<<6|s[i+1]&0x3f)
			i += 2
		case c == 0xe0 && i+2 < len(s) && s[i+1]&0x3f < 2:
			b = append(b, s[i+1]&1<<6|s[i+2]&0x3f)
			i += 3
		case c == 0xf0 && i+3 < len(s) && s[i+1] == 0x80 && s[i+2]&0x3f < 2:
			b = append(b, s[i+2]&1<<6|s[i+3]&0x3f)
			i += 4
		default:
			b = append(b, c)
			i++
		}
	}
	return string(b)
}

func ascii(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// fold maps names that a file system or an app without regard to case takes for
// the same onto one.
func fold(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= utf8.RuneSelf || 'A' <= c && c <= 'Z' {
			if ascii(s) {
				return strings.ToLower(s)
			}
			return strings.ToLower(strings.ToUpper(s))
		}
	}
	return s
}
