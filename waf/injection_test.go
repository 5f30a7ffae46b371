package waf

import (
	"math/rand/v2"
	"testing"

	"github.com/corazawaf/libinjection-go"
)

// What is decided without libinjection is decided as it would.
func TestInjectionShortcuts(t *testing.T) {
	pieces := []string{"a", "Z", "_", "0", "9", "or", "union", "select", "sp_password", "e5", "x", "0x1f", "b", "n", "u", "q", "1e", "not", "binary", "int", "distinct", "true",
		"'", "\"", "`", " ", "/", ">", "-", "\x00", "onload", "href", "style", "javascript:", "\t", "&", ";", "!--", "?", "%"}
	r := rand.New(rand.NewPCG(1, 2))
	for range 300000 {
		s := ""
		for range 1 + r.IntN(6) {
			s += pieces[r.IntN(len(pieces))]
		}
		if sql, _ := libinjection.IsSQLi(s); sql != (detectSQLi{}).test(nil, s) {
			t.Fatalf("SQL in %q: got %v", s, !sql)
		}
		if xss := libinjection.IsXSS(s); xss != (detectXSS{}).test(nil, s) {
			t.Fatalf("XSS in %q: got %v", s, !xss)
		}
	}
}

func TestMemoIsPerText(t *testing.T) {
	m := newMemo()
	for range 3 {
		if !m.clean("a b", func(string) bool { return false }) || m.clean("a c", func(string) bool { return true }) {
			t.Fatal("got one text's answer for another")
		}
	}
	if !m.clean("a b", func(string) bool { t.Error("asked again of a known text"); return true }) {
		t.Error("got something in a clean text")
	}
}
