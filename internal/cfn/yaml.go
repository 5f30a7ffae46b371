package cfn

import (
	"bytes"
	"regexp"
	"strings"
	"sync"
)

// YAML is the template as YAML, with the long forms of the intrinsic functions.
func (t *Template) YAML() []byte {
	var b bytes.Buffer
	writeYAML(&b, t.body, "")
	return b.Bytes()
}

// writeYAML writes an object or a list, each of its lines with the indent given.
func writeYAML(b *bytes.Buffer, v any, indent string) {
	switch v := v.(type) {
	case object:
		for _, m := range v {
			b.WriteString(indent + yamlScalar(m.key) + ":")
			writeChild(b, m.value, indent+"  ", indent+"  ")
		}
	case []any:
		for _, x := range v {
			if o, ok := x.(object); ok && len(o) > 0 {
				// The first member stands on the dash's own line.
				var inner bytes.Buffer
				writeYAML(&inner, o, indent+"  ")
				b.WriteString(indent + "- ")
				b.Write(inner.Bytes()[len(indent)+2:])
				continue
			}
			b.WriteString(indent + "-")
			writeChild(b, x, indent+"  ", indent+"  ")
		}
	}
}

// writeChild writes what follows a key or a dash.
func writeChild(b *bytes.Buffer, v any, indent, text string) {
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
	case []any:
		if len(v) == 0 {
			b.WriteString(" []\n")
			return
		}
	case string:
		if block(v) {
			b.WriteString(" |" + pick(strings.HasSuffix(v, "\n"), "", "-") + "\n")
			for line := range strings.SplitSeq(strings.TrimSuffix(v, "\n"), "\n") {
				b.WriteString(pick(line == "", "", text+line) + "\n")
			}
			return
		}
		b.WriteString(" " + yamlScalar(v) + "\n")
		return
	default:
		b.WriteString(" " + scalar(v) + "\n")
		return
	}
	b.WriteString("\n")
	writeYAML(b, v, indent)
}

// block says whether a text can stand as a literal block: it has lines, none of
// them begins or ends with white space that YAML could take for its own, and
// nothing in it needs an escape.
func block(s string) bool {
	body := strings.TrimSuffix(s, "\n")
	if !strings.Contains(body, "\n") || strings.HasSuffix(body, "\n") {
		return false
	}
	if strings.HasPrefix(body, " ") || strings.HasPrefix(body, "\n") {
		return false
	}
	for _, r := range s {
		if r < ' ' && r != '\n' && r != '\t' || r == 0x7f || r > 0x7e {
			return false
		}
	}
	return true
}

var plain = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`^[A-Za-z/][A-Za-z0-9_./-]*( [A-Za-z0-9_./-]+)*$`)
})

// A word that YAML 1.1 or 1.2 takes for something else than text.
var taken = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`(?i)^(y|n|yes|no|on|off|true|false|null|nan|inf)$`)
})

func yamlScalar(s string) string {
	if plain().MatchString(s) && !taken().MatchString(s) {
		return s
	}
	if fn, ok := strings.CutPrefix(s, "Fn::"); ok && plain().MatchString(fn) {
		return s
	}
	return quoted(s)
}
