package plan

import "net/netip"

// VPC holds the settings of perimeter 3: the site's private network and the
// addresses in it. On this machine each instance has a network namespace and one
// address of CIDR.
type VPC struct {
	CIDR     netip.Prefix // 10.0.0.0/16
	CIDR6    netip.Prefix // a unique local prefix, for viewers with IPv6 addresses
	Edge     netip.Addr
	Edge6    netip.Addr
	Balancer netip.Addr
	Beside   netip.Addr
	Database netip.Addr
	Admin    netip.Addr // the first instance's
	Fleet    netip.Addr // the first instance's
}

// Instance is the address of the n-th (from 1) instance of a tier; n <= 100.
func (v VPC) Instance(tier string, n int) netip.Addr {
	a := v.Admin
	if tier != Admin {
		a = v.Fleet
	}
	for range n - 1 {
		a = a.Next()
	}
	return a
}

// NewVPC lays the subnets of the blocks out: public .0.x, private .1.x, isolated .2.x.
// cidr must be an IPv4 block of /16 to /22.
func NewVPC(cidr, cidr6 netip.Prefix) VPC {
	b := cidr.Masked().Addr().As4()
	at := func(subnet, host byte) netip.Addr {
		return netip.AddrFrom4([4]byte{b[0], b[1], b[2] + subnet, host})
	}
	e6 := cidr6.Masked().Addr().As16()
	e6[15] = 10
	return VPC{
		CIDR: cidr.Masked(), CIDR6: cidr6.Masked(),
		Edge: at(0, 10), Edge6: netip.AddrFrom16(e6), Balancer: at(0, 20), Beside: at(0, 30),
		Database: at(2, 10), Admin: at(1, 10), Fleet: at(1, 100),
	}
}
