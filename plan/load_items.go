package plan

import (
	"reflect"
	"strconv"
)

// An itemField is one key of the objects in a list.
type itemField[T any] struct {
	name, doc string
	required  bool
	ptr       func(*T) any // *string, *int, *[]string or *map[string]string
	enum      []string
}

var grantFields = []itemField[Grant]{
	{name: "tables", doc: "Table names, with * as wildcard.", required: true, ptr: func(g *Grant) any { return &g.Tables }},
	{name: "rights", doc: "What may be done with their rows; ddl makes and changes tables. An empty list is no right.", required: true, ptr: func(g *Grant) any { return &g.Rights },
		enum: []string{"select", "insert", "update", "delete", "ddl"}},
}

var maskFields = []itemField[Mask]{
	{name: "tier", doc: "The tier that sees the view.", required: true, ptr: func(m *Mask) any { return &m.Tier }, enum: []string{Admin, Fleet}},
	{name: "table", doc: "The table it must not read.", required: true, ptr: func(m *Mask) any { return &m.Table }},
	{name: "view", doc: "The view's name.", required: true, ptr: func(m *Mask) any { return &m.View }},
	{name: "columns", doc: "SQL expressions in place of columns.", ptr: func(m *Mask) any { return &m.Columns }},
	{name: "where", doc: "A condition in SQL: which rows the view shows.", ptr: func(m *Mask) any { return &m.Where }},
}

var exclusionFields = []itemField[Exclusion]{
	{name: "rule", doc: "The rule's number.", required: true, ptr: func(e *Exclusion) any { return &e.Rule }},
	{name: "path", doc: "An exact path, or a prefix that ends in *.", required: true, ptr: func(e *Exclusion) any { return &e.Path }},
	{name: "target", doc: "A variable such as ARGS:content or, for all items of a list, ARGS:json.items.*.name; the whole rule when empty.", ptr: func(e *Exclusion) any { return &e.Target }},
	{name: "reason", doc: "Why.", required: true, ptr: func(e *Exclusion) any { return &e.Reason }},
}

// decodeItems reads a list of objects.
func decodeItems[T any](l *loader, k *key, v value, fields []itemField[T]) []T {
	out := []T{}
	if v.kind != listValue {
		l.problem(v.at, k.name, v.what(), "a list", "")
		return out
	}
	names := make([]string, len(fields))
	for i, f := range fields {
		names[i] = f.name
	}
	for i, item := range v.list {
		where := key{name: k.name + "[" + strconv.Itoa(i) + "]"}
		if item.kind != tableValue {
			l.problem(item.at, where.name, item.what(), "a group with the keys "+oneOf(names), "")
			continue
		}
		var t T
		seen := map[string]bool{}
		for _, f := range item.table {
			seen[f.name] = true
			found := false
			for _, known := range fields {
				if known.name != f.name {
					continue
				}
				found = true
				ik := key{name: where.name + "." + f.name, enum: known.enum, ptr: func(*draft) any { return known.ptr(&t) }}
				if _, ok := ik.ptr(nil).(*int); ok {
					ik.min, ik.max = 1, 1<<30
				}
				l.decode(nil, &ik, f.value)
			}
			if !found {
				l.unknown(f.at, where.name, f.name, names)
			}
		}
		for _, f := range fields {
			if f.required && !seen[f.name] {
				l.problem(item.at, where.name, "no "+f.name, "one", "")
			}
		}
		out = append(out, t)
	}
	return out
}

// itemTable is an object of a list as names and values, without those left empty.
func itemTable[T any](t T, fields []itemField[T]) map[string]any {
	m := map[string]any{}
	for _, f := range fields {
		v := reflect.ValueOf(f.ptr(&t)).Elem()
		if f.required || !v.IsZero() {
			m[f.name] = v.Interface()
		}
	}
	return m
}
