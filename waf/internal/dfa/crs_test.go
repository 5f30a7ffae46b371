package dfa

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"

	"github.com/ringwall/ringwall/waf/internal/seclang"
)

// crsPatterns are the expressions and word lists of the core rule set, by the
// transformations that their values go through.
func crsPatterns(t testing.TB) map[string][]Pattern {
	t.Helper()
	ds, err := seclang.ParseString(coreruleset.FS, "Include @owasp_crs/*.conf")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string][]Pattern{}
	for _, d := range ds {
		if d.Rule == nil {
			continue
		}
		p := Pattern{Expr: "(?sm)" + d.Rule.Operator.Arg}
		switch strings.ToLower(d.Rule.Operator.Name) {
		case "rx":
			if strings.Contains(p.Expr, "%{") {
				continue
			}
		case "pm":
			p = Pattern{Words: strings.Fields(d.Rule.Operator.Arg)}
		case "pmfromfile", "pmf":
			b, err := fs.ReadFile(coreruleset.FS, "@owasp_crs/"+strings.TrimSpace(d.Rule.Operator.Arg))
			if err != nil {
				t.Fatal(err)
			}
			p = Pattern{Words: []string{}}
			for l := range strings.Lines(string(b)) {
				if l = strings.TrimSpace(l); l != "" && l[0] != '#' {
					p.Words = append(p.Words, l)
				}
			}
		default:
			continue
		}
		chain := ""
		for _, a := range d.Rule.Actions {
			if a.Name == "t" && a.Value != "none" {
				chain += "," + a.Value
			}
		}
		out[chain] = append(out[chain], p)
	}
	return out
}

var quoted = regexp.MustCompile(`(?m)^\s+(?:uri|data|[A-Z][A-Za-z-]+): +["']?(.+?)["']?$`)

// crsTexts are what the core rule set's own tests send.
func crsTexts(t testing.TB) (out [][]byte) {
	t.Helper()
	err := fs.WalkDir(crstests.FS, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(name, ".yaml") {
			return err
		}
		b, err := fs.ReadFile(crstests.FS, name)
		seen := map[string]bool{}
		for _, m := range quoted.FindAllSubmatch(b, -1) {
			if !seen[string(m[1])] {
				seen[string(m[1])] = true
				out = append(out, m[1])
			}
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestCoreRuleSet reads the rule set's own attacks with all its patterns, and
// asks package regexp about every answer for some of the texts.
func TestCoreRuleSet(t *testing.T) {
	texts := crsTexts(t)
	r := seeded(t)
	r.Shuffle(len(texts), func(i, j int) { texts[i], texts[j] = texts[j], texts[i] })
	patterns, hitsInAll := 0, 0
	for chain, ps := range crsPatterns(t) {
		s := compile(t, ps, Options{})
		patterns += len(ps)
		res := make([]func([]byte) bool, len(ps))
		for i, p := range ps {
			res[i] = matcher(t, p)
		}
		for n, b := range texts {
			got := NewBitset(s.Len())
			s.Scan(b, got)
			hitsInAll += got.Count()
			if n >= 250 {
				continue
			}
			for i, m := range res {
				if m(b) != got.Has(i) {
					t.Fatalf("%s: %v on %q: got %v", chain, ps[i], b, got.Has(i))
				}
			}
		}
		if states, bytes := s.Size(); bytes > 40<<20 {
			t.Errorf("%s: %d patterns have %d states in %d bytes", chain, len(ps), states, bytes)
		}
	}
	if patterns < 300 || len(texts) < 3000 || hitsInAll < 10000 {
		t.Errorf("got %d patterns, %d texts, %d hits: the test has lost its material", patterns, len(texts), hitsInAll)
	}
}
