package dfa

import (
	"regexp/syntax"
	"slices"
)

// A config is a state of the automaton: where in the patterns one may be after
// the characters read so far.
type config struct {
	kind  uint8    // of the last character
	insts []uint32 // opEmpty, opRune and opTrie, ascending
	hits  []int32  // patterns that the last character completed, ascending
	late  int      // the first late of hits were waiting for an assertion about it
}

// A stepper computes configs. It is not safe for concurrent use.
type stepper struct {
	p *prog

	seen, next marks
	reading    []uint32 // stacks of instructions to look at
	entering   []uint32
	insts      []uint32
	merged     []uint32 // the other buffer of merge
	late, now  []int32

	start  config            // without its kind
	memo   map[uint32]config // what the starts contribute, by kind<<16 | class
	reacts []uint64          // classes, see reactions
	fresh  bool              // the last step had nothing but what the starts contribute
	always []int32           // patterns that match every text
}

// marks is a set of instructions that is emptied in constant time.
type marks struct {
	gen uint32
	in  []uint32
}

func (m *marks) clear() {
	if m.gen++; m.gen == 0 {
		clear(m.in)
		m.gen = 1
	}
}

func (m *marks) add(pc uint32) bool {
	if m.in[pc] == m.gen {
		return false
	}
	m.in[pc] = m.gen
	return true
}

func newStepper(p *prog) *stepper {
	s := &stepper{p: p, memo: map[uint32]config{}}
	s.seen.in, s.next.in = make([]uint32, len(p.insts)), make([]uint32, len(p.insts))
	s.begin()
	for _, pc := range p.starts {
		s.enter(pc)
	}
	s.always = slices.Clone(s.now)
	s.start = config{insts: slices.Clone(s.finish(0).insts)}
	return s
}

// first is the state before any character.
func (s *stepper) first() config {
	return config{kind: s.p.lookback[kindBegin]}
}

func (s *stepper) begin() {
	s.next.clear()
	s.insts, s.late, s.now = s.insts[:0], s.late[:0], s.now[:0]
}

// enter adds an instruction that is reached by a character, and what follows
// from it whatever the next character is.
func (s *stepper) enter(pc uint32) {
	if s.next.in[pc] == s.next.gen {
		return
	}
	stack := append(s.entering[:0], pc)
	for len(stack) > 0 {
		pc := stack[len(stack)-1]
		stack = stack[:len(stack)-1]
		if !s.next.add(pc) {
			continue
		}
		switch in := &s.p.insts[pc]; in.op {
		case opAlt:
			stack = append(stack, in.arg, in.out)
		case opMatch:
			s.now = append(s.now, in.pat)
		case opTrie:
			n := &s.p.trie[in.arg]
			s.now = append(s.now, n.ends...)
			if len(n.next) > 0 {
				s.insts = append(s.insts, pc)
			}
		default:
			s.insts = append(s.insts, pc)
		}
	}
	s.entering = stack
}

// read takes the instructions of a state over a character of class c.
func (s *stepper) read(insts []uint32, c int, hold syntax.EmptyOp) {
	s.seen.clear()
	stack := s.reading[:0]
	word, bit := c>>6, uint64(1)<<(uint(c)&63)
	for _, pc := range insts {
		if in := &s.p.insts[pc]; in.op == opRune { // as most are
			if s.p.sets[in.arg][word]&bit != 0 {
				s.enter(in.out)
			}
			continue
		}
		stack = append(stack, pc)
		for len(stack) > 0 {
			pc := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !s.seen.add(pc) {
				continue
			}
			switch in := &s.p.insts[pc]; in.op {
			case opAlt:
				stack = append(stack, in.arg, in.out)
			case opEmpty:
				if syntax.EmptyOp(in.arg)&^hold == 0 {
					stack = append(stack, in.out)
				}
			case opMatch:
				s.late = append(s.late, in.pat)
			case opRune:
				if s.p.sets[in.arg][word]&bit != 0 {
					s.enter(in.out)
				}
			case opTrie:
				next := s.p.trie[in.arg].next
				if i, ok := slices.BinarySearchFunc(next, uint16(c), func(e trieEdge, c uint16) int { return int(e.class) - int(c) }); ok {
					s.enter(next[i].inst)
				}
			}
		}
	}
	s.reading = stack
}

// finish gives the state that was entered. What is left of a pattern that has
// just matched is dropped: it could only match again. The slices are the
// stepper's own until cloned.
func (s *stepper) finish(kind uint8) config {
	if len(s.now) > 0 {
		slices.Sort(s.now)
		s.now = slices.Compact(s.now)
		s.insts = slices.DeleteFunc(s.insts, func(pc uint32) bool {
			in := &s.p.insts[pc]
			if in.op == opTrie {
				return false
			}
			_, found := slices.BinarySearch(s.now, in.pat)
			return found
		})
	}
	slices.Sort(s.insts)
	slices.Sort(s.late)
	s.late = slices.Compact(s.late)
	late := len(s.late)
	if len(s.now) > 0 {
		s.late = append(s.late, s.now...)
	}
	return config{kind: kind, insts: s.insts, hits: s.late, late: late}
}

// step is the state after one more character of class c, where numClass is the
// end of the text. The result is valid until the next call.
func (s *stepper) step(from *config, c int) config {
	end := c == s.p.numClass
	kind := uint8(kindOther)
	if !end {
		kind = s.p.kinds[c]
	}
	m := s.fromStart(from.kind, kind, c, end)
	s.begin()
	s.read(from.insts, c, assertions(from.kind, kind, end))
	s.fresh = len(s.insts)+len(s.late)+len(s.now) == 0
	s.merge(m.insts)
	s.late = append(s.late, m.hits[:m.late]...)
	s.now = append(s.now, m.hits[m.late:]...)
	if end {
		kind = kindOther
	}
	return s.finish(kind)
}

// reactions are the classes over which a state's own instructions may lead
// somewhere; nil if over all. The result is valid until the next call.
func (s *stepper) reactions(insts []uint32) []uint64 {
	if s.reacts == nil {
		s.reacts = make([]uint64, (s.p.numClass+64)/64)
	}
	clear(s.reacts)
	s.seen.clear()
	stack := s.reading[:0]
	for _, pc := range insts {
		stack = append(stack, pc)
		for len(stack) > 0 {
			pc := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			if !s.seen.add(pc) {
				continue
			}
			switch in := &s.p.insts[pc]; in.op {
			case opAlt:
				stack = append(stack, in.arg, in.out)
			case opEmpty:
				stack = append(stack, in.out)
			case opMatch:
				return nil
			case opRune:
				for w, classes := range s.p.sets[in.arg] {
					s.reacts[w] |= classes
				}
			case opTrie:
				for _, e := range s.p.trie[in.arg].next {
					s.reacts[e.class>>6] |= 1 << (e.class & 63)
				}
			}
		}
	}
	s.reading = stack
	return s.reacts
}

// merge adds ascending instructions to those that were entered.
func (s *stepper) merge(more []uint32) {
	slices.Sort(s.insts)
	out, own := s.merged[:0], s.insts
	for _, pc := range more {
		for len(own) > 0 && own[0] < pc {
			out, own = append(out, own[0]), own[1:]
		}
		if len(own) == 0 || own[0] != pc {
			out = append(out, pc)
		}
	}
	s.insts, s.merged = append(out, own...), s.insts
}

// fromStart is what beginning every pattern right before the character gives.
func (s *stepper) fromStart(before, kind uint8, c int, end bool) config {
	k := uint32(before)<<16 | uint32(c)
	m, ok := s.memo[k]
	if !ok {
		s.begin()
		s.read(s.start.insts, c, assertions(before, kind, end))
		m = s.finish(kind)
		m.insts, m.hits = slices.Clone(m.insts), slices.Clone(m.hits)
		s.memo[k] = m
	}
	return m
}
