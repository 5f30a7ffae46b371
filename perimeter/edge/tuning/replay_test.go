package tuning

import (
	"net/url"
	"strconv"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

func post(uri, contentType, body string) ftw.Request {
	r := get(uri, "Content-Type", contentType, "Content-Length", strconv.Itoa(len(body)))
	r.Method, r.Body = "POST", []byte(body)
	return r
}

// A refused request is made again from what the log has of it. Either it is for
// the same rules, and what is suggested lets it pass, or it says what it lacks.
func TestAgain(t *testing.T) {
	const sqli = "1' OR '1'='1"
	in := url.QueryEscape(sqli)
	const form, jsonType = "application/x-www-form-urlencoded", "application/json"
	for _, c := range []struct {
		r     ftw.Request
		like  bool
		lacks string
	}{
		{get("/?q=" + in), true, ""},
		{get("/?token=hunter2&q=" + in), true, "the masked values of its address"},
		{get("/?token=" + in), false, "the masked values of its address"},
		{get("/?" + in + "=1"), true, ""},
		{get("/?q=" + url.QueryEscape(strings.Repeat("a ", 50)+"<script>alert(1)</script>")), true, ""},
		{get("/?c=a", "Cookie", "c="+in), false, "the value of REQUEST_COOKIES:c"},
		{get("/?file=../../etc/passwd"), true, ""},
		{get("/", "Referer", "https://shop.test/<script>alert(1)</script>"), true, ""},
		{post("/comment", form, "a=hello&text="+in), true, "its body (35 bytes)"},
		{post("/comment?q="+in, form, "a=hello"), true, "its body (7 bytes)"},
		{post("/comment", form, "password="+in), false, "its body (31 bytes), the value of ARGS:password"},
		{post("/comment", form, "text="+url.QueryEscape(strings.Repeat("a ", 50)+"<script>alert(1)</script>")), false, "its body (144 bytes), the value of ARGS:text"},
		{post("/api", jsonType, `{"posts":[{"text":"`+sqli+`","more":"x"}]}`), true, "its body (46 bytes)"},
		{post("/up", "multipart/form-data; boundary=xx", "--xx\r\nContent-Disposition: form-data; name=\"text\"\r\n\r\n"+sqli+"\r\n--xx--\r\n"), true, "its body (75 bytes)"},
	} {
		was := edge.NewJudge(testPlan(nil)).Judge(&c.r, false)
		if was.Verdict != edge.Refused {
			t.Fatalf("%s %s: got %v, want it refused", c.r.URI, c.r.Body, was.Verdict)
		}
		e := &proxy.Event{Method: c.r.Method, Host: "shop.test", URL: proxy.RedactURI(c.r.URI), UserAgent: "Mozilla/5.0", Received: int64(len(c.r.Body)), Refusal: &was.Refusal}
		again := Again(e)
		now := edge.NewJudge(testPlan(nil)).Judge(&again.Request, again.Admin)
		if got := again.Like(&now); got != c.like || !strings.HasPrefix(strings.Join(again.Lacks, ", "), c.lacks) || c.lacks == "" && len(again.Lacks) > 0 {
			t.Errorf("%s %s: got %v, lacking %q, want %v, lacking %q: %+v of %+v", c.r.URI, c.r.Body, got, again.Lacks, c.like, c.lacks, again.Request, e.Refusal)
		}
		list, err := Suggest(e)
		if err != nil {
			t.Fatal(err)
		}
		after := edge.NewJudge(testPlan(func(w *plan.WAF) { w.Exclusions = list })).Judge(&again.Request, again.Admin)
		if c.like && after.Verdict != edge.Passed {
			t.Errorf("%s %s: with %+v: got %v, want it to pass", c.r.URI, c.r.Body, list, after.Verdict)
		}
	}
}
