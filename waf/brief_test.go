package waf

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// alone makes an engine run every rule by itself, with no brief, no settled guard
// and no batch: as SecLang says, and slowly.
func alone(e *Engine) *Engine {
	e.guards, e.steers = newRuleSet(len(e.rules)), newRuleSet(len(e.txNames))
	for n := range e.phases {
		p := &e.phases[n]
		p.first = len(p.rules)
		for i := range p.briefs {
			p.guards[i] = -1
			does := runs
			if p.briefs[i].does == passes {
				does = passes
			}
			p.briefs[i] = brief{does: does, from: -1}
		}
	}
	return e
}

// jumpy makes up rules that jump, set what other jumps ask for, and take rules
// out while a phase runs.
func jumpy(r *rand.Rand) string {
	var b strings.Builder
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	n := 8 + r.IntN(16)
	for id := 1; id <= n; id++ {
		phase := 1 + r.IntN(2)
		level := pick("a", "b")
		does := func() string {
			switch r.IntN(9) {
			case 0:
				return fmt.Sprintf(",setvar:tx.%s=%d", level, r.IntN(4))
			case 1:
				return fmt.Sprintf(",setvar:tx.%s=+%d", level, 1+r.IntN(2))
			case 2:
				return fmt.Sprintf(",setvar:tx.%s=%s%%{tx.%s}", level, pick("", "+", "-"), pick("a", "b", "c"))
			case 3:
				return ",skip:" + pick("1", "2", "3")
			case 4:
				return ",skipAfter:M" + pick("1", "2", "3")
			case 5:
				return fmt.Sprintf(",ctl:ruleRemoveById=%d", 1+r.IntN(n))
			case 6:
				return fmt.Sprintf(",ctl:ruleRemoveTargetById=%d;TX:%s", 1+r.IntN(n), level)
			}
			return ""
		}
		action := fmt.Sprintf("id:%d,phase:%d,pass,%s", id, phase, pick("log", "nolog"))
		switch r.IntN(8) {
		case 0, 1, 2:
			fmt.Fprintf(&b, "SecRule TX:%s \"%s@%s %d\" \"id:%d,phase:%d,pass,nolog,skipAfter:M%s\"\n", level, pick("", "", "!"), pick("lt", "ge", "eq"), r.IntN(4), id, phase, pick("1", "2", "3"))
		case 3:
			fmt.Fprintf(&b, "SecAction \"%s%s\"\n", action, does())
		case 4:
			fmt.Fprintf(&b, "SecRule &TX:%s \"@eq %d\" \"%s%s%s\"\n", pick("a", "b", "c"), r.IntN(2), action, does(), does())
		case 5:
			fmt.Fprintf(&b, "SecRule TX:%s \"@%s %s\" \"%s,logdata:'%%{tx.a}/%%{tx.b}'%s\"\n", level, pick("lt", "ge"), pick("1", "2", "%{tx.b}"), action, does())
		case 6:
			fmt.Fprintf(&b, "SecRule &REQUEST_HEADERS:X-A \"@%s 0\" \"%s%s\"\n", pick("gt", "eq"), action, does())
		default:
			fmt.Fprintf(&b, "SecRule %s \"@rx ^%s\" \"%s,logdata:'%%{MATCHED_VAR}'%s\"\n", pick("ARGS", "ARGS", "ARGS", "REQUEST_HEADERS", "MATCHED_VAR"), pick("x", "y", "[xy]z"), action, does())
		}
		if r.IntN(3) == 0 {
			fmt.Fprintf(&b, "SecMarker M%s\n", pick("1", "2", "3"))
		}
	}
	for _, m := range []string{"1", "2", "3"} {
		fmt.Fprintf(&b, "SecMarker M%s\n", m)
	}
	b.WriteString("SecRule TX:/^[ab]$/ \"@unconditionalMatch\" \"id:900,phase:5,pass,log,logdata:'%{tx.a}/%{tx.b}'\"\n")
	return "SecRuleEngine On\nSecRequestBodyAccess On\n" + b.String()
}

func TestBriefs(t *testing.T) {
	settled := 0
	for seed := range uint64(200) {
		rules := jumpy(rand.New(rand.NewPCG(seed, 3)))
		e, plain := compile(t, rules), alone(compile(t, rules))
		for n := range e.phases {
			for _, k := range e.phases[n].guards {
				if k >= 0 {
					settled++
				}
			}
		}
		for _, req := range []string{"GET /?p=x", "GET /?p=y&q=xz\nX-A: 1", "GET /\nX-A: x", "GET /?p=yz"} {
			say := func(e *Engine) string {
				_, ids, tx := ask(t, e, req)
				var data []string
				for _, m := range tx.MatchedRules() {
					data = append(data, m.Data)
				}
				return fmt.Sprint(ids, slices.Compact(data))
			}
			if got, want := say(e), say(plain); got != want {
				t.Fatalf("seed %d, %q: got %s, rule by rule %s\n%s", seed, req, got, want, rules)
			}
		}
	}
	if settled < 50 {
		t.Errorf("got %d guards that batches settle, want many: the test tests nothing", settled)
	}
}
