package balancer

import (
	"crypto/sha256"
	"crypto/subtle"
	"net"
	"net/http"
	"net/http/httputil"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// HeaderHealth marks the balancer's own health requests. Nobody else's request
// carries it to an instance.
const HeaderHealth = "X-Ringwall-Health"

// A Backend is one instance.
type Backend struct {
	Name string // fleet/2
	Tier string
	Addr netip.AddrPort
}

// Options changes what the plan does not say. The zero value is what a site uses.
type Options struct {
	Wait            time.Duration // how long a request waits for an instance to come up; 0: 2 s
	HealthTimeout   time.Duration // of one health request; 0: 2 s
	DialTimeout     time.Duration // 0: 1 s; the network is this machine or the next rack
	ResponseTimeout time.Duration // from the request's end to the response's header; 0: 60 s
	Dial            func(b Backend) (net.Conn, error)
}

// A Balancer sends requests to instances. Its methods are safe for concurrent use.
type Balancer struct {
	p *plan.Plan
	o Options

	secrets atomic.Pointer[[]digest]

	mu       sync.RWMutex
	backends []*backend
	changed  chan struct{} // closed and replaced when an instance comes up, goes down or leaves, or the list changes
	next     atomic.Uint32

	bufs    bufferPool
	windows map[string]*window // latency, by tier
}

type digest [sha256.Size]byte

// New makes a balancer without secrets and without instances: it answers nobody.
func New(p *plan.Plan, o Options) *Balancer {
	set := func(d *time.Duration, v time.Duration) {
		if *d <= 0 {
			*d = v
		}
	}
	set(&o.Wait, 2*time.Second)
	set(&o.HealthTimeout, 2*time.Second)
	set(&o.DialTimeout, time.Second)
	set(&o.ResponseTimeout, 60*time.Second)
	b := &Balancer{p: p, o: o, changed: make(chan struct{}), windows: map[string]*window{}}
	for _, t := range p.Tiers {
		b.windows[t.Name] = &window{}
	}
	return b
}

// SetSecrets sets the origin secret, and during a rotation the one before it,
// which stays valid. An empty secret is none.
func (b *Balancer) SetSecrets(current, previous string) {
	var d []digest
	for _, s := range []string{current, previous} {
		if s != "" {
			d = append(d, sha256.Sum256([]byte(s)))
		}
	}
	b.secrets.Store(&d)
}

// knows compares in a time that says nothing of the secret, not even its length.
func (b *Balancer) knows(values []string) bool {
	set := b.secrets.Load()
	if set == nil || len(*set) == 0 || len(values) != 1 {
		return false
	}
	got := sha256.Sum256([]byte(values[0]))
	ok := 0
	for i := range *set {
		ok |= subtle.ConstantTimeCompare(got[:], (*set)[i][:])
	}
	return ok == 1
}

// noRule is the answer to whoever is not the edge: nothing that helps.
func noRule(control, detail string) error {
	return &proxy.Refusal{Status: http.StatusNotFound, Control: control, Reason: "nothing here", Detail: detail}
}

// ServeHTTP sends a request of the edge to an instance.
func (b *Balancer) ServeHTTP(w http.ResponseWriter, r *http.Request) error {
	if !b.knows(r.Header[plan.HeaderSecret]) && !perimeter.Down("balancer/origin-secret") {
		return noRule("balancer/origin-secret", "the origin secret is missing or wrong")
	}
	rec := proxy.From(r.Context())
	viewer, ok := viewerOf(r)
	if !ok {
		if !perimeter.Down("balancer/no-rule") {
			return noRule("balancer/no-rule", "the viewer's address is missing or malformed")
		}
		viewer = rec.Addr
	}
	rec.Addr = viewer
	tier := plan.Fleet
	if b.p.Balancer.Admins.Has(viewer) || perimeter.Down("balancer/admin-tier") {
		tier = plan.Admin
	}
	if b.windows[tier] == nil {
		return noRule("balancer/no-rule", "the plan has no tier "+tier)
	}
	rec.Tier = tier
	return b.forward(w, r, rec, tier)
}

// viewerOf reads the edge's word on who asks: exactly one literal address.
func viewerOf(r *http.Request) (netip.Addr, bool) {
	v := r.Header[plan.HeaderViewer]
	if len(v) != 1 {
		return netip.Addr{}, false
	}
	a, err := netip.ParseAddr(v[0])
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// forward proxies one request, trying instances until one answers or it would
// not be safe to ask another.
func (b *Balancer) forward(w http.ResponseWriter, r *http.Request, rec *proxy.Record, tier string) error {
	a := &attempt{b: b, rec: rec, tier: tier}
	defer a.end()
	if r.Body != nil && r.Body != http.NoBody {
		a.body = &keptBody{ReadCloser: r.Body}
		r.Body = a.body
	}
	rp := httputil.ReverseProxy{
		Rewrite:      rewrite,
		Transport:    a,
		BufferPool:   &b.bufs, // answers of unknown length and event streams are flushed as they come
		ErrorHandler: func(_ http.ResponseWriter, _ *http.Request, err error) { a.err = err },
		ErrorLog:     discard,
	}
	rp.ServeHTTP(w, r)
	return a.err
}

// rewrite makes the request that an instance sees. What it says of the viewer is
// ours alone.
func rewrite(p *httputil.ProxyRequest) {
	in, out := p.In, p.Out
	out.URL.RawQuery = in.URL.RawQuery // as it came, and as the edge judged it
	h := out.Header
	delete(h, plan.HeaderSecret)
	delete(h, HeaderHealth)
	h["X-Forwarded-For"] = in.Header[plan.HeaderViewer]
	h["X-Forwarded-Host"] = []string{in.Host}
	h["X-Forwarded-Proto"] = protoHTTPS
	out.URL.Scheme = "http"
	out.URL.Host = "instance" // the transport dials one instance only
	out.Host = in.Host
}

var protoHTTPS = []string{"https"}

type bufferPool struct{ p sync.Pool }

func (b *bufferPool) Get() []byte {
	if v, ok := b.p.Get().(*[]byte); ok {
		return *v
	}
	return make([]byte, 32<<10)
}

func (b *bufferPool) Put(v []byte) { b.p.Put(&v) }
