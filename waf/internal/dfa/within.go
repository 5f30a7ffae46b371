package dfa

import (
	"regexp/syntax"
	"slices"
	"unicode"

	binsyntax "rsc.io/binaryregexp/syntax"
)

// Most texts have few kinds of characters, and most patterns cannot match without
// others: a quote, a bracket, a slash. A set for texts within an alphabet leaves
// such patterns out, and of the others what needs a character that is not there.
// What is left is a much smaller automaton, with the same answers.

// An Alphabet is a set of ASCII characters.
type Alphabet [128]bool

// within gives a pattern as it is in texts within an alphabet. ok is false if it
// matches none of them.
func (p Pattern) within(a *Alphabet) (_ Pattern, ok bool, err error) {
	if p.Words != nil {
		words := []string{}
		for _, w := range p.Words {
			if a.spells(w) {
				words = append(words, w)
			}
		}
		return Pattern{Expr: p.Expr, Words: words, in: a}, len(words) > 0, nil
	}
	re, err := p.parsed()
	if err != nil {
		return p, false, err
	}
	re = a.restrict(re)
	return Pattern{Expr: p.Expr, tree: re, in: a}, re.Op != syntax.OpNoMatch, nil
}

// Parse gives the expression of a pattern. One over bytes is the same over
// characters as long as all of them are ASCII.
func (p Pattern) Parse() (*syntax.Regexp, error) {
	if !p.Bytes {
		return syntax.Parse(p.Expr, syntax.Perl)
	}
	re, err := binsyntax.Parse(p.Expr, binsyntax.Perl)
	if err != nil {
		return nil, err
	}
	return fromBytes(re), nil
}

func (p Pattern) parsed() (*syntax.Regexp, error) {
	if p.Tree != nil {
		return p.Tree, nil
	}
	return p.Parse()
}

// fromBytes is an expression of package binaryregexp as one of package regexp;
// the two number operations and flags alike.
func fromBytes(re *binsyntax.Regexp) *syntax.Regexp {
	out := &syntax.Regexp{Op: syntax.Op(re.Op), Flags: syntax.Flags(re.Flags), Rune: slices.Clone(re.Rune), Min: re.Min, Max: re.Max, Cap: re.Cap}
	for _, s := range re.Sub {
		out.Sub = append(out.Sub, fromBytes(s))
	}
	return out
}

// has says whether a text may have a character.
func (a *Alphabet) has(r rune) bool { return a == nil || r >= 0 && r < 128 && a[r] }

// spells says whether a word, in either case of each letter, is within a.
func (a *Alphabet) spells(w string) bool {
	for i := range len(w) {
		c := rune(w[i])
		if !a.has(c) && !a.has(unicode.ToLower(c)) && !a.has(unicode.ToUpper(c)) {
			return false
		}
	}
	return true
}

var noMatch, emptyMatch = &syntax.Regexp{Op: syntax.OpNoMatch}, &syntax.Regexp{Op: syntax.OpEmptyMatch}

// restrict is what is left of an expression in texts within a.
func (a *Alphabet) restrict(re *syntax.Regexp) *syntax.Regexp {
	switch re.Op {
	case syntax.OpBeginLine:
		if !a.has('\n') {
			return &syntax.Regexp{Op: syntax.OpBeginText}
		}
	case syntax.OpEndLine:
		if !a.has('\n') {
			return &syntax.Regexp{Op: syntax.OpEndText}
		}
	case syntax.OpLiteral:
		for _, r := range re.Rune {
			ok := a.has(r)
			if re.Flags&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
					ok = ok || a.has(f)
				}
			}
			if !ok {
				return noMatch
			}
		}
	case syntax.OpCharClass:
		return a.class(re.Rune)
	case syntax.OpAnyChar:
		return a.class([]rune{0, 127})
	case syntax.OpAnyCharNotNL:
		return a.class([]rune{0, '\n' - 1, '\n' + 1, 127})
	case syntax.OpCapture:
		return a.restrict(re.Sub[0])
	case syntax.OpStar, syntax.OpQuest, syntax.OpPlus, syntax.OpRepeat:
		s := a.restrict(re.Sub[0])
		if s.Op == syntax.OpNoMatch {
			if re.Op == syntax.OpPlus || re.Op == syntax.OpRepeat && re.Min > 0 {
				return noMatch
			}
			return emptyMatch
		}
		return &syntax.Regexp{Op: re.Op, Flags: re.Flags, Min: re.Min, Max: re.Max, Sub: []*syntax.Regexp{s}}
	case syntax.OpConcat:
		out := &syntax.Regexp{Op: re.Op, Flags: re.Flags}
		for _, s := range re.Sub {
			if s = a.restrict(s); s.Op == syntax.OpNoMatch {
				return noMatch
			}
			out.Sub = append(out.Sub, s)
		}
		return out
	case syntax.OpAlternate:
		out := &syntax.Regexp{Op: re.Op, Flags: re.Flags}
		for _, s := range re.Sub {
			if s = a.restrict(s); s.Op != syntax.OpNoMatch {
				out.Sub = append(out.Sub, s)
			}
		}
		switch len(out.Sub) {
		case 0:
			return noMatch
		case 1:
			return out.Sub[0]
		}
		return out
	}
	return re
}

// class is a class of those characters of the ranges that are in a.
func (a *Alphabet) class(ranges []rune) *syntax.Regexp {
	out := &syntax.Regexp{Op: syntax.OpCharClass}
	for i := 0; i < len(ranges); i += 2 {
		for r := ranges[i]; r <= min(ranges[i+1], 127); r++ {
			if !a.has(r) {
				continue
			}
			if n := len(out.Rune); n > 0 && out.Rune[n-1] == r-1 {
				out.Rune[n-1] = r
			} else {
				out.Rune = append(out.Rune, r, r)
			}
		}
	}
	if len(out.Rune) == 0 {
		return noMatch
	}
	return out
}

// narrow takes out of an instruction's ranges what no text has.
func (a *Alphabet) narrow(ranges runeRanges) runeRanges {
	if a == nil {
		return ranges
	}
	return runeRanges(a.class(ranges).Rune)
}
