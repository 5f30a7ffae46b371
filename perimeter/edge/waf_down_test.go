//go:build walldown

package edge

import (
	"testing"

	"github.com/ringwall/ringwall/perimeter"
)

// With a class's wall down, what only that class stops reaches the app, and what
// the others stop does not.
func TestClassesDown(t *testing.T) {
	t.Cleanup(func() { perimeter.SetDown(nil) })
	s := newSite(t, testPlan())
	for _, down := range attacks {
		perimeter.SetDown([]string{down.control})
		for _, a := range attacks {
			s.app.n = 0
			method, ct := "GET", ""
			if a.body != "" {
				method, ct = "POST", formURL
			}
			w := s.ask(visitor, method, a.uri, a.body, "Content-Type", ct)
			if through := s.app.n == 1; through != (a.control == down.control) {
				t.Errorf("%s down: %s %s%s: got %d, %+v", down.control, a.control, a.uri, a.body, w.Code, s.log[len(s.log)-1].Refusal)
			}
		}
	}
	perimeter.SetDown([]string{"edge/waf-scanner"})
	if w := s.ask(visitor, "GET", "/", "", "User-Agent", "sqlmap/1.7"); w.Code != 200 {
		t.Errorf("a scanner with its wall down: got %d", w.Code)
	}
	perimeter.SetDown([]string{"edge/waf-profile"})
	if w := s.ask(visitor, saves[0].method, saves[0].uri, saves[0].body, "Content-Type", jsonType); w.Code != 200 {
		t.Errorf("a visitor's save with the profiles' wall down: got %d", w.Code)
	}
	perimeter.SetDown([]string{"edge/waf"})
	if w := s.ask(visitor, "GET", attacks[0].uri, ""); w.Code != 200 {
		t.Errorf("an attack with the WAF down: got %d", w.Code)
	}
}
