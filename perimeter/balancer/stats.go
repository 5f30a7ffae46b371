package balancer

import (
	"slices"
	"sync"
	"time"
)

// Stats is how busy a tier is.
type Stats struct {
	Instances int           // in the list
	Healthy   int           // of them, those that get requests
	InFlight  int           // requests in all of them
	Latency   time.Duration // median time to first byte over the last seconds; 0: no request
}

// A Health is what the balancer knows of one instance.
type Health struct {
	Backend
	Up, Draining bool
	InFlight     int
	Unwell       string // what is wrong, by the last health request
}

// Stats returns a tier's figures.
func (b *Balancer) Stats(tier string) Stats {
	var s Stats
	b.mu.RLock()
	for _, be := range b.backends {
		if be.Tier == tier {
			s.Instances++
			s.InFlight += int(be.inFlight.Load())
			if be.up.Load() && !be.draining.Load() {
				s.Healthy++
			}
		}
	}
	b.mu.RUnlock()
	if w := b.windows[tier]; w != nil {
		s.Latency = w.median(time.Now())
	}
	return s
}

// Health returns every instance's state, in the list's order.
func (b *Balancer) Health() []Health {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := make([]Health, len(b.backends))
	for i, be := range b.backends {
		unwell, _ := be.unwell.Load().(string)
		out[i] = Health{be.Backend, be.up.Load(), be.draining.Load(), int(be.inFlight.Load()), unwell}
	}
	return out
}

const (
	samples = 256
	recent  = 10 * time.Second
)

// A window holds the latest latencies of a tier.
type window struct {
	mu sync.Mutex
	at [samples]time.Time
	d  [samples]time.Duration
	n  int
}

func (w *window) add(at time.Time, d time.Duration) {
	w.mu.Lock()
	w.at[w.n%samples], w.d[w.n%samples] = at, d
	w.n++
	w.mu.Unlock()
}

func (w *window) median(now time.Time) time.Duration {
	var buf [samples]time.Duration
	d := buf[:0]
	w.mu.Lock()
	for i := range min(w.n, samples) {
		if now.Sub(w.at[i]) < recent {
			d = append(d, w.d[i])
		}
	}
	w.mu.Unlock()
	if len(d) == 0 {
		return 0
	}
	slices.Sort(d)
	return d[len(d)/2]
}
