package perimeter_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/balancer"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/network"
	"github.com/ringwall/ringwall/plan"
)

var (
	visitor  = netip.MustParseAddr("198.51.100.7")
	office   = netip.MustParseAddr("203.0.113.9")
	stranger = netip.MustParseAddr("192.0.2.66")
)

func newPlan() *plan.Plan {
	match := func(s ...string) (m plan.Match) {
		for _, x := range s {
			m.Prefixes = append(m.Prefixes, netip.MustParsePrefix(x))
		}
		return m
	}
	return &plan.Plan{
		App: "wp", Env: "dev",
		Tiers: []plan.Tier{{Name: plan.Admin, Min: 1, Max: 1, Write: true}, {Name: plan.Fleet, Min: 1, Max: 2}},
		Network: plan.Network{
			Host: "wp-dev.example.test", Hosts: []string{"wp-dev.example.test", "localhost:8443"},
			Rate: plan.Rate{PerMinute: 600000, Burst: 100000}, MaxConns: 200, MaxConnsPerIP: 100,
			HeaderTimeout: 2 * time.Second, BodyTimeout: 2 * time.Second, MinBodyRate: 500, IdleTimeout: 10 * time.Second, MaxHeaderBytes: 32 << 10,
		},
		Edge: plan.Edge{
			Allowed: match("198.51.100.0/24", "203.0.113.0/24"), MaxBody: 1 << 20, MaxUpload: 8 << 20,
			WAF:   plan.WAF{Paranoia: 1, AdminPlugins: []string{"wordpress"}},
			Cache: plan.Cache{DefaultTTL: time.Minute, MaxTTL: time.Hour, MaxBytes: 8 << 20, MaxEntry: 1 << 20, Uncached: []string{"/wp-admin/*", "*rest_route*"}, ForwardedCookies: []string{"wordpress_*"}},
		},
		Balancer: plan.Balancer{Admins: match("203.0.113.9/32"), HealthPath: "/health", HealthInterval: 50 * time.Millisecond, DrainTimeout: 2 * time.Second},
	}
}

// A front is the whole front process of a site in one test: a visitor's, an
// administrator's and a stranger's listener, and two fake instances.
type front struct {
	t        testing.TB
	p        *plan.Plan
	edge     *edge.Edge
	balancer *balancer.Balancer
	roots    *x509.CertPool
	doors    map[netip.Addr]string
	plain    string // the balancer's own listener

	mu     sync.Mutex
	events []proxy.Event
	seen   []*http.Request // by the app
}

func start(t testing.TB, p *plan.Plan, app http.Handler) *front {
	t.Helper()
	f := &front{t: t, p: p, doors: map[netip.Addr]string{}, roots: x509.NewCertPool()}
	wrap := func(tier string) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			if r.URL.Path == "/health" {
				return
			}
			if f.t != nil {
				f.mu.Lock()
				f.seen = append(f.seen, r)
				f.mu.Unlock()
			}
			w.Header().Set("X-Tier", tier)
			w.Header().Set("Server", "fake/1.0")
			app.ServeHTTP(w, r)
		})
	}
	f.balancer = balancer.New(p, balancer.Options{})
	t.Cleanup(f.balancer.Close)
	f.balancer.SetSecrets("s3cret-of-the-origin", "")
	var list []balancer.Backend
	for _, tier := range []string{plan.Admin, plan.Fleet} {
		s := httptest.NewServer(wrap(tier))
		t.Cleanup(s.Close)
		list = append(list, balancer.Backend{Name: tier + "/1", Tier: tier, Addr: s.Listener.Addr().(*net.TCPAddr).AddrPort()})
	}
	f.balancer.SetBackends(list)
	var err error
	if f.edge, err = edge.New(p, f.balancer); err != nil {
		t.Fatal(err)
	}
	f.edge.SetSecret("s3cret-of-the-origin")
	cert, err := edge.Issue(p, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	f.roots.AppendCertsFromPEM(cert.Roots)
	certs, err := edge.NewCerts(cert.Cert, cert.Key)
	if err != nil {
		t.Fatal(err)
	}
	log := func(e *proxy.Event) { f.mu.Lock(); f.events = append(f.events, *e); f.mu.Unlock() }
	h := proxy.Reply(network.Wrap(p, f.edge), log)
	conns := network.NewConns(p)
	for _, a := range []netip.Addr{visitor, office, stranger} {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		f.doors[a] = ln.Addr().String()
		f.serve(network.Server(p, h, certs.TLS()), network.Listen(ln, conns, a))
	}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f.plain = ln.Addr().String()
	f.serve(network.Server(p, proxy.Reply(f.balancer, log), nil), ln)
	deadline := time.Now().Add(5 * time.Second)
	for f.balancer.Stats(plan.Fleet).Healthy == 0 || f.balancer.Stats(plan.Admin).Healthy == 0 {
		if time.Now().After(deadline) {
			t.Fatal("the instances did not come up in 5 s")
		}
		time.Sleep(5 * time.Millisecond)
	}
	return f
}

func (f *front) serve(s *http.Server, ln net.Listener) {
	done := make(chan error, 1)
	go func() { done <- network.Serve(s, ln) }()
	f.t.Cleanup(func() {
		_ = s.Close()
		if err := <-done; err != nil {
			f.t.Error(err)
		}
	})
}

func (f *front) client(from netip.Addr, http2 bool) *http.Client {
	tr := &http.Transport{
		TLSClientConfig:   &tls.Config{RootCAs: f.roots},
		ForceAttemptHTTP2: http2, DisableCompression: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "tcp", f.doors[from])
		},
	}
	if !http2 {
		tr.TLSNextProto = map[string]func(string, *tls.Conn) http.RoundTripper{}
	}
	f.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: 20 * time.Second,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

type answer struct {
	*http.Response
	body string
}

func (f *front) do(from netip.Addr, http2 bool, method, uri, body string, header ...string) answer {
	f.t.Helper()
	var rd io.Reader
	if body != "" {
		rd = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(f.t.Context(), method, "https://wp-dev.example.test"+uri, rd)
	if err != nil {
		f.t.Fatal(err)
	}
	req.Header.Set("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) test")
	req.Header.Set("Accept", "*/*")
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header[header[i]] = []string{header[i+1]}
	}
	resp, err := f.client(from, http2).Do(req)
	if err != nil {
		f.t.Fatalf("%s %s: %v", method, uri, err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatalf("%s %s: reading: %v", method, uri, err)
	}
	return answer{resp, string(b)}
}

// last returns the newest event, waiting for the handler that logs it to end.
func (f *front) last(id string) proxy.Event {
	f.t.Helper()
	for range 200 {
		f.mu.Lock()
		for i := len(f.events) - 1; i >= 0; i-- {
			if f.events[i].ID == id {
				e := f.events[i]
				f.mu.Unlock()
				return e
			}
		}
		f.mu.Unlock()
		time.Sleep(5 * time.Millisecond)
	}
	f.t.Fatalf("no event with id %s", id)
	return proxy.Event{}
}

func echo() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		w.Header().Set("Cache-Control", "no-store")
		fmt.Fprintf(w, "%s %s %d %s", r.Method, r.RequestURI, len(b), b)
	})
}

func TestChainServes(t *testing.T) {
	f := start(t, newPlan(), echo())
	for _, h2 := range []bool{false, true} {
		a := f.do(visitor, h2, "POST", "/comments?x=1&password=hunter2", "author=me&comment=hello", "Content-Type", "application/x-www-form-urlencoded", "X-Request-Id", "mine")
		if a.StatusCode != 200 || a.body != "POST /comments?x=1&password=hunter2 23 author=me&comment=hello" {
			t.Fatalf("h2 %v: got %d %q", h2, a.StatusCode, a.body)
		}
		if want := map[bool]int{false: 1, true: 2}[h2]; a.ProtoMajor != want {
			t.Errorf("got HTTP/%d, want %d", a.ProtoMajor, want)
		}
		if a.Header.Get("X-Tier") != plan.Fleet || a.Header.Get("Server") != "" || a.Header.Get("X-Frame-Options") != "SAMEORIGIN" || a.Header.Get("Strict-Transport-Security") == "" {
			t.Errorf("header: %v", a.Header)
		}
		id := a.Header.Get("X-Request-Id")
		e := f.last(id)
		if id == "mine" || e.Status != 200 || e.TargetStatus != 200 || e.Tier != plan.Fleet || e.Instance != "fleet/1" || e.Received != 23 || e.SentBytes != int64(len(a.body)) ||
			!strings.HasPrefix(e.Viewer, visitor.String()+":") || strings.Contains(e.URL, "hunter2") || e.Action != "forward" || e.TLSProtocol != "TLS 1.3" || e.TargetTime < 0 {
			t.Errorf("event: %+v", e)
		}
		if a := f.do(office, h2, "GET", "/", ""); a.StatusCode != 200 || a.Header.Get("X-Tier") != plan.Admin {
			t.Errorf("office: got %d from %q, want admin", a.StatusCode, a.Header.Get("X-Tier"))
		}
		if a := f.do(stranger, h2, "GET", "/", ""); a.StatusCode != 403 {
			t.Errorf("stranger: got %d, want 403", a.StatusCode)
		}
	}
}

func TestChainViewerIsOurs(t *testing.T) {
	f := start(t, newPlan(), echo())
	for _, name := range []string{"X-Ringwall-Viewer", "X-Forwarded-For", "x_forwarded_for", "X_Ringwall_Viewer", "True-Client-Ip", "Cf-Connecting-Ip", "X-Real-Ip", "Forwarded", "client.ip", "X-Ringwall-Origin-Secret", "X-Ringwall-Health", "X-Forwarded-Host", "X-Original-Url"} {
		f.seen = nil
		a := f.do(visitor, false, "GET", "/x", "", name, office.String())
		if a.StatusCode != 200 || a.Header.Get("X-Tier") != plan.Fleet {
			t.Errorf("%s: got %d from %q", name, a.StatusCode, a.Header.Get("X-Tier"))
		}
		f.mu.Lock()
		for k, v := range f.seen[0].Header {
			if strings.Contains(strings.Join(v, ","), office.String()) || k == plan.HeaderSecret {
				t.Errorf("%s: the app saw %s: %v", name, k, v)
			}
		}
		if got := f.seen[0].Header.Get("X-Forwarded-For"); got != visitor.String() {
			t.Errorf("X-Forwarded-For: got %q", got)
		}
		f.mu.Unlock()
	}
}

func TestChainBalancerListener(t *testing.T) {
	f := start(t, newPlan(), echo())
	get := func(secret, viewer string) int {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", "http://"+f.plain+"/", nil)
		if secret != "" {
			req.Header.Set(plan.HeaderSecret, secret)
		}
		if viewer != "" {
			req.Header.Set(plan.HeaderViewer, viewer)
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode
	}
	f.balancer.SetSecrets("new", "s3cret-of-the-origin")
	for _, c := range []struct {
		secret, viewer string
		want           int
	}{
		{"", "203.0.113.9", 404}, {"wrong", "203.0.113.9", 404}, {"s3cret-of-the-origin", "", 404}, {"s3cret-of-the-origin", "nonsense", 404},
		{"s3cret-of-the-origin", "198.51.100.7", 200}, {"new", "198.51.100.7", 200}, {"new", "203.0.113.9, 1.1.1.1", 404}, {"new", "fe80::1%eth0", 404},
	} {
		if got := get(c.secret, c.viewer); got != c.want {
			t.Errorf("secret %q viewer %q: got %d, want %d", c.secret, c.viewer, got, c.want)
		}
	}
	f.balancer.SetSecrets("new", "")
	if got := get("s3cret-of-the-origin", "198.51.100.7"); got != 404 {
		t.Errorf("the old secret after the rotation: got %d, want 404", got)
	}
}

func TestChainStreams(t *testing.T) {
	release := make(chan struct{})
	f := start(t, newPlan(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		w.Header().Set("Cache-Control", "max-age=60")
		io.WriteString(w, "data: one\n\n")
		w.(http.Flusher).Flush()
		<-release
		io.WriteString(w, "data: two\n\n")
	}))
	for _, h2 := range []bool{false, true} {
		req, _ := http.NewRequestWithContext(t.Context(), "GET", fmt.Sprintf("https://wp-dev.example.test/events?%v", h2), nil)
		req.Header.Set("User-Agent", "Mozilla/5.0")
		req.Header.Set("Accept", "*/*")
		resp, err := f.client(visitor, h2).Do(req)
		if err != nil {
			t.Fatal(err)
		}
		br := bufio.NewReader(resp.Body)
		if line, err := br.ReadString('\n'); line != "data: one\n" {
			t.Fatalf("h2 %v: got %q %v before the end", h2, line, err)
		}
		release <- struct{}{}
		rest, err := io.ReadAll(br)
		if err != nil || !strings.Contains(string(rest), "two") {
			t.Errorf("h2 %v: got %q %v", h2, rest, err)
		}
		resp.Body.Close()
	}
}

func TestChainWebSocket(t *testing.T) {
	f := start(t, newPlan(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer c.CloseNow()
		for {
			kind, b, err := c.Read(r.Context())
			if err != nil {
				return
			}
			if c.Write(r.Context(), kind, append([]byte("echo "), b...)) != nil {
				return
			}
		}
	}))
	c, resp, err := websocket.Dial(t.Context(), "wss://wp-dev.example.test/comms", &websocket.DialOptions{HTTPClient: f.client(visitor, false),
		HTTPHeader: http.Header{"User-Agent": {"Mozilla/5.0"}, "Accept": {"*/*"}}})
	if err != nil {
		t.Fatalf("dialing: %v %v", err, resp)
	}
	defer c.CloseNow()
	for range 3 {
		if err := c.Write(t.Context(), websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(t.Context()); err != nil || string(b) != "echo hello" {
			t.Fatalf("got %q %v", b, err)
		}
	}
	if n := f.balancer.Stats(plan.Fleet).InFlight; n != 1 {
		t.Errorf("in flight: got %d, want 1", n)
	}
	began := time.Now()
	cut, err := f.balancer.Drain(t.Context(), "fleet/1")
	if err != nil || cut != 1 || time.Since(began) < f.p.Balancer.DrainTimeout {
		t.Errorf("draining: cut %d, %v, after %v", cut, err, time.Since(began))
	}
	if _, _, err := c.Read(t.Context()); err == nil {
		t.Error("the WebSocket outlived the drain")
	}
}
