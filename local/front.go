//go:build linux

package local

import (
	"encoding/json"
	"net/netip"
	"sync"

	"net"

	"github.com/ringwall/ringwall/plan"
)

// An order is what the hub tells the front. Fields that are not set change nothing.
type order struct {
	Seq      int          `json:"seq"`
	Backends []backend    `json:"backends,omitempty"`
	Drain    string       `json:"drain,omitempty"`   // finish this instance's requests; answered when done
	Secrets  *[2]string   `json:"secrets,omitempty"` // the valid origin secrets: current, previous
	Cert     *certificate `json:"cert,omitempty"`
	Open     bool         `json:"open,omitempty"`  // begin to accept at the doors
	Rules    *plan.WAF    `json:"rules,omitempty"` // what judges requests from now on
	Purge    *string      `json:"purge,omitempty"` // cache entries whose URL has this prefix
}

// A backend is one instance that the balancer may use.
type backend struct {
	Name string         `json:"name"`
	Tier string         `json:"tier"`
	Addr netip.AddrPort `json:"addr"`
}

type certificate struct {
	Chain string `json:"chain"` // PEM
	Key   string `json:"key"`   // PEM
}

// A word is what the front tells the hub: an answer to an order, or its state.
type word struct {
	Seq   int         `json:"seq,omitempty"` // of the order this answers
	Error string      `json:"error,omitempty"`
	State *frontState `json:"state,omitempty"`
}

// A frontState is sent several times a second.
type frontState struct {
	Healthy map[string]bool      `json:"healthy"` // by instance
	Unwell  map[string]string    `json:"unwell"`  // what is wrong with those that are not
	Tiers   map[string]tierState `json:"tiers"`
}

// A link carries orders one way and words the other.
type link struct {
	c   net.Conn
	mu  sync.Mutex
	enc *json.Encoder
	dec *json.Decoder

	waiting map[int]chan error // answers that the hub waits for, by order; guarded by front.mu
}

func newLink(c net.Conn) *link {
	return &link{c: c, enc: json.NewEncoder(c), dec: json.NewDecoder(c), waiting: map[int]chan error{}}
}

func (l *link) send(v any) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.enc.Encode(v)
}
