package waf

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// Groups found late in a long text are those that package regexp finds.
func TestFind(t *testing.T) {
	var all []*rx
	e, err := Compile(coreruleset.FS, Directives("Include @crs-setup.conf.example\nInclude @owasp_crs/*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range e.rules {
		for ; r != nil; r = r.chain {
			if o, ok := r.op.(*rx); ok {
				all = append(all, o)
			}
		}
	}
	for _, expr := range []string{`b+\b(.)`, `^x(.*)$`, `(?i)(a)|(k)$`, `\Aword`, `(\W)word`, `([^a]*)z`, `\bword\z`, `x*?(y|$)`, `(x|xy)(z?)`, `(y*?)(z|\b)`, `(?:(x)|(y)|z)+(\w*\b)?`, `(?:(\z)|word)(.??)`, `(?i)(\xe2?)\xff(\b.)`, `[^\xff]+(\xff\W*)k|\xc3(\z)`} {
		op, err := newRx(expr)
		if err != nil {
			t.Fatal(err)
		}
		for range 20 {
			all = append(all, op.(*rx))
		}
	}
	pieces := []string{"word ", "select ", "union ", "\n", "é", "\xff", "x", "y", "z", "k", "b", "<script", ">", "' or ", "1=1", "; cat /etc/passwd", "$(ls)", "|", "{", "}", "javascript:", "nice ", "tar ", ".", ",", "(", ")", "http://"}
	r := rand.New(rand.NewPCG(rand.Uint64(), 3))
	late, short := 0, 0
	for n := range 6000 {
		o := all[n%len(all)]
		var b strings.Builder
		for range r.IntN(80) {
			b.WriteString("plain word a")
		}
		for range r.IntN(40) {
			b.WriteString(pieces[r.IntN(len(pieces))])
		}
		v := b.String()
		want := o.re().FindStringSubmatchIndex(v)
		got, ok := o.find(v)
		if !ok {
			short++
			continue
		}
		if !slices.Equal(got, want) {
			t.Fatalf("%.80q on %q: got %v, want %v", o.expr, v, got, want)
		}
		if len(want) > 0 && want[0] > 128 {
			late++
		}
	}
	if short > 3000 {
		t.Errorf("got %d texts too short or too hard: the test has lost its material", short)
	}
	if late < 50 {
		t.Errorf("got %d matches late in a text: the test has lost its material", late)
	}
}
