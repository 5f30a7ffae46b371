package difftest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	coreruleset "github.com/corazawaf/coraza-coreruleset/v4"
	"github.com/corazawaf/coraza/v3"
	"github.com/corazawaf/coraza/v3/types"

	"github.com/ringwall/ringwall/waf"
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
	status  int
	rules   []int    // those that matched and log
	matches []string // on what, sorted
	log     string
}

func (v verdict) String() string { return fmt.Sprintf("status %d, rules %v", v.status, v.rules) }

// transaction is what both engines' transactions have in common.
type transaction interface {
	ProcessConnection(string, int, string, int)
	ProcessURI(string, string, string)
	SetServerName(string)
	AddRequestHeader(string, string)
	AddResponseHeader(string, string)
	IsResponseBodyAccessible() bool
	IsResponseBodyProcessable() bool
	ProcessLogging()
	Close() error
}

// steps are the parts that return an engine's own kind of interruption, reduced
// to a status; 0 for none.
type steps struct {
	requestHeaders  func() int
	writeBody       func([]byte) int
	requestBody     func() int
	responseHeaders func(int) int
	writeResponse   func([]byte) int
	responseBody    func() int
}

// play runs a request through a transaction.
func play(tx transaction, s steps, r *request) int {
	tx.ProcessConnection("127.0.0.1", 40000, "127.0.0.1", 80)
	tx.ProcessURI(r.uri, r.method, r.proto)
	for _, h := range r.headers {
		tx.AddRequestHeader(h.Name, h.Value)
		if strings.EqualFold(h.Name, "host") {
			name, _, _ := strings.Cut(h.Value, ":")
			tx.SetServerName(name)
		}
	}
	if n := s.requestHeaders(); n != 0 {
		return n
	}
	if len(r.body) > 0 {
		if n := s.writeBody(r.body); n != 0 {
			return n
		}
	}
	if n := s.requestBody(); n != 0 {
		return n
	}
	for _, h := range r.respHeaders {
		tx.AddResponseHeader(h.Name, h.Value)
	}
	if n := s.responseHeaders(r.status); n != 0 {
		return n
	}
	if tx.IsResponseBodyAccessible() && tx.IsResponseBodyProcessable() {
		if n := s.writeResponse([]byte(r.respBody)); n != 0 {
			return n
		}
	}
	if n := s.responseBody(); n != 0 {
		return n
	}
	return r.status
}

type theirs struct{ waf coraza.WAF }

func newTheirs(t testing.TB, rules string) theirs {
	t.Helper()
	w, err := coraza.NewWAF(coraza.NewWAFConfig().WithRootFS(coreruleset.FS).WithDirectives(rules))
	if err != nil {
		t.Fatal(err)
	}
	return theirs{w}
}

func (e theirs) steps(tx types.Transaction) steps {
	status := func() int {
		if it := tx.Interruption(); it != nil {
			return it.Status
		}
		return 0
	}
	return steps{
		func() int { tx.ProcessRequestHeaders(); return status() },
		func(b []byte) int { _, _, _ = tx.WriteRequestBody(b); return status() },
		func() int { _, _ = tx.ProcessRequestBody(); return status() },
		func(n int) int { tx.ProcessResponseHeaders(n, "HTTP/1.1"); return status() },
		func(b []byte) int { _, _, _ = tx.WriteResponseBody(b); return status() },
		func() int { _, _ = tx.ProcessResponseBody(); return status() },
	}
}

// run judges a request and keeps nothing.
func (e theirs) run(r *request) {
	tx := e.waf.NewTransaction()
	play(tx, e.steps(tx), r)
	tx.ProcessLogging()
	_ = tx.Close()
}

func (e theirs) judge(r *request) verdict {
	tx := e.waf.NewTransaction()
	var v verdict
	v.status = play(tx, e.steps(tx), r)
	tx.ProcessLogging()
	for _, m := range tx.MatchedRules() {
		if l, ok := m.(interface{ Log() bool }); !ok || !l.Log() {
			continue
		}
		v.rules = append(v.rules, m.Rule().ID())
		v.log += fmt.Sprintf("[id \"%d\"] [msg \"%s\"]", m.Rule().ID(), m.Message())
		for _, d := range m.MatchedDatas() {
			v.log += fmt.Sprintf(" [data %q]", d.Data())
			v.matches = append(v.matches, fmt.Sprintf("%d %s:%q=%q", m.Rule().ID(), d.Variable().Name(), d.Key(), d.Value()))
		}
		v.log += "\n"
	}
	_ = tx.Close()
	slices.Sort(v.matches)
	return v
}

type ours struct{ e *waf.Engine }

func newOurs(t testing.TB, rules string) ours {
	t.Helper()
	e, err := waf.Compile(coreruleset.FS, waf.Directives(rules))
	if err != nil {
		t.Fatal(err)
	}
	return ours{e}
}

func (e ours) steps(tx *waf.Transaction) steps {
	status := func() int {
		if it := tx.Interruption(); it != nil {
			return it.Status
		}
		return 0
	}
	return steps{
		func() int { tx.ProcessRequestHeaders(); return status() },
		func(b []byte) int { _, _, _ = tx.WriteRequestBody(b); return status() },
		func() int { _, _ = tx.ProcessRequestBody(); return status() },
		func(n int) int { tx.ProcessResponseHeaders(n, "HTTP/1.1"); return status() },
		func(b []byte) int { _, _, _ = tx.WriteResponseBody(b); return status() },
		func() int { _, _ = tx.ProcessResponseBody(); return status() },
	}
}

// run judges a request and keeps nothing.
func (e ours) run(r *request) {
	tx := e.e.NewTransaction()
	play(tx, e.steps(tx), r)
	tx.ProcessLogging()
	_ = tx.Close()
}

func (e ours) judge(r *request) verdict {
	tx := e.e.NewTransaction()
	var v verdict
	v.status = play(tx, e.steps(tx), r)
	tx.ProcessLogging()
	for _, m := range tx.MatchedRules() {
		if !m.Rule.Log {
			continue
		}
		v.rules = append(v.rules, m.Rule.ID)
		v.log += fmt.Sprintf("[id \"%d\"] [msg \"%s\"]", m.Rule.ID, m.Message)
		for _, d := range m.Matches {
			v.log += fmt.Sprintf(" [data %q]", d.Data)
			v.matches = append(v.matches, fmt.Sprintf("%d %s:%q=%q", m.Rule.ID, d.Variable, d.Key, d.Value))
		}
		v.log += "\n"
	}
	_ = tx.Close()
	slices.Sort(v.matches)
	return v
}
