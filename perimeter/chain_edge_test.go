package perimeter_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

func (f *front) dialTLS(from netip.Addr, c *tls.Config) (*tls.Conn, error) {
	c.RootCAs, c.ServerName = f.roots, "wp-dev.example.test"
	conn, err := tls.Dial("tcp", f.doors[from], c)
	if err == nil {
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		f.t.Cleanup(func() { _ = conn.Close() })
	}
	return conn, err
}

// raw sends bytes over HTTP/1.1 and returns the statuses of all answers until the
// connection ends or is silent.
func (f *front) raw(from netip.Addr, data string) []int {
	f.t.Helper()
	c, err := f.dialTLS(from, &tls.Config{NextProtos: []string{"http/1.1"}})
	if err != nil {
		f.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(700 * time.Millisecond))
	if _, err := io.WriteString(c, data); err != nil {
		f.t.Fatal(err)
	}
	var got []int
	br := bufio.NewReader(c)
	for {
		resp, err := http.ReadResponse(br, nil)
		if err != nil {
			return got
		}
		_, _ = io.Copy(io.Discard, resp.Body)
		got = append(got, resp.StatusCode)
	}
}

func (f *front) uris() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	var u []string
	for _, r := range f.seen {
		u = append(u, r.RequestURI)
	}
	return u
}

const rawHead = "Host: wp-dev.example.test\r\nUser-Agent: Mozilla/5.0\r\nAccept: */*\r\n"

func TestChainSmuggling(t *testing.T) {
	f := start(t, newPlan(), echo())
	hidden := "GET /hidden HTTP/1.1\r\n" + rawHead + "\r\n"
	form := "Content-Type: application/x-www-form-urlencoded\r\n"
	for name, c := range map[string]struct{ head, body string }{
		"CL.TE":                  {"Content-Length: 6\r\nTransfer-Encoding: chunked\r\n", "0\r\n\r\n" + hidden},
		"TE.CL":                  {"Transfer-Encoding: chunked\r\nContent-Length: 3\r\n", "0\r\n\r\n" + hidden},
		"two lengths":            {"Content-Length: 0\r\nContent-Length: 50\r\n", hidden},
		"TE with other":          {"Transfer-Encoding: gzip, chunked\r\n", "0\r\n\r\n" + hidden},
		"TE identity":            {"Transfer-Encoding: identity\r\nContent-Length: 0\r\n", hidden},
		"TE with vertical tab":   {"Transfer-Encoding: \x0bchunked\r\nContent-Length: 0\r\n", hidden},
		"space before colon":     {"Content-Length : 0\r\n", hidden},
		"signed length":          {"Content-Length: +0\r\n", hidden},
		"bare CR in a header":    {"X-A: a\rContent-Length: 0\r\n", hidden},
		"zero in a header":       {"X-A: a\x00b\r\n", hidden},
		"two types":              {"Content-Type: text/plain\r\nContent-Length: 0\r\n", hidden},
		"bad chunk size":         {"Transfer-Encoding: chunked\r\n", "0x0\r\n\r\n" + hidden},
		"chunk with bare LF":     {"Transfer-Encoding: chunked\r\n", "0\n\n" + hidden},
		"huge chunk size":        {"Transfer-Encoding: chunked\r\n", "fffffffffffffffff\r\n" + hidden},
		"trailer":                {"Transfer-Encoding: chunked\r\nTrailer: X-A\r\n", "0\r\nX-A: b\r\n\r\n" + hidden},
		"encoding in HTTP/1.0's": {"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", "0\r\n\r\n" + hidden},
	} {
		f.mu.Lock()
		f.seen = nil
		f.mu.Unlock()
		got := f.raw(visitor, "POST /first HTTP/1.1\r\n"+rawHead+form+c.head+"\r\n"+c.body)
		for _, u := range f.uris() {
			if u == "/hidden" {
				t.Errorf("%s: the hidden request reached the app; answers %v", name, got)
			}
		}
		if len(got) > 1 {
			t.Errorf("%s: got answers %v, want one", name, got)
		}
	}
	for name, req := range map[string]string{
		"two hosts":         "GET / HTTP/1.1\r\nHost: wp-dev.example.test\r\nHost: other.test\r\n\r\n",
		"no host":           "GET / HTTP/1.1\r\n\r\n",
		"CONNECT":           "CONNECT wp-dev.example.test:443 HTTP/1.1\r\n" + rawHead + "\r\n",
		"TRACE":             "TRACE / HTTP/1.1\r\n" + rawHead + "\r\n",
		"other host in URI": "GET http://other.test/ HTTP/1.1\r\n" + rawHead + "\r\n",
		"asterisk":          "OPTIONS * HTTP/1.1\r\n" + rawHead + "\r\n",
		"zero byte":         "GET /a%00b HTTP/1.1\r\n" + rawHead + "\r\n",
		"fragment":          "GET /a#b HTTP/1.1\r\n" + rawHead + "\r\n",
	} {
		f.mu.Lock()
		f.seen = nil
		f.mu.Unlock()
		if got := f.raw(visitor, req); len(got) != 1 || got[0] < 400 || len(f.uris()) > 0 {
			t.Errorf("%s: got %v and the app saw %v", name, got, f.uris())
		}
	}
}

// Header bytes that HTTP/2 can carry and HTTP/1.1 cannot must not become another
// header or request behind the edge.
func TestChainHTTP2Headers(t *testing.T) {
	f := start(t, newPlan(), echo())
	ask := func(fields ...string) (status string) {
		c, err := f.dialTLS(visitor, &tls.Config{NextProtos: []string{"h2"}})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		_, _ = io.WriteString(c, http2.ClientPreface)
		fr := http2.NewFramer(c, c)
		fr.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
		_ = fr.WriteSettings()
		var block bytes.Buffer
		enc := hpack.NewEncoder(&block)
		all := append([]string{":method", "GET", ":scheme", "https", ":authority", "wp-dev.example.test", ":path", "/h2", "user-agent", "Mozilla/5.0", "accept", "*/*"}, fields...)
		for i := 0; i+1 < len(all); i += 2 {
			_ = enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
		}
		_ = fr.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: block.Bytes(), EndStream: true, EndHeaders: true})
		for {
			frame, err := fr.ReadFrame()
			if err != nil {
				return err.Error()
			}
			switch frame := frame.(type) {
			case *http2.MetaHeadersFrame:
				return frame.PseudoValue("status")
			case *http2.RSTStreamFrame:
				return frame.ErrCode.String()
			case *http2.GoAwayFrame:
				return frame.ErrCode.String()
			}
		}
	}
	if got := ask("x-a", "b"); got != "200" {
		t.Fatalf("a plain request: got %s", got)
	}
	f.mu.Lock()
	f.seen = nil
	f.mu.Unlock()
	for _, fields := range [][]string{
		{"x-a", "b\r\nx-ringwall-viewer: 203.0.113.9"}, {"x-a", "b\nc"}, {"x-a", "b\x00c"}, {"x-a\r\nx-b", "c"}, {"x a", "b"}, {"X-Upper", "b"},
		{"transfer-encoding", "chunked"}, {"connection", "upgrade"}, {":path", "/other"}, {"content-length", "5"},
	} {
		if got := ask(fields...); got == "200" {
			t.Errorf("%q: got 200", fields)
		}
	}
	for _, r := range f.seen {
		t.Errorf("the app saw %s %v", r.RequestURI, r.Header)
	}
}

func TestChainTLS(t *testing.T) {
	f := start(t, newPlan(), echo())
	for v, want := range map[uint16]bool{tls.VersionTLS10: false, tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		_, err := f.dialTLS(visitor, &tls.Config{MinVersion: v, MaxVersion: v})
		if (err == nil) != want {
			t.Errorf("%s: got %v, want success: %v", tls.VersionName(v), err, want)
		}
	}
	for _, s := range append(tls.InsecureCipherSuites(), tls.CipherSuites()...) {
		if s.SupportedVersions[len(s.SupportedVersions)-1] == tls.VersionTLS13 {
			continue
		}
		_, err := f.dialTLS(visitor, &tls.Config{MaxVersion: tls.VersionTLS12, CipherSuites: []uint16{s.ID}})
		if good := strings.Contains(s.Name, "ECDHE_ECDSA") && (strings.Contains(s.Name, "GCM") || strings.Contains(s.Name, "POLY1305")); (err == nil) != good {
			t.Errorf("%s: got %v", s.Name, err)
		}
	}
	req, _ := http.NewRequestWithContext(t.Context(), "GET", "https://wp-dev.example.test/", nil)
	req.Host = "localhost:8443" // another of the site's names than the handshake's
	resp, err := f.client(visitor, true).Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != 421 {
		t.Errorf("another name than the handshake's: got %d, want 421", resp.StatusCode)
	}
}

func TestChainBodyLimit(t *testing.T) {
	f := start(t, newPlan(), echo())
	// Refused by the announced length alone: no byte of the body was sent.
	got := f.raw(visitor, "POST / HTTP/1.1\r\n"+rawHead+"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2000000\r\n\r\n")
	if len(got) != 1 || got[0] != 413 {
		t.Errorf("announced: got %v, want 413", got)
	}
	p := newPlan()
	p.Edge.WAF.Off = true
	f = start(t, p, echo())
	chunk := "10000\r\n" + strings.Repeat("x", 0x10000) + "\r\n"
	got = f.raw(visitor, "POST / HTTP/1.1\r\n"+rawHead+"Transfer-Encoding: chunked\r\n\r\n"+strings.Repeat(chunk, 17))
	if len(got) != 1 || got[0] != 413 {
		t.Errorf("not announced: got %v, want 413", got)
	}
	if a := f.do(office, true, "POST", "/", strings.Repeat("x", 2<<20)); a.StatusCode != 200 {
		t.Errorf("an administrator's 2 MiB: got %d", a.StatusCode)
	}
}

// tierPage is an app whose pages depend on everything that a cache could leak.
func tierPage() http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		fmt.Fprintf(w, "tier=%s cookie=%s host=%s now=%d", w.Header().Get("X-Tier"), r.Header.Get("Cookie"), r.Header.Get("X-Forwarded-Host"), time.Now().UnixNano())
	})
}

func TestChainCache(t *testing.T) {
	f := start(t, newPlan(), tierPage())
	get := func(from netip.Addr, uri string, header ...string) answer {
		t.Helper()
		return f.do(from, true, "GET", uri, "", header...)
	}
	if a := get(office, "/page"); !strings.Contains(a.body, "tier=admin") {
		t.Errorf("office: got %q", a.body)
	}
	first := get(visitor, "/page")
	if !strings.Contains(first.body, "tier=fleet") {
		t.Fatalf("a visitor got the administrator's page: %q", first.body)
	}
	second := get(visitor, "/page", "X-Forwarded-Host", "evil.test")
	if second.body != first.body || second.Header.Get("Age") == "" {
		t.Errorf("the second visitor: got %q, want the stored page", second.body)
	}
	if e := f.last(second.Header.Get("X-Request-Id")); e.Cache != "hit" || e.Action != "cache" || first.Header.Get("X-Request-Id") == second.Header.Get("X-Request-Id") {
		t.Errorf("event: %+v", e)
	}
	if a := get(office, "/page"); !strings.Contains(a.body, "tier=admin") {
		t.Errorf("an administrator got the visitors' page: %q", a.body)
	}
	if a := get(visitor, "/page", "Cookie", "wordpress_logged_in=bob; other=x"); !strings.Contains(a.body, "cookie=wordpress_logged_in=bob host") {
		t.Errorf("with a forwarded cookie: got %q", a.body)
	}
	if a := get(visitor, "/page", "Cookie", "tracking=1"); a.body != first.body {
		t.Errorf("with a cookie that is not forwarded: got %q, want the stored page", a.body)
	}
	if a := get(visitor, "/page", "Authorization", "Basic eDp5"); a.body == first.body {
		t.Error("with authorization: got the stored page")
	}
	for _, uri := range []string{"/wp-admin/x", "/wp-admin//x", "/%77p-admin/x", "//wp-admin/x", "/?rest_route=/wp/v2/posts"} {
		a, b := get(visitor, uri), get(visitor, uri)
		if a.StatusCode != 200 || a.body == b.body {
			t.Errorf("%s: an uncached path was stored (%d)", uri, a.StatusCode)
		}
	}
	if n := f.edge.Cache().PurgePrefix("https://wp-dev.example.test/page"); n != 1 {
		t.Errorf("purged %d, want 1", n)
	}
	if a := get(visitor, "/page"); a.body == first.body {
		t.Error("the purged page was served")
	}
}

// Without the WAF nothing reads a body, and a page is stored all the same.
func TestChainCacheWithoutWAF(t *testing.T) {
	p := newPlan()
	p.Edge.WAF.Off = true
	f := start(t, p, tierPage())
	for _, h2 := range []bool{false, true} {
		uri := fmt.Sprintf("/page?%v", h2)
		if a, b := f.do(visitor, h2, "GET", uri, ""), f.do(visitor, h2, "GET", uri, ""); a.body != b.body {
			t.Errorf("h2 %v: the second visitor got another page", h2)
		}
	}
}

func TestChainSecurityHeaders(t *testing.T) {
	f := start(t, newPlan(), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Powered-By", "PHP/8.2")
		w.Header().Set("Cache-Control", "no-store")
		if r.URL.Path == "/own" {
			w.Header().Set("Content-Security-Policy", "default-src 'self'; frame-ancestors https://partner.test")
			w.Header().Set("Referrer-Policy", "no-referrer")
		}
	}))
	a := f.do(visitor, true, "GET", "/", "")
	for k, want := range map[string]string{"X-Frame-Options": "SAMEORIGIN", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "strict-origin-when-cross-origin", "Strict-Transport-Security": "max-age=31536000", "X-Powered-By": "", "Server": ""} {
		if got := a.Header.Get(k); got != want {
			t.Errorf("%s: got %q, want %q", k, got, want)
		}
	}
	a = f.do(visitor, true, "GET", "/own", "")
	if a.Header.Get("X-Frame-Options") != "" || a.Header.Get("Referrer-Policy") != "no-referrer" {
		t.Errorf("the app's own: %v", a.Header)
	}
	if a := f.do(stranger, true, "GET", "/", ""); a.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("a refusal: %v", a.Header)
	}
}

func TestChainRefusalIsLogged(t *testing.T) {
	f := start(t, newPlan(), echo())
	a := f.do(visitor, true, "GET", "/?id=1%27%20OR%20%271%27=%271", "", "Accept", "text/html")
	id := a.Header.Get("X-Request-Id")
	if a.StatusCode != 403 || !strings.Contains(a.body, id) || !strings.Contains(a.body, "SQL injection") {
		t.Errorf("got %d %q", a.StatusCode, a.body)
	}
	if e := f.last(id); e.Refusal == nil || e.Refusal.Control != "edge/waf-sqli" || e.Refusal.Rules[0].ID != 942100 || e.Refusal.Rules[0].Target != "ARGS:id" || e.Tier != "" {
		t.Errorf("event: %+v", e)
	}
}
