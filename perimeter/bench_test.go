package perimeter_test

import (
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"syscall"
	"testing"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/balancer"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/perimeter/network"
	"github.com/ringwall/ringwall/plan"
)

// BenchmarkHops compares the CPU of a request through the front and one bare hop
// to that of two bare httputil.ReverseProxy hops, over the same transport to the
// same app: the cpu-µs/op figures. Client and app are in all of them; direct is
// their share.
func BenchmarkHops(b *testing.B) {
	page := make([]byte, 8<<10)
	app := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		w.Header().Set("Cache-Control", "no-store")
		_, _ = w.Write(page)
	})
	listen := func(b *testing.B, h http.Handler) string {
		s := httptest.NewServer(h)
		b.Cleanup(s.Close)
		return s.URL
	}
	bare := func(b *testing.B, to string) http.Handler {
		u, _ := url.Parse(to)
		tr := http.DefaultTransport.(*http.Transport).Clone()
		tr.MaxIdleConnsPerHost = 64
		tr.DisableCompression = true
		b.Cleanup(tr.CloseIdleConnections)
		return &httputil.ReverseProxy{Transport: tr, Rewrite: func(p *httputil.ProxyRequest) { p.SetURL(u) }}
	}
	cert, err := edge.Issue(newPlan(), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	certs, err := edge.NewCerts(cert.Cert, cert.Key)
	if err != nil {
		b.Fatal(err)
	}
	secure := func(b *testing.B, h http.Handler) string {
		ln, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		s := &http.Server{Handler: h, TLSConfig: certs.TLS()}
		go func() { _ = s.ServeTLS(ln, "", "") }()
		b.Cleanup(func() { _ = s.Close() })
		return ln.Addr().String()
	}
	b.Run("direct", func(b *testing.B) { load(b, secure(b, app)) })
	b.Run("two-bare-hops", func(b *testing.B) {
		load(b, secure(b, bare(b, listen(b, bare(b, listen(b, app))))))
	})
	b.Run("front-and-bare-hop", func(b *testing.B) {
		p := newPlan()
		p.Edge.WAF.Off = true
		hop := listen(b, bare(b, listen(b, app)))
		load(b, frontOf(b, p, hop, certs))
	})
	b.Run("front-with-waf-and-bare-hop", func(b *testing.B) {
		hop := listen(b, bare(b, listen(b, app)))
		load(b, frontOf(b, newPlan(), hop, certs))
	})
}

func frontOf(b *testing.B, p *plan.Plan, hop string, certs *edge.Certs) string {
	bal := balancer.New(p, balancer.Options{})
	b.Cleanup(bal.Close)
	bal.SetSecrets("s", "")
	u, _ := url.Parse(hop)
	addr, _ := net.ResolveTCPAddr("tcp", u.Host)
	bal.SetBackends([]balancer.Backend{{Name: "fleet/1", Tier: plan.Fleet, Addr: addr.AddrPort()}})
	e, err := edge.New(p, bal)
	if err != nil {
		b.Fatal(err)
	}
	e.SetSecret("s")
	var line []byte
	h := proxy.Reply(network.Wrap(p, e), func(ev *proxy.Event) { line = ev.AppendJSON(line[:0]); _, _ = io.Discard.Write(line) })
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	s := network.Server(p, h, certs.TLS())
	go func() { _ = network.Serve(s, network.Listen(ln, network.NewConns(p), visitor)) }()
	b.Cleanup(func() { _ = s.Close() })
	return ln.Addr().String()
}

func load(b *testing.B, addr string) {
	tr := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableCompression: true} // the benchmark measures, it trusts nobody
	b.Cleanup(tr.CloseIdleConnections)
	req, err := http.NewRequestWithContext(b.Context(), "GET", "https://"+addr+"/2026/11/hello/?a=1&b=two", nil)
	if err != nil {
		b.Fatal(err)
	}
	req.Host = "wp-dev.example.test"
	req.Header = http.Header{"User-Agent": {"Mozilla/5.0 (X11; Linux x86_64)"}, "Accept": {"text/html"}, "Accept-Language": {"en"}, "Referer": {"https://wp-dev.example.test/"}, "Cookie": {"wordpress_test_cookie=1"}}
	get := func() {
		resp, err := tr.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		_ = resp.Body.Close()
		if resp.StatusCode != 200 {
			b.Fatalf("got %d, want 200", resp.StatusCode)
		}
	}
	for range 50 {
		get()
	}
	before := cpu()
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		get()
	}
	b.StopTimer()
	b.ReportMetric(float64(cpu()-before)/1e3/float64(b.N), "cpu-µs/op")
}

// cpu is this process's CPU time in nanoseconds.
func cpu() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return syscall.TimevalToNsec(u.Utime) + syscall.TimevalToNsec(u.Stime)
}
