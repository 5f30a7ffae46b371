package waf

import (
	"fmt"
	"math/rand/v2"
	"net/http"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
)

// made is how many states and plans an engine has.
func made(e *Engine) (states, plans int) {
	for _, p := range sharedSets.m {
		if s := p.Value(); s != nil {
			n, _ := s.Size()
			states += n
		}
	}
	for n := 1; n < len(e.phases); n++ {
		for _, b := range e.phases[n].batches {
			if m := b.programs.Load(); m != nil {
				for _, p := range *m {
					for _, c := range p.code {
						plans += c.plans.made
					}
				}
			}
		}
	}
	return states, plans
}

// The first requests after a load find nearly all that they need: a state that is
// not there costs as much as a tenth of a request.
func TestWarm(t *testing.T) {
	e, err := Compile(coreruleset.FS, Directives("Include @coraza.conf-recommended\nSecRuleEngine On\nInclude @crs-setup.conf.example\nInclude @owasp_crs/*.conf"))
	if err != nil {
		t.Fatal(err)
	}
	h := e.Wrap(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	r := rand.New(rand.NewPCG(8, 8))
	word := func() string {
		b := make([]byte, 3+r.IntN(6))
		for i := range b {
			b[i] = "etaoinshrdlucmpfgbvk"[r.IntN(20)]
		}
		return string(b)
	}
	states, plans := made(e)
	const requests = 20
	for range requests {
		h.ServeHTTP(&unread{http.Header{}}, &http.Request{Method: "GET", Proto: "HTTP/1.1", Host: "shop.example.org", RemoteAddr: "198.51.100.7:5000",
			RequestURI: fmt.Sprintf("/%s/%s?%s=%d&%s=%s+%s", word(), word(), word(), r.IntN(1e5), word(), word(), word()),
			Header: http.Header{
				"User-Agent":      {"Mozilla/5.0 (Macintosh; Intel Mac OS X 10.15; rv:142.0) Gecko/20100101 Firefox/142.0"},
				"Accept":          {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"},
				"Accept-Language": {"sv-SE,sv;q=0.8,en-US;q=0.5,en;q=0.3"},
				"Accept-Encoding": {"gzip, deflate, br"},
				"Referer":         {"https://shop.example.org/" + word()},
				"Cookie":          {word() + "=" + word() + "; " + word() + "=" + fmt.Sprint(r.IntN(900))},
			}})
	}
	moreStates, morePlans := made(e)
	t.Logf("%d requests after a load made %d states and %d plans, besides %d and %d", requests, moreStates-states, morePlans-plans, states, plans)
	if n := moreStates - states; n > 10*requests {
		t.Errorf("got %d new states of %d requests, want few", n, requests)
	}
	if n := morePlans - plans; n > 4 {
		t.Errorf("got %d new plans of %d requests, want hardly any", n, requests)
	}
}
