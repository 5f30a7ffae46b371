package transform

import (
	"bytes"
	"math/rand/v2"
	"strings"
	"testing"
	_ "unsafe" // for linkname

	_ "github.com/corazawaf/coraza/v3"
)

// theirs are Coraza's transformations, by name in lower case.
//
//go:linkname theirs github.com/corazawaf/coraza/v3/internal/transformations.transformations
var theirs map[string]func(string) (string, bool, error)

func TestEveryTransformationIsHere(t *testing.T) {
	for name := range theirs {
		if _, ok := Lookup(name); !ok {
			t.Errorf("%s: Coraza has it", name)
		}
	}
	if len(theirs) != len(all) {
		t.Errorf("got %d, Coraza has %d", len(all), len(theirs))
	}
}

// compare runs one transformation here and there.
func compare(t *testing.T, tr *Transform, dst, src []byte) []byte {
	t.Helper()
	in := bytes.Clone(src)
	want, wantChanged, err := theirs[strings.ToLower(tr.Name)](string(src))
	if err != nil {
		want, wantChanged = string(src), false
	}
	got, changed := tr.Func(dst, src)
	if string(got) != want || changed != wantChanged {
		t.Fatalf("%s(%q): got %q, %v, want %q, %v", tr.Name, src, got, changed, want, wantChanged)
	}
	if !bytes.Equal(in, src) {
		t.Fatalf("%s(%q) wrote over its source: %q", tr.Name, in, src)
	}
	if Scan(src)&tr.Acts == 0 && (!bytes.Equal(got, src) || changed) {
		t.Fatalf("%s(%q): got %q, %v though there is nothing it acts on", tr.Name, src, got, changed)
	}
	return got
}

var pieces = []string{"%", "+", "%u", "%U00", "%uff21", "%u2019", "%41", "%4", "\\", "\\x41", "\\u0041", "\\u{41}", "\\u{00ff21}", "\\uff21", "\\101", "\\477", "\\78", "\\0",
	"\\000041 ", "\\\n", "\\a", "\\\"", "&lt;", "&lt", "&#x3c;", "&#60", "&ngE;", "&amp;amp;", "&", "&#0;", "A", "Z", "é", "É", "ſ", "K", "İ", "\u0085", "\u00a0", "à", "\xa0", "\x85",
	"\xff", "\xe2\x82", "\ufffd", "\U0001f600", " ", "\t", "\n", "\v", "\f", "\r", "\x00", "/", "//", "/./", "/../", "..", ".", "\\..\\", "C:", ":", "a.txt. ", "::$DATA", "/*", "*/", "<!--", "-->", "--", "-", "#",
	"\"", "'", "^", ",", ";", "(", "QUJD", "QQ==", "Q-_", "=", "4a4B", "zz", "selEct", "0", "7", "f"}

func randomText(r *rand.Rand) []byte {
	var b []byte
	for range r.IntN(8) {
		b = append(b, pieces[r.IntN(len(pieces))]...)
	}
	return b
}

func TestSameAsCoraza(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	for _, p := range append(pieces, "") {
		for _, tr := range all {
			compare(t, tr, nil, []byte(p))
		}
	}
	var dst []byte
	for range 20000 {
		src := randomText(r)
		for _, tr := range all {
			out := compare(t, tr, dst, src)
			if cap(out) > cap(dst) && !Same(out, src) && !bytes.HasPrefix([]byte(tr.Name), []byte("trim")) {
				dst = out[:0]
			}
		}
	}
}

func TestAllocatesNothing(t *testing.T) {
	src := []byte(`a%41+%u0041 \x41\u0041\101 /a/./../b\c:d "x" /* c */ <!-- -- # SELECT;,` + "\x00 é \u00a0 QUJD")
	dst := make([]byte, 0, 1024)
	for _, tr := range all {
		if n := testing.AllocsPerRun(20, func() { tr.Func(dst, src) }); n != 0 {
			t.Errorf("%s: got %v allocations, want none", tr.Name, n)
		}
	}
}

func TestLookup(t *testing.T) {
	if tr, ok := Lookup("URLDECODEUNI"); !ok || tr.Name != "urlDecodeUni" {
		t.Errorf("got %v, %v", tr, ok)
	}
	if _, ok := Lookup("rot13"); ok {
		t.Error("got a transformation that is none")
	}
}

func FuzzSameAsCoraza(f *testing.F) {
	for _, p := range pieces {
		f.Add([]byte(p))
	}
	f.Fuzz(func(t *testing.T, src []byte) {
		dst := make([]byte, 0, 64)
		for _, tr := range all {
			compare(t, tr, dst, src)
		}
	})
}
