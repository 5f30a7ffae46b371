package balancer

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/internal/proxy"
	"github.com/ringwall/ringwall/perimeter"
)

// A backend is a Backend with its connections and its health.
type backend struct {
	Backend
	target    string // Addr, as it is logged
	transport *http.Transport
	inFlight  atomic.Int64
	up        atomic.Bool
	draining  atomic.Bool
	unwell    atomic.Value // string: what is wrong, by the last health request
	misses    int          // failed health requests in a row; of the health loop alone
	idle      chan struct{}
	cancel    context.CancelFunc

	mu    sync.Mutex
	conns map[net.Conn]struct{}
	cut   bool
}

func (b *Balancer) newBackend(x Backend) *backend {
	be := &backend{Backend: x, target: x.Addr.String(), conns: map[net.Conn]struct{}{}, idle: make(chan struct{}, 1)}
	dialer := net.Dialer{Timeout: b.o.DialTimeout, KeepAlive: -1}
	dialer.SetMultipathTCP(false)
	be.transport = &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			var c net.Conn
			var err error
			if b.o.Dial != nil {
				c, err = b.o.Dial(x)
			} else {
				c, err = dialer.DialContext(ctx, "tcp", be.target)
			}
			if err != nil {
				return nil, err
			}
			return be.track(c)
		},
		DisableCompression:     true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    256,
		IdleConnTimeout:        50 * time.Second, // less than an instance's own, so that it never closes first
		ResponseHeaderTimeout:  b.o.ResponseTimeout,
		ExpectContinueTimeout:  time.Second,
		MaxResponseHeaderBytes: 256 << 10,
		WriteBufferSize:        8 << 10,
		ReadBufferSize:         16 << 10,
	}
	return be
}

// trackedConn lets a drained instance's connections be closed at its time limit.
type trackedConn struct {
	net.Conn
	be *backend
}

func (c *trackedConn) Close() error {
	c.be.mu.Lock()
	delete(c.be.conns, c)
	c.be.mu.Unlock()
	return c.Conn.Close()
}

func (be *backend) track(c net.Conn) (net.Conn, error) {
	be.mu.Lock()
	defer be.mu.Unlock()
	if be.cut {
		_ = c.Close()
		return nil, &net.OpError{Op: "dial", Net: "tcp", Err: errGone}
	}
	t := &trackedConn{Conn: c, be: be}
	be.conns[t] = struct{}{}
	return t, nil
}

// close cuts every connection to the instance.
func (be *backend) close() {
	be.mu.Lock()
	be.cut = true
	conns := make([]net.Conn, 0, len(be.conns))
	for c := range be.conns {
		conns = append(conns, c)
	}
	be.mu.Unlock()
	for _, c := range conns {
		_ = c.Close()
	}
}

func (be *backend) leave() {
	if be.inFlight.Add(-1) == 0 {
		select {
		case be.idle <- struct{}{}:
		default:
		}
	}
}

// takeOut gives an instance no more requests; its next health request that
// succeeds brings it back.
func (b *Balancer) takeOut(be *backend) {
	if be.up.Swap(false) {
		b.mu.Lock()
		b.notify()
		b.mu.Unlock()
	}
}

// SetBackends replaces the list of instances. One that stays keeps its
// connections and its health; a new one gets requests after its first health
// request succeeded; one that is gone gets no new requests and is cut when its
// last one has ended or at the drain timeout.
func (b *Balancer) SetBackends(list []Backend) {
	b.mu.Lock()
	defer b.mu.Unlock()
	keep := make([]*backend, 0, len(list))
	old := b.backends
	for _, x := range list {
		i := slices.IndexFunc(old, func(be *backend) bool { return be.Backend == x && !be.draining.Load() })
		if i >= 0 {
			keep = append(keep, old[i])
			continue
		}
		be := b.newBackend(x)
		ctx, cancel := context.WithCancel(context.Background())
		be.cancel = cancel
		go b.watch(ctx, be)
		keep = append(keep, be)
	}
	b.backends = keep
	for _, be := range old {
		if !slices.Contains(keep, be) {
			be.draining.Store(true)
			be.cancel()
			go func() {
				_ = be.wait(context.Background(), b.p.Balancer.DrainTimeout)
				be.close()
			}()
		}
	}
	b.notify()
}

// Close stops health requests and cuts every connection.
func (b *Balancer) Close() {
	b.mu.Lock()
	old := b.backends
	b.backends = nil
	b.notify()
	b.mu.Unlock()
	for _, be := range old {
		be.cancel()
		be.close()
	}
}

// Drain gives an instance no new requests, waits until those it has have ended,
// and cuts what is left at the plan's drain timeout. It returns how many were cut.
// The instance stays out until SetBackends lists it again.
func (b *Balancer) Drain(ctx context.Context, name string) (cut int, err error) {
	b.mu.RLock()
	i := slices.IndexFunc(b.backends, func(be *backend) bool { return be.Name == name })
	if i < 0 {
		b.mu.RUnlock()
		return 0, fmt.Errorf("draining %s: the balancer has no instance of that name", name)
	}
	be := b.backends[i]
	b.mu.RUnlock()
	be.draining.Store(true)
	b.mu.Lock()
	b.notify()
	b.mu.Unlock()
	err = be.wait(ctx, b.p.Balancer.DrainTimeout)
	cut = int(be.inFlight.Load())
	be.close()
	if err != nil && ctx.Err() != nil {
		return cut, fmt.Errorf("draining %s: %w", name, ctx.Err())
	}
	return cut, nil
}

// wait returns when nothing is in flight, or with an error after the time.
func (be *backend) wait(ctx context.Context, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	for be.inFlight.Load() > 0 {
		select {
		case <-be.idle:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// Changed is closed when what Health says of an instance may have changed: ask
// for it first, and then for Health.
func (b *Balancer) Changed() <-chan struct{} {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.changed
}

// notify wakes those who wait for an instance; the caller holds the lock.
func (b *Balancer) notify() {
	close(b.changed)
	b.changed = make(chan struct{})
}

// pick takes the instance of a tier with the least in flight, and counts the
// request against it. When there is none it waits for one until the deadline.
func (b *Balancer) pick(ctx context.Context, tier string, tried []*backend, deadline time.Time) (*backend, error) {
	for {
		b.mu.RLock()
		changed := b.changed
		be := b.least(tier, tried)
		b.mu.RUnlock()
		if be != nil {
			if !be.draining.Load() { // a drain that began meanwhile has seen this request, or is seen here
				return be, nil
			}
			be.leave()
			continue
		}
		if len(tried) > 0 { // all were tried: one that is healthy may be again, or it comes back
			tried = nil
			continue
		}
		left := time.Until(deadline)
		if left <= 0 {
			return nil, &proxy.Failure{Status: http.StatusServiceUnavailable, Class: "the site is starting or unhealthy",
				Err: fmt.Errorf("no healthy instance in tier %s", tier)}
		}
		timer := time.NewTimer(left)
		select {
		case <-changed:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return nil, ctx.Err()
		}
		timer.Stop()
	}
}

// least chooses among healthy instances; equals take turns. The caller holds the
// lock for reading.
func (b *Balancer) least(tier string, tried []*backend) *backend {
	n := len(b.backends)
	if n == 0 {
		return nil
	}
	start := int(b.next.Add(1)) % n
	var best *backend
	var least int64
	for i := range n {
		be := b.backends[(start+i)%n]
		if be.Tier != tier || !be.up.Load() || be.draining.Load() || slices.Contains(tried, be) {
			continue
		}
		if f := be.inFlight.Load(); best == nil || f < least {
			best, least = be, f
		}
	}
	if best != nil {
		best.inFlight.Add(1)
	}
	return best
}

// watch asks an instance for its health until it is gone: one success brings it
// up, two failures in a row take it down.
func (b *Balancer) watch(ctx context.Context, be *backend) {
	client := &http.Client{
		Timeout:       b.o.HealthTimeout,
		Transport:     be.transport,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	interval := b.p.Balancer.HealthInterval
	if interval <= 0 {
		interval = time.Second
	}
	for {
		wait := interval
		unwell := b.unwell(ctx, client, be)
		be.unwell.Store(unwell)
		if unwell == "" || perimeter.Down("balancer/health") {
			be.misses = 0
			if !be.up.Swap(true) {
				b.mu.Lock()
				b.notify()
				b.mu.Unlock()
			}
		} else {
			if be.misses++; be.misses >= 2 {
				b.takeOut(be)
			}
			if !be.up.Load() { // starting, most likely: look again soon, and then less often
				wait = min(interval, 10*time.Millisecond<<min(be.misses, 10))
			}
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
	}
}

// unwell asks an instance for its health and says what is wrong with the answer.
func (b *Balancer) unwell(ctx context.Context, client *http.Client, be *backend) string {
	path := b.p.Balancer.HealthPath
	if path == "" {
		path = "/"
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://instance"+path, nil)
	if err != nil {
		return err.Error()
	}
	req.Host = b.p.Network.Host
	req.Header.Set(HeaderHealth, be.Name)
	req.Header.Set("X-Forwarded-Proto", "https")
	resp, err := client.Do(req)
	if err != nil {
		return "no answer"
	}
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10)
	_ = resp.Body.Close()
	if resp.StatusCode < 200 || resp.StatusCode >= 400 {
		return "the answer is " + resp.Status
	}
	return ""
}
