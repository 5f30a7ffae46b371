package dfa

import (
	"sync/atomic"
	"unicode/utf8"
)

// A long text that one or two automata read is read in parts at a time, for the
// reason that several automata read a text at a time. A part but the first begins
// a little before its seam, as if nothing had begun before: it finds nothing that
// is not there, and mostly is in the right state at its seam. Where it is not,
// the part before reads on to the end.

const (
	longText = 1024 // bytes of a text that is worth it
	lead     = 64   // bytes that a part reads before its seam
)

// A part is a stretch of a text and the cursor that reads it.
type part struct {
	cursor
	i, end int
	seam   int    // what comes before it belongs to another part
	due    uint32 // the row at the seam
	epoch  int    // of the table that due is a row of
}

// readParts is readSome for long texts. It is false if it could not read the text;
// what it added to hits is right all the same.
func readParts(ds []*lazy, b []byte, hits Bitset) bool {
	each := abreast / len(ds)
	size := (len(b) + (each-1)*lead) / each
	var ps [abreast]part
	for k := 1; k < each; k++ {
		from := k * (size - lead)
		p := &ps[k]
		if p.i, p.seam = boundary(b, from), boundary(b, from+lead); p.i < 0 || p.seam < 0 {
			return false
		}
		ps[k-1].end = p.seam
	}
	ps[each-1].end = len(b)
	copy(ps[each:], ps[:each]) // of the second automaton, if there are two
	for k := range ps {
		p, d := &ps[k], ds[k/each]
		if p.cursor = d.cursor(); p.seam == 0 {
			continue
		}
		if p.t, p.at = d.middle(p.t, b[p.i-1]); p.t == nil {
			return false
		}
		p.rows = p.t.rows
	}
	if !readAbreast(&ps, b, hits) {
		return false
	}
	for k, d := range ds {
		d.sew(ps[k*each:][:each], b, hits)
	}
	return true
}

// sew sees to it that the parts of a text were read as one.
func (d *lazy) sew(ps []part, b []byte, hits Bitset) {
	last := len(ps) - 1
	d.seams.Add(1)
	for k := range last {
		if p, next := &ps[k], &ps[k+1]; p.at != next.due || p.t.epoch != next.epoch {
			d.torn.Add(1)
			last = k
			break
		}
	}
	ps[last].finish(b, ps[last].i, hits)
}

// splits says whether reading in parts mostly saves what it costs.
func (d *lazy) splits() bool {
	return d.plain != nil && 4*d.torn.Load() <= d.seams.Load()+16
}

// boundary is the first place from i on where a character of ASCII ends; negative
// if there is none near.
func boundary(b []byte, i int) int {
	for end := i + 16; i < end; i++ {
		if b[i-1] < utf8.RuneSelf {
			return i
		}
	}
	return -1
}

// middle is the state after a character of ASCII when nothing has begun before.
// There is no table if there is no room.
func (d *lazy) middle(t *table, before byte) (*table, uint32) {
	class, _ := d.p.next([]byte{before})
	kind := d.p.kinds[class]
	if row := atomic.LoadUint32(&t.middles[kind]); row != 0 {
		return t, row
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	t = d.table.Load()
	c := config{kind: kind}
	row, ok := d.known[string(d.keyOf(&c))]
	if !ok {
		if t, ok = d.room(t); !ok {
			return nil, 0
		}
		row = d.addState(t, &c)
	}
	atomic.StoreUint32(&t.middles[kind], row)
	return t, row
}

// readAbreast reads every part to its end. It is false where a text takes too many
// states.
func readAbreast(ps *[abreast]part, b []byte, hits Bitset) bool {
	for on := true; on; {
		stopped := advanceParts(ps, b)
		for k := range ps {
			p := &ps[k]
			if stopped && p.i < p.stop() && !p.one(b, hits) {
				return false
			}
			p.pass()
			on = on && p.i < p.end
		}
	}
	for k := range ps {
		p := &ps[k]
		for p.i < p.end {
			if !p.one(b, hits) {
				return false
			}
			p.pass()
		}
	}
	return true
}

// stop is where a part is to be looked at next.
func (p *part) stop() int {
	if p.i < p.seam {
		return p.seam
	}
	return p.end
}

// pass notes the state at the seam.
func (p *part) pass() {
	if p.i == p.seam {
		p.due, p.epoch = p.at, p.t.epoch
	}
}

// one reads a character.
func (p *part) one(b []byte, hits Bitset) bool {
	width := p.step(b, p.i, hits)
	p.i += width
	return width > 0
}

// advanceParts goes on like advance4, each part in its own place, until one comes
// to its stop or it has stopped because a step is not that simple.
func advanceParts(ps *[abreast]part, b []byte) (stopped bool) {
	p0, p1, p2, p3 := &ps[0], &ps[1], &ps[2], &ps[3]
	n := min(p0.stop()-p0.i, p1.stop()-p1.i, p2.stop()-p2.i, p3.stop()-p3.i)
	b0, b1, b2, b3 := b[p0.i:][:n], b[p1.i:][:n], b[p2.i:][:n], b[p3.i:][:n]
	r0, r1, r2, r3 := p0.rows, p1.rows, p2.rows, p3.rows
	k0, k1, k2, k3 := &p0.d.class, &p1.d.class, &p2.d.class, &p3.d.class
	a0, a1, a2, a3 := p0.at, p1.at, p2.at, p3.at
	i := 0
	for ; i < n; i++ {
		e0 := atomic.LoadUint32(&r0[a0+uint32(k0[b0[i]])])
		e1 := atomic.LoadUint32(&r1[a1+uint32(k1[b1[i]])])
		e2 := atomic.LoadUint32(&r2[a2+uint32(k2[b2[i]])])
		e3 := atomic.LoadUint32(&r3[a3+uint32(k3[b3[i]])])
		if int32((e0-1)|(e1-1)|(e2-1)|(e3-1)) < 0 {
			break
		}
		a0, a1, a2, a3 = e0, e1, e2, e3
	}
	p0.at, p1.at, p2.at, p3.at = a0, a1, a2, a3
	p0.i, p1.i, p2.i, p3.i = p0.i+i, p1.i+i, p2.i+i, p3.i+i
	return i < n
}
