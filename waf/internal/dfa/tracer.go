package dfa

import "sync/atomic"

// A Tracer says where in a long text the first match of one pattern may begin, so
// that a search for its groups need not read all that is before.
type Tracer struct{ d *lazy }

// NewTracer makes a tracer of a pattern that is an expression over characters.
func NewTracer(p Pattern) (*Tracer, error) {
	re, err := p.parsed()
	if err != nil {
		return nil, err
	}
	// The whole of it: a Set looks for less, which may begin later.
	d, err := newPart(group{[]Pattern{{Expr: p.Expr, tree: re}}, []int32{0}}, singleBudget(Options{Budget: 1 << 20}))
	if err != nil {
		return nil, err
	}
	return &Tracer{d}, nil
}

// Before returns the place of a character of b, such that no match begins at it
// or before it; -1 if there may be one at the very beginning.
func (t *Tracer) Before(b []byte) int {
	d := t.d
	c := d.cursor()
	before := -1
	if len(d.step.always) > 0 {
		return before
	}
	for i := 0; i < len(b); {
		class, width := int(d.class[b[i]]), 1
		if class == 0 {
			class, width = d.p.next(b[i:])
		}
		e := atomic.LoadUint32(&c.rows[c.at+uint32(class)])
		if e == 0 {
			table, made := d.entry(c.t, c.at, class)
			if made == 0 {
				return before
			}
			c.t, c.rows, e = table, table.rows, made
		}
		if int32(e) < 0 {
			return before // a match ends here, or ended before this character
		}
		c.at = e
		if len(c.t.states[e/d.stride].insts) == 0 {
			before = i // nothing that began so far can go on
		}
		i += width
	}
	return before
}
