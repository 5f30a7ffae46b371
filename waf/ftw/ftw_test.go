package ftw

import (
	"strings"
	"testing"
	"testing/fstest"

	crstests "github.com/corazawaf/coraza-coreruleset/v4/tests"

	"github.com/ringwall/ringwall/waf"
)

// The core rule set's own tests are all read.
func TestReadCoreRuleSet(t *testing.T) {
	stages, err := Read(crstests.FS)
	if err != nil {
		t.Fatal(err)
	}
	if len(stages) != 4680 {
		t.Errorf("got %d stages, want 4680", len(stages))
	}
}

const one = `
rule_id: 100
tests:
  - test_id: 7
    desc: a word in a form
    stages:
      - input: {method: POST, uri: /x, headers: {Host: a}, data: "q=evil thing"}
        output: {status: 403, log: {expect_ids: [100], match_regex: 'id "100"'}}
      - input: {uri: "/?q=fine"}
        output: {log: {no_expect_ids: [100]}}
      - input: {encoded_request: R0VUIC8/cT1ldmlsIEhUVFAvMS4xDQpIb3N0OiBhDQoNCg==}
        output: {status: [403, 400]}
`

func engine(t *testing.T, rules string) *waf.Engine {
	t.Helper()
	e, err := waf.Compile(fstest.MapFS{}, waf.Directives("SecRuleEngine On\nSecRequestBodyAccess On\n"+rules))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// A stage passes with the rule that it is about, and fails without it.
func TestPlay(t *testing.T) {
	stages, err := Read(fstest.MapFS{"a/100.yaml": {Data: []byte(one)}, "README.md": {Data: []byte("no test")}})
	if err != nil || len(stages) != 3 {
		t.Fatalf("got %d stages, %v", len(stages), err)
	}
	with := engine(t, `SecRule ARGS "@contains evil" "id:100,phase:2,deny,status:403,log,msg:'evil'"`)
	without := engine(t, `SecRule ARGS "@contains other" "id:100,phase:2,deny,status:403,log,msg:'evil'"`)
	for i, s := range stages {
		if wrong := s.Want.Judge(Play(with, &s.Request)); len(wrong) > 0 {
			t.Errorf("%s: %v", s.Name, wrong)
		}
		if wrong := s.Want.Judge(Play(without, &s.Request)); (len(wrong) > 0) != (i != 1) {
			t.Errorf("%s without its rule: got %v", s.Name, wrong)
		}
	}
	if b := string(stages[0].Request.Body); b != "q=evil+thing" {
		t.Errorf("the form: got %q, want it encoded", b)
	}
	if stages[0].Name != "100-7.0" || stages[0].Line != 7 {
		t.Errorf("got %s at line %d, want 100-7.0 at 7", stages[0].Name, stages[0].Line)
	}
}

func TestReadMistakes(t *testing.T) {
	_, err := Read(fstest.MapFS{
		"1.yaml": {Data: []byte("tests: [")},
		"2.yaml": {Data: []byte("meta: {}\n")},
		"4.yaml": {Data: []byte("rule_id: x\ntests: 3\n")},
		"3.yaml": {Data: []byte("tests:\n  - stages:\n      - input: {encoded_request: '!'}\n      - output: {log: {match_regex: '('}}\n      - output: {status: many}\n")},
	})
	for _, want := range []string{"1.yaml:1: ", "2.yaml:1: got no tests", "3.yaml:3: stage 3-1.0", "encoded_request", "3.yaml:4: stage 3-1.1", "what its log must hold", "3.yaml:5: stage 3-1.2: got `many`, want a number", "4.yaml:1: got `x`, want a number; line 2: got `3`, want a list"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q in it", err, want)
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(one)
	f.Add("tests: [{stages: [{stage: {input: {data: x}}}]}]")
	f.Fuzz(func(t *testing.T, text string) {
		stages, err := Read(fstest.MapFS{"1.yaml": {Data: []byte(text)}})
		for _, x := range stages {
			if x.Line < 1 || x.File != "1.yaml" || x.Request.Proto == "" && err == nil && !strings.Contains(text, "version") && !strings.Contains(text, "encoded_request") {
				t.Errorf("got stage %+v of %q", x, text)
			}
		}
	})
}
