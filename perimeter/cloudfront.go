package perimeter

import (
	"strings"

	"github.com/ringwall/ringwall/internal/lazy"
	"github.com/ringwall/ringwall/internal/template"
)

// A Behaviour is one of a distribution's, and the paths it is for.
type Behaviour struct {
	Path  string
	Value *template.Value
}

// Behaviours are a distribution's, the default one last.
func Behaviours(d *template.Resource) []Behaviour {
	var out []Behaviour
	for _, b := range d.Get("DistributionConfig", "CacheBehaviors").List() {
		out = append(out, Behaviour{b.Get("PathPattern").Show(), b})
	}
	if b := d.Get("DistributionConfig", "DefaultCacheBehavior"); !b.Absent() {
		out = append(out, Behaviour{"* (the default)", b})
	}
	return out
}

// AsksBucket says whether a behaviour's origin is a bucket, whose answers are the
// same for everybody.
func AsksBucket(d *template.Resource, b *template.Value) bool {
	for _, o := range d.Get("DistributionConfig", "Origins").List() {
		if o.Get("Id").String() == b.Get("TargetOriginId").String() {
			return !o.Get("S3OriginConfig").Absent() || !o.Get("OriginAccessControlId").Absent() && o.Get("CustomOriginConfig").Absent()
		}
	}
	return false
}

// ViewerRequest is the function that a behaviour runs on what a viewer sends. why
// is not empty when there is one and it is not known.
func ViewerRequest(w *template.World, b *template.Value) (f *template.Resource, why string) {
	for _, a := range b.Get("FunctionAssociations").List() {
		if a.Unknown() {
			return nil, a.Why()
		}
		if !a.Get("EventType").Is("viewer-request") {
			continue
		}
		if f = w.Of(a.Get("FunctionARN")); f == nil {
			return nil, "the function is not in these templates"
		}
		return f, ""
	}
	return nil, ""
}

// FunctionSets says whether a CloudFront function's code sets a request header on
// every way through its handler: Maybe when it does so only inside of a block. with
// is the expression that it sets.
func FunctionSets(code, name string) (sets template.Tri, with string) {
	code = uncommented(code)
	body := code[max(0, strings.Index(code, "function handler")):]
	lower := strings.ToLower(body)
	sets = template.No
	read := false // what the viewer sent was looked at before
	for i := 0; ; {
		k := strings.Index(lower[i:], strings.ToLower(name))
		if k < 0 {
			return sets, with
		}
		i += k
		if value, ok := assigned(lower[:i], body[i+len(name):]); ok {
			with = value
			own := read || strings.Contains(strings.ToLower(value), strings.ToLower(name))
			if depth(body[:i]) == 1 && !own && !leaves(body[:i]) {
				return template.Yes, with
			}
			sets = template.Maybe
		} else if !deletes().MatchString(lower[:i]) {
			read = true
		}
		i += len(name)
	}
}

var (
	deletes = lazy.Regexp(`delete\s+[\w.]+\s*(\[\s*['"]|\.)$`)
	returns = lazy.Regexp(`\breturn\b\s*([^\s;}]?)`)
)

func depth(code string) int { return strings.Count(code, "{") - strings.Count(code, "}") }

// leaves says whether a way through the code ends before its end with what is no answer
// of its own: an answer is written as an object.
func leaves(code string) bool {
	for _, m := range returns().FindAllStringSubmatchIndex(code, -1) {
		if next := code[m[2]:m[3]]; next != "{" && !answers().MatchString(code[m[0]:]) {
			return true
		}
	}
	return false
}

// answers is a return of something that by its name is an answer.
var answers = lazy.Regexp(`^return\s+(?:new\s+)?(?i:\w*(?:response|redirect|refus|deny|answer|forbid|error|block)\w*)\b`)

// uncommented takes the comments out of JavaScript. Texts and patterns stay.
func uncommented(code string) string {
	var b strings.Builder
	quote := byte(0) // of a text or a pattern that is open
	for i := 0; i < len(code); i++ {
		c := code[i]
		switch {
		case quote != 0:
			if c == '\\' && i+1 < len(code) {
				b.WriteByte(c)
				i++
				c = code[i]
			} else if c == quote || c == '\n' && quote != '`' {
				quote = 0
			}
		case strings.HasPrefix(code[i:], "//"):
			end := strings.IndexByte(code[i:], '\n')
			if end < 0 {
				return b.String()
			}
			i += end
			c = '\n'
		case strings.HasPrefix(code[i:], "/*"):
			end := strings.Index(code[i+2:], "*/")
			if end < 0 {
				return b.String()
			}
			i += end + 3
			c = ' '
		case c == '\'', c == '"', c == '`':
			quote = c
		case c == '/' && patternBegins(b.String()):
			quote = '/'
		}
		b.WriteByte(c)
	}
	return b.String()
}

// patternBegins says whether a slash behind some code begins a pattern, and is no division.
func patternBegins(before string) bool {
	before = strings.TrimRight(before, " \t\r\n")
	return before == "" || strings.ContainsRune("(,=:[!&|?{};+<>~%^*-", rune(before[len(before)-1])) || strings.HasSuffix(before, "return")
}

// assigned says whether a name stands where a property is set: h['name'] = value or
// h.name = value.
func assigned(before, after string) (value string, ok bool) {
	switch q := last(before); q {
	case '\'', '"':
		before = strings.TrimRight(before[:len(before)-1], " ")
		after, ok = strings.CutPrefix(after, string(q))
		if !ok || last(before) != '[' {
			return "", false
		}
		after, ok = strings.CutPrefix(strings.TrimLeft(after, " "), "]")
		if !ok {
			return "", false
		}
	case '.':
	default:
		return "", false
	}
	after, ok = strings.CutPrefix(strings.TrimLeft(after, " "), "=")
	if !ok || strings.HasPrefix(after, "=") {
		return "", false
	}
	end := strings.IndexAny(after, ";\n")
	if end < 0 {
		end = len(after)
	}
	return after[:end], true
}

func last(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}
