package tuning

import (
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

func get(uri string, header ...string) ftw.Request {
	r := ftw.Request{Method: "GET", URI: uri, Proto: "HTTP/1.1", Headers: []ftw.Header{{Name: "Host", Value: "shop.test"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"}}}
	for i := 0; i+1 < len(header); i += 2 {
		r.Headers = append(r.Headers, ftw.Header{Name: header[i], Value: header[i+1]})
	}
	return r
}

// What is suggested lets the request pass, at its place, and the same attack
// nowhere else.
func TestSuggest(t *testing.T) {
	sqli := url.QueryEscape("1' OR '1'='1")
	for _, c := range []struct {
		r    ftw.Request
		want int // exclusions
		not  ftw.Request
	}{
		{get("/comment?text=" + sqli), 1, get("/comment?other=" + sqli)},
		{get("/?text=" + sqli), 1, get("/x?text=" + sqli)},
		{get("/a%3ab/?x=" + sqli + "&y=" + sqli), 2, get("/a:b?x=" + sqli)},
		{get("/c?a%20b=" + sqli), 1, get("/d?a%20b=" + sqli)}, // no rule can name it: the whole rule is left out
		{get("/e", "Cookie", "c="+sqli), 1, get("/e?c=" + sqli)},
		// All items of a list are one exclusion.
		{post("/f", "application/json", `{"items":[{"n":"1' OR '1'='1"},{"n":"2' OR '1'='1"}]}`), 1, post("/f", "application/json", `{"items":[{"m":"1' OR '1'='1"}]}`)},
		{get("/g?a[0]=" + sqli + "&a[7]=" + sqli), 1, get("/g?b[0]=" + sqli)},
		{get("/h?" + strings.Repeat("long", 30) + "=" + sqli), 1, get("/h?" + strings.Repeat("long", 29) + "=" + sqli)},
	} {
		p := testPlan(nil)
		before := edge.NewJudge(p).Judge(&c.r, false)
		if before.Verdict != edge.Refused {
			t.Fatalf("%s: got %v, want it refused", c.r.URI, before.Verdict)
		}
		list, err := Suggest(&proxy.Event{Method: "GET", URL: c.r.URI, Refusal: &before.Refusal})
		if err != nil || len(list) != c.want {
			t.Errorf("%s: got %+v, %v, want %d exclusions", c.r.URI, list, err, c.want)
			continue
		}
		after := edge.NewJudge(testPlan(func(w *plan.WAF) { w.Exclusions = list }))
		if v := after.Judge(&c.r, false); v.Verdict != edge.Passed {
			t.Errorf("%s: with %+v: got %v %+v, want it to pass", c.r.URI, list, v.Verdict, v.Refusal)
		}
		if v := after.Judge(&c.not, false); v.Verdict != edge.Refused {
			t.Errorf("%s: with %+v: got %v, want it refused", c.not.URI, list, v.Verdict)
		}
	}
}

// The fewest rules: those whose scores bring the sum under the threshold.
func TestSuggestsTheFewest(t *testing.T) {
	rule := func(id, score int) proxy.Rule { return proxy.Rule{ID: id, Target: "ARGS:q", Score: score} }
	for _, c := range []struct {
		ref  proxy.Refused
		want string
	}{
		{proxy.Refused{Rules: []proxy.Rule{rule(920300, 2), rule(942100, 5), rule(942430, 2)}, Score: 9, Threshold: 5}, "[942100]"},
		{proxy.Refused{Rules: []proxy.Rule{rule(942430, 3), rule(942431, 3)}, Score: 6, Threshold: 5}, "[942430]"},
		{proxy.Refused{Rules: []proxy.Rule{rule(942430, 3)}, Score: 30, Threshold: 5}, "not all"},
		{proxy.Refused{Rules: []proxy.Rule{rule(100, 0)}}, "rule 100 refused this request by itself: it is one of the site's own"},
		{proxy.Refused{Rules: []proxy.Rule{rule(200002, 0)}}, "rule 200002 refused this request by itself: the request's body cannot be read"},
		{proxy.Refused{Control: "edge/waf-args", Reason: "too many"}, "no rule"},
	} {
		list, err := Suggest(&proxy.Event{URL: "/x", Refusal: &c.ref})
		var ids []int
		for _, x := range list {
			ids = append(ids, x.Rule)
		}
		if got := fmt.Sprint(ids, err); !strings.Contains(got, c.want) {
			t.Errorf("%+v: got %s, want %s", c.ref, got, c.want)
		}
	}
	if _, err := Suggest(&proxy.Event{}); err == nil {
		t.Error("a request that nobody refused: got no error")
	}
}

// Recorded requests change their verdict when a rule of the user's own hits them,
// and a probe's attack that would pass is named.
func TestVirtualPatch(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "recorded.jsonl")
	line := func(shape, uri string) string {
		return fmt.Sprintf(`{"profile":"public","shape":%q,"method":"GET","uri":%q,"proto":"HTTP/1.1","headers":[{"Name":"Host","Value":"shop.test"},{"Name":"User-Agent","Value":"x"},{"Name":"Accept","Value":"*/*"}]}`+"\n", shape, uri)
	}
	if err := os.WriteFile(name, []byte(line("a", "/a?coupon=old")+line("b", "/b")+line("a", "/a?coupon=NEW")+`{"half`), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name+".1", []byte(line("c", "/c?coupon=a-b")), 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := ReadRecorded(name)
	if err != nil || len(kept.Good) != 3 || len(kept.Unkept) != 0 {
		t.Fatalf("got %+v, %v, want the latest of three shapes", kept, err)
	}
	patch := testPlan(func(w *plan.WAF) {
		w.Rules = []plan.RuleFile{{File: "/srv/site/own.conf", Text: `SecRule ARGS:coupon "@rx [^A-Z]" "id:1,phase:2,deny,status:403,log,msg:'coupon'"`}}
	})
	r, err := Compare(t.Context(), edge.NewJudge(testPlan(nil)), edge.NewJudge(patch), append(Probes(), kept.Good...))
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	r.WriteText(&b)
	if len(r.Changes) != 1 || r.Changes[0].Name != "GET /c?coupon=a-b" || r.Changes[0].Weaker() || !strings.Contains(b.String(), "1 of 3 passed and would be refused") {
		t.Errorf("got %+v\n%s", r.Changes, b.String())
	}

	weak := testPlan(func(w *plan.WAF) { w.DetectOnly = true })
	r, err = Compare(t.Context(), edge.NewJudge(testPlan(nil)), edge.NewJudge(weak), Probes())
	if err != nil {
		t.Fatal(err)
	}
	if got := r.Passing(); len(got) != len(Probes()) || got[0].Control == "" {
		t.Errorf("rules that only log: got %d attacks that pass, want all %d", len(got), len(Probes()))
	}
	if none, err := ReadRecorded(filepath.Join(dir, "none")); err != nil || len(none.Good)+len(none.Unkept) != 0 {
		t.Errorf("without a file: got %v, %v", none, err)
	}
}

// What recorded requests lack is counted and named, and a change that hangs on it
// says so.
func TestRecordedLacks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "recorded.jsonl")
	const head = `"profile":"public","method":"GET","headers":[{"Name":"Host","Value":"shop.test"},{"Name":"User-Agent","Value":"x"},{"Name":"Accept","Value":"*/*"},`
	text := `{` + head + `{"Name":"Cookie","Value":"sid=masked"}],"shape":"a","uri":"/a","masked":["REQUEST_COOKIES:sid"]}
{` + head + `{"Name":"Cookie","Value":"sid=masked"}],"shape":"b","uri":"/b?token=masked","masked":["ARGS:token","REQUEST_COOKIES:sid"]}
{` + head + `{"Name":"X-A","Value":"masked"}],"shape":"c","uri":"/c"}
{"profile":"public","shape":"d","method":"POST","uri":"/d","unkept":"its body is larger than 16384 bytes"}
`
	if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	kept, err := ReadRecorded(name)
	if err != nil || len(kept.Good) != 3 || len(kept.Unkept) != 1 {
		t.Fatalf("got %+v, %v, want three and one that is not kept", kept, err)
	}
	patch := testPlan(func(w *plan.WAF) {
		w.Rules = []plan.RuleFile{{File: "/srv/site/own.conf", Text: `SecRule REQUEST_COOKIES:sid|REQUEST_HEADERS:X-A "!@rx ^[0-9]+$" "id:1,phase:1,deny,status:403,log,msg:'odd'"`}}
	})
	r, err := Compare(t.Context(), edge.NewJudge(testPlan(nil)), edge.NewJudge(patch), kept.Good)
	if err != nil {
		t.Fatal(err)
	}
	r.Unkept = kept.Unkept
	var b strings.Builder
	r.WriteText(&b)
	for _, want := range []string{"3 of 3 passed and would be refused", "GET /a: rule 1; it matched the word that stands for", "GET /c: rule 1\n",
		"in 2 of them a plain word stands for what is not kept, which no rule could judge: REQUEST_COOKIES:sid (2), ARGS:token (1)\n",
		"1 more came that are not kept and were not judged\n    POST /d: its body is larger"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("got %s\nwant %q in it", b.String(), want)
		}
	}
}
