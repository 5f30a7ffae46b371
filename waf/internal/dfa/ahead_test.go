package dfa

import (
	"math/rand/v2"
	"slices"
	"testing"
)

func TestAhead(t *testing.T) {
	patterns := []Pattern{{Expr: `(?i)\bselect\b.{1,9}\bfrom\b`}, {Expr: `^a+b|c$`}, {Expr: `x[^y]*z`}, {Words: []string{"union", "sleep"}}, {Expr: `(?m)^on\w+=`}}
	early, late := compile(t, patterns, Options{}), compile(t, patterns, Options{})
	r := rand.New(rand.NewPCG(4, 4))
	text := func() []byte {
		b := make([]byte, r.IntN(40))
		for i := range b {
			b[i] = "aabcselctfromxyzunionsleep \n=.S"[r.IntN(31)]
		}
		return b
	}
	for range 20 {
		early.Scan(text(), NewBitset(len(patterns)))
	}
	before, _ := early.Size()
	early.Ahead("abcdefghijklmnopqrstuvwxyz ")
	after, _ := early.Size()
	if after <= before {
		t.Errorf("looking ahead: got %d states, before %d, want more", after, before)
	}
	early.Ahead("0123456789")
	if n, _ := early.Size(); n != after {
		t.Errorf("looking ahead again: got %d states, want %d as before", n, after)
	}
	for range 3000 {
		b := text()
		got, want := NewBitset(len(patterns)), NewBitset(len(patterns))
		early.Scan(b, got)
		late.Scan(b, want)
		if !slices.Equal(got, want) {
			t.Fatalf("%q: got %b having looked ahead, want %b", b, got, want)
		}
	}
}
