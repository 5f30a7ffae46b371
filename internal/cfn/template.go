package cfn

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// A Template is a stack, written out and valid.
type Template struct {
	Name    string            // of the stack
	Role    string            // network, database …
	Region  string            // where it is deployed
	Inputs  []Input           // parameters that outputs of other Regions fill
	Lookups map[string]string // parameter → how to find its value in the account
	Needs   []string          // names of stacks that are deployed before it

	body    object
	compact int // bytes of CompactJSON
}

// build writes a stack out and checks it.
func (s *Stacks) build(st *Stack) *Template {
	b := &builder{stack: st, at: "the template"}
	t := &Template{Name: st.Name, Role: st.Role, Region: st.Region, Inputs: st.inputs, Lookups: map[string]string{}}
	for _, u := range s.uses {
		if p := s.provided[u.key]; p != nil && u.stack == st && p.stack != st && !slices.Contains(t.Needs, p.stack.Name) {
			t.Needs = append(t.Needs, p.stack.Name)
		}
	}
	slices.Sort(t.Needs)

	var params, conditions, resources, outputs object
	for _, p := range slices.SortedFunc(slices.Values(st.parameters), func(x, y *parameter) int { return strings.Compare(x.id, y.id) }) {
		params = append(params, member{p.id, p.tree()})
		if p.Lookup != "" {
			t.Lookups[p.id] = p.Lookup
		}
	}
	for _, c := range slices.SortedFunc(slices.Values(st.conditions), func(x, y *condition) int { return strings.Compare(x.name, y.name) }) {
		b.at = "the condition " + c.name
		conditions = append(conditions, member{c.name, b.value(c.expr)})
	}
	for _, e := range slices.SortedFunc(slices.Values(st.resources), func(x, y *entry) int { return strings.Compare(x.id, y.id) }) {
		resources = append(resources, member{e.id, b.resource(e)})
	}
	for _, o := range slices.SortedFunc(slices.Values(st.outputs), func(x, y *output) int { return strings.Compare(x.id, y.id) }) {
		b.at = "the output " + o.id
		out := object{}
		if o.description != "" {
			out = append(out, member{"Description", o.description})
		}
		out = append(out, member{"Value", o.value.tree(b)})
		if o.export != "" {
			out = append(out, member{"Export", object{{"Name", o.export}}})
		}
		outputs = append(outputs, member{o.id, out})
	}

	t.body = object{{"AWSTemplateFormatVersion", "2010-09-09"}}
	add := func(k string, o object) {
		if len(o) > 0 {
			t.body = append(t.body, member{k, o})
		}
	}
	if st.Description != "" {
		t.body = append(t.body, member{"Description", st.Description})
	}
	add("Metadata", t.metadata())
	add("Parameters", params)
	add("Conditions", conditions)
	add("Resources", resources)
	add("Outputs", outputs)
	s.scratch = appendJSON(s.scratch[:0], t.body, "")
	t.compact = len(s.scratch)
	(&checker{stack: st, params: params, conditions: conditions, resources: resources, size: t.compact}).run(t.body)
	return t
}

func (t *Template) metadata() object {
	m := object{{"Stack", t.Name}, {"Region", t.Region}}
	if len(t.Inputs) > 0 {
		var in object
		for _, i := range t.Inputs {
			in = append(in, member{i.Parameter, object{{"Region", i.Region}, {"Stack", i.Stack}, {"Output", i.Output}}})
		}
		slices.SortFunc(in, func(x, y member) int { return strings.Compare(x.key, y.key) })
		m = append(m, member{"Inputs", in})
	}
	if len(t.Lookups) > 0 {
		var look object
		for _, k := range slices.Sorted(maps.Keys(t.Lookups)) {
			look = append(look, member{k, t.Lookups[k]})
		}
		m = append(m, member{"Lookups", look})
	}
	return object{{"Ringwall", m}}
}

func (p *parameter) tree() object {
	o := object{{"Type", p.Type}}
	add := func(k string, v any) { o = append(o, member{k, v}) }
	if p.Default != nil {
		add("Default", p.Default)
	}
	if p.Description != "" {
		add("Description", p.Description)
	}
	if len(p.AllowedValues) > 0 {
		var list []any
		for _, v := range p.AllowedValues {
			list = append(list, v)
		}
		add("AllowedValues", list)
	}
	if p.Pattern != "" {
		add("AllowedPattern", p.Pattern)
	}
	if p.Constraint != "" {
		add("ConstraintDescription", p.Constraint)
	}
	if p.NoEcho {
		add("NoEcho", true)
	}
	return o
}

// JSON is the template, indented, with a newline at its end.
func (t *Template) JSON() []byte {
	return append(appendJSON(make([]byte, 0, 2*t.compact), t.body, "\n"), '\n')
}

// CompactJSON is the template without a needless byte, for a service that limits its size.
func (t *Template) CompactJSON() []byte { return appendJSON(make([]byte, 0, t.compact), t.body, "") }

// appendJSON writes a tree; nl is a newline with the present indent, or empty for
// the compact form.
func appendJSON(b []byte, v any, nl string) []byte {
	inner, colon := nl, ":"
	if nl != "" {
		inner, colon = deeper(nl), ": "
	}
	switch v := v.(type) {
	case object:
		if len(v) == 0 {
			return append(b, "{}"...)
		}
		for i, m := range v {
			b = append(append(b, pick(i == 0, byte('{'), ',')), inner...)
			b = append(appendQuoted(b, m.key), colon...)
			b = appendJSON(b, m.value, inner)
		}
		return append(append(b, nl...), '}')
	case []any:
		if len(v) == 0 {
			return append(b, "[]"...)
		}
		for i, x := range v {
			b = append(append(b, pick(i == 0, byte('['), ',')), inner...)
			b = appendJSON(b, x, inner)
		}
		return append(append(b, nl...), ']')
	case string:
		return appendQuoted(b, v)
	}
	return append(b, scalar(v)...)
}

const indents = "\n                                                                "

// deeper is a newline with two more blanks.
func deeper(nl string) string {
	if len(nl)+2 <= len(indents) {
		return indents[:len(nl)+2]
	}
	return nl + "  "
}

func pick[T any](first bool, a, b T) T {
	if first {
		return a
	}
	return b
}

func scalar(v any) string {
	switch v := v.(type) {
	case string:
		return quoted(v)
	case int:
		return strconv.Itoa(v)
	case bool:
		return strconv.FormatBool(v)
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	}
	return "null"
}

func quoted(s string) string { return string(appendQuoted(nil, s)) }

// appendQuoted writes a JSON text. Nearly all have nothing to escape.
func appendQuoted(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			var buf bytes.Buffer
			e := json.NewEncoder(&buf)
			e.SetEscapeHTML(false)
			if e.Encode(s) != nil {
				return append(b, `""`...) // a string can always be encoded
			}
			return append(b, bytes.TrimSuffix(buf.Bytes(), []byte("\n"))...)
		}
	}
	return append(append(append(b, '"'), s...), '"')
}
