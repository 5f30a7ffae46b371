// Package cis knows the recommendations of the CIS AWS Foundations Benchmark by
// id: what each is about in our words, what can decide it, and its id in other
// versions. It holds none of the benchmark's own text.
package cis

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
)

// Base is the version whose ids name things here.
const Base = "1.5"

// Versions are those whose ids are known, the base first.
var Versions = []string{Base, "1.4", "2.0", "3.0", "4.0", "5.0", "6.0", "7.0"}

// Who can decide a recommendation.
const (
	ByTemplate = "template" // a template's properties, for what it makes
	ByAccount  = "account"  // a call to a live account
	ByPerson   = "person"   // nobody but a person
)

// A Recommendation is one of version 1.5.0.
type Recommendation struct {
	ID    string // in 1.5.0
	Level string // L1 or L2
	By    string // ByTemplate, ByAccount or ByPerson
	Title string
	Calls string            // what an account is asked
	In    map[string]string // version → id; a version without it is not there
}

//go:embed cis.tsv
var table string

// All are the 63 recommendations of 1.5.0, in order. The ids in other versions were
// matched by title and by the checks that prowler.com gives each, 2026-11-22.
var All = sync.OnceValue(func() []Recommendation {
	lines := strings.Split(strings.TrimSpace(table), "\n")
	head := strings.Split(lines[0], "\t")
	var out []Recommendation
	for _, line := range lines[1:] {
		f := strings.Split(line, "\t")
		r := Recommendation{ID: f[0], Level: f[1], By: f[2], Title: f[3], Calls: f[4], In: map[string]string{Base: f[0]}}
		for i := 5; i < len(f) && i < len(head); i++ {
			if f[i] != "" {
				r.In[head[i]] = f[i]
			}
		}
		out = append(out, r)
	}
	return out
})

// ByID returns a recommendation of 1.5.0, or nil.
func ByID(id string) *Recommendation {
	all := All()
	i := slices.IndexFunc(all, func(r Recommendation) bool { return r.ID == id })
	if i < 0 {
		return nil
	}
	return &all[i]
}

// Rename writes the ids "CIS x.y" of a list in another version's numbers. What that
// version does not have is left out.
func Rename(meets []string, version string) []string {
	var out []string
	for _, m := range meets {
		id, ok := strings.CutPrefix(m, "CIS ")
		r := ByID(id)
		if !ok || r == nil || version == Base {
			out = append(out, m)
			continue
		}
		if n := r.In[version]; n != "" {
			out = append(out, fmt.Sprintf("CIS %s (%s)", n, version))
		}
	}
	return out
}
