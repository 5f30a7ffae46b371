package plan

import (
	"cmp"
	"net/netip"
	"slices"
	"strconv"
	"strings"
)

// defaults works out what depends on other keys. Values that the table of keys
// has a default for are there already.
func (l *loader) defaults(d *draft) {
	made := func(name string) { d.Origins[name] = Origin{Source: "default"} }
	for i := range d.Tiers {
		t := &d.Tiers[i]
		if t.Max == 0 {
			t.Max = max(t.Min, i+1)
			if i > 0 {
				t.Max = max(t.Min, 4)
			}
			made("tiers." + t.Name + ".max")
		}
		if len(t.Command) == 0 || d.Origins["command"].outranks(d.Origins["tiers."+t.Name+".command"]) {
			t.Command = slices.Clone(d.command)
		}
		if d.Kind != Command {
			t.Command = nil
		}
	}
	d.command = nil
	if _, ok := d.Origins["routes.docroot"]; !ok {
		if d.Kind == Command {
			d.Webserver.Docroot = "-"
		}
		made("routes.docroot")
	}
	if d.Kind == PHP && d.Webserver.Front == "" {
		d.Webserver.Front = "index.php"
		made("routes.front")
	}
	l.readRules(d)
	l.databaseDefaults(d, made)
	if len(l.problems) == 0 {
		d.VPC = layVPC(d.VPC.CIDR, d.VPC.CIDR6)
	}
	l.networkDefaults(d, made)
}

// outranks says whether a value from o is meant although one from p is more
// specific: a user's own word goes before a preset's.
func (o Origin) outranks(p Origin) bool {
	rank := func(o Origin) int {
		return slices.Index([]string{"", "default", "preset", "file", "environment", "flag"}, o.Source)
	}
	return rank(o) > rank(p)
}

// layVPC is NewVPC for blocks that validate has yet to judge.
func layVPC(cidr, cidr6 netip.Prefix) VPC {
	if !cidr.Addr().Is4() || !cidr6.Addr().Is6() {
		return VPC{CIDR: cidr, CIDR6: cidr6}
	}
	return NewVPC(cidr, cidr6)
}

func (l *loader) databaseDefaults(d *draft, made func(string)) {
	db := &d.Database
	if db.Name == "" {
		db.Name = strings.ReplaceAll(d.App, "-", "_")
		made("database.name")
	}
	if db.Port == 0 {
		db.Port = 5432
		if db.Engine == MySQL {
			db.Port = 3306
		}
		made("database.port")
	}
}

func (l *loader) networkDefaults(d *draft, made func(string)) {
	n := &d.Network
	n.Host = strings.ToLower(strings.Trim(cmp.Or(n.Subdomain, d.Site())+"."+n.HostedZone, "."))
	n.HostedZone = strings.ToLower(n.HostedZone)
	l.people(d, made)
	n.Hosts = []string{n.Host}
	add := func(h string) {
		if h = strings.ToLower(h); !slices.Contains(n.Hosts, h) {
			n.Hosts = append(n.Hosts, h)
		}
	}
	if n.Listen.IsValid() {
		if p := n.Listen.Port(); p != 443 {
			add(n.Host + ":" + strconv.Itoa(int(p)))
		}
	} else {
		for _, door := range []Door{{Listen: d.doorVisitor, Viewer: n.Visitor}, {Listen: d.doorOffice, Viewer: n.Office}} {
			if !door.Viewer.IsValid() {
				continue // nobody that it could stand for
			}
			door.Host = door.Listen.String()
			if door.Listen.Addr() == netip.AddrFrom4([4]byte{127, 0, 0, 1}) {
				door.Host = "localhost:" + strconv.Itoa(int(door.Listen.Port()))
			}
			n.Doors = append(n.Doors, door)
			add(door.Host)
		}
	}
	for _, h := range d.hosts {
		add(h)
	}
	made("network.hosts")
}

// people picks the addresses that doors and probes stand for: a visitor who is
// allowed and no administrator, an administrator, and a stranger who is not allowed.
func (l *loader) people(d *draft, made func(string)) {
	n, allowed, admins := &d.Network, d.Edge.Allowed, d.Balancer.Admins
	free := func(a netip.Addr) bool { return usable(a) && !d.VPC.CIDR.Contains(a) && !d.VPC.CIDR6.Contains(a) }
	if !n.Office.IsValid() {
		n.Office = firstOf(admins.Prefixes, func(a netip.Addr) bool { return free(a) && allowed.Has(a) })
		made("network.office")
	}
	if !n.Visitor.IsValid() {
		n.Visitor = firstOf(slices.Concat(examples, allowed.Prefixes), func(a netip.Addr) bool { return free(a) && !admins.Has(a) && allowed.Has(a) })
		made("network.visitor")
	}
	if !n.Stranger.IsValid() && !allowed.Any {
		n.Stranger = firstOf(examples, func(a netip.Addr) bool {
			return free(a) && !allowed.Has(a) && !admins.Has(a) && a != n.Visitor && a != n.Office
		})
		made("network.stranger")
	}
	n.Crowd = firstOf(examples, func(a netip.Addr) bool {
		return free(a) && !admins.Has(a) && a != n.Visitor && a != n.Office && a != n.Stranger
	})
}

// examples are blocks that belong to nobody (RFC 5737, RFC 2544, RFC 3849), with
// the visitor's usual address first.
var examples = []netip.Prefix{
	netip.MustParsePrefix("198.51.100.7/32"),
	netip.MustParsePrefix("203.0.113.0/24"),
	netip.MustParsePrefix("198.51.100.0/24"),
	netip.MustParsePrefix("192.0.2.0/24"),
	netip.MustParsePrefix("198.18.0.0/15"),
	netip.MustParsePrefix("2001:db8::/32"),
}

// usable says whether packets of the internet can come from an address.
func usable(a netip.Addr) bool {
	return a.IsValid() && !a.IsUnspecified() && !a.IsLoopback() && !a.IsMulticast() && !a.IsLinkLocalUnicast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255}) && (!a.Is4() || a.As4()[0] != 0)
}

// firstOf finds an address of the blocks that will do. In a large block it looks
// at the start of each of its parts, not at every address.
func firstOf(blocks []netip.Prefix, ok func(netip.Addr) bool) netip.Addr {
	for _, p := range blocks {
		a := p.Addr()
		bits := a.BitLen()
		if p.Bits() < bits-1 {
			a = a.Next() // not the network's own address
		}
		for i, c := 0, a; i < 512 && c.IsValid() && p.Contains(c); i, c = i+1, c.Next() {
			if bits-p.Bits() > 1 && !p.Contains(c.Next()) {
				break // broadcast
			}
			if ok(c) {
				return c
			}
		}
		for _, step := range []int{8, 12, 16, 20, 24, 32, 48, 64} { // the same host number in the neighbouring parts
			if step <= p.Bits() || step >= bits {
				continue
			}
			c := a
			for range 300 {
				if c = addAt(c, step); !c.IsValid() || !p.Contains(c) {
					break
				}
				if ok(c) {
					return c
				}
			}
		}
	}
	return netip.Addr{}
}

// addAt adds one to the address at a bit's place; invalid on overflow.
func addAt(a netip.Addr, bit int) netip.Addr {
	b := a.AsSlice()
	i, add := (bit-1)/8, 1<<(7-(bit-1)%8)
	for ; i >= 0; i-- {
		add += int(b[i])
		b[i] = byte(add)
		if add >>= 8; add == 0 {
			out, _ := netip.AddrFromSlice(b)
			return out
		}
	}
	return netip.Addr{}
}
