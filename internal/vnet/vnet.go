//go:build linux

// Package vnet is a private network on one machine: network namespaces in a star
// around the calling process's own, routed through it, with a firewall that
// refuses every connection that no rule allows. It knows nothing of the product.
package vnet

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sync/errgroup"
	"golang.org/x/sys/unix"
)

// A Net is a network of hosts. It is safe for concurrent use.
type Net struct {
	wiring
	mu    sync.Mutex
	hosts []*Host
	rules []Rule
	quiet map[string]bool
}

// A wiring is how the hosts of a network are told apart and joined.
type wiring interface {
	wire(*Host) error
	unwire(*Host)
	apply(*Net) error                 // enforces the rules
	at(netip.AddrPort) netip.AddrPort // where the kernel has a place of the network
}

// A star has a network namespace for each host around the calling process's own,
// which must be new and the process's own.
type star struct {
	hub    netns.NsHandle
	serial atomic.Int64 // of the last cable
}

// An openStar has no firewall: hosts reach each other, and nothing else.
type openStar struct{ *star }

func (openStar) apply(*Net) error { return nil }

func (*star) at(a netip.AddrPort) netip.AddrPort { return a }

// A Rule lets hosts of one group open TCP connections to a port of another group.
type Rule struct {
	From, To string // groups
	Port     uint16
	Each     int // connections that one address may have open; 0: no bound
}

// An Address is one address of a host, and the group whose rules it has.
type Address struct {
	Group string
	Addr  netip.Addr
}

// A Host is one place of the network with its addresses. It dials from the first
// address of a family.
type Host struct {
	Name  string
	Addrs []Address
	net   *Net
	ns    netns.NsHandle
	file  *os.File   // nil: it has no namespace of its own
	link  string     // the hub's end of its cable
	from  netip.Addr // what it dials from, where no namespace says so
}

var gateway = net.IPv4(169, 254, 1, 1)

// New makes the calling process's network namespace the hub. Groups named in
// quiet get no answer to a refused packet; the others get ICMP "administratively
// prohibited", so that a refusal is told apart from a closed port.
func New(quiet ...string) (*Net, error) {
	st, err := newStar()
	if err == nil {
		err = in(st.hub, nowhere)
	}
	if err != nil {
		return nil, err
	}
	n := &Net{wiring: st, quiet: map[string]bool{}}
	for _, q := range quiet {
		n.quiet[q] = true
	}
	return n, n.apply(n)
}

// NewOpen is New for a machine without a firewall: no rule is enforced.
func NewOpen() (*Net, error) {
	st, err := newStar()
	if err != nil {
		return nil, err
	}
	return &Net{wiring: openStar{st}}, nil
}

func newStar() (*star, error) {
	hub, err := netns.Get()
	if err != nil {
		return nil, fmt.Errorf("opening the hub's network namespace: %w", err)
	}
	return &star{hub: hub}, in(hub, func() error {
		return errors.Join(
			loopback(),
			sysctl("net/ipv4/ip_forward", "1", true),
			sysctl("net/ipv6/conf/all/forwarding", "1", false),
			sysctl("net/ipv4/conf/all/rp_filter", "1", true),
			sysctl("net/ipv4/conf/default/rp_filter", "1", true),
			sysctl("net/ipv4/conf/all/accept_redirects", "0", true),
			sysctl("net/ipv4/conf/all/send_redirects", "0", true),
			sysctl("net/ipv4/icmp_ratelimit", "0", false), // every refusal is answered
			sysctl("net/ipv4/icmp_msgs_per_sec", "1000000", false),
			sysctl("net/ipv4/icmp_msgs_burst", "100000", false),
			sysctl("net/ipv6/icmp/ratelimit", "0", false),
			sysctl("net/ipv6/conf/default/accept_dad", "0", false),
			sysctl("net/mptcp/enabled", "0", false),
		)
	})
}

// A Spec names a host that is to be made, with its addresses.
type Spec struct {
	Name  string
	Addrs []Address
}

// Add makes hosts with their addresses, all or none. Nothing may reach them, and
// they may reach nothing, until a rule names their groups.
func (n *Net) Add(specs ...Spec) ([]*Host, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	var made []*Host
	undo := func(err error) ([]*Host, error) {
		for _, h := range made {
			n.unwire(h)
		}
		n.hosts = slices.DeleteFunc(n.hosts, func(h *Host) bool { return slices.Contains(made, h) })
		return nil, err
	}
	for _, s := range specs {
		if slices.ContainsFunc(n.hosts, func(h *Host) bool { return h.Name == s.Name }) {
			return undo(fmt.Errorf("adding host %s: it exists", s.Name))
		}
		h := &Host{Name: s.Name, Addrs: s.Addrs, net: n}
		made = append(made, h)
		n.hosts = append(n.hosts, h)
	}
	var g errgroup.Group
	for _, h := range made {
		g.Go(func() error {
			if err := n.wire(h); err != nil {
				return fmt.Errorf("adding host %s: %w", h.Name, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return undo(err)
	}
	if err := n.apply(n); err != nil {
		return undo(fmt.Errorf("adding hosts to the firewall: %w", err))
	}
	return made, nil
}

// Remove takes a host away. Its namespace ends with the last process in it.
func (n *Net) Remove(name string) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.IndexFunc(n.hosts, func(h *Host) bool { return h.Name == name })
	if i < 0 {
		return nil
	}
	n.unwire(n.hosts[i])
	n.hosts = slices.Delete(n.hosts, i, i+1)
	return n.apply(n)
}

// Host returns the host of that name, or nil.
func (n *Net) Host(name string) *Host {
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, h := range n.hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// Allow replaces the whole list of rules in one step. Open connections stay.
func (n *Net) Allow(rules []Rule) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.rules = slices.Clone(rules)
	return n.apply(n)
}

// wire makes the namespace, the cable and the routes of a host.
func (s *star) wire(h *Host) error {
	h.link = fmt.Sprintf("h%d", s.serial.Add(1))
	err := in(s.hub, func() (err error) {
		if h.ns, err = netns.New(); err != nil {
			return fmt.Errorf("making a network namespace: %w", err)
		}
		// The thread is in the new namespace now.
		return errors.Join(loopback(),
			sysctl("net/ipv6/conf/default/accept_dad", "0", false),
			sysctl("net/ipv6/conf/default/accept_ra", "0", false),
			sysctl("net/mptcp/enabled", "0", false))
	})
	if err != nil {
		return err
	}
	h.file = os.NewFile(uintptr(h.ns), "netns:"+h.Name)
	return in(s.hub, func() error {
		cable := &netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: h.link}, PeerName: "eth0", PeerNamespace: netlink.NsFd(int(h.ns))}
		if err := netlink.LinkAdd(cable); err != nil {
			return fmt.Errorf("making a cable: %w", err)
		}
		near, err := netlink.LinkByName(h.link)
		if err != nil {
			return err
		}
		if err := setUp(near, gateway, h.has6()); err != nil {
			return err
		}
		inside, err := netlink.NewHandleAt(h.ns, unix.NETLINK_ROUTE)
		if err != nil {
			return err
		}
		defer inside.Close()
		far, err := inside.LinkByName("eth0")
		if err != nil {
			return err
		}
		if err := inside.LinkSetUp(far); err != nil {
			return err
		}
		for _, x := range h.Addrs {
			a := x.Addr
			if err := inside.AddrAdd(far, address(a)); err != nil {
				return fmt.Errorf("giving address %s: %w", a, err)
			}
			if err := netlink.RouteAdd(&netlink.Route{LinkIndex: near.Attrs().Index, Dst: single(a), Scope: netlink.SCOPE_LINK}); err != nil {
				return fmt.Errorf("routing to %s: %w", a, err)
			}
		}
		if err := inside.RouteAdd(&netlink.Route{LinkIndex: far.Attrs().Index, Dst: single(netip.MustParseAddr(gateway.String())), Scope: netlink.SCOPE_LINK}); err != nil {
			return fmt.Errorf("routing to the hub: %w", err)
		}
		if err := inside.RouteAdd(&netlink.Route{LinkIndex: far.Attrs().Index, Gw: gateway}); err != nil {
			return fmt.Errorf("setting the default route: %w", err)
		}
		if h.has6() {
			if err := inside.RouteAdd(&netlink.Route{LinkIndex: far.Attrs().Index, Gw: gateway6, Dst: &net.IPNet{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)}}); err != nil {
				return fmt.Errorf("setting the default IPv6 route: %w", err)
			}
		}
		return nil
	})
}

var gateway6 = net.ParseIP("fe80::1")

func setUp(l netlink.Link, gw net.IP, six bool) error {
	if err := netlink.AddrAdd(l, &netlink.Addr{IPNet: &net.IPNet{IP: gw, Mask: net.CIDRMask(32, 32)}}); err != nil {
		return fmt.Errorf("giving the hub its address: %w", err)
	}
	if six {
		a := &netlink.Addr{IPNet: &net.IPNet{IP: gateway6, Mask: net.CIDRMask(64, 128)}, Flags: unix.IFA_F_NODAD}
		if err := netlink.AddrAdd(l, a); err != nil {
			return fmt.Errorf("giving the hub its IPv6 address: %w", err)
		}
	}
	return netlink.LinkSetUp(l)
}

func (s *star) unwire(h *Host) {
	in(s.hub, func() error {
		if l, err := netlink.LinkByName(h.link); err == nil {
			return netlink.LinkDel(l)
		}
		return nil
	})
	if h.file != nil {
		h.file.Close()
	}
}

func (h *Host) has6() bool {
	return slices.ContainsFunc(h.Addrs, func(a Address) bool { return a.Addr.Is6() })
}

func single(a netip.Addr) *net.IPNet {
	return &net.IPNet{IP: a.AsSlice(), Mask: net.CIDRMask(a.BitLen(), a.BitLen())}
}

func address(a netip.Addr) *netlink.Addr {
	out := &netlink.Addr{IPNet: single(a)}
	if a.Is6() {
		out.Flags = unix.IFA_F_NODAD
	}
	return out
}

// File is the host's network namespace; it stays owned by the host. Nil: it has none.
func (h *Host) File() *os.File { return h.file }

// Do runs f on a thread that is in the host's network namespace, if it has one.
// Sockets that f opens itself, not in another goroutine, belong to the host.
func (h *Host) Do(f func() error) error {
	if h.file == nil {
		return f()
	}
	return in(h.ns, f)
}

// Listen opens a plain TCP listener (never MPTCP) on an address of the host.
func (h *Host) Listen(at netip.AddrPort) (l *net.TCPListener, err error) {
	err = h.Do(func() error {
		lc := net.ListenConfig{}
		lc.SetMultipathTCP(false)
		nl, err := lc.Listen(context.Background(), "tcp", h.net.at(at).String())
		if err != nil {
			return fmt.Errorf("listening on %s in the network of %s: %w", at, h.Name, err)
		}
		l = nl.(*net.TCPListener)
		return nil
	})
	return l, err
}

// Dial connects from the host's network, from its own address of the
// destination's family. address is literal.
func (h *Host) Dial(ctx context.Context, network, address string) (net.Conn, error) {
	if h.file == nil {
		return DialLoopback(h.from, ctx, network, address)
	}
	return DialFrom(h.file, ctx, network, address)
}

// DialFrom connects from a network namespace.
func DialFrom(ns *os.File, ctx context.Context, network, address string) (c net.Conn, err error) {
	if _, err := netip.ParseAddrPort(address); err != nil {
		return nil, fmt.Errorf("dialling %s: want a literal address and port: %w", address, err)
	}
	err = in(netns.NsHandle(ns.Fd()), func() error {
		var d net.Dialer
		d.SetMultipathTCP(false)
		c, err = d.DialContext(ctx, network, address)
		return err
	})
	return c, err
}

// in runs f in a network namespace, on a thread that ends afterwards, so that no
// other goroutine ever runs there by accident.
func in(ns netns.NsHandle, f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread dies with the goroutine
		if err := netns.Set(ns); err != nil {
			done <- fmt.Errorf("entering a network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

func loopback() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("finding the loopback device: %w", err)
	}
	return netlink.LinkSetUp(lo)
}

// nowhere routes what has no place in the network to the hub's loopback device,
// so that it meets the firewall on its way and is refused with an answer.
func nowhere() error {
	lo, err := netlink.LinkByName("lo")
	if err != nil {
		return err
	}
	for _, dst := range []*net.IPNet{
		{IP: net.IPv4zero, Mask: net.CIDRMask(0, 32)},
		{IP: net.IPv6zero, Mask: net.CIDRMask(0, 128)},
	} {
		err := netlink.RouteAdd(&netlink.Route{LinkIndex: lo.Attrs().Index, Dst: dst})
		if err != nil && dst.IP.To4() != nil {
			return fmt.Errorf("routing the rest of the world to the firewall: %w", err)
		}
	}
	return nil
}

// sysctl sets a kernel parameter of the thread's network namespace. One that the
// kernel does not have is an error only when it is needed.
func sysctl(name, value string, needed bool) error {
	err := os.WriteFile("/proc/sys/"+name, []byte(value), 0)
	if err != nil && (needed || !errors.Is(err, os.ErrNotExist)) {
		return fmt.Errorf("setting %s to %s: %w", name, value, err)
	}
	return nil
}
