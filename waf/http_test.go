package waf

import (
	"io"
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
