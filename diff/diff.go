// Package diff says what the step from one set of templates to another means: who
// gets more access, what becomes reachable, what loses encryption, evidence or data.
// Every change is scored by the written policy in policy.go; what cannot be told
// counts as significant.
package diff

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/template"
)

// A Change is one thing that differs, and what it means.
type Change struct {
	Rule     string   `json:"rule"` // of the policy: data/lost
	Level    Level    `json:"level"`
	Stack    string   `json:"stack"`
	Resource string   `json:"resource,omitempty"` // logical id
	Type     string   `json:"type,omitempty"`
	Path     string   `json:"path,omitempty"`   // of the property: DistributionConfig/WebACLId
	Before   string   `json:"before,omitempty"` // in readable form; empty: nothing
	After    string   `json:"after,omitempty"`
	Words    string   `json:"words"`             // what happens, in a sentence without its subject
	Place    string   `json:"place,omitempty"`   // file:line:column, of the new template where there is one
	Because  []string `json:"because,omitempty"` // properties that make it so
}

// Aspect is the part of a rule's name before the slash: access, reach, encryption,
// logging, data or service.
func (c Change) Aspect() string {
	a, _, _ := strings.Cut(c.Rule, "/")
	return a
}

// An Impact is what CloudFormation does with one resource.
type Impact string

const (
	Create     Impact = "create"
	Update     Impact = "update"
	Replace    Impact = "replace"     // a new one is made, then the old one goes
	MayReplace Impact = "may replace" // the schema says that it depends
	Delete     Impact = "delete"
	Leave      Impact = "leave" // it stays, and no stack knows it any more
)

// A Report is the whole step.
type Report struct {
	Changes []Change          // significant ones first
	Impacts map[string]Impact // by stack/ID; resources that stay as they are are not in it
}

// Significant are the changes that need approval.
func (r *Report) Significant() []Change {
	return slices.DeleteFunc(slices.Clone(r.Changes), func(c Change) bool { return c.Level != Significant })
}

// Digest names exactly these significant changes. An approval holds for one digest.
func (r *Report) Digest() string {
	h := sha256.New()
	for _, c := range r.Significant() {
		for _, s := range []string{c.Rule, c.Stack, c.Resource, c.Type, c.Path, c.Before, c.After, c.Words} {
			fmt.Fprintf(h, "%d:%s,", len(s), s)
		}
	}
	return hex.EncodeToString(h.Sum(nil))[:32]
}

// Compare says what the step means. A nil before is an empty account.
func Compare(before, after *template.Set) *Report {
	c := &comparison{impacts: map[string]Impact{}, because: map[string][]string{}, covered: map[[2]string]bool{}}
	c.before, c.worlds[0] = resources(before)
	c.after, c.worlds[1] = resources(after)
	c.replacements()
	c.access()
	c.reach()
	c.paths()
	c.guarding()
	c.services()
	slices.SortStableFunc(c.changes, func(a, b Change) int {
		return cmp.Or(-cmp.Compare(a.Level, b.Level), cmp.Compare(order(a.Rule), order(b.Rule)),
			cmp.Compare(a.Stack, b.Stack), cmp.Compare(a.Resource, b.Resource), cmp.Compare(a.Path, b.Path), cmp.Compare(a.Words, b.Words))
	})
	return &Report{Changes: c.changes, Impacts: c.impacts}
}

// A comparison is Compare at work.
type comparison struct {
	before, after map[string]*template.Resource // by stack/ID
	worlds        [2]*template.World            // with all of these; nil: nothing
	impacts       map[string]Impact
	because       map[string][]string // of a replacement: the properties
	covered       map[[2]string]bool  // resource and property: their change is written down by a rule of its own
	neighbours    []neighbour
	changes       []Change
}

// resources are all that any decision of the parameters makes, each as the first
// world that has it says: the one with the default values.
func resources(s *template.Set) (map[string]*template.Resource, *template.World) {
	out := map[string]*template.Resource{}
	if s == nil {
		return out, nil
	}
	worlds, _ := s.Worlds()
	w := template.Union(worlds)
	for _, r := range w.Resources {
		out[r.Key()] = r
	}
	return out, w
}

// keys are the resources of both sides, sorted.
func (c *comparison) keys() []string {
	all := maps.Clone(c.before)
	maps.Copy(all, c.after)
	return slices.Sorted(maps.Keys(all))
}

// either returns the new resource, or the old one when there is no new one.
func (c *comparison) either(key string) *template.Resource {
	if r := c.after[key]; r != nil {
		return r
	}
	return c.before[key]
}

// add writes down a change of a resource.
func (c *comparison) add(rule string, r *template.Resource, ch Change) {
	ch.Rule, ch.Level = rule, levelOf(rule)
	if r != nil {
		ch.Stack, ch.Resource, ch.Type = r.Stack.Name, r.ID, r.Type
		if ch.Place == "" {
			ch.Place = r.Place(strings.Split(ch.Path, "/")...).String()
		}
	}
	c.changes = append(c.changes, ch)
}

// canon is a text that two values share exactly when they mean the same.
func canon(v *template.Value) string {
	var b strings.Builder
	writeCanon(&b, v)
	return b.String()
}

func writeCanon(b *strings.Builder, v *template.Value) {
	switch {
	case v.Absent():
		b.WriteString("-")
	case v.Shape == template.List:
		b.WriteByte('[')
		for _, x := range v.Items {
			writeCanon(b, x)
			b.WriteByte(',')
		}
		b.WriteByte(']')
	case v.Shape == template.Map:
		fields := slices.Clone(v.Fields)
		slices.SortStableFunc(fields, func(x, y template.Entry) int { return strings.Compare(x.Name, y.Name) })
		b.WriteByte('{')
		for _, f := range fields {
			if f.Value.Absent() {
				continue
			}
			fmt.Fprintf(b, "%q:", f.Name)
			writeCanon(b, f.Value)
			b.WriteByte(',')
		}
		b.WriteByte('}')
	case v.Text == "" && v.Why() != "":
		fmt.Fprintf(b, "?%q", v.Why())
	default:
		fmt.Fprintf(b, "%q", v.Text)
	}
}

// show is a value in readable form, short enough for a line.
func show(v *template.Value) string {
	if v.Absent() {
		return ""
	}
	return short(line(v))
}

// line is a value in one line, even when it is a program.
func line(v *template.Value) string { return strings.Join(strings.Fields(render(v)), " ") }

func short(s string) string {
	if r := []rune(s); len(r) > 120 {
		s = string(r[:117]) + "..."
	}
	return s
}

// showBoth is show of two values, from a little before the place where they differ when
// that is far from their beginning.
func showBoth(x, y *template.Value) (before, after string) {
	if x.Absent() || y.Absent() {
		return show(x), show(y)
	}
	a, b := []rune(line(x)), []rune(line(y))
	n := 0
	for n < len(a) && n < len(b) && a[n] == b[n] {
		n++
	}
	if n > 80 && n < max(len(a), len(b)) {
		n -= 30
		return short("..." + string(a[n:])), short("..." + string(b[n:]))
	}
	return show(x), show(y)
}

func render(v *template.Value) string {
	var parts []string
	switch {
	case v.Absent():
		return "null"
	case v.Shape == template.List:
		for _, x := range v.Items {
			parts = append(parts, render(x))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case v.Shape == template.Map:
		for _, f := range v.Fields {
			parts = append(parts, f.Name+": "+render(f.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return v.Show()
}
