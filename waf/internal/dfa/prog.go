package dfa

import (
	"encoding/binary"
	"fmt"
	"regexp/syntax"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	binsyntax "rsc.io/binaryregexp/syntax"
)

// Kinds of the character before a position, as far as assertions tell them apart.
const (
	kindOther = iota
	kindBegin // there is none
	kindLine  // a newline
	kindWord
	numKinds
)

const (
	opAlt   = iota // go on at out and at arg
	opEmpty        // go on at out where the assertions arg hold
	opMatch        // pattern pat has matched
	opRune         // read a character of sets[arg], go on at out
	opTrie         // at node arg of the trie of words
)

type inst struct {
	op       uint8
	pat      int32
	out, arg uint32
}

// A trieNode is a place in words: having read the characters on the way here.
type trieNode struct {
	next []trieEdge
	ends []int32 // patterns of which a word ends here
}

type trieEdge struct {
	class uint16
	inst  uint32
}

// A prog is the nondeterministic automaton of several patterns over classes of
// characters. Class numClass stands for the end of the text.
type prog struct {
	insts  []inst
	starts []uint32
	trie   []trieNode
	bytes  bool // characters are bytes, not UTF-8

	sets     [][]uint64 // each a set of classes
	numClass int
	kinds    []uint8     // of each class
	class    [256]uint16 // of each byte; 0 for the first byte of a longer character
	bounds   []rune      // of the longer characters: bounds[i] starts classes[i]
	classes  []uint16
	lookback [4]uint8 // kinds, with those that no assertion tells apart made one
}

type runeRanges []rune // pairs, both ends within

type builder struct {
	*prog
	in     *Alphabet
	ranges []runeRanges
	known  map[string]uint32
	key    []byte
	words  []word
	chars  map[rune]bool // those that words have a set for
}

// A word is one of a pattern's words, in lower case.
type word struct {
	text string
	id   int32
}

// newProg joins patterns; ids are their numbers outside.
func newProg(patterns []Pattern, ids []int32) (*prog, error) {
	b := &builder{prog: &prog{}, known: map[string]uint32{}}
	for i, p := range patterns {
		if i == 0 {
			b.bytes, b.in = p.Bytes, p.in
		}
		if p.Bytes != b.bytes {
			return nil, fmt.Errorf("joining %v: patterns of bytes and of characters cannot share an automaton", p)
		}
		var err error
		switch {
		case p.Words != nil:
			err = b.addWords(p, ids[i])
		case p.tree != nil:
			err = b.addTree(p.tree, ids[i])
		case p.Bytes:
			err = b.addBytes(p.Expr, ids[i])
		default:
			var re *syntax.Regexp
			if re, err = syntax.Parse(p.Expr, syntax.Perl); err == nil {
				err = b.addTree(trimEdges(re.Simplify()), ids[i])
			}
		}
		if err != nil {
			return nil, fmt.Errorf("compiling %v: %w", p, err)
		}
	}
	b.classify()
	return b.prog, nil
}

func (b *builder) addTree(re *syntax.Regexp, id int32) error {
	pr, err := syntax.Compile(re.Simplify())
	if err != nil {
		return err
	}
	off := uint32(len(b.insts))
	b.starts = append(b.starts, off+uint32(pr.Start))
	b.insts = slices.Grow(b.insts, len(pr.Inst))
	for _, in := range pr.Inst {
		b.add(uint8(in.Op), in.Out, in.Arg, in.Rune, off, id)
	}
	return nil
}

func (b *builder) addBytes(expr string, id int32) error {
	re, err := binsyntax.Parse(expr, binsyntax.Perl)
	if err != nil {
		return err
	}
	pr, err := binsyntax.Compile(re.Simplify())
	if err != nil {
		return err
	}
	off := uint32(len(b.insts))
	b.starts = append(b.starts, off+uint32(pr.Start))
	b.insts = slices.Grow(b.insts, len(pr.Inst))
	for _, in := range pr.Inst {
		b.add(uint8(in.Op), in.Out, in.Arg, in.Rune, off, id)
	}
	return nil
}

// add takes over an instruction of package syntax; both such packages number
// operations and flags alike.
func (b *builder) add(op uint8, out, arg uint32, runes []rune, off uint32, id int32) {
	n := inst{out: out + off, pat: id}
	switch syntax.InstOp(op) {
	case syntax.InstAlt, syntax.InstAltMatch:
		n.op, n.arg = opAlt, arg+off
	case syntax.InstCapture, syntax.InstNop:
		n.op, n.arg = opAlt, out+off
	case syntax.InstEmptyWidth:
		n.op, n.arg = opEmpty, arg
	case syntax.InstMatch:
		n.op = opMatch
	case syntax.InstFail:
		n.op, n.arg = opRune, b.set(runeRanges{})
	case syntax.InstRune, syntax.InstRune1:
		r := runeRanges(runes)
		if len(runes) == 1 {
			r = runeRanges{runes[0], runes[0]}
			if syntax.Flags(arg)&syntax.FoldCase != 0 {
				for f := unicode.SimpleFold(runes[0]); f != runes[0]; f = unicode.SimpleFold(f) {
					r = append(r, f, f)
				}
			}
		}
		n.op, n.arg = opRune, b.set(r)
	case syntax.InstRuneAny:
		n.op, n.arg = opRune, b.set(runeRanges{0, unicode.MaxRune})
	case syntax.InstRuneAnyNotNL:
		n.op, n.arg = opRune, b.set(runeRanges{0, '\n' - 1, '\n' + 1, unicode.MaxRune})
	}
	b.insts = append(b.insts, n)
}

func (b *builder) set(r runeRanges) uint32 {
	b.key = b.key[:0]
	for _, x := range r {
		b.key = binary.LittleEndian.AppendUint32(b.key, uint32(x))
	}
	if i, ok := b.known[string(b.key)]; ok {
		return i
	}
	i := uint32(len(b.ranges))
	b.known[string(b.key)] = i
	b.ranges = append(b.ranges, r)
	return i
}

// addWords puts words into one trie for the whole program: a state then holds
// a handful of places in it, however many words there are.
func (b *builder) addWords(p Pattern, id int32) error {
	for _, w := range p.Words {
		if w == "" {
			off := uint32(len(b.insts))
			b.insts = append(b.insts, inst{op: opMatch, pat: id})
			b.starts = append(b.starts, off)
			continue
		}
		if !p.Bytes && !utf8.ValidString(w) {
			return fmt.Errorf("word %q: got bytes that are not UTF-8, want Bytes set", w)
		}
		w = lowerASCII(w)
		b.words = append(b.words, word{w, id})
		for at := 0; at < len(w); {
			r, n := b.char(w[at:])
			at += n
			if !b.chars[r] {
				if b.chars == nil {
					b.chars = map[rune]bool{}
				}
				b.chars[r] = true
				b.set(foldASCII(r))
			}
		}
	}
	return nil
}

// char is the first character of a word.
func (b *builder) char(s string) (r rune, width int) {
	if b.bytes || s[0] < utf8.RuneSelf {
		return rune(s[0]), 1
	}
	return utf8.DecodeRuneInString(s)
}

func lowerASCII(s string) string {
	b := []byte(s)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return string(b)
}

func foldASCII(r rune) runeRanges {
	if 'a' <= r && r <= 'z' {
		return runeRanges{r, r, r - 'a' + 'A', r - 'a' + 'A'}
	}
	return runeRanges{r, r}
}

// layTrie makes a tree of the words, once classes are known.
func (b *builder) layTrie() {
	if len(b.words) == 0 {
		return
	}
	slices.SortFunc(b.words, func(x, y word) int {
		if c := strings.Compare(x.text, y.text); c != 0 {
			return c
		}
		return int(x.id) - int(y.id)
	})
	b.words = slices.Compact(b.words)
	nodes, before := 1, "" // at most: characters may be longer than a byte
	for _, w := range b.words {
		same := 0
		for same < min(len(before), len(w.text)) && before[same] == w.text[same] {
			same++
		}
		nodes, before = nodes+len(w.text)-same, w.text
	}
	b.trie, b.insts = slices.Grow(b.trie, nodes), slices.Grow(b.insts, nodes)
	b.starts = append(b.starts, b.lay(b.words, 0))
	b.words, b.chars = nil, nil
}

// lay makes the node of sorted words that begin with the same depth bytes.
func (b *builder) lay(words []word, depth int) uint32 {
	k := len(b.trie)
	b.trie = append(b.trie, trieNode{})
	pc := uint32(len(b.insts))
	b.insts = append(b.insts, inst{op: opTrie, arg: uint32(k), pat: -1})
	var ends []int32
	for len(words) > 0 && len(words[0].text) == depth {
		ends, words = append(ends, words[0].id), words[1:]
	}
	var edges []trieEdge
	for len(words) > 0 {
		r, width := b.char(words[0].text[depth:])
		n := 1
		for n < len(words) && words[n].text[depth:min(depth+width, len(words[n].text))] == words[0].text[depth:depth+width] {
			n++
		}
		to := b.lay(words[:n], depth+width)
		words = words[n:]
		for _, c := range [2]rune{r, r - 'a' + 'A'} {
			if c != r && (r < 'a' || r > 'z') || !b.in.has(c) {
				continue
			}
			// Patterns that are not words may tell the two cases apart.
			class := b.classOf(c)
			if !slices.ContainsFunc(edges, func(e trieEdge) bool { return e.class == class }) {
				edges = append(edges, trieEdge{class, to})
			}
		}
	}
	slices.SortFunc(edges, func(x, y trieEdge) int { return int(x.class) - int(y.class) })
	b.trie[k] = trieNode{next: edges, ends: ends}
	return pc
}
