//go:build linux

package local

import (
	"errors"
	"sync"
	"time"
)

// A gate holds goroutines back until it is opened, once, for good. With an error
// it opens for nobody.
type gate struct {
	once   sync.Once
	opened chan struct{}
	at     time.Time
	err    error
}

func newGate() *gate { return &gate{opened: make(chan struct{})} }

func (g *gate) open(err error) {
	g.once.Do(func() {
		g.at, g.err = time.Now(), err
		close(g.opened)
	})
}

func (g *gate) wait() error {
	<-g.opened
	return g.err
}

// errNoRights stops the apps of a site whose database did not start.
var errNoRights = errors.New("the site's database did not start")
