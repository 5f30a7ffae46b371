package dfa

import (
	"regexp/syntax"
	"slices"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	binsyntax "rsc.io/binaryregexp/syntax"
)

// A Finder says where in a text package regexp finds one expression and its
// groups, without trying what fails. An automaton whose states keep the order in
// which that package tries says where the match that it prefers ends. One that
// reads backwards from there says where the first of those that end there begins,
// and from which instructions it can be reached on the way; the groups are those
// of going along the first of them. Where the first automaton would need too many
// states, the second one reads the whole text, from any end. A Finder is safe for
// concurrent use.
type Finder struct {
	ends, starts *lazy
	all          func() *lazy
	slots        []int // of each instruction: the place of a group's begin or end that it notes; -1 for none
	size         int   // of a match
	spare        sync.Pool
}

const (
	finderBudget = 384 << 10
	startsBudget = 128 << 10
	// longest is how long a text may be: a search keeps four bytes for each of its.
	longest = 1 << 20
	// hurry is how many states a search may make in all before it has to have
	// read hurryRatio bytes for each: package regexp costs less than making one.
	hurry      = 512
	hurryRatio = 4
	// keepPath is how long a text may be for what a search has kept to be kept.
	keepPath = 16 << 10
)

// NewFinder makes a finder of a pattern that is an expression.
func NewFinder(p Pattern) (*Finder, error) {
	slots, size, err := p.slots()
	if err != nil {
		return nil, err
	}
	if !p.Bytes {
		if p.tree, err = p.parsed(); err != nil {
			return nil, err
		}
	}
	prog, err := newProg([]Pattern{p}, []int32{0})
	if err != nil {
		return nil, err
	}
	back := func(one bool, budget int) *lazy {
		d := newLazy(prog, budget, newRetracer(prog, one))
		if !prog.bytes {
			clear(d.class[utf8.RuneSelf:]) // backwards, these are to be looked at more closely
		}
		return d
	}
	f := &Finder{
		ends:   newLazy(prog, finderBudget, newTracker(prog)),
		starts: back(true, startsBudget),
		all:    sync.OnceValue(func() *lazy { return back(false, finderBudget) }),
		slots:  slots,
		size:   size,
	}
	f.spare.New = func() any { return &search{f: f, seen: marks{in: make([]uint32, len(prog.insts))}} }
	return f, nil
}

// slots are, of each instruction that newProg makes, the place in a match of a
// group's begin or end that it notes, or -1; size is how many places there are.
func (p Pattern) slots() (slots []int, size int, err error) {
	if p.Bytes {
		re, err := binsyntax.Parse(p.Expr, binsyntax.Perl)
		if err != nil {
			return nil, 0, err
		}
		pr, err := binsyntax.Compile(re.Simplify())
		if err != nil {
			return nil, 0, err
		}
		for _, in := range pr.Inst {
			slots = append(slots, slot(in.Op == binsyntax.InstCapture, in.Arg))
		}
		return slots, 2 * (re.MaxCap() + 1), nil
	}
	re, err := p.parsed()
	if err != nil {
		return nil, 0, err
	}
	pr, err := syntax.Compile(re.Simplify())
	if err != nil {
		return nil, 0, err
	}
	for _, in := range pr.Inst {
		slots = append(slots, slot(in.Op == syntax.InstCapture, in.Arg))
	}
	return slots, 2 * (re.MaxCap() + 1), nil
}

func slot(is bool, arg uint32) int {
	if is {
		return int(arg)
	}
	return -1
}

// Find returns what FindSubmatchIndex does, of package regexp or binaryregexp. ok
// is false if it takes too many states to say.
func (f *Finder) Find(b []byte) (m []int, ok bool) {
	if len(b) > longest || faulty { // a set has the faults
		return nil, false
	}
	end, ok := f.end(b)
	if ok && end < 0 {
		return nil, true
	}
	if !ok {
		end = -1
	}
	return f.back(b, end)
}

// back finds a match that ends at end, if that is known, or is -1.
func (f *Finder) back(b []byte, end int) (m []int, ok bool) {
	d := f.starts
	if end < 0 {
		d = f.all()
	}
	s := f.spare.Get().(*search)
	defer s.done()
	s.b, s.end, s.c = b, end, d.cursor()
	start, ok := s.back()
	if !ok || start < 0 {
		return nil, ok
	}
	return s.forth(start), true
}

// end returns where the match ends, or -1. ok is false if it cannot tell.
func (f *Finder) end(b []byte) (end int, ok bool) {
	d, c := f.ends, f.ends.cursor()
	end = -1
	for i := 0; ; {
		rows, class, at := c.rows, &d.class, c.at
		for ; end < 0 && i < len(b); i++ {
			e := atomic.LoadUint32(&rows[at+uint32(class[b[i]])])
			if int32(e) <= 0 {
				break
			}
			at = e
		}
		c.at = at
		what, width := d.p.numClass, 0
		if i < len(b) {
			what, width = d.p.next(b[i:])
		}
		e := c.entry(what, i)
		if e == 0 {
			return -1, false
		}
		if int32(e) < 0 { // a match ends before this character
			e, end = -e, i
		}
		if i == len(b) {
			return end, true
		}
		i += width
		c.at = e
		if end >= 0 && len(c.state().insts) == 0 {
			return end, true // nothing preferred can still match
		}
	}
}

// A search is for the match in one text.
type search struct {
	f    *Finder
	b    []byte
	end  int // of the match; -1 if it may be anywhere
	c    cursor
	path []uint32 // the row at each place, in a table of one epoch
	seen marks
	m    []int
	at   int
	hold syntax.EmptyOp // there, if held
	held bool
}

func (s *search) done() {
	s.b, s.c, s.m = nil, cursor{}, nil
	if cap(s.path) > keepPath {
		s.path = nil
	}
	s.f.spare.Put(s)
}

// back reads the text backwards and returns where the first match begins, -1 for
// none.
func (s *search) back() (start int, ok bool) {
	b, c, d := s.b, &s.c, s.c.d
	epoch := c.t.epoch
	if s.end >= 0 {
		what := d.p.numClass
		if s.end < len(b) {
			what, _ = d.p.next(b[s.end:])
		}
		if c.at = c.entry(what, 0); c.at == 0 || c.t.epoch != epoch {
			return -1, false
		}
		b = b[:s.end]
	}
	if cap(s.path) <= len(b) {
		s.path = make([]uint32, len(b)+1)
	}
	path := s.path[:len(b)+1]
	path[len(b)] = c.at
	start = -1
	for i := len(b); ; {
		rows, class, at := c.rows, &d.class, c.at
		for ; s.end < 0 && i > 0; i-- {
			e := atomic.LoadUint32(&rows[at+uint32(class[b[i-1]])])
			if int32(e) <= 0 {
				break
			}
			at = e
			path[i-1] = at
		}
		c.at = at
		what, width := d.p.numClass, 0
		if i > 0 {
			what, width = d.p.previous(b[:i])
		}
		e := c.entry(what, len(b)-i)
		if e == 0 || c.t.epoch != epoch {
			return -1, false
		}
		if int32(e) < 0 {
			e, start = -e, i
		}
		if i == 0 {
			return start, true
		}
		i -= width
		c.at, path[i] = e, e
		if s.end >= 0 && len(c.state().insts) == 0 {
			return start, true // nothing that began earlier leads to the end
		}
	}
}

// forth follows the match that begins at a place.
func (s *search) forth(start int) []int {
	s.m = make([]int, s.f.size)
	for i := range s.m {
		s.m[i] = -1
	}
	s.m[0] = start
	if s.f.size == 2 && s.end >= 0 {
		s.m[1] = s.end
		return s.m
	}
	p := s.c.d.p
	pc := p.starts[0]
	for s.at = start; ; {
		s.held = false
		s.seen.clear()
		leaf := s.preferred(pc)
		if leaf < 0 || p.insts[leaf].op == opMatch {
			s.m[1] = s.at
			return s.m
		}
		_, width := p.next(s.b[s.at:])
		s.at, pc = s.at+width, p.insts[leaf].out
	}
}

// holds is the assertions that hold where the search is.
func (s *search) holds() syntax.EmptyOp {
	p, before, after := s.c.d.p, uint8(kindBegin), uint8(kindOther)
	if s.at > 0 {
		class, _ := p.previous(s.b[:s.at])
		before = p.kinds[class]
	}
	if s.at < len(s.b) {
		class, _ := p.next(s.b[s.at:])
		after = p.kinds[class]
	}
	return assertions(before, after, s.at == len(s.b))
}

// preferred returns the first instruction that package regexp tries from pc on,
// of those that match or read a character and can still lead to a match; -1 for
// none. On the way there it notes groups.
func (s *search) preferred(pc uint32) int {
	for s.seen.add(pc) {
		in := &s.c.d.p.insts[pc]
		switch in.op {
		case opAlt:
			if k := s.f.slots[pc]; k >= 0 {
				old := s.m[k]
				s.m[k] = s.at
				leaf := s.preferred(in.out)
				if leaf < 0 {
					s.m[k] = old
				}
				return leaf
			}
			if leaf := s.preferred(in.out); leaf >= 0 {
				return leaf
			}
			pc = in.arg
		case opEmpty:
			if !s.held {
				s.hold, s.held = s.holds(), true
			}
			if syntax.EmptyOp(in.arg)&^s.hold != 0 {
				return -1
			}
			pc = in.out
		case opMatch:
			if s.end >= 0 && s.at != s.end {
				return -1
			}
			return int(pc)
		default:
			if _, found := slices.BinarySearch(s.c.t.states[s.path[s.at]/s.c.d.stride].insts, pc); found {
				return int(pc)
			}
			return -1
		}
	}
	return -1
}

// entry gives an entry of the row where the cursor is, after so many bytes read;
// 0 if there is none to be had.
func (c *cursor) entry(class, read int) uint32 {
	e := atomic.LoadUint32(&c.rows[c.at+uint32(class)])
	if e != 0 {
		return e
	}
	if c.made++; c.made > hurry && c.made > read/hurryRatio {
		return 0
	}
	t, e := c.d.entry(c.t, c.at, class)
	if e == 0 { // the table is full; it is given up when that has happened often
		c.d.mu.Lock()
		defer c.d.mu.Unlock()
		c.d.spent(rejoin)
		return 0
	}
	c.t, c.rows = t, t.rows
	return e
}

func (c *cursor) state() *config { return &c.t.states[c.at/c.d.stride] }

// previous is the class and the width of the last character of b.
func (p *prog) previous(b []byte) (class, width int) {
	if c := b[len(b)-1]; p.bytes || c < utf8.RuneSelf {
		return int(p.class[c]), 1
	}
	r, width := utf8.DecodeLastRune(b)
	return int(p.classOf(r)), width
}
