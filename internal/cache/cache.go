// Package cache is a shared HTTP cache after RFC 9111, between a server and the
// handler that fetches. It never keeps an answer to a request with cookies or
// authorization, never an answer that sets a cookie, and never serves a stale one.
package cache

import (
	"container/list"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Options bounds a cache. The zero value keeps nothing.
type Options struct {
	MinTTL, DefaultTTL, MaxTTL time.Duration // MaxTTL 0: no bound
	MaxBytes                   int64         // of all entries
	MaxEntry                   int64         // of one body; larger answers pass
	Wait                       time.Duration // the longest a request waits for another's answer to the same question; 0: 3 s
	Now                        func() time.Time
	Key                        func(*http.Request) string // names a request; nil: Key
}

// A Cache keeps responses. It is safe for concurrent use.
type Cache struct {
	o Options

	mu      sync.Mutex
	entries map[string][]*entry
	lru     list.List
	bytes   int64
	gen     uint64 // counts purges, so that an answer that was asked before one is not kept after it
	flights map[string]*flight

	hits, misses atomic.Int64
}

// New makes an empty cache.
func New(o Options) *Cache {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Key == nil {
		o.Key = Key
	}
	if o.Wait <= 0 {
		o.Wait = 3 * time.Second
	}
	return &Cache{o: o, entries: map[string][]*entry{}, flights: map[string]*flight{}}
}

// What Serve did.
const (
	Pass        = "pass"        // not for the cache
	Hit         = "hit"         // from the store
	Miss        = "miss"        // fetched
	Revalidated = "revalidated" // from the store, after the app said that it still holds
	Coalesced   = "coalesced"   // from the store, after waiting for another request's fetch
)

// A Next fetches what the cache does not have. When it returns an error it has
// written nothing.
type Next func(http.ResponseWriter, *http.Request) error

// Key is the name under which a request's answers are kept: scheme, host and the
// request URI as it was sent. Only the host is normalised: two spellings of a
// path may be two resources to the app, and an answer to one must never be served
// for the other.
func Key(r *http.Request) string {
	scheme := "http://"
	if r.TLS != nil {
		scheme = "https://"
	}
	host := strings.ToLower(r.Host)
	if r.TLS != nil {
		host = strings.TrimSuffix(host, ":443")
	} else {
		host = strings.TrimSuffix(host, ":80")
	}
	uri := r.URL.EscapedPath()
	if uri == "" {
		uri = "/"
	}
	if r.URL.ForceQuery || r.URL.RawQuery != "" {
		uri += "?" + r.URL.RawQuery
	}
	return scheme + host + uri
}

// Eligible says whether the cache may answer a request or keep its answer.
func Eligible(r *http.Request) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return false
	}
	h := r.Header
	return len(h["Authorization"]) == 0 && len(h["Proxy-Authorization"]) == 0 && len(h["Cookie"]) == 0 &&
		len(h["Range"]) == 0 && len(h["Upgrade"]) == 0 && len(h["If-Range"]) == 0 &&
		len(h["If-Match"]) == 0 && len(h["If-Unmodified-Since"]) == 0 &&
		(r.Body == nil || r.Body == http.NoBody) && r.ContentLength == 0
}

// errNotCached answers a request with only-if-cached.
var errNotCached = errors.New("not in the cache")

// NotCached says whether err is the cache's answer to only-if-cached: 504.
func NotCached(err error) bool { return errors.Is(err, errNotCached) }

// Serve answers a request from the store or fetches with next, and says which.
func (c *Cache) Serve(w http.ResponseWriter, r *http.Request, next Next) (string, error) {
	if c.o.MaxBytes <= 0 || !Eligible(r) {
		return Pass, next(w, r)
	}
	key := c.o.Key(r)
	cc := parseControl(r.Header, true)
	if cc.noStore {
		return Pass, next(w, r)
	}
	now := c.o.Now()
	e := c.find(key, r)
	if e != nil && e.pass {
		if e.fresh(now) {
			return Pass, next(w, r)
		}
		e = nil
	}
	if e != nil && usable(e, cc, now) {
		c.hits.Add(1)
		e.write(w, r, now)
		return Hit, nil
	}
	if cc.onlyIfCached {
		return Miss, errNotCached
	}
	if r.Method == http.MethodHead {
		return Pass, next(w, r)
	}
	return c.fetch(w, r, key, e, next)
}

// usable says whether a stored answer satisfies what the request demands.
func usable(e *entry, cc directives, now time.Time) bool {
	age := e.ageAt(now)
	switch {
	case cc.noCache, age >= e.ttl:
		return false
	case cc.maxAge >= 0 && age > cc.maxAge:
		return false
	case cc.minFresh > 0 && age+cc.minFresh > e.ttl:
		return false
	}
	return true
}

// A flight is a fetch that others wait for.
type flight struct {
	done  chan struct{}
	entry *entry // what was stored; nil: nothing
}

// fetch asks the app, as the only one for this key or after waiting for the one
// who does. Only requests without cookies and authorization come here.
func (c *Cache) fetch(w http.ResponseWriter, r *http.Request, key string, stale *entry, next Next) (string, error) {
	c.mu.Lock()
	f := c.flights[key]
	if f == nil {
		f = &flight{done: make(chan struct{})}
		c.flights[key] = f
		gen := c.gen
		c.mu.Unlock()
		return c.lead(w, r, key, stale, next, f, gen)
	}
	c.mu.Unlock()
	timer := time.NewTimer(c.o.Wait)
	defer timer.Stop()
	select {
	case <-f.done:
		if e := f.entry; e != nil && e.matches(r) {
			c.hits.Add(1)
			e.write(w, r, c.o.Now())
			return Coalesced, nil
		}
	case <-timer.C:
	case <-r.Context().Done():
		return Miss, r.Context().Err()
	}
	c.misses.Add(1)
	return Miss, next(w, r)
}

func (c *Cache) lead(w http.ResponseWriter, r *http.Request, key string, stale *entry, next Next, f *flight, gen uint64) (string, error) {
	landed := false
	rec := &recorder{w: w, r: r, c: c, key: key}
	land := func() {
		if !landed {
			landed = true
			c.mu.Lock()
			if c.flights[key] == f {
				delete(c.flights, key)
			}
			c.mu.Unlock()
			close(f.done)
		}
	}
	rec.refuse = func() { // nobody needs to wait: this answer is for one
		c.put(&entry{key: key, at: c.o.Now(), ttl: passTTL, pass: true, vary: nil}, r, gen)
		land()
	}
	defer land() // also when next panics
	out := r.Clone(r.Context())
	for _, name := range [...]string{"If-None-Match", "If-Modified-Since", "Cache-Control", "Pragma"} {
		delete(out.Header, name)
	}
	if stale != nil {
		if tag := stale.header.Get("Etag"); tag != "" {
			out.Header.Set("If-None-Match", tag)
			rec.stale = stale
		}
		if t := stale.header.Get("Last-Modified"); t != "" {
			out.Header.Set("If-Modified-Since", t)
			rec.stale = stale
		}
	}
	c.misses.Add(1)
	err := next(rec, out)
	if err != nil {
		return Miss, err
	}
	if !rec.wrote {
		rec.WriteHeader(http.StatusOK)
	}
	if rec.validated {
		e := stale.renew(rec.header, c, r)
		if e != nil {
			f.entry = e
			c.put(e, r, gen)
		} else {
			c.forget(stale)
			e = stale
		}
		land()
		e.write(w, r, c.o.Now())
		return Revalidated, nil
	}
	if e := rec.entry(); e != nil {
		f.entry = e
		c.put(e, r, gen)
	}
	return Miss, nil
}

// passTTL is how long a key whose answer could not be kept is not waited for.
const passTTL = 10 * time.Second

func (c *Cache) forget(e *entry) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.drop(e)
}

// renew is a stored answer with the header of the 304 that confirmed it; nil when
// that header says that it must not be kept any more.
func (e *entry) renew(h http.Header, c *Cache, r *http.Request) *entry {
	merged := e.header.Clone()
	merged.Del("Age")
	for k, v := range h {
		switch k {
		case "Content-Length", "Content-Encoding", "Content-Type", "Content-Range", "Transfer-Encoding":
		default:
			merged[k] = v
		}
	}
	now := c.o.Now()
	ttl, ok := c.o.storable(r, e.status, merged, now)
	if !ok {
		return nil
	}
	n := &entry{key: e.key, status: e.status, header: merged.Clone(), body: e.body, at: now, age: max(0, initialAge(h, now)), ttl: ttl}
	n.setVary(r)
	return n
}

func (e *entry) setVary(r *http.Request) {
	for _, name := range varyNames(e.header) {
		e.vary = append(e.vary, name)
		e.values = append(e.values, headerValue(r, name))
	}
}

// write serves a stored answer, or 304 when the client has it already.
func (e *entry) write(w http.ResponseWriter, r *http.Request, now time.Time) {
	h := w.Header()
	for k, v := range e.header {
		h[k] = v
	}
	h["Age"] = []string{strconv.FormatInt(int64(e.ageAt(now)/time.Second), 10)}
	if e.status == http.StatusOK && notModified(r.Header, e.header) {
		h.Del("Content-Length")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	if e.status != http.StatusNoContent {
		h["Content-Length"] = []string{strconv.Itoa(len(e.body))}
	}
	w.WriteHeader(e.status)
	if r.Method != http.MethodHead && len(e.body) > 0 {
		_, _ = w.Write(e.body)
	}
}

// notModified evaluates If-None-Match, and without it If-Modified-Since, of a
// request against a response's header (RFC 9110, section 13.2.2).
func notModified(req, resp http.Header) bool {
	if tags := req["If-None-Match"]; len(tags) > 0 {
		have := strings.TrimPrefix(resp.Get("Etag"), "W/")
		if have == "" {
			return false
		}
		for _, v := range tags {
			for tag := range strings.SplitSeq(v, ",") {
				tag = strings.TrimPrefix(strings.TrimSpace(tag), "W/")
				if tag == have || tag == "*" {
					return true
				}
			}
		}
		return false
	}
	since := req.Get("If-Modified-Since")
	if since == "" {
		return false
	}
	t, err := http.ParseTime(since)
	if err != nil {
		return false
	}
	m, err := http.ParseTime(resp.Get("Last-Modified"))
	return err == nil && !m.After(t)
}
