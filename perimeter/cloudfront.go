package perimeter

import (
	"strings"

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
	body := code[max(0, strings.Index(code, "function handler")):]
	lower := strings.ToLower(body)
	sets = template.No
	for i := 0; ; {
		k := strings.Index(lower[i:], strings.ToLower(name))
		if k < 0 {
			return sets, with
		}
		i += k
		if value, ok := assigned(lower[:i], body[i+len(name):]); ok {
			with = value
			if strings.Count(body[:i], "{")-strings.Count(body[:i], "}") == 1 {
				return template.Yes, with
			}
			sets = template.Maybe
		}
		i += len(name)
	}
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
