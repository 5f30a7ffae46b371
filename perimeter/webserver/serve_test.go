package webserver

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

func tree(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		full := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
			t.Fatal(err)
		}
		if to, ok := strings.CutPrefix(text, "-> "); ok {
			if err := os.Symlink(to, full); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func start(t *testing.T, p *plan.Plan, tier string, app App) *httptest.Server {
	t.Helper()
	h, err := New(p, tier, app)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(adapt(h))
	t.Cleanup(s.Close)
	return s
}

type reply struct {
	status int
	header http.Header
	body   string
}

func ask(t *testing.T, method, url string, body io.Reader, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i+1 < len(header); i += 2 {
		if header[i] == "Host" {
			req.Host = header[i+1]
			continue
		}
		req.Header.Add(header[i], header[i+1])
	}
	c := http.Client{Timeout: 10 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

func TestStatic(t *testing.T) {
	dir := tree(t, map[string]string{
		"secret.txt": "outside the docroot", "www/index.html": "home", "www/a/b.css": "css", "www/a/index.html": "index of a", "www/empty/x": "x",
		"www/up/x.html": "<script>", "www/up/x.svg": "<svg/>", "www/up/x.png": "png", "www/up/x.php": "<?php", "www/up/link.txt": "-> ../a/b.css", "www/up/d": "-> ../a",
		"www/out": "-> ../secret.txt", "www/abs": "-> /etc/passwd", "www/in": "-> a/b.css", "www/env.txt": "-> .env", "www/open": "-> admin", "www/.env": "x", "www/admin/x": "x", "www/x.unknown": "?",
	})
	p := &plan.Plan{Kind: plan.Static, Tiers: []plan.Tier{{Name: plan.Admin}, {Name: plan.Fleet}}, Files: plan.Files{Uploads: []string{"www/up"}},
		Webserver: plan.Webserver{Docroot: "www", AdminRoutes: []string{"/admin/*"}}}
	s := start(t, p, plan.Fleet, App{Root: dir})
	for _, tt := range []struct {
		path string
		want int
		body string
	}{
		{"/", 200, "home"}, {"/a/b.css", 200, "css"}, {"//a/./b.css", 200, "css"}, {"/a", 301, ""}, {"/a/", 200, "index of a"}, {"/a?x=1", 301, ""}, {"/a/b.css/", 404, ""}, {"/empty/", 404, ""},
		{"/in", 200, "css"}, {"/env.txt", 403, ""}, {"/open/x", 403, ""}, {"/out", 404, ""}, {"/abs", 404, ""}, {"/nothing", 404, ""}, {"/../secret.txt", 404, ""}, {"/%2e%2e/secret.txt", 404, ""}, {"/..%2fsecret.txt", 403, ""}, {"/a%2f..%2f..%2fsecret.txt", 400, ""},
		{"/.env", 403, ""}, {"/admin/x", 403, ""}, {"/up/x.png", 200, "png"}, {"/up/x.php", 403, ""}, {"/up/link.txt", 404, ""}, {"/up/d/b.css", 404, ""}, {"/up/x.svg", 200, "<svg/>"}, {"/x.unknown", 200, "?"},
	} {
		r := ask(t, "GET", s.URL+tt.path, nil)
		if r.status != tt.want || tt.body != "" && r.body != tt.body {
			t.Errorf("%s: got %d %q, want %d %q", tt.path, r.status, r.body, tt.want, tt.body)
		}
	}
	if r := ask(t, "GET", s.URL+"/a?x=1", nil); r.header.Get("Location") != "/a/?x=1" {
		t.Errorf("got redirect to %q", r.header.Get("Location"))
	}
	r := ask(t, "GET", s.URL+"/up/x.html", nil)
	if !strings.HasPrefix(r.header.Get("Content-Security-Policy"), "sandbox;") || r.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("an uploaded page: got header %v", r.header)
	}
	r = ask(t, "GET", s.URL+"/a/b.css", nil, "Range", "bytes=1-")
	if r.status != 206 || r.body != "ss" || r.header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("a range: got %+v", r)
	}
	if r = ask(t, "GET", s.URL+"/a/b.css", nil, "If-None-Match", r.header.Get("Etag")); r.status != 304 {
		t.Errorf("the same tag: got %+v", r)
	}
	if r = ask(t, "POST", s.URL+"/a/b.css", nil); r.status != 405 || r.header.Get("Allow") == "" {
		t.Errorf("POST to a file: got %+v", r)
	}
	if r = ask(t, "HEAD", s.URL+"/a/b.css", nil); r.status != 200 || r.body != "" || r.header.Get("Content-Length") != "3" {
		t.Errorf("HEAD: got %+v", r)
	}
	if r = ask(t, "TRACE", s.URL+"/", nil); r.status != 405 {
		t.Errorf("TRACE: got %+v", r)
	}
}

// commandPlan is a plan whose app answers everything itself.
func commandPlan() *plan.Plan {
	return &plan.Plan{Kind: plan.Command, Tiers: []plan.Tier{{Name: plan.Admin}, {Name: plan.Fleet}}, Files: plan.Files{Uploads: []string{"uploads"}},
		Webserver: plan.Webserver{Docroot: "-", AdminRoutes: []string{"/admin/*", "/ws-admin"}}}
}

func dialer(s *httptest.Server) func(context.Context) (net.Conn, error) {
	return func(ctx context.Context) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", s.Listener.Addr().String())
	}
}

func TestCommand(t *testing.T) {
	app := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/ws":
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
				c.Write(r.Context(), kind, append([]byte("echo "), b...))
			}
		case "/stream":
			w.Header().Set("Content-Type", "text/event-stream")
			for i := range 3 {
				fmt.Fprintf(w, "data: %d\n\n", i)
				w.(http.Flusher).Flush()
				time.Sleep(30 * time.Millisecond)
			}
		case "/cut":
			w.Header().Set("Content-Length", "100")
			io.WriteString(w, "part")
		case "/uploads/x.svg":
			w.Header().Set("Content-Type", "image/svg+xml")
			io.WriteString(w, "<svg/>")
		default:
			w.Header().Set("X-Ringwall-Forged", "1")
			fmt.Fprintf(w, "%s %s %s\n", r.Method, r.RequestURI, r.Host)
			r.Header.Write(w)
			io.Copy(w, r.Body)
		}
	}))
	defer app.Close()
	s := start(t, commandPlan(), plan.Fleet, App{Dial: dialer(app)})

	r := ask(t, "POST", s.URL+"/a/../b%20c/?q=1&p=%41", strings.NewReader("the body"), "Host", "example.com", plan.HeaderSecret, "s3cret", plan.HeaderViewer, "203.0.113.9",
		"X-Forwarded-For", "6.6.6.6", "X-Original-Url", "/admin", "X_Evil", "1", "Proxy", "http://evil", "Cookie", "a=b", "X-Request-Id", "rid", "True-Client-Ip", "6.6.6.6")
	if !strings.HasPrefix(r.body, "POST /b%20c/?q=1&p=%41 example.com\n") || !strings.HasSuffix(r.body, "the body") || r.header.Get("X-Ringwall-Forged") != "" {
		t.Errorf("got %+v", r)
	}
	for _, want := range []string{"X-Forwarded-For: 203.0.113.9\r\n", "X-Forwarded-Proto: https\r\n", "Cookie: a=b\r\n", "X-Request-Id: rid\r\n", "X-Forwarded-Host: example.com\r\n"} {
		if !strings.Contains(r.body, want) {
			t.Errorf("the app did not see %q in %s", want, r.body)
		}
	}
	for _, bad := range []string{"s3cret", "6.6.6.6", "X-Original-Url", "X_evil", "evil", "Ringwall"} {
		if strings.Contains(r.body, bad) {
			t.Errorf("the app saw %q in %s", bad, r.body)
		}
	}
	if perimeter.CanTakeDown {
		perimeter.SetDown([]string{ctlHeaders})
		if r := ask(t, "GET", s.URL+"/", nil, plan.HeaderSecret, "s3cret"); !strings.Contains(r.body, "s3cret") {
			t.Errorf("wall down: the app did not see the secret: %s", r.body)
		}
		perimeter.SetDown(nil)
	}
	if r := ask(t, "GET", s.URL+"/admin/x", nil); r.status != 403 || r.header.Get("X-Control") != ctlAdmin {
		t.Errorf("an admin route: got %+v", r)
	}
	if r := ask(t, "GET", s.URL+"/ws-admin", nil, "Connection", "Upgrade", "Upgrade", "websocket"); r.status != 403 {
		t.Errorf("WebSocket to an admin route: got %+v", r)
	}
	if r := ask(t, "GET", s.URL+"/a%2fb", nil); r.status != 400 || r.header.Get("X-Control") != ctlPath {
		t.Errorf("an ambiguous path: got %+v", r)
	}
	if r := ask(t, "GET", s.URL+"/uploads/x.svg", nil); r.status != 200 || !strings.HasPrefix(r.header.Get("Content-Security-Policy"), "sandbox") {
		t.Errorf("an upload that the app serves: got %+v", r)
	}

	for _, up := range []string{"h2c", "websocket, h2c", "TLS/1.0"} {
		if r := ask(t, "GET", s.URL+"/", nil, "Connection", "Upgrade, HTTP2-Settings", "Upgrade", up, "Http2-Settings", "AAMAAABkAAQ"); r.status != 200 || strings.Contains(r.body, "Upgrade:") || strings.Contains(r.body, "Settings") {
			t.Errorf("upgrade to %s: got %+v", up, r)
		}
	}

	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, _, err := websocket.Dial(ctx, s.URL+"/ws", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer c.CloseNow()
	for range 3 {
		if err := c.Write(ctx, websocket.MessageText, []byte("hello")); err != nil {
			t.Fatal(err)
		}
		if _, b, err := c.Read(ctx); err != nil || string(b) != "echo hello" {
			t.Fatalf("got %q, %v", b, err)
		}
	}

	resp, err := http.Get(s.URL + "/stream")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b := make([]byte, 100)
	if n, err := resp.Body.Read(b); err != nil || string(b[:n]) != "data: 0\n\n" {
		t.Errorf("streamed: got %q, %v: want the first event by itself", b[:n], err)
	}
	resp, err = http.Get(s.URL + "/cut")
	if err == nil {
		_, err = io.ReadAll(resp.Body)
		resp.Body.Close()
	}
	if err == nil {
		t.Error("an answer that was cut off looks whole")
	}
}

func TestAppIsAway(t *testing.T) {
	for _, kind := range []plan.Kind{plan.Command, plan.PHP} {
		p := commandPlan()
		p.Kind, p.Webserver.Docroot, p.Webserver.Front = kind, "-", "index.php"
		if kind == plan.PHP {
			p.Webserver.Docroot = ""
		}
		s := start(t, p, plan.Fleet, App{Root: tree(t, map[string]string{"index.php": ""}),
			Dial: func(context.Context) (net.Conn, error) { return nil, errors.New("connection refused") }})
		if r := ask(t, "POST", s.URL+"/x", strings.NewReader("x")); r.status != 503 || r.header.Get(plan.HeaderUnreached) != "1" {
			t.Errorf("%s: got %+v, want 503 with %s", kind, r, plan.HeaderUnreached)
		}
	}
	// One that was reached and went away must not be asked twice.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Read(make([]byte, 100))
			c.Close()
		}
	}()
	s := start(t, commandPlan(), plan.Fleet, App{Dial: func(context.Context) (net.Conn, error) { return net.Dial("tcp", l.Addr().String()) }})
	if r := ask(t, "POST", s.URL+"/x", strings.NewReader("x")); r.status != 502 || r.header.Get(plan.HeaderUnreached) != "" {
		t.Errorf("got %+v, want 502", r)
	}
}

func TestNewRefuses(t *testing.T) {
	dial := func(context.Context) (net.Conn, error) { return nil, nil }
	for _, tt := range []struct {
		kind    plan.Kind
		docroot string
		app     App
		want    string
	}{
		{plan.PHP, "missing", App{Root: t.TempDir(), Dial: dial}, "check webserver.docroot"},
		{plan.PHP, "-", App{Root: t.TempDir(), Dial: dial}, "needs a docroot"},
		{plan.PHP, "", App{Root: t.TempDir()}, "no way to reach the app"},
		{"cgi", "", App{Root: t.TempDir(), Dial: dial}, `got kind "cgi"`},
	} {
		p := commandPlan()
		p.Kind, p.Webserver.Docroot = tt.kind, tt.docroot
		if _, err := New(p, plan.Fleet, tt.app); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s %q: got %v, want %q", tt.kind, tt.docroot, err, tt.want)
		}
	}
}
