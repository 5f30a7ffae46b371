package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// write gives a resource as lines of fields with tabs between: R for the resource
// itself, P for a property of what came last, A for an attribute, T for a type
// within it. The fields after the names are words, or a word with = and a value;
// lists have | between their items.
func (r *resource) write(b *strings.Builder) error {
	var paths []string
	if len(r.More) > 0 {
		var more [][]string
		if err := json.Unmarshal(r.More, &more); err != nil {
			return fmt.Errorf("%s: reading what else replaces it: %w", r.name, err)
		}
		for _, p := range more {
			if path := strings.Join(p, "/"); !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	var err error
	line := func(fields ...string) {
		for i, f := range fields {
			if strings.ContainsAny(f, "\t\n") {
				err = fmt.Errorf("%s: the field %q has a tab or a new line in it", r.name, f)
			}
			if i > 0 && f == "" {
				continue
			}
			if i > 0 {
				b.WriteByte('\t')
			}
			b.WriteString(f)
		}
		b.WriteByte('\n')
	}
	flag := func(name string, is bool) string {
		if is {
			return name
		}
		return ""
	}
	value := func(name, v string) string {
		if v == "" {
			return ""
		}
		return name + "=" + v
	}
	list := func(name string, items []string) string {
		for _, i := range items {
			if strings.Contains(i, "|") {
				err = fmt.Errorf("%s: the word %q has a | in it", r.name, i)
			}
		}
		return value(name, strings.Join(items, "|"))
	}
	props := func(in map[string]*property) {
		for _, n := range slices.Sorted(maps.Keys(in)) {
			p := in[n]
			line("P", n, p.T, flag("required", p.R), value("replace", p.C), flag("deprecated", p.D), value("scrutiny", p.S),
				value("default", p.V), list("enum", p.E), list("refers", p.F))
		}
	}
	line("R", r.name, flag("stateful", r.Stateful), value("scrutiny", r.Scrutiny), list("id", r.ID), value("tags", r.Tags),
		value("tagKind", r.TagKind), list("may", paths))
	props(r.P)
	for _, n := range slices.Sorted(maps.Keys(r.A)) {
		line("A", n, r.A[n])
	}
	for _, n := range slices.Sorted(maps.Keys(r.T)) {
		line("T", n)
		props(r.T[n])
	}
	return err
}
