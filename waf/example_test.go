package waf_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing/fstest"

	"github.com/ringwall/ringwall/waf"
)

// An engine in front of a handler.
func ExampleEngine_Wrap() {
	rules := fstest.MapFS{"site.conf": {Data: []byte(`
SecRule ARGS:id "!@rx ^[0-9]+$" "id:1,phase:2,deny,status:403,log,msg:'The id is not a number'"
`)}}
	engine, err := waf.Compile(rules, waf.OnMatch(func(m *waf.MatchedRule) {
		fmt.Printf("rule %d: %s: %s:%s is %q\n", m.Rule.ID, m.Message, m.Matches[0].Variable, m.Matches[0].Key, m.Matches[0].Value)
	}))
	if err != nil {
		fmt.Println(err)
		return
	}
	site := engine.Wrap(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "fine") }))
	for _, uri := range []string{"/?id=7", "/?id=7%20or%201=1"} {
		w := httptest.NewRecorder()
		site.ServeHTTP(w, httptest.NewRequest("GET", uri, nil))
		fmt.Println(w.Code, w.Body)
	}
	// Output:
	// 200 fine
	// rule 1: The id is not a number: ARGS:id is "7 or 1=1"
	// 403
}

// A transaction by hand, for programs that are not servers of package http.
func ExampleEngine_NewTransaction() {
	engine, err := waf.Compile(nil, waf.Directives(`
SecRequestBodyAccess On
SecRule REQUEST_BODY "@contains secret" "id:1,phase:2,deny"
`))
	if err != nil {
		fmt.Println(err)
		return
	}
	tx := engine.NewTransaction()
	defer tx.Close()
	tx.ProcessConnection("192.0.2.7", 41234, "192.0.2.1", 80)
	tx.ProcessURI("/form", "POST", "HTTP/1.1")
	tx.AddRequestHeader("Content-Type", "application/x-www-form-urlencoded")
	it := tx.ProcessRequestHeaders()
	if it == nil {
		it, _, err = tx.WriteRequestBody([]byte("a=1&b=secret"))
	}
	if it == nil && err == nil {
		it, err = tx.ProcessRequestBody()
	}
	fmt.Println(it.RuleID, it.Status, err)
	// Output: 1 403 <nil>
}

// What is not supported is an error where it stands.
func ExampleCompile() {
	_, err := waf.Compile(fstest.MapFS{"a.conf": {Data: []byte("SecRuleEngine On\nSecRule ARGS \"@geoLookup\" \"id:1\"\n")}})
	fmt.Println(err)
	// Output: reading rules: a.conf:2: SecRule: operator @geoLookup: it is not supported: the engine asks nobody else about a request
}
