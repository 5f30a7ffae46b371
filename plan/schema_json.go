package plan

import (
	_ "embed"
	"encoding/json"
	"net/netip"
	"strings"
	"time"
)

//go:embed ringwall.schema.json
var jsonSchema []byte

// JSONSchema is the JSON Schema of ringwall.yaml, for editors.
func JSONSchema() []byte { return append([]byte(nil), jsonSchema...) }

// obj keeps the order of its keys when it is written.
type obj []pair

type pair struct {
	name  string
	value any
}

func (o obj) MarshalJSON() ([]byte, error) {
	var b strings.Builder
	b.WriteByte('{')
	for i, p := range o {
		if i > 0 {
			b.WriteByte(',')
		}
		name, err := json.Marshal(p.name)
		if err != nil {
			return nil, err
		}
		val, err := json.Marshal(p.value)
		if err != nil {
			return nil, err
		}
		b.Write(name)
		b.WriteByte(':')
		b.Write(val)
	}
	b.WriteByte('}')
	return []byte(b.String()), nil
}

// makeSchema builds the JSON Schema from the table of keys.
func makeSchema() ([]byte, error) {
	var defs, settings obj
	for _, word := range under("") {
		if k := keyNamed(word); k != nil {
			settings = append(settings, pair{word, k.schema()})
			continue
		}
		defs = append(defs, pair{word, groupSchema(word)})
		settings = append(settings, pair{word, obj{{"$ref", "#/$defs/" + word}}})
	}
	env := obj{{keyInherits, obj{{"type", "string"}, {"description", "Another environment, whose keys this one starts from."}}}}
	for _, p := range settings {
		if p.name != "app" {
			env = append(env, p)
		}
	}
	defs = append(defs, pair{"environment", obj{{"type", []string{"object", "null"}}, {"additionalProperties", false}, {"properties", env}}})
	top := append(obj{}, settings...)
	top = append(top,
		pair{keyDefault, obj{{"type", "string"}, {"description", "The environment that is meant when none is named."}}},
		pair{keyEnvironments, obj{{"type", "object"}, {"description", "Environments; each changes the keys above."},
			{"propertyNames", obj{{"pattern", "^[a-z][a-z0-9-]{0,30}$"}}}, {"additionalProperties", obj{{"$ref", "#/$defs/environment"}}}}})
	b, err := json.MarshalIndent(obj{
		{"$schema", "https://json-schema.org/draft/2020-12/schema"},
		{"title", "ringwall.yaml"},
		{"description", "A site of Ringwall: one app, several environments."},
		{"type", "object"},
		{"required", []string{"app"}},
		{"additionalProperties", false},
		{"properties", top},
		{"$defs", defs},
	}, "", "  ")
	return append(b, '\n'), err
}

func groupSchema(prefix string) obj {
	var props obj
	for _, word := range under(prefix) {
		name := prefix + "." + word
		if k := keyNamed(name); k != nil {
			props = append(props, pair{word, k.schema()})
		} else {
			props = append(props, pair{word, groupSchema(name)})
		}
	}
	return obj{{"type", []string{"object", "null"}}, {"additionalProperties", false}, {"properties", props}}
}

func (k *key) schema() obj {
	doc := k.doc
	if k.adds {
		doc += " They are added to the preset's."
	}
	o := obj{{"description", doc}}
	if k.def != "" {
		o = append(o, pair{"default", k.def})
	}
	add := func(name string, v any) { o = append(o, pair{name, v}) }
	texts := obj{{"type", "string"}}
	if len(k.enum) > 0 {
		texts = obj{{"enum", k.enum}}
	}
	table := func(entry any) { add("type", "object"); add("additionalProperties", entry) }
	switch k.ptr(newDraft()).(type) {
	case *[]string:
		add("type", []string{"array", "string"})
		add("items", texts)
	case *Match:
		add("type", []string{"array", "string"})
		add("items", obj{{"type", "string"}})
	case *map[string]string:
		table(obj{{"type", []string{"string", "number", "boolean"}}})
	case *map[string]int:
		table(obj{{"type", "integer"}, {"minimum", k.min}, {"maximum", k.max}})
	case *map[string][]string:
		table(obj{{"type", "array"}, {"items", texts}})
	case *map[string][]Grant:
		table(obj{{"type", "array"}, {"items", itemSchema(grantFields)}})
	case *[]Mask:
		add("type", "array")
		add("items", itemSchema(maskFields))
	case *[]Exclusion:
		add("type", "array")
		add("items", itemSchema(exclusionFields))
	case *bool:
		add("type", "boolean")
	case *int, *int64, *uint16:
		switch k.unit {
		case "size":
			add("type", []string{"string", "integer"})
			add("pattern", `^[0-9]+ *([KMGT]iB|[kKMGT]?B)?$`)
		case "cpu":
			add("type", "number")
			add("exclusiveMinimum", 0)
		default:
			add("type", "integer")
			add("minimum", k.min)
			if k.max > 0 {
				add("maximum", k.max)
			}
		}
	case *time.Duration:
		add("type", []string{"string", "integer"})
		add("pattern", `^([0-9.]+(ns|us|µs|ms|s|m|h))+$|^0$`)
	case *netip.Addr, *netip.AddrPort, *netip.Prefix:
		add("type", "string")
	default:
		if len(k.enum) > 0 {
			add("enum", k.enum)
		} else {
			add("type", []string{"string", "number"})
		}
	}
	return o
}

func itemSchema[T any](fields []itemField[T]) obj {
	var props obj
	required := []string{}
	var zero T
	for _, f := range fields {
		o := obj{{"description", f.doc}}
		texts := obj{{"type", "string"}}
		if len(f.enum) > 0 {
			texts = obj{{"enum", f.enum}}
		}
		switch f.ptr(&zero).(type) {
		case *int:
			o = append(o, pair{"type", "integer"}, pair{"minimum", 1})
		case *[]string:
			o = append(o, pair{"type", "array"}, pair{"items", texts})
		case *map[string]string:
			o = append(o, pair{"type", "object"}, pair{"additionalProperties", obj{{"type", "string"}}})
		default:
			o = append(o, texts...)
		}
		props = append(props, pair{f.name, o})
		if f.required {
			required = append(required, f.name)
		}
	}
	return obj{{"type", "object"}, {"required", required}, {"additionalProperties", false}, {"properties", props}}
}
