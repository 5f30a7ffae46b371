package dfa

import "testing"

// TestLongTexts reads texts in parts whose seams lie in what the patterns are
// about, and some that no part can begin in the middle of.
func TestLongTexts(t *testing.T) {
	r, c := seeded(t), newComparer(t)
	plain := []string{"a", "b", "o", " ", "-", "y", "_", "é", "€"}
	for range 300 {
		var b []byte
		fill := plain
		switch r.IntN(4) {
		case 0:
			fill = plain[r.IntN(len(plain)):][:1]
		case 1:
			fill = plain[:3]
		}
		for n := longText + r.IntN(3000); len(b) < n; {
			if r.IntN(200) == 0 {
				b = append(b, hardString(r)...)
			}
			b = append(b, fill[r.IntN(len(fill))]...)
		}
		c.compare(t, b)
	}
	whole, torn := uint32(0), uint32(0)
	for _, s := range append(c.single, c.sets["all"]) {
		for _, d := range s.parts {
			whole, torn = whole+d.seams.Load()-d.torn.Load(), torn+d.torn.Load()
		}
	}
	t.Logf("%d texts were read in parts that fit, %d in parts that did not", whole, torn)
	if whole < 1000 || torn < 10 {
		t.Error("want many of both")
	}
}
