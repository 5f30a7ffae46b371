package dfa

import (
	"regexp/syntax"
	"slices"
)

// kindDone marks states after which no match may begin.
const kindDone = 1 << 5

// A tracker computes states in which instructions are in the order in which
// package regexp tries them. A step's hit says that a match ended before the
// character that was read, and is preferred to those that ended earlier.
type tracker struct {
	p *prog

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

func newTracker(p *prog) *tracker {
	t := &tracker{p: p, memo: map[uint32]started{}}
	t.seen.in, t.next.in = make([]uint32, len(p.insts)), make([]uint32, len(p.insts))
	return t
}

func (t *tracker) first() config { return config{kind: t.p.lookback[kindBegin]} }

func (t *tracker) begin() {
	t.seen.clear()
	t.next.clear()
	t.insts, t.hit = t.insts[:0], false
}

var hitOne = []int32{0}

func (t *tracker) step(from *config, c int) config {
	end := c == t.p.numClass
	kind, before := t.p.lookback[kindBegin], from.kind&^kindDone
	if !end {
		kind = t.p.kinds[c]
	}
	done := from.kind & kindDone
	if done != 0 {
		t.begin()
		t.read(from.insts, c, assertions(before, kind, end))
	} else {
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
			if ends {
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
			t.entering = stack
			return true
		default:
			t.insts = append(t.insts, pc)
		}
	}
	t.entering = stack
	return false
}
