package cache

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

type world struct {
	*Cache
	mu  sync.Mutex
	now time.Time
	n   int // fetches
	app func(w http.ResponseWriter, r *http.Request)
}

func newWorld(o Options) *world {
	w := &world{now: time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)}
	if o.MaxBytes == 0 {
		o.MaxBytes, o.MaxEntry, o.DefaultTTL, o.MaxTTL = 1<<20, 1<<16, time.Minute, time.Hour
	}
	o.Now = func() time.Time { w.mu.Lock(); defer w.mu.Unlock(); return w.now }
	w.Cache = New(o)
	return w
}

func (w *world) next(rw http.ResponseWriter, r *http.Request) error {
	w.mu.Lock()
	w.n++
	w.mu.Unlock()
	w.app(rw, r)
	return nil
}

func (w *world) ask(method, uri string, header ...string) (*httptest.ResponseRecorder, string) {
	r := httptest.NewRequest(method, uri, nil)
	r.Body = http.NoBody
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	rw := httptest.NewRecorder()
	status, err := w.Serve(rw, r, w.next)
	if err != nil {
		rw.Code = 0
	}
	return rw, status
}

// page answers with the number of the fetch.
func (w *world) page(header ...string) {
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		for i := 0; i+1 < len(header); i += 2 {
			rw.Header().Add(header[i], header[i+1])
		}
		fmt.Fprintf(rw, "page %d", w.n)
	}
}

func TestWhatIsStored(t *testing.T) {
	for _, c := range []struct {
		name   string
		req    []string
		resp   []string
		status int
		want   bool
	}{
		{"plain", nil, nil, 200, true},
		{"max-age", nil, []string{"Cache-Control", "public, max-age=60"}, 200, true},
		{"no-store", nil, []string{"Cache-Control", "no-store"}, 200, false},
		{"private", nil, []string{"Cache-Control", "private, max-age=60"}, 200, false},
		{"private with fields", nil, []string{"Cache-Control", `private="set-cookie", max-age=60`}, 200, false},
		{"no-cache", nil, []string{"Cache-Control", "max-age=60, NO-CACHE"}, 200, false},
		{"second header", nil, []string{"Cache-Control", "max-age=60", "Cache-Control", "no-store"}, 200, false},
		{"max-age 0", nil, []string{"Cache-Control", "max-age=0"}, 200, false},
		{"malformed max-age", nil, []string{"Cache-Control", "max-age=ten"}, 200, false},
		{"two max-ages", nil, []string{"Cache-Control", "max-age=60, max-age=0"}, 200, false},
		{"s-maxage wins", nil, []string{"Cache-Control", "max-age=60, s-maxage=0"}, 200, false},
		{"expired", nil, []string{"Expires", "0"}, 200, false},
		{"expires", nil, []string{"Expires", "Sun, 22 Nov 2026 01:00:00 GMT"}, 200, true},
		{"pragma", nil, []string{"Pragma", "no-cache"}, 200, false},
		{"set-cookie", nil, []string{"Set-Cookie", "a=b", "Cache-Control", "public, max-age=60"}, 200, false},
		{"vary star", nil, []string{"Vary", "Accept, *", "Cache-Control", "max-age=60"}, 200, false},
		{"too old", nil, []string{"Age", "61", "Cache-Control", "max-age=60"}, 200, false},
		{"redirect", nil, nil, 302, false},
		{"redirect that says so", nil, []string{"Cache-Control", "max-age=60"}, 302, true},
		{"not found", nil, nil, 404, true},
		{"server error", nil, []string{"Cache-Control", "max-age=60"}, 500, false},
		{"partial", nil, []string{"Cache-Control", "max-age=60"}, 206, false},
		{"cookie", []string{"Cookie", "a=b"}, []string{"Cache-Control", "public, max-age=60"}, 200, false},
		{"authorization", []string{"Authorization", "Basic x"}, []string{"Cache-Control", "public, max-age=60"}, 200, false},
		{"range", []string{"Range", "bytes=0-1"}, []string{"Cache-Control", "max-age=60"}, 200, false},
		{"request no-store", []string{"Cache-Control", "no-store"}, []string{"Cache-Control", "max-age=60"}, 200, false},
	} {
		w := newWorld(Options{})
		w.app = func(rw http.ResponseWriter, r *http.Request) {
			for i := 0; i+1 < len(c.resp); i += 2 {
				rw.Header().Add(c.resp[i], c.resp[i+1])
			}
			rw.WriteHeader(c.status)
			_, _ = io.WriteString(rw, "x")
		}
		w.ask("GET", "/", c.req...)
		if rw, status := w.ask("GET", "/"); (status == Hit) != c.want || rw.Code != c.status {
			t.Errorf("%s: the next visitor got %s with %d, want a hit: %v", c.name, status, rw.Code, c.want)
		}
		if c.req != nil {
			w.page("Cache-Control", "max-age=60")
			w.ask("GET", "/filled")
			if _, status := w.ask("GET", "/filled", c.req...); c.name != "request no-store" && status != Pass {
				t.Errorf("%s: served from the store: %s", c.name, status)
			}
		}
	}
}

func TestMethods(t *testing.T) {
	w := newWorld(Options{})
	w.page()
	w.ask("POST", "/")
	w.ask("DELETE", "/")
	w.ask("HEAD", "/")
	if got := w.Stats().Entries; got != 0 {
		t.Errorf("got %d entries after POST, DELETE and HEAD, want 0", got)
	}
	w.ask("GET", "/")
	rw, status := w.ask("HEAD", "/")
	if status != Hit || rw.Body.Len() != 0 || rw.Header().Get("Content-Length") != "6" {
		t.Errorf("HEAD from GET: %s %q %v", status, rw.Body, rw.Header())
	}
}

func TestFreshness(t *testing.T) {
	w := newWorld(Options{MaxBytes: 1 << 20, MaxEntry: 1 << 16, MinTTL: 10 * time.Second, DefaultTTL: time.Minute, MaxTTL: 5 * time.Minute})
	w.page("Cache-Control", "max-age=1, public", "Age", "0")
	w.ask("GET", "/min")
	w.now = w.now.Add(9 * time.Second)
	rw, status := w.ask("GET", "/min")
	if status != Hit || rw.Header().Get("Age") != "9" {
		t.Errorf("after 9 s: %s, Age %q", status, rw.Header().Get("Age"))
	}
	w.now = w.now.Add(time.Second)
	if rw, status := w.ask("GET", "/min"); status != Miss || rw.Body.String() != "page 2" {
		t.Errorf("after 10 s: %s", status)
	}
	w.page("Cache-Control", "max-age=86400")
	w.ask("GET", "/max")
	w.now = w.now.Add(5*time.Minute + time.Second)
	if _, status := w.ask("GET", "/max"); status != Miss {
		t.Errorf("after the maximum: %s", status)
	}
	w.page("Cache-Control", "no-store")
	w.ask("GET", "/never")
	if _, status := w.ask("GET", "/never"); status == Hit {
		t.Error("the minimum overrode no-store")
	}
	w.page("Cache-Control", "max-age=100")
	w.ask("GET", "/back")
	w.now = w.now.Add(-time.Hour)
	if rw, status := w.ask("GET", "/back"); status != Hit || rw.Header().Get("Age") != "0" {
		t.Errorf("after the clock was set back: %s %q", status, rw.Header().Get("Age"))
	}
	w.now = w.now.Add(time.Hour + 50*time.Second)
	for _, c := range []struct{ control, want string }{{"max-age=60", Hit}, {"min-fresh=40", Hit}, {"only-if-cached", Hit}, {"max-age=40", Miss}} {
		if _, status := w.ask("GET", "/back", "Cache-Control", c.control); status != c.want {
			t.Errorf("%s: got %s, want %s", c.control, status, c.want)
		}
	}
	for _, h := range [][]string{{"Cache-Control", "no-cache"}, {"Pragma", "no-cache"}} {
		if _, status := w.ask("GET", "/back", h...); status != Miss {
			t.Errorf("%v: got %s, want miss", h, status)
		}
	}
	r := httptest.NewRequest("GET", "/none", nil)
	r.Body = http.NoBody
	r.Header.Set("Cache-Control", "only-if-cached")
	if _, err := w.Serve(httptest.NewRecorder(), r, w.next); !NotCached(err) {
		t.Errorf("only-if-cached: got %v", err)
	}
}

func TestVary(t *testing.T) {
	w := newWorld(Options{})
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Vary", "accept-language")
		fmt.Fprintf(rw, "lang %s", r.Header.Get("Accept-Language"))
	}
	for range 2 {
		for _, l := range []string{"de", "en", ""} {
			if rw, _ := w.ask("GET", "/", "Accept-Language", l); rw.Body.String() != "lang "+l {
				t.Errorf("got %q for %q", rw.Body, l)
			}
		}
	}
	if w.n != 3 {
		t.Errorf("got %d fetches, want 3", w.n)
	}
	for i := range 100 {
		w.ask("GET", "/", "Accept-Language", fmt.Sprint("x", i))
	}
	if got := w.Stats().Entries; got > maxVariants {
		t.Errorf("got %d variants, want %d or fewer", got, maxVariants)
	}
}

func TestKeysAreApart(t *testing.T) {
	w := newWorld(Options{})
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		fmt.Fprint(rw, r.Host, " ", r.URL.RequestURI())
	}
	uris := []string{"http://a.test/", "http://b.test/", "http://a.test/?", "http://a.test/?a", "http://a.test/?a=", "http://a.test//", "http://a.test/./", "http://a.test/%2e/", "http://a.test/A", "http://a.test/a", "http://a.test/%61", "http://a.test/a%2fb", "http://a.test/a/b"}
	for range 2 {
		for _, u := range uris {
			if rw, _ := w.ask("GET", u); !strings.HasSuffix(u, strings.SplitN(rw.Body.String(), " ", 2)[1]) {
				t.Errorf("%s: got %s", u, rw.Body)
			}
		}
	}
	if w.n != len(uris) {
		t.Errorf("got %d fetches, want %d", w.n, len(uris))
	}
}

func TestValidation(t *testing.T) {
	w := newWorld(Options{})
	conditional := 0
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Etag", `"v1"`)
		rw.Header().Set("Cache-Control", "max-age=60")
		if r.Header.Get("If-None-Match") == `"v1"` {
			conditional++
			rw.WriteHeader(304)
			return
		}
		_, _ = io.WriteString(rw, "body")
	}
	w.ask("GET", "/")
	if rw, status := w.ask("GET", "/", "If-None-Match", `W/"v1", "v0"`); rw.Code != 304 || status != Hit || rw.Body.Len() != 0 {
		t.Errorf("a client that has it: got %d %s", rw.Code, status)
	}
	w.now = w.now.Add(2 * time.Minute)
	rw, status := w.ask("GET", "/")
	if rw.Code != 200 || rw.Body.String() != "body" || status != Revalidated || conditional != 1 || rw.Header().Get("Age") != "0" {
		t.Errorf("stale: got %d %q %s, %d conditional", rw.Code, rw.Body, status, conditional)
	}
	if _, status := w.ask("GET", "/"); status != Hit {
		t.Errorf("after validation: %s", status)
	}
	if rw, _ := w.ask("GET", "/new", "If-None-Match", `"v1"`); rw.Code != 304 {
		t.Errorf("a miss of a client that has it: got %d", rw.Code)
	}
	if rw, status := w.ask("GET", "/new"); rw.Code != 200 || rw.Body.String() != "body" || status != Hit {
		t.Errorf("the next one: got %d %q %s", rw.Code, rw.Body, status)
	}
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Cache-Control", "no-store")
		rw.WriteHeader(304)
	}
	w.now = w.now.Add(2 * time.Minute)
	w.ask("GET", "/")
	w.page()
	if _, status := w.ask("GET", "/"); status == Hit {
		t.Error("a 304 with no-store kept the entry")
	}
}

func TestCoalescing(t *testing.T) {
	w := newWorld(Options{})
	release := make(chan struct{})
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		<-release
		rw.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(rw, "once")
	}
	var wg sync.WaitGroup
	var coalesced atomic.Int32
	for range 20 {
		wg.Go(func() {
			rw, status := w.ask("GET", "/")
			if rw.Body.String() != "once" {
				t.Errorf("got %q", rw.Body)
			}
			if status == Coalesced || status == Hit {
				coalesced.Add(1)
			}
		})
	}
	time.Sleep(50 * time.Millisecond)
	close(release)
	wg.Wait()
	if w.n != 1 || coalesced.Load() != 19 {
		t.Errorf("got %d fetches and %d coalesced, want 1 and 19", w.n, coalesced.Load())
	}
}

// Requests with a cookie, and those whose answer cannot be kept, wait for nobody.
func TestNothingPrivateIsCoalesced(t *testing.T) {
	w := newWorld(Options{Wait: 5 * time.Second})
	w.o.MaxBytes, w.o.MaxEntry = 1<<20, 1<<16
	var in sync.WaitGroup
	in.Add(5)
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		in.Done()
		in.Wait() // all five must be here at the same time
		_, _ = io.WriteString(rw, r.Header.Get("Cookie"))
	}
	var wg sync.WaitGroup
	for i := range 5 {
		wg.Go(func() {
			c := fmt.Sprint("user=", i)
			if rw, status := w.ask("GET", "/", "Cookie", c); rw.Body.String() != c || status != Pass {
				t.Errorf("got %q %s, want %q", rw.Body, status, c)
			}
		})
	}
	wg.Wait()

	first := make(chan struct{})
	release := make(chan struct{})
	var n atomic.Int32
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Set-Cookie", fmt.Sprint("user=", n.Add(1)))
		rw.WriteHeader(200)
		if n.Load() == 1 {
			close(first)
			<-release
		}
	}
	wg.Go(func() { w.ask("GET", "/login") })
	<-first
	if rw, _ := w.ask("GET", "/login"); rw.Header().Get("Set-Cookie") != "user=2" {
		t.Errorf("got another's cookie: %v", rw.Header())
	}
	close(release)
	wg.Wait()
}

func TestIncompleteIsNotStored(t *testing.T) {
	w := newWorld(Options{})
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		rw.Header().Set("Content-Length", "100")
		_, _ = io.WriteString(rw, "half")
	}
	w.ask("GET", "/")
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		_, _ = io.WriteString(rw, "half")
		panic(http.ErrAbortHandler)
	}
	func() {
		defer func() { _ = recover() }()
		w.ask("GET", "/panic")
	}()
	r := httptest.NewRequest("GET", "/err", nil)
	r.Body = http.NoBody
	if _, err := w.Serve(httptest.NewRecorder(), r, func(http.ResponseWriter, *http.Request) error { return errors.New("x") }); err == nil {
		t.Error("the error was lost")
	}
	if got := w.Stats().Entries; got != 0 {
		t.Errorf("got %d entries, want 0", got)
	}
	if len(w.flights) != 0 {
		t.Error("a flight was left behind")
	}
}

func TestBudget(t *testing.T) {
	w := newWorld(Options{MaxBytes: 20 << 10, MaxEntry: 4 << 10, DefaultTTL: time.Minute})
	w.app = func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(make([]byte, 3<<10)) }
	for i := range 50 {
		w.ask("GET", fmt.Sprint("/", i))
		w.ask("GET", "/0") // kept alive by use
	}
	if s := w.Stats(); s.Bytes > 20<<10 || s.Entries < 2 {
		t.Errorf("got %+v", s)
	}
	if _, status := w.ask("GET", "/0"); status != Hit {
		t.Error("the entry in use was forgotten")
	}
	w.app = func(rw http.ResponseWriter, r *http.Request) { _, _ = rw.Write(make([]byte, 5<<10)) }
	w.ask("GET", "/large")
	if _, status := w.ask("GET", "/large"); status == Hit {
		t.Error("a body over the bound was stored")
	}
}

func TestPurge(t *testing.T) {
	w := newWorld(Options{})
	w.page()
	for _, u := range []string{"http://a.test/x", "http://a.test/x?y", "http://a.test/z"} {
		w.ask("GET", u)
	}
	if n := w.PurgeURL("http://a.test/x"); n != 1 {
		t.Errorf("PurgeURL: got %d", n)
	}
	if n := w.PurgePrefix("http://a.test/x"); n != 1 {
		t.Errorf("PurgePrefix: got %d", n)
	}
	w.ask("GET", "http://b.test/z/1")
	if n := w.PurgePrefix("/z"); n != 2 {
		t.Errorf("PurgePrefix of a path: got %d, want it for both hosts", n)
	}
	w.app = func(rw http.ResponseWriter, r *http.Request) {
		w.PurgeAll() // while the answer is on its way
		_, _ = io.WriteString(rw, "old")
	}
	w.ask("GET", "http://a.test/race")
	if s := w.Stats(); s.Entries != 0 || s.Bytes != 0 {
		t.Errorf("after the purge: %+v", s)
	}
}

func TestOuterHeadersAreNotStored(t *testing.T) {
	w := newWorld(Options{})
	w.page()
	r := httptest.NewRequest("GET", "/", nil)
	r.Body = http.NoBody
	rw := httptest.NewRecorder()
	rw.Header().Set("X-Request-Id", "first")
	if _, err := w.Serve(rw, r, w.next); err != nil {
		t.Fatal(err)
	}
	if rw, _ := w.ask("GET", "/"); rw.Header().Get("X-Request-Id") != "" {
		t.Error("the first request's id was served to the second")
	}
}

func FuzzCacheControl(f *testing.F) {
	for _, s := range []string{"no-store", `private="a,b", max-age=1`, "max-age=\"60\"", "=,=,", `a="\`, "max-age=99999999999999999999"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		d := parseControl(http.Header{"Cache-Control": {s}}, false)
		for _, a := range []time.Duration{d.maxAge, d.sMaxAge} {
			if a < -1 || a > maxSeconds*time.Second {
				t.Errorf("%q: got %v", s, a)
			}
		}
		if d := parseControl(http.Header{"Cache-Control": {s, "no-store"}}, false); !d.noStore {
			t.Errorf("%q hid a no-store in the next header", s)
		}
	})
}

func FuzzKey(f *testing.F) {
	f.Add("a.test", "/a?b", "/a%3fb")
	f.Add("a.test:80", "/%61", "/a")
	f.Fuzz(func(t *testing.T, host, a, b string) {
		key := func(uri string) (string, string, bool) {
			r, err := http.NewRequest("GET", "http://a.test"+uri, nil)
			if err != nil || !strings.HasPrefix(uri, "/") {
				return "", "", false
			}
			r.Host = host
			return Key(r), r.URL.RequestURI(), true
		}
		ka, ua, ok := key(a)
		kb, ub, ok2 := key(b)
		if ok && ok2 && ka == kb && ua != ub {
			t.Errorf("%q and %q share the key %q", ua, ub, ka)
		}
	})
}
