//go:build linux

package local

import (
	"fmt"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// boxes sets up this process's sandboxes.
var boxes boxClock

// A boxClock starts sandboxes and measures what their set-up takes. The programs
// of sandboxes that are set up together start together, when all their walls
// stand: until then the processors are the walls' alone. The zero value is ready.
type boxClock struct {
	mu    sync.Mutex
	n     int
	cost  time.Duration // of processor time
	busy  time.Duration // the time in which at least one was being set up
	now   int           // being set up
	next  int           // that are to be set up with them
	since time.Time     // when now became 1
	batch chan struct{} // closed when now and next are 0
}

// expect says that n sandboxes are about to be set up together.
func (c *boxClock) expect(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.next = n
}

// start sets up a sandbox and starts its program.
func (c *boxClock) start(s sandbox.Spec) (*sandbox.Process, error) {
	c.mu.Lock()
	if c.now++; c.now == 1 {
		c.since = time.Now()
		if c.batch == nil {
			c.batch = make(chan struct{})
		}
	}
	c.next = max(c.next-1, 0)
	batch := c.batch
	c.mu.Unlock()
	set := sync.OnceFunc(func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.now--; c.now == 0 {
			c.busy += time.Since(c.since)
		}
		if c.now == 0 && c.next == 0 && c.batch == batch {
			close(batch)
			c.batch = nil
		}
	})
	ready := s.Ready
	s.Ready = func() error {
		set()
		select {
		case <-batch:
		case <-time.After(batchLimit):
		}
		if ready == nil {
			return nil
		}
		return ready()
	}
	p, err := sandbox.Start(s)
	set() // it may have failed before
	if p != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.n++
		c.cost += p.Cost
	}
	return p, err
}

// batchLimit is how long a program waits for others' walls at the most.
const batchLimit = 100 * time.Millisecond

// step tells how many sandboxes were set up so far.
func (c *boxClock) step() Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Step{Part: "sandboxes", State: "up", Took: c.busy,
		Text: fmt.Sprintf("%d set up with %v of processor time", c.n, c.cost.Round(time.Millisecond))}
}
