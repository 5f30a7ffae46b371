//go:build linux

package vnet

import (
	"net/netip"
	"testing"
)

// Without namespaces addresses stay distinct: who listens and who dials has its own.
func TestLoopback(t *testing.T) {
	if err := loopback(); err != nil {
		t.Fatal(err)
	}
	n := NewLoopback(netip.MustParsePrefix("127.77.0.0/16"))
	hosts, err := n.Add(
		Spec{"edge", []Address{{"edge", ip("127.77.0.10")}, {"balancer", ip("127.77.0.20")}}},
		Spec{"visitor", []Address{{"internet", ip("198.51.100.7")}}})
	if err != nil {
		t.Fatal(err)
	}
	edge, visitor := hosts[0], hosts[1]
	l, err := edge.Listen(netip.AddrPortFrom(ip("127.77.0.10"), 443))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if got := l.Addr().String(); got != "127.77.0.10:40443" {
		t.Errorf("a port that needs root: got %s, want 127.77.0.10:40443", got)
	}
	c, err := visitor.Dial(t.Context(), "tcp", "127.77.0.10:443")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	s, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	from := netip.MustParseAddrPort(s.RemoteAddr().String()).Addr()
	if from != visitor.From() || n.Lent()[from] != ip("198.51.100.7") {
		t.Errorf("a visitor: got address %s, lent to %v, want %s, lent to 198.51.100.7", from, n.Lent()[from], visitor.From())
	}
	if edge.File() != nil || edge.From() != ip("127.77.0.10") {
		t.Errorf("the edge: got namespace %v and address %s, want none and its own", edge.File(), edge.From())
	}
	if err := n.Remove("visitor"); err != nil || len(n.Lent()) != 0 {
		t.Errorf("after a removal: got %v and %v, want nothing lent", err, n.Lent())
	}
}

// Without a firewall hosts reach each other, and nothing else.
func TestOpen(t *testing.T) {
	n, err := NewOpen()
	if err != nil {
		t.Fatal(err)
	}
	hosts, err := n.Add(Spec{"a", []Address{{"a", ip("10.9.0.1")}}}, Spec{"b", []Address{{"b", ip("10.9.0.2")}}})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Remove("a")
	defer n.Remove("b")
	serve(t, hosts[1], ip("10.9.0.2"), 80)
	if err := dial(hosts[0], "10.9.0.2:80"); err != nil {
		t.Errorf("from a to b: got %v, want a connection", err)
	}
	for _, to := range []string{"198.18.0.1:80", "169.254.169.254:80"} {
		if err := dial(hosts[0], to); err == nil {
			t.Errorf("from a to %s: got a connection, want none", to)
		}
	}
}
