package verify

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// An UnknownError is a name that is neither a perimeter nor a control.
type UnknownError struct {
	Name, Nearest string // Nearest may be empty
}

func (e *UnknownError) Error() string {
	s := fmt.Sprintf("%q is neither a perimeter nor a control", e.Name)
	if e.Nearest != "" {
		s += fmt.Sprintf("; did you mean %q?", e.Nearest)
	}
	return s + " (ringwall explain list shows them all)"
}

// Jobs are the controls of the perimeters, in order.
func Jobs(ps []*perimeter.Perimeter) []Job {
	var jobs []Job
	for _, p := range ps {
		for _, c := range p.Controls {
			jobs = append(jobs, Job{p.Number, c})
		}
	}
	return jobs
}

// Probing keeps the controls that can be tried on what runs.
func Probing(jobs []Job) []Job {
	return slices.DeleteFunc(slices.Clone(jobs), func(j Job) bool { return j.Control.Probe == nil })
}

// Checking keeps the controls that can be read from templates.
func Checking(jobs []Job) []Job {
	return slices.DeleteFunc(slices.Clone(jobs), func(j Job) bool { return j.Control.Check == nil })
}

// For leaves out the controls that a site has nothing for.
func For(p *plan.Plan, jobs []Job) []Job {
	return slices.DeleteFunc(slices.Clone(jobs), func(j Job) bool { return !j.Control.For(p) })
}

// Select returns the controls that the names ask for, in the perimeters' order
// and each once: a perimeter's name or number, or a control's id. No names: all.
// An empty list with names given is an error too: it would judge nothing.
func Select(ps []*perimeter.Perimeter, names []string) ([]Job, error) {
	jobs := Jobs(ps)
	if len(names) == 0 {
		return jobs, nil
	}
	want := make([]bool, len(jobs))
	for _, name := range names {
		name = strings.TrimSpace(name)
		known, hit := false, false
		for _, p := range ps {
			known = known || p.Name == name || strconv.Itoa(p.Number) == name
		}
		for i, j := range jobs {
			wall, _, _ := strings.Cut(j.Control.ID, "/")
			if j.Control.ID == name || wall == name || strconv.Itoa(j.Perimeter) == name {
				want[i], hit = true, true
			}
		}
		switch {
		case !known && !hit:
			return nil, &UnknownError{name, Nearest(name, Names(ps))}
		case !hit:
			return nil, fmt.Errorf("perimeter %q has no control to probe", name)
		}
	}
	var out []Job
	for i, j := range jobs {
		if want[i] {
			out = append(out, j)
		}
	}
	return out, nil
}

// Names are what Select takes: the perimeters' names and the controls' ids.
func Names(ps []*perimeter.Perimeter) []string {
	var names []string
	for _, p := range ps {
		names = append(names, p.Name)
		for _, c := range p.Controls {
			names = append(names, c.ID)
		}
	}
	return names
}

// Nearest returns the known name that a misspelled one most likely means, or ""
// when none is near.
func Nearest(name string, known []string) string {
	name = strings.ToLower(name)
	best, distance := "", max(2, len(name)/3)+1
	for _, k := range known {
		if d := edits(name, k); d < distance {
			best, distance = k, d
		}
	}
	if best != "" {
		return best
	}
	// A part of a name is near too: waf means edge/waf-xss.
	if i := slices.IndexFunc(known, func(k string) bool { return len(name) > 2 && strings.Contains(k, name) }); i >= 0 {
		return known[i]
	}
	return ""
}

// edits counts the insertions, deletions, replacements and swaps of neighbours
// between two names.
func edits(a, b string) int {
	prev2, prev, cur := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range prev {
		prev[j] = j
	}
	for i := range len(a) {
		cur[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			cur[j+1] = min(prev[j]+cost, prev[j+1]+1, cur[j]+1)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				cur[j+1] = min(cur[j+1], prev2[j-1]+1)
			}
		}
		prev2, prev, cur = prev, cur, prev2
	}
	return prev[len(b)]
}
