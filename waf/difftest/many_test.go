package difftest

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
)

// TestManyGoroutines runs one engine in 64 goroutines, from cold, and compares
// with what another says of the same requests one by one.
func TestManyGoroutines(t *testing.T) {
	from := stages(t)
	g := newGenerator(1, from)
	all := sample(from, 100)
	for range 80 {
		all = append(all, g.next())
	}
	alone, e := newOurs(t, directives(paranoia4)), newOurs(t, directives(paranoia4))
	want := make([]string, len(all))
	for i := range all {
		want[i] = fmt.Sprint(alone.judge(&all[i]))
	}
	var wg sync.WaitGroup
	for n := range 64 {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(n), 3))
			for range 40 {
				i := r.IntN(len(all))
				if got := fmt.Sprint(e.judge(&all[i])); got != want[i] {
					t.Errorf("%s:\ngot  %s\nwant %s", all[i].String(), got, want[i])
				}
			}
		})
	}
	wg.Wait()
}

// FuzzRequest sees that no request makes an engine panic or hang, and that our
// verdict on it is Coraza's.
func FuzzRequest(f *testing.F) {
	from := stages(f)
	g := newGenerator(2, from)
	add := func(r request) {
		ct, _ := r.header("Content-Type")
		cookie, _ := r.header("Cookie")
		f.Add(r.method, r.uri, ct, cookie, r.body, r.respBody)
	}
	for _, r := range sample(from, 60) {
		add(r)
	}
	for range 40 {
		add(g.next())
	}
	a, b := newTheirs(f, directives(paranoia4)), newOurs(f, directives(paranoia4))
	f.Fuzz(func(t *testing.T, method, uri, contentType, cookie string, body []byte, answer string) {
		if len(uri)+len(cookie)+len(body)+len(answer) > 5000 {
			return // Coraza takes too long
		}
		r := request{method: method, uri: uri, proto: "HTTP/1.1", body: body, status: 200, respBody: answer, respHeaders: []header{{"Content-Type", "text/plain"}},
			headers: []header{{"Host", "localhost"}, {"User-Agent", "x"}, {"Content-Type", contentType}, {"Cookie", cookie}, {"Content-Length", fmt.Sprint(len(body))}}}
		want, got := a.judge(&r), b.judge(&r)
		if losesValues(&r) {
			return
		}
		if bad, _ := differs(a, &r, want, got); bad {
			t.Fatalf("%s:\ngot  %v\n     %q\nwant %v\n     %q", r.String(), got, got.matches, want, want.matches)
		}
	})
}
