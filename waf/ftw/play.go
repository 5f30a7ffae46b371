package ftw

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/waf"
)

// An Answer is what the application says to a request.
type Answer struct {
	Status  int
	Headers []Header
	Body    string
}

// answer is what the server that the core rule set's tests are written for says:
// nothing, or at /reflect what the request's body asks for.
func answer(r *Request) Answer {
	var a struct {
		Status      int
		Headers     map[string]string
		Body        string
		EncodedBody string
	}
	if strings.HasPrefix(r.URI, "/reflect") {
		_ = json.Unmarshal(r.Body, &a) // what is no answer is an empty one
	}
	out := Answer{Status: a.Status, Body: a.Body, Headers: []Header{{"Content-Type", "text/plain"}}}
	if a.EncodedBody != "" {
		b, _ := base64.StdEncoding.DecodeString(a.EncodedBody)
		out.Body = string(b)
	}
	if out.Status == 0 {
		out.Status = 200
	}
	for _, k := range slices.Sorted(maps.Keys(a.Headers)) {
		if !strings.EqualFold(k, "content-type") {
			out.Headers = append(out.Headers, Header{k, a.Headers[k]})
		}
	}
	return out
}

// An Outcome is what became of a request.
type Outcome struct {
	Status  int   // of an interruption, or of the answer
	Refused bool  // a rule interrupted it
	Rules   []int // that matched and log, in order
	Log     string
}

// A Transaction is one of an engine's: a *waf.Transaction, or another engine's that
// is given the same methods.
type Transaction interface {
	ProcessConnection(client string, clientPort int, server string, serverPort int)
	ProcessURI(uri, method, proto string)
	SetServerName(name string)
	AddRequestHeader(key, value string)
	ProcessRequestHeaders() *waf.Interruption
	WriteRequestBody(b []byte) (*waf.Interruption, int, error)
	ProcessRequestBody() (*waf.Interruption, error)
	AddResponseHeader(key, value string)
	ProcessResponseHeaders(status int, proto string) *waf.Interruption
	IsResponseBodyAccessible() bool
	IsResponseBodyProcessable() bool
	WriteResponseBody(b []byte) (*waf.Interruption, int, error)
	ProcessResponseBody() (*waf.Interruption, error)
	ProcessLogging()
	MatchedRules() []waf.MatchedRule
	Close() error
}

// Play runs a request and its answer through an engine.
func Play(e *waf.Engine, r *Request) Outcome {
	tx := e.NewTransaction()
	defer func() { _ = tx.Close() }()
	o := Run(tx, r)
	o.Rules, o.Log = Log(tx.MatchedRules())
	return o
}

// Run takes a request and its answer through all phases of a transaction, up to
// its interruption. The outcome does not list the rules yet.
func Run(tx Transaction, r *Request) Outcome {
	o := Outcome{Status: r.Answer.Status}
	if it := run(tx, r); it != nil {
		o.Status, o.Refused = it.Status, true
	}
	tx.ProcessLogging()
	return o
}

// Log lists the rules of a transaction that log, and what they say.
func Log(matched []waf.MatchedRule) (rules []int, text string) {
	var log strings.Builder
	for _, m := range matched {
		if !m.Rule.Log {
			continue
		}
		rules = append(rules, m.Rule.ID)
		fmt.Fprintf(&log, "[id \"%d\"] [msg %q] [data %q]", m.Rule.ID, m.Message, m.Data)
		for _, d := range m.Matches {
			if d.Data != "" && d.Data != m.Data {
				fmt.Fprintf(&log, " [data %q]", d.Data)
			}
		}
		for _, tag := range m.Rule.Tags {
			fmt.Fprintf(&log, " [tag %q]", tag)
		}
		log.WriteByte('\n')
	}
	return rules, log.String()
}

func run(tx Transaction, r *Request) *waf.Interruption {
	tx.ProcessConnection("127.0.0.1", 40000, "127.0.0.1", 80)
	tx.ProcessURI(r.URI, r.Method, r.Proto)
	for _, h := range r.Headers {
		tx.AddRequestHeader(h.Name, h.Value)
		if strings.EqualFold(h.Name, "host") {
			name, _, _ := strings.Cut(h.Value, ":")
			tx.SetServerName(name)
		}
	}
	if it := tx.ProcessRequestHeaders(); it != nil {
		return it
	}
	if len(r.Body) > 0 {
		if it, _, _ := tx.WriteRequestBody(r.Body); it != nil {
			return it
		}
	}
	if it, _ := tx.ProcessRequestBody(); it != nil {
		return it
	}
	for _, h := range r.Answer.Headers {
		tx.AddResponseHeader(h.Name, h.Value)
	}
	if it := tx.ProcessResponseHeaders(r.Answer.Status, r.Proto); it != nil {
		return it
	}
	if tx.IsResponseBodyAccessible() && tx.IsResponseBodyProcessable() {
		if it, _, _ := tx.WriteResponseBody([]byte(r.Answer.Body)); it != nil {
			return it
		}
	}
	it, _ := tx.ProcessResponseBody()
	return it
}

// Judge says what of an outcome is not as wanted. Nothing means that the stage
// passes. A test for the log alone asks that the rule matches; without rules that
// refuse, its status is the application's.
func (w *Want) Judge(o Outcome) (wrong []string) {
	for _, id := range w.Rules {
		if !slices.Contains(o.Rules, id) {
			wrong = append(wrong, fmt.Sprintf("rule %d did not match", id))
		}
	}
	for _, id := range w.Silent {
		if slices.Contains(o.Rules, id) {
			wrong = append(wrong, fmt.Sprintf("rule %d matched", id))
		}
	}
	if w.Log != nil && !w.Log.MatchString(o.Log) {
		wrong = append(wrong, fmt.Sprintf("nothing in the log is like %q", w.Log))
	}
	if w.NoLog != nil && w.NoLog.MatchString(o.Log) {
		wrong = append(wrong, fmt.Sprintf("the log has what is like %q", w.NoLog))
	}
	if w.Empty() && len(w.Status) > 0 && !slices.Contains(w.Status, o.Status) {
		wrong = append(wrong, fmt.Sprintf("got status %d, want %v", o.Status, w.Status))
	}
	return wrong
}
