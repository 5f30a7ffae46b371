// Package body takes request bodies apart into what rules look at: forms,
// multipart forms, JSON and XML. It reads each in time proportional to its
// length, within limits, and agrees with Coraza 3.8 on what is in one.
package body

import "fmt"

// Limits bound what a body may make of itself; 0 is no limit.
type Limits struct {
	Args   int   // fields; what comes after is not looked at, and said to be missing
	Depth  int   // of values within values in JSON and XML
	Parts  int   // of a multipart body
	Files  int   // parts that are files
	Fields int64 // bytes of a multipart body that are not in files
}

// A LimitError says that a body is more than its limits allow.
type LimitError struct {
	What      string // "parts", "files", …
	Got, Want int64  // Got is a lower bound
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("reading the body: got %d %s, want %d or fewer", e.Got, e.What, e.Want)
}

// A Buffer holds decoded bytes until Reset. The zero value is ready.
type Buffer struct {
	free []byte
	kept [][]byte

	path   []byte // scratch of JSON
	levels []uint64
}

const bufferSize = 4 << 10

// take returns a slice of length 0 and capacity n.
func (b *Buffer) take(n int) []byte {
	if n > len(b.free) {
		b.free = make([]byte, max(n, bufferSize))
		b.kept = append(b.kept, b.free)
	}
	out := b.free[0:0:n]
	b.free = b.free[n:]
	return out
}

// back returns what the last take did not use.
func (b *Buffer) back(n int, used []byte) {
	if rest := n - len(used); rest > 0 && cap(used) == n {
		whole := b.kept[len(b.kept)-1]
		at := len(whole) - len(b.free) - rest
		b.free = whole[at:]
	}
}

// Reset makes the memory ready for the next body; slices of the last one must
// not be used any more. The largest block is kept.
func (b *Buffer) Reset() {
	b.free = nil
	for _, k := range b.kept {
		if len(k) > len(b.free) && len(k) <= 1<<20 {
			b.free = k
		}
	}
	if cap(b.path) > 1<<16 {
		b.path = nil
	}
	b.kept = b.kept[:0]
	if b.free != nil {
		b.kept = append(b.kept, b.free)
	}
}
