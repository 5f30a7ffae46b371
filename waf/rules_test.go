package waf

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// ask runs a request of the form "METHOD URI\nHeader: value\n\nbody" through an
// engine and says how it ended and which rules matched.
func ask(t testing.TB, e *Engine, req string) (status int, ids []int, tx *Transaction) {
	t.Helper()
	head, body, _ := strings.Cut(req, "\n\n")
	lines := strings.Split(head, "\n")
	method, uri, _ := strings.Cut(lines[0], " ")
	tx = e.NewTransactionWithID("test")
	tx.ProcessConnection("192.0.2.7", 4711, "192.0.2.1", 80)
	tx.ProcessURI(uri, method, "HTTP/1.1")
	for _, l := range lines[1:] {
		k, v, _ := strings.Cut(l, ": ")
		tx.AddRequestHeader(k, v)
	}
	tx.ProcessRequestHeaders()
	if body != "" {
		_, _, _ = tx.WriteRequestBody([]byte(body))
	}
	if _, err := tx.ProcessRequestBody(); err != nil {
		t.Fatal(err)
	}
	tx.AddResponseHeader("Content-Type", "text/plain")
	tx.ProcessResponseHeaders(200, "HTTP/1.1")
	_, _, _ = tx.WriteResponseBody([]byte("an answer with a secret"))
	_, _ = tx.ProcessResponseBody()
	tx.ProcessLogging()
	for _, m := range tx.MatchedRules() {
		ids = append(ids, m.Rule.ID)
	}
	status = 200
	if it := tx.Interruption(); it != nil {
		status = it.Status
	}
	return status, ids, tx
}

func compile(t testing.TB, rules string, opts ...Option) *Engine {
	t.Helper()
	fsys := fstest.MapFS{
		"words.data": {Data: []byte("# words\nSqlMap\n\nnikto\n")},
		"nets.data":  {Data: []byte("192.0.2.0/24\n2001:db8::1 \n")},
	}
	e, err := Compile(fsys, append([]Option{Directives(rules)}, opts...)...)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

const form = "Content-Type: application/x-www-form-urlencoded\n\n"

func TestRules(t *testing.T) {
	for _, c := range []struct {
		name, rules, request string
		status               int
		ids                  []int
	}{
		{"a pattern", `SecRule ARGS "@rx ^x.z$" "id:1,deny"`, "GET /?a=b&c=xyz", 403, []int{1}},
		{"no match", `SecRule ARGS "@rx ^x.z$" "id:1,deny"`, "GET /?a=b&xyz=c", 200, nil},
		{"not", `SecRule ARGS:id "!@rx ^[0-9]+$" "id:1,deny,status:418"`, "GET /?id=1a", 418, []int{1}},
		{"not, and the argument is not there", `SecRule ARGS:id "!@rx ^[0-9]+$" "id:1,deny"`, "GET /?i=1a", 200, nil},
		{"keys in either case", `SecRule REQUEST_HEADERS:X-A "b" "id:1"` + "\n" + `SecRule ARGS:Name "@streq c" "id:2,phase:2"`, "GET /?nAme=c\nx-a: b", 200, []int{1, 2}},
		{"keys by expression", `SecRule REQUEST_HEADERS:/^X-[AB]$/ "1" "id:1"`, "GET /\nX-A: 1\nX-C: 1", 200, []int{1}},
		{"exceptions", `SecRule ARGS|!ARGS:a|!ARGS:/^b./ "x" "id:1"`, "GET /?a=x&bb=x", 200, nil},
		{"exceptions leave the rest", `SecRule ARGS|!ARGS:a|!ARGS:/^b./ "x" "id:1"`, "GET /?a=x&b=x", 200, []int{1}},
		{"counts", `SecRule &ARGS "@eq 2" "id:1"` + "\n" + `SecRule &ARGS:a "@gt 1" "id:2"`, "GET /?a=1&a=2", 200, []int{1, 2}},
		{"transformations", `SecRule ARGS "@streq a b" "id:1,t:none,t:urlDecodeUni,t:lowercase"`, "GET /?x=A%2520B", 200, []int{1}},
		{"none forgets", `SecRule ARGS "@streq A" "id:1,t:lowercase,t:none"`, "GET /?x=A", 200, []int{1}},
		{"every step", `SecRule ARGS "@streq A%20" "id:1,multiMatch,t:lowercase,t:urlDecode"` + "\n" + `SecRule ARGS "@streq a%20" "id:2,multiMatch,t:lowercase,t:urlDecode"` + "\n" + `SecRule ARGS "@rx ^a\s$" "id:3,multiMatch,t:lowercase,t:urlDecode"`, "GET /?x=A%2520", 200, []int{1, 2, 3}},
		{"every step with entities", `SecRule ARGS "@contains <" "id:1,multiMatch,t:htmlEntityDecode,t:lowercase"`, "GET /?x=%26lt;", 200, []int{1}},
		{"words", `SecRule ARGS "@pm Foo BAR" "id:1"` + "\n" + `SecRule ARGS "@pmFromFile words.data" "id:2"`, "GET /?x=a+fOObar+NIKTO", 200, []int{1, 2}},
		{"datasets", "SecDataset d `\nfoo\n# no\nbar baz\n`\n" + `SecRule ARGS "@pmFromDataset d" "id:1"`, "GET /?x=BAR+baz", 200, []int{1}},
		{"addresses", `SecRule REMOTE_ADDR "@ipMatch 198.51.100.1, 192.0.2.0/25" "id:1"` + "\n" + `SecRule REMOTE_ADDR "@ipMatchFromFile nets.data" "id:2"` + "\n" + `SecRule REMOTE_ADDR "!@ipMatch 192.0.2.7" "id:3"`, "GET /", 200, []int{1, 2}},
		{"bytes", `SecRule ARGS "@validateByteRange 32-126" "id:1"` + "\n" + `SecRule ARGS "@rx \xbc" "id:2"`, "GET /?x=%BC", 200, []int{1, 2}},
		{"encodings", `SecRule REQUEST_URI_RAW "@validateUrlEncoding" "id:1"` + "\n" + `SecRule ARGS "@validateUtf8Encoding" "id:2"`, "GET /?x=%zz%ff", 200, []int{1, 2}},
		{"injections", `SecRule ARGS "@detectSQLi" "id:1,capture,msg:'%{TX.0}'"` + "\n" + `SecRule ARGS "@detectXSS" "id:2"`, "GET /?x=1'+or+'1'='1&y=%3Cscript%3E", 200, []int{1, 2}},
		{"numbers", `SecAction "id:1,phase:1,nolog,setvar:tx.a=5,setvar:tx.a=+3,setvar:tx.a=-1"` + "\n" + `SecRule TX:a "@eq 7" "id:2"`, "GET /", 200, []int{2}},
		{"values", `SecAction "id:1,phase:1,nolog,setvar:tx.a_%{REQUEST_METHOD}=%{ARGS.x},setvar:!tx.b,setvar:tx.c"` + "\n" + `SecRule TX:a_get "@streq 1" "id:2"` + "\n" + `SecRule TX:/^a_/ "@streq 1" "id:3"` + "\n" + `SecRule TX:c "@streq 1" "id:4"`, "GET /?x=1", 200, []int{2, 3, 4}},
		{"macros in operators", `SecRule ARGS:a "@streq %{ARGS.b}" "id:1"` + "\n" + `SecRule REQUEST_METHOD "!@within POST %{ARGS.b}" "id:2"`, "GET /?a=x&b=x", 200, []int{1, 2}},
		{"captures, and a group that is not there", `SecRule ARGS "@rx ^(a+)(x)?(b)" "id:1,capture,chain"` + "\n" + `SecRule TX:1 "@streq aa" "chain"` + "\n" + `SecRule TX:2 "@rx ^$" "chain"` + "\n" + `SecRule TX:3 "@streq b"`, "GET /?x=aab", 200, []int{1}},
		{"chains", `SecRule ARGS:a "x" "id:1,deny,chain"` + "\n" + `SecRule ARGS:b "y" "chain"` + "\n" + `SecRule MATCHED_VAR "@streq y"`, "GET /?a=x&b=y", 403, []int{1}},
		{"a chain that breaks", `SecRule ARGS:a "x" "id:1,deny,chain"` + "\n" + `SecRule ARGS:b "z"`, "GET /?a=x&b=y", 200, nil},
		{"what matched", `SecRule ARGS "x" "id:1,chain"` + "\n" + `SecRule MATCHED_VARS:ARGS:b "x" "chain"` + "\n" + `SecRule MATCHED_VARS_NAMES "@streq ARGS:b"`, "GET /?a=x&b=x", 200, []int{1}},
		{"skip", `SecAction "id:1,nolog,skip:2"` + "\n" + `SecAction "id:2"` + "\n" + `SecAction "id:3"` + "\n" + `SecAction "id:4"`, "GET /", 200, []int{4}},
		{"markers", `SecAction "id:1,nolog,skipAfter:END"` + "\n" + `SecAction "id:2"` + "\n" + `SecMarker END` + "\n" + `SecAction "id:3"`, "GET /", 200, []int{3}},
		{"a marker above skips the next phase up to it", "SecMarker UP\n" + `SecAction "id:1,phase:1,nolog,skipAfter:UP"` + "\n" + `SecAction "id:2,phase:1,log"` + "\n" + `SecAction "id:3,phase:2"`, "GET /", 200, []int{3}},
		{"allow", `SecAction "id:1,phase:1,log,allow"` + "\n" + `SecAction "id:2,phase:2,deny"`, "GET /", 200, []int{1}},
		{"allow the phase", `SecAction "id:1,phase:1,log,allow:phase"` + "\n" + `SecAction "id:2,phase:1,log,deny"` + "\n" + `SecAction "id:3,phase:2"`, "GET /", 200, []int{1, 3}},
		{"allow the request", `SecAction "id:1,phase:1,log,allow:request"` + "\n" + `SecAction "id:2,phase:2,deny"` + "\n" + `SecAction "id:3,phase:3,log"`, "GET /", 200, []int{1, 3}},
		{"detection only", "SecRuleEngine DetectionOnly\n" + `SecAction "id:1,deny"` + "\n" + `SecAction "id:2,deny"`, "GET /", 200, []int{1, 2}},
		{"off", "SecRuleEngine Off\n" + `SecAction "id:1,deny"`, "GET /", 200, nil},
		{"the default action of a phase", `SecDefaultAction "phase:1,log,deny,status:404"` + "\n" + `SecAction "id:1,phase:1,block"`, "GET /", 404, []int{1}},
		{"phases", `SecAction "id:5,phase:5,log"` + "\n" + `SecAction "id:4,phase:4,log"` + "\n" + `SecAction "id:3,phase:3,log"` + "\n" + `SecAction "id:2,phase:2"` + "\n" + `SecAction "id:1,phase:1,log"`, "GET /", 200, []int{1, 2, 3, 4, 5}},
		{"the last phase runs after an end", `SecAction "id:1,phase:1,log,deny"` + "\n" + `SecAction "id:2,phase:2"` + "\n" + `SecAction "id:5,phase:5,log"`, "GET /", 403, []int{1, 5}},
		{"a redirection", `SecAction "id:1,redirect:https://example.com/"`, "GET /", 302, []int{1}},
		{"forms", "SecRequestBodyAccess On\n" + `SecRule ARGS_POST:a "@streq b c" "id:1"` + "\n" + `SecRule REQUEST_BODY "@contains a=" "id:2"`, "POST /\n" + form + "a=b+c", 200, []int{1, 2}},
		{"JSON", "SecRequestBodyAccess On\n" + `SecAction "id:9,phase:1,nolog,ctl:requestBodyProcessor=JSON"` + "\n" + `SecRule ARGS:json.a.1.b "@eq 7" "id:1"`, "POST /\n\n" + `{"a":[1,{"b":7}]}`, 200, []int{1}},
		{"XML", "SecRequestBodyAccess On\n" + `SecAction "id:9,phase:1,nolog,ctl:requestBodyProcessor=XML"` + "\n" + `SecRule XML:/* "@streq t" "id:1"` + "\n" + `SecRule XML://@* "@streq v" "id:2"`, "POST /\n\n" + `<a b="v">t</a>`, 200, []int{1, 2}},
		{"a boundary that goes on", "SecRequestBodyAccess On\n" + `SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 1" "id:1"` + "\n" + `SecRule MULTIPART_UNMATCHED_BOUNDARY "@eq 0" "id:2,phase:1,log"`,
			"POST /\nContent-Type: multipart/form-data; boundary=xx\n\n--xx\r\nContent-Disposition: form-data; name=\"f\"\r\n\r\na\r\n--xxy\r\n--xx--\r\n", 200, []int{2, 1}},
		{"before anything has matched", `SecRule MATCHED_VAR_NAME|MATCHED_VAR "@rx ^$" "id:1,phase:1,log"`, "GET /", 200, []int{1}},
		{"groups of what is not to match", `SecRule ARGS "!@rx ^(a)" "id:1,capture"` + "\n" + `SecRule TX:1 "@streq a" "id:2"`, "GET /?x=ab", 200, []int{2}},
		{"files by their fields", "SecRequestBodyAccess On\n" + `SecRule FILES_SIZES:f "@ge 5" "id:1"` + "\n" + `SecRule FILES:g "@streq a.txt" "id:2"` + "\n" + `SecRule &FILES_SIZES "@eq 2" "id:3"`,
			"POST /\nContent-Type: multipart/form-data; boundary=xx\n\n--xx\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.txt\"\r\n\r\nlarge\r\n--xx\r\nContent-Disposition: form-data; name=\"g\"; filename=\"a.txt\"\r\n\r\ns\r\n--xx--\r\n", 200, []int{1, 2, 3}},
		{"only computed when asked for", `SecRule REMOTE_HOST "@streq 192.0.2.7" "id:1"` + "\n" + `SecRule URLENCODED_ERROR "@eq 1" "id:2"` + "\n" + `SecRule FULL_REQUEST_LENGTH "@eq 21" "id:3"`, "GET /?a=%4", 200, []int{1, 2, 3}},
		{"an operator after spaces", `SecRule ARGS " ! @streq a" "id:1"`, "GET /?x=b", 200, []int{1}},
		{"uploads", "SecRequestBodyAccess On\n" + `SecRule FILES "@endsWith .php" "id:1"` + "\n" + `SecRule FILES_NAMES "@streq f" "id:2"` + "\n" + `SecRule FILES_SIZES "@eq 3" "id:3"` + "\n" + `SecRule ARGS:q "@streq v" "id:4"`,
			"POST /\nContent-Type: multipart/form-data; boundary=b\n\n--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a.php\"\r\n\r\nPHP\r\n--b\r\nContent-Disposition: form-data; name=\"q\"\r\n\r\nv\r\n--b--\r\n", 200, []int{1, 2, 3, 4}},
		{"broken JSON", "SecRequestBodyAccess On\n" + `SecAction "id:9,phase:1,nolog,ctl:requestBodyProcessor=JSON"` + "\n" + `SecRule REQBODY_ERROR "!@eq 0" "id:1,deny,status:400"`, "POST /\n\n" + `{"a":`, 400, []int{1}},
		{"the answer", "SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\n" + `SecRule RESPONSE_BODY "secret" "id:1,phase:4,log,deny,status:500"`, "GET /", 500, []int{1}},
		{"exclusion by id", `SecAction "id:1,phase:1,nolog,ctl:ruleRemoveById=2-3"` + "\n" + `SecAction "id:2"` + "\n" + `SecAction "id:3"` + "\n" + `SecAction "id:4"`, "GET /", 200, []int{4}},
		{"exclusion by tag and message", `SecAction "id:1,phase:1,nolog,ctl:ruleRemoveByTag=t,ctl:ruleRemoveByMsg=m"` + "\n" + `SecAction "id:2,tag:t"` + "\n" + `SecAction "id:3,msg:m"` + "\n" + `SecAction "id:4,tag:tt"`, "GET /", 200, []int{4}},
		{"exclusion of a target", `SecRule REQUEST_FILENAME "@streq /a" "id:1,phase:1,nolog,ctl:ruleRemoveTargetById=2;ARGS:p,ctl:ruleRemoveTargetByTag=t;ARGS:/^q/"` + "\n" + `SecRule ARGS "x" "id:2"` + "\n" + `SecRule ARGS "x" "id:3,tag:t"`, "GET /a?p=x&q1=x", 200, []int{2, 3}},
		{"exclusion of both targets", `SecRule REQUEST_FILENAME "@streq /a" "id:1,phase:1,nolog,ctl:ruleRemoveTargetById=2;ARGS:p,ctl:ruleRemoveTargetById=2;ARGS:/^Q/"` + "\n" + `SecRule ARGS "x" "id:2"`, "GET /a?p=x&q1=x", 200, nil},
		{"exclusion elsewhere", `SecRule REQUEST_FILENAME "@streq /a" "id:1,phase:1,nolog,ctl:ruleRemoveTargetById=2;ARGS:p"` + "\n" + `SecRule ARGS "x" "id:2"`, "GET /b?p=x", 200, []int{2}},
		{"removal", `SecAction "id:1"` + "\n" + `SecAction "id:2,tag:t"` + "\n" + `SecAction "id:3,msg:m"` + "\nSecRuleRemoveById 1\nSecRuleRemoveByTag t\nSecRuleRemoveByMsg m", "GET /", 200, nil},
		{"updates", `SecRule ARGS|REQUEST_URI "x" "id:1,tag:t,pass"` + "\n" + `SecRuleUpdateTargetById 1 "!ARGS:a"` + "\n" + `SecRuleUpdateTargetByTag t "!REQUEST_URI|REQUEST_METHOD"` + "\n" + `SecRuleUpdateActionById 1 "deny,status:404"`, "GET /?a=x&b=x", 404, []int{1}},
		{"an update of targets", `SecRule ARGS "x" "id:1,msg:m"` + "\n" + `SecRuleUpdateTargetByMsg m "!ARGS:a"`, "GET /?a=x", 200, nil},
		{"paths", `SecRule REQUEST_FILENAME "@restpath ^/users/{id}/x" "id:1,nolog,phase:1"` + "\n" + `SecRule ARGS_PATH:id "@streq 7" "id:2"` + "\n" + `SecRule ARGS "@rx ^7$" "id:3,phase:1,log"`, "GET /users/7/x", 200, []int{3, 2}},
		{"the name of the environment", `SecAction "id:1,phase:1,nolog,setenv:a=%{ARGS.x}"` + "\n" + `SecRule ENV:a "@streq 1" "id:2"`, "GET /?x=1", 200, []int{2}},
		{"cookies", `SecRule REQUEST_COOKIES:b "@streq c" "id:1"` + "\n" + `SecRule REQUEST_COOKIES_NAMES "@streq d" "id:2"`, "GET /\nCookie: a=1; b=c;d=", 200, []int{1, 2}},
		{"an anchor is no part of the query", `SecRule ARGS "x" "id:1"`, "GET /#?a=x", 200, nil},
		{"an URI that cannot be parsed", `SecRule URI_PARSE_ERROR "@eq 1" "id:1"` + "\n" + `SecRule ARGS:a "x" "id:2"`, "GET /%zz?a=x", 200, []int{1, 2}},
		{"severity", `SecAction "id:1,severity:WARNING"` + "\n" + `SecAction "id:2,severity:5"` + "\n" + `SecRule HIGHEST_SEVERITY "@eq 4" "id:3"`, "GET /", 200, []int{1, 2, 3}},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := compile(t, c.rules)
			for range 2 { // a transaction that was used before is as a new one
				status, ids, tx := ask(t, e, c.request)
				if status != c.status || !slices.Equal(ids, c.ids) {
					t.Errorf("got %d, rules %v; want %d, %v: %+v", status, ids, c.status, c.ids, tx.MatchedRules())
				}
				_ = tx.Close()
			}
		})
	}
}

func TestMessages(t *testing.T) {
	e := compile(t, `SecRule ARGS:a "@rx x(.)" "id:1,capture,severity:2,tag:t,msg:'saw %{TX.1} in %{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR} %{rule.id}'"`)
	_, _, tx := ask(t, e, "GET /?a=xy&b=xz&a=xw")
	rules := tx.MatchedRules()
	_ = tx.Close()
	if len(rules) != 1 || len(rules[0].Matches) != 2 {
		t.Fatalf("got %+v", rules)
	}
	m := rules[0]
	if m.Message != "saw y in ARGS:a" || m.Data != "xy 1" || m.Matches[1].Message != "saw w in ARGS:a" || m.Rule.Severity != SeverityCritical {
		t.Errorf("got %+v", m)
	}
	if g := m.Matches[1]; g.Variable != "ARGS" || g.Key != "a" || g.Value != "xw" {
		t.Errorf("got %+v", g)
	}
}

// Stored values outlive requests, apart for each key, until they expire.
func TestStore(t *testing.T) {
	now := time.Unix(1000, 0)
	e := compile(t, `SecCollectionTimeout 600
SecAction "id:1,phase:1,nolog,initcol:ip=%{ARGS.who}"
SecAction "id:2,phase:1,nolog,setvar:ip.n=+1,expirevar:ip.n=60"
SecRule IP:N "@gt 2" "id:3,phase:1,log,deny,status:429,msg:'%{IP.n} requests'"`, Clock(func() time.Time { return now }))
	for i, c := range []struct {
		who     string
		seconds int
		want    int
	}{{"a", 0, 200}, {"a", 1, 200}, {"b", 1, 200}, {"a", 1, 429}, {"a", 1, 429}, {"b", 1, 200}, {"a", 61, 200}} {
		now = now.Add(time.Duration(c.seconds) * time.Second)
		status, _, tx := ask(t, e, "GET /?who="+c.who)
		_ = tx.Close()
		if status != c.want {
			t.Errorf("request %d, by %s: got %d, want %d", i, c.who, status, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	const access = "SecRequestBodyAccess On\n"
	for name, c := range map[string]struct {
		rules, request string
		opts           []Option
		want           int
	}{
		"body":                  {access + "SecRequestBodyLimit 10", "POST /\n" + form + "a=1234567890", nil, 413},
		"body, in part":         {access + "SecRequestBodyLimit 10\nSecRequestBodyLimitAction ProcessPartial\n" + `SecRule ARGS:a "@streq 12345678" "id:1,deny"`, "POST /\n" + form + "a=1234567890", nil, 403},
		"no files":              {access + "SecRequestBodyNoFilesLimit 10", "POST /\n" + form + "a=1234567890", nil, 413},
		"work":                  {`SecRule ARGS "@rx x" "id:1,t:urlDecodeUni,t:lowercase"`, "GET /?a=" + strings.Repeat("b", 1000), []Option{Budget(900)}, 413},
		"work, enough":          {`SecRule ARGS "@rx x" "id:1,t:urlDecodeUni,t:lowercase"`, "GET /?a=" + strings.Repeat("b", 1000), []Option{Budget(9000)}, 200},
		"arguments":             {"SecArgumentsLimit 3\n" + `SecRule ARGUMENTS_LIMIT_REACHED "@eq 1" "id:1,deny"`, "GET /?a=1&a=2&a=3&a=4", nil, 403},
		"files":                 {access + "SecUploadFileLimit 1", "POST /\nContent-Type: multipart/form-data; boundary=b\n\n" + strings.Repeat("--b\r\nContent-Disposition: form-data; name=\"f\"; filename=\"a\"\r\n\r\nx\r\n", 2) + "--b--\r\n", nil, 413},
		"values of TX":          {`SecRule ARGS_NAMES "@rx ^(.*)$" "id:1,capture,nolog,setvar:tx.x_%{tx.1}=1"` + "\nSecArgumentsLimit 10000", "GET /?" + manyNames(maxDynamic+1), nil, 413},
		"depth of JSON":         {access + "SecRequestBodyJsonDepthLimit 3\n" + `SecAction "id:9,phase:1,nolog,ctl:requestBodyProcessor=JSON"` + "\n" + `SecRule REQBODY_ERROR "@eq 1" "id:1,deny,status:400"`, "POST /\n\n[[[[1]]]]", nil, 400},
		"the answer":            {"SecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\nSecResponseBodyLimit 5\nSecResponseBodyLimitAction Reject", "GET /", nil, 500},
		"detection: work":       {"SecRuleEngine DetectionOnly\n" + `SecRule ARGS "@rx x" "id:1"`, "GET /?a=" + strings.Repeat("b", 1000), []Option{Budget(900)}, 200},
		"detection: body":       {"SecRuleEngine DetectionOnly\n" + access + "SecRequestBodyLimit 10", "POST /\n" + form + "a=1234567890", nil, 200},
		"detection: the answer": {"SecRuleEngine DetectionOnly\nSecResponseBodyAccess On\nSecResponseBodyMimeType text/plain\nSecResponseBodyLimit 5\nSecResponseBodyLimitAction Reject", "GET /", nil, 200},
	} {
		e := compile(t, c.rules, c.opts...)
		status, ids, tx := ask(t, e, c.request)
		if status != c.want {
			t.Errorf("%s: got %d, rules %v, want %d", name, status, ids, c.want)
		}
		if strings.HasPrefix(name, "detection") && tx.WouldInterrupt() == nil {
			t.Errorf("%s: nothing says that the limit was passed", name)
		}
		_ = tx.Close()
	}
}

func manyNames(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "n%d=&", i)
	}
	return b.String()
}

// A transformation that gives a part of a value leaves the value as it was, for the
// rules that follow and for the application.
func TestValuesStay(t *testing.T) {
	e := compile(t, `SecRule ARGS|REQUEST_HEADERS:X-A "@rx ." "nolog,id:1,phase:1,t:trim,t:uppercase,t:hexEncode"
SecRule ARGS|REQUEST_HEADERS:X-A "@rx ." "nolog,id:2,phase:1,t:trimLeft,t:base64Encode"
SecRule ARGS|REQUEST_HEADERS:X-A "@rx ." "nolog,id:3,phase:1,multiMatch,t:trimRight,t:lowercase,t:hexEncode"
SecRule ARGS:a|REQUEST_HEADERS:X-A "@rx ^ attack( attack)+ $" "id:4,phase:1,log"`)
	for range 3 {
		value := " " + strings.Repeat("attack ", 20000)
		tx := e.NewTransaction()
		tx.ProcessURI("/?a="+url.QueryEscape(value), "GET", "HTTP/1.1")
		tx.AddRequestHeader("X-A", value)
		tx.ProcessRequestHeaders()
		if got := tx.MatchedRules(); len(got) != 1 || len(got[0].Matches) != 2 || value != " "+strings.Repeat("attack ", 20000) {
			t.Errorf("got %d matches, want both values as they were", len(got))
		}
		_ = tx.Close()
	}
	if _, ids, _ := ask(t, e, "GET /?a=%20attack%20attack%20\nX-A: b"); !slices.Equal(ids, []int{4}) {
		t.Errorf("got %v, want the rule on the value as it is", ids)
	}
}

// An engine without rules is one that somebody put in the wrong directory.
func TestNoRules(t *testing.T) {
	if _, err := Compile(fstest.MapFS{"rules/a.conf": {Data: []byte("SecRuleEngine On")}}); err == nil || !strings.Contains(err.Error(), "no file *.conf") {
		t.Errorf("got error %v, want one that says that there is no file", err)
	}
	if _, err := Compile(nil, Directives("SecNothing")); err == nil || !strings.Contains(err.Error(), "not known") {
		t.Errorf("got error %v, want one that says that the directive is not known", err)
	}
}

// A redirection can say what was asked for, and an error about an expression
// quotes it as it was written.
func TestWords(t *testing.T) {
	_, _, tx := ask(t, compile(t, `SecRule ARGS:a "@rx b" "id:1,redirect:https://a.example/?from=%{REQUEST_FILENAME}"`), "GET /old?a=b")
	if it := tx.Interruption(); it == nil || it.Action != "redirect" || it.Data != "https://a.example/?from=/old" {
		t.Errorf("got %+v, want a redirection with the path", it)
	}
	for rule, want := range map[string]string{
		`SecRule ARGS "@rx a(" "id:1"`:     "inline:1: SecRule: operator @rx: error parsing regexp: missing closing ): `a(`",
		`SecRule ARGS:/b(/ "@rx a" "id:1"`: "inline:1: SecRule: variable ARGS: error parsing regexp: missing closing ): `b(`",
	} {
		if _, err := Compile(nil, Directives(rule)); err == nil || !strings.HasSuffix(err.Error(), want) {
			t.Errorf("%s: got error %v, want %s", rule, err, want)
		}
	}
}

// What is not understood is an error with its place.
func TestUnsupported(t *testing.T) {
	for _, rules := range []string{
		`SecRule NOTHING "x" "id:1"`, `SecRule REQUEST_URI:x "x" "id:1"`, `SecRule ARGS "@nothing x" "id:1"`, `SecRule ARGS "@rx (" "id:1"`,
		`SecRule ARGS "@geoLookup" "id:1"`, `SecRule ARGS "@inspectFile x" "id:1"`, `SecRule ARGS "@rbl x" "id:1"`,
		`SecRule ARGS "@pmFromFile nothing.data" "id:1"`, `SecRule ARGS "@pmFromDataset d" "id:1"`, `SecRule ARGS "@ipMatch x" "id:1"`,
		`SecRule ARGS "@validateByteRange 1-256" "id:1"`, `SecRule ARGS "@eq %{nothing}" "id:1"`,
		`SecRule ARGS "x" "id:1,t:nothing"`, `SecRule ARGS "x" "id:1,exec:/bin/sh"`, `SecRule ARGS "x" "id:1,nothing"`, `SecRule ARGS "x" "id:1,deny:x"`,
		`SecRule ARGS "x" "id:0"`, `SecRule ARGS "x" "phase:1"`, `SecRule ARGS "x"`, `SecRule ARGS "x" "id:1,phase:6"`, `SecRule ARGS "x" "id:1,severity:9"`,
		`SecRule ARGS "x" "id:1,msg:'%{x'"`, `SecRule ARGS "x" "id:1,setvar:a=1"`, `SecRule ARGS "x" "id:1,setvar:args.a=1"`, `SecRule ARGS "x" "id:1,initcol:tx=1"`,
		`SecRule ARGS "x" "id:1,ctl:nothing=1"`, `SecRule ARGS "x" "id:1,ctl:ruleEngine=x"`, `SecRule ARGS "x" "id:1,ctl:ruleRemoveById=x"`, `SecRule ARGS "x" "id:1,ctl:ruleRemoveTargetById=1"`,
		`SecRule ARGS "x" "id:1,skip:0"`, `SecRule ARGS "x" "id:1,skipAfter:NOWHERE"`, `SecRule ARGS "x" "id:1,status:x"`, `SecRule ARGS "x" "id:1,chain"`,
		`SecRule ARGS "x" "id:1"` + "\n" + `SecRule ARGS "x" "id:1"`, `SecRule ARGS "x" "id:1,chain"` + "\n" + `SecRule ARGS "x" "deny"`, `SecRule ARGS "x" "id:1,chain"` + "\nSecMarker X",
		`SecRuleUpdateTargetById 7 "!ARGS"`, `SecRuleRemoveById x`, `SecRuleEngine Maybe`, `SecNothing On`, `SecRequestBodyLimit -1`, `SecUploadKeepFiles On`,
		`SecDefaultAction "phase:1,log"`, `SecDefaultAction "log,pass"`, `SecDefaultAction "phase:1,id:1,pass"`, `SecRuleScript x.lua`, `SecRemoteRules x y`,
		`SecRule XML:/a/b "x" "id:1"`, `SecAction "id:1,pass,setvar:ip.n=1"`, `SecAction "id:1,pass,expirevar:ip.n=1"`, `SecRule IP:n "x" "id:1"`, `SecAction "id:1,pass,initcol:global=x,setvar:ip.n=1"`,
	} {
		if _, err := Compile(fstest.MapFS{}, Directives("\n"+rules)); err == nil || !strings.Contains(err.Error(), "inline:") {
			t.Errorf("%s: got %v, want an error with its place", rules, err)
		}
	}
}
