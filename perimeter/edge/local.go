package edge

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"path"
	"strings"
	"sync/atomic"

	"github.com/ringwall/ringwall/internal/cache"
	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
	"github.com/ringwall/ringwall/waf"
)

// An Edge judges requests and passes on those it lets through. Its methods are
// safe for concurrent use.
type Edge struct {
	p        *plan.Plan
	next     proxy.Handler
	secret   atomic.Pointer[[]string]
	rules    atomic.Pointer[engines]               // nil: the WAF is off
	observe  func(*proxy.Record, *waf.Transaction) // sees every transaction before it is closed; nil: nobody does
	recorder *recorder                             // nil: nobody keeps good requests
	cache    *cache.Cache
	uncached []string
	cookies  []string
}

// New makes the edge in front of next, which is the balancer. It compiles the
// rule profiles, so that a rule that cannot be loaded stops the start.
func New(p *plan.Plan, next proxy.Handler) (*Edge, error) {
	e := &Edge{p: p, next: next, uncached: p.Edge.Cache.Uncached, cookies: p.Edge.Cache.ForwardedCookies}
	if !p.Edge.WAF.Off {
		rules := newEngines(p, nil)
		if err := rules.buildAll(); err != nil {
			return nil, err
		}
		e.rules.Store(rules)
	}
	if c := p.Edge.Cache; !c.Off {
		e.cache = cache.New(cache.Options{MinTTL: c.MinTTL, DefaultTTL: c.DefaultTTL, MaxTTL: c.MaxTTL, MaxBytes: c.MaxBytes, MaxEntry: c.MaxEntry, Key: key})
	}
	return e, nil
}

// key names a request in the cache.
func key(r *http.Request) string {
	if perimeter.Down("edge/cache-poisoning") {
		return r.URL.Path
	}
	return cache.Key(r)
}

// Reply is proxy.Reply for visitors: the id of a request is ours.
func Reply(h proxy.Handler, log func(*proxy.Event)) http.Handler {
	if perimeter.Down("edge/request-id") {
		return proxy.ReplyInner(h, log)
	}
	return proxy.Reply(h, log)
}

// SetSecret sets what the edge shows to the balancer.
func (e *Edge) SetSecret(s string) { e.secret.Store(&[]string{s}) }

// SetRules puts other rules in the place of those that judge, once they are
// built. Requests that are being judged end with the rules that they began with.
func (e *Edge) SetRules(w plan.WAF) error {
	if w.Off {
		e.rules.Store(nil)
		return nil
	}
	p := *e.p
	p.Edge.WAF = w
	var heavy chan struct{}
	if old := e.rules.Load(); old != nil {
		heavy = old.heavy
	}
	rules := newEngines(&p, heavy)
	if err := rules.buildAll(); err != nil {
		return err
	}
	e.rules.Store(rules)
	return nil
}

// Cache is the edge's cache, to purge; nil when the plan has none.
func (e *Edge) Cache() *cache.Cache { return e.cache }

func refuse(status int, control, reason string) error {
	return &proxy.Refusal{Status: status, Control: control, Reason: reason}
}

// ServeHTTP judges one request: form, viewer, size, content; and answers it from
// the cache or from behind.
func (e *Edge) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	rec := proxy.From(r.Context())
	viewer := rec.Addr
	hsts := r.TLS != nil && pins(r.Host)
	rec.OnHeader = func(_ int, h http.Header) {
		secure(h, hsts)
		h[plan.HeaderRequest] = []string{rec.ID} // not the one that a stored answer was made under
	}

	if err := form(w, r); err != nil {
		return err
	}
	if !e.p.Edge.Allowed.Has(viewer) && !perimeter.Down("edge/allow-list") {
		return refuse(http.StatusForbidden, "edge/allow-list", "this site is not open to your address")
	}
	e.claim(r, viewer)
	f := public
	if e.p.Balancer.Admins.Has(viewer) || perimeter.Down("edge/waf-profile") {
		f = admin
	}
	if err := e.limitBody(r, f); err != nil {
		return err
	}
	plain := cleanPath(r.URL.Path)
	var good *Recorded
	if rules := e.rules.Load(); rules != nil && !perimeter.Down("edge/waf") {
		rec.Profile = f.String()
		hasBody := r.Body != nil && r.Body != http.NoBody
		seen, done, err := e.inspect(rules, r, rec, f, plain)
		defer done()
		if err != nil {
			return err
		}
		good = e.recorder.candidate(r, rec, rules.p.Edge.WAF.Record, seen, hasBody)
	}
	isAdmin := e.p.Balancer.Admins.Has(viewer)
	if !isAdmin {
		e.forwardCookies(r)
	}
	err := e.answer(w, r, rec, isAdmin, plain)
	if err == nil {
		e.recorder.good(good, max(rec.Status, http.StatusOK))
	}
	return err
}

// form refuses what no app needs and what two readers could read differently.
func form(w http.ResponseWriter, r *http.Request) error {
	switch r.Method {
	case http.MethodConnect, http.MethodTrace, "TRACK", "PRI", "DEBUG":
		if !perimeter.Down("edge/methods") {
			return refuse(http.StatusMethodNotAllowed, "edge/methods", "this method is not allowed")
		}
	}
	if len(r.RequestURI) > maxURI && !perimeter.Down("edge/uri-length") {
		return refuse(http.StatusRequestURITooLong, "edge/uri-length", "the address is too long")
	}
	if perimeter.Down("edge/smuggling") {
		return nil
	}
	bad := func(detail string) error {
		w.Header()["Connection"] = []string{"close"} // nor is what follows on the same connection read
		return &proxy.Refusal{Status: http.StatusBadRequest, Control: "edge/smuggling", Reason: "the request is ambiguous", Detail: detail}
	}
	if !strings.HasPrefix(r.URL.Path, "/") || strings.ContainsRune(r.URL.Path, 0) {
		return bad("the path does not start with / or holds a zero byte")
	}
	if r.URL.Fragment != "" || strings.Contains(r.RequestURI, "#") {
		return bad("the address has a fragment")
	}
	for _, name := range singletons {
		if len(r.Header[name]) > 1 {
			return bad("more than one " + name)
		}
	}
	if te := r.TransferEncoding; len(te) > 0 {
		if len(te) != 1 || te[0] != "chunked" {
			return bad("an unknown Transfer-Encoding")
		}
		if r.ProtoMajor == 1 {
			// The server drops a Content-Length beside it. What follows on the same
			// connection was perhaps meant as this request's body: do not read it.
			w.Header()["Connection"] = []string{"close"}
		}
	}
	if len(r.Trailer) > 0 {
		return bad("a trailer")
	}
	return nil
}

// limitBody refuses a body that says it is too long before it is read, and cuts
// one that turns out to be.
func (e *Edge) limitBody(r *http.Request, f profile) error {
	limit := e.p.Edge.MaxBody
	if f == admin {
		limit = max(limit, e.p.Edge.MaxUpload)
	}
	if limit <= 0 || r.Body == nil || r.Body == http.NoBody || perimeter.Down("edge/body-limit") {
		return nil
	}
	tooLarge := &proxy.Refusal{Status: http.StatusRequestEntityTooLarge, Control: "edge/body-limit", Reason: "the request's body is too large",
		Detail: fmt.Sprintf("want %d bytes or fewer", limit)}
	if r.ContentLength > limit {
		return tooLarge
	}
	if r.ContentLength < 0 {
		r.Body = &limitedBody{ReadCloser: r.Body, left: limit, err: tooLarge}
	}
	return nil
}

type limitedBody struct {
	io.ReadCloser
	left int64
	err  error
}

func (b *limitedBody) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, b.err
	}
	if int64(len(p)) > b.left+1 {
		p = p[:b.left+1]
	}
	n, err := b.ReadCloser.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, b.err
	}
	return n, err
}

// pins says whether browsers may be told to use HTTPS only for this host: a name
// of the site's own, never localhost, which other programs share.
func pins(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if _, err := netip.ParseAddr(strings.Trim(host, "[]")); err == nil {
		return false
	}
	host = strings.ToLower(host)
	return host != "localhost" && !strings.HasSuffix(host, ".localhost")
}

// cleanPath is a path as a file system would read it.
func cleanPath(p string) string {
	if !strings.HasPrefix(p, "/") {
		p = "/" + p
	}
	return path.Clean(p)
}

// answer serves from the cache what may be, and has the balancer serve the rest.
// Viewers from the admin addresses never touch the cache.
func (e *Edge) answer(w http.ResponseWriter, r *http.Request, rec *proxy.Record, isAdmin bool, plain string) error {
	if e.cache == nil || isAdmin && !perimeter.Down("edge/cache-privilege") || e.isUncached(r, plain) && !perimeter.Down("edge/uncached-paths") {
		return e.next.ServeHTTP(w, r)
	}
	next := e.next.ServeHTTP
	if perimeter.Down("edge/cache-cookies") {
		cookies := r.Header["Cookie"]
		delete(r.Header, "Cookie")
		next = func(w http.ResponseWriter, r *http.Request) error {
			r.Header["Cookie"] = cookies
			return e.next.ServeHTTP(w, r)
		}
	}
	if perimeter.Down("edge/cache-deception") {
		next = dress(r, next)
	}
	status, err := e.cache.Serve(w, r, next)
	rec.Cache = status
	if status == cache.Hit || status == cache.Coalesced {
		rec.Action = "cache"
	}
	if cache.NotCached(err) {
		return &proxy.Failure{Status: http.StatusGatewayTimeout, Class: "the cache does not have it", Err: err}
	}
	if err != nil && errors.Is(err, r.Context().Err()) {
		return &proxy.Failure{Status: http.StatusBadGateway, Class: "the visitor left", Err: err}
	}
	return err
}
