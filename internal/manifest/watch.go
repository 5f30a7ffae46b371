package manifest

import (
	"context"
	"slices"
	"time"
)

// A Watcher scans a tree again and again. Scans that find nothing new read no
// file, so that the network file systems on which no notification works, and
// overflowing queues of events, need no other way.
type Watcher struct {
	Dir      string
	Keep     func(name string) bool // as for Scan
	Class    func(name string) int  // sorts the changes; nil: all are class 0
	Interval time.Duration          // between two scans; 0: 1 s
	Quiet    int                    // unchanged scans before a change is told, so that a copy in progress is told once; 0: 1

	// Failed is told of a scan that failed, once until one succeeds; nil: nobody is.
	Failed func(error)
}

// A Notice is what changed since the last one, by class.
type Notice struct {
	Changes map[int]Change
	Now     *Manifest
}

// Run calls notify after each change, from one goroutine, until ctx ends. It
// starts from what a scan has found, or from a new one if that is nil. A change
// that goes on for more than a minute is told meanwhile.
func (w *Watcher) Run(ctx context.Context, from *Manifest, notify func(Notice)) error {
	told, last := from, from
	interval, quiet := w.Interval, max(w.Quiet, 1)
	if interval <= 0 {
		interval = time.Second
	}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	still, moving, failing := 0, time.Time{}, false
	for {
		now, err := Scan(w.Dir, w.Keep, last)
		switch {
		case err != nil:
			if !failing && w.Failed != nil {
				w.Failed(err)
			}
			failing = true
		case told == nil:
			told, last = now, now
		default:
			failing = false
			if Diff(last, now).Empty() {
				still++
			} else {
				still = 0
				if moving.IsZero() {
					moving = time.Now()
				}
			}
			last = now
			if moving.IsZero() || still < quiet && time.Since(moving) < time.Minute {
				break
			}
			moving = time.Time{}
			if d := Diff(told, now); !d.Empty() {
				notify(Notice{w.sort(d), now})
			}
			told = now
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}

func (w *Watcher) sort(d Change) map[int]Change {
	m := map[int]Change{}
	put := func(paths []string, field func(*Change) *[]string) {
		for _, p := range paths {
			k := 0
			if w.Class != nil {
				k = w.Class(p)
			}
			c := m[k]
			l := field(&c)
			*l = append(slices.Clip(*l), p)
			m[k] = c
		}
	}
	put(d.Added, func(c *Change) *[]string { return &c.Added })
	put(d.Removed, func(c *Change) *[]string { return &c.Removed })
	put(d.Changed, func(c *Change) *[]string { return &c.Changed })
	return m
}
