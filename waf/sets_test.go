package waf

import (
	"runtime"
	"testing"

	"github.com/ringwall/ringwall/waf/internal/dfa"
)

// Engines share what is equal, and what no engine uses any more goes.
func TestCache(t *testing.T) {
	var c cache[dfa.Set]
	made := 0
	make := func() (*dfa.Set, error) {
		made++
		return dfa.Compile([]dfa.Pattern{{Expr: "a"}}, dfa.Options{})
	}
	a, err := c.get("a", make)
	if err != nil {
		t.Fatal(err)
	}
	if b, err := c.get("a", make); err != nil || b != a || made != 1 {
		t.Errorf("got %p, %v after %d makes, want %p again", b, err, made, a)
	}
	for i := range 1000 {
		if _, err := c.get(string(rune(1000+i)), make); err != nil {
			t.Fatal(err)
		}
		if i%100 == 0 {
			runtime.GC()
		}
	}
	if len(c.m) > 500 {
		t.Errorf("got %d entries, want the dead ones gone", len(c.m))
	}
	runtime.KeepAlive(a)
}

func TestCloseTwice(t *testing.T) {
	e := compile(t, `SecAction "id:1"`)
	tx := e.NewTransaction()
	_ = tx.Close()
	_ = tx.Close()
	if a, b := e.NewTransaction(), e.NewTransaction(); a == b {
		t.Error("one transaction was given out twice")
	}
}

// A transaction's memory is no longer than its use: what it returned stays as it was.
func TestMatchesOutliveTheTransaction(t *testing.T) {
	e := compile(t, `SecRule ARGS "@rx x(.*)" "id:1,capture,t:lowercase,msg:'%{TX.1} %{MATCHED_VAR_NAME}',logdata:'%{MATCHED_VAR}'"`)
	_, _, tx := ask(t, e, "GET /?FirstName=XAbc%20d")
	m := tx.MatchedRules()[0]
	_ = tx.Close()
	for range 20 {
		_, _, tx := ask(t, e, "GET /?other=xzzzzzzzzzzzzzzzzzzzzzzzz&more=x1111111111111111111111")
		_ = tx.Close()
	}
	if m.Message != "abc d ARGS:FirstName" || m.Data != "xabc d" || m.Matches[0].Value != "xabc d" || m.Matches[0].Key != "FirstName" {
		t.Errorf("got %+v", m)
	}
}
