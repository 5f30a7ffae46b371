package webserver

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"testing"

	"github.com/ringwall/ringwall/plan"
)

// BenchmarkHop is one request through this wall to a command, next to a bare
// reverse proxy over a transport of the same settings.
func BenchmarkHop(b *testing.B) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }))
	defer app.Close()
	h, err := New(commandPlan(), plan.Fleet, App{Dial: dialer(app)})
	if err != nil {
		b.Fatal(err)
	}
	u, _ := url.Parse(app.URL)
	bare := &httputil.ReverseProxy{
		Transport:  &http.Transport{MaxIdleConnsPerHost: 256, DisableCompression: true},
		BufferPool: pool{},
		Rewrite:    func(pr *httputil.ProxyRequest) { pr.SetURL(u); pr.SetXForwarded() },
	}
	for name, h := range map[string]http.Handler{"wall": adapt(h), "bare": bare} {
		b.Run(name, func(b *testing.B) {
			s := httptest.NewServer(h)
			defer s.Close()
			c := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 64}}
			b.ReportAllocs()
			for b.Loop() {
				req, _ := http.NewRequest("GET", s.URL+"/a/page", nil)
				req.Header.Set(plan.HeaderViewer, "203.0.113.9")
				req.Header.Set(plan.HeaderSecret, "0123456789abcdef0123456789abcdef")
				resp, err := c.Do(req)
				if err != nil {
					b.Fatal(err)
				}
				io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
		})
	}
}
