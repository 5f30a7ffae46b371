//go:build linux

package vnet

import (
	"context"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"sync"
)

// A loop is a network on the machine's own loopback device, for machines that
// forbid namespaces: addresses stay distinct, and that is all.
type loop struct {
	block netip.Prefix

	mu    sync.Mutex
	guest netip.Addr                // the last address that was lent
	lent  map[netip.Addr]netip.Addr // to hosts whose own address lies outside: by the lent one
}

// NewLoopback makes a network of addresses of the machine's own loopback network.
// No rule is enforced, and whoever is on the machine reaches every host. Addresses
// of hosts are in block, a /16 of 127.0.0.0/8; a host with an address elsewhere is
// lent one of block's .3.x for the dialling: see Lent.
func NewLoopback(block netip.Prefix) *Net {
	b := block.Masked().Addr().As4()
	return &Net{wiring: &loop{block: block, guest: netip.AddrFrom4([4]byte{b[0], b[1], 3, 0}), lent: map[netip.Addr]netip.Addr{}}}
}

// Lent are the addresses that hosts dial from in the place of their own, and whose.
func (n *Net) Lent() map[netip.Addr]netip.Addr {
	l, ok := n.wiring.(*loop)
	if !ok {
		return nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	return maps.Clone(l.lent)
}

// From is the address that the host dials from. It is not valid where the host's
// namespace says so.
func (h *Host) From() netip.Addr { return h.from }

func (l *loop) wire(h *Host) error {
	if len(h.Addrs) == 0 {
		return fmt.Errorf("adding host %s: it has no address", h.Name)
	}
	h.from = h.Addrs[0].Addr
	if !l.block.Contains(h.from) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.guest = l.guest.Next()
		h.from = l.guest
		l.lent[h.from] = h.Addrs[0].Addr
	}
	return nil
}

func (l *loop) unwire(h *Host) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.lent, h.from)
}

func (*loop) apply(*Net) error { return nil }

// unprivileged is where ports begin that every user may listen on; what lies below
// is found so much higher.
const unprivileged, higher = 1024, 40000

func (*loop) at(a netip.AddrPort) netip.AddrPort {
	if a.Port() != 0 && a.Port() < unprivileged {
		return netip.AddrPortFrom(a.Addr(), a.Port()+higher)
	}
	return a
}

// DialLoopback connects within a network that NewLoopback made, from an address
// of it. address is literal.
func DialLoopback(from netip.Addr, ctx context.Context, network, address string) (net.Conn, error) {
	to, err := netip.ParseAddrPort(address)
	if err != nil {
		return nil, fmt.Errorf("dialling %s: want a literal address and port: %w", address, err)
	}
	d := net.Dialer{LocalAddr: net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))}
	d.SetMultipathTCP(false)
	return d.DialContext(ctx, network, (*loop)(nil).at(to).String())
}
