package dfa

import (
	"regexp/syntax"
	"slices"
)

const (
	// kindEnd marks states after the last character of a text.
	kindEnd = 1 << 5
	// kindHere marks states of a place at which a match ends.
	kindHere = 1 << 6
	// kindFresh marks the state before the place where a match ends.
	kindFresh = 1 << 7
)

// A retracer computes the states of reading backwards: the instructions that can
// read the character that follows and from which a match can end. The kind of a
// state is that of this character. A step's hit says that a match begins after
// the character that was read. Matches end everywhere, or at one place; the
// character after that one is then read first.
type retracer struct {
	p       *prog
	one     bool
	from    [][]uint32 // of each instruction, those that lead to it
	matches []uint32

	seen, next marks
	stack      []uint32
	insts      []uint32
	hit        bool
	memo       map[uint32]config // what matches that end right after a character give, by kind<<16 | class
}

func newRetracer(p *prog, one bool) *retracer {
	n := len(p.insts)
	t := &retracer{p: p, one: one, from: make([][]uint32, n), memo: map[uint32]config{}, seen: marks{in: make([]uint32, n)}, next: marks{in: make([]uint32, n)}}
	for pc, in := range p.insts {
		if in.op == opMatch {
			t.matches = append(t.matches, uint32(pc))
			continue
		}
		t.from[in.out] = append(t.from[in.out], uint32(pc))
		if in.op == opAlt && in.arg != in.out {
			t.from[in.arg] = append(t.from[in.arg], uint32(pc))
		}
	}
	return t
}

func (t *retracer) first() config {
	if t.one {
		return config{kind: kindFresh}
	}
	return config{kind: kindEnd | kindHere}
}

func (t *retracer) step(from *config, c int) config {
	kind := uint8(kindBegin)
	if c < t.p.numClass {
		kind = t.p.kinds[c]
	}
	here := uint8(kindHere)
	if t.one {
		here = 0
	}
	if from.kind&kindFresh != 0 {
		if c == t.p.numClass {
			return config{kind: kindEnd | kindHere}
		}
		return config{kind: kind | kindHere}
	}
	after := from.kind &^ (kindEnd | kindHere)
	hold := assertions(kind, after, from.kind&kindEnd != 0)
	if from.kind&kindHere == 0 {
		t.read(from.insts, c, hold)
		return t.state(kind)
	}
	k := uint32(from.kind)<<16 | uint32(c)
	m, ok := t.memo[k]
	if !ok {
		t.read(t.matches, c, hold)
		m.insts = slices.Clone(t.insts)
		if t.hit {
			m.hits = hitOne
		}
		t.memo[k] = m
	}
	t.read(from.insts, c, hold)
	for _, pc := range m.insts {
		if t.next.add(pc) {
			t.insts = append(t.insts, pc)
		}
	}
	t.hit = t.hit || len(m.hits) > 0
	return t.state(kind | here)
}

// state is what was read.
func (t *retracer) state(kind uint8) config {
	slices.Sort(t.insts)
	to := config{kind: kind, insts: t.insts}
	if t.hit {
		to.hits, to.late = hitOne, 1
	}
	return to
}

// read finds the instructions that read a character of class c and lead to others.
func (t *retracer) read(to []uint32, c int, hold syntax.EmptyOp) {
	t.seen.clear()
	t.next.clear()
	t.insts, t.hit = t.insts[:0], false
	stack := append(t.stack[:0], to...)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !t.seen.add(pc) {
			continue
		}
		if pc == t.p.starts[0] {
			t.hit = true
		}
		for _, pc := range t.from[pc] {
			switch in := &t.p.insts[pc]; in.op {
			case opAlt:
				stack = append(stack, pc)
			case opEmpty:
				if syntax.EmptyOp(in.arg)&^hold == 0 {
					stack = append(stack, pc)
				}
			case opRune:
				if c < t.p.numClass && t.p.sets[in.arg][c>>6]&(1<<(uint(c)&63)) != 0 && t.next.add(pc) {
					t.insts = append(t.insts, pc)
				}
			}
		}
	}
	t.stack = stack
}
