package plan

import (
	"encoding/json"
	"io"
	"net/netip"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
)

// A Setting is one key of a plan as `config show` prints it.
type Setting struct {
	Key    string `json:"key"`
	Value  any    `json:"value"` // a text, a number, a bool, or lists and maps of them
	Origin string `json:"origin"`
}

// hidden stands for values that are not printed.
const hidden = "(hidden)"

// Settings lists every key of the plan with its value, in the order of the
// documentation. Values of environment variables that look like secrets are hidden.
func (p *Plan) Settings() []Setting {
	d := &draft{Plan: *p, hosts: p.Network.Hosts}
	for _, r := range p.Edge.WAF.Rules {
		d.ruleFiles = append(d.ruleFiles, r.File)
	}
	for i, door := range p.Network.Doors {
		if i == 0 && door.Viewer == p.Network.Visitor {
			d.doorVisitor = door.Listen
		} else {
			d.doorOffice = door.Listen
		}
	}
	var out []Setting
	for i := range keys() {
		k := &keys()[i]
		v, ok := k.read(d)
		if !ok {
			continue
		}
		origin := "default"
		if o, ok := p.Origins[k.name]; ok {
			origin = o.String()
			if o.Source == "preset" {
				origin = "preset " + p.Preset
			}
		}
		out = append(out, Setting{k.name, v, origin})
	}
	return out
}

// read is a key's value in the form in which a file has it; false when it is not set.
func (k *key) read(d *draft) (any, bool) {
	switch p := k.ptr(d).(type) {
	case *bool:
		return *p, true
	case *int:
		return k.readNumber(int64(*p)), true
	case *int64:
		return k.readNumber(*p), true
	case *uint16:
		return int64(*p), true
	case *time.Duration:
		return shortDuration(*p), true
	case *netip.Addr:
		return p.String(), p.IsValid()
	case *netip.AddrPort:
		return p.String(), p.IsValid()
	case *netip.Prefix:
		return p.String(), p.IsValid()
	case *[]string:
		return slices.Clone(*p), len(*p) > 0
	case *Match:
		return p.list(), true
	case *map[string]string:
		m := map[string]string{}
		for name, v := range *p {
			if secretName().MatchString(name) && v != "" {
				v = hidden
			}
			m[name] = v
		}
		return m, len(m) > 0
	case *map[string]int:
		return *p, len(*p) > 0
	case *map[string][]string:
		return *p, len(*p) > 0
	case *map[string][]Grant:
		m := map[string]any{}
		for tier, grants := range *p {
			m[tier] = itemTables(grants, grantFields)
		}
		return m, len(m) > 0
	case *[]Mask:
		return itemTables(*p, maskFields), len(*p) > 0
	case *[]Exclusion:
		return itemTables(*p, exclusionFields), len(*p) > 0
	}
	s := reflect.ValueOf(k.ptr(d)).Elem().String()
	return s, s != ""
}

func (k *key) readNumber(n int64) any {
	if k.unit == "size" {
		return k.show(n)
	}
	if k.unit == "cpu" {
		return json.Number(k.show(n))
	}
	return n
}

func itemTables[T any](list []T, fields []itemField[T]) []any {
	var out []any
	for _, t := range list {
		out = append(out, itemTable(t, fields))
	}
	return out
}

func (m Match) list() []string {
	if m.Any {
		return []string{"*"}
	}
	out := []string{}
	for _, p := range m.Prefixes {
		if p.IsSingleIP() {
			out = append(out, p.Addr().String())
		} else {
			out = append(out, p.String())
		}
	}
	return out
}

// shortDuration writes 1m instead of 1m0s.
func shortDuration(t time.Duration) string {
	s := t.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// ShowYAML prints the plan as a ringwall.yaml that gives the same plan, with each
// value's origin as a comment when asked for.
func ShowYAML(w io.Writer, p *Plan, origin bool) error {
	root := &yaml.Node{Kind: yaml.MappingNode}
	for _, s := range p.Settings() {
		n := root
		words := strings.Split(s.Key, ".")
		for _, word := range words[:len(words)-1] {
			n = child(n, word)
		}
		var v yaml.Node
		if err := v.Encode(plainNumbers(s.Value)); err != nil {
			return err
		}
		k := &yaml.Node{Kind: yaml.ScalarNode, Value: words[len(words)-1]}
		if v.Kind != yaml.ScalarNode && flat(&v) {
			v.Style = yaml.FlowStyle
		}
		switch {
		case !origin:
		case v.Kind == yaml.ScalarNode || v.Style == yaml.FlowStyle:
			v.LineComment = s.Origin
		default:
			k.HeadComment = s.Origin
		}
		n.Content = append(n.Content, k, &v)
	}
	env := child(root, keyEnvironments)
	env.Content = append(env.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: p.Env}, &yaml.Node{Kind: yaml.MappingNode, Style: yaml.FlowStyle})
	e := yaml.NewEncoder(w)
	e.SetIndent(2)
	if err := e.Encode(root); err != nil {
		return err
	}
	return e.Close()
}

func child(n *yaml.Node, word string) *yaml.Node {
	for i := 0; i < len(n.Content); i += 2 {
		if n.Content[i].Value == word {
			return n.Content[i+1]
		}
	}
	c := &yaml.Node{Kind: yaml.MappingNode}
	n.Content = append(n.Content, &yaml.Node{Kind: yaml.ScalarNode, Value: word}, c)
	return c
}

// flat says whether a list or a map is short enough for one line.
func flat(n *yaml.Node) bool {
	length := 0
	for _, c := range n.Content {
		if c.Kind != yaml.ScalarNode {
			return false
		}
		length += len(c.Value) + 2
	}
	return length < 70
}

func plainNumbers(v any) any {
	if n, ok := v.(json.Number); ok {
		f, err := strconv.ParseFloat(string(n), 64)
		if err == nil {
			return f
		}
	}
	return v
}

// ShowJSON prints the plan's settings by dotted key, each with its origin when
// asked for.
func ShowJSON(w io.Writer, p *Plan, origin bool) error {
	var o obj
	for _, s := range p.Settings() {
		if origin {
			o = append(o, pair{s.Key, obj{{"value", s.Value}, {"origin", s.Origin}}})
		} else {
			o = append(o, pair{s.Key, s.Value})
		}
	}
	o = append(o, pair{"site", p.Site()}, pair{"notes", append([]string{}, p.Notes...)})
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(o)
}
