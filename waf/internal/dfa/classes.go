package dfa

import (
	"math/rand/v2"
	"regexp/syntax"
	"slices"
	"unicode"
	"unicode/utf8"
)

func isWord(r rune) bool {
	return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || r == '_'
}

// classify splits all characters into classes that no instruction tells apart,
// and gives the sets of the instructions as sets of classes.
func (b *builder) classify() {
	b.findLookback()
	limit := rune(unicode.MaxRune)
	cuts := []rune{0, 128}
	if b.bytes {
		limit, cuts = 255, []rune{0}
	}
	for i, s := range b.ranges {
		b.ranges[i] = b.in.narrow(s)
	}
	all := append([]runeRanges(nil), b.ranges...)
	if b.lookback[kindLine] == kindLine {
		all = append(all, runeRanges{'\n', '\n'})
	}
	if b.lookback[kindWord] == kindWord {
		all = append(all, runeRanges{'0', '9', 'A', 'Z', '_', '_', 'a', 'z'})
	}
	for _, s := range all {
		for i := 0; i < len(s); i += 2 {
			cuts = append(cuts, s[i], s[i+1]+1)
		}
	}
	slices.Sort(cuts)
	cuts = slices.Compact(cuts)
	for len(cuts) > 0 && cuts[len(cuts)-1] > limit {
		cuts = cuts[:len(cuts)-1]
	}
	at := func(r rune) int { // the interval of r, or their number
		i, found := slices.BinarySearch(cuts, r)
		if !found && r <= limit {
			i--
		}
		return i
	}
	// Every set has a random number of 128 bits; an interval's signature is
	// the sum of those of the sets that hold it.
	rnd := rand.New(rand.NewPCG(1, 2))
	sig := make([][2]uint64, len(cuts)+1)
	for _, s := range all {
		h := [2]uint64{rnd.Uint64(), rnd.Uint64()}
		for _, r := range merged(s) {
			for _, i := range [2]int{min(at(r[0]), len(cuts)), min(at(r[1]+1), len(cuts))} {
				sig[i][0] ^= h[0]
				sig[i][1] ^= h[1]
			}
		}
	}
	classOf := map[[2]uint64]uint16{}
	byCut := make([]uint16, len(cuts))
	var run [2]uint64
	b.kinds = []uint8{kindOther} // class 0 is no class: it stands for what has to be looked at more closely
	for i := range cuts {
		run[0] ^= sig[i][0]
		run[1] ^= sig[i][1]
		c, ok := classOf[run]
		if !ok {
			c = uint16(len(b.kinds))
			classOf[run] = c
			kind := uint8(kindOther)
			if cuts[i] == '\n' {
				kind = b.lookback[kindLine]
			} else if isWord(cuts[i]) {
				kind = b.lookback[kindWord]
			}
			b.kinds = append(b.kinds, kind)
		}
		byCut[i] = c
	}
	b.numClass = len(b.kinds)
	b.renumber(cuts, byCut)
	words := (b.numClass + 64) / 64
	b.sets = make([][]uint64, len(b.ranges))
	for k, s := range b.ranges {
		set := make([]uint64, words)
		for _, r := range merged(s) {
			for i := at(r[0]); i < len(cuts) && cuts[i] <= r[1]; i++ {
				set[byCut[i]>>6] |= 1 << (byCut[i] & 63)
			}
		}
		b.sets[k] = set
	}
	for c := range 256 {
		switch {
		case c < 128 || b.bytes:
			b.class[c] = byCut[at(rune(c))]
		case c < 0xC2 || c > 0xF4: // no longer character begins so
			b.class[c] = byCut[at(utf8.RuneError)]
		}
	}
	if !b.bytes {
		from := at(128)
		b.bounds, b.classes = cuts[from:], byCut[from:]
	}
	b.layTrie()
}

// frequent are characters in about the order in which texts have more of them.
const frequent = " etaoinsrhldcumpfgwybvkxjqz0123456789-_./=&%+:;,'\"()<>"

// renumber gives the classes of frequent characters the first numbers, so that
// what most texts need of a row of the table is in few lines of the cache.
func (b *builder) renumber(cuts []rune, byCut []uint16) {
	to := make([]uint16, b.numClass)
	kinds := make([]uint8, 1, b.numClass)
	number := func(c uint16) {
		if to[c] == 0 {
			to[c] = uint16(len(kinds))
			kinds = append(kinds, b.kinds[c])
		}
	}
	for _, r := range frequent {
		i, found := slices.BinarySearch(cuts, r)
		if !found {
			i--
		}
		number(byCut[i])
	}
	for i, c := range byCut {
		number(c)
		byCut[i] = to[c]
	}
	b.kinds = kinds
}

// merged gives sorted ranges without overlap.
func merged(s runeRanges) [][2]rune {
	out := make([][2]rune, 0, len(s)/2)
	for i := 0; i < len(s); i += 2 {
		out = append(out, [2]rune{s[i], s[i+1]})
	}
	slices.SortFunc(out, func(x, y [2]rune) int { return int(x[0]) - int(y[0]) })
	k := 0
	for _, r := range out {
		if k > 0 && r[0] <= out[k-1][1]+1 {
			out[k-1][1] = max(out[k-1][1], r[1])
			continue
		}
		out[k] = r
		k++
	}
	return out[:k]
}

// next is the class and the width of the first character of b.
func (p *prog) next(b []byte) (class, width int) {
	if p.bytes || b[0] < utf8.RuneSelf {
		return int(p.class[b[0]]), 1
	}
	r, width := utf8.DecodeRune(b)
	return int(p.classOf(r)), width
}

// classOf is the class of any character.
func (p *prog) classOf(r rune) uint16 {
	if p.bytes || r < 128 {
		return p.class[byte(r)]
	}
	lo, hi := 0, len(p.bounds)
	for hi-lo > 1 {
		m := int(uint(lo+hi) >> 1)
		if p.bounds[m] <= r {
			lo = m
		} else {
			hi = m
		}
	}
	return p.classes[lo]
}

// findLookback sees which assertions there are; a state need not remember what
// none of them asks for.
func (b *builder) findLookback() {
	var flags syntax.EmptyOp
	for _, in := range b.insts {
		if in.op == opEmpty {
			flags |= syntax.EmptyOp(in.arg)
		}
	}
	if flags&(syntax.EmptyBeginLine|syntax.EmptyBeginText) != 0 {
		b.lookback[kindBegin] = kindBegin
	}
	if flags&(syntax.EmptyBeginLine|syntax.EmptyEndLine) != 0 {
		b.lookback[kindLine] = kindLine
	}
	if flags&(syntax.EmptyWordBoundary|syntax.EmptyNoWordBoundary) != 0 {
		b.lookback[kindWord] = kindWord
	}
}

// assertions are those that hold between a character of kind before and one of
// kind after, or the end of the text.
func assertions(before, after uint8, end bool) syntax.EmptyOp {
	var f syntax.EmptyOp
	switch before {
	case kindBegin:
		f |= syntax.EmptyBeginText | syntax.EmptyBeginLine
	case kindLine:
		f |= syntax.EmptyBeginLine
	}
	if end {
		f |= syntax.EmptyEndText | syntax.EmptyEndLine
	} else if after == kindLine {
		f |= syntax.EmptyEndLine
	}
	if (before == kindWord) != (after == kindWord && !end) {
		return f | syntax.EmptyWordBoundary
	}
	return f | syntax.EmptyNoWordBoundary
}
