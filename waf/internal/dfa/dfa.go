// Package dfa says which of many patterns match somewhere in a text, reading it
// once. It answers as packages regexp and binaryregexp do, and knows nothing of
// where in the text a match is.
package dfa

import (
	"fmt"
	"math"
	"regexp/syntax"
	"sync"
	"sync/atomic"
)

// A Pattern is a regular expression or a set of words.
type Pattern struct {
	// Expr has the syntax of package regexp, flags included.
	Expr string
	// Tree, if not nil, is Expr as Parse gives it. It is not changed.
	Tree *syntax.Regexp
	// Words, if not nil, take the place of Expr: the pattern matches a text
	// that contains one of them, ASCII letters in either case. An empty word is in
	// every text.
	Words []string
	// Bytes says that characters are bytes, as in package binaryregexp;
	// otherwise they are UTF-8, and each byte that is not is U+FFFD.
	Bytes bool

	tree *syntax.Regexp
	in   *Alphabet // nil: texts may have all characters
}

func (p Pattern) String() string {
	if p.Words != nil {
		return fmt.Sprintf("%d words", len(p.Words))
	}
	return fmt.Sprintf("%.60q", p.Expr)
}

// Options say how much memory a set may use.
type Options struct {
	// Budget is about how many bytes the states of the set may take, besides
	// those of patterns that have to be followed alone; 0 is 256 KB and 96 KB
	// for each pattern. A text that needs more is read
	// more slowly, with the same answer.
	Budget int
	// Within, if not nil, says that texts have no other characters: the set is
	// not to be asked about others.
	Within *Alphabet
}

// A Set is a number of patterns. It is safe for concurrent use.
type Set struct {
	n      int
	least  int    // bytes of the shortest text that a pattern matches, at least
	may    Bitset // the patterns that match some text within the alphabet
	always []int32
	parts  []*lazy  // each read for every text
	split  []parted // patterns of which the first part only knows pieces
	words  int      // of a Bitset of patterns and pieces
	sets   sync.Pool
	ahead  sync.Once
}

// A parted pattern is looked for where all its pieces are.
type parted struct {
	pieces []int32 // numbers that the parts give them
	exact  *single
}

// together is how many patterns with gaps, and without a piece that is rare in
// texts, share an automaton.
const together = 4

// rare is the strength of a piece that few texts have.
const rare = 5

// Compile makes a set of patterns; their places are their numbers in answers.
func Compile(patterns []Pattern, o Options) (*Set, error) {
	if o.Budget == 0 {
		o.Budget = 256<<10 + len(patterns)*96<<10
	}
	s := &Set{n: len(patterns), least: math.MaxInt, may: NewBitset(len(patterns))}
	c := compiler{Set: s, next: int32(len(patterns)), known: map[uint64]numbered{}, in: o.Within}
	for i, p := range patterns {
		if err := c.sort(p, int32(i)); err != nil {
			return nil, fmt.Errorf("compiling %v: %w", p, err)
		}
	}
	groups := append([]group{c.first, c.bytes}, c.gaps...)
	for k, g := range groups {
		if len(g.patterns) == 0 {
			continue
		}
		budget := o.Budget / 2
		if k > 0 {
			budget = o.Budget / 4 / (len(groups) - 1)
		}
		d, err := newPart(g, budget)
		if err != nil {
			return nil, err
		}
		if k >= 2 && len(g.ids) > 1 {
			for i := range g.ids {
				d.apart = append(d.apart, &single{pattern: g.patterns[i], id: g.ids[i], budget: singleBudget(o)})
			}
		}
		s.always = append(s.always, d.always...)
		s.parts = append(s.parts, d)
	}
	for i := range s.split {
		s.split[i].exact.budget = singleBudget(o)
	}
	s.note(patterns)
	s.words = len(NewBitset(int(c.next)))
	s.sets.New = func() any { b := NewBitset(int(c.next)); return &b }
	return s, nil
}

// singleBudget is for patterns that are followed alone, of which few are at a
// time: room for some 500 states.
func singleBudget(o Options) int { return min(max(o.Budget/4, 1), 384<<10) }

// A group is patterns that share an automaton, with the numbers it gives them.
type group struct {
	patterns []Pattern
	ids      []int32
}

func (g *group) add(p Pattern, id int32) {
	g.patterns, g.ids = append(g.patterns, p), append(g.ids, id)
}

func newPart(g group, budget int) (*lazy, error) {
	p, err := newProg(g.patterns, g.ids)
	if err != nil {
		return nil, err
	}
	step := newStepper(p)
	d := newLazy(p, budget, step)
	d.always, d.lone = step.always, len(g.ids) == 1
	return d, nil
}

// A single is one pattern, whose automaton is made when it is first needed.
type single struct {
	pattern Pattern
	id      int32
	budget  int
	once    sync.Once
	made    atomic.Pointer[lazy]
}

// automaton is nil if there can be none; to say then that the pattern was found
// is saying too much, which is safe.
func (s *single) automaton() *lazy {
	if d := s.made.Load(); d != nil {
		return d
	}
	s.once.Do(func() {
		if d, err := newPart(group{[]Pattern{s.pattern}, []int32{s.id}}, s.budget); err == nil {
			s.made.Store(d)
		}
	})
	return s.made.Load()
}

func (s *single) size() (states, bytes int) {
	if d := s.made.Load(); d != nil {
		return d.size()
	}
	return 0, 0
}

// A numbered piece is one that patterns, or variants of one, may share.
type numbered struct {
	tree *syntax.Regexp
	id   int32
}

type compiler struct {
	*Set
	in    *Alphabet
	next  int32               // number of the next piece
	known map[uint64]numbered // pieces by their digest
	first group               // words, patterns without gaps, and pieces
	bytes group
	gaps  []group
}

// sort finds the group of a pattern.
func (c *compiler) sort(p Pattern, id int32) error {
	if c.in != nil {
		var ok bool
		var err error
		if p, ok, err = p.within(c.in); !ok || err != nil {
			return err
		}
	}
	c.may.Add(int(id))
	switch {
	case p.Bytes:
		c.least = 0
		c.bytes.add(p, id)
		return nil
	case p.Words != nil:
		for _, w := range p.Words {
			c.least = min(c.least, len(w))
		}
		c.first.add(p, id)
		return nil
	}
	if p.tree == nil {
		var err error
		if p.tree, err = p.parsed(); err != nil {
			return err
		}
	}
	c.least = min(c.least, Least(p.tree)) // no character is shorter than a byte
	all := []*syntax.Regexp{trimEdges(p.tree.Simplify())}
	if c.in != nil && hasGap(all[0]) {
		all = variants(all[0])
	}
	for _, re := range all {
		p.tree = trimEdges(re)
		c.place(p, id)
	}
	return nil
}

// place finds the group of a pattern, or of its pieces.
func (c *compiler) place(p Pattern, id int32) {
	list, whole := pieces(p.tree)
	best := 0.0
	for _, x := range list {
		best = max(best, strength(x))
	}
	switch {
	case whole:
		c.first.add(p, id)
	case best < rare:
		if k := len(c.gaps); k == 0 || len(c.gaps[k-1].ids) == together {
			c.gaps = append(c.gaps, group{})
		}
		c.gaps[len(c.gaps)-1].add(p, id)
	default:
		d := parted{exact: &single{pattern: p, id: id}}
		for _, x := range list {
			if strength(x) < rare {
				continue // it is in most texts
			}
			k := digest(x, 0)
			piece, ok := c.known[k]
			if !ok || !piece.tree.Equal(x) {
				piece = numbered{x, c.next}
				c.known[k] = piece
				c.first.add(Pattern{Expr: p.Expr, tree: x, in: p.in}, c.next)
				c.next++
			}
			d.pieces = append(d.pieces, piece.id)
		}
		c.split = append(c.split, d)
	}
}

// Len is the number of patterns.
func (s *Set) Len() int { return s.n }

// May holds the patterns that match some text: all of them, or those that are
// left within an alphabet. It is not to be changed.
func (s *Set) May() Bitset { return s.may }

// Scan adds to hits, which has room for Len numbers, the patterns that match
// somewhere in b. It returns the work that was done, in bytes read; that is the
// same for the same text, whatever was read before.
func (s *Set) Scan(b []byte, hits Bitset) (work int) {
	for _, h := range s.always {
		hits.Add(int(h))
	}
	if len(b) < s.least {
		return 0
	}
	all := hits
	var few [8]uint64
	if len(s.split) > 0 { // pieces have numbers as well
		if s.words <= len(few) {
			all = few[:s.words]
		} else {
			kept := s.sets.Get().(*Bitset)
			defer s.sets.Put(kept)
			all = *kept
			all.Clear()
		}
	}
	work = len(b) * len(s.parts)
	if faulty {
		for i := range s.parts {
			if !s.lostPart(i) {
				readAll(s.parts[i:i+1], b, all)
			}
		}
	} else {
		readAll(s.parts, b, all)
	}
	if len(s.split) > 0 {
		if s.anyPiece(all) {
			work += s.scanSplit(b, all)
		}
		last := (s.n - 1) >> 6
		hits[:last].Or(all[:last])
		hits[last] |= all[last] & (^uint64(0) >> (63 - uint(s.n-1)&63))
	}
	if faulty {
		s.lose(hits)
	}
	return work
}

// anyPiece says whether a piece was found. Pieces have the numbers after those of
// patterns.
func (s *Set) anyPiece(all Bitset) bool {
	word := s.n >> 6
	if word >= len(all) {
		return false
	}
	found := all[word] >> (uint(s.n) & 63)
	for _, w := range all[word+1:] {
		found |= w
	}
	return found != 0
}

// scanSplit looks for the patterns of which all pieces were found.
func (s *Set) scanSplit(b []byte, all Bitset) (work int) {
	var found [abreast]*lazy
	n := 0
next:
	for i := range s.split {
		p := &s.split[i]
		for _, id := range p.pieces {
			if !all.Has(int(id)) {
				continue next
			}
		}
		if faulty && s.lostSplit(p) {
			continue
		}
		work += len(b)
		d := p.exact.automaton()
		if d == nil {
			all.Add(int(p.exact.id))
			continue
		}
		found[n] = d
		if n++; n == abreast {
			readAll(found[:], b, all)
			n = 0
		}
	}
	readAll(found[:n], b, all)
	return work
}

// Size is the number of states made so far and about the bytes they take.
func (s *Set) Size() (states, bytes int) {
	for _, d := range s.parts {
		n, b := d.size()
		states, bytes = states+n, bytes+b
	}
	for _, d := range s.parts {
		for _, p := range d.apart {
			n, b := p.size()
			states, bytes = states+n, bytes+b
		}
	}
	for _, p := range s.split {
		n, b := p.exact.size()
		states, bytes = states+n, bytes+b
	}
	return states, bytes
}
