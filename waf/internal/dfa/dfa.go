// Package dfa says which of many patterns match somewhere in a text, reading it
// once. It answers as packages regexp and binaryregexp do, and knows nothing of
// where in the text a match is.
package dfa

import (
	"fmt"
	"regexp/syntax"
)

// A Pattern is a regular expression or a set of words.
type Pattern struct {
	// Expr has the syntax of package regexp, flags included.
	Expr string
	// Words, if not nil, take the place of Expr: the pattern matches a text
	// that contains one of them, ASCII letters in either case. An empty word is in
	// every text.
	Words []string
	// Bytes says that characters are bytes, as in package binaryregexp;
	// otherwise they are UTF-8, and each byte that is not is U+FFFD.
	Bytes bool

	tree *syntax.Regexp
}

func (p Pattern) String() string {
	if p.Words != nil {
		return fmt.Sprintf("%d words", len(p.Words))
	}
	return fmt.Sprintf("%.60q", p.Expr)
}

// Options say how much memory a set may use.
type Options struct {
	// Budget is about how many bytes the states of the set may take;
	// 0 means DefaultBudget. A text that needs more is read more slowly.
	Budget int
}

// DefaultBudget is the budget of a set without one, in bytes.
const DefaultBudget = 8 << 20

// A Set is a number of patterns. It is safe for concurrent use.
type Set struct {
	n      int
	always []int32
	parts  []*lazy
}

// Compile makes a set of patterns; their places are their numbers in answers.
func Compile(patterns []Pattern, o Options) (*Set, error) {
	if o.Budget == 0 {
		o.Budget = DefaultBudget
	}
	s := &Set{n: len(patterns)}
	var groups [2][]Pattern
	var ids [2][]int32
	for i, p := range patterns {
		k := 0
		if p.Bytes {
			k = 1
		}
		groups[k], ids[k] = append(groups[k], p), append(ids[k], int32(i))
	}
	for k, g := range groups {
		if len(g) == 0 {
			continue
		}
		p, err := newProg(g, ids[k])
		if err != nil {
			return nil, err
		}
		d := newLazy(p, o.Budget)
		s.always = append(s.always, d.step.always...)
		s.parts = append(s.parts, d)
	}
	return s, nil
}

// Len is the number of patterns.
func (s *Set) Len() int { return s.n }

// Scan adds to hits, which has room for Len numbers, the patterns that match
// somewhere in b. It returns the work that was done, in bytes read; that is the
// same for the same text, whatever was read before.
func (s *Set) Scan(b []byte, hits Bitset) (work int) {
	for _, h := range s.always {
		hits.Add(int(h))
	}
	for _, d := range s.parts {
		d.scan(b, hits)
		work += len(b)
	}
	return work
}

// Size is the number of states made so far and about the bytes they take.
func (s *Set) Size() (states, bytes int) {
	for _, d := range s.parts {
		n, b := d.size()
		states, bytes = states+n, bytes+b
	}
	return states, bytes
}
