package waf

import (
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

func TestWrap(t *testing.T) {
	e := compile(t, `SecRequestBodyAccess On
SecRequestBodyLimit 100
SecRequestBodyLimitAction ProcessPartial
SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecResponseBodyLimit 50
SecRule ARGS "attack" "id:1,phase:2,log,deny,status:418"
SecRule ARGS "away" "id:2,phase:2,redirect:https://example.com/"
SecRule ARGS "cut" "id:3,phase:2,drop"
SecRule RESPONSE_HEADERS:X-Leak "." "id:4,phase:3,log,deny,status:502"
SecRule RESPONSE_BODY "secret" "id:5,phase:4,log,deny,status:500"
SecRule REQUEST_HEADERS:Host "@streq other.test" "id:6,phase:1,deny,status:421"`)
	server := httptest.NewServer(e.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Header().Set("Content-Type", "text/plain")
		if r.URL.Query().Has("leak") {
			w.Header().Set("X-Leak", "1")
		}
		if r.URL.Query().Has("image") {
			w.Header().Set("Content-Type", "image/png")
		}
		if r.URL.Query().Has("flush") {
			_, _ = io.WriteString(w, "first ")
			_ = http.NewResponseController(w).Flush()
		}
		_, _ = io.WriteString(w, "got "+string(b))
		if r.URL.Query().Has("secret") {
			_, _ = io.WriteString(w, " secret")
		}
		if r.URL.Query().Has("long") {
			_, _ = io.WriteString(w, strings.Repeat("x", 100))
		}
	})))
	defer server.Close()
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	long := "a=" + strings.Repeat("b", 300)
	for _, c := range []struct {
		uri, host, body string
		status          int
		answer          string
	}{
		{"/?a=fine", "", "", 200, "got "},
		{"/?a=attack", "", "", 418, ""},
		{"/?a=away", "", "", 302, ""},
		{"/?a=cut", "", "", 0, ""},
		{"/", "other.test", "", 421, ""},
		{"/", "", "a=attack", 418, ""},
		{"/", "", "a=b", 200, "got a=b"},
		{"/", "", long, 200, "got " + long},
		{"/?leak", "", "", 502, ""},
		{"/?secret", "", "", 500, ""},
		{"/?flush&secret", "", "", 500, ""},
		{"/?flush&image&secret", "", "", 200, "first got  secret"},
		{"/?long", "", "", 200, "got " + strings.Repeat("x", 100)},
		{"/?secret&long", "", "", 500, ""},
	} {
		method := "GET"
		if c.body != "" {
			method = "POST"
		}
		r, err := http.NewRequestWithContext(t.Context(), method, server.URL+c.uri, strings.NewReader(c.body))
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		resp, err := client.Do(r)
		if err != nil {
			if c.status != 0 {
				t.Errorf("%s: %v", c.uri, err)
			}
			continue
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || c.answer != "" && string(b) != c.answer || resp.StatusCode >= 300 && len(b) > 0 {
			t.Errorf("%s %s: got %d %q %v, want %d %q", c.uri, c.body, resp.StatusCode, b, err, c.status, c.answer)
		}
	}
}

// What handlers ask of a connection they get through Wrap.
func TestWrapPassesOn(t *testing.T) {
	e := compile(t, `SecResponseBodyAccess On
SecResponseBodyMimeType text/plain
SecRule RESPONSE_BODY "secret" "id:1,phase:4,log,deny"
SecRule ARGS:to "." "id:2,phase:1,redirect:/x?%{ARGS.to}"`)
	var complaints strings.Builder
	server := httptest.NewUnstartedServer(e.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/socket":
			c, rw, err := w.(http.Hijacker).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			defer c.Close()
			_, _ = rw.WriteString("HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n")
			_ = rw.Flush()
		case "/file", "/secret":
			w.Header().Set("Content-Type", "text/plain")
			if r.URL.Path == "/file" {
				w.Header().Set("Content-Type", "image/png")
			}
			_, _ = io.Copy(w, strings.NewReader("a secret"))
		case "/unknown":
			_, _ = io.Copy(w, strings.NewReader("<html>a secret"))
		case "/trailer":
			w.Header().Set("Trailer", "X-Sum")
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "text")
			w.Header().Set("X-Sum", "1")
		}
	})))
	server.Config.ErrorLog = log.New(&complaints, "", 0)
	server.Start()
	client := server.Client()
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	for _, c := range []struct {
		path, contentType, body, trailer string
		status                           int
	}{
		{"/socket", "", "", "", 101},
		{"/file", "image/png", "a secret", "", 200},
		{"/secret", "", "", "", 403},
		{"/unknown", "text/html; charset=utf-8", "<html>a secret", "", 200},
		{"/trailer", "text/plain", "text", "1", 200},
		{"/?to=a%0d%0aX:1", "", "", "", 302},
	} {
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+c.path, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(r)
		if err != nil {
			t.Errorf("%s: %v", c.path, err)
			continue
		}
		b, err := io.ReadAll(resp.Body)
		_ = resp.Body.Close()
		if err != nil || resp.StatusCode != c.status || string(b) != c.body || resp.Header.Get("Content-Type") != c.contentType || resp.Trailer.Get("X-Sum") != c.trailer {
			t.Errorf("%s: got %d %q %q %v %v, want %+v", c.path, resp.StatusCode, resp.Header, b, resp.Trailer, err, c)
		}
		if l := resp.Header.Get("Location"); c.status == 302 && l != "/x?aX:1" {
			t.Errorf("%s: got location %q, want one line", c.path, l)
		}
	}
	server.Close()
	if complaints.Len() > 0 {
		t.Errorf("the server complains: %s", complaints.String())
	}
}

// A body that is longer than text may be is not read to its end.
func TestStopsReading(t *testing.T) {
	e := compile(t, "SecRequestBodyAccess On\nSecRequestBodyLimit 100000000\nSecRequestBodyNoFilesLimit 100000")
	body := &counted{n: 50 << 20}
	r := httptest.NewRequest("POST", "/", body)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	e.Wrap(http.NotFoundHandler()).ServeHTTP(w, r)
	if read := 50<<20 - body.n; w.Code != 413 || read > 1<<20 {
		t.Errorf("got %d after %d bytes, want 413 soon after 100000", w.Code, read)
	}
}

// counted is n bytes.
type counted struct{ n int }

func (c *counted) Read(p []byte) (int, error) {
	if c.n == 0 {
		return 0, io.EOF
	}
	n := min(len(p), c.n)
	c.n -= n
	return n, nil
}

// Transactions of one engine do not disturb each other.
func TestManyAtOnce(t *testing.T) {
	e := compile(t, `SecRequestBodyAccess On
SecAction "id:1,phase:1,nolog,setvar:tx.who=%{ARGS.who},initcol:ip=%{ARGS.who}"
SecAction "id:2,phase:1,nolog,setvar:ip.n=+1"
SecRule ARGS "@rx (?i)union\s+select|<script" "id:3,phase:2,t:urlDecodeUni,t:lowercase,log,capture,deny,msg:'%{TX.who} %{TX.0}'"
SecRule ARGS "@pm foo bar" "id:4,phase:2,t:urlDecodeUni,log"
SecRule ARGS "@detectSQLi" "id:5,phase:2,log"`)
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			who := string(rune('a' + i%26))
			for range 20 {
				tx := e.NewTransaction()
				tx.ProcessURI("/?who="+who+"&q=%3CSCRIPT&r=FOO", "GET", "HTTP/1.1")
				tx.ProcessRequestHeaders()
				_, _ = tx.ProcessRequestBody()
				rules := tx.MatchedRules()
				_ = tx.Close()
				if len(rules) != 1 || rules[0].Message != who+" <script" {
					t.Errorf("got %+v", rules)
					return
				}
			}
		})
	}
	wg.Wait()
}
