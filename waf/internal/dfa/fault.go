//go:build !walldown

package dfa

// faulty says whether this build can lose patterns for a test.
const faulty = false

func (s *Set) note([]Pattern)         {}
func (s *Set) lostPart(int) bool      { return false }
func (s *Set) lose(Bitset)            {}
func (s *Set) lostSplit(*parted) bool { return false }
