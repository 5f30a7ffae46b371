package difftest

import (
	"testing"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"

	"github.com/ringwall/ringwall/waf/ftw"
)

// A request is what one transaction is given, what the application answers, and
// what the rule set's own tests want of it.
type request struct {
	ftw.Request
	name string
	want ftw.Want
}

func header(name, value string) ftw.Header { return ftw.Header{Name: name, Value: value} }

// answer is a response's kind and content.
func answer(status int, contentType, body string) ftw.Answer {
	return ftw.Answer{Status: status, Headers: []ftw.Header{header("Content-Type", contentType)}, Body: body}
}

// stages reads all regression tests that the rule set's module carries.
func stages(t testing.TB) []request {
	t.Helper()
	all, err := ftw.Read(crstests.FS)
	if err != nil {
		t.Fatal(err)
	}
	out := make([]request, len(all))
	for i, s := range all {
		out[i] = request{s.Request, s.Name, s.Want}
	}
	return out
}
