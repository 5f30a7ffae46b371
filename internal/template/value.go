package template

import (
	"strconv"
	"strings"
)

// A Value is what a property comes to in one World. A nil *Value is absent.
//
// A text may have tokens in it, which stand for what only an account knows: the
// name or attribute of a resource, a pseudo-parameter, or something unknown.
// Tokens of the same thing are equal texts; Show makes them readable.
type Value struct {
	Shape  Shape
	Text   string
	Items  []*Value
	Fields []Entry
	Pos    Pos
	why    string // not empty: unknown as a whole, and the reason
}

// An Entry is one field of a map.
type Entry struct {
	Name  string
	Value *Value
	Pos   Pos
}

// Tokens are written \x02 kind name \x03. No text of a file has these two bytes.
const (
	open, closing = "\x02", "\x03"

	kindResource = 'r' // stack/ID or stack/ID.Attribute
	kindPseudo   = 'p' // Region, AccountId, az0 …
	kindUnknown  = '?' // the reason
)

func plain(s string) string {
	if strings.ContainsAny(s, open+closing) {
		s = strings.NewReplacer(open, "", closing, "").Replace(s)
	}
	return s
}

func token(kind byte, name string) string { return open + string(kind) + name + closing }

// Token is the text that stands for a resource or one of its attributes.
func Token(key, attribute string) string {
	if attribute != "" {
		key += "." + attribute
	}
	return token(kindResource, key)
}

// Pseudo is the text that stands for a pseudo-parameter: Region, AccountId.
func Pseudo(name string) string { return token(kindPseudo, name) }

func unknown(pos Pos, why string) *Value { return &Value{Shape: Null, Pos: pos, why: why} }

func text(pos Pos, s string) *Value { return &Value{Shape: String, Text: s, Pos: pos} }

// Absent says whether there is nothing: no such property, or null, or
// AWS::NoValue.
func (v *Value) Absent() bool { return v == nil || v.Shape == Null && v.why == "" }

// Why is the reason for which a value is unknown, as a whole or in part of its
// own text; "" when it is known. Lists and maps are asked item by item.
func (v *Value) Why() string {
	if v == nil {
		return ""
	}
	if v.why != "" {
		return v.why
	}
	return whyText(v.Text)
}

func whyText(s string) string {
	for {
		i := strings.Index(s, open)
		if i < 0 {
			return ""
		}
		j := strings.Index(s[i:], closing)
		if j < 0 {
			return ""
		}
		if s[i+1] == kindUnknown {
			return s[i+2 : i+j]
		}
		s = s[i+j+1:]
	}
}

// Unknown says whether the value, or a part of its text, is unknown.
func (v *Value) Unknown() bool { return v.Why() != "" }

// Deep returns the first reason for which a value or anything in it is unknown,
// and "" when all of it is known.
func (v *Value) Deep() string {
	if v == nil {
		return ""
	}
	if why := v.Why(); why != "" {
		return why
	}
	for _, x := range v.Items {
		if why := x.Deep(); why != "" {
			return why
		}
	}
	for _, f := range v.Fields {
		if why := f.Value.Deep(); why != "" {
			return why
		}
	}
	return ""
}

// Literal returns a scalar's text when no token is in it.
func (v *Value) Literal() (string, bool) {
	if v == nil || v.why != "" || v.Shape == Null || v.Shape == List || v.Shape == Map || strings.Contains(v.Text, open) {
		return "", false
	}
	return v.Text, true
}

// String is the scalar's text with its tokens; "" for anything else.
func (v *Value) String() string {
	if v == nil || v.why != "" {
		return ""
	}
	switch v.Shape {
	case Bool, Number, String:
		return v.Text
	}
	return ""
}

// Is says whether the value is known to be this text.
func (v *Value) Is(s string) bool {
	got, ok := v.Literal()
	return ok && got == s
}

// A Tri is yes, no or unknown.
type Tri int8

const (
	Maybe Tri = iota // could not be told
	No
	Yes
)

var tris = [...]string{"unknown", "no", "yes"}

func (t Tri) String() string { return tris[t] }

// Of is a known truth.
func Of(b bool) Tri {
	if b {
		return Yes
	}
	return No
}

// And is Yes when both are, No when either is.
func (t Tri) And(u Tri) Tri {
	switch {
	case t == No || u == No:
		return No
	case t == Yes && u == Yes:
		return Yes
	}
	return Maybe
}

// Or is Yes when either is, No when both are.
func (t Tri) Or(u Tri) Tri {
	switch {
	case t == Yes || u == Yes:
		return Yes
	case t == No && u == No:
		return No
	}
	return Maybe
}

// Not swaps Yes and No.
func (t Tri) Not() Tri {
	switch t {
	case Yes:
		return No
	case No:
		return Yes
	}
	return Maybe
}

// Truth reads a boolean, which CloudFormation also takes as a text. An absent
// value is the default that is given.
func (v *Value) Truth(absent bool) Tri {
	if v.Absent() {
		return Of(absent)
	}
	switch s, ok := v.Literal(); {
	case ok && strings.EqualFold(s, "true"):
		return Yes
	case ok && strings.EqualFold(s, "false"):
		return No
	}
	return Maybe
}

// Int reads a number, which may be written as a text.
func (v *Value) Int() (int, bool) {
	s, ok := v.Literal()
	if !ok {
		return 0, false
	}
	n, err := strconv.Atoi(strings.TrimSpace(s))
	if err != nil {
		f, ferr := strconv.ParseFloat(s, 64)
		if ferr != nil || f != float64(int(f)) {
			return 0, false
		}
		n = int(f)
	}
	return n, true
}

// Get returns what a path of names leads to. Of something unknown every part is
// unknown; of something absent it is absent.
func (v *Value) Get(path ...string) *Value {
	for _, name := range path {
		if v == nil {
			return nil
		}
		if v.why != "" {
			return v
		}
		var next *Value
		for i := range v.Fields {
			if v.Fields[i].Name == name {
				next = v.Fields[i].Value
			}
		}
		v = next
	}
	return v
}

// List returns the items of a list. A single value counts as a list of one, as
// many properties allow. An unknown value is one unknown item.
func (v *Value) List() []*Value {
	switch {
	case v.Absent():
		return nil
	case v.why == "" && v.Shape == List:
		return v.Items
	}
	return []*Value{v}
}

// Place is where the value was written, or the given place for an absent one.
func (v *Value) Place(or Pos) Pos {
	if v == nil || v.Pos.IsZero() {
		return or
	}
	return v.Pos
}

// Key returns the resource that the text is a plain reference to, as stack/ID,
// and the attribute.
func (v *Value) Key() (key, attribute string, ok bool) {
	if v == nil || v.why != "" {
		return "", "", false
	}
	return KeyOf(v.Text)
}

// KeyOf is Key of a text.
func KeyOf(s string) (key, attribute string, ok bool) {
	if len(s) < 3 || s[0] != open[0] || s[1] != kindResource || strings.Index(s, closing) != len(s)-1 {
		return "", "", false
	}
	key = s[2 : len(s)-1]
	slash := strings.LastIndexByte(key, '/')
	if dot := strings.IndexByte(key[slash+1:], '.'); dot >= 0 {
		return key[:slash+1+dot], key[slash+1+dot+1:], true
	}
	return key, "", true
}

// Show makes a text readable: tokens become ${ID} or ${ID.Attribute}.
func Show(s string) string {
	return Replace(s, func(kind byte, name string) string {
		switch kind {
		case kindResource:
			return "${" + name[strings.LastIndexByte(name, '/')+1:] + "}"
		case kindPseudo:
			return "${" + name + "}"
		}
		return "?"
	})
}

// Replace replaces every token of a text.
func Replace(s string, with func(kind byte, name string) string) string {
	if !strings.Contains(s, open) {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(s, open)
		if i < 0 {
			break
		}
		j := strings.Index(s[i:], closing)
		if j < 2 {
			break
		}
		b.WriteString(s[:i])
		b.WriteString(with(s[i+1], s[i+2:i+j]))
		s = s[i+j+1:]
	}
	b.WriteString(s)
	return b.String()
}

// Show is the readable text of a scalar, or what kind of thing it is.
func (v *Value) Show() string {
	switch {
	case v.Absent():
		return "nothing"
	case v.why != "":
		return "unknown (" + v.why + ")"
	case v.Shape == List, v.Shape == Map:
		return v.Shape.String()
	}
	return Show(v.Text)
}
