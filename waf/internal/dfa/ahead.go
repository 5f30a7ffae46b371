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
	for i, n := 1, t.made; i < n; i++ {
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
}
