package dfa

// Ahead makes, once, what the states that texts have made so far lead to over
// some ASCII characters. A text that is like those before it, and not the same,
// then finds most of what it needs.
func (s *Set) Ahead(chars string) {
	s.ahead.Do(func() {
		for _, d := range s.parts {
			d.lookAhead(chars)
		}
	})
}

func (d *lazy) lookAhead(chars string) {
	t := d.table.Load()
	n := t.made
	for i := 1; i < n; i++ {
		row := uint32(i) * d.stride
		for _, c := range []byte(chars) {
			class := int(d.class[c])
			if class == 0 || t.rows[row+uint32(class)] != 0 {
				continue
			}
			var e uint32
			if t, e = d.entry(t, row, class); e == 0 {
				return // there is no room
			}
		}
	}
	for i := 1; i < t.made; i++ {
		d.join(t, uint32(i)*d.stride, chars+" ;&=")
	}
}

// join makes those entries of a row that lead to states that are there.
func (d *lazy) join(t *table, row uint32, chars string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.table.Load() != t {
		return
	}
	from := &t.states[row/d.stride]
	for _, ch := range []byte(chars) {
		class := int(d.class[ch])
		at := &t.rows[row+uint32(class)]
		if class == 0 || *at != 0 {
			continue
		}
		c := d.step.step(from, class)
		if next, ok := d.known[string(d.keyOf(&c))]; ok {
			d.enter(t, row, class, next, len(c.hits) > 0)
		}
	}
}
