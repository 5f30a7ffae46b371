package dfa

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"

	"rsc.io/binaryregexp"
)

// matcher is the package that a pattern is defined by.
func matcher(t testing.TB, p Pattern) func([]byte) bool {
	t.Helper()
	if p.Words != nil {
		return func(b []byte) bool {
			for _, w := range p.Words {
				if bytes.Contains(asciiLower(b), asciiLower([]byte(w))) {
					return true
				}
			}
			return false
		}
	}
	if p.Bytes {
		re, err := binaryregexp.Compile(p.Expr)
		if err != nil {
			t.Fatal(err)
		}
		return re.Match
	}
	re, err := regexp.Compile(p.Expr)
	if err != nil {
		t.Fatal(err)
	}
	return re.Match
}

func asciiLower(b []byte) []byte {
	b = bytes.Clone(b)
	for i, c := range b {
		if 'A' <= c && c <= 'Z' {
			b[i] = c + 'a' - 'A'
		}
	}
	return b
}

var hardPatterns = []Pattern{
	{Expr: `(?sm)a.*b$`}, {Expr: `(?sm)^foo\b`}, {Expr: `(?i)\bselect\b.{0,5}from`}, {Expr: `(?s)[^a-z]{2,3}x|y\B`},
	{Expr: `(?sm)(?i)k+ſ`}, {Expr: `^$`}, {Expr: `(?sm)^\s*$`}, {Expr: `\Aab?\z`}, {Expr: `(?i)[\x{80}-\x{fff}]z`}, {Expr: `\x{fffd}{2}a`},
	{Expr: ``}, {Expr: `a*`}, {Expr: `(?:a|b*)fo?o+`}, {Expr: `(?m)^(?:a?b){2,3}$`}, {Expr: `[^\x00-\x7f]`}, {Expr: `(?:x{2,4}|\bf)o*`},
	{Expr: `.\b.`}, {Expr: `(?m)$\n^`}, {Expr: `(?:^|\W)k\b`}, {Expr: `[a&&b]`}, {Expr: `(?s).{3}\z`},
	{Words: []string{"select", "foo\n", "fo", "ſ", "éa"}}, {Words: []string{"", "a"}}, {Words: []string{"SeLect f", "K"}}, {Expr: `b[SELT]+c`}, {Expr: `(?s)a.*foo|x[^y]{1,90}select`}, {Expr: `(?s)(?:select.{1,20}?){2}(?:from|\bx[^f]*k)`}, {Words: []string{"zzz", "zz_"}}, {Words: []string{}},
	{Expr: `\xe2\x82[^a]`, Bytes: true}, {Expr: `(?i)\xff\bk`, Bytes: true}, {Expr: `^[\x80-\xff]+$`, Bytes: true}, {Words: []string{"\xff", "\xc3\xa9A"}, Bytes: true},
}

var hardText = []string{"a", "b", "f", "o", "foo", " ", "\n", "select", "FROM", "x", "y", "K", "k", "s", "ſ", "\xff", "é", "z", "_", "\xe2\x82", "\u212a", "\ufffd", "\xed\xa0\x80", "\x00", "€"}

func hardString(r *rand.Rand) []byte {
	var b []byte
	for range r.IntN(9) {
		b = append(b, hardText[r.IntN(len(hardText))]...)
	}
	return b
}

func compile(t testing.TB, ps []Pattern, o Options) *Set {
	t.Helper()
	s, err := Compile(ps, o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func seeded(t testing.TB) *rand.Rand {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	return rand.New(rand.NewPCG(seed, 0))
}

// A comparer asks package regexp, sets of all hard patterns, and a set of each.
type comparer struct {
	sets   map[string]*Set
	single []*Set
	want   []func([]byte) bool
}

func newComparer(t testing.TB) *comparer {
	c := &comparer{sets: map[string]*Set{"all": compile(t, hardPatterns, Options{}), "no memory": compile(t, hardPatterns, Options{Budget: 1})}}
	for i, p := range hardPatterns {
		c.want = append(c.want, matcher(t, p))
		c.single = append(c.single, compile(t, hardPatterns[i:i+1], Options{}))
	}
	return c
}

func (c *comparer) compare(t testing.TB, b []byte) {
	t.Helper()
	right := NewBitset(len(c.want))
	for i, w := range c.want {
		one := NewBitset(1)
		c.single[i].Scan(b, one)
		if w(b) {
			right.Add(i)
		}
		if one.Has(0) != right.Has(i) {
			t.Fatalf("%v on %q: got %v, want %v", hardPatterns[i], b, one.Has(0), right.Has(i))
		}
	}
	for name, s := range c.sets {
		got := NewBitset(s.Len())
		s.Scan(b, got)
		for i, p := range hardPatterns {
			if got.Has(i) != right.Has(i) {
				t.Fatalf("%s: %v on %q: got %v, want %v", name, p, b, got.Has(i), right.Has(i))
			}
		}
	}
}

func TestAgreesWithRegexp(t *testing.T) {
	r, c := seeded(t), newComparer(t)
	for range 20000 {
		c.compare(t, hardString(r))
	}
}

// TestManyReaders shares one small table among 64 goroutines, so that it is
// filled, outgrown and given up while others read it.
func TestManyReaders(t *testing.T) {
	s := compile(t, hardPatterns, Options{Budget: 200 << 10})
	want := make([]func([]byte) bool, len(hardPatterns))
	for i, p := range hardPatterns {
		want[i] = matcher(t, p)
	}
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 1))
			for range 300 {
				b := append(hardString(r), hardString(r)...)
				if r.IntN(40) == 0 {
					b = bytes.Repeat(b, 1+2*longText/(1+len(b))) // read in parts
				}
				got := NewBitset(s.Len())
				s.Scan(b, got)
				for i, w := range want {
					if got.Has(i) != w(b) {
						t.Errorf("%v on %q: got %v", hardPatterns[i], b, got.Has(i))
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// TestManyFinders does so with the tables of a finder.
func TestManyFinders(t *testing.T) {
	p := Pattern{Expr: `(?sm)(a|fo*|\bse)[^x]*?(\w+)\s(k|y.*z)|(x[^f]{2,9})+`}
	find, err := finding(p)
	if err != nil {
		t.Fatal(err)
	}
	f, err := NewFinder(p)
	if err != nil {
		t.Fatal(err)
	}
	f.ends.budget, f.starts.budget, f.all().budget = 40<<10, 20<<10, 40<<10
	var wg sync.WaitGroup
	for g := range 64 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(g), 2))
			for range 200 {
				b := slices.Concat(hardString(r), hardString(r), hardString(r))
				want := find(b)
				got, ok := f.Find(b)
				if again, all := f.back(b, -1); ok && !slices.Equal(got, want) || all && !slices.Equal(again, want) {
					t.Errorf("%v in %q: got %v and %v, want %v", p, b, got, again, want)
					return
				}
			}
		})
	}
	wg.Wait()
}

func TestBudgetHolds(t *testing.T) {
	var ps []Pattern
	for i := range 12 {
		ps = append(ps, Pattern{Expr: fmt.Sprintf(`(?s)%c.{0,%d}%c`, 'a'+i, 20+i, 'm'+i)})
	}
	const budget = 1 << 20
	s := compile(t, ps, Options{Budget: budget})
	r := seeded(t)
	for range 50 {
		var b strings.Builder
		for range 5000 {
			b.WriteByte(byte('a' + r.IntN(26)))
		}
		got := NewBitset(s.Len())
		s.Scan([]byte(b.String()), got)
		for i, p := range ps {
			if w := regexp.MustCompile(p.Expr).MatchString(b.String()); w != got.Has(i) {
				t.Fatalf("%v: got %v, want %v", p, got.Has(i), w)
			}
		}
	}
	if states, n := s.Size(); n > 2*budget {
		t.Errorf("got %d bytes in %d states, want about %d or less", n, states, budget)
	}
}

func TestScanAllocatesNothing(t *testing.T) {
	s := compile(t, hardPatterns, Options{})
	b, hits := []byte("select * from foo where k = 'é'"), NewBitset(s.Len())
	s.Scan(b, hits)
	if n := testing.AllocsPerRun(100, func() { s.Scan(b, hits) }); n != 0 {
		t.Errorf("got %v allocations for a text seen before, want none", n)
	}
}

func TestCompileErrors(t *testing.T) {
	for _, p := range []Pattern{{Expr: `(`}, {Expr: `(`, Bytes: true}, {Words: []string{"\xff"}}} {
		if _, err := Compile([]Pattern{p}, Options{}); err == nil {
			t.Errorf("%v: got no error", p)
		}
	}
}

// found fails unless a finder finds an expression and its groups where its
// package does. It says whether the finder could tell.
func found(t *testing.T, f *Finder, p Pattern, find func([]byte) []int, b []byte) bool {
	t.Helper()
	got, ok := f.Find(b)
	want := find(b)
	if ok && !slices.Equal(got, want) {
		t.Fatalf("%v in %q: got %v, want %v", p, b, got, want)
	}
	if got, ok := f.back(b, -1); ok && !slices.Equal(got, want) {
		t.Fatalf("%v in %q, from any end: got %v, want %v", p, b, got, want)
	}
	return ok
}

// finding is how a pattern's package finds groups.
func finding(p Pattern) (func([]byte) []int, error) {
	if p.Bytes {
		re, err := binaryregexp.Compile(p.Expr)
		if err != nil {
			return nil, err
		}
		return re.FindSubmatchIndex, nil
	}
	re, err := regexp.Compile(p.Expr)
	if err != nil {
		return nil, err
	}
	return re.FindSubmatchIndex, nil
}

// small makes a finder's tables take next to no memory.
func (f *Finder) small() *Finder {
	f.ends.budget, f.starts.budget, f.all().budget = 1, 1, 1
	return f
}

func TestFinder(t *testing.T) {
	r := seeded(t)
	told, not := 0, 0
	for n := range 600 {
		expr := hardExpr(r)
		switch {
		case n < len(hardPatterns):
			if expr = hardPatterns[n].Expr; hardPatterns[n].Words != nil {
				continue
			}
		case n%2 == 0:
			expr = "(" + expr + ")|(" + hardExpr(r) + ")"
		case n%5 == 0:
			expr = "(?:(" + hardExpr(r) + ")*|(" + hardExpr(r) + ")+)*" + hardExpr(r)
		case n%3 == 0:
			expr = "(" + hardExpr(r) + ")??((" + hardExpr(r) + ")|" + hardExpr(r) + ")*?(" + hardExpr(r) + ")"
		}
		p := Pattern{Expr: expr, Bytes: n%7 == 0}
		find, err := finding(p)
		if err != nil {
			t.Fatal(err)
		}
		f, err := NewFinder(p)
		if err != nil {
			t.Fatal(err)
		}
		if n%3 == 0 {
			f.small()
		}
		for range 150 {
			if found(t, f, p, find, slices.Concat(hardString(r), hardString(r), hardString(r))) {
				told++
			} else {
				not++
			}
		}
	}
	if told < 10*not || not == 0 {
		t.Errorf("the finder could tell %d times and could not %d times", told, not)
	}
}

func FuzzAgreesWithRegexp(f *testing.F) {
	for _, p := range hardPatterns {
		if p.Words == nil {
			f.Add(p.Expr, "a foo select bar\n\xff", p.Bytes)
		}
	}
	f.Fuzz(func(t *testing.T, expr, text string, inBytes bool) {
		if len(expr) > 200 || len(text) > 1000 {
			return
		}
		p := Pattern{Expr: expr, Bytes: inBytes}
		var want bool
		if inBytes {
			re, err := binaryregexp.Compile(expr)
			if err != nil {
				return
			}
			want = re.MatchString(text)
		} else {
			re, err := regexp.Compile(expr)
			if err != nil {
				return
			}
			want = re.MatchString(text)
		}
		find, err := finding(p)
		if err != nil {
			return
		}
		for n := range 2 {
			f, err := NewFinder(p)
			if err != nil {
				t.Fatalf("%q: regexp takes it: %v", expr, err)
			}
			if n == 0 {
				f.small()
			}
			found(t, f, p, find, []byte(text))
		}
		for _, o := range []Options{{}, {Budget: 1}} {
			s, err := Compile([]Pattern{p, {Words: []string{"foo"}, Bytes: inBytes}, {Expr: `\bz$`, Bytes: inBytes}}, o)
			if err != nil {
				t.Fatalf("%q: regexp takes it: %v", expr, err)
			}
			got := NewBitset(3)
			s.Scan([]byte(text), got)
			if got.Has(0) != want {
				t.Fatalf("%q on %q: got %v, want %v", expr, text, got.Has(0), want)
			}
		}
	})
}

// Texts within an alphabet get the same answers from sets made for it, and of
// patterns that are left out none matches.
func TestWithinAlphabet(t *testing.T) {
	r := seeded(t)
	for _, chars := range []string{"abfoselctFROMxyKkz_ ", "abc\n", "A-", "fo\x00 ,K"} {
		a := &Alphabet{}
		for _, c := range chars {
			a[c] = true
		}
		patterns := slices.Clone(hardPatterns)
		for range 40 {
			patterns = append(patterns, Pattern{Expr: hardExpr(r), Bytes: r.IntN(4) == 0})
		}
		s := compile(t, patterns, Options{Within: a})
		want := make([]func([]byte) bool, len(patterns))
		for i, p := range patterns {
			want[i] = matcher(t, p)
		}
		for range 3000 {
			b := make([]byte, r.IntN(12))
			for i := range b {
				b[i] = chars[r.IntN(len(chars))]
			}
			got := NewBitset(s.Len())
			s.Scan(b, got)
			for i, p := range patterns {
				if w := want[i](b); w != got.Has(i) || w && !s.May().Has(i) {
					t.Fatalf("%v on %q: got %v, may match %v; want %v", p, b, got.Has(i), s.May().Has(i), w)
				}
			}
		}
		if s.May().Count() == len(patterns) {
			t.Errorf("%q: no pattern was left out", chars)
		}
	}
}

// Patterns with gaps that may be left out get the same answers from the variants
// that they are split into.
func TestVariants(t *testing.T) {
	r := seeded(t)
	a := &Alphabet{}
	for c := ' '; c < 127; c++ {
		a[c] = true
	}
	patterns := []Pattern{
		{Expr: `(?i)(?:[;&]|time[ ,].*|watch +)[ ]*(?:[0-9a-z]+=[^ ]*[ ]+)*(?:[^ ;]+/)?(?:select|foo[ ,]|kk)`},
		{Expr: `(?:^|select|x.*)(?:[a-z]+/)?(?:foo|kk\b)`}, {Expr: `;(?:.*select)?foo=`}, {Expr: `\b(?:foo|[a-z]+=)(?:x[^=]*y)?kk$`},
		{Expr: `(?:foo.*|x)(?:kk|time.*)(?:[a-z]*/[^k]*)?y`},
	}
	s := compile(t, patterns, Options{Within: a})
	pieces := strings.Fields("select foo kk x y = / ; & time time, watch a1= b/c, x/ foo= fo . -")
	matched := make([]int, len(patterns))
	for i, p := range patterns {
		re, err := p.Parse()
		if err != nil {
			t.Fatal(err)
		}
		if n := len(variants(trimEdges(re.Simplify()))); n < 2 {
			t.Errorf("%v: got %d variants, want some", p, n)
		}
		want := matcher(t, p)
		for range 20000 {
			var b []byte
			for range r.IntN(9) {
				if b = append(b, pieces[r.IntN(len(pieces))]...); r.IntN(3) == 0 {
					b = append(b, ' ')
				}
			}
			got := NewBitset(s.Len())
			s.Scan(b, got)
			w := want(b)
			if w != got.Has(i) {
				t.Fatalf("%v on %q: got %v, want %v", p, b, got.Has(i), w)
			}
			if w {
				matched[i]++
			}
		}
	}
	for i, n := range matched {
		if n < 20 || n > 19000 {
			t.Errorf("%v: matched %d texts of 20000: the test has lost its material", patterns[i], n)
		}
	}
}

// hardExpr makes up an expression.
func hardExpr(r *rand.Rand) string {
	atoms := []string{"a", "b+", "[a-f]", ".", "^", "$", `\b`, `\B`, "(?:a|x)", "(?:fo|)+", "[^a]{0,30}", "(?i:k)", `\W`, "-*", ",", "_", "(?i:Select)", `\n`, "x{2,3}", "[A-Z]?", "(?:=|c)"}
	x := []string{"", "(?sm)", "(?i)", "(?m)"}[r.IntN(4)]
	for range 1 + r.IntN(5) {
		x += atoms[r.IntN(len(atoms))]
	}
	return x
}
