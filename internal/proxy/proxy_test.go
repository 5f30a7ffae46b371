package proxy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"strings"
	"testing"
	"time"
)

func ask(t *testing.T, h Handler, header ...string) (*httptest.ResponseRecorder, Event) {
	t.Helper()
	var got []Event
	r := httptest.NewRequest("GET", "/a?token=x&b=c", nil)
	r.RemoteAddr = "[::ffff:192.0.2.1]:4711"
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	Reply(h, func(e *Event) { got = append(got, *e) }).ServeHTTP(w, r)
	if len(got) != 1 {
		t.Fatalf("got %d events, want 1", len(got))
	}
	return w, got[0]
}

func TestReplyRefusal(t *testing.T) {
	refuse := HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		w.Header().Set("X-App-Secret", "x")
		return &Refusal{Status: 429, Control: "network/rate", Reason: "too <many>", Detail: "for the owner", Retry: 7,
			Rules: []Rule{{ID: 942100, Message: "SQL", Target: "ARGS:q", Value: "1'", Score: 5}}}
	})
	for accept, want := range map[string]string{
		"text/html,application/xhtml+xml;q=0.9,*/*;q=0.8": "<p>too &lt;many&gt;</p>",
		"application/json": `"class":"too \u003cmany\u003e"`,
		"*/*":              "too <many>\nrequest ",
		"":                 "429 Too Many Requests\n",
	} {
		w, e := ask(t, refuse, "Accept", accept, "X-Request-Id", "mine")
		id := w.Header().Get("X-Request-Id")
		if w.Code != 429 || !strings.Contains(w.Body.String(), want) || !strings.Contains(w.Body.String(), id) || len(id) != 24 || id == "mine" {
			t.Errorf("accept %q: got %d %s", accept, w.Code, w.Body)
		}
		if w.Header().Get("Retry-After") != "7" || w.Header().Get("X-App-Secret") != "" || w.Header().Get("Cache-Control") != "no-store" || strings.Contains(w.Body.String(), "owner") {
			t.Errorf("accept %q: header %v", accept, w.Header())
		}
		if e.ID != id || e.Action != "refuse" || e.Refusal.Control != "network/rate" || e.Refusal.Detail != "for the owner" || e.Status != 429 || e.URL != "/a?token=[masked]&b=c" || e.Viewer != "[::ffff:192.0.2.1]:4711" {
			t.Errorf("event: %+v", e)
		}
	}
}

func TestReplyClasses(t *testing.T) {
	for name, c := range map[string]struct {
		err    error
		status int
		class  string
	}{
		"failure":        {&Failure{Status: 503, Class: "the site is starting or unhealthy"}, 503, "the site is starting or unhealthy"},
		"timeout":        {context.DeadlineExceeded, 504, "the app took too long to answer"},
		"other":          {errors.New("secret detail"), 502, "the app did not answer"},
		"wrapped":        {errors.Join(errors.New("x"), &Refusal{Status: 403, Reason: "no"}), 403, "no"},
		"broken refusal": {&Refusal{Reason: "no"}, 403, "no"},
		"broken failure": {&Failure{Class: "no"}, 502, "no"},
	} {
		w, e := ask(t, HandlerFunc(func(http.ResponseWriter, *http.Request) error { return c.err }))
		if w.Code != c.status || e.Class != c.class || !strings.Contains(w.Body.String(), c.class) || strings.Contains(w.Body.String(), "secret detail") {
			t.Errorf("%s: got %d %q: %s", name, w.Code, e.Class, w.Body)
		}
	}
}

func TestReplyPanic(t *testing.T) {
	w, e := ask(t, HandlerFunc(func(http.ResponseWriter, *http.Request) error { panic("secret") }))
	if w.Code != 500 || e.Action != "fail" || strings.Contains(w.Body.String(), "secret") {
		t.Errorf("got %d %+v %s", w.Code, e, w.Body)
	}
	defer func() {
		if p := recover(); p != http.ErrAbortHandler {
			t.Errorf("got panic %v, want http.ErrAbortHandler", p)
		}
	}()
	ask(t, HandlerFunc(func(w http.ResponseWriter, _ *http.Request) error {
		_, _ = io.WriteString(w, "half")
		return errors.New("cut")
	}))
}

func TestReplyCountsAndHooks(t *testing.T) {
	w, e := ask(t, HandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		rec := From(r.Context())
		n := 0
		rec.OnHeader = func(status int, h http.Header) { n++; h.Set("X-Hook", http.StatusText(status)) }
		rec.Sent = rec.Start.Add(time.Millisecond)
		rec.First = rec.Start.Add(3 * time.Millisecond)
		w.WriteHeader(http.StatusCreated)
		w.WriteHeader(http.StatusOK)
		if n != 1 {
			t.Errorf("the hook ran %d times, want once", n)
		}
		_, err := io.Copy(w, strings.NewReader("hello"))
		_ = http.NewResponseController(w).Flush()
		return err
	}))
	if w.Code != 201 || w.Header().Get("X-Hook") != "Created" || e.SentBytes != 5 || !w.Flushed {
		t.Errorf("got %d %v %+v", w.Code, w.Header(), e)
	}
	if e.RequestTime != 0.001 || e.TargetTime != 0.002 || e.ResponseTime < 0 {
		t.Errorf("times: %+v", e)
	}
}

func TestEventIsWhatEncodingJSONReads(t *testing.T) {
	for _, e := range []Event{
		{},
		{Time: time.Date(2026, 11, 22, 3, 4, 5, 678, time.UTC), ID: "a\"b\\c\n\u2028<é\xff", RequestTime: -1, TargetTime: 0.000123, Status: 200, TargetStatus: 200, Received: 1 << 40, UserAgent: "x", Refusal: &Refused{Control: "edge/waf-sqli", Rules: []Rule{{ID: 1}, {ID: 2, Value: "\x00", Also: []string{"ARGS:a", "ARGS:\""}}}, Logged: true, Score: 10, Threshold: 5}},
	} {
		b := e.AppendJSON(nil)
		if bytes.ContainsAny(b, "\n\r") {
			t.Errorf("more than one line: %q", b)
		}
		var got, want Event
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%s: %v", b, err)
		}
		std, _ := json.Marshal(&e)
		if err := json.Unmarshal(std, &want); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("got %s\nwant %s", b, std)
		}
	}
}

func FuzzAppendString(f *testing.F) {
	f.Add("a\"\\\x00\x7f\u2028\u2029<>&\xff\xfe日本")
	f.Fuzz(func(t *testing.T, s string) {
		var got string
		b := appendString(nil, s)
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if want := string([]rune(s)); got != want { // each invalid byte becomes U+FFFD
			t.Errorf("got %q, want %q", got, want)
		}
	})
}

func TestRedactURI(t *testing.T) {
	for in, want := range map[string]string{
		"/a":                                   "/a",
		"/a?":                                  "/a?",
		"/a?q=hello&page=2":                    "/a?q=hello&page=2",
		"/a?pwd=x&user_pass=y;API_KEY=z":       "/a?pwd=[masked]&user_pass=[masked];API_KEY=[masked]",
		"/a?p%61ssword=x":                      "/a?p%61ssword=[masked]",
		"/a?%zz=x":                             "/a?%zz=[masked]",
		"/a?token":                             "/a?token",
		"https://user:hunter2@h.test/a?code=1": "https://[masked]@h.test/a?code=[masked]",
	} {
		if got := RedactURI(in); got != want {
			t.Errorf("%s: got %s, want %s", in, got, want)
		}
	}
}

func FuzzRedactURI(f *testing.F) {
	f.Add("/a?password=hunter2&b", "hunter2")
	f.Fuzz(func(t *testing.T, uri, value string) {
		RedactURI(uri)
		if value == "" || strings.ContainsAny(value, "&;#?") || strings.Contains("/?password="+Mask, value) {
			return
		}
		if got := RedactURI("/?password=" + value); strings.Contains(got, value) {
			t.Errorf("the log shows %q", got)
		}
	})
}
