package tuning

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter/edge"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf/ftw"
)

// A Result is what became of one stage of a test.
type Result struct {
	Stage   ftw.Stage
	Outcome ftw.Outcome
	Verdict string   // refused, passed, logged, unreadable; for a running site what it answered
	Wrong   []string // what is not as the stage wants it; nothing: it passes
	Err     error    // it could not be judged
}

// Play judges stages in process.
func Play(j *edge.Judge, stages []ftw.Stage, asAdmin bool) []Result {
	out := make([]Result, len(stages))
	for i, s := range stages {
		r := j.Judge(&s.Request, asAdmin)
		o := r.Outcome()
		out[i] = Result{Stage: s, Outcome: o, Verdict: r.Verdict.String(), Wrong: wrong(&s.Want, o, r.Verdict == edge.Unreadable)}
	}
	return out
}

// wrong judges an outcome. Unlike the core rule set's own runner, which looks at
// the status of stages only that want nothing else, a site's test is for what its
// visitors get: a wanted status counts beside wanted rules.
func wrong(w *ftw.Want, o ftw.Outcome, unreadable bool) []string {
	if w.NoAnswer && unreadable {
		return nil
	}
	list := w.Judge(o)
	if !w.Empty() && len(w.Status) > 0 && !slices.Contains(w.Status, o.Status) {
		list = append(list, fmt.Sprintf("got status %d, want %v", o.Status, w.Status))
	}
	if w.NoAnswer {
		list = append(list, fmt.Sprintf("the server answered with %d, want it to refuse to speak", o.Status))
	}
	return list
}

// A Site is a running site to which stages are sent as requests.
type Site struct {
	Address string // to dial
	Host    string // for the Host header and the certificate
	Roots   *x509.CertPool
	Find    func(id string) *proxy.Event // the refusal of a request, from the site's log; nil: there is none
}

// SiteAt is the site of a plan at the door of a visitor or an administrator.
func SiteAt(p *plan.Plan, asAdmin bool, roots *x509.CertPool, find func(string) *proxy.Event) (*Site, error) {
	if p.Network.Listen.IsValid() {
		return &Site{Address: p.Network.Listen.String(), Host: p.Network.Host, Roots: roots, Find: find}, nil
	}
	for _, d := range p.Network.Doors {
		if p.Balancer.Admins.Has(d.Viewer) == asAdmin {
			return &Site{Address: d.Listen.String(), Host: d.Host, Roots: roots, Find: find}, nil
		}
	}
	return nil, fmt.Errorf("looking for the site's door: it has none for %s", map[bool]string{false: "visitors", true: "administrators"}[asAdmin])
}

// Play sends a stage as its bytes are, but for the host, which becomes the site's.
// What the rules said of a request that passed, a running site does not tell.
func (s *Site) Play(ctx context.Context, stage ftw.Stage) Result {
	out := Result{Stage: stage}
	status, id, err := s.send(ctx, stage.Request)
	switch {
	case err == io.EOF || err == io.ErrUnexpectedEOF:
		out.Verdict = "no answer"
		if !stage.Want.NoAnswer {
			out.Wrong = []string{"the site closed the connection without an answer"}
		}
		return out
	case err != nil:
		out.Err = err
		return out
	case status == http.StatusTooManyRequests:
		out.Err = fmt.Errorf("the site says that this address asks too often (network.rate)")
		return out
	}
	out.Outcome.Status, out.Verdict = status, fmt.Sprint(status)
	if e := s.wait(ctx, id, status); e != nil {
		out.Outcome.Refused = !e.Refusal.Logged
		var log strings.Builder
		for _, r := range e.Refusal.Rules {
			out.Outcome.Rules = append(out.Outcome.Rules, r.ID)
			fmt.Fprintf(&log, "[id \"%d\"] [msg %q] [data %q]\n", r.ID, r.Message, r.Value)
		}
		out.Outcome.Log = log.String()
		if e.Refusal.Threshold > 0 {
			out.Outcome.Rules = append(out.Outcome.Rules, 949110)
		}
	}
	out.Wrong = wrong(&stage.Want, out.Outcome, id == "" && status == http.StatusBadRequest)
	return out
}

// wait looks a refusal up, which is logged after it was sent.
func (s *Site) wait(ctx context.Context, id string, status int) *proxy.Event {
	if id == "" || s.Find == nil {
		return nil
	}
	for tries := 0; ; tries++ {
		if e := s.Find(id); e != nil || status < http.StatusBadRequest || tries == 20 {
			return e
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(10 * time.Millisecond):
		}
	}
}

func (s *Site) send(ctx context.Context, r ftw.Request) (status int, id string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	name, _, err := net.SplitHostPort(s.Host)
	if err != nil {
		name = s.Host
	}
	d := tls.Dialer{Config: &tls.Config{ServerName: name, RootCAs: s.Roots, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}}
	c, err := d.DialContext(ctx, "tcp", s.Address)
	if err != nil {
		return 0, "", fmt.Errorf("reaching the site: %w", err)
	}
	defer c.Close()
	deadline, _ := ctx.Deadline()
	if err := c.SetDeadline(deadline); err != nil {
		return 0, "", err
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s %s\r\n", r.Method, r.URI, r.Proto)
	for _, h := range r.Headers {
		if strings.EqualFold(h.Name, "host") {
			h.Value = s.Host
		}
		fmt.Fprintf(&b, "%s: %s\r\n", h.Name, h.Value)
	}
	b.WriteString("\r\n")
	if _, err := io.WriteString(c, b.String()+string(r.Body)); err != nil {
		return 0, "", fmt.Errorf("sending the request: %w", err)
	}
	resp, err := http.ReadResponse(bufio.NewReader(c), &http.Request{Method: r.Method})
	if err != nil {
		return 0, "", err
	}
	resp.Body.Close()
	return resp.StatusCode, resp.Header.Get(proxy.RequestID), nil
}
