package difftest

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"

	"github.com/ringwall/ringwall/waf/ftw"
)

// TestManyGoroutines runs one engine in 64 goroutines, from cold, and compares
// with what another says afterwards of the same requests one by one: engines share
// the states that they build, so that the other way round nothing would be cold.
func TestManyGoroutines(t *testing.T) {
	from := stages(t)
	g := newGenerator(1, from)
	all := sample(from, 100)
	for range 80 {
		all = append(all, g.next())
	}
	for range 2 {
		runtime.GC() // what other tests have built goes with their engines
	}
	e := newOurs(t, directives(paranoia4))
	var mu sync.Mutex
	said := make([]map[string]int, len(all)) // by request: the verdicts, and how often
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 3))
			for range 25 {
				i := r.IntN(len(all))
				v := e.judge(&all[i])
				mu.Lock()
				if said[i] == nil {
					said[i] = map[string]int{}
				}
				said[i][fmt.Sprint(v, v.matches)]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	alone, asked, matching := newOurs(t, directives(paranoia4)), 0, 0
	for i, verdicts := range said {
		if verdicts == nil {
			continue
		}
		asked++
		v := alone.judge(&all[i])
		if len(v.Rules) > 0 {
			matching++
		}
		want := fmt.Sprint(v, v.matches)
		for got, times := range verdicts {
			if got != want {
				t.Errorf("%s:\ngot  %s, %d times\nwant %s", all[i].String(), got, times, want)
			}
		}
	}
	if asked < len(all)*9/10 || matching < asked/2 {
		t.Errorf("got %d of %d requests judged and %d that matched a rule, want nearly all and half", asked, len(all), matching)
	}
}

// FuzzRequest sees that no request makes an engine panic or hang, and that our
// verdict on it is Coraza's.
func FuzzRequest(f *testing.F) {
	from := stages(f)
	g := newGenerator(2, from)
	add := func(r request) {
		ct, _ := r.Get("Content-Type")
		cookie, _ := r.Get("Cookie")
		f.Add(r.Method, r.URI, ct, cookie, r.Body, r.Answer.Body)
	}
	for _, r := range sample(from, 60) {
		add(r)
	}
	for range 25 {
		add(g.next())
	}
	a, b := newTheirs(f, directives(paranoia4)), newOurs(f, directives(paranoia4))
	f.Fuzz(func(t *testing.T, method, uri, contentType, cookie string, body []byte, said string) {
		if len(uri)+len(cookie)+len(body)+len(said) > 5000 {
			return // Coraza takes too long
		}
		r := request{Request: ftw.Request{Method: method, URI: uri, Proto: "HTTP/1.1", Body: body, Answer: answer(200, "text/plain", said),
			Headers: []ftw.Header{header("Host", "localhost"), header("User-Agent", "x"), header("Content-Type", contentType), header("Cookie", cookie), header("Content-Length", fmt.Sprint(len(body)))}}}
		want, got := a.judge(&r), b.judge(&r)
		if losesValues(&r) {
			return
		}
		if bad, _ := differs(a, &r, want, got); bad {
			t.Fatalf("%s:\ngot  %v\n     %q\nwant %v\n     %q", r.String(), got, got.matches, want, want.matches)
		}
	})
}
