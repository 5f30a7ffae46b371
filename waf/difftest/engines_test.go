package difftest

import (
	"fmt"
	"slices"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"

	"github.com/ringwall/ringwall/waf"
	"github.com/ringwall/ringwall/waf/ftw"
)

// paranoia4 is what the rule set's tests need: all rules, no blocking, limits.
const paranoia4 = `
SecResponseBodyMimeType text/plain
SecDefaultAction "phase:3,log,auditlog,pass"
SecDefaultAction "phase:4,log,auditlog,pass"
SecDefaultAction "phase:5,log,auditlog,pass"
SecAction "id:900005,phase:1,nolog,pass,ctl:ruleEngine=DetectionOnly,ctl:ruleRemoveById=910000,setvar:tx.blocking_paranoia_level=4,setvar:tx.crs_validate_utf8_encoding=1,setvar:tx.arg_name_length=100,setvar:tx.arg_length=400,setvar:tx.total_arg_length=64000,setvar:tx.max_num_args=255,setvar:tx.max_file_size=64100,setvar:tx.combined_file_sizes=65535"
`

// paranoia1 blocks, as a site does.
const paranoia1 = "SecRuleEngine On\nSecResponseBodyMimeType text/plain\n"

func directives(mode string) string {
	return "Include @coraza.conf-recommended\n" + mode + "SecAuditEngine Off\nInclude @crs-setup.conf.example\nInclude @owasp_crs/*.conf\n"
}

// A verdict is what an engine says of a request.
type verdict struct {
	ftw.Outcome
	matches []string // on what the rules matched that log, sorted
}

func (v verdict) String() string { return fmt.Sprintf("status %d, rules %v", v.Status, v.Rules) }

// An engine starts transactions.
type engine func() ftw.Transaction

// run judges a request and keeps nothing.
func (e engine) run(r *request) {
	tx := e()
	ftw.Run(tx, &r.Request)
	_ = tx.Close()
}

func (e engine) judge(r *request) verdict {
	tx := e()
	defer func() { _ = tx.Close() }()
	v := verdict{Outcome: ftw.Run(tx, &r.Request)}
	matched := tx.MatchedRules()
	v.Rules, v.Log = ftw.Log(matched)
	for _, m := range matched {
		for _, d := range m.Matches {
			if m.Rule.Log {
				v.matches = append(v.matches, fmt.Sprintf("%d %s:%q=%q", m.Rule.ID, d.Variable, d.Key, d.Value))
			}
		}
	}
	slices.Sort(v.matches)
	return v
}

func compile(t testing.TB, rules string) *waf.Engine {
	t.Helper()
	e, err := waf.Compile(coreruleset.FS, waf.Directives(rules))
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func ours(e *waf.Engine) engine { return func() ftw.Transaction { return e.NewTransaction() } }

func newOurs(t testing.TB, rules string) engine {
	t.Helper()
	return ours(compile(t, rules))
}

func newTheirs(t testing.TB, rules string) engine {
	t.Helper()
	w, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(rules))
	if err != nil {
		t.Fatal(err)
	}
	return func() ftw.Transaction { return theirs{w.NewTransaction()} }
}

// theirs gives a transaction of Coraza's the methods of ours.
type theirs struct{ types.Transaction }

func (t theirs) interruption() *waf.Interruption {
	it := t.Interruption()
	if it == nil {
		return nil
	}
	return &waf.Interruption{RuleID: it.RuleID, Action: it.Action, Status: it.Status, Data: it.Data}
}

func (t theirs) ProcessRequestHeaders() *waf.Interruption {
	t.Transaction.ProcessRequestHeaders()
	return t.interruption()
}

func (t theirs) WriteRequestBody(b []byte) (*waf.Interruption, int, error) {
	_, n, err := t.Transaction.WriteRequestBody(b)
	return t.interruption(), n, err
}

func (t theirs) ProcessRequestBody() (*waf.Interruption, error) {
	_, err := t.Transaction.ProcessRequestBody()
	return t.interruption(), err
}

func (t theirs) ProcessResponseHeaders(status int, proto string) *waf.Interruption {
	t.Transaction.ProcessResponseHeaders(status, proto)
	return t.interruption()
}

func (t theirs) WriteResponseBody(b []byte) (*waf.Interruption, int, error) {
	_, n, err := t.Transaction.WriteResponseBody(b)
	return t.interruption(), n, err
}

func (t theirs) ProcessResponseBody() (*waf.Interruption, error) {
	_, err := t.Transaction.ProcessResponseBody()
	return t.interruption(), err
}

func (t theirs) MatchedRules() (out []waf.MatchedRule) {
	for _, m := range t.Transaction.MatchedRules() {
		l, ok := m.(interface{ Log() bool })
		one := waf.MatchedRule{Rule: &waf.Rule{ID: m.Rule().ID(), Log: ok && l.Log(), Tags: m.Rule().Tags()}, Message: m.Message(), Data: m.Data()}
		for _, d := range m.MatchedDatas() {
			one.Matches = append(one.Matches, waf.Match{Variable: d.Variable().Name(), Key: d.Key(), Value: d.Value(), Message: d.Message(), Data: d.Data()})
		}
		out = append(out, one)
	}
	return out
}
