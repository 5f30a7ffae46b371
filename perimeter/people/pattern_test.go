package people

import (
	"slices"
	"strings"
	"testing"
)

func TestPattern(t *testing.T) {
	for _, c := range []struct {
		name, want, got string
		sees            bool
	}{
		{"itself", `{ $.eventName = A }`, `{ $.eventName = A }`, true},
		{"one name of two", `{ ($.eventName = A) || ($.eventName = B) }`, `{ $.eventName = A }`, false},
		{"more names", `{ $.eventName = A }`, `{ ($.eventName = "B") || ($.eventName = "A") }`, true},
		{"and in the place of or", `{ ($.eventName = A) || ($.eventName = B) }`, `{ ($.eventName = A) && ($.eventName = B) }`, false},
		{"and binds tighter than or", `{ $.eventName = A }`, `{ $.eventName = A || $.eventName = B && $.sourceIPAddress = "192.0.2.1" }`, true},
		{"one address only", `{ $.eventName = A }`, `{ $.eventName = A && $.sourceIPAddress = "192.0.2.1" }`, false},
		{"all addresses but one", `{ $.eventName = A }`, `{ $.eventName = A && $.sourceIPAddress != "192.0.2.1" }`, true},
		{"one source of all", `{ $.eventName = A }`, `{ $.eventSource = x.amazonaws.com && $.eventName = A }`, false},
		{"another source", `{ $.eventSource = y.amazonaws.com && $.eventName = A }`, `{ $.eventSource = x.amazonaws.com && $.eventName = A }`, false},
		{"without the source", `{ $.eventSource = x.amazonaws.com && $.eventName = A }`, `{ $.eventName = A }`, true},
		{"a pattern of an error", `{ $.errorCode = "*UnauthorizedOperation" }`, `{ $.errorCode = "*Unauthorized*" }`, true},
		{"the error alone", `{ $.errorCode = "AccessDenied*" }`, `{ $.errorCode = "AccessDenied" }`, false},
		{"not there", `{ $.userIdentity.type = "Root" && $.userIdentity.invokedBy NOT EXISTS }`, `{ $.userIdentity.type = "Root" }`, true},
	} {
		want, err1 := readPattern(c.want)
		got, err2 := readPattern(c.got)
		if err1 != nil || err2 != nil {
			t.Errorf("%s: %v, %v", c.name, err1, err2)
			continue
		}
		missed := slices.ContainsFunc(want.examples(), func(e event) bool { return !got.sees(e) })
		if missed == c.sees {
			t.Errorf("%s: %s sees what %s is for: got %v, want %v", c.name, c.got, c.want, !missed, c.sees)
		}
	}
	for _, s := range []string{"", "ERROR", "{ }", "{ $.a }", "{ $.a = b", "{ ($.a = b }", "{ $.a = b } c", "{ $.a IS TRUE }", "{" + strings.Repeat("(", 200000) + "}"} {
		if _, err := readPattern(s); err == nil {
			t.Errorf("%.40q was read as a filter pattern", s)
		}
	}
}

// TestPatternsOfCIS: each of the recommendations' patterns sees what it is for itself.
func TestPatternsOfCIS(t *testing.T) {
	n := 0
	for line := range strings.Lines(cisAlarms) {
		f := strings.Split(strings.TrimSpace(line), "\t")
		if len(f) < 3 || !strings.HasPrefix(f[0], "4.") {
			continue
		}
		n++
		p, err := readPattern(f[2])
		if err != nil {
			t.Errorf("%s: %v", f[0], err)
			continue
		}
		if len(p.examples()) == 0 {
			t.Errorf("%s is for no event", f[0])
		}
		for _, e := range p.examples() {
			if !p.sees(e) {
				t.Errorf("%s does not see its own %v", f[0], map[string]string(e))
			}
		}
	}
	if n != 15 {
		t.Errorf("got %d patterns, want 15", n)
	}
}
