package network

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
)

func testPlan() *plan.Plan {
	return &plan.Plan{Network: plan.Network{
		Host: "site.test", Hosts: []string{"site.test", "localhost:8443", "[::1]:8443"},
		MaxConns: 20, MaxConnsPerIP: 10, HeaderTimeout: 200 * time.Millisecond,
		BodyTimeout: 200 * time.Millisecond, MinBodyRate: 1000, IdleTimeout: 300 * time.Millisecond, MaxHeaderBytes: 8 << 10,
	}}
}

var fine = proxy.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return err
	}
	fmt.Fprintf(w, "fine %d %s", len(b), r.RemoteAddr)
	return nil
})

// serve runs the plan's server on a loopback port; viewer makes it a door.
func serve(t *testing.T, p *plan.Plan, viewer netip.Addr) (addr string, conns *Conns) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conns = NewConns(p)
	s := Server(p, proxy.Reply(Wrap(p, fine), nil), nil)
	done := make(chan error, 1)
	go func() { done <- Serve(s, Listen(ln, conns, viewer)) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return ln.Addr().String(), conns
}

func dial(t *testing.T, addr string) net.Conn {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(10 * time.Second))
	return c
}

// answerTo sends raw bytes and returns all that comes back until the connection ends.
func answerTo(t *testing.T, addr, raw string) string {
	t.Helper()
	c := dial(t, addr)
	if _, err := io.WriteString(c, raw); err != nil {
		t.Fatal(err)
	}
	b, _ := io.ReadAll(c)
	return string(b)
}

func TestKnownHosts(t *testing.T) {
	h := proxy.Reply(Wrap(testPlan(), fine), nil)
	for host, want := range map[string]int{
		"site.test": 200, "SITE.test": 200, "site.test.": 200, "site.test:443": 200, "localhost:8443": 200, "[::1]:8443": 200,
		"other.test": 421, "": 421, "site.test:8443": 421, "localhost": 421, "site.test.other.test": 421, "127.0.0.1": 421, "site.test@other.test": 421,
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != want {
			t.Errorf("host %q: got %d, want %d", host, w.Code, want)
		}
	}
}

func FuzzCanonicalHost(f *testing.F) {
	for _, s := range []string{"a.test", "A.test.:443", "[::1]:80", ".", ":443", "a..:443"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		h := canonicalHost(s)
		if h != strings.ToLower(h) {
			t.Errorf("%q: %q is not lower case", s, h)
		}
		hostname(h)
	})
}

func TestRate(t *testing.T) {
	l := NewLimiter(plan.Rate{PerMinute: 60, Burst: 3})
	now := time.Unix(1000, 0)
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
	for i := range 3 {
		if ok, _ := l.Allow(a, now); !ok {
			t.Fatalf("request %d of the burst was refused", i+1)
		}
	}
	if ok, retry := l.Allow(a, now); ok || retry != time.Second {
		t.Errorf("after the burst: got %v, retry in %v, want 1s", ok, retry)
	}
	if ok, _ := l.Allow(b, now); !ok {
		t.Error("another address was refused")
	}
	if ok, _ := l.Allow(a, now.Add(-time.Hour)); ok {
		t.Error("a clock that jumped back gave a token")
	}
	if ok, _ := l.Allow(a, now.Add(1100*time.Millisecond)); !ok {
		t.Error("refused after the time it was told to wait")
	}
	x, y := netip.MustParseAddr("2001:db8:0:1::1"), netip.MustParseAddr("2001:db8:0:1:ffff::9")
	for range 3 {
		l.Allow(x, now)
	}
	if ok, _ := l.Allow(y, now); ok {
		t.Error("another address of the same /64 has a bucket of its own")
	}
	m := netip.MustParseAddr("::ffff:192.0.2.1")
	if Block(m) != a {
		t.Errorf("Block(%v): got %v, want %v", m, Block(m), a)
	}
}

func TestRateMemoryIsBounded(t *testing.T) {
	l := NewLimiter(plan.Rate{PerMinute: 60, Burst: 1})
	l.size = 10
	now := time.Unix(1000, 0)
	a := netip.MustParseAddr("10.0.0.0")
	for range 1000 {
		l.Allow(a, now)
		a = a.Next()
	}
	if len(l.buckets) != 10 || l.recent.Len() != 10 {
		t.Errorf("got %d buckets, want 10", len(l.buckets))
	}
}

func TestRateAnswer(t *testing.T) {
	p := testPlan()
	p.Network.Rate = plan.Rate{PerMinute: 6, Burst: 2}
	h := proxy.Reply(Wrap(p, fine), nil)
	var w *httptest.ResponseRecorder
	for range 3 {
		r := httptest.NewRequest("GET", "/", nil)
		r.Host = "site.test"
		w = httptest.NewRecorder()
		h.ServeHTTP(w, r)
	}
	if w.Code != 429 || w.Header().Get("Retry-After") != "10" {
		t.Errorf("got %d, Retry-After %q; want 429, 10", w.Code, w.Header().Get("Retry-After"))
	}
}

func TestDoorStandsForAnAddress(t *testing.T) {
	addr, _ := serve(t, testPlan(), netip.MustParseAddr("203.0.113.9"))
	got := answerTo(t, addr, "GET / HTTP/1.1\r\nHost: site.test\r\nX-Forwarded-For: 1.1.1.1\r\nConnection: close\r\n\r\n")
	if !strings.Contains(got, "fine 0 203.0.113.9:") {
		t.Errorf("got %q", got)
	}
	if got := answerTo(t, addr, "PROXY TCP4 1.1.1.1 2.2.2.2 1 2\r\nGET / HTTP/1.1\r\nHost: site.test\r\n\r\n"); !strings.HasPrefix(got, "HTTP/1.1 400") {
		t.Errorf("a PROXY preface: got %q, want 400", got)
	}
}

func TestSlowHeaderIsCut(t *testing.T) {
	addr, conns := serve(t, testPlan(), netip.Addr{})
	c := dial(t, addr)
	began := time.Now()
	go func() {
		for range 50 {
			if _, err := io.WriteString(c, "G"); err != nil {
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
	}()
	_, _ = io.ReadAll(c)
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("a header that never ends was cut after %v", d)
	}
	waitFor(t, func() bool { return conns.Open() == 0 })
}

func TestIdleIsCut(t *testing.T) {
	addr, conns := serve(t, testPlan(), netip.Addr{})
	c := dial(t, addr)
	fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: site.test\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil || resp.StatusCode != 200 {
		t.Fatalf("got %v %v", resp, err)
	}
	waitFor(t, func() bool { return conns.Open() == 0 })
}

func TestSlowBodyIsCut(t *testing.T) {
	addr, conns := serve(t, testPlan(), netip.Addr{})
	for name, drip := range map[string]bool{"silent": false, "drip": true} {
		c := dial(t, addr)
		fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 100000\r\n\r\nabc")
		stop := make(chan struct{})
		go func() {
			for drip {
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}()
		began := time.Now()
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil || resp.StatusCode != 408 {
			t.Errorf("%s: got %v %v, want 408", name, resp, err)
		}
		if d := time.Since(began); d > 3*time.Second {
			t.Errorf("%s: cut after %v", name, d)
		}
		close(stop)
		_ = c.Close()
	}
	waitFor(t, func() bool { return conns.Open() == 0 })
}

// A body that keeps the rate passes however long it takes, and so does one whose
// reader is slow.
func TestSteadyBodyPasses(t *testing.T) {
	addr, _ := serve(t, testPlan(), netip.Addr{})
	c := dial(t, addr)
	fmt.Fprint(c, "POST / HTTP/1.1\r\nHost: site.test\r\nContent-Length: 5000\r\nConnection: close\r\n\r\n")
	for range 10 {
		time.Sleep(60 * time.Millisecond)
		if _, err := io.WriteString(c, strings.Repeat("x", 500)); err != nil {
			t.Fatal(err)
		}
	}
	if b, _ := io.ReadAll(c); !strings.Contains(string(b), "fine 5000") {
		t.Errorf("got %q", b)
	}
}

func TestConnectionBounds(t *testing.T) {
	p := testPlan()
	p.Network.MaxConnsPerIP = 3
	addr, conns := serve(t, p, netip.Addr{})
	var open []net.Conn
	for range 3 {
		open = append(open, dial(t, addr))
	}
	waitFor(t, func() bool { return conns.Open() == 3 })
	if !refused(t, addr) {
		t.Error("the fourth connection of an address was kept")
	}
	waitFor(t, func() bool { return conns.Refused() == 1 })
	_ = open[0].Close()
	waitFor(t, func() bool { return conns.Open() == 2 })
	if got := answerTo(t, addr, "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n"); !strings.Contains(got, "200 OK") {
		t.Errorf("after one closed: got %q", got)
	}
	p.Network.MaxConns, p.Network.MaxConnsPerIP = 2, 0
	addr, conns = serve(t, p, netip.Addr{})
	dial(t, addr)
	dial(t, addr)
	waitFor(t, func() bool { return conns.Open() == 2 })
	if !refused(t, addr) {
		t.Error("the third connection of all was kept")
	}
}

// refused says whether a new connection is closed at once.
func refused(t *testing.T, addr string) bool {
	t.Helper()
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return true
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(time.Second))
	_, err = c.Read(make([]byte, 1))
	ne, timeout := err.(net.Error)
	return err != nil && !(timeout && ne.Timeout())
}

func TestRedirect(t *testing.T) {
	h := proxy.Reply(Redirect(testPlan()), nil)
	for _, c := range []struct {
		method, host, uri string
		status            int
		location          string
	}{
		{"GET", "site.test", "/a?b=c", 301, "https://site.test/a?b=c"},
		{"GET", "site.test:80", "//other.test/a", 301, "https://site.test//other.test/a"},
		{"POST", "localhost", "/", 308, "https://localhost:8443/"},
		{"GET", "other.test", "/", 421, ""},
	} {
		r := httptest.NewRequest(c.method, c.uri, nil)
		r.Host, r.URL.Host, r.URL.Scheme = c.host, "", ""
		r.URL.Path, r.URL.RawQuery, _ = strings.Cut(c.uri, "?")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || w.Header().Get("Location") != c.location {
			t.Errorf("%s %s%s: got %d %q", c.method, c.host, c.uri, w.Code, w.Header().Get("Location"))
		}
	}
}

func waitFor(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatal("waited 5 s in vain")
}
