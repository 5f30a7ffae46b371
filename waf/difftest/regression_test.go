package difftest

import (
	"slices"
	"testing"
)

func TestStages(t *testing.T) {
	all := stages(t)
	t.Logf("%d stages", len(all))
	for _, mode := range []struct{ name, rules string }{{"paranoia 1, blocking", paranoia1}, {"paranoia 4, detecting", paranoia4}} {
		t.Run(mode.name, func(t *testing.T) {
			a, b := newTheirs(t, directives(mode.rules)), newOurs(t, directives(mode.rules))
			verdicts, matches := 0, 0
			for i := range all {
				r := &all[i]
				want, got := a.judge(r), b.judge(r)
				if want.status != got.status || !slices.Equal(want.rules, got.rules) {
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
