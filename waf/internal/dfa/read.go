package dfa

import "sync/atomic"

// abreast is how many automata read a text at a time. One waits for memory at
// every byte; several wait together.
const abreast = 4

// A cursor is where one automaton is in a text.
type cursor struct {
	d    *lazy
	t    *table
	rows []uint32
	at   uint32 // the row
	made int    // states that the text has cost
	over bool   // there is nothing more to find
}

func (d *lazy) cursor() cursor {
	t := d.table.Load()
	return cursor{d: d, t: t, rows: t.rows, at: t.first}
}

// readAll adds to hits the patterns of automata that match somewhere in b.
func readAll(ds []*lazy, b []byte, hits Bitset) {
	for len(ds) > 0 {
		n := 1
		for n < len(ds) && n < abreast && ds[n].p.bytes == ds[0].p.bytes {
			n++
		}
		readSome(ds[:n], b, hits)
		ds = ds[n:]
	}
}

// readSome is readAll for up to abreast automata, whose characters begin and end
// at the same places.
func readSome(ds []*lazy, b []byte, hits Bitset) {
	if len(b) >= longText && len(ds) <= 2 && ds[0].splits() && ds[len(ds)-1].splits() && readParts(ds, b, hits) {
		return
	}
	if len(ds) == 1 {
		c := ds[0].cursor()
		c.finish(b, 0, hits)
		return
	}
	var cs [abreast]cursor
	n := len(ds)
	for k, d := range ds {
		cs[k] = d.cursor()
	}
	i := 0
	for n > 1 {
		switch n {
		case 2:
			i = advance2(&cs[0], &cs[1], b, i)
		case 3:
			i = advance3(&cs[0], &cs[1], &cs[2], b, i)
		default:
			i = advance4(&cs, b, i)
		}
		if i >= len(b) {
			break
		}
		width := 1
		for k := 0; k < n; {
			w := cs[k].step(b, i, hits)
			if w == 0 || cs[k].over {
				if w == 0 {
					cs[k].giveUp(b, i, hits)
				} else {
					width = w
				}
				n--
				cs[k] = cs[n]
				continue
			}
			width = w
			k++
		}
		i += width
	}
	for k := range n {
		cs[k].finish(b, i, hits)
	}
}

// The advance functions go on as long as all automata know the way and complete
// no pattern. A row is less than 1<<30, so that one less than an entry is negative
// if there is none (0), or if it completes a pattern (negative).

func advance2(c0, c1 *cursor, b []byte, i int) int {
	r0, r1 := c0.rows, c1.rows
	k0, k1 := &c0.d.class, &c1.d.class
	a0, a1 := c0.at, c1.at
	for ; i < len(b); i++ {
		x := b[i]
		e0 := atomic.LoadUint32(&r0[a0+uint32(k0[x])])
		e1 := atomic.LoadUint32(&r1[a1+uint32(k1[x])])
		if int32((e0-1)|(e1-1)) < 0 {
			break
		}
		a0, a1 = e0, e1
	}
	c0.at, c1.at = a0, a1
	return i
}

func advance3(c0, c1, c2 *cursor, b []byte, i int) int {
	r0, r1, r2 := c0.rows, c1.rows, c2.rows
	k0, k1, k2 := &c0.d.class, &c1.d.class, &c2.d.class
	a0, a1, a2 := c0.at, c1.at, c2.at
	for ; i < len(b); i++ {
		x := b[i]
		e0 := atomic.LoadUint32(&r0[a0+uint32(k0[x])])
		e1 := atomic.LoadUint32(&r1[a1+uint32(k1[x])])
		e2 := atomic.LoadUint32(&r2[a2+uint32(k2[x])])
		if int32((e0-1)|(e1-1)|(e2-1)) < 0 {
			break
		}
		a0, a1, a2 = e0, e1, e2
	}
	c0.at, c1.at, c2.at = a0, a1, a2
	return i
}

func advance4(c *[abreast]cursor, b []byte, i int) int {
	r0, r1, r2, r3 := c[0].rows, c[1].rows, c[2].rows, c[3].rows
	k0, k1, k2, k3 := &c[0].d.class, &c[1].d.class, &c[2].d.class, &c[3].d.class
	a0, a1, a2, a3 := c[0].at, c[1].at, c[2].at, c[3].at
	for ; i < len(b); i++ {
		x := b[i]
		e0 := atomic.LoadUint32(&r0[a0+uint32(k0[x])])
		e1 := atomic.LoadUint32(&r1[a1+uint32(k1[x])])
		e2 := atomic.LoadUint32(&r2[a2+uint32(k2[x])])
		e3 := atomic.LoadUint32(&r3[a3+uint32(k3[x])])
		if int32((e0-1)|(e1-1)|(e2-1)|(e3-1)) < 0 {
			break
		}
		a0, a1, a2, a3 = e0, e1, e2, e3
	}
	c[0].at, c[1].at, c[2].at, c[3].at = a0, a1, a2, a3
	return i
}

// step reads the character at b[i] and gives its width; 0 if the text has cost
// too many states, or there is no room for another.
func (c *cursor) step(b []byte, i int, hits Bitset) (width int) {
	class := int(c.d.class[b[i]])
	width = 1
	if class == 0 {
		class, width = c.d.p.next(b[i:])
	}
	e := atomic.LoadUint32(&c.rows[c.at+uint32(class)])
	if e == 0 {
		if c.made++; c.made > patience && c.made > i/strayRatio {
			return 0
		}
		t, made := c.d.entry(c.t, c.at, class)
		if made == 0 {
			return 0
		}
		c.t, c.rows, e = t, t.rows, made
	}
	c.enter(e, hits)
	return width
}

// enter takes an entry.
func (c *cursor) enter(e uint32, hits Bitset) {
	if int32(e) < 0 {
		e = -e
		for _, h := range c.t.states[e/c.d.stride].hits {
			hits.Add(int(h))
		}
		c.over = c.d.lone
	}
	c.at = e
}

// finish reads from b[i] to the end.
func (c *cursor) finish(b []byte, i int, hits Bitset) {
	for {
		rows, class, at := c.rows, &c.d.class, c.at
		for ; i < len(b); i++ {
			e := atomic.LoadUint32(&rows[at+uint32(class[b[i]])])
			if int32(e) <= 0 {
				break
			}
			at = e
		}
		c.at = at
		if i >= len(b) {
			break
		}
		width := c.step(b, i, hits)
		i += width
		if c.over {
			return
		}
		if width > 0 {
			continue
		}
		if c.d.apart != nil {
			c.d.readApart(b, hits)
			return
		}
		if i = c.stray(b, i, hits); c.t == nil {
			return
		}
	}
	e := atomic.LoadUint32(&c.rows[c.at+uint32(c.d.p.numClass)])
	if e == 0 {
		if c.t, e = c.d.entry(c.t, c.at, c.d.p.numClass); e == 0 {
			c.stray(b, len(b), hits)
			return
		}
	}
	c.enter(e, hits)
}

// stray goes on without the table; there is none afterwards if the text is read.
func (c *cursor) stray(b []byte, i int, hits Bitset) int {
	if i, c.t, c.at = c.d.stray(c.t, c.at, b, i, hits); c.t != nil {
		c.rows = c.t.rows
	}
	return i
}

// giveUp reads the rest of a text that takes too many states for others to wait.
func (c *cursor) giveUp(b []byte, i int, hits Bitset) {
	if c.d.apart != nil {
		c.d.readApart(b, hits)
		return
	}
	if i = c.stray(b, i, hits); c.t != nil {
		c.finish(b, i, hits)
	}
}

// readApart reads a text with an automaton for each pattern.
func (d *lazy) readApart(b []byte, hits Bitset) {
	var ds [abreast]*lazy
	n := 0
	for _, s := range d.apart {
		if one := s.automaton(); one == nil {
			hits.Add(int(s.id))
		} else {
			ds[n] = one
			n++
		}
		if n == abreast {
			readAll(ds[:], b, hits)
			n = 0
		}
	}
	readAll(ds[:n], b, hits)
}
