package cache

import (
	"container/list"
	"net/http"
	"strings"
	"time"
)

// An entry is one stored response. It is not changed after it was stored, so
// that it can be served without a lock.
type entry struct {
	key    string
	vary   []string // names, canonical
	values []string // of the request that made it, by vary
	status int
	header http.Header
	body   []byte
	at     time.Time     // when it was received or last validated
	age    time.Duration // at that time
	ttl    time.Duration
	pass   bool // a mark: responses to this key cannot be kept; do not wait for one

	size int64
	elem *list.Element
}

func (e *entry) ageAt(now time.Time) time.Duration {
	if now.Before(e.at) { // the clock was set back
		return e.age
	}
	return e.age + now.Sub(e.at)
}

func (e *entry) fresh(now time.Time) bool { return e.ageAt(now) < e.ttl }

func (e *entry) matches(r *http.Request) bool {
	for i, name := range e.vary {
		if headerValue(r, name) != e.values[i] {
			return false
		}
	}
	return true
}

// headerValue is a request header as Vary compares it.
func headerValue(r *http.Request, name string) string {
	if name == "Host" {
		return r.Host
	}
	v := r.Header[name]
	switch len(v) {
	case 0:
		return ""
	case 1:
		return strings.TrimSpace(v[0])
	}
	return strings.Join(v, ", ")
}

const (
	overhead    = 512 // bytes counted for an entry beside its strings and body
	maxVariants = 16  // of one key; the oldest goes
)

func (e *entry) weigh() int64 {
	n := int64(overhead + len(e.key) + len(e.body))
	for k, v := range e.header {
		n += int64(len(k)) + 32
		for _, s := range v {
			n += int64(len(s)) + 16
		}
	}
	for i := range e.vary {
		n += int64(len(e.vary[i]) + len(e.values[i]) + 32)
	}
	return n
}

// find returns the entry of a request, or nil.
func (c *Cache) find(key string, r *http.Request) *entry {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, e := range c.entries[key] {
		if e.matches(r) {
			c.lru.MoveToFront(e.elem)
			return e
		}
	}
	return nil
}

// put stores an entry in place of the one of the same variant, and forgets the
// least recently used until everything fits.
func (c *Cache) put(e *entry, r *http.Request, gen uint64) {
	e.size = e.weigh()
	c.mu.Lock()
	defer c.mu.Unlock()
	if gen != c.gen || e.size > c.o.MaxBytes {
		return // purged while it was fetched, or larger than everything
	}
	for _, old := range c.entries[e.key] {
		if old.matches(r) || old.pass {
			c.drop(old)
		}
	}
	if v := c.entries[e.key]; len(v) >= maxVariants {
		c.drop(v[0])
	}
	e.elem = c.lru.PushFront(e)
	c.entries[e.key] = append(c.entries[e.key], e)
	c.bytes += e.size
	for c.bytes > c.o.MaxBytes {
		c.drop(c.lru.Back().Value.(*entry))
	}
}

// drop removes an entry; the caller holds the lock.
func (c *Cache) drop(e *entry) {
	v := c.entries[e.key]
	keep := make([]*entry, 0, len(v))
	for _, x := range v {
		if x != e {
			keep = append(keep, x)
		}
	}
	if len(keep) == len(v) {
		return
	}
	if len(keep) == 0 {
		delete(c.entries, e.key)
	} else {
		c.entries[e.key] = keep
	}
	c.lru.Remove(e.elem)
	c.bytes -= e.size
}

// PurgeAll forgets everything, and what is being fetched.
func (c *Cache) PurgeAll() int {
	return c.purge(func(string) bool { return true })
}

// PurgeURL forgets a URL in all its variants: https://host/path?query.
func (c *Cache) PurgeURL(url string) int {
	return c.purge(func(key string) bool { return key == url })
}

// PurgePrefix forgets every URL that starts with prefix: https://host/path, or
// /path for every host.
func (c *Cache) PurgePrefix(prefix string) int {
	return c.purge(func(key string) bool {
		if strings.HasPrefix(prefix, "/") {
			_, rest, _ := strings.Cut(key, "://")
			return strings.HasPrefix(rest[max(0, strings.IndexByte(rest, '/')):], prefix)
		}
		return strings.HasPrefix(key, prefix)
	})
}

func (c *Cache) purge(match func(string) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.gen++
	n := 0
	for key, v := range c.entries {
		if match(key) {
			for _, e := range v {
				if !e.pass {
					n++
				}
				c.drop(e)
			}
		}
	}
	return n
}

// Stats is what the cache holds and did.
type Stats struct {
	Entries      int
	Bytes        int64
	Hits, Misses int64
}

// Stats returns the cache's figures.
func (c *Cache) Stats() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{Entries: c.lru.Len(), Bytes: c.bytes, Hits: c.hits.Load(), Misses: c.misses.Load()}
}
