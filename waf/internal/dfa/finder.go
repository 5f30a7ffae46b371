package dfa

import (
	"regexp/syntax"
	"slices"
	"sync/atomic"
	"unicode/utf8"
)

// A Finder says where in a text package regexp finds one expression: where the
// match that it prefers ends, by an automaton whose states keep the order in
// which that package tries; and from there backwards, where the first of the
// matches that end there begins. It is safe for concurrent use.
type Finder struct{ ends, starts *lazy }

const (
	endsBudget   = 512 << 10
	startsBudget = 128 << 10
	// hurry is how many states a search may make in all before it has to have
	// read hurryRatio bytes for each: package regexp costs less than making one.
	hurry      = 512
	hurryRatio = 4
)

// NewFinder makes a finder of a pattern that is an expression. If it is over
// bytes, these are the characters that have their numbers.
func NewFinder(p Pattern) (*Finder, error) {
	re := p.Tree
	if p.Bytes || re == nil {
		var err error
		if re, err = syntax.Parse(p.Expr, syntax.Perl); err != nil {
			return nil, err
		}
	}
	ends, err := newProg([]Pattern{{Expr: p.Expr, Bytes: p.Bytes, tree: re}}, []int32{0})
	if err != nil {
		return nil, err
	}
	starts, err := newProg([]Pattern{{Expr: p.Expr, Bytes: p.Bytes, tree: reversed(re)}}, []int32{0})
	if err != nil {
		return nil, err
	}
	return &Finder{newLazy(ends, endsBudget, newTracker(ends, false)), newLazy(starts, startsBudget, newTracker(starts, true))}, nil
}

// Find returns where the leftmost match in b is, as regexp.FindIndex does; -1, -1
// for none. ok is false if it takes too many states to say; start is then the
// place of a character such that no match begins at it or before it, or -1.
func (f *Finder) Find(b []byte) (start, end int, ok bool) {
	end, read := f.end(b)
	if read >= 0 {
		return f.before(b[:read]), 0, false
	}
	if end < 0 {
		return -1, -1, true
	}
	if start = f.start(b, end); start < 0 {
		return -1, 0, false
	}
	return start, end, true
}

// end returns where the match ends, or -1. If it cannot tell, read is how far it
// came, and otherwise -1.
func (f *Finder) end(b []byte) (end, read int) {
	d, end := f.ends, -1
	c := d.cursor()
	for i := 0; i < len(b); {
		rows, class, at := c.rows, &d.class, c.at
		for ; i < len(b); i++ {
			e := atomic.LoadUint32(&rows[at+uint32(class[b[i]])])
			if int32(e) <= 0 {
				break
			}
			at = e
		}
		if c.at = at; i >= len(b) {
			break
		}
		e, width := c.look(b[i:], i)
		if e == 0 {
			return -1, i
		}
		if int32(e) < 0 { // a match ends before this character
			e, end = -e, i
		}
		if c.at = e; c.dead() {
			return end, -1
		}
		i += width
	}
	e := c.last(len(b))
	if e == 0 {
		return -1, len(b)
	}
	if int32(e) < 0 {
		end = len(b)
	}
	return end, -1
}

// start returns where the first of the matches that end somewhere begins; -1 if
// it cannot tell.
func (f *Finder) start(b []byte, end int) int {
	d, start := f.starts, -1
	c := d.cursor()
	var e uint32
	if end == len(b) {
		e = c.last(0)
	} else {
		e, _ = c.look(b[end:], 0) // what follows the match
	}
	if e == 0 {
		return -1
	}
	c.at = e
	for i := end; i > 0; {
		class, width := d.p.previous(b[:i])
		if e = c.entry(class, end-i); e == 0 {
			return -1
		}
		if int32(e) < 0 {
			e, start = -e, i
		}
		if c.at = e; c.dead() {
			return start
		}
		i -= width
	}
	if e = c.last(end); e == 0 {
		return -1
	}
	if int32(e) < 0 {
		start = 0
	}
	return start
}

// before returns the place of the last character of b at which no match that
// began before it can still go on; -1 for none.
func (f *Finder) before(b []byte) int {
	c, before := f.ends.cursor(), -1
	for i := 0; i < len(b); {
		e, width := c.look(b[i:], i)
		if int32(e) <= 0 {
			break
		}
		if c.at = e; len(c.state().insts) == 0 {
			before = i
		}
		i += width
	}
	return before
}

// look gives the entry for the first character of b, after so many bytes read,
// and its width; 0 if there is none to be had.
func (c *cursor) look(b []byte, read int) (e uint32, width int) {
	class, width := int(c.d.class[b[0]]), 1
	if class == 0 {
		class, width = c.d.p.next(b)
	}
	return c.entry(class, read), width
}

// last gives the entry for the end of the text.
func (c *cursor) last(read int) uint32 { return c.entry(c.d.p.numClass, read) }

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

// dead says whether no match can end any more.
func (c *cursor) dead() bool {
	s := c.state()
	return len(s.insts) == 0 && s.kind&kindDone != 0
}

// previous is the class and the width of the last character of b.
func (p *prog) previous(b []byte) (class, width int) {
	if c := b[len(b)-1]; p.bytes || c < utf8.RuneSelf {
		return int(p.class[c]), 1
	}
	r, width := utf8.DecodeLastRune(b)
	return int(p.classOf(r)), width
}

const (
	// kindDone marks states after which no match may begin.
	kindDone = 1 << 6
	// kindFresh is the state that has not yet seen what follows a match.
	kindFresh = 1 << 5
)

// A tracker computes states in which instructions are in the order in which
// package regexp tries them. One that goes backwards begins only once, and does
// not care for the order. A state's hit says that a match ended before its last
// character.
type tracker struct {
	p         *prog
	backwards bool

	seen, next        marks
	reading, entering []uint32
	insts             []uint32
	hit               bool
	memo              map[uint32]started // what beginning right before a character gives, by kind<<16 | class
}

type started struct {
	insts []uint32
	hit   bool
}

func newTracker(p *prog, backwards bool) *tracker {
	t := &tracker{p: p, backwards: backwards, memo: map[uint32]started{}}
	t.seen.in, t.next.in = make([]uint32, len(p.insts)), make([]uint32, len(p.insts))
	return t
}

func (t *tracker) first() config {
	if t.backwards {
		return config{kind: kindFresh | kindDone}
	}
	return config{kind: t.p.lookback[kindBegin]}
}

func (t *tracker) begin() {
	t.seen.clear()
	t.next.clear()
	t.insts, t.hit = t.insts[:0], false
}

var hitOne = []int32{0}

func (t *tracker) step(from *config, c int) config {
	end := c == t.p.numClass
	kind, before := t.p.lookback[kindBegin], from.kind&^(kindDone|kindFresh)
	if !end {
		kind = t.p.kinds[c]
	}
	done := from.kind & kindDone
	switch {
	case from.kind&kindFresh != 0:
		t.begin()
		t.enter(t.p.starts[0])
	case done != 0:
		t.begin()
		t.read(from.insts, c, assertions(before, kind, end))
	default:
		s := t.started(before, kind, c, end)
		t.begin()
		if !t.read(from.insts, c, assertions(before, kind, end)) {
			for _, pc := range s.insts {
				if t.next.add(pc) {
					t.insts = append(t.insts, pc)
				}
			}
			t.hit = t.hit || s.hit
		}
	}
	if t.backwards {
		slices.Sort(t.insts)
	}
	to := config{kind: kind | done, insts: t.insts}
	if t.hit {
		to.hits, to.late = hitOne, 1
		to.kind |= kindDone
	}
	return to
}

// started is what beginning right before a character gives.
func (t *tracker) started(before, kind uint8, c int, end bool) started {
	k := uint32(before)<<16 | uint32(c)
	s, ok := t.memo[k]
	if !ok {
		t.begin()
		t.read(t.p.starts, c, assertions(before, kind, end))
		s.insts, s.hit = slices.Clone(t.insts), t.hit
		t.memo[k] = s
	}
	return s
}

// read takes instructions over a character, in their order, and says whether one
// matches, so that those after it do not count.
func (t *tracker) read(insts []uint32, c int, hold syntax.EmptyOp) (ends bool) {
	for _, pc := range insts {
		stack := append(t.reading[:0], pc)
		for len(stack) > 0 {
			pc := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !t.seen.add(pc) {
				continue
			}
			ends := false
			switch in := &t.p.insts[pc]; in.op {
			case opAlt:
				stack = append(stack, in.arg, in.out)
			case opEmpty:
				if syntax.EmptyOp(in.arg)&^hold == 0 {
					stack = append(stack, in.out)
				}
			case opMatch:
				t.hit, ends = true, true
			case opRune:
				if t.p.sets[in.arg][c>>6]&(1<<(uint(c)&63)) != 0 {
					ends = t.enter(in.out)
				}
			}
			if ends && !t.backwards {
				t.reading = stack
				return true
			}
		}
		t.reading = stack
	}
	return false
}

// enter adds an instruction that a character leads to, and what follows from it
// whatever the next character is; it says whether that is a match.
func (t *tracker) enter(pc uint32) (ends bool) {
	stack := append(t.entering[:0], pc)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !t.next.add(pc) {
			continue
		}
		switch in := &t.p.insts[pc]; in.op {
		case opAlt:
			stack = append(stack, in.arg, in.out)
		case opMatch:
			t.insts = append(t.insts, pc)
			if !t.backwards {
				t.entering = stack
				return true
			}
		default:
			t.insts = append(t.insts, pc)
		}
	}
	t.entering = stack
	return false
}

// reversed is an expression for what another one matches, read backwards.
func reversed(re *syntax.Regexp) *syntax.Regexp {
	out := *re
	switch re.Op {
	case syntax.OpBeginText:
		out.Op = syntax.OpEndText
	case syntax.OpEndText:
		out.Op = syntax.OpBeginText
	case syntax.OpBeginLine:
		out.Op = syntax.OpEndLine
	case syntax.OpEndLine:
		out.Op = syntax.OpBeginLine
	case syntax.OpLiteral:
		out.Rune = slices.Clone(re.Rune)
		slices.Reverse(out.Rune)
	}
	out.Sub = make([]*syntax.Regexp, len(re.Sub))
	for i, s := range re.Sub {
		out.Sub[i] = reversed(s)
	}
	if re.Op == syntax.OpConcat {
		slices.Reverse(out.Sub)
	}
	return &out
}
