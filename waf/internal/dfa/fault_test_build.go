//go:build walldown

package dfa

import "sync"

const faulty = true

// Fault is what a test takes out of sets, so that it can see that others notice.
// It is set while nothing is scanned.
var Fault struct {
	Pattern func(Pattern) bool        // whether a pattern is never found
	Part    func(s *Set, n int) bool  // whether an automaton of a set is not run
	Split   func(s *Set, id int) bool // whether a pattern with gaps is not looked for
}

var noted struct {
	sync.Mutex
	sets map[*Set][]Pattern
}

func (s *Set) note(patterns []Pattern) {
	noted.Lock()
	defer noted.Unlock()
	if noted.sets == nil {
		noted.sets = map[*Set][]Pattern{}
	}
	noted.sets[s] = patterns
}

func (s *Set) lostPart(n int) bool { return Fault.Part != nil && Fault.Part(s, n) }

func (s *Set) lostSplit(p *parted) bool {
	return Fault.Split != nil && Fault.Split(s, int(p.exact.id))
}

func (s *Set) lose(hits Bitset) {
	if Fault.Pattern == nil {
		return
	}
	for i, p := range noted.sets[s] {
		if Fault.Pattern(p) {
			hits[i>>6] &^= 1 << (i & 63)
		}
	}
}
