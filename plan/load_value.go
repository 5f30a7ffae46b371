package plan

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// A value is what a source said for one key, before it has a type.
type value struct {
	at    Origin
	kind  valueKind
	text  string
	list  []value
	table []field
}

type valueKind int

const (
	nullValue valueKind = iota
	textValue
	listValue
	tableValue
)

type field struct {
	name  string
	at    Origin
	value value
}

func (v value) what() string {
	switch v.kind {
	case textValue:
		return quote(v.text)
	case listValue:
		return "a list"
	case tableValue:
		return "a group of keys"
	}
	return "nothing"
}

func text(s string, at Origin) value { return value{at: at, kind: textValue, text: s} }

func (v *value) put(name string, w value) {
	v.kind = tableValue
	for i := range v.table {
		if v.table[i].name == name {
			v.table[i].value = w
			return
		}
	}
	v.table = append(v.table, field{name, w.at, w})
}

// A layer is what one source said, by dotted key.
type layer map[string]value

// onto lays a higher layer over the result of the lower ones: a value replaces, a
// table is merged by name, and a list of a key that adds is appended.
func (l layer) onto(base layer) {
	for name, v := range l {
		old, ok := base[name]
		switch {
		case ok && v.kind == tableValue && old.kind == tableValue:
			merged := value{at: v.at, kind: tableValue, table: slices.Clone(old.table)}
			for _, f := range v.table {
				merged.put(f.name, f.value)
			}
			base[name] = merged
		case ok && v.kind == listValue && old.kind == listValue && adds(name):
			merged := value{at: v.at, kind: listValue, list: slices.Clone(old.list)}
			for _, item := range v.list {
				if !slices.ContainsFunc(merged.list, func(o value) bool { return o.kind == textValue && o.text == item.text }) {
					merged.list = append(merged.list, item)
				}
			}
			base[name] = merged
		default:
			base[name] = v
		}
	}
}

// fromText reads a value of the given key as it is written in a flag, an
// environment variable, a default or a properties file: a list is a JSON array or
// is separated by commas, a table is a JSON object or name=value, separated by commas.
func fromText(k *key, s string, at Origin) (value, error) {
	v, err := splitText(k, s, at)
	if err == nil && max(len(v.list), len(v.table)) > maxEntries {
		err = fmt.Errorf("got %d entries, want at most %d", max(len(v.list), len(v.table)), maxEntries)
	}
	return v, err
}

// maxEntries bounds lists and tables, so that no file makes the reader slow.
const maxEntries = 1000

func splitText(k *key, s string, at Origin) (value, error) {
	s = strings.TrimSpace(s)
	switch k.shape() {
	case listValue:
		if strings.HasPrefix(s, "[") {
			return fromJSON(s, at)
		}
		v := value{at: at, kind: listValue}
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item != "" {
				v.list = append(v.list, text(item, at))
			}
		}
		return v, nil
	case tableValue:
		if strings.HasPrefix(s, "{") {
			return fromJSON(s, at)
		}
		v := value{at: at, kind: tableValue}
		for item := range strings.SplitSeq(s, ",") {
			if item = strings.TrimSpace(item); item == "" {
				continue
			}
			name, val, ok := strings.Cut(item, "=")
			if !ok {
				return v, fmt.Errorf("got %s, want name=value", quote(item))
			}
			v.put(strings.TrimSpace(name), text(strings.TrimSpace(val), at))
		}
		return v, nil
	}
	return text(s, at), nil
}

// fromJSON reads a JSON array or object, all of it at one place of the source.
func fromJSON(s string, at Origin) (value, error) {
	var a any
	d := json.NewDecoder(strings.NewReader(s))
	d.UseNumber()
	if err := d.Decode(&a); err != nil {
		return value{}, fmt.Errorf("got JSON that does not parse (%w), want an array such as [\"a\", \"b\"]", err)
	}
	if d.More() {
		return value{}, fmt.Errorf("got text after the JSON value, want nothing there")
	}
	return jsonValue(a, at), nil
}

func jsonValue(a any, at Origin) value {
	switch a := a.(type) {
	case []any:
		v := value{at: at, kind: listValue}
		for _, item := range a {
			v.list = append(v.list, jsonValue(item, at))
		}
		return v
	case map[string]any:
		v := value{at: at, kind: tableValue}
		names := make([]string, 0, len(a))
		for name := range a {
			names = append(names, name)
		}
		slices.Sort(names)
		for _, name := range names {
			v.table = append(v.table, field{name, at, jsonValue(a[name], at)})
		}
		return v
	case nil:
		return value{at: at}
	}
	return text(fmt.Sprint(a), at)
}
