package edge

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf"
	"github.com/ringwall/ringwall/waf/ftw"
)

// A Judge says what a plan's rules make of requests that nobody sent. They go
// through the edge's own code, with an app behind it that takes everything. It is
// safe for concurrent use.
type Judge struct {
	p     *plan.Plan
	rules *engines
}

// NewJudge makes a judge of a plan. Its rules are compiled when they are first
// needed; Build does it at once.
func NewJudge(p *plan.Plan) *Judge {
	q := *p
	q.Edge.Allowed.Any = true // who may ask at all is another matter
	q.Edge.Cache.Off = true
	return &Judge{p: &q, rules: newEngines(&q, nil)}
}

// Settings are the plan's rules.
func (j *Judge) Settings() plan.WAF { return j.p.Edge.WAF }

// Build compiles both profiles.
func (j *Judge) Build() error {
	if j.p.Edge.WAF.Off {
		return nil
	}
	return j.rules.buildAll()
}

// Program is the text of a profile's rules without the files that it includes:
// two plans with the same text judge alike.
func (j *Judge) Program(asAdmin bool) (string, error) {
	f := profileOf(asAdmin)
	text, err := directives(j.p, f, nil)
	if err != nil {
		return "", err
	}
	w := j.p.Edge.WAF
	text += fmt.Sprintln(w.Off)
	if asAdmin {
		text += fmt.Sprintln(w.AdminPlugins, w.AdminBodySkips)
	}
	for _, f := range w.Rules {
		text += fmt.Sprintf("%q %q\n", f.File, f.Text)
	}
	return text, nil
}

func profileOf(asAdmin bool) profile {
	if asAdmin {
		return admin
	}
	return public
}

// A Verdict is what becomes of a request.
type Verdict int

// Verdicts, from the strictest on.
const (
	Unreadable Verdict = iota // the server does not take it for a request; no rule saw it
	Refused
	Logged // it passes, and the rules would have refused it
	Passed
)

func (v Verdict) String() string {
	return [...]string{"unreadable", "refused", "logged", "passed"}[v]
}

// A Ruling is a verdict with its reasons.
type Ruling struct {
	Verdict Verdict
	Status  int           // of a refusal
	Refusal proxy.Refused // of one that was refused or logged: control, reason, rules with scores
	Matched []waf.MatchedRule
}

// Outcome is the ruling in the words of the rule set's tests.
func (r *Ruling) Outcome() ftw.Outcome {
	o := ftw.Outcome{Status: cmp.Or(r.Status, http.StatusOK), Refused: r.Verdict == Refused || r.Verdict == Unreadable}
	o.Rules, o.Log = ftw.Log(r.Matched)
	return o
}

// Judge judges one request, as from a visitor or as from an administrator.
func (j *Judge) Judge(fr *ftw.Request, asAdmin bool) Ruling {
	from := addressFor(j.p, asAdmin)
	r, err := read(fr)
	if err != nil {
		return Ruling{Status: http.StatusBadRequest, Refusal: proxy.Refused{Control: "network", Reason: "it is no request", Detail: err.Error()}}
	}
	r.RemoteAddr = netip.AddrPortFrom(from, 40000).String()
	out := Ruling{Verdict: Passed}
	e := &Edge{p: j.p, next: proxy.HandlerFunc(func(http.ResponseWriter, *http.Request) error { return nil }), cookies: []string{"*"},
		observe: func(_ *proxy.Record, tx *waf.Transaction) { out.Matched = slices.Clone(tx.MatchedRules()) }}
	if !j.p.Edge.WAF.Off {
		e.rules.Store(j.rules)
	}
	proxy.Reply(e, func(ev *proxy.Event) {
		switch {
		case ev.Action == "refuse":
			out.Verdict, out.Status, out.Refusal = Refused, ev.Status, *ev.Refusal
		case ev.Action == "fail":
			out.Verdict, out.Status, out.Refusal = Refused, ev.Status, proxy.Refused{Control: "edge", Reason: ev.Class, Detail: ev.Detail}
		case ev.Refusal != nil:
			out.Verdict, out.Refusal = Logged, *ev.Refusal
		}
	}).ServeHTTP(discard{}, r)
	return out
}

// addressFor is an address of the plan that is judged by a profile.
func addressFor(p *plan.Plan, asAdmin bool) netip.Addr {
	for _, a := range []netip.Addr{p.Network.Visitor, p.Network.Office, p.Network.Crowd, netip.AddrFrom4([4]byte{198, 51, 100, 7}), netip.AddrFrom4([4]byte{192, 0, 2, 1})} {
		if a.IsValid() && p.Balancer.Admins.Has(a) == asAdmin {
			return a
		}
	}
	if len(p.Balancer.Admins.Prefixes) > 0 {
		return p.Balancer.Admins.Prefixes[0].Addr()
	}
	return netip.Addr{}
}

// read makes of a request what the server would on a connection.
func read(fr *ftw.Request) (*http.Request, error) {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\n", fr.Method, fr.URI, fr.Proto)
	for _, h := range fr.Headers {
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	b.WriteString("\r\n")
	r, err := http.ReadRequest(bufio.NewReader(io.MultiReader(strings.NewReader(b.String()), strings.NewReader(string(fr.Body)))))
	if err != nil {
		return nil, err
	}
	hosts := 0
	for _, h := range fr.Headers {
		if strings.EqualFold(h.Name, "host") {
			hosts++
		}
		if strings.ContainsAny(h.Value, "\x00\r\n") {
			return nil, fmt.Errorf("got header %q with a control character", h.Name)
		}
	}
	if r.ProtoAtLeast(1, 1) && hosts != 1 {
		return nil, fmt.Errorf("got %d Host headers, want one", hosts)
	}
	return r, nil
}

// discard takes an answer that nobody reads.
type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}
