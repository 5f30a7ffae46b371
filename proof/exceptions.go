package main

import (
	"fmt"
	"os"
	"path"
	"slices"
	"strings"
)

// A finding is what a tool says against one resource of one template.
type finding struct {
	tool, rule, message string
	template            *template
	resource            string   // logical id; empty: the whole template
	variants            []string // of the matrix, that have it
}

// place is what an exception's pattern is compared with: database/Primary.
func (f finding) place() string {
	if f.resource == "" {
		return f.template.stack
	}
	return f.template.stack + "/" + f.resource
}

func (f finding) String() string {
	n := f.variants
	more := ""
	if len(n) > 3 {
		n, more = n[:3], fmt.Sprintf(" and %d more", len(f.variants)-3)
	}
	return fmt.Sprintf("%s %s at %s: %s (in %s%s)", f.tool, f.rule, f.place(), f.message, strings.Join(n, ", "), more)
}

// merge makes one of the findings of one rule at one place in several templates.
func merge(all []finding) []finding {
	var out []finding
	at := map[string]int{}
	for _, f := range all {
		key := f.tool + "\t" + f.rule + "\t" + f.place()
		i, ok := at[key]
		if !ok {
			i = len(out)
			at[key] = i
			f.variants = nil
			out = append(out, f)
		}
		for _, v := range f.template.variants {
			if !slices.Contains(out[i].variants, v) {
				out[i].variants = append(out[i].variants, v)
			}
		}
		if f.template != out[i].template && len(f.template.variants) == 0 {
			out[i].variants = append(out[i].variants, f.template.file)
		}
	}
	slices.SortFunc(out, func(a, b finding) int {
		return strings.Compare(a.tool+a.rule+a.place(), b.tool+b.rule+b.place())
	})
	return out
}

// An exception excuses one rule at the places of a pattern.
type exception struct {
	tool, rule, place, reason string
	file                      string
	line                      int
	used                      int
}

// excuse returns the exception that covers the finding, or nil.
func excuse(all []*exception, f finding) *exception {
	for _, e := range all {
		rule := e.rule == f.rule
		if prefix, ok := strings.CutSuffix(e.rule, "[*]"); ok {
			rule = strings.HasPrefix(f.rule, prefix+"[")
		}
		if ok, _ := path.Match(e.place, f.place()); ok && e.tool == f.tool && rule {
			e.used++
			return e
		}
	}
	return nil
}

// readExceptions reads lines of tool, rule, place and reason, separated by tabs.
// A place is stack/LogicalID with * for any run of letters. A rule may end in [*],
// which stands for the details that cdk-nag adds in brackets.
func readExceptions(name string) ([]*exception, error) {
	b, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	var out []*exception
	seen := map[string]int{}
	for i, line := range strings.Split(string(b), "\n") {
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		fields := strings.Split(line, "\t")
		bad := func(format string, args ...any) error {
			return fmt.Errorf("reading %s:%d: %s", name, i+1, fmt.Sprintf(format, args...))
		}
		if len(fields) != 4 {
			return nil, bad("got %d fields, want tool, rule, place and reason with tabs between", len(fields))
		}
		e := &exception{tool: fields[0], rule: fields[1], place: fields[2], reason: strings.TrimSpace(fields[3]), file: name, line: i + 1}
		if byName(e.tool) == nil {
			return nil, bad("got the tool %q, want %s", e.tool, names())
		}
		if len(strings.Fields(e.reason)) < 4 {
			return nil, bad("got the reason %q, want a sentence", e.reason)
		}
		if _, err := path.Match(e.place, ""); err != nil || strings.Trim(e.place, "*/") == "" {
			return nil, bad("got the place %q, want a stack and a logical id, with * for a part", e.place)
		}
		key := strings.Join(fields[:3], "\t")
		if seen[key] > 0 {
			return nil, bad("the same as line %d", seen[key])
		}
		seen[key] = i + 1
		out = append(out, e)
	}
	return out, nil
}
