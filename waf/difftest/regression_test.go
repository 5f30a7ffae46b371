package difftest

import (
	"slices"
	"strings"
	"testing"
)

// TestStages compares verdicts on the requests of the rule set's own tests.
func TestStages(t *testing.T) {
	all := stages(t)
	t.Logf("%d stages", len(all))
	if len(all) < 4680 {
		t.Errorf("got %d stages, want 4680 or more", len(all))
	}
	if slow {
		all = sample(all, 20)
	}
	for _, mode := range []struct{ name, rules string }{{"paranoia 1, blocking", paranoia1}, {"paranoia 4, detecting", paranoia4}} {
		t.Run(mode.name, func(t *testing.T) {
			t.Parallel()
			a, b := newTheirs(t, directives(mode.rules)), newOurs(t, directives(mode.rules))
			verdicts, matches := 0, 0
			for i := range all {
				r := &all[i]
				want, got := a.judge(r), b.judge(r)
				bad, stable := differs(a, r, want, got)
				if !stable {
					t.Logf("%s: Coraza gives several verdicts, one of them %v", r.name, got)
				}
				if bad {
					if verdicts++; verdicts <= 20 {
						t.Errorf("%s: got %v, want %v", r.name, got, want)
					}
				} else if !slices.Equal(want.matches, got.matches) {
					if matches++; matches <= 5 {
						t.Logf("%s:\ngot  %q\nwant %q", r.name, got.matches, want.matches)
					}
				}
			}
			t.Logf("%d verdicts and %d matches differ", verdicts, matches)
		})
	}
}

func sample(all []request, every int) (out []request) {
	for i := 0; i < len(all); i += every {
		out = append(out, all[i])
	}
	return out
}

// unmet are the stages that an engine alone does not meet, and why.
var unmet = map[string]string{
	"920181-1.0": "the server before the rules takes Content-Length off a chunked request; so does net/http before Engine.Wrap",
	"920430-5.0": "a request line without a version; net/http answers 400 and the rules never see it",
	"920620-1.0": "two Content-Type headers, which Apache joins into one; the rule is there for servers that do not",
	"920640-5.0": "a body without a length, which is no body to an HTTP/1.1 server",
	"921140-1.0": "a carriage return within a header; net/http answers 400 and the rules never see it",
}

// metByUs are the stages that we meet and Coraza does not.
var metByUs = map[string]string{
	"922130-1.0": "the rules see a part's headers though they are malformed",
	"922130-2.0": "the same",
	"922130-7.0": "the same",
}

// TestRegression runs the rule set's own tests as such.
func TestRegression(t *testing.T) {
	all := stages(t)
	if slow {
		all = sample(all, 20)
	}
	a, b := newTheirs(t, directives(paranoia4)), newOurs(t, directives(paranoia4))
	var pass, fail, only int
	var missing []string
	for i := range all {
		r := &all[i]
		if r.want.Empty() {
			only++
			continue
		}
		wrong := r.want.Judge(b.judge(r).Outcome)
		if len(wrong) == 0 {
			pass++
			if why := metByUs[r.name]; why != "" && len(r.want.Judge(a.judge(r).Outcome)) > 0 {
				t.Logf("%s: Coraza fails; here %s", r.name, why)
			}
			continue
		}
		fail++
		missing = append(missing, r.name)
		if unmet[r.name] == "" {
			t.Errorf("%s: %s", r.name, strings.Join(wrong, ", "))
		} else if len(r.want.Judge(a.judge(r).Outcome)) == 0 {
			t.Errorf("%s: %s, and Coraza is as it wants", r.name, strings.Join(wrong, ", "))
		}
	}
	t.Logf("%d stages pass, %d fail, %d want nothing of the rules; those that fail: %s", pass, fail, only, strings.Join(missing, " "))
	if !slow && pass < 4654 {
		t.Errorf("%d stages pass, want 4654 or more", pass)
	}
}
