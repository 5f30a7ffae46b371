package dfa

import (
	"math"
	"math/bits"
	"regexp/syntax"
)

// An automaton that follows many patterns with gaps like `select.{1,100}?from`
// has a state for every set of gaps it may be in, which are too many. What is
// between the gaps can be followed by few states. So a pattern with gaps is
// looked for in two steps: its pieces, all of which have to be in a text that
// the pattern matches; and where they are, the pattern itself, alone.

const (
	// wide is how many ASCII characters a class has that makes a gap.
	wide = 20
	// long is how often a narrower class may be repeated before it is a gap.
	long = 12
)

// maxVariants is how many expressions one is split into, at most.
const maxVariants = 4

// variants are expressions one of which matches where re does. What may be left
// out, and has a gap, is left out in some and not in others: those without gaps
// need no second step, and the pieces of the others say more.
func variants(re *syntax.Regexp) []*syntax.Regexp {
	out := []*syntax.Regexp{re}
	for i := 0; i < len(out); {
		a, b := split(out[i])
		if a == nil || len(out) == maxVariants {
			i++
			continue
		}
		out[i] = a
		out = append(out, b)
	}
	return out
}

// split gives two expressions one of which matches where re does; nil if there
// is no good way to.
func split(re *syntax.Regexp) (a, b *syntax.Regexp) {
	switch re.Op {
	case syntax.OpCapture:
		return split(re.Sub[0])
	case syntax.OpQuest:
		if strength(re.Sub[0]) > 0 && hasGap(re) {
			return emptyMatch, re.Sub[0]
		}
	case syntax.OpStar:
		if strength(re.Sub[0]) > 0 && hasGap(re) {
			return emptyMatch, &syntax.Regexp{Op: syntax.OpPlus, Flags: re.Flags, Sub: re.Sub}
		}
	case syntax.OpConcat:
		for i, s := range re.Sub {
			if a, b = split(s); a != nil {
				return replaced(re, i, a), replaced(re, i, b)
			}
		}
	case syntax.OpAlternate:
		var with, without []*syntax.Regexp
		for _, s := range re.Sub {
			if hasGap(s) {
				with = append(with, s)
			} else {
				without = append(without, s)
			}
		}
		if len(without) > 0 && len(with) > 0 {
			return alternate(without), alternate(with)
		}
	}
	return nil, nil
}

func alternate(list []*syntax.Regexp) *syntax.Regexp {
	if len(list) == 1 {
		return list[0]
	}
	return &syntax.Regexp{Op: syntax.OpAlternate, Sub: list}
}

// replaced is a concatenation with another expression for its ith.
func replaced(re *syntax.Regexp, i int, by *syntax.Regexp) *syntax.Regexp {
	out := *re
	out.Sub = append([]*syntax.Regexp(nil), re.Sub...)
	out.Sub[i] = by
	return &out
}

// pieces are expressions without gaps that each match somewhere in every text
// that re matches. whole says that there is one, and that it is as good as re.
func pieces(re *syntax.Regexp) (list []*syntax.Regexp, whole bool) {
	var p splitter
	whole = p.add(re) && len(p.done) == 0
	p.cut()
	return p.done, whole
}

type splitter struct {
	run  []*syntax.Regexp
	done []*syntax.Regexp
}

// cut ends the piece that is being collected.
func (p *splitter) cut() {
	if len(p.run) > 0 {
		re := trimEdges(&syntax.Regexp{Op: syntax.OpConcat, Sub: p.run})
		if re.Op != syntax.OpEmptyMatch {
			p.done = append(p.done, re)
		}
		p.run = nil
	}
}

// add appends an expression; exact says that nothing of it was left out.
func (p *splitter) add(re *syntax.Regexp) (exact bool) {
	switch {
	case re.Op == syntax.OpCapture:
		return p.add(re.Sub[0])
	case re.Op == syntax.OpConcat:
		exact = true
		for _, s := range re.Sub {
			exact = p.add(s) && exact
		}
		return exact
	case !hasGap(re):
		p.run = append(p.run, re)
		return true
	}
	if re.Op == syntax.OpPlus && re.Sub[0].Op != syntax.OpStar { // at least once
		p.add(re.Sub[0])
		p.cut()
		if last := edge(re, false); last != nil {
			p.run = append(p.run, last)
		}
		return false
	}
	first, last := edge(re, true), edge(re, false)
	if first != nil {
		p.run = append(p.run, first)
	}
	p.cut()
	if last != nil {
		p.run = append(p.run, last)
	}
	return false
}

// hasGap says whether an expression may pass over much of a text.
func hasGap(re *syntax.Regexp) bool {
	switch re.Op {
	case syntax.OpStar, syntax.OpPlus:
		return passes(re.Sub[0], -1)
	case syntax.OpRepeat:
		return passes(re.Sub[0], re.Max-re.Min) || re.Max < 0 && passes(re.Sub[0], -1)
	}
	for _, s := range re.Sub {
		if hasGap(s) {
			return true
		}
	}
	return false
}

// passes says whether up to n of an expression, -1 being any number, are a gap.
func passes(re *syntax.Regexp, n int) bool {
	if hasGap(re) {
		return true
	}
	if n >= 0 && n < 3 {
		return false
	}
	w := width(re)
	return w >= wide || n >= long && w > 1
}

// width is the number of letters and digits that an expression of one character
// takes; of a longer one, the greatest number anywhere in it. What takes none
// does not pass over words.
func width(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpAnyChar, syntax.OpAnyCharNotNL:
		return 62
	case syntax.OpCharClass:
		n := 0
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1] && r < 128; r++ {
				if isWord(r) && r != '_' {
					n++
				}
			}
		}
		return n
	}
	n := 1
	for _, s := range re.Sub {
		n = max(n, width(s))
	}
	return n
}

// Least is a lower bound of the characters of what an expression matches.
func Least(re *syntax.Regexp) int {
	switch re.Op {
	case syntax.OpLiteral:
		return len(re.Rune)
	case syntax.OpCharClass, syntax.OpAnyChar, syntax.OpAnyCharNotNL, syntax.OpNoMatch:
		return 1
	case syntax.OpCapture, syntax.OpPlus:
		return Least(re.Sub[0])
	case syntax.OpRepeat:
		return re.Min * Least(re.Sub[0])
	case syntax.OpConcat:
		n := 0
		for _, s := range re.Sub {
			n += Least(s)
		}
		return n
	case syntax.OpAlternate:
		n := Least(re.Sub[0])
		for _, s := range re.Sub[1:] {
			n = min(n, Least(s))
		}
		return n
	}
	return 0
}

// strength is about how many bits say that a text matches: 5 for a certain
// character, 0 for any.
func strength(re *syntax.Regexp) float64 {
	switch re.Op {
	case syntax.OpLiteral:
		return 4.7 * float64(len(re.Rune))
	case syntax.OpCharClass:
		n := 0
		for i := 0; i < len(re.Rune); i += 2 {
			for r := re.Rune[i]; r <= re.Rune[i+1] && r < 128; r++ {
				n++
			}
		}
		if n == 0 {
			return 8
		}
		return max(0, 4.7-math.Log2(float64(n)))
	case syntax.OpCapture, syntax.OpPlus:
		return strength(re.Sub[0])
	case syntax.OpRepeat:
		return float64(re.Min) * strength(re.Sub[0])
	case syntax.OpAlternate:
		least := math.Inf(1)
		for _, s := range re.Sub {
			least = min(least, strength(s))
		}
		return least
	case syntax.OpConcat:
		sum := 0.0
		for _, s := range re.Sub {
			sum += strength(s)
		}
		return sum
	}
	return 0
}

// edge is what an expression with a gap in it begins or ends with up to the
// gap; nil is nothing.
func edge(re *syntax.Regexp, front bool) *syntax.Regexp {
	switch re.Op {
	case syntax.OpCapture:
		return edge(re.Sub[0], front)
	case syntax.OpPlus:
		if hasGap(re.Sub[0]) {
			return edge(re.Sub[0], front)
		}
		return re.Sub[0]
	case syntax.OpRepeat:
		switch {
		case re.Min == 0:
			return nil
		case hasGap(re.Sub[0]):
			return edge(re.Sub[0], front)
		}
		return &syntax.Regexp{Op: syntax.OpRepeat, Flags: re.Flags, Sub: re.Sub, Min: re.Min, Max: re.Min}
	case syntax.OpAlternate:
		out := &syntax.Regexp{Op: syntax.OpAlternate}
		for _, s := range re.Sub {
			e := s
			if hasGap(s) {
				if e = edge(s, front); e == nil {
					return nil
				}
			}
			out.Sub = append(out.Sub, e)
		}
		return out
	case syntax.OpConcat:
		out := &syntax.Regexp{Op: syntax.OpConcat}
		for i := range re.Sub {
			if !front {
				i = len(re.Sub) - 1 - i
			}
			s := re.Sub[i]
			gap := hasGap(s)
			if gap {
				s = edge(s, front)
			}
			if s != nil {
				if front {
					out.Sub = append(out.Sub, s)
				} else {
					out.Sub = append([]*syntax.Regexp{s}, out.Sub...)
				}
			}
			if gap {
				break
			}
		}
		if len(out.Sub) == 0 {
			return nil
		}
		return out
	}
	return nil // a star
}

// digest is a number that equal expressions share.
func digest(re *syntax.Regexp, h uint64) uint64 {
	const prime = 0x9e3779b97f4a7c15
	h = bits.RotateLeft64((h^uint64(re.Op)<<32^uint64(re.Flags)^uint64(re.Min)<<40^uint64(re.Max)<<48)*prime, 29)
	for _, r := range re.Rune {
		h = bits.RotateLeft64((h^uint64(r))*prime, 29)
	}
	for _, s := range re.Sub {
		h = digest(s, h)
	}
	return h ^ uint64(len(re.Sub))
}
