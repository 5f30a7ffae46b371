package main

import "testing"

func TestPairwise(t *testing.T) {
	for _, sizes := range [][]int{{2}, {2, 2}, {3, 2, 4}, {2, 2, 2, 2, 2, 2}, {5, 3, 4, 2, 2, 3}} {
		rows := pairwise(sizes)
		all := 1
		for _, n := range sizes {
			all *= n
		}
		if len(rows) > all {
			t.Errorf("%v: got %d rows, want %d at most", sizes, len(rows), all)
		}
		for f := range sizes {
			for g := f + 1; g < len(sizes); g++ {
				for v := range sizes[f] {
					for w := range sizes[g] {
						found := false
						for _, r := range rows {
							found = found || r[f] == v && r[g] == w
						}
						if !found {
							t.Errorf("%v: %d of %d and %d of %d are in no row", sizes, v, f, w, g)
						}
					}
				}
			}
		}
	}
}
