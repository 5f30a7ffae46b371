package template

import (
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
)

func (w *World) selected(st *Stack, n *Node, a []*Node) *Value {
	i, ok := w.eval(st, a[0]).Int()
	list := w.eval(st, a[1])
	if list.Unknown() {
		return unknown(n.Pos, list.Why())
	}
	if !ok {
		return unknown(n.Pos, "which item it is, is not known")
	}
	if list != nil && list.Shape != List {
		// One item of an attribute that is a list: a name of its own.
		if key, attr, isRef := list.Key(); isRef {
			return text(n.Pos, Token(key, attr+"["+strconv.Itoa(i)+"]"))
		}
	}
	items := list.List()
	if i < 0 || i >= len(items) {
		if slices.ContainsFunc(items, func(v *Value) bool { _, ok := v.Literal(); return !ok }) {
			return unknown(n.Pos, "it is a part of what is not known: "+list.Show())
		}
		w.errs.add(n.Pos, "Fn::Select: index %d of a list of %d", i, len(items))
		return unknown(n.Pos, "Fn::Select is out of range")
	}
	return items[i]
}

func (w *World) findInMap(st *Stack, n *Node, a []*Node) *Value {
	mapping := w.eval(st, a[0])
	m, ok := mapping.Literal()
	if !ok {
		return unknown(n.Pos, "which mapping gives it is not known: "+mapping.Show())
	}
	table := st.Template.Mappings.Get(m)
	if table == nil {
		w.errs.add(n.Pos, "Fn::FindInMap: there is no mapping %q", m)
		return unknown(n.Pos, "there is no such mapping")
	}
	var rows []*Node
	first := w.eval(st, a[1])
	if k, ok := first.Literal(); ok {
		if row := table.Get(k); row != nil {
			rows = []*Node{row}
		}
	} else {
		for _, f := range table.Fields {
			rows = append(rows, f.Value)
		}
	}
	second, ok := w.eval(st, a[2]).Literal()
	var found []*Node
	for _, r := range rows {
		if x := r.Get(second); x != nil {
			found = append(found, x)
		}
	}
	switch {
	case ok && len(found) > 0 && !slices.ContainsFunc(found, func(x *Node) bool { return x.Text != found[0].Text || x.Shape != found[0].Shape || x.Shape == List }):
		return w.eval(st, found[0])
	case ok && len(found) == 1:
		return w.eval(st, found[0])
	case len(a) == 4 && len(found) == 0:
		return w.eval(st, a[3].Get("DefaultValue"))
	}
	if why := first.Why(); why != "" {
		return unknown(n.Pos, "it depends on "+first.Show()+": "+why)
	}
	return unknown(n.Pos, "mapping "+m+" gives it by "+first.Show())
}

func (w *World) cidr(st *Stack, n *Node, a []*Node) *Value {
	block := w.eval(st, a[0])
	count, ok := w.eval(st, a[1]).Int()
	if block.Unknown() || !ok || count < 1 || count > 256 {
		return unknown(n.Pos, "the blocks of "+block.Show())
	}
	bits := 0
	if len(a) == 3 {
		bits, _ = w.eval(st, a[2]).Int()
	}
	v := &Value{Shape: List, Pos: n.Pos}
	p, err := netip.ParsePrefix(block.String())
	if err != nil {
		if key, attr, isRef := block.Key(); isRef {
			for i := range count {
				v.Items = append(v.Items, text(n.Pos, Token(key, fmt.Sprintf("%s block %d of %d bits", attr, i, bits))))
			}
			return v
		}
		return unknown(n.Pos, "the blocks of "+block.Show())
	}
	size := p.Addr().BitLen()
	length := size - bits
	if length < p.Bits() || length > size || bits <= 0 {
		w.errs.add(n.Pos, "Fn::Cidr: %s has no blocks of %d bits", p, bits)
		return unknown(n.Pos, "Fn::Cidr is out of range")
	}
	addr := p.Masked().Addr()
	for range count {
		v.Items = append(v.Items, text(n.Pos, netip.PrefixFrom(addr, length).String()))
		if addr = after(addr, bits); !addr.IsValid() || !p.Contains(addr) {
			break
		}
	}
	return v
}

// after is the first address behind the block of 2^bits addresses that starts at a.
func after(a netip.Addr, bits int) netip.Addr {
	b := a.AsSlice()
	i := len(b) - 1 - bits/8
	carry := 1 << (bits % 8)
	for ; i >= 0 && carry > 0; i-- {
		carry += int(b[i])
		b[i] = byte(carry)
		carry >>= 8
	}
	if carry > 0 {
		return netip.Addr{}
	}
	next, _ := netip.AddrFromSlice(b)
	return next
}

// Decode returns the text of a value that may be base64.
func Decode(s string) string {
	if b, err := base64.StdEncoding.DecodeString(s); err == nil && len(b) > 0 {
		return string(b)
	}
	return s
}
