//go:build linux

package vnet

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"github.com/google/nftables/expr"
	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// apply writes the firewall anew, in one transaction: what was there goes as what
// is new comes, and connections that are open stay.
func (s *star) apply(n *Net) (err error) {
	for range 3 { // what is written twice is there once
		if err = s.write(n); !errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
	}
	return err
}

// answerLimit is how long the kernel may take to acknowledge the rules. It takes
// milliseconds; nothing else ends the wait for an acknowledgement that was lost.
var answerLimit = 5 * time.Second

func (s *star) write(n *Net) error {
	return in(s.hub, func() error {
		hub, err := netns.Get()
		if err != nil {
			return err
		}
		defer hub.Close()
		c, err := nftables.New(nftables.WithNetNSFd(int(hub)), nftables.WithSockOptions(func(c *netlink.Conn) error {
			return c.SetDeadline(time.Now().Add(answerLimit))
		}))
		if err != nil {
			return fmt.Errorf("reaching the kernel's firewall: %w", err)
		}
		t := &nftables.Table{Family: nftables.TableFamilyINet, Name: "ringwall"}
		c.AddTable(t) // so that the deletion finds one
		c.DelTable(t)
		c.AddTable(t)
		drop := nftables.ChainPolicyDrop
		input := c.AddChain(&nftables.Chain{Name: "input", Table: t, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookInput, Priority: nftables.ChainPriorityFilter, Policy: &drop})
		forward := c.AddChain(&nftables.Chain{Name: "forward", Table: t, Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter, Policy: &drop})
		w := &writer{Conn: c, table: t}

		w.rule(input, append(established(), accept()...))
		w.rule(input, append(neighbours(), accept()...))
		w.refuse(input, n)

		w.rule(forward, append(established(), accept()...))
		for _, h := range n.hosts { // a host speaks for itself only
			w.spoof(forward, h)
		}
		groups := map[string][]netip.Addr{}
		for _, h := range n.hosts {
			for _, a := range h.Addrs {
				groups[a.Group] = append(groups[a.Group], a.Addr)
			}
		}
		for _, r := range n.rules {
			for _, six := range []bool{false, true} {
				from, to := family(groups[r.From], six), family(groups[r.To], six)
				if len(from) == 0 || len(to) == 0 {
					continue
				}
				if r.Each > 0 {
					for _, a := range from {
						w.bound(forward, a, to, r)
					}
				}
				w.allow(forward, from, to, six, r.Port)
			}
		}
		w.refuse(forward, n)
		if w.err != nil {
			return w.err
		}
		err = c.Flush()
		if errors.Is(err, os.ErrDeadlineExceeded) { // once, not for every rule
			err = fmt.Errorf("the kernel did not answer: %w", os.ErrDeadlineExceeded)
		}
		if err != nil {
			return fmt.Errorf("writing the firewall: %w", err)
		}
		return nil
	})
}

type writer struct {
	*nftables.Conn
	table *nftables.Table
	err   error
}

func (w *writer) rule(c *nftables.Chain, e []expr.Any) {
	w.AddRule(&nftables.Rule{Table: w.table, Chain: c, Exprs: e})
}

// set makes an anonymous set of addresses and looks register 1 up in it.
func (w *writer) set(addrs []netip.Addr, six, invert bool) expr.Any {
	s := &nftables.Set{Table: w.table, Anonymous: true, Constant: true, KeyType: nftables.TypeIPAddr}
	if six {
		s.KeyType = nftables.TypeIP6Addr
	}
	var el []nftables.SetElement
	for _, a := range addrs {
		el = append(el, nftables.SetElement{Key: a.AsSlice()})
	}
	if err := w.AddSet(s, el); err != nil && w.err == nil {
		w.err = fmt.Errorf("making a set of addresses: %w", err)
	}
	return &expr.Lookup{SourceRegister: 1, SetName: s.Name, SetID: s.ID, Invert: invert}
}

func (w *writer) allow(c *nftables.Chain, from, to []netip.Addr, six bool, port uint16) {
	e := append(w.flow(from, to, six, port), &expr.Counter{})
	w.rule(c, append(e, accept()...))
}

// bound refuses an address the connections that are too many. The kernel counts
// those that were made since the rules were written.
func (w *writer) bound(c *nftables.Chain, from netip.Addr, to []netip.Addr, r Rule) {
	e := w.flow([]netip.Addr{from}, to, from.Is6(), r.Port)
	w.rule(c, append(e, &expr.Connlimit{Count: uint32(r.Each), Flags: expr.NFT_CONNLIMIT_F_INV}, &expr.Counter{}, reject()))
}

// flow matches new connections over TCP.
func (w *writer) flow(from, to []netip.Addr, six bool, port uint16) []expr.Any {
	e := append(protocol(six), source(six), w.set(from, six, false), destination(six), w.set(to, six, false))
	return append(e,
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_TCP}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 2, Len: 2},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: binaryutil.BigEndian.PutUint16(port)})
}

// spoof drops what comes over a host's cable with an address that is not its own.
func (w *writer) spoof(c *nftables.Chain, h *Host) {
	for _, six := range []bool{false, true} {
		var all []netip.Addr
		for _, a := range h.Addrs {
			all = append(all, a.Addr)
		}
		own := family(all, six)
		e := []expr.Any{
			&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(h.link)},
		}
		e = append(e, protocol(six)...)
		if len(own) > 0 {
			e = append(e, source(six), w.set(own, six, true))
		}
		w.rule(c, append(e, &expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop}))
	}
}

// refuse answers what no rule allowed; quiet groups get silence.
func (w *writer) refuse(c *nftables.Chain, n *Net) {
	for _, h := range n.hosts {
		if slices.ContainsFunc(h.Addrs, func(a Address) bool { return n.quiet[a.Group] }) {
			w.rule(c, []expr.Any{
				&expr.Meta{Key: expr.MetaKeyIIFNAME, Register: 1},
				&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: ifname(h.link)},
				&expr.Counter{}, &expr.Verdict{Kind: expr.VerdictDrop},
			})
		}
	}
	w.rule(c, []expr.Any{&expr.Counter{}, reject()})
}

func reject() expr.Any {
	return &expr.Reject{Type: unix.NFT_REJECT_ICMPX_UNREACH, Code: unix.NFT_REJECT_ICMPX_ADMIN_PROHIBITED}
}

func accept() []expr.Any { return []expr.Any{&expr.Verdict{Kind: expr.VerdictAccept}} }

func established() []expr.Any {
	mask := binaryutil.NativeEndian.PutUint32(expr.CtStateBitESTABLISHED | expr.CtStateBitRELATED)
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: mask, Xor: []byte{0, 0, 0, 0}},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: []byte{0, 0, 0, 0}},
	}
}

// neighbours matches IPv6 neighbour solicitations and advertisements (RFC 4861),
// without which no IPv6 packet finds its way.
func neighbours() []expr.Any {
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyL4PROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{unix.IPPROTO_ICMPV6}},
		&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseTransportHeader, Offset: 0, Len: 1},
		&expr.Range{Op: expr.CmpOpEq, Register: 1, FromData: []byte{135}, ToData: []byte{136}},
	}
}

func protocol(six bool) []expr.Any {
	p := byte(unix.NFPROTO_IPV4)
	if six {
		p = unix.NFPROTO_IPV6
	}
	return []expr.Any{
		&expr.Meta{Key: expr.MetaKeyNFPROTO, Register: 1},
		&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: []byte{p}},
	}
}

func source(six bool) expr.Any {
	if six {
		return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 8, Len: 16}
	}
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 12, Len: 4}
}

func destination(six bool) expr.Any {
	if six {
		return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 24, Len: 16}
	}
	return &expr.Payload{DestRegister: 1, Base: expr.PayloadBaseNetworkHeader, Offset: 16, Len: 4}
}

func family(addrs []netip.Addr, six bool) (out []netip.Addr) {
	for _, a := range addrs {
		if a.Is6() == six {
			out = append(out, a)
		}
	}
	return out
}

func ifname(s string) []byte {
	b := make([]byte, 16)
	copy(b, s)
	return b
}
