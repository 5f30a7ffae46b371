package edge

import (
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

// recording is a site that keeps good requests; its app answers /missing with 404.
func recording(t *testing.T, change func(*plan.WAF)) (*site, *[]Recorded) {
	t.Helper()
	p := testPlan()
	p.Edge.WAF.Record = 3
	if change != nil {
		change(&p.Edge.WAF)
	}
	s := newSite(t, p)
	s.Edge.next = proxy.HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if _, err := io.Copy(io.Discard, r.Body); err != nil {
			return err
		}
		if r.URL.Path == "/missing" {
			w.WriteHeader(http.StatusNotFound)
		}
		return nil
	})
	var got []Recorded
	s.OnGood(func(r *Recorded) { got = append(got, *r) })
	return s, &got
}

// What is kept passes the rules again, and holds no secret.
func TestRecorded(t *testing.T) {
	const parts = "--xx\r\nContent-Disposition: form-data; name=\"user_pass\"\r\n\r\nhunter2\r\n--xx\r\nContent-Disposition: form-data; name=\"note\"\r\n\r\nhello\r\n--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\nContent-Type: text/plain\r\n\r\nhunter2 in a file\r\n--xx--\r\n"
	for _, c := range []struct {
		uri, contentType, body string
		keeps                  string // in the URI or body
	}{
		{"/a?q=hello&token=hunter2", "", "", "q=hello"},
		{"/b", formURL, "comment=hello&pwd=hunter2&%6bey=hunter2", "comment=hello"},
		{"/c", jsonType, `{"title":"a < b","login":{"password":"hunter2","tokens":["hunter2"]},"n":1}`, `"a < b"`},
		{"/d", "multipart/form-data; boundary=xx", parts, "hello"},
	} {
		s, got := recording(t, nil)
		method := "GET"
		if c.body != "" {
			method = "POST"
		}
		w := s.ask(visitor, method, c.uri, c.body, "Content-Type", c.contentType, "Cookie", "sid=hunter2; theme=hunter2", "Authorization", "Basic hunter2",
			"X-Api-Key", "hunter2", "Referer", "https://shop.test/x?token=hunter2&page=1", "X-Forwarded-For", "192.0.2.9")
		if w.Code != 200 || len(*got) != 1 {
			t.Errorf("%s: got %d, %d kept, want one: %+v", c.uri, w.Code, len(*got), s.log[len(s.log)-1].Refusal)
			continue
		}
		r := (*got)[0]
		all := r.Shape + r.URI + string(r.Body)
		for _, h := range r.Headers {
			all += "\n" + h.Name + ": " + h.Value
		}
		for _, secret := range []string{"hunter2", "secret", visitor.String(), "192.0.2.9", "X-Request-Id"} {
			if strings.Contains(all, secret) {
				t.Errorf("%s: %q is kept: %s", c.uri, secret, all)
			}
		}
		for _, part := range []string{c.keeps, "sid=masked; theme=masked", "page=1", "Host: example.com"} {
			if !strings.Contains(all, part) {
				t.Errorf("%s: got %s, want %q in it", c.uri, all, part)
			}
		}
		again := &ftw.Request{Method: r.Method, URI: r.URI, Proto: r.Proto, Headers: r.Headers, Body: r.Body}
		for i, h := range again.Headers {
			if h.Name == "Content-Length" {
				again.Headers[i].Value = strconv.Itoa(len(r.Body))
			}
		}
		if v := NewJudge(s.p).Judge(again, false); v.Verdict != Passed {
			t.Errorf("%s: judged again: got %v %+v", c.uri, v.Verdict, v.Refusal)
		}
	}
}

// What is masked is named as rules name it, whatever hides it.
func TestMasked(t *testing.T) {
	for _, c := range []struct {
		uri, contentType, body string
		header                 [2]string
		want                   string
	}{
		{"/?token=hunter2&q=a", "", "", [2]string{}, "ARGS:token"},
		{"/", formURL, "%70wd=hunter2&q=a", [2]string{}, "ARGS:pwd"},
		{"/", jsonType, `{"password":{"old":"hunter2","new":["hunter2"]},"q":"a","key":null}`, [2]string{}, "ARGS:json.password.new.0 ARGS:json.password.old"},
		{"/", "multipart/form-data; boundary=xx", "--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nhunter2\r\n--xx--\r\n", [2]string{}, "FILES:f"},
		{"/", "", "", [2]string{"Cookie", "a=hunter2; hunter2; a=hunter2"}, "REQUEST_COOKIES: REQUEST_COOKIES:a"},
		{"/", "", "", [2]string{"Referer", "https://shop.test/?token=hunter2"}, "REQUEST_HEADERS:Referer"},
		{"/", "", "", [2]string{"Referer", "https://shop.test/?q=a"}, ""},
		{"/", "", "", [2]string{"Authorization", "hunter2"}, "REQUEST_HEADERS:Authorization"},
	} {
		s, got := recording(t, nil)
		method := "GET"
		if c.body != "" {
			method = "POST"
		}
		s.ask(visitor, method, c.uri, c.body, "Content-Type", c.contentType, c.header[0], c.header[1])
		if len(*got) != 1 {
			t.Errorf("%+v: got %d kept, want one", c, len(*got))
			continue
		}
		r := (*got)[0]
		if list := strings.Join(r.Masked, " "); list != c.want || strings.Contains(fmt.Sprintf("%+v %s", r, r.Body), "hunter2") {
			t.Errorf("%+v: got %q masked, want %q: %+v %s", c, list, c.want, r, r.Body)
		}
	}
}

// Of what is good and cannot be kept, it is kept that it came, and why no more.
func TestUnkept(t *testing.T) {
	for _, c := range []struct{ uri, contentType, body, why string }{
		{"/a?token=hunter2", formURL, "a=" + strings.Repeat("hunter2 ", recordBody/5), "its body is larger than 16384 bytes"},
		{"/a?token=hunter2", "text/xml", "<a>hunter2</a>", "secrets cannot be found in a body of the kind text/xml"},
	} {
		s, got := recording(t, nil)
		s.ask(visitor, "POST", c.uri, c.body, "Content-Type", c.contentType, "Cookie", "hunter2=hunter2")
		if len(*got) != 1 {
			t.Errorf("%s: got %d kept, want one: %+v", c.why, len(*got), s.log[len(s.log)-1].Refusal)
			continue
		}
		if r := (*got)[0]; r.Unkept != c.why || r.URI != "/a" || len(r.Headers)+len(r.Body) > 0 || strings.Contains(fmt.Sprintf("%+v", r), "hunter2") {
			t.Errorf("got %+v, want no more than %q", r, c.why)
		}
	}
}

// What is not good, or not asked for, leaves nothing.
func TestNotRecorded(t *testing.T) {
	for name, c := range map[string]struct {
		change                 func(*plan.WAF)
		uri, contentType, body string
	}{
		"an attack":     {nil, "/?q=" + sqliArg, "", ""},
		"only logged":   {func(w *plan.WAF) { w.DetectOnly = true }, "/?q=" + sqliArg, "", ""},
		"not found":     {nil, "/missing", "", ""},
		"not asked for": {func(w *plan.WAF) { w.Record = 0 }, "/", "", ""},
		"broken JSON":   {nil, "/", jsonType, `{"a":`},
	} {
		s, got := recording(t, c.change)
		method := "GET"
		if c.body != "" {
			method = "POST"
		}
		s.ask(visitor, method, c.uri, c.body, "Content-Type", c.contentType)
		if len(*got) != 0 {
			t.Errorf("%s: got %d, want nothing kept", name, len(*got))
		}
	}
}

// A shape is kept once in a while, and only so many shapes are remembered.
func TestShapes(t *testing.T) {
	s, got := recording(t, nil)
	for _, uri := range []string{"/1?a=1&b=2", "/1?b=3&a=4", "/1?a=1", "/2?a=1", "/1?a=1&b=2"} {
		s.ask(visitor, "GET", uri, "")
	}
	if len(*got) != 3 {
		t.Errorf("got %d, want one of each of 3 shapes", len(*got))
	}
	s.ask(visitor, "GET", "/4", "")
	s.ask(visitor, "GET", "/1?a=1", "") // forgotten when the fourth came
	if n := len(s.recorder.shapes); len(*got) != 5 || n != 3 || s.recorder.order.Len() != 3 {
		t.Errorf("got %d kept and %d remembered, want 5 and 3", len(*got), n)
	}
}

func FuzzMaskBody(f *testing.F) {
	f.Add("application/json", []byte(`{"password":"x"}`))
	f.Add("multipart/form-data; boundary=xx", []byte("--xx\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nb\r\n--xx--\r\n"))
	f.Add(formURL, []byte("pwd=x&a=b"))
	f.Fuzz(func(t *testing.T, contentType string, body []byte) {
		r := &http.Request{Header: http.Header{"Content-Type": {contentType}}}
		out, why := (&masker{}).body(r, body, true)
		if why == "" && len(out) > 8*len(body)+64 {
			t.Errorf("got %d bytes of %d", len(out), len(body))
		}
	})
}
