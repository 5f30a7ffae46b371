package perimeter

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// Where probes stand outside that is no node of the plan.
const (
	Stranger = "stranger" // an address that the allow list refuses
	Crowd    = "crowd"    // an address for floods, so that they use up nobody else's allowance
)

// A Request is one HTTP/1.1 request of a probe. Everything is sent as written.
type Request struct {
	Method  string // empty: GET
	URI     string // empty: /
	Host    string // empty: the site's
	Header  []string
	Body    string
	Chunked bool
}

func (r Request) method() string {
	if r.Method == "" {
		return http.MethodGet
	}
	return r.Method
}

// text is the request on the wire. A probe looks like a browser, and asks for
// the form of a refusal that a program can read.
func (r Request) text(host string) string {
	var b strings.Builder
	uri := r.URI
	if uri == "" {
		uri = "/"
	}
	if r.Host != "" {
		host = r.Host
	}
	fmt.Fprintf(&b, "%s %s HTTP/1.1\r\nHost: %s\r\n", r.method(), uri, host)
	own := strings.ToLower(strings.Join(r.Header, "\n"))
	for _, h := range []string{"User-Agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0", "Accept: application/json, */*;q=0.5"} {
		if name, _, _ := strings.Cut(strings.ToLower(h), ":"); !strings.Contains("\n"+own, "\n"+name+":") {
			b.WriteString(h + "\r\n")
		}
	}
	for _, h := range r.Header {
		b.WriteString(h + "\r\n")
	}
	switch {
	case r.Chunked:
		b.WriteString("Transfer-Encoding: chunked\r\n\r\n")
		for rest := r.Body; rest != ""; {
			n := min(len(rest), 16<<10)
			fmt.Fprintf(&b, "%x\r\n%s\r\n", n, rest[:n])
			rest = rest[n:]
		}
		b.WriteString("0\r\n\r\n")
	case r.Body != "":
		fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(r.Body), r.Body)
	default:
		b.WriteString("\r\n")
	}
	return b.String()
}

// An Answer is what came back.
type Answer struct {
	Status int
	Header http.Header
	Body   string
	ID     string // the request's id; empty: the answer came from no wall of ours
	Wall   bool   // a wall's own page, not the app's
	Edge   string // on AWS: what answered before any instance was asked; see byCloudFront
	Class  string // of a wall's page: the words for the visitor
	last   bool   // the connection ends with it
}

// Is says whether the answer is a wall's own, with this status and class; 0 and
// empty stand for any refusal.
func (a *Answer) Is(status int, class string) bool {
	if status == 0 {
		return a.Wall && a.Status < 500 && (class == "" || a.Class == class)
	}
	return a.Wall && a.Status == status && (class == "" || a.Class == class)
}

// Cached says whether the answer came from the edge's store.
func (a *Answer) Cached() bool {
	return len(a.Header["Age"]) > 0 || strings.HasSuffix(a.Header.Get("X-Cache"), "it from cloudfront") // Hit, RefreshHit
}

// TooOften says whether the site answered that this address asks too often:
// whatever else was asked, no wall has judged it.
func (a *Answer) TooOften() bool {
	return a.Status == http.StatusTooManyRequests && len(a.Header["Retry-After"]) > 0
}

// ErrTooOften means that a request was refused for the pace of those before it.
var ErrTooOften = errors.New("the site says that the probe's address asks too often, so nothing can be told; try again in a minute")

func (a *Answer) String() string {
	switch {
	case a.Wall:
		return fmt.Sprintf("%d %q, request %s", a.Status, a.Class, a.ID)
	case a.ID != "":
		return fmt.Sprintf("%d from the app, request %s", a.Status, a.ID)
	}
	return fmt.Sprintf("%d without a request id", a.Status)
}

// A Line is one connection to the site, on which a probe writes what it likes.
type Line struct {
	net.Conn
	br *bufio.Reader
}

// TLSOption changes how a Line opens its session.
type TLSOption func(*tls.Config)

// Address is where a node reaches a port of the site's edge.
func (t *Target) Address(node string, port uint16) string {
	if t.Site == nil {
		return net.JoinHostPort(hostOf(t.URL), strconv.Itoa(int(port)))
	}
	return t.EdgeAddr(node, port)
}

func hostOf(site string) string {
	u, err := url.Parse(site)
	if err != nil {
		return site
	}
	return u.Hostname()
}

// Host is the site's name, as requests carry it.
func (t *Target) Host() string {
	u, err := url.Parse(t.URL)
	if err != nil {
		return t.URL
	}
	return u.Host
}

// HTTPSAddress is where a node reaches the site itself.
func (t *Target) HTTPSAddress(node string) string { return t.Address(node, t.httpsPort()) }

func (t *Target) httpsPort() uint16 {
	if u, err := url.Parse(t.URL); err == nil && t.Site == nil {
		if p, err := strconv.ParseUint(u.Port(), 10, 16); err == nil {
			return uint16(p)
		}
	}
	return 443
}

// Plain opens a TCP connection from a node to an address.
func (t *Target) Plain(ctx context.Context, node, address string) (*Line, error) {
	if t.From == nil {
		return nil, fmt.Errorf("standing at %s: this vantage has only its own network", node)
	}
	dial, err := t.From(node)
	if err != nil {
		return nil, fmt.Errorf("standing at %s: %w", node, err)
	}
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	c, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("reaching %s from %s: %w", address, node, err)
	}
	return &Line{c, bufio.NewReader(c)}, nil
}

// TLS opens a checked TLS session with the site from a node, for HTTP/1.1.
func (t *Target) TLS(ctx context.Context, node string, opts ...TLSOption) (*Line, error) {
	l, err := t.Plain(ctx, node, t.HTTPSAddress(node))
	if err != nil {
		return nil, err
	}
	cfg := &tls.Config{ServerName: hostOf(t.URL), RootCAs: t.Roots, NextProtos: []string{"http/1.1"}, MinVersion: tls.VersionTLS12}
	for _, o := range opts {
		o(cfg)
	}
	c := tls.Client(l.Conn, cfg)
	ctx, cancel := context.WithTimeout(ctx, 8*time.Second)
	defer cancel()
	if err := c.HandshakeContext(ctx); err != nil {
		l.Close()
		return nil, fmt.Errorf("opening TLS from %s: %w", node, err)
	}
	return &Line{c, bufio.NewReader(c)}, nil
}

// Send writes text as it is.
func (l *Line) Send(s string) error {
	l.SetWriteDeadline(time.Now().Add(8 * time.Second))
	_, err := io.WriteString(l.Conn, s)
	return err
}

// Next reads the next answer to a request of that method, waiting no longer than
// that. io.EOF is a connection that was closed without one.
func (l *Line) Next(method string, wait time.Duration) (*Answer, error) {
	l.SetReadDeadline(time.Now().Add(wait))
	resp, err := http.ReadResponse(l.br, &http.Request{Method: method})
	for err == nil && resp.StatusCode >= 100 && resp.StatusCode < 200 && resp.StatusCode != http.StatusSwitchingProtocols {
		resp, err = http.ReadResponse(l.br, &http.Request{Method: method})
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	a := &Answer{Status: resp.StatusCode, Header: resp.Header, ID: resp.Header.Get(plan.HeaderRequest), last: resp.Close}
	if resp.StatusCode == http.StatusSwitchingProtocols {
		a.last = true
		return a, nil
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		a.last = true // what came is enough to judge
	}
	a.Body = string(b)
	var page struct {
		Status int    `json:"status"`
		Class  string `json:"class"`
		ID     string `json:"request_id"`
	}
	if json.Unmarshal(b, &page) == nil && page.ID != "" && page.ID == a.ID && page.Status == a.Status {
		a.Wall, a.Class = true, page.Class
	}
	a.byCloudFront()
	return a, nil
}

// An Asker sends one request after the other from a node, over one connection as
// long as the site keeps it. It is not safe for concurrent use.
type Asker struct {
	t    *Target
	open func(context.Context) (*Line, error)
	line *Line
	pace bool // wait and ask again when the site says that this address asks too often
}

// Asker asks the site from a node.
func (t *Target) Asker(node string) *Asker {
	return &Asker{t: t, pace: true, open: func(ctx context.Context) (*Line, error) { return t.TLS(ctx, node) }}
}

// AskerAt asks an address without TLS.
func (t *Target) AskerAt(node, address string) *Asker {
	return &Asker{t: t, open: func(ctx context.Context) (*Line, error) { return t.Plain(ctx, node, address) }}
}

// Flood makes the asker take 429 for an answer, instead of asking again later.
func (a *Asker) Flood() *Asker {
	a.pace = false
	return a
}

// Close ends the connection.
func (a *Asker) Close() {
	if a.line != nil {
		a.line.Close()
		a.line = nil
	}
}

const replyTime = 8 * time.Second

// Ask sends a request and reads the answer. An error is a connection that gave
// none, or one that is not the site's: every answer of ours has a request id, but
// for those to what is not HTTP at all.
func (a *Asker) Ask(ctx context.Context, r Request) (*Answer, error) {
	ans, err := a.ask(ctx, r)
	if a.pace {
		for try := 0; try < 10 && err == nil && a.t.later(ctx, ans); try++ {
			ans, err = a.ask(ctx, r)
		}
	}
	if err == nil && a.pace && ans.TooOften() {
		return nil, fmt.Errorf("%s %.80s: %w", r.method(), r.URI, ErrTooOften)
	}
	if err == nil && ans.ID == "" && ans.Status != http.StatusBadRequest {
		return nil, fmt.Errorf("%s %.80s: %s: the answer is not from this site", r.method(), r.URI, ans)
	}
	return ans, err
}

// later waits when an answer says that this address asks too often, which is
// another promise's matter. It is false when there is no need to ask again.
func (t *Target) later(ctx context.Context, ans *Answer) bool {
	if !ans.TooOften() {
		return false
	}
	wait, _ := strconv.Atoi(ans.Header.Get("Retry-After"))
	select {
	case <-time.After(time.Duration(max(1, min(wait, 3))) * time.Second):
		return true
	case <-ctx.Done():
		return false
	}
}

// Ready waits until a node may ask again and a burst of n more requests is likely
// to pass: for probes that write on a Line, where nothing asks again for them.
func (t *Target) Ready(ctx context.Context, node string, n int) error {
	a := t.Asker(node)
	defer a.Close()
	knock := Request{Method: http.MethodTrace}
	ans, err := a.ask(ctx, knock)
	for try := 0; try < 4 && err == nil && t.later(ctx, ans); try++ {
		if perSecond := t.Plan.Network.Rate.PerMinute / 60; perSecond > 0 {
			select {
			case <-time.After(min(3*time.Second, time.Duration(n)*time.Second/time.Duration(perSecond))):
			case <-ctx.Done():
			}
		}
		ans, err = a.ask(ctx, knock)
	}
	switch {
	case err != nil:
		return err
	case ctx.Err() != nil:
		return ctx.Err()
	case ans.Status == http.StatusTooManyRequests:
		return fmt.Errorf("this address asks too often for this probe: %s", ans)
	}
	return nil
}

func (a *Asker) ask(ctx context.Context, r Request) (*Answer, error) {
	for {
		fresh := a.line == nil
		if fresh {
			l, err := a.open(ctx)
			if err != nil {
				return nil, err
			}
			a.line = l
		}
		sent := a.line.Send(r.text(a.t.Host()))
		ans, err := a.line.Next(r.method(), replyTime)
		if err != nil || ans.last || sent != nil {
			a.Close()
		}
		if err == nil {
			return ans, nil
		}
		if fresh || ctx.Err() != nil { // an old connection may have been closed before the request came
			return nil, fmt.Errorf("%s %.80s: no answer: %w", r.method(), r.URI, errors.Join(sent, err))
		}
	}
}

// An Attack is a request that one wall must refuse, in words of its own.
type Attack struct {
	Name string // what is tried, in words
	Request
	Status int    // 0: any refusal
	Class  string // empty: any
}

// Refuses sends harmless requests, which no wall may refuse, and then attacks,
// each of which the wall must refuse as it says it does. Another wall's refusal
// is no proof of this one's.
func (t *Target) Refuses(ctx context.Context, a *Asker, harmless []Request, attacks []Attack) error {
	defer a.Close()
	for _, r := range harmless {
		ans, err := a.Ask(ctx, r)
		if err != nil {
			return fmt.Errorf("sending a harmless request first: %w", err)
		}
		if ans.Wall {
			return fmt.Errorf("sending a harmless request first: %s %.80s was answered with %s, so that a refusal would prove nothing", r.method(), r.URI, ans)
		}
		t.Saw("harmless: %s %.80s → %s", r.method(), r.URI, ans)
	}
	before := 0
	for _, x := range attacks {
		t.Tried("%s", x.Name)
		ans, err := a.Ask(ctx, x.Request)
		switch {
		case err != nil && t.Cloud != nil && t.wall <= edgeWall && errors.Is(err, io.EOF):
			t.Saw("%s → CloudFront closed the connection", x.Name)
		case err != nil:
			return fmt.Errorf("trying %s: %w", x.Name, err)
		case t.Refusal(ans, x.Status, x.Class):
			t.Saw("%s → %s", x.Name, ans)
		case ans.before():
			before++
			t.Saw("%s → %s: refused before this wall, of which it says nothing", x.Name, ans)
		default:
			t.Broken("%s → %s, want %d %q", x.Name, ans, x.Status, x.Class)
		}
	}
	if before > 0 && before == len(attacks) {
		return errors.New("every attempt was refused before this wall, so nothing can be told of it")
	}
	return nil
}

// TierOf reads in the site's own access log which tier a request was sent to;
// none when a wall before answered. The line is written when the request has
// ended, a moment after the answer.
func (t *Target) TierOf(id string) (string, error) {
	if t.Site == nil || id == "" {
		return "", errors.New("reading the access log: want a site of this machine and a request's id")
	}
	name := filepath.Join(t.Site.State, "logs", "access.jsonl")
	for wait := time.Millisecond; wait < 2*time.Second; wait *= 2 {
		b, err := tail(name, 256<<10)
		if err != nil {
			return "", fmt.Errorf("reading the access log: %w", err)
		}
		for line := range strings.Lines(b) {
			var e struct {
				ID   string `json:"request_id"`
				Tier string `json:"tier"`
			}
			if strings.Contains(line, id) && json.Unmarshal([]byte(line), &e) == nil && e.ID == id {
				return e.Tier, nil
			}
		}
		time.Sleep(wait)
	}
	return "", fmt.Errorf("reading the access log: request %s is not in it", id)
}

func tail(name string, n int64) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return "", err
	}
	b, err := io.ReadAll(io.NewSectionReader(f, max(0, st.Size()-n), n))
	return string(b), err
}
