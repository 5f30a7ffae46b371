package dfa

import "testing"

// A pattern that is not words may put the two cases of a letter into classes of
// their own.
func TestWordsBesideCaseSensitivePatterns(t *testing.T) {
	s, err := Compile([]Pattern{{Words: []string{"sqlmap"}}, {Expr: "^a"}}, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"sqlmap", "SQLMAP", "xSqLmApx"} {
		hits := NewBitset(s.Len())
		if s.Scan([]byte(text), hits); !hits.Has(0) {
			t.Errorf("%q: got no match, want sqlmap", text)
		}
	}
}
