//go:build linux

package local

import (
	"net"
	"net/netip"
)

// A lentListener gives connections the address of whom they stand for, where the
// site's network lent an address of the loopback device in its place.
type lentListener struct {
	net.Listener
	lent map[netip.Addr]netip.Addr
}

func (l lentListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return c, nil
	}
	a := t.AddrPort()
	own, ok := l.lent[a.Addr().Unmap()]
	if !ok {
		return c, nil
	}
	return lentConn{c, net.TCPAddrFromAddrPort(netip.AddrPortFrom(own, a.Port()))}, nil
}

type lentConn struct {
	net.Conn
	remote net.Addr
}

func (c lentConn) RemoteAddr() net.Addr { return c.remote }
