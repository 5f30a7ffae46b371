package balancer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
)

func testPlan() *plan.Plan {
	return &plan.Plan{
		Tiers:   []plan.Tier{{Name: plan.Admin}, {Name: plan.Fleet}},
		Network: plan.Network{Host: "site.test"},
		Balancer: plan.Balancer{
			Admins:     plan.Match{Prefixes: []netip.Prefix{netip.MustParsePrefix("203.0.113.0/24"), netip.MustParsePrefix("2001:db8::/32")}},
			HealthPath: "/health", HealthInterval: 20 * time.Millisecond, DrainTimeout: 300 * time.Millisecond,
		},
	}
}

// An instance is a fake one, whose health and answers a test may change.
type instance struct {
	*httptest.Server
	name    string
	sick    atomic.Bool
	health  atomic.Int32
	n       atomic.Int32
	handler atomic.Pointer[http.HandlerFunc]
}

func newInstance(t *testing.T, name string) *instance {
	i := &instance{name: name}
	i.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get(HeaderHealth) != "" {
			i.health.Add(1)
			if i.sick.Load() {
				w.WriteHeader(500)
			}
			return
		}
		i.n.Add(1)
		if h := i.handler.Load(); h != nil {
			(*h)(w, r)
			return
		}
		_, _ = io.Copy(io.Discard, r.Body)
		fmt.Fprint(w, name)
	}))
	t.Cleanup(i.Close)
	return i
}

func (i *instance) handle(h http.HandlerFunc) { i.handler.Store(&h) }

func (i *instance) backend() Backend {
	tier, _, _ := strings.Cut(i.name, "/")
	return Backend{Name: i.name, Tier: tier, Addr: i.Listener.Addr().(*net.TCPAddr).AddrPort()}
}

type bench struct {
	*Balancer
	t   *testing.T
	url string
}

func start(t *testing.T, o Options, list ...*instance) *bench {
	t.Helper()
	b := New(testPlan(), o)
	t.Cleanup(b.Close)
	b.SetSecrets("secret", "")
	var backends []Backend
	for _, i := range list {
		backends = append(backends, i.backend())
	}
	b.SetBackends(backends)
	s := httptest.NewServer(proxy.Reply(b, nil))
	t.Cleanup(s.Close)
	x := &bench{b, t, s.URL}
	healthy := func() int { return b.Stats(plan.Admin).Healthy + b.Stats(plan.Fleet).Healthy }
	x.wait("instances to come up", func() bool { return healthy() == len(list) })
	return x
}

func (b *bench) wait(what string, ok func() bool) {
	b.t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.t.Fatalf("waited 5 s in vain for %s", what)
}

func (b *bench) ask(viewer, method, body string) (int, string) {
	b.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(b.t.Context(), method, b.url+"/x", rd)
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set(plan.HeaderSecret, "secret")
	req.Header.Set(plan.HeaderViewer, viewer)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	out, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(out)
}

const (
	visitor = "198.51.100.7"
	office  = "203.0.113.9"
)

func TestTierByAddress(t *testing.T) {
	b := start(t, Options{}, newInstance(t, "admin/1"), newInstance(t, "fleet/1"))
	for viewer, want := range map[string]string{
		visitor: "fleet/1", office: "admin/1", "203.0.114.1": "fleet/1", "2001:db8::1": "admin/1", "2001:db9::1": "fleet/1", "::ffff:203.0.113.9": "admin/1",
	} {
		if code, body := b.ask(viewer, "GET", ""); code != 200 || body != want {
			t.Errorf("%s: got %d %q, want %s", viewer, code, body, want)
		}
	}
	for _, viewer := range []string{"", "nonsense", "203.0.113.9:80", "203.0.113.9,198.51.100.7", "fe80::1%eth0", "203.0.113"} {
		if code, _ := b.ask(viewer, "GET", ""); code != 404 {
			t.Errorf("viewer %q: got %d, want 404", viewer, code)
		}
	}
}

func TestNoSecretAnswersNobody(t *testing.T) {
	b := New(testPlan(), Options{})
	for _, values := range [][]string{nil, {""}, {"x"}, {"", ""}} {
		if b.knows(values) {
			t.Errorf("without a secret %q was taken", values)
		}
	}
	b.SetSecrets("", "")
	if b.knows([]string{""}) {
		t.Error("an empty secret was taken")
	}
	b.SetSecrets("a", "b")
	for v, want := range map[string]bool{"a": true, "b": true, "ab": false, "": false, "A": false} {
		if b.knows([]string{v}) != want {
			t.Errorf("%q: want %v", v, want)
		}
	}
	if b.knows([]string{"a", "a"}) {
		t.Error("two secrets were taken")
	}
}

func TestWhatTheInstanceSees(t *testing.T) {
	i := newInstance(t, "fleet/1")
	var got http.Header
	var host string
	i.handle(func(w http.ResponseWriter, r *http.Request) { got, host = r.Header, r.Host })
	b := start(t, Options{}, i)
	req, _ := http.NewRequestWithContext(t.Context(), "GET", b.url+"/x?a=100%&b;c", nil)
	req.Host = "site.test"
	for k, v := range map[string]string{plan.HeaderSecret: "secret", plan.HeaderViewer: visitor, "X-Forwarded-For": "1.1.1.1", "X-Forwarded-Proto": "http", "X-Forwarded-Host": "evil", HeaderHealth: "1"} {
		req.Header.Set(k, v)
	}
	if _, err := http.DefaultClient.Do(req); err != nil {
		t.Fatal(err)
	}
	if got == nil {
		t.Fatal("the health header of a visitor was believed")
	}
	if got.Get(plan.HeaderSecret) != "" || got.Get("X-Forwarded-For") != visitor || got.Get("X-Forwarded-Proto") != "https" || got.Get("X-Forwarded-Host") != "site.test" || host != "site.test" || got.Get(HeaderHealth) != "" {
		t.Errorf("host %s header %v", host, got)
	}
}

func TestLeastInFlight(t *testing.T) {
	busy, free := newInstance(t, "fleet/1"), newInstance(t, "fleet/2")
	release := make(chan struct{})
	slow := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { <-release })
	busy.handle(slow)
	free.handle(slow)
	b := start(t, Options{}, busy, free)
	var wg sync.WaitGroup
	for n := range 6 {
		wg.Go(func() { b.ask(visitor, "GET", "") })
		b.wait("the request", func() bool { return b.Stats(plan.Fleet).InFlight == n+1 })
	}
	if busy.n.Load() != 3 || free.n.Load() != 3 {
		t.Errorf("got %d and %d requests, want 3 each", busy.n.Load(), free.n.Load())
	}
	close(release)
	wg.Wait()
	b.wait("the end", func() bool { return b.Stats(plan.Fleet).InFlight == 0 })
	if l := b.Stats(plan.Fleet).Latency; l <= 0 {
		t.Errorf("latency: got %v", l)
	}
}

func TestHealth(t *testing.T) {
	a, c := newInstance(t, "fleet/1"), newInstance(t, "fleet/2")
	b := start(t, Options{}, a, c)
	a.sick.Store(true)
	b.wait("the sick instance to go", func() bool { return b.Stats(plan.Fleet).Healthy == 1 })
	before := a.n.Load()
	for range 10 {
		if code, body := b.ask(visitor, "GET", ""); code != 200 || body != "fleet/2" {
			t.Errorf("got %d %q", code, body)
		}
	}
	if a.n.Load() != before {
		t.Error("a sick instance got requests")
	}
	a.sick.Store(false)
	b.wait("it to come back", func() bool { return b.Stats(plan.Fleet).Healthy == 2 })
}

func TestEmptyTier(t *testing.T) {
	b := start(t, Options{Wait: 50 * time.Millisecond}, newInstance(t, "admin/1"))
	if code, body := b.ask(visitor, "GET", ""); code != 503 || !strings.Contains(body, "the site is starting or unhealthy") {
		t.Errorf("got %d %q", code, body)
	}
}

func TestWaitsForAnInstance(t *testing.T) {
	i := newInstance(t, "fleet/1")
	b := start(t, Options{})
	go func() {
		time.Sleep(100 * time.Millisecond)
		b.SetBackends([]Backend{i.backend()})
	}()
	if code, body := b.ask(visitor, "POST", "x"); code != 200 || body != "fleet/1" {
		t.Errorf("got %d %q", code, body)
	}
}

// A connection that cannot be made loses nothing: any request goes elsewhere.
func TestRetryAfterDialFailure(t *testing.T) {
	good := newInstance(t, "fleet/2")
	bad := newInstance(t, "fleet/1")
	var refuse atomic.Bool
	b := start(t, Options{Dial: func(x Backend) (net.Conn, error) {
		if x.Name == "fleet/1" && refuse.Load() {
			return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errors.New("connection refused")}
		}
		return net.Dial("tcp", x.Addr.String())
	}}, bad, good)
	refuse.Store(true)
	b.mu.RLock()
	b.backends[0].transport.CloseIdleConnections()
	b.mu.RUnlock()
	for _, method := range []string{"GET", "POST", "PUT"} {
		for range 5 {
			if code, body := b.ask(visitor, method, "body"); code != 200 || body != "fleet/2" {
				t.Fatalf("%s: got %d %q", method, code, body)
			}
		}
	}
}

// A connection that breaks after the request was sent may have done its work: only
// what can be repeated is.
func TestRetryAfterLostConnection(t *testing.T) {
	cut := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		c, _, _ := http.NewResponseController(w).Hijack()
		_ = c.Close()
	})
	bad, good := newInstance(t, "fleet/1"), newInstance(t, "fleet/2")
	bad.handle(cut)
	b := start(t, Options{}, bad, good)
	for range 6 {
		if code, body := b.ask(visitor, "GET", ""); code != 200 || body != "fleet/2" {
			t.Fatalf("GET: got %d %q", code, body)
		}
	}
	lost := 0
	for range 6 {
		before := bad.n.Load() + good.n.Load()
		code, _ := b.ask(visitor, "POST", "body")
		if code == 502 {
			lost++
		}
		if did := bad.n.Load() + good.n.Load() - before; did != 1 {
			t.Errorf("a POST was sent %d times", did)
		}
	}
	if lost == 0 {
		t.Error("no POST met the bad instance")
	}
}

// The only instance was restarted under the request: its listener is still there.
func TestRetryOnTheSameInstance(t *testing.T) {
	i := newInstance(t, "fleet/1")
	var n atomic.Int32
	cut := func(times int32) {
		n.Store(0)
		i.handle(func(w http.ResponseWriter, r *http.Request) {
			if n.Add(1) <= times {
				c, _, _ := http.NewResponseController(w).Hijack()
				_ = c.Close()
				return
			}
			fmt.Fprint(w, "back")
		})
	}
	b := start(t, Options{}, i)
	cut(1)
	if code, body := b.ask(visitor, "GET", ""); code != 200 || body != "back" {
		t.Errorf("got %d %q", code, body)
	}
	cut(100)
	began := time.Now()
	if code, _ := b.ask(visitor, "GET", ""); code != 502 || time.Since(began) > time.Second || n.Load() > 4 {
		t.Errorf("a request that kills: got %d after %v and %d tries", code, time.Since(began), n.Load())
	}
}

func TestTimeoutIsNotRepeated(t *testing.T) {
	i := newInstance(t, "fleet/1")
	stop := make(chan struct{})
	defer close(stop)
	i.handle(func(w http.ResponseWriter, r *http.Request) { <-stop })
	b := start(t, Options{ResponseTimeout: 100 * time.Millisecond}, i)
	if code, body := b.ask(visitor, "POST", "x"); code != 504 || !strings.Contains(body, "too long") {
		t.Errorf("got %d %q", code, body)
	}
	if n := i.n.Load(); n != 1 {
		t.Errorf("a POST was sent %d times", n)
	}
}

func TestDrain(t *testing.T) {
	a, c := newInstance(t, "fleet/1"), newInstance(t, "fleet/2")
	in := make(chan struct{}, 10)
	release := make(chan struct{})
	a.handle(func(w http.ResponseWriter, r *http.Request) { in <- struct{}{}; <-release; fmt.Fprint(w, "late") })
	b := start(t, Options{}, a)
	type result struct {
		code int
		body string
	}
	got := make(chan result, 1)
	go func() { code, body := b.ask(visitor, "GET", ""); got <- result{code, body} }()
	<-in
	b.SetBackends([]Backend{a.backend(), c.backend()})
	b.wait("the second instance", func() bool { return b.Stats(plan.Fleet).Healthy == 2 })
	drained := make(chan int, 1)
	go func() {
		cut, err := b.Drain(context.Background(), "fleet/1")
		if err != nil {
			t.Error(err)
		}
		drained <- cut
	}()
	b.wait("the drain to begin", func() bool { return b.Stats(plan.Fleet).Healthy == 1 })
	for range 5 {
		if code, body := b.ask(visitor, "GET", ""); code != 200 || body != "fleet/2" {
			t.Errorf("during the drain: got %d %q", code, body)
		}
	}
	close(release)
	if r := <-got; r.code != 200 || r.body != "late" {
		t.Errorf("the request in flight: got %+v", r)
	}
	if cut := <-drained; cut != 0 {
		t.Errorf("the drain cut %d requests", cut)
	}
	if _, err := b.Drain(t.Context(), "fleet/9"); err == nil {
		t.Error("draining an unknown instance: want an error")
	}
}

// A rolling replacement under load loses no request.
func TestReplaceUnderLoad(t *testing.T) {
	list := []*instance{newInstance(t, "fleet/1"), newInstance(t, "fleet/2"), newInstance(t, "fleet/3")}
	b := start(t, Options{}, list[0], list[1])
	ctx, stop := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	var n, failed atomic.Int32
	for range 4 {
		wg.Go(func() {
			for ctx.Err() == nil {
				if code, _ := b.ask(visitor, "POST", "x"); code != 200 {
					failed.Add(1)
				}
				n.Add(1)
			}
		})
	}
	b.SetBackends([]Backend{list[0].backend(), list[1].backend(), list[2].backend()})
	b.wait("the new instance", func() bool { return b.Stats(plan.Fleet).Healthy == 3 })
	if _, err := b.Drain(t.Context(), "fleet/1"); err != nil {
		t.Error(err)
	}
	list[0].Close()
	b.SetBackends([]Backend{list[1].backend(), list[2].backend()})
	b.wait("more requests", func() bool { return n.Load() > 200 })
	stop()
	wg.Wait()
	if failed.Load() > 0 {
		t.Errorf("%d of %d requests failed", failed.Load(), n.Load())
	}
}

func FuzzViewer(f *testing.F) {
	for _, s := range []string{visitor, "::1", "::ffff:1.2.3.4", "1.2.3.4%a", "1.2.3.4:5", ""} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r := &http.Request{Header: http.Header{plan.HeaderViewer: {s}}}
		if a, ok := viewerOf(r); ok && (!a.IsValid() || a.Zone() != "" || a.Is4In6()) {
			t.Errorf("%q: got %v", s, a)
		}
	})
}
