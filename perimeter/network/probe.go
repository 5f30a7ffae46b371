package network

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

var controls = []*perimeter.Control{
	{
		ID:      "network/known-host",
		Doc:     "The site answers to its own names only.",
		Why:     "Under a foreign name, an attacker's links, cached pages and password mails would point to the attacker's host.",
		Vantage: perimeter.Internet,
		Probe:   probeKnownHost,
	},
	{
		ID:      "network/https-only",
		Doc:     "Nothing is answered without TLS: port 80 only sends visitors to HTTPS, and port 443 speaks nothing else.",
		Why:     "Whoever sits on the visitor's network would read passwords and change pages on their way.",
		Vantage: perimeter.Internet,
		Probe:   probeHTTPSOnly,
	},
	{
		ID:      "network/header-size",
		Doc:     "A request's header is bounded.",
		Why:     "A few clients with endless headers would take all memory.",
		Vantage: perimeter.Internet,
		Probe:   probeHeaderSize,
	},
	{
		ID:      "network/slow-header",
		Doc:     "A client that sends its header too slowly is cut.",
		Why:     "A single machine would hold all connections open, and nobody else would get in.",
		Vantage: perimeter.Internet,
		AWS:     slowOnAWS,
		Probe:   probeSlowHeader,
	},
	{
		ID:      "network/slow-body",
		Doc:     "A client that sends its body too slowly is cut.",
		Why:     "A single machine would keep every instance busy with waiting.",
		Vantage: perimeter.Internet,
		AWS:     slowOnAWS,
		Probe:   probeSlowBody,
	},
	{
		ID:        "network/connections",
		Doc:       "One address may hold a bounded number of connections, and the others can still connect.",
		Why:       "A single machine would take all connections.",
		Vantage:   perimeter.Internet,
		Intrusive: true,
		Probe:     probeConnections,
	},
	{
		ID:        "network/rate",
		Doc:       "One address may ask a bounded number of times a minute, and the others are still answered.",
		Why:       "A single machine would guess passwords without end, or keep every instance busy.",
		Vantage:   perimeter.Internet,
		Intrusive: true,
		Probe:     probeRate,
	},
}

var slowOnAWS = perimeter.NotOnAWS("CloudFront cuts slow clients by limits of its own, which it does not publish; they hold its connections and none of an instance's")

// foreign is a name that no site has (RFC 2606).
const foreign = "ringwall-probe.invalid"

const (
	classHost = "this site does not answer to that name"
	classRate = "too many requests from your address"
	classBody = "the request's body came too slowly"
)

func probeKnownHost(ctx context.Context, t *perimeter.Target) error {
	host := t.Host()
	attacks := []perimeter.Attack{
		{Name: "another site's name in Host", Request: perimeter.Request{Host: foreign}},
		{Name: "a name under the site's own", Request: perimeter.Request{Host: "x." + host}},
		{Name: "the site's name with something behind it", Request: perimeter.Request{Host: host + "." + foreign}},
		{Name: "another port", Request: perimeter.Request{Host: host + ":1"}},
		{Name: "another site's name in the request line", Request: perimeter.Request{URI: "https://" + foreign + "/"}},
	}
	if literal, _, _ := net.SplitHostPort(t.HTTPSAddress(plan.Internet)); net.ParseIP(literal) != nil {
		if strings.Contains(literal, ":") {
			literal = "[" + literal + "]"
		}
		attacks = append(attacks, perimeter.Attack{Name: "the edge's address in Host", Request: perimeter.Request{Host: literal}})
	}
	for _, h := range t.Plan.Network.Hosts {
		if t.Cloud != nil {
			break // CloudFront serves all names of a distribution over any session for one of them
		}
		if name := hostname(canonicalHost(h)); name != hostname(canonicalHost(host)) && net.ParseIP(name) == nil {
			attacks = append(attacks, perimeter.Attack{Name: "one of the site's names over a session for another: " + h, Request: perimeter.Request{Host: h}})
			break
		}
	}
	for i := range attacks {
		attacks[i].Status, attacks[i].Class = http.StatusMisdirectedRequest, classHost
	}
	if err := t.Refuses(ctx, t.Asker(plan.Internet), []perimeter.Request{{}}, attacks); err != nil {
		return err
	}
	a := t.AskerAt(plan.Internet, t.Address(plan.Internet, 80))
	defer a.Close()
	t.Tried("another site's name in Host, on port 80")
	ans, err := a.Ask(ctx, perimeter.Request{Host: foreign})
	switch {
	case shut(t, err):
		t.Saw("nothing listens on port 80")
	case err != nil:
		return err
	case t.Refusal(ans, http.StatusMisdirectedRequest, classHost):
		t.Saw("port 80 → %s", ans)
	default:
		t.Broken("port 80 answered to %s: %s, to %q", foreign, ans, ans.Header.Get("Location"))
	}
	return nil
}

// shut says whether a site elsewhere has nothing on a port; a site of this machine
// always has.
func shut(t *perimeter.Target, err error) bool {
	return t.Site == nil && errors.Is(err, syscall.ECONNREFUSED)
}

func probeHTTPSOnly(ctx context.Context, t *perimeter.Target) error {
	a := t.AskerAt(plan.Internet, t.Address(plan.Internet, 80))
	defer a.Close()
	for _, r := range []perimeter.Request{
		{URI: "/"}, {URI: "/ringwall-probe?x=1"}, {URI: "//" + foreign + "/x"},
		{URI: "/", Header: []string{"X-Forwarded-Proto: https"}},
		{Method: "POST", URI: "/", Body: "x=1", Header: []string{"Content-Type: application/x-www-form-urlencoded"}},
	} {
		method := r.Method
		if method == "" {
			method = http.MethodGet
		}
		t.Tried("%s http://%s%s %s", method, t.Host(), r.URI, strings.Join(r.Header, " "))
		ans, err := a.Ask(ctx, r)
		if shut(t, err) {
			t.Saw("nothing listens on port 80")
			break
		}
		if err != nil {
			return err
		}
		to := ans.Header.Get("Location")
		want := "https://" + t.Host() + r.URI
		moved := ans.Status == http.StatusMovedPermanently || ans.Status == http.StatusPermanentRedirect
		own := ans.Edge != "" && len(ans.Body) < 512 && (moved || ans.Status == http.StatusTemporaryRedirect) // CloudFront's page of three lines
		if to == want && (moved && ans.Body == "" || own) {
			t.Saw("%s → %d, to %s", r.URI, ans.Status, to)
		} else {
			t.Broken("%s %s over plain HTTP → %s, to %q with %d bytes; want a redirect to %s", method, r.URI, ans, to, len(ans.Body), want)
		}
	}
	t.Tried("plain HTTP on port 443")
	l, err := t.Plain(ctx, plan.Internet, t.HTTPSAddress(plan.Internet))
	if err != nil {
		return err
	}
	defer l.Close()
	if err := l.Send("GET / HTTP/1.1\r\nHost: " + t.Host() + "\r\n\r\n"); err != nil {
		return fmt.Errorf("speaking plain HTTP on port 443: %w", err)
	}
	ans, err := l.Next(http.MethodGet, 5*time.Second)
	switch {
	case err == nil && (ans.ID == "" || ans.Edge != "") && ans.Status == http.StatusBadRequest:
		t.Saw("port 443 → 400 without a request id: it speaks TLS only")
	case err == nil:
		t.Broken("plain HTTP on port 443 → %s", ans)
	case closed(err):
		t.Saw("port 443 closed the connection")
	default:
		return fmt.Errorf("speaking plain HTTP on port 443: %w", err)
	}
	return nil
}

func probeHeaderSize(ctx context.Context, t *perimeter.Target) error {
	most := t.Plan.Network.MaxHeaderBytes
	if most <= 0 {
		return errors.New("the plan sets no bound")
	}
	uri := t.Plan.Balancer.HealthPath
	if uri == "" {
		uri = "/"
	}
	a := t.Asker(plan.Internet)
	defer a.Close()
	// The server adds a little to its bound, and reads in blocks.
	for _, x := range []struct {
		name   string
		header []string
	}{
		{"a header of twice the bound", []string{"X-Probe: " + strings.Repeat("a", 2*most+8192)}},
		{"thousands of short header lines", strings.Split(strings.Repeat("X-Probe: aaaaaaaaaaaaaaaaaaaaa\n", (2*most+8192)/32)+"X-Probe: a", "\n")},
	} {
		ok, err := a.Ask(ctx, perimeter.Request{URI: uri, Header: []string{"X-Probe: " + strings.Repeat("a", most/8)}})
		if err != nil {
			return err
		}
		if ok.Status == http.StatusRequestHeaderFieldsTooLarge || ok.ID == "" {
			return fmt.Errorf("a header of %d bytes: got %s, so that a refusal would prove nothing", most/8, ok)
		}
		t.Tried("%s (%d bytes)", x.name, most)
		l, err := t.TLS(ctx, plan.Internet)
		if err != nil {
			return err
		}
		sent := l.Send("GET " + uri + " HTTP/1.1\r\nHost: " + t.Host() + "\r\n" + strings.Join(x.header, "\r\n") + "\r\n\r\n")
		ans, err := l.Next(http.MethodGet, 8*time.Second)
		l.Close()
		switch {
		case err == nil && ans.Status == http.StatusRequestHeaderFieldsTooLarge && ans.ID == "":
			t.Saw("%s → 431 from the listener, before any wall saw it", x.name)
		case err == nil && ans.Edge != "" && t.Refusal(ans, 0, ""):
			t.Saw("%s → %s", x.name, ans)
		case err == nil:
			t.Broken("%s → %s", x.name, ans)
		case closed(err) || sent != nil:
			t.Saw("%s → the connection was closed", x.name)
		default:
			return fmt.Errorf("sending %s: %w", x.name, err)
		}
	}
	return nil
}

// slack is how much later than its bound a busy machine may cut a slow client.
const slack = 2 * time.Second

func probeSlowHeader(ctx context.Context, t *perimeter.Target) error {
	bound := t.Plan.Network.HeaderTimeout
	if bound <= 0 || bound > 11*time.Second {
		return fmt.Errorf("the plan lets a header take %v, which is longer than a probe may", bound)
	}
	l, err := t.TLS(ctx, plan.Internet)
	if err != nil {
		return err
	}
	defer l.Close()
	began := time.Now()
	t.Tried("a header line every second, without end")
	if err := l.Send("GET / HTTP/1.1\r\nHost: " + t.Host() + "\r\n"); err != nil {
		return fmt.Errorf("sending the start of a header: %w", err)
	}
	ended := drip(ctx, l, "X-Probe: a\r\n", began.Add(bound+slack))
	switch took := time.Since(began); {
	case ctx.Err() != nil:
		return ctx.Err()
	case !ended:
		t.Broken("after %v the connection is still open, and its header not ended; want it cut after %v", took.Round(time.Second), bound)
	case took < bound/2:
		return fmt.Errorf("the connection was cut after %v, before the bound of %v: by something else", took, bound)
	default:
		t.Saw("cut after %v", took.Round(100*time.Millisecond))
	}
	return nil
}

func probeSlowBody(ctx context.Context, t *perimeter.Target) error {
	bound := t.Plan.Network.BodyTimeout
	if bound <= 0 || bound > 11*time.Second {
		return fmt.Errorf("the plan lets a body take %v, which is longer than a probe may", bound)
	}
	if t.Plan.Network.MinBodyRate < 4 {
		return fmt.Errorf("the plan lets a body come at %d bytes a second", t.Plan.Network.MinBodyRate)
	}
	if err := t.Ready(ctx, plan.Internet, 2); err != nil {
		return err
	}
	l, err := t.TLS(ctx, plan.Internet)
	if err != nil {
		return err
	}
	defer l.Close()
	began := time.Now()
	t.Tried("a form of 10000 bytes, one byte at a time")
	if err := l.Send("POST /ringwall-probe-slow HTTP/1.1\r\nHost: " + t.Host() +
		"\r\nUser-Agent: Mozilla/5.0\r\nAccept: application/json\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 10000\r\n\r\nx="); err != nil {
		return fmt.Errorf("sending the start of a body: %w", err)
	}
	stop := make(chan struct{})
	defer close(stop)
	go func() {
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Second):
				if l.Send("a") != nil {
					return
				}
			}
		}
	}()
	ans, err := l.Next(http.MethodPost, bound+slack)
	took := time.Since(began).Round(100 * time.Millisecond)
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case err == nil && t.Refusal(ans, http.StatusRequestTimeout, classBody):
		t.Saw("cut after %v with %s", took, ans)
	case err == nil:
		return fmt.Errorf("the body was answered with %s after %v, before its time was over: the wall was not met", ans, took)
	case closed(err):
		t.Saw("cut after %v", took)
	case timeout(err):
		t.Broken("after %v the site still waits for the body; want it cut after %v", took, bound)
	default:
		return err
	}
	return nil
}

// drip sends a little each second until the peer ends the connection or it is
// time; it says whether the peer did.
func drip(ctx context.Context, l *perimeter.Line, s string, until time.Time) bool {
	buf := make([]byte, 512)
	for time.Now().Before(until) && ctx.Err() == nil {
		l.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := l.Read(buf); err != nil && !timeout(err) {
			return true
		}
		if l.Send(s) != nil {
			return true
		}
	}
	return false
}

func timeout(err error) bool {
	ne, ok := errors.AsType[net.Error](err)
	return ok && ne.Timeout()
}

// closed says whether an error is the peer's end of the connection.
func closed(err error) bool {
	if err == nil || timeout(err) {
		return false
	}
	_, op := errors.AsType[*net.OpError](err)
	_, alert := errors.AsType[tls.AlertError](err)
	return op || alert || errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}
