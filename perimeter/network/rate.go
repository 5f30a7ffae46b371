package network

import (
	"container/list"
	"math"
	"net/netip"
	"sync"
	"time"

	"github.com/ringwall/ringwall/plan"
)

// maxBuckets bounds a Limiter's memory: about 200 bytes each.
const maxBuckets = 1 << 16

// A Limiter is a token bucket for each viewer address, by Block. Its memory is
// bounded: when more addresses are seen than it holds, the one that was silent
// longest is forgotten.
type Limiter struct {
	perSecond, burst float64
	size             int

	mu      sync.Mutex
	buckets map[netip.Addr]*list.Element
	recent  list.List // of *bucket, the one that asked last in front
}

type bucket struct {
	addr   netip.Addr
	tokens float64
	at     time.Time
}

// NewLimiter makes a limiter; a rate of zero refuses nobody.
func NewLimiter(r plan.Rate) *Limiter {
	return &Limiter{
		perSecond: float64(r.PerMinute) / 60, burst: float64(max(r.Burst, 1)),
		size: maxBuckets, buckets: map[netip.Addr]*list.Element{},
	}
}

// Allow takes one token of a viewer. When there is none it says how long until
// there is.
func (l *Limiter) Allow(viewer netip.Addr, now time.Time) (ok bool, retry time.Duration) {
	if l.perSecond <= 0 {
		return true, 0
	}
	a := Block(viewer)
	l.mu.Lock()
	defer l.mu.Unlock()
	e := l.buckets[a]
	if e == nil {
		if len(l.buckets) >= l.size {
			old := l.recent.Back()
			delete(l.buckets, old.Value.(*bucket).addr)
			l.recent.Remove(old)
		}
		e = l.recent.PushFront(&bucket{addr: a, tokens: l.burst, at: now})
		l.buckets[a] = e
	} else {
		l.recent.MoveToFront(e)
	}
	b := e.Value.(*bucket)
	if d := now.Sub(b.at); d > 0 { // a clock that jumps back gives nothing and takes nothing
		b.tokens = math.Min(l.burst, b.tokens+d.Seconds()*l.perSecond)
	}
	b.at = now
	if b.tokens >= 1 {
		b.tokens--
		return true, 0
	}
	return false, time.Duration((1 - b.tokens) / l.perSecond * float64(time.Second))
}
