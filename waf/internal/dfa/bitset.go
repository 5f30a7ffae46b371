package dfa

import "math/bits"

// A Bitset is a set of small numbers. Its length in words is fixed by NewBitset.
type Bitset []uint64

// NewBitset returns an empty set of the numbers below n.
func NewBitset(n int) Bitset { return make(Bitset, (n+63)/64) }

// Add puts i into the set.
func (b Bitset) Add(i int) { b[i>>6] |= 1 << (uint(i) & 63) }

// Has says whether i is in the set.
func (b Bitset) Has(i int) bool { return b[i>>6]&(1<<(uint(i)&63)) != 0 }

// Or adds the members of c, which is no longer than b.
func (b Bitset) Or(c Bitset) {
	for i, w := range c {
		b[i] |= w
	}
}

// Within says whether all members are members of c, which is as long.
func (b Bitset) Within(c Bitset) bool {
	for i, w := range b {
		if w&^c[i] != 0 {
			return false
		}
	}
	return true
}

// Clear empties the set.
func (b Bitset) Clear() { clear(b) }

// Empty says whether the set has no member.
func (b Bitset) Empty() bool {
	for _, w := range b {
		if w != 0 {
			return false
		}
	}
	return true
}

// Count is the number of members.
func (b Bitset) Count() int {
	n := 0
	for _, w := range b {
		n += bits.OnesCount64(w)
	}
	return n
}

// Next returns the least member that is i or more, or -1.
func (b Bitset) Next(i int) int {
	for k := i >> 6; k < len(b); k++ {
		w := b[k]
		if k == i>>6 {
			w &= ^uint64(0) << (uint(i) & 63)
		}
		if w != 0 {
			return k<<6 + bits.TrailingZeros64(w)
		}
	}
	return -1
}
