package edge

import (
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

func get(uri string, header ...string) *ftw.Request {
	r := &ftw.Request{Method: "GET", URI: uri, Proto: "HTTP/1.1", Headers: []ftw.Header{{Name: "Host", Value: "shop.test"}, {Name: "User-Agent", Value: "Mozilla/5.0"}, {Name: "Accept", Value: "*/*"}}}
	for i := 0; i+1 < len(header); i += 2 {
		r.Headers = append(r.Headers, ftw.Header{Name: header[i], Value: header[i+1]})
	}
	return r
}

func post(uri, contentType, body string) *ftw.Request {
	r := get(uri, "Content-Type", contentType, "Content-Length", fmt.Sprint(len(body)))
	r.Method, r.Body = "POST", []byte(body)
	return r
}

var sqliArg = url.QueryEscape("1' OR '1'='1")

// ownRules gives a plan a file of rules without a disk.
func ownRules(p *plan.Plan, text string) *plan.Plan {
	p.File = "/srv/site/ringwall.yaml"
	p.Edge.WAF.Rules = []plan.RuleFile{{File: filepath.Join("/srv/site", "rules", "own.conf"), Text: text}}
	return p
}

// A judge says of a request what the edge does with it.
func TestJudge(t *testing.T) {
	with := func(change func(*plan.WAF)) *plan.Plan { p := testPlan(); change(&p.Edge.WAF); return p }
	plain := testPlan()
	own := ownRules(testPlan(), `SecRule ARGS:coupon "@rx [^A-Z]" "id:100,phase:2,deny,status:403,log,msg:'odd coupon'"
SecRule ARGS:note "@streq five" "id:101,phase:2,pass,log,msg:'note',severity:CRITICAL,setvar:tx.inbound_anomaly_score_pl1=+5"
SecRuleUpdateTargetById 942100 "!ARGS:free"
`)
	for _, c := range []struct {
		name    string
		p       *plan.Plan
		r       *ftw.Request
		admin   bool
		want    Verdict
		status  int
		control string
		rule    int // that matched
		sum     int
	}{
		{"a good one", plain, get("/?q=hello"), false, Passed, 0, "", 0, 0},
		{"an attack", plain, get("/?q=" + sqliArg), false, Refused, 403, "edge/waf-sqli", 942100, 5},
		{"an attack in a form", plain, post("/", formURL, "q="+sqliArg), false, Refused, 403, "edge/waf-sqli", 942100, 5},
		{"an administrator's method", plain, &ftw.Request{Method: "PATCH", URI: "/", Proto: "HTTP/1.1", Headers: get("/").Headers}, true, Passed, 0, "", 0, 0},
		{"a visitor's", plain, &ftw.Request{Method: "PATCH", URI: "/", Proto: "HTTP/1.1", Headers: get("/").Headers}, false, Refused, 403, "edge/waf-method", 911100, 5},
		{"deep JSON", plain, post("/", jsonType, strings.Repeat("[", 100)+strings.Repeat("]", 100)), false, Refused, 400, "edge/waf-body", 0, 0},
		{"a body that is cut", plain, &ftw.Request{Method: "POST", URI: "/", Proto: "HTTP/1.1", Headers: get("/", "Content-Length", "9", "Content-Type", formURL).Headers}, false, Refused, 400, "edge/waf-body", 0, 0},
		{"no host", plain, &ftw.Request{Method: "GET", URI: "/", Proto: "HTTP/1.1"}, false, Unreadable, 400, "network", 0, 0},
		{"no request", plain, &ftw.Request{Method: "G T", URI: "/", Proto: "HTTP/1.1"}, false, Unreadable, 400, "network", 0, 0},
		{"a profile that logs", with(func(w *plan.WAF) { w.DetectOnlyProfiles = []string{"public"} }), get("/?q=" + sqliArg), false, Logged, 0, "edge/waf-sqli", 942100, 5},
		{"the other profile", with(func(w *plan.WAF) { w.DetectOnlyProfiles = []string{"public"} }), get("/?q=" + sqliArg), true, Refused, 403, "edge/waf-sqli", 942100, 5},
		{"a path that logs", with(func(w *plan.WAF) { w.DetectOnlyPaths = []string{"/old/*"} }), get("/old/x?q=" + sqliArg), false, Logged, 0, "edge/waf-sqli", 942100, 5},
		{"another path", with(func(w *plan.WAF) { w.DetectOnlyPaths = []string{"/old/*"} }), get("/older?q=" + sqliArg), false, Refused, 403, "edge/waf-sqli", 942100, 5},
		{"a path that leads elsewhere", with(func(w *plan.WAF) { w.DetectOnlyPaths = []string{"/old/*"} }), get("/old/../x?q=" + sqliArg), false, Refused, 403, "edge/waf-traversal", 942100, 15},
		{"everything logs", with(func(w *plan.WAF) { w.DetectOnly = true }), get("/?q=" + sqliArg), false, Logged, 0, "edge/waf-sqli", 942100, 5},
		{"no rules", with(func(w *plan.WAF) { w.Off = true }), get("/?q=" + sqliArg), false, Passed, 0, "", 0, 0},
		{"an own rule", own, get("/?coupon=%3C"), false, Refused, 403, "edge/waf", 100, 0},
		{"an own rule's good side", own, get("/?coupon=ABC"), false, Passed, 0, "", 0, 0},
		{"an own rule that adds to the sum", own, get("/?note=five"), false, Refused, 403, "edge/waf", 101, 5},
		{"an own update of a core rule", own, get("/?free=" + sqliArg), false, Passed, 0, "", 0, 0},
	} {
		got := NewJudge(c.p).Judge(c.r, c.admin)
		ids := []int{}
		for _, r := range got.Refusal.Rules {
			ids = append(ids, r.ID)
		}
		if got.Verdict != c.want || got.Status != c.status || got.Refusal.Control != c.control || got.Refusal.Score != c.sum || c.rule != 0 && !slices.Contains(ids, c.rule) {
			t.Errorf("%s: got %v, status %d, %+v, want %v, %d by %q with rule %d and the sum %d", c.name, got.Verdict, got.Status, got.Refusal, c.want, c.status, c.control, c.rule, c.sum)
		}
		if o := got.Outcome(); c.rule != 0 && !slices.Contains(o.Rules, c.rule) {
			t.Errorf("%s: the outcome has rules %v, want %d among them", c.name, o.Rules, c.rule)
		}
	}
	if err := NewJudge(plain).Build(); err != nil {
		t.Error(err)
	}
}

// What is wrong in the user's rules is said with its file and line.
func TestOwnRulesErrors(t *testing.T) {
	for text, want := range map[string]string{
		"\n" + `SecRule ARGS "@rx (" "id:1,phase:2,deny"`: "rules/own.conf:2: ",
		`SecNothing On`:                                 "rules/own.conf:1: ",
		`SecAction "id:942100,phase:1,pass"`:            "rules/own.conf:1: ",
		"#\n#\n" + `SecAction "id:100000,phase:1,pass"`: "rules/own.conf:3: got id 100000",
		`Include /etc/passwd`:                           "rules/own.conf:1: ",
		"\nSecRuleEngine DetectionOnly":                 "rules/own.conf:2: SecRuleEngine is set by the configuration",
		`SecAction "id:1,phase:5,pass"`:                 "rules/own.conf:1: got phase 5, want 1 or 2",
		`SecAction "id:1,phase:1,redirect:/x"`:          "rules/own.conf:1: got action redirect, want deny",
		`SecRule GEO:COUNTRY_CODE "@streq XX" "id:1"`:   "rules/own.conf:1: SecRule: variable GEO is not supported",
	} {
		if err := CheckRules(ownRules(testPlan(), text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want it to say %q", text, err, want)
		}
	}
	if err := CheckRules(ownRules(testPlan(), `SecAction "id:99999,phase:1,pass,nolog"`)); err != nil {
		t.Error(err)
	}
	for _, path := range []string{"old", "/a\"b", "/a*b"} {
		p := testPlan()
		p.Edge.WAF.DetectOnlyPaths = []string{path}
		if err := CheckRules(p); err == nil || !strings.Contains(err.Error(), "detectOnlyPaths") {
			t.Errorf("path %q: got %v, want an error", path, err)
		}
	}
}

// All of the core rules for requests are in every profile, the user's own or not.
func TestNoCoreRuleIsLost(t *testing.T) {
	plain, err := build(testPlan(), public, nil)
	if err != nil {
		t.Fatal(err)
	}
	more, err := build(ownRules(testPlan(), `SecAction "id:1,phase:1,pass,nolog"`), public, nil)
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]bool{}
	for _, r := range plain.Rules() {
		files[filepath.Base(r.File)] = true
	}
	names, err := overlay{}.Glob("@owasp_crs/REQUEST-*.conf")
	if err != nil || len(names) < 18 {
		t.Fatalf("the core rule files: got %d, %v", len(names), err)
	}
	for _, n := range names {
		if n = filepath.Base(n); !files[n] && !strings.Contains(n, "COMMON-EXCEPTIONS") {
			t.Errorf("no rule of %s is in force", n)
		}
	}
	if len(more.Rules()) != len(plain.Rules())+1 {
		t.Errorf("with one rule more: got %d, without %d", len(more.Rules()), len(plain.Rules()))
	}
}
