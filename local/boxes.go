//go:build linux

package local

import (
	"fmt"
	"sync"
	"time"

	"github.com/ringwall/ringwall/internal/sandbox"
)

// boxes counts the sandboxes that this process has set up and what that took.
var boxes boxClock

// A boxClock measures work that overlaps. The zero value is ready.
type boxClock struct {
	mu    sync.Mutex
	n     int
	cost  time.Duration // of processor time
	busy  time.Duration // the time in which at least one was being set up
	now   int           // being set up
	since time.Time     // when now became 1
}

// start sets up a sandbox.
func (c *boxClock) start(s sandbox.Spec) (*sandbox.Process, error) {
	began := time.Now()
	c.mu.Lock()
	if c.now++; c.now == 1 {
		c.since = began
	}
	c.mu.Unlock()
	p, err := sandbox.Start(s)
	c.mu.Lock()
	defer c.mu.Unlock()
	end := time.Now()
	c.n++
	if p != nil {
		c.cost += p.Cost
	}
	if c.now--; c.now == 0 {
		c.busy += end.Sub(c.since)
	}
	return p, err
}

// step tells how many sandboxes were set up so far.
func (c *boxClock) step() Step {
	c.mu.Lock()
	defer c.mu.Unlock()
	return Step{Part: "sandboxes", State: "up", Took: c.busy,
		Text: fmt.Sprintf("%d set up with %v of processor time", c.n, c.cost.Round(time.Millisecond))}
}
