package network

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ringwall/ringwall/perimeter"
	"github.com/ringwall/ringwall/plan"
)

// Conns bounds open connections, all together and of one viewer address. One
// Conns is shared by every public listener of a site.
type Conns struct {
	max, perViewer int

	mu      sync.Mutex
	open    int
	viewers map[netip.Addr]int
	refused atomic.Int64
}

// NewConns reads the bounds from the plan.
func NewConns(p *plan.Plan) *Conns {
	return &Conns{max: p.Network.MaxConns, perViewer: p.Network.MaxConnsPerIP, viewers: map[netip.Addr]int{}}
}

// Open is the number of open connections.
func (c *Conns) Open() int { c.mu.Lock(); defer c.mu.Unlock(); return c.open }

// Refused is the number of connections that were closed because of a bound.
func (c *Conns) Refused() int64 { return c.refused.Load() }

func (c *Conns) take(v netip.Addr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !perimeter.Down("network/connections") {
		if c.max > 0 && c.open >= c.max || c.perViewer > 0 && c.viewers[v] >= c.perViewer {
			return false
		}
	}
	c.open++
	c.viewers[v]++
	return true
}

func (c *Conns) give(v netip.Addr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open--
	if c.viewers[v]--; c.viewers[v] <= 0 {
		delete(c.viewers, v)
	}
}

// Listen wraps a public listener. Every connection counts against conns, by its
// peer's address; when viewer is valid the listener is a door, and every
// connection through it has that address for all that follows. No header or
// preface of the connection can change it.
func Listen(ln net.Listener, conns *Conns, viewer netip.Addr) net.Listener {
	return &listener{Listener: ln, conns: conns, viewer: viewer}
}

type listener struct {
	net.Listener
	conns  *Conns
	viewer netip.Addr
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		w := &conn{Conn: c, conns: l.conns, remote: c.RemoteAddr()}
		ap := addrPort(w.remote)
		if l.viewer.IsValid() {
			ap = netip.AddrPortFrom(l.viewer, ap.Port())
			w.remote = net.TCPAddrFromAddrPort(ap)
		}
		w.viewer = Block(ap.Addr())
		if !l.conns.take(w.viewer) {
			l.conns.refused.Add(1)
			if t, ok := c.(*net.TCPConn); ok {
				_ = t.SetLinger(0) // the peer learns at once, and nothing lingers here
			}
			_ = c.Close()
			continue
		}
		return w, nil
	}
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		ap := t.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap().WithZone(""), ap.Port())
	}
	return netip.AddrPort{}
}

// Block is what limits count by: an IPv4 address, or the /64 of an IPv6 address,
// which is the least that one customer has.
func Block(a netip.Addr) netip.Addr {
	a = a.Unmap()
	if a.Is6() {
		if p, err := a.WithZone("").Prefix(64); err == nil {
			return p.Addr()
		}
	}
	return a
}

const (
	writeStall  = 30 * time.Second // a peer that reads nothing for so long is cut
	writeExtend = 5 * time.Second  // how often the deadline moves
)

var started = time.Now()

// uptime is in nanoseconds and never 0. It does not follow the wall clock: an
// answer that goes on must not be cut because somebody set that back.
func uptime() int64 { return int64(time.Since(started)) | 1 }

// conn counts one connection and cuts a peer that does not read.
type conn struct {
	net.Conn
	conns  *Conns
	viewer netip.Addr
	remote net.Addr
	once   sync.Once
	armed  atomic.Int64 // the last write deadline's setting, by uptime; 0: there is none
}

func (c *conn) RemoteAddr() net.Addr { return c.remote }

func (c *conn) Close() error {
	c.once.Do(func() { c.conns.give(c.viewer) })
	return c.Conn.Close()
}

func (c *conn) Write(b []byte) (int, error) {
	now, armed := uptime(), c.armed.Load()
	if armed == 0 || now-armed > int64(writeExtend) {
		c.armed.Store(now)
		if err := c.Conn.SetWriteDeadline(time.Now().Add(writeStall)); err != nil {
			return 0, err
		}
	}
	return c.Conn.Write(b)
}

// SetReadDeadline is how the server cuts slow headers.
func (c *conn) SetReadDeadline(t time.Time) error {
	if perimeter.Down("network/slow-header") {
		t = time.Time{}
	}
	return c.Conn.SetReadDeadline(t)
}

// SetDeadline and SetWriteDeadline are the server's; the next write sets ours again.
func (c *conn) SetDeadline(t time.Time) error {
	c.armed.Store(0)
	return c.Conn.SetDeadline(t)
}

func (c *conn) SetWriteDeadline(t time.Time) error {
	c.armed.Store(uptime())
	return c.Conn.SetWriteDeadline(t)
}

// NetConn returns the connection beneath.
func (c *conn) NetConn() net.Conn { return c.Conn }
