//go:build walldown

package difftest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/waf/ftw"
	"github.com/ringwall/ringwall/waf/internal/dfa"
	"github.com/ringwall/ringwall/waf/internal/transform"
)

// handmade are requests that need transformations which the rule set's tests do
// without.
func handmade() (out []request) {
	for _, v := range []string{`<scr%00ipt>alert(1)</scr%00ipt>`, `\\\\6a avascript:alert(1)`, `%3B%2Fusr%2Flib%2F..%2F.%2Fbin%2F..%2Fbin%2Fcurl+x`, `;/bin/./bash`,
		`XyQkTkRfRlVOQyQkX2Z1bmN0aW9uKCl7fQ==`, `d2hpbGUodHJ1ZSl7fQ==`, `%22++in++%0a%28+%28l%5Cu006Cocation`, `x'  union/* */select`, "%27%09%09%0aor%0a%0a1=1--"} {
		out = append(out, request{name: "handmade " + v, Request: ftw.Request{Method: "GET", URI: "/?x=" + v, Proto: "HTTP/1.1", Answer: answer(200, "text/plain", ""),
			Headers: []ftw.Header{header("Host", "localhost"), header("User-Agent", "test"), header("Accept", "*/*")}}})
	}
	return out
}

// TestMutations breaks what finds candidates for rules, in one place at a time:
// the comparison with Coraza has to see it.
func TestMutations(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	rnd := rand.New(rand.NewPCG(seed, 0))
	all := append(handmade(), stages(t)...)
	compiled := compile(t, directives(paranoia4))
	a, b := newTheirs(t, directives(paranoia4)), ours(compiled)
	want := make([]*verdict, len(all))
	agrees := func(i int) bool {
		if want[i] == nil {
			v := a.judge(&all[i])
			want[i] = &v
		}
		got := b.judge(&all[i])
		if got.Status == want[i].Status && slices.Equal(got.Rules, want[i].Rules) {
			return true
		}
		bad, _ := differs(a, &all[i], *want[i], got)
		return !bad
	}
	order := rnd.Perm(len(all))
	slices.SortStableFunc(order, func(i, j int) int { return strings.Compare(all[j].name[:1], all[i].name[:1]) }) // handmade ones first
	// seen says whether a stage's verdict differs; stages of a rule come first.
	seen := func(rule string) bool {
		for _, first := range []bool{true, false} {
			for _, i := range order {
				if (rule != "" && strings.HasPrefix(all[i].name, rule+"-")) == first && !agrees(i) {
					t.Logf("  seen in %s", all[i].name)
					return true
				}
			}
		}
		return false
	}
	for _, i := range order[:200] {
		if !agrees(i) {
			t.Fatalf("%s differs with nothing broken", all[i].name)
		}
	}

	// Patterns of rules that have a test of their own and share it with no other.
	byExpr := map[string][]int{}
	for _, r := range compiled.Rules() {
		if arg, ok := strings.CutPrefix(r.Operator, "@rx "); ok && r.Log {
			byExpr["(?sm)"+arg] = append(byExpr["(?sm)"+arg], r.ID)
		}
	}
	tested := map[int]bool{}
	for i := range all {
		for _, id := range all[i].want.Rules {
			tested[id] = true
		}
	}
	var exprs []string
	for x, ids := range byExpr {
		if len(ids) == 1 && tested[ids[0]] && !strings.Contains(x, "%{") {
			exprs = append(exprs, x)
		}
	}
	slices.Sort(exprs)
	rnd.Shuffle(len(exprs), func(i, j int) { exprs[i], exprs[j] = exprs[j], exprs[i] })
	if len(exprs) < 100 {
		t.Fatalf("got %d rules with patterns and tests, want 100 or more", len(exprs))
	}
	for _, x := range exprs[:6] {
		dfa.Fault.Pattern = func(p dfa.Pattern) bool { return p.Expr == x || "(?sm)"+p.Expr == x }
		if id := byExpr[x][0]; !seen(fmt.Sprint(id)) {
			t.Errorf("no verdict differs without the pattern of rule %d", id)
		}
		dfa.Fault.Pattern = nil
	}

	for _, name := range []string{"urlDecodeUni", "lowercase", "htmlEntityDecode", "jsDecode", "removeNulls", "cmdLine", "normalizePath", "utf8toUnicode", "escapeSeqDecode", "removeWhitespace", "replaceComments"} {
		step, ok := transform.Lookup(name)
		if !ok {
			t.Fatalf("%s: there is no such transformation", name)
		}
		acts := step.Acts
		step.Acts = 0
		if !seen("") {
			t.Errorf("no verdict differs without %s", name)
		}
		step.Acts = acts
	}

	// The same place in all sets, as several sets may hold a pattern.
	for name, lost := range map[string]func(*dfa.Set, int) bool{
		"the automata of words, pieces and patterns without gaps": func(_ *dfa.Set, n int) bool { return n == 0 },
		"the automata of patterns with gaps":                      func(_ *dfa.Set, n int) bool { return n > 0 },
	} {
		dfa.Fault.Part = lost
		if !seen("") {
			t.Errorf("no verdict differs without %s", name)
		}
		dfa.Fault.Part = nil
	}
	dfa.Fault.Split = func(*dfa.Set, int) bool { return true }
	if !seen("") {
		t.Error("no verdict differs without the patterns that are looked for by their pieces")
	}
	dfa.Fault.Split = nil
}
