package waf

import "unsafe"

// An arena holds the texts that live as long as a transaction.
type arena struct {
	slab []byte
	used int
	more [][]byte // full slabs that texts still point into
}

const (
	firstSlab = 16 << 10
	keepSlab  = 1 << 20 // larger ones are not kept for the next transaction
)

// alloc returns n bytes of undefined content, whose capacity is n.
func (a *arena) alloc(n int) []byte {
	if n > len(a.slab)-a.used {
		a.grow(n)
	}
	b := a.slab[a.used : a.used+n : a.used+n]
	a.used += n
	return b
}

// room returns a buffer of at least n bytes' capacity to append to; keep says how
// much of it was used.
func (a *arena) room(n int) []byte {
	if n > len(a.slab)-a.used {
		a.grow(n)
	}
	return a.slab[a.used:a.used:len(a.slab)]
}

// keep claims b, the result of appending to room's buffer. A result that outgrew
// the buffer lies elsewhere and needs no claim.
func (a *arena) keep(b []byte) {
	if len(b) > 0 && len(a.slab) > a.used && unsafe.SliceData(b) == unsafe.SliceData(a.slab[a.used:]) {
		a.used += len(b)
	}
}

func (a *arena) grow(n int) {
	size := max(firstSlab, 2*len(a.slab), n)
	if a.slab != nil {
		a.more = append(a.more, a.slab)
	}
	a.slab, a.used = make([]byte, size), 0
}

func (a *arena) reset() {
	a.used = 0
	clear(a.more)
	a.more = a.more[:0]
	if len(a.slab) > keepSlab {
		a.slab = nil
	}
}

// lower returns s in lower case.
func (a *arena) lower(s string) string {
	for i := 0; i < len(s); i++ {
		if c := s[i]; c >= 'A' && c <= 'Z' || c >= 0x80 {
			return a.lowerFrom(s, i)
		}
	}
	return s
}

func (a *arena) lowerFrom(s string, i int) string {
	b := a.alloc(len(s))
	copy(b, s[:i])
	for ; i < len(s); i++ {
		c := s[i]
		if c >= 0x80 {
			return lowerUnicode(s)
		}
		if c >= 'A' && c <= 'Z' {
			c += 'a' - 'A'
		}
		b[i] = c
	}
	return text(b)
}

// join concatenates texts.
func (a *arena) join(parts ...string) string {
	n := 0
	for _, p := range parts {
		n += len(p)
	}
	b := a.alloc(n)[:0]
	for _, p := range parts {
		b = append(b, p...)
	}
	return text(b)
}

// copy copies bytes into the arena.
func (a *arena) copy(src []byte) string {
	b := a.alloc(len(src))
	copy(b, src)
	return text(b)
}

// text is b as a string, without a copy: b must not change any more.
func text(b []byte) string { return unsafe.String(unsafe.SliceData(b), len(b)) }

// raw is s as bytes, without a copy: they must not be written to.
func raw(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
